//! Each message of ICMP is in one document.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| ethmon::fuzz::icmp(input));
