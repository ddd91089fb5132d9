//! Payloads of calls, and contents for the machines of both sides.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| waxwire::fuzzing::call(data));
