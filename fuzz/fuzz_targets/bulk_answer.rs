//! Whatever answers a bulk request: a verdict for each item that was sent, or none at all.
#![no_main]

use ethmon::elastic::parse_bulk_answer;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((sent, body)) = input.split_first() else {
        return;
    };
    let sent = usize::from(*sent);
    if let Ok(answer) = parse_bulk_answer(body, sent) {
        assert_eq!(answer.verdicts.len(), sent);
    }
});
