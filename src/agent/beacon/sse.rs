//! Cuts a stream of bytes into server-sent events. Frames first, meaning later: a chunk of the network may hold half an
//! event or three.

use std::collections::VecDeque;

use chrono::{DateTime, Utc};

/// How much of a frame over the limit is kept, to show what it was.
pub const KEPT_PREFIX_BYTES: usize = 8 << 10;

const BOM: [u8; 3] = [0xef, 0xbb, 0xbf];

/// One event as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The `event:` line; empty where there was none.
    pub event: String,
    /// The `data:` lines, joined by line feeds. Bytes that are not UTF-8 are replaced.
    pub data: String,
    /// When the bytes that completed it arrived.
    pub received_at: DateTime<Utc>,
    /// `Some(n)` for a frame over the limit: it had `n` bytes, of which `data` holds the first.
    pub oversized: Option<u64>,
}

/// Bytes in, frames out; holds at most one unfinished frame, no larger than the limit.
pub struct FrameCutter {
    limit: usize,
    /// The unfinished line.
    line: Vec<u8>,
    event: Vec<u8>,
    data: Vec<u8>,
    /// Bytes of the current frame so far, kept or not.
    seen: u64,
    oversized: bool,
    has_fields: bool,
    after_cr: bool,
    at_start: bool,
    ready: VecDeque<Frame>,
}

