//! Lines become the same records however they are read, without a gap.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| ethmon::fuzz::multiline(input));
