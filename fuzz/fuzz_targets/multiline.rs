//! Lines become the same records however they are read, without a gap.
#![no_main]

use ethmon::agent::logs::fuzz;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| fuzz::multiline(input));
