//! A live pair of sessions under a list of operations.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| waxwire::fuzzing::session(data));
