//! Frames of messages, and what stands in them.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| waxwire::fuzzing::message(data));
