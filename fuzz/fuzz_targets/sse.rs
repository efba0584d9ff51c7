//! The bytes of an event stream become the same frames however they come, and none holds more than it may.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| ethmon::fuzz::sse(input));
