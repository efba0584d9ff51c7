//! `key=value` pairs at the end of a message, separated by blanks or commas.

/// The text before the first pair, and the pairs. A value reaches to where the next key begins, so it may hold blanks;
/// quotes around it are kept.
pub(in crate::agent::logs) fn scan(text: &str) -> (&str, Vec<(&str, &str)>) {
    let mut keys = Vec::new();
    let mut from = 0;
    while let Some(equals) = memchr::memchr(b'=', &text.as_bytes()[from..]).map(|at| from + at) {
        from = equals + 1;
        if let Some(key) = key_before(text, equals) {
            keys.push((key, equals));
        }
    }
    let head_end = keys.first().map_or(text.len(), |(start, _)| *start);
    let pairs = keys.iter().enumerate().map(|(i, (start, equals))| {
        let end = keys.get(i + 1).map_or(text.len(), |(next, _)| *next);
        let value = text[equals + 1..end].trim();
        (
            &text[*start..*equals],
            value.strip_suffix(',').unwrap_or(value),
        )
    });
    (text[..head_end].trim_end(), pairs.collect())
}

/// Where the key that ends at `equals` begins: it follows a blank or the start, and neither side is `==`.
fn key_before(text: &str, equals: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    if bytes.get(equals + 1) == Some(&b'=') {
        return None;
    }
    let is_key = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-.()".contains(byte);
    let length = bytes[..equals]
        .iter()
        .rev()
        .take_while(|byte| is_key(byte))
        .count();
    let start = equals - length;
    let follows_blank = start == 0 || bytes[start - 1] == b' ';
    let begins_well = bytes[start].is_ascii_alphabetic() || bytes[start] == b'_';
    (length > 0 && follows_blank && begins_well).then_some(start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_reach_to_the_next_key() {
        let text = "Block error slot=12, code=BLOCK ERROR, err=code=UNKNOWN, x= b=1";
        let pairs = vec![
            ("slot", "12"),
            ("code", "BLOCK ERROR"),
            ("err", "code=UNKNOWN"),
            ("x", ""),
            ("b", "1"),
        ];
        assert_eq!(scan(text), ("Block error", pairs));
        assert_eq!(
            scan("ACTIVE_PRESET == minimal preset"),
            ("ACTIVE_PRESET == minimal preset", vec![])
        );
        assert_eq!(scan("a=…, b=ü"), ("", vec![("a", "…"), ("b", "ü")]));
        assert_eq!(scan("= =a 1=2"), ("= =a 1=2", vec![]));
    }
}
