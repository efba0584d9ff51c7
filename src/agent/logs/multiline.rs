//! Joins the lines of a record: a stack trace belongs to the line before it. Pure.

use std::borrow::Cow;

use super::client::Client;
use super::frame::{Line, Stamp};
use super::text::ansi;
use crate::config::{self, Pattern};

/// One or more lines, joined by newlines, without colours and other control characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    /// Where its first line begins in the file.
    pub(super) offset: u64,
    /// Where the line after its last one begins.
    pub(super) end: u64,
    pub(super) text: String,
    pub(super) is_cut: bool,
    pub(super) is_repaired: bool,
    pub(super) is_after_hole: bool,
    /// Of its first line.
    pub(super) stamp: Stamp,
    lines: u32,
}

impl Record {
    fn of(line: Line) -> Self {
        Self {
            offset: line.offset,
            end: line.end,
            text: line.text,
            is_cut: line.is_cut,
            is_repaired: line.is_repaired,
            is_after_hole: line.is_after_hole,
            stamp: line.stamp,
            lines: 1,
        }
    }

    /// `log.flags`
    pub(super) fn flags(&self) -> impl Iterator<Item = &'static str> {
        let flags = [
            (self.is_cut, "truncated"),
            (self.is_repaired, "invalid_utf8"),
            (self.lines > 1, "multiline"),
        ];
        flags
            .into_iter()
            .filter_map(|(is_set, name)| is_set.then_some(name))
    }

    fn append(&mut self, line: Line) {
        self.text.push('\n');
        self.text.push_str(&line.text);
        self.end = line.end;
        self.is_cut |= line.is_cut;
        self.is_repaired |= line.is_repaired;
        self.is_after_hole |= line.is_after_hole;
        self.lines += 1;
    }
}

/// Which lines make one record, and how long it may get.
#[derive(Debug, Clone)]
pub(super) struct Joining {
    rule: Rule,
    max_lines: u32,
    max_bytes: usize,
}

#[derive(Debug, Clone)]
enum Rule {
    Client(Client),
    Start(Pattern),
    Continues(Pattern),
    Continued(Pattern),
    End(Pattern),
    Lines(u32),
}

impl Joining {
    pub(super) fn of(config: &config::Multiline, client: Client) -> Self {
        let own = [
            config.start.clone().map(Rule::Start),
            config.continues.clone().map(Rule::Continues),
            config.continued.clone().map(Rule::Continued),
            config.end.clone().map(Rule::End),
            config.lines.map(|lines| Rule::Lines(lines.get())),
        ];
        Self {
            rule: own
                .into_iter()
                .flatten()
                .next()
                .unwrap_or(Rule::Client(client)),
            max_lines: config.max_lines.max(1),
            max_bytes: config.max_bytes,
        }
    }

    /// The client's own rule is that of another client now.
    pub(super) fn set_client(&mut self, client: Client) {
        if let Rule::Client(current) = &mut self.rule {
            *current = client;
        }
    }

    /// Whether the line belongs to the record before it.
    fn joins(&self, open: &Record, text: &str) -> bool {
        match &self.rule {
            Rule::Client(client) => {
                // A JSON object on one line is complete; what follows it is another program's word.
                let is_object =
                    open.lines == 1 && open.text.starts_with('{') && open.text.ends_with('}');
                !is_object && !client.begins_record(text)
            }
            Rule::Start(pattern) => !pattern.matches(text),
            Rule::Continues(pattern) => pattern.matches(text),
            Rule::Continued(_) | Rule::End(_) | Rule::Lines(_) => true,
        }
    }

    /// Whether no line can follow in a record after this one.
    fn ends(&self, text: &str) -> bool {
        match &self.rule {
            Rule::Continued(pattern) => !pattern.matches(text),
            Rule::End(pattern) => pattern.matches(text),
            _ => false,
        }
    }

    fn is_full(&self, record: &Record) -> bool {
        matches!(self.rule, Rule::Lines(lines) if record.lines >= lines)
    }

    fn has_room(&self, open: &Record, line: &Line) -> bool {
        open.lines < self.max_lines && open.text.len() + line.text.len() < self.max_bytes
    }
}

/// Holds the record that may still get lines.
#[derive(Debug, Default)]
pub(super) struct Joiner(Option<Record>);

