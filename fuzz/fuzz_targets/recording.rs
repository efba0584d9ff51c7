//! Each line of a recording is used or wrong for a reason, and says the same each time.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| ethmon::fuzz::recording(input));
