//! Hashes as clients print them: in full, shortened in the middle in four styles, or a prefix alone.

use crate::event::{Document, Path};

/// Hex digits without `0x`, lower case, as far as they were printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::agent::logs) struct PrintedHash {
    prefix: String,
    suffix: Option<String>,
    /// All 32 bytes with `0x`.
    full: Option<String>,
}

/// Digits kept of a full hash at either end, so that it can be joined with shortened ones.
const JOIN_DIGITS: usize = 4;

impl PrintedHash {
    /// `0x1ee3…cf1e`, `1ee3af..4ef2bf`, `0x11e58f...e1c454`, `7fb0b.....80ce5`, `0xf90dc214...`, `f21d399e`, or all of
    /// it. `None` where other characters occur or there are too few digits to mean a hash.
    pub(in crate::agent::logs) fn parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix("0x").unwrap_or(text);
        let is_gap = |c: char| c == '.' || c == '…';
        let end = text.find(is_gap).unwrap_or(text.len());
        let (prefix, rest) = text.split_at(end);
        let suffix = rest.trim_start_matches(is_gap);
        let is_hex = |part: &str| part.bytes().all(|byte| byte.is_ascii_hexdigit());
        if prefix.len() < JOIN_DIGITS || prefix.len() > 64 || !is_hex(prefix) || !is_hex(suffix) {
            return None;
        }
        let mut prefix = prefix.to_ascii_lowercase();
        if prefix.len() == 64 {
            let (begin, end) = (&prefix[..JOIN_DIGITS], &prefix[64 - JOIN_DIGITS..]);
            let (begin, end) = (begin.to_owned(), end.to_owned());
            prefix.insert_str(0, "0x");
            return Some(Self {
                prefix: begin,
                suffix: Some(end),
                full: Some(prefix),
            });
        }
        let suffix = Some(suffix.to_ascii_lowercase()).filter(|suffix| !suffix.is_empty());
        Some(Self {
            prefix,
            suffix,
            full: None,
        })
    }

    /// Sets `FIELD`, `FIELD_prefix` and `FIELD_suffix` as far as they are known.
    pub(in crate::agent::logs) fn set(self, document: &mut Document, field: &'static str) {
        document.set_some(field, self.full);
        let (prefix, suffix) = names(field);
        document.set(prefix, self.prefix);
        document.set_some(suffix, self.suffix);
    }
}

/// `FIELD_prefix` and `FIELD_suffix`. Those of every block are not put together anew.
fn names(field: &'static str) -> (Path, Path) {
    match field {
        "ethereum.block.root" => (
            "ethereum.block.root_prefix".into(),
            "ethereum.block.root_suffix".into(),
        ),
        "ethereum.block.hash" => (
            "ethereum.block.hash_prefix".into(),
            "ethereum.block.hash_suffix".into(),
        ),
        "ethereum.head.root" => (
            "ethereum.head.root_prefix".into(),
            "ethereum.head.root_suffix".into(),
        ),
        "ethereum.finalized.root" => (
            "ethereum.finalized.root_prefix".into(),
            "ethereum.finalized.root_suffix".into(),
        ),
        _ => (
            format!("{field}_prefix").into(),
            format!("{field}_suffix").into(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_four_styles_the_prefix_and_the_whole() {
        let short = |prefix: &str, suffix: Option<&str>| {
            Some(PrintedHash {
                prefix: prefix.into(),
                suffix: suffix.map(Into::into),
                full: None,
            })
        };
        assert_eq!(
            PrintedHash::parse("0x1EE3…cf1e"),
            short("1ee3", Some("cf1e"))
        );
        assert_eq!(
            PrintedHash::parse("1ee3af..4ef2bf"),
            short("1ee3af", Some("4ef2bf"))
        );
        assert_eq!(
            PrintedHash::parse("0x11e58f...e1c454"),
            short("11e58f", Some("e1c454"))
        );
        assert_eq!(
            PrintedHash::parse("7fb0b.....80ce5"),
            short("7fb0b", Some("80ce5"))
        );
        assert_eq!(PrintedHash::parse("0xf90dc214..."), short("f90dc214", None));
        assert_eq!(PrintedHash::parse("f21d399e"), short("f21d399e", None));
        let full = format!("0xabcd{}ef01", "0".repeat(56));
        let parsed = PrintedHash::parse(&full).unwrap();
        assert_eq!(
            parsed,
            PrintedHash {
                prefix: "abcd".into(),
                suffix: Some("ef01".into()),
                full: Some(full)
            }
        );
        for no_hash in ["", "0x", "0xa", "skipped", "0x12345g…", "…"] {
            assert_eq!(PrintedHash::parse(no_hash), None, "{no_hash}");
        }
        assert_eq!(PrintedHash::parse(&"a".repeat(65)), None);
    }
}
