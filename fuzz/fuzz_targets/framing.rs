//! Bytes of a file become the same lines however they are read.
#![no_main]

use ethmon::agent::logs::fuzz;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| fuzz::framing(input));
