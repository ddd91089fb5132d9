//! Whole handshakes, one after another, whose messages are changed on the way.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| waxwire::fuzzing::handshake(data));
