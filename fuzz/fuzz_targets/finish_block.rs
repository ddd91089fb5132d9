//! The sealed block of FINISH, once opened.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| waxwire::fuzzing::finish_block(data));
