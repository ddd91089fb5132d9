//! HELLO: its layout, its canonical form, and a responder that reads it.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| waxwire::fuzzing::hello(data));
