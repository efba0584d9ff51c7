//! A vote holds what stands in its text, and the votes of a slot are counted alike however their bytes come.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| ethmon::fuzz::heavy(input));
