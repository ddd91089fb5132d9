//! Two real links, their applications, their path, and a peer that lies.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| waxwire::fuzzing::link(data));
