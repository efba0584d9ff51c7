//! Every record of every client becomes a document.
#![no_main]

use ethmon::agent::logs::fuzz;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| fuzz::records(input));
