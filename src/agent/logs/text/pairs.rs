//! `key=value` pairs at the end of a message, separated by blanks or commas.

use std::borrow::Cow;

/// What a client named in a record, in its order.
#[derive(Debug, Default, PartialEq)]
pub(in crate::agent::logs) struct Pairs<'a>(pub(in crate::agent::logs) Vec<Pair<'a>>);

/// Key and value; quotes around a value are removed.
pub(in crate::agent::logs) type Pair<'a> = (Cow<'a, str>, Cow<'a, str>);

impl<'a> Pairs<'a> {
    pub(in crate::agent::logs) fn get(&self, key: &str) -> Option<&str> {
        let found = self.0.iter().find(|(name, _)| name == key);
        found.map(|(_, value)| &**value)
    }

    pub(in crate::agent::logs) fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// The value of a key that is named no longer.
    pub(in crate::agent::logs) fn take(&mut self, key: &str) -> Option<Cow<'a, str>> {
        let at = self.0.iter().position(|(name, _)| name == key)?;
        Some(self.0.remove(at).1)
    }

    /// What the value of a key means. One that means nothing stays what it is, and is not lost.
    pub(in crate::agent::logs) fn read<T>(
        &mut self,
        key: &str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let at = self.0.iter().position(|(name, _)| name == key)?;
        let meaning = read(&self.0[at].1)?;
        self.0.remove(at);
        Some(meaning)
    }
}

/// Pairs of an ordinary record.
const USUAL_PAIRS: usize = 12;

/// What follows in the text is part of the last pair's value.
pub(in crate::agent::logs) const MAX_PAIRS: usize = 64;

/// The text before the first pair, and the pairs. A value reaches to where the next key begins, so it may hold blanks;
/// a key within quotes is none.
pub(in crate::agent::logs) fn scan(text: &str) -> (&str, Pairs<'_>) {
    let mut pairs: Vec<Pair> = Vec::new();
    let mut head_end = text.len();
    // Where the last key stands, and where its value begins.
    let mut open: Option<(&str, usize)> = None;
    let mut from = 0;
    while let Some(equals) = memchr::memchr(b'=', &text.as_bytes()[from..]).map(|at| from + at) {
        from = equals + 1;
        let Some(start) = key_before(text, equals) else {
            continue;
        };
        if pairs.len() == MAX_PAIRS {
            break;
        }
        match open {
            Some((key, value_at)) => pairs.push(pair(key, &text[value_at..start])),
            None => {
                head_end = start;
                pairs.reserve(USUAL_PAIRS);
            }
        }
        open = Some((&text[start..equals], from));
        from += quoted_length(&text[from..]);
    }
    if let Some((key, value_at)) = open {
        pairs.push(pair(key, &text[value_at..]));
    }
    (text[..head_end].trim_end(), Pairs(pairs))
}

fn pair<'a>(key: &'a str, value: &'a str) -> Pair<'a> {
    let mut value = value.trim();
    if !value.starts_with('"') {
        // What follows on further lines is no part of a value without quotes.
        value = value.lines().next().unwrap_or_default().trim_end();
    }
    let value = value.strip_suffix(',').unwrap_or(value);
    (Cow::Borrowed(key), unquoted(value))
}

/// Where the key that ends at `equals` begins: it follows a blank or the start, and neither side is `==`.
fn key_before(text: &str, equals: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    if bytes.get(equals + 1) == Some(&b'=') {
        return None;
    }
    let is_key = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-.()/".contains(byte);
    let length = bytes[..equals]
        .iter()
        .rev()
        .take_while(|byte| is_key(byte))
        .count();
    let start = equals - length;
    let follows_blank = start == 0 || bytes[start - 1].is_ascii_whitespace();
    let begins_well = bytes[start].is_ascii_alphabetic() || bytes[start] == b'_';
    (length > 0 && follows_blank && begins_well).then_some(start)
}

/// How long the quoted value is that begins here, quotes included; 0 where none does or it does not end.
pub(in crate::agent::logs) fn quoted_length(text: &str) -> usize {
    let bytes = text.as_bytes();
    if bytes.first() != Some(&b'"') {
        return 0;
    }
    let mut at = 1;
    while let Some(found) = bytes
        .get(at..)
        .and_then(|rest| memchr::memchr2(b'"', b'\\', rest))
    {
        at += found;
        if bytes[at] == b'"' {
            return at + 1;
        }
        at += 2;
    }
    0
}

/// The value without quotes around it and escapes in it.
pub(in crate::agent::logs) fn unquoted(value: &str) -> Cow<'_, str> {
    if value.len() < 2 || quoted_length(value) != value.len() {
        return Cow::Borrowed(value);
    }
    let inner = &value[1..value.len() - 1];
    if memchr::memchr(b'\\', inner.as_bytes()).is_none() {
        return Cow::Borrowed(inner);
    }
    let mut plain = String::with_capacity(inner.len());
    let mut rest = inner.chars();
    while let Some(c) = rest.next() {
        match (c, if c == '\\' { rest.next() } else { None }) {
            (_, Some('n')) => plain.push('\n'),
            (_, Some('t')) => plain.push('\t'),
            (_, Some(escaped @ ('"' | '\\'))) => plain.push(escaped),
            // An escape of another kind stays as it was printed.
            (c, Some(other)) => plain.extend([c, other]),
            (c, None) => plain.push(c),
        }
    }
    Cow::Owned(plain)
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
    fn values_reach_to_the_next_key() {
        check(
            "Block error slot=12, code=BLOCK ERROR, err=code=UNKNOWN, x= b=1",
            "Block error",
            &[
                ("slot", "12"),
                ("code", "BLOCK ERROR"),
                ("err", "code=UNKNOWN"),
                ("x", ""),
                ("b", "1"),
            ],
        );
        check(
            "ACTIVE_PRESET == minimal preset",
            "ACTIVE_PRESET == minimal preset",
            &[],
        );
        check("a=…, b=ü", "", &[("a", "…"), ("b", "ü")]);
        check("= =a 1=2", "= =a 1=2", &[]);
    }

    #[test]
    fn keys_in_quotes_are_text() {
        check(
            r#"Served err="a b=\"1\" c=2" blk/s=3 open="d e=5"#,
            "Served",
            &[
                ("err", r#"a b="1" c=2"#),
                ("blk/s", "3"),
                ("open", "\"d"),
                ("e", "5"),
            ],
        );
        check(
            r#"x a="C:\dir" b="\"#,
            "x",
            &[("a", r"C:\dir"), ("b", r#""\"#)],
        );
    }
}