impl FrameCutter {
    /// `limit`: bytes of one frame; what is over it is skipped up to the next blank line.
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            line: Vec::new(),
            event: Vec::new(),
            data: Vec::new(),
            seen: 0,
            oversized: false,
            has_fields: false,
            after_cr: false,
            at_start: true,
            ready: VecDeque::new(),
        }
    }

    pub fn push(&mut self, mut bytes: &[u8], received_at: DateTime<Utc>) {
        if bytes.is_empty() {
            return;
        }
        // A carriage return has already ended the line; the line feed after it may be in the next chunk.
        if std::mem::take(&mut self.after_cr) {
            bytes = bytes.strip_prefix(b"\n").unwrap_or(bytes);
        }
        while let Some(end) = memchr::memchr2(b'\r', b'\n', bytes) {
            self.take(&bytes[..end]);
            self.end_line(received_at);
            let is_cr = bytes[end] == b'\r';
            bytes = &bytes[end + 1..];
            if is_cr {
                match bytes.first() {
                    Some(b'\n') => bytes = &bytes[1..],
                    Some(_) => {}
                    None => self.after_cr = true,
                }
            }
        }
        self.take(bytes);
    }

    pub fn pop(&mut self) -> Option<Frame> {
        self.ready.pop_front()
    }

    /// Bytes of a frame that has begun and not ended: what is lost when the stream ends here.
    pub fn unfinished_bytes(&self) -> u64 {
        self.seen
    }

    fn take(&mut self, bytes: &[u8]) {
        self.seen += bytes.len() as u64;
        let room = self.limit.saturating_sub(self.line.len() + self.data.len());
        if bytes.len() > room && !self.oversized {
            self.oversized = true;
            self.data.truncate(KEPT_PREFIX_BYTES);
            self.line.truncate(KEPT_PREFIX_BYTES);
        }
        if !self.oversized {
            self.line.extend_from_slice(bytes);
        } else if self.line.len() < KEPT_PREFIX_BYTES {
            let kept = bytes.len().min(KEPT_PREFIX_BYTES - self.line.len());
            self.line.extend_from_slice(&bytes[..kept]);
        }
    }

    fn end_line(&mut self, received_at: DateTime<Utc>) {
        let mut line = std::mem::take(&mut self.line);
        if std::mem::take(&mut self.at_start) && line.starts_with(&BOM) {
            line.drain(..BOM.len());
            self.seen = line.len() as u64;
        }
        if line.is_empty() {
            self.end_frame(received_at);
        } else {
            self.field(&line);
        }
        line.clear();
        self.line = line;
    }

    fn field(&mut self, line: &[u8]) {
        let (name, value) = match memchr::memchr(b':', line) {
            Some(0) => {
                // A comment keeps the connection alive and belongs to no frame.
                self.seen = self.seen.saturating_sub(line.len() as u64);
                return;
            }
            Some(colon) => (&line[..colon], &line[colon + 1..]),
            None => (line, &line[line.len()..]),
        };
        let value = value.strip_prefix(b" ").unwrap_or(value);
        self.has_fields = true;
        match name {
            b"event" => self.event = value[..value.len().min(KEPT_PREFIX_BYTES)].to_vec(),
            b"data" if !self.oversized || self.data.is_empty() => {
                self.data.extend_from_slice(value);
                self.data.push(b'\n');
            }
            // `id` and `retry` mean nothing without a server that resumes. A line that is no field at all (a page of
            // HTML in the stream) is kept, so that the frame shows what came.
            b"data" | b"id" | b"retry" => {}
            _ if self.data.len() < KEPT_PREFIX_BYTES => {
                self.data.extend_from_slice(line);
                self.data.push(b'\n');
            }
            _ => {}
        }
    }

    fn end_frame(&mut self, received_at: DateTime<Utc>) {
        let seen = std::mem::take(&mut self.seen);
        let oversized = std::mem::take(&mut self.oversized);
        let event = std::mem::take(&mut self.event);
        let mut data = std::mem::take(&mut self.data);
        if !std::mem::take(&mut self.has_fields) {
            return;
        }
        if data.last() == Some(&b'\n') {
            data.pop();
        }
        self.ready.push_back(Frame {
            event: text(event),
            data: text(data),
            received_at,
            oversized: oversized.then_some(seen),
        });
    }
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cut(chunks: &[&[u8]], limit: usize) -> Vec<Frame> {
        let mut cutter = FrameCutter::new(limit);
        let mut frames = Vec::new();
        for chunk in chunks {
            cutter.push(chunk, DateTime::UNIX_EPOCH);
            frames.extend(std::iter::from_fn(|| cutter.pop()));
        }
        frames
    }

    fn pairs(text: &str) -> Vec<(String, String)> {
        let frames = cut(&[text.as_bytes()], 1 << 20).into_iter();
        frames.map(|frame| (frame.event, frame.data)).collect()
    }

    fn pair(event: &str, data: &str) -> (String, String) {
        (event.to_owned(), data.to_owned())
    }

    #[test]
    fn line_ends_comments_bom_and_several_data_lines() {
        let both = vec![pair("head", "{}"), pair("block", "a\nb")];
        for end in ["\n", "\r", "\r\n"] {
            let text =
                "\u{feff}event: head\ndata: {}\n\n:\n\n: ping\nevent:block\ndata:a\ndata: b\n\n"
                    .replace('\n', end);
            assert_eq!(pairs(&text), both, "{end:?}");
        }
    }

    #[test]
    fn odd_frames_are_kept_or_nothing() {
        assert_eq!(pairs("\n\n:\n\n"), []);
        assert_eq!(pairs("event: head\n\n"), [pair("head", "")]);
        assert_eq!(pairs("data: x\n\n"), [pair("", "x")]);
        assert_eq!(pairs("<html>\n<body>\n\n"), [pair("", "<html>\n<body>")]);
        assert_eq!(pairs("event: head\ndata: {}\n"), [], "not ended");
    }

    #[test]
    fn a_frame_over_the_limit_is_cut_and_the_next_one_is_whole() {
        let big = format!("event: x\ndata: {}\n\n", "y".repeat(5 << 20));
        let text = format!("{big}event: head\ndata: {{}}\n\n");
        let chunks: Vec<&[u8]> = text.as_bytes().chunks(60_000).collect();
        let frames = cut(&chunks, 4 << 20);
        assert_eq!(frames.len(), 2);
        assert_eq!(frames[0].event, "x");
        assert_eq!(frames[0].oversized, Some((5 << 20) + 14));
        assert!(frames[0].data.len() <= KEPT_PREFIX_BYTES && frames[0].data.starts_with("yyy"));
        assert_eq!(
            (frames[1].event.as_str(), frames[1].oversized),
            ("head", None)
        );
    }

    #[test]
    fn what_a_cut_stream_loses_is_known() {
        let mut cutter = FrameCutter::new(1 << 20);
        cutter.push(b"event: head\ndata: {}\n\n: ping\n", DateTime::UNIX_EPOCH);
        assert_eq!(cutter.unfinished_bytes(), 0);
        cutter.push(b"event: he", DateTime::UNIX_EPOCH);
        assert_eq!(cutter.unfinished_bytes(), 9);
    }

    #[test]
    fn a_carriage_return_takes_one_line_feed_with_it_and_no_more() {
        let whole = cut(&[b"data: x\r\n\n"], 100);
        assert_eq!(whole.len(), 1);
        assert_eq!(cut(&[b"data: x\r", b"\n", b"\n"], 100), whole);
        assert_eq!(cut(&[b"data: x\r", b"", b"\n", b"", b"\n"], 100), whole);
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_frames(
            text in "((event|data|id|)(: ?)[a-z\u{e9}]{0,4}(\r|\n|\r\n){1,3}|[a-z:\r\n\u{feff}]){0,40}",
            cuts in prop::collection::vec(0usize..400, 0..12),
            limit in 8usize..64,
        ) {
            let bytes = text.as_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|at| at.min(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let chunks: Vec<&[u8]> = cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
            prop_assert_eq!(cut(&chunks, limit), cut(&[bytes], limit));
        }

        #[test]
        fn no_bytes_break_it(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            cut(&[&bytes], 32);
        }
    }
}
