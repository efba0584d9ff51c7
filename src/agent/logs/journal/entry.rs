//! One entry of the journal, as `journalctl --output=json` prints it. Pure.

use chrono::{DateTime, Utc};
use serde::Deserialize;

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) cursor: String,
    pub(super) at: Option<DateTime<Utc>>,
    pub(super) message: String,
    /// U+FFFD stands where bytes were no UTF-8.
    pub(super) is_repaired: bool,
}

#[derive(Deserialize)]
struct Printed {
    #[serde(rename = "__CURSOR")]
    cursor: String,
    #[serde(rename = "__REALTIME_TIMESTAMP")]
    at_us: Option<String>,
    #[serde(rename = "MESSAGE")]
    message: Option<Message>,
}

/// Text; bytes where it is no UTF-8; a list of both where the entry has the field several times.
#[derive(Deserialize)]
#[serde(untagged)]
enum Message {
    Text(String),
    Bytes(Vec<u8>),
    Several(Vec<Message>),
}

impl Message {
    fn write(self, text: &mut String) -> bool {
        match self {
            Self::Text(part) => {
                text.push_str(&part);
                false
            }
            Self::Bytes(bytes) => {
                text.push_str(&String::from_utf8_lossy(&bytes));
                // Control characters make bytes of a text, too.
                std::str::from_utf8(&bytes).is_err()
            }
            Self::Several(parts) => parts.into_iter().fold(false, |is_repaired, part| {
                if !text.is_empty() {
                    text.push('\n');
                }
                part.write(text) | is_repaired
            }),
        }
    }
}

/// `None` for a line that is no entry.
pub(super) fn parse(line: &str) -> Option<Entry> {
    let printed: Printed = serde_json::from_str(line).ok()?;
    let at_us = printed.at_us.and_then(|at| at.parse().ok());
    let mut message = String::new();
    let is_repaired = printed
        .message
        .is_some_and(|printed| printed.write(&mut message));
    Some(Entry {
        cursor: printed.cursor,
        at: at_us.and_then(DateTime::from_timestamp_micros),
        message,
        is_repaired,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(message: &str, text: &str, is_repaired: bool) {
        let line = format!(
            "{{\"__CURSOR\":\"s=1;i=2\",\"__REALTIME_TIMESTAMP\":\"1766000001000002\",\"MESSAGE\":{message}}}"
        );
        let expected = Entry {
            cursor: "s=1;i=2".into(),
            at: Some("2025-12-17T19:33:21.000002Z".parse().unwrap()),
            message: text.into(),
            is_repaired,
        };
        assert_eq!(parse(&line), Some(expected));
    }

    #[test]
    fn messages_of_every_kind() {
        check("\"a\\nb\"", "a\nb", false);
        check("[27,91,49,109,97]", "\u{1b}[1ma", false);
        check("[97,255]", "a\u{fffd}", true);
        check("[\"a\",[98]]", "a\nb", false);
        check("null", "", false);
    }

    #[test]
    fn what_is_no_entry() {
        for line in ["", "-- No entries --", "{\"MESSAGE\":\"no cursor\"}"] {
            assert_eq!(parse(line), None, "{line}");
        }
    }
}
