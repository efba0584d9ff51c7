//! Hashes as clients print them: in full, shortened in the middle in four styles, or a prefix alone.

use std::borrow::Cow;

/// Hex digits without `0x`, lower case, as far as they were printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::agent::logs) struct PrintedHash<'a> {
    pub(in crate::agent::logs) prefix: Cow<'a, str>,
    pub(in crate::agent::logs) suffix: Option<Cow<'a, str>>,
    /// All 32 bytes with `0x`.
    pub(in crate::agent::logs) full: Option<Cow<'a, str>>,
}

/// The names of a hash's three fields: whole, prefix, suffix.
#[derive(Debug, Clone, Copy)]
pub(in crate::agent::logs) struct HashField(pub(in crate::agent::logs) [&'static str; 3]);

pub(in crate::agent::logs) const BLOCK_ROOT: HashField = HashField([
    "ethereum.block.root",
    "ethereum.block.root_prefix",
    "ethereum.block.root_suffix",
]);
pub(in crate::agent::logs) const BLOCK_HASH: HashField = HashField([
    "ethereum.block.hash",
    "ethereum.block.hash_prefix",
    "ethereum.block.hash_suffix",
]);
pub(in crate::agent::logs) const HEAD_ROOT: HashField = HashField([
    "ethereum.head.root",
    "ethereum.head.root_prefix",
    "ethereum.head.root_suffix",
]);
pub(in crate::agent::logs) const FINALIZED_ROOT: HashField = HashField([
    "ethereum.finalized.root",
    "ethereum.finalized.root_prefix",
    "ethereum.finalized.root_suffix",
]);
pub(in crate::agent::logs) const OLD_ROOT: HashField = HashField([
    "ethereum.reorg.old_root",
    "ethereum.reorg.old_root_prefix",
    "ethereum.reorg.old_root_suffix",
]);
pub(in crate::agent::logs) const NEW_ROOT: HashField = HashField([
    "ethereum.reorg.new_root",
    "ethereum.reorg.new_root_prefix",
    "ethereum.reorg.new_root_suffix",
]);
pub(in crate::agent::logs) const ANCESTOR_ROOT: HashField = HashField([
    "ethereum.reorg.ancestor_root",
    "ethereum.reorg.ancestor_root_prefix",
    "ethereum.reorg.ancestor_root_suffix",
]);
pub(in crate::agent::logs) const OLD_HASH: HashField = HashField([
    "ethereum.reorg.old_hash",
    "ethereum.reorg.old_hash_prefix",
    "ethereum.reorg.old_hash_suffix",
]);
pub(in crate::agent::logs) const NEW_HASH: HashField = HashField([
    "ethereum.reorg.new_hash",
    "ethereum.reorg.new_hash_prefix",
    "ethereum.reorg.new_hash_suffix",
]);
pub(in crate::agent::logs) const ANCESTOR_HASH: HashField = HashField([
    "ethereum.reorg.ancestor_hash",
    "ethereum.reorg.ancestor_hash_prefix",
    "ethereum.reorg.ancestor_hash_suffix",
]);

/// Digits kept of a full hash at either end, so that it can be joined with shortened ones.
const JOIN_DIGITS: usize = 4;

/// Digits of 32 bytes.
const FULL_DIGITS: usize = 64;

impl<'a> PrintedHash<'a> {
    /// `0x1ee3…cf1e`, `1ee3af..4ef2bf`, `0x11e58f...e1c454`, `7fb0b.....80ce5`, `0xf90dc214...`, `f21d399e`, or all of
    /// it. `None` where other characters occur or there are too few digits to mean a hash.
    pub(in crate::agent::logs) fn parse(text: &'a str) -> Option<Self> {
        let bare = text.strip_prefix("0x").unwrap_or(text);
        let is_hex = |part: &str| part.bytes().all(|byte| byte.is_ascii_hexdigit());
        let length = bare.bytes().take_while(u8::is_ascii_hexdigit).count();
        let (prefix, rest) = bare.split_at(length);
        let suffix = rest.trim_start_matches(['.', '…']);
        let is_gap = suffix.len() < rest.len() || rest.is_empty();
        if !(JOIN_DIGITS..=FULL_DIGITS).contains(&length) || !is_gap || !is_hex(suffix) {
            return None;
        }
        if length == FULL_DIGITS {
            let is_as_kept = text.len() > length && !has_capitals(prefix);
            let lower = lower(prefix);
            return Some(Self {
                prefix: part(&lower, prefix, 0, JOIN_DIGITS),
                suffix: Some(part(&lower, prefix, FULL_DIGITS - JOIN_DIGITS, FULL_DIGITS)),
                full: Some(match is_as_kept {
                    true => Cow::Borrowed(&text[..length + 2]),
                    false => Cow::Owned(format!("0x{lower}")),
                }),
            });
        }
        Some(Self {
            prefix: lower(prefix),
            suffix: (!suffix.is_empty()).then(|| lower(suffix)),
            full: None,
        })
    }
}

fn has_capitals(digits: &str) -> bool {
    digits.bytes().any(|byte| byte.is_ascii_uppercase())
}

fn lower(digits: &str) -> Cow<'_, str> {
    match has_capitals(digits) {
        true => Cow::Owned(digits.to_ascii_lowercase()),
        false => Cow::Borrowed(digits),
    }
}

/// A part of the digits, borrowed from the text where that is as good.
fn part<'a>(lower: &Cow<'a, str>, printed: &'a str, from: usize, to: usize) -> Cow<'a, str> {
    match lower {
        Cow::Borrowed(_) => Cow::Borrowed(&printed[from..to]),
        Cow::Owned(lower) => Cow::Owned(lower[from..to].to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_four_styles_the_prefix_and_the_whole() {
        let short = |prefix: &'static str, suffix: Option<&'static str>| {
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
                full: Some(full.as_str().into())
            }
        );
        let shouted = full.to_ascii_uppercase().replace("0X", "0x");
        assert_eq!(PrintedHash::parse(&shouted), Some(parsed));
        for no_hash in ["", "0x", "0xa", "skipped", "0x12345g…", "…"] {
            assert_eq!(PrintedHash::parse(no_hash), None, "{no_hash}");
        }
        assert_eq!(PrintedHash::parse(&"a".repeat(65)), None);
    }
}
