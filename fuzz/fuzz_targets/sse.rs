//! The bytes of an event stream become the same frames however they come, and none holds more than it may.
#![no_main]

use chrono::DateTime;
use ethmon::agent::beacon::sse::{Frame, FrameCutter, KEPT_PREFIX_BYTES};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((head, bytes)) = input.split_at_checked(8) else {
        return;
    };
    let limit = if head[0] == u8::MAX { 1 << 20 } else { usize::from(head[0]) + 8 };
    let mut chunks = Vec::new();
    let mut rest = bytes;
    for length in &head[1..] {
        let (chunk, after) = rest.split_at(usize::from(*length).min(rest.len()));
        chunks.push(chunk);
        rest = after;
    }
    chunks.push(rest);
    let frames = cut(&[bytes], limit);
    assert_eq!(cut(&chunks, limit), frames);
    for frame in frames {
        // A byte that is no UTF-8 becomes three.
        assert!(frame.data.len() <= 3 * limit.max(2 * KEPT_PREFIX_BYTES));
    }
});

fn cut(chunks: &[&[u8]], limit: usize) -> Vec<Frame> {
    let mut cutter = FrameCutter::new(limit);
    let mut frames = Vec::new();
    for chunk in chunks {
        cutter.push(chunk, DateTime::UNIX_EPOCH);
        frames.extend(std::iter::from_fn(|| cutter.pop()));
    }
    frames
}
