//! The 24 bytes in front of every record.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| waxwire::fuzzing::record_header(data));
