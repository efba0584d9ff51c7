//! A datagram of DNS is a message or is not; on TCP messages are the same however they are cut.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| ethmon::fuzz::dns(input));
