//! Any condition, processor and document: nothing protected is changed, nothing that is to be redacted stays.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| ethmon::fuzz::processors(input));
