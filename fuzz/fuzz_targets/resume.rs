//! An outbox and an inbox, and peers that come back with any memory.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| waxwire::fuzzing::resume(data));
