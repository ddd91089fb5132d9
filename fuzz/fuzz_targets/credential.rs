//! Credentials and enrolment requests, and what a root admits of them.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| waxwire::fuzzing::credential(data));
