//! Messages of SIP are the same however they are cut.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| ethmon::fuzz::sip(input));
