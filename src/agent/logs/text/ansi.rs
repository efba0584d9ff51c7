//! Colours and other control characters out of text that a stranger may have written.

use std::borrow::Cow;

/// The text without `ESC [ … letter` sequences and without control characters other than newline and tab.
pub(in crate::agent::logs) fn strip(text: &str) -> Cow<'_, str> {
    if is_plain(text) {
        return Cow::Borrowed(text);
    }
    let is_unwanted = |c: char| c.is_control() && c != '\n' && c != '\t';
    let mut plain = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        if c == '\u{1b}' && rest.peek() == Some(&'[') {
            rest.next();
            // Parameters, then one final letter.
            while rest
                .next_if(|c| matches!(c, '0'..='9' | ';' | '?'))
                .is_some()
            {}
            rest.next_if(char::is_ascii_alphabetic);
        } else if !is_unwanted(c) {
            plain.push(c);
        }
    }
    Cow::Owned(plain)
}

/// Whether there is surely nothing to strip. Without a way out of the loop it is done many bytes at a time.
fn is_plain(text: &str) -> bool {
    /// The first byte of U+0080 … U+00BF, of which the first half are control characters.
    const C1_LEAD: u8 = 0xc2;
    let has_unwanted = text.bytes().fold(false, |found, byte| {
        let is_control = byte < b' ' && byte != b'\n' && byte != b'\t';
        found | is_control | (byte == 0x7f) | (byte == C1_LEAD)
    });
    !has_unwanted
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
        assert!(matches!(strip("plain …"), Cow::Borrowed("plain …")));
    }
}
