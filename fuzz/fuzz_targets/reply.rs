//! The clear half of REPLY, and the records that prove nothing: RETRY, REJECT, NO_SESSION.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| waxwire::fuzzing::reply(data));
