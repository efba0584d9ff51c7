//! Messages of HTTP/1.x are no longer than what was said.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| ethmon::fuzz::http(input));
