//! Colours and other control characters out of text that a stranger may have written.

use std::borrow::Cow;

/// The text without `ESC [ … letter` sequences and without control characters other than newline and tab.
pub(in crate::agent::logs) fn strip(text: &str) -> Cow<'_, str> {
    if !may_hold_control(text.as_bytes()) {
        return Cow::Borrowed(text);
    }
    let Some(first) = text.find(is_unwanted) else {
        return Cow::Borrowed(text);
    };
    let mut plain = String::with_capacity(text.len());
    let (mut kept, mut rest) = text.split_at(first);
    loop {
        plain.push_str(kept);
        rest = match rest.strip_prefix("\u{1b}[") {
            Some(sequence) => after_sequence(sequence),
            None => {
                let mut chars = rest.chars();
                chars.next();
                chars.as_str()
            }
        };
        let next = match may_hold_control(rest.as_bytes()) {
            true => rest.find(is_unwanted),
            false => None,
        };
        let Some(next) = next else {
            plain.push_str(rest);
            return Cow::Owned(plain);
        };
        (kept, rest) = rest.split_at(next);
    }
}

fn is_unwanted(c: char) -> bool {
    c.is_control() && c != '\n' && c != '\t'
}

/// Parameters, then one final letter.
fn after_sequence(text: &str) -> &str {
    let text = text.trim_start_matches(|c| matches!(c, '0'..='9' | ';' | '?'));
    text.strip_prefix(|c: char| c.is_ascii_alphabetic())
        .unwrap_or(text)
}

/// Never wrong when it says no. No way out in between, so that many bytes are looked at in one step.
fn may_hold_control(text: &[u8]) -> bool {
    text.iter().fold(false, |any, byte| {
        // U+0080 to U+009F begin with 0xc2.
        any | (*byte < b' ' && *byte != b'\n' && *byte != b'\t') | (*byte == 0x7f) | (*byte == 0xc2)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_go_and_text_stays() {
        assert_eq!(strip("\u{1b}[32minfo\u{1b}[39m: Synced"), "info: Synced");
        assert_eq!(strip("a\u{1b}[1;31;4mb\u{7}c\r\td\n"), "abc\td\n");
        assert_eq!(strip("5\u{85}\u{b5}s\u{7f}"), "5\u{b5}s");
        assert_eq!(strip("cut \u{1b}["), "cut ");
        assert_eq!(strip("a\u{85}·\u{1b}[0mb"), "a·b");
        assert!(matches!(strip("plain … ·"), Cow::Borrowed("plain … ·")));
    }
}
