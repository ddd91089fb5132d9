//! The sealed block of REPLY, once opened.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| waxwire::fuzzing::reply_block(data));
