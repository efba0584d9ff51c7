//! Frames of any link: each is in a flow, or counted.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| ethmon::fuzz::frame(input));
