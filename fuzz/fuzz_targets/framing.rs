//! Bytes of a file become the same lines however they are read.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| ethmon::fuzz::framing(input));
