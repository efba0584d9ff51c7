//! What must hold for any bytes that a stranger writes: log files, event streams, answers of servers, documents, packets. Each
//! function panics where a promise is broken; the fuzz targets call them, and so does the test of their seeds.

use chrono::DateTime;

pub use crate::agent::logs::fuzz::{framing, multiline, records};
pub use crate::agent::packets::fuzz::{dns, frame, http, icmp, sip, tls};
pub use crate::agent::process::fuzz::processors;
pub use crate::replay::fuzz::recording;

pub use crate::agent::beacon::fuzz::heavy;
use crate::agent::beacon::sse::{Frame, FrameCutter, KEPT_PREFIX_BYTES};
use crate::elastic::parse_bulk_answer;

/// Whatever answers a bulk request: a verdict for each item that was sent, or none at all.
pub fn bulk_answer(input: &[u8]) {
    let Some((sent, body)) = input.split_first() else {
        return;
    };
    let sent = usize::from(*sent);
    if let Ok(answer) = parse_bulk_answer(body, sent) {
        assert_eq!(answer.verdicts.len(), sent);
    }
}

/// The bytes of an event stream become the same frames however they come, and none holds more than it may.
pub fn sse(input: &[u8]) {
    let Some((head, bytes)) = input.split_at_checked(8) else {
        return;
    };
    let limit = match head[0] {
        u8::MAX => 1 << 20,
        small => usize::from(small) + 8,
    };
    let frames = frames(&[bytes], limit);
    assert_eq!(self::frames(&chunks(bytes, &head[1..]), limit), frames);
    for frame in frames {
        // A byte that is no UTF-8 becomes three.
        assert!(frame.data.len() <= 3 * limit.max(2 * KEPT_PREFIX_BYTES));
    }
}

pub(crate) fn frames(chunks: &[&[u8]], limit: usize) -> Vec<Frame> {
    let mut cutter = FrameCutter::new(limit);
    let mut frames = Vec::new();
    for chunk in chunks {
        cutter.push(chunk, DateTime::UNIX_EPOCH);
        frames.extend(std::iter::from_fn(|| cutter.pop()));
    }
    frames
}

/// The bytes as several reads would give them: each cut says how many the next read gives, the last gives the rest.
pub(crate) fn chunks<'a>(bytes: &'a [u8], cuts: &[u8]) -> Vec<&'a [u8]> {
    let mut chunks = Vec::new();
    let mut rest = bytes;
    for cut in cuts {
        let (chunk, after) = rest.split_at(usize::from(*cut).min(rest.len()));
        chunks.push(chunk);
        rest = after;
    }
    chunks.push(rest);
    chunks
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::Path;

    type Target = (&'static str, fn(&[u8]));

    const TARGETS: [Target; 14] = [
        ("bulk_answer", bulk_answer),
        ("dns", dns),
        ("frame", frame),
        ("framing", framing),
        ("heavy", heavy),
        ("http", http),
        ("icmp", icmp),
        ("multiline", multiline),
        ("processors", processors),
        ("recording", recording),
        ("records", records),
        ("sip", sip),
        ("sse", sse),
        ("tls", tls),
    ];

    #[test]
    fn fuzz_seeds() {
        let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
        for (name, promise) in TARGETS {
            let seeds = fs::read_dir(fuzz.join("seeds").join(name)).unwrap();
            let seeds: Vec<_> = seeds.map(|seed| seed.unwrap().path()).collect();
            assert!(!seeds.is_empty(), "{name} has no seeds");
            for seed in seeds {
                promise(&fs::read(seed).unwrap());
            }
        }
    }
}
