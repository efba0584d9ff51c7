//! `key: value, key: value` behind a message, as Lighthouse prints them.

use std::borrow::Cow;

use super::pairs::{MAX_PAIRS, Pairs, quoted_length, unquoted};

/// The text before the first pair, and the pairs. A comma ends a value only where a key follows it outside of quotes and
/// brackets; brackets that never close are no brackets.
pub(in crate::agent::logs) fn scan(text: &str) -> (&str, Pairs<'_>) {
    let Some((start, colon)) = first_key(text) else {
        return (text.trim_end(), Pairs::default());
    };
    let head = text[..start].trim_end();
    let mut pairs = Vec::with_capacity(12);
    let (mut key, mut value_at) = (&text[start..colon], colon + 1);
    loop {
        let next = end_of_value(text, value_at);
        let end = next.map_or(text.len(), |next| next.comma);
        let value = text[value_at..end].trim().trim_end_matches(',');
        pairs.push((Cow::Borrowed(key), unquoted(value)));
        match next {
            Some(next) if pairs.len() < MAX_PAIRS => {
                (key, value_at) = (&text[next.key..next.colon], next.colon + 1)
            }
            _ => break,
        }
    }
    // The file form has a comma behind the message too.
    (head.strip_suffix(',').unwrap_or(head), Pairs(pairs))
}

/// Where a value ends and the next pair begins.
#[derive(Clone, Copy)]
struct Next {
    comma: usize,
    key: usize,
    colon: usize,
}

/// Brackets that close later than this many bytes behind the first possible end do not count.
const MAX_BRACKETED_BYTES: usize = 4096;

fn end_of_value(text: &str, value_at: usize) -> Option<Next> {
    let blanks = text[value_at..].len() - text[value_at..].trim_start().len();
    let value_at = value_at + blanks;
    let mut from = value_at + quoted_length(&text[value_at..]);
    let mut first = None;
    let (mut balance, mut counted_to) = (Balance::default(), value_at);
    loop {
        let Some(next) = next_pair(text, from) else {
            return first;
        };
        balance.count(&text[counted_to..next.comma]);
        if balance.is_even() {
            return Some(next);
        }
        let first = *first.get_or_insert(next);
        if next.comma - first.comma > MAX_BRACKETED_BYTES {
            return Some(first);
        }
        (from, counted_to) = (next.colon, next.comma);
    }
}

/// The next `, key: `.
fn next_pair(text: &str, mut from: usize) -> Option<Next> {
    loop {
        let comma = from + memchr::memchr(b',', &text.as_bytes()[from..])?;
        let behind = &text[comma + 1..];
        let key = comma + 1 + (behind.len() - behind.trim_start_matches(' ').len());
        if key > comma + 1
            && let Some(colon) = colon_of_key(text, key)
        {
            return Some(Next { comma, key, colon });
        }
        from = comma + 1;
    }
}

/// The first key stands behind a blank; where the message is padded, behind two.
fn first_key(text: &str) -> Option<(usize, usize)> {
    let mut colons = memchr::memchr_iter(b':', text.as_bytes());
    colons.find_map(|colon| {
        let bytes = &text.as_bytes()[..colon];
        let length = bytes.iter().rev().take_while(|byte| is_key(byte)).count();
        let start = colon - length;
        let follows_blank = start == 0 || bytes[start - 1] == b' ';
        (follows_blank && colon_of_key(text, start) == Some(colon)).then_some((start, colon))
    })
}

/// Where the key that begins at `start` ends with a colon and a blank.
fn colon_of_key(text: &str, start: usize) -> Option<usize> {
    let bytes = &text.as_bytes()[start..];
    let length = bytes.iter().take_while(|byte| is_key(byte)).count();
    let is_word = length > 0 && bytes[0].is_ascii_lowercase();
    let ends_well =
        bytes.get(length) == Some(&b':') && matches!(bytes.get(length + 1), Some(b' ') | None);
    (is_word && ends_well).then_some(start + length)
}

fn is_key(byte: &u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'_'
}

/// Brackets open, and quotes seen.
#[derive(Default)]
struct Balance {
    depth: i64,
    quotes: u64,
}

impl Balance {
    fn count(&mut self, text: &str) {
        for byte in text.bytes() {
            match byte {
                b'(' | b'[' | b'{' => self.depth += 1,
                b')' | b']' | b'}' => self.depth -= 1,
                b'"' => self.quotes += 1,
                _ => {}
            }
        }
    }

    /// As many brackets close as open, or more, and quotes come in pairs.
    fn is_even(&self) -> bool {
        self.depth <= 0 && self.quotes.is_multiple_of(2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, head: &str, pairs: &[(&str, &str)]) {
        let (found_head, found) = scan(text);
        let found: Vec<(&str, &str)> = found.0.iter().map(|(k, v)| (&**k, &**v)).collect();
        assert_eq!((found_head, found.as_slice()), (head, pairs));
    }

    #[test]
    fn commas_brackets_and_quotes_in_values() {
        check(
            r#"Call failed      error: Message { code: -1, message: "a, b: 2" }, service: exec"#,
            "Call failed",
            &[
                ("error", r#"Message { code: -1, message: "a, b: 2" }"#),
                ("service", "exec"),
            ],
        );
        check(
            "Batch done, client: Prysm: version: a1, os_version: x, chain: 7",
            "Batch done",
            &[
                ("client", "Prysm: version: a1"),
                ("os_version", "x"),
                ("chain", "7"),
            ],
        );
        check(
            r#"On-time   blob: "unknown", at: "12",  slot: 3 "#,
            "On-time",
            &[("blob", "unknown"), ("at", "12"), ("slot", "3")],
        );
    }

    #[test]
    fn what_never_closes_ends_at_the_next_key() {
        check(
            "Broken  a: (1, b: 2, c: \"x",
            "Broken",
            &[("a", "(1"), ("b", "2"), ("c", "\"x")],
        );
        check("No Pairs: here", "No Pairs: here", &[]);
        check("", "", &[]);
        check("a:", "", &[("a", "")]);
    }
}
