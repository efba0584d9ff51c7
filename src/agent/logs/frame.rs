//! Cuts the bytes of a file into lines, whatever pieces they come in.

use chrono::{DateTime, Utc};

/// A line without its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    /// Where it begins in the file.
    pub(super) offset: u64,
    /// Where the next one begins.
    pub(super) end: u64,
    pub(super) text: String,
    /// Bytes beyond the limit were left out.
    pub(super) is_cut: bool,
    /// U+FFFD stands where bytes were no UTF-8.
    pub(super) is_repaired: bool,
    /// NUL bytes before it were left out: the hole that a writer leaves who goes on where the file was truncated.
    pub(super) is_after_hole: bool,
    /// What somebody between the writer and the file says of it.
    pub(super) stamp: Stamp,
}

/// Who took a line from its writer, when, and from which of its streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Stamp {
    pub(super) at: Option<DateTime<Utc>>,
    /// `container` or `journal`
    pub(super) by: &'static str,
    /// `stdout` or `stderr`
    pub(super) stream: Option<&'static str>,
}

/// Holds the line that is not complete yet, at most `max_line_bytes` of it.
#[derive(Debug)]
pub(super) struct Framer {
    buffer: Vec<u8>,
    /// Where the unfinished line begins in the file.
    offset: u64,
    /// Bytes of the unfinished line that the buffer does not hold.
    cut_bytes: u64,
    /// NUL bytes before the buffer.
    hole_bytes: u64,
    max_line_bytes: usize,
}

impl Framer {
    /// Begins at a line's beginning.
    pub(super) fn new(offset: u64, max_line_bytes: usize) -> Self {
        Self {
            buffer: Vec::new(),
            offset,
            cut_bytes: 0,
            hole_bytes: 0,
            max_line_bytes: max_line_bytes.max(1),
        }
    }

    /// Takes the next bytes of the file and hands on every line that they complete.
    pub(super) fn push(&mut self, chunk: &[u8], mut on_line: impl FnMut(Line)) {
        let mut rest = chunk;
        while let Some(newline) = memchr::memchr(b'\n', rest) {
            self.take(&rest[..newline]);
            on_line(self.cut(1));
            rest = &rest[newline + 1..];
        }
        self.take(rest);
    }

    /// The last line of a file that ends without a newline and will not grow.
    pub(super) fn finish(&mut self) -> Option<Line> {
        (!self.buffer.is_empty()).then(|| self.cut(0))
    }

    /// Up to where the file was taken in, the unfinished line included.
    pub(super) fn position(&self) -> u64 {
        self.offset + self.hole_bytes + self.buffer.len() as u64 + self.cut_bytes
    }

    /// Where the unfinished line begins.
    pub(super) fn line_begin(&self) -> u64 {
        self.offset
    }

    fn take(&mut self, mut bytes: &[u8]) {
        if self.buffer.is_empty() {
            let text = bytes.iter().position(|byte| *byte != 0);
            let hole = text.unwrap_or(bytes.len());
            self.hole_bytes += hole as u64;
            bytes = &bytes[hole..];
        }
        let room = self.max_line_bytes - self.buffer.len();
        let kept = bytes.len().min(room);
        self.buffer.extend_from_slice(&bytes[..kept]);
        self.cut_bytes += (bytes.len() - kept) as u64;
    }

    fn cut(&mut self, end_bytes: u64) -> Line {
        let offset = self.offset;
        let end = self.position() + end_bytes;
        let is_cut = self.cut_bytes > 0;
        let is_after_hole = self.hole_bytes > 0;
        let mut bytes = self.buffer.as_slice();
        if is_cut {
            bytes = without_half_character(bytes);
        } else {
            bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
        }
        let text = String::from_utf8_lossy(bytes);
        let is_repaired = matches!(text, std::borrow::Cow::Owned(_));
        let text = text.into_owned();
        self.buffer.clear();
        // One long line must not hold its memory for ever.
        self.buffer.shrink_to(KEPT_CAPACITY);
        self.cut_bytes = 0;
        self.hole_bytes = 0;
        self.offset = end;
        Line {
            offset,
            end,
            text,
            is_cut,
            is_repaired,
            is_after_hole,
            stamp: Stamp::default(),
        }
    }
}

const KEPT_CAPACITY: usize = 4096;

/// A cut in the middle of a character is ours, not the writer's.
pub(super) fn without_half_character(bytes: &[u8]) -> &[u8] {
    match std::str::from_utf8(bytes) {
        Err(error) if error.error_len().is_none() => &bytes[..error.valid_up_to()],
        _ => bytes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lines(chunks: &[&[u8]], max_line_bytes: usize) -> Vec<Line> {
        let mut framer = Framer::new(0, max_line_bytes);
        let mut lines = Vec::new();
        for chunk in chunks {
            framer.push(chunk, |line| lines.push(line));
        }
        lines.extend(framer.finish());
        lines
    }

    #[test]
    fn ends_of_lines_and_of_the_file() {
        let found = lines(&[b"a\r\n\nb"], 10);
        let plain: Vec<_> = found
            .iter()
            .map(|line| (line.offset, line.end, line.text.as_str()))
            .collect();
        assert_eq!(plain, [(0, 3, "a"), (3, 4, ""), (4, 5, "b")]);
    }

    #[test]
    fn a_long_line_is_cut_between_characters_and_the_next_is_whole() {
        let found = lines(&["aéééé\nb\n".as_bytes()], 4);
        assert_eq!(found[0].text, "aé");
        assert!(found[0].is_cut && !found[0].is_repaired);
        assert_eq!((found[1].offset, found[1].text.as_str()), (10, "b"));
    }

    #[test]
    fn bytes_that_are_no_text_are_replaced_and_marked() {
        let found = lines(&[b"a\xffb\nc\n"], 10);
        assert_eq!(found[0].text, "a\u{fffd}b");
        assert!(found[0].is_repaired && !found[1].is_repaired);
    }

    #[test]
    fn a_hole_before_a_line_is_left_out() {
        let found = lines(&[b"a\n\0\0", b"\0b\nc\0d\n\0\0"], 3);
        let plain: Vec<_> = found
            .iter()
            .map(|line| {
                (
                    line.offset,
                    line.end,
                    line.text.as_str(),
                    line.is_after_hole,
                )
            })
            .collect();
        assert_eq!(
            plain,
            [
                (0, 2, "a", false),
                (2, 7, "b", true),
                (7, 11, "c\0d", false)
            ]
        );
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_lines(
            bytes in prop::collection::vec(prop_oneof![Just(b'\n'), Just(b'\r'), Just(0xc3), Just(0xa9), any::<u8>()], 0..200),
            mut splits in prop::collection::vec(0_usize..200, 0..12),
            max_line_bytes in 1_usize..40,
        ) {
            splits.iter_mut().for_each(|split| *split = (*split).min(bytes.len()));
            splits.extend([0, bytes.len()]);
            splits.sort_unstable();
            let chunks: Vec<&[u8]> = splits.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
            let split = lines(&chunks, max_line_bytes);
            prop_assert_eq!(&split, &lines(&[&bytes], max_line_bytes));
            // Lines follow each other without a gap and cover every byte but a hole at the end.
            let hole = bytes.iter().rev().take_while(|byte| **byte == 0).count();
            let mut position = 0;
            for line in &split {
                prop_assert_eq!(line.offset, position);
                prop_assert!(line.text.len() <= 3 * max_line_bytes);
                position = line.end;
            }
            prop_assert!(position == bytes.len() as u64 || position == (bytes.len() - hole) as u64);
        }
    }
}