impl Joiner {
    /// Hands on the records that are complete now that this line has come: the one before it, perhaps its own.
    pub(super) fn push(&mut self, mut line: Line, joining: &Joining, mut emit: impl FnMut(Record)) {
        // Once for all who look at the text.
        if let Cow::Owned(plain) = ansi::strip(&line.text) {
            line.text = plain;
        }
        let is_blank = line.text.trim_start().is_empty();
        // Clients print blank lines around what matters: they belong to what is before them, or to nobody.
        if is_blank && matches!(joining.rule, Rule::Client(_)) {
            if let Some(open) = &mut self.0 {
                open.end = line.end;
            }
            return;
        }
        let open = self.0.take();
        let (joins, has_room) = open.as_ref().map_or((false, false), |open| {
            let text = &line.text;
            (joining.joins(open, text), joining.has_room(open, &line))
        });
        let ends = joining.ends(&line.text);
        let record = match open {
            Some(mut open) if joins && has_room => {
                open.append(line);
                open
            }
            open => {
                open.into_iter().for_each(&mut emit);
                Record::of(line)
            }
        };
        if ends || joining.is_full(&record) {
            emit(record);
        } else {
            self.0 = Some(record);
        }
    }

    /// The open record, once no further line of it is expected.
    pub(super) fn flush(&mut self) -> Option<Record> {
        self.0.take()
    }

    /// Where the open record begins.
    pub(super) fn open_from(&self) -> Option<u64> {
        self.0.as_ref().map(|open| open.offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn join(config: &str, text: &str) -> Vec<String> {
        let config: config::Multiline = toml::from_str(config).unwrap();
        let joining = Joining::of(&config, Client::Generic);
        let mut framer = super::super::frame::Framer::new(0, 1_000_000);
        let mut joiner = Joiner::default();
        let mut records: Vec<Record> = Vec::new();
        framer.push(text.as_bytes(), |line| {
            joiner.push(line, &joining, |record| records.push(record));
        });
        records.extend(joiner.flush());
        for (record, next) in records.iter().zip(records.iter().skip(1)) {
            assert_eq!(record.end, next.offset, "nothing lies between two records");
        }
        records.into_iter().map(|record| record.text).collect()
    }

    #[test]
    fn without_a_rule_the_client_says_what_begins_a_record() {
        assert_eq!(
            join("", "\n at lost\n1\n at x\n\n at y\n2\n\n"),
            [" at lost", "1\n at x\n at y", "2"]
        );
        assert_eq!(
            join("", "{\"a\":1}\n other\n{\n}\n"),
            ["{\"a\":1}", " other", "{\n}"]
        );
    }

    #[test]
    fn each_rule_says_what_a_record_is() {
        assert_eq!(
            join("start = '^\\d{4}-'", "x\n2026-1\ny\n\n2026-2\n"),
            ["x", "2026-1\ny\n", "2026-2"]
        );
        assert_eq!(
            join("continues = '^\\s'", "a\n b\nc\nd\n\te\n"),
            ["a\n b", "c", "d\n\te"]
        );
        assert_eq!(
            join("continued = '\\\\$'", "a\\\nb\\\nc\nd\n"),
            ["a\\\nb\\\nc", "d"]
        );
        assert_eq!(join("end = ';$'", "a\nb;\nc;\nd\n"), ["a\nb;", "c;", "d"]);
        assert_eq!(join("lines = 2", "a\nb\nc\n\ne\n"), ["a\nb", "c\n", "e"]);
        assert_eq!(join("lines = 1", "a\n b\n"), ["a", " b"]);
    }

    #[test]
    fn colours_do_not_hide_what_a_rule_looks_for() {
        assert_eq!(
            join("start = '^INFO'", "\u{1b}[32mINFO\u{1b}[0m a\nb\n"),
            ["INFO a\nb"]
        );
    }

    #[test]
    fn an_endless_record_becomes_several() {
        let lines = |config, text: &str| -> Vec<usize> {
            let records = join(config, text);
            records
                .iter()
                .map(|record| record.lines().count())
                .collect()
        };
        let endless = format!("1\n{}", " at x\n".repeat(500));
        assert_eq!(lines("", &endless), [200, 200, 101]);
        assert_eq!(lines("max_lines = 400", &endless), [400, 101]);
        assert_eq!(lines("max_bytes = 12", "1\n at x\n at y\n at z\n"), [2, 2]);
    }
}
