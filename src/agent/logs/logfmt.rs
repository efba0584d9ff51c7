//! Lines that are nothing but `key=value`, as logrus, Geth's and Reth's logfmt write them.

use std::borrow::Cow;

use super::text::pairs::{self, Pairs};

/// Such a line, the message apart.
pub(super) struct Line<'a> {
    pub(super) message: Cow<'a, str>,
    /// Where in the record the message ends.
    message_end: usize,
    pub(super) pairs: Pairs<'a>,
}

/// `None` where there is no message. Quoted values may hold newlines.
pub(super) fn parse(record: &str) -> Option<Line<'_>> {
    let (head, mut pairs) = pairs::scan(record);
    if !head.is_empty() {
        return None;
    }
    let (key, start) = match pairs.has("msg") {
        true => ("msg", "msg="),
        false => ("message", "message="),
    };
    let message = pairs.take(key)?;
    let found = record.find(start)? + start.len();
    let quoted = pairs::quoted_length(&record[found..]);
    let length = if quoted > 0 { quoted } else { message.len() };
    let message_end = (found + length).min(record.len());
    Some(Line {
        message,
        message_end,
        pairs,
    })
}

impl<'a> Line<'a> {
    /// What a person reads: the message without its quotes, then the fields that follow it.
    pub(super) fn message_with_fields(&self, record: &'a str) -> Cow<'a, str> {
        let rest = record.get(self.message_end..).unwrap_or_default().trim();
        match rest.is_empty() {
            true => self.message.clone(),
            false => Cow::Owned(format!("{} {rest}", self.message)),
        }
    }
}
