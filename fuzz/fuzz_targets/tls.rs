//! A handshake of TLS says the same however it is cut.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| ethmon::fuzz::tls(input));
