//! Whatever answers a bulk request: a verdict for each item, or none at all.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| ethmon::fuzz::bulk_answer(input));
