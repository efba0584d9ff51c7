//! Joins the lines of a record: a stack trace belongs to the line before it.

use super::frame::Line;

/// More lines, or more bytes, begin a further record.
const MAX_LINES: u32 = 200;
const MAX_BYTES: usize = 256 * 1024;

/// One or more lines, joined by newlines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    /// Where its first line begins in the file.
    pub(super) offset: u64,
    /// Where the line after its last one begins.
    pub(super) end: u64,
    pub(super) text: String,
    pub(super) is_cut: bool,
    pub(super) is_repaired: bool,
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

    /// A JSON object on one line is complete; what follows it is another program's word.
    fn may_take(&self, line: &Line) -> bool {
        let is_object = self.lines == 1 && self.text.starts_with('{') && self.text.ends_with('}');
        !is_object && self.lines < MAX_LINES && self.text.len() + line.text.len() < MAX_BYTES
    }

    fn append(&mut self, line: Line) {
        self.text.push('\n');
        self.text.push_str(&line.text);
        self.end = line.end;
        self.is_cut |= line.is_cut;
        self.is_repaired |= line.is_repaired;
        self.lines += 1;
    }
}

/// Holds the record that may still get lines.
#[derive(Debug, Default)]
pub(super) struct Joiner(Option<Record>);

impl Joiner {
    /// The record that is complete now that this line has come. Blank lines belong to what is before them, or to
    /// nobody.
    pub(super) fn push(&mut self, line: Line, begins_record: bool) -> Option<Record> {
        let is_blank = line.text.trim().is_empty();
        match &mut self.0 {
            Some(open) if is_blank => {
                open.end = line.end;
                None
            }
            None if is_blank => None,
            Some(open) if !begins_record && open.may_take(&line) => {
                open.append(line);
                None
            }
            open => open.replace(Record::of(line)),
        }
    }

    /// The open record, once no further line of it is expected.
    pub(super) fn flush(&mut self) -> Option<Record> {
        self.0.take()
    }

    pub(super) fn is_open(&self) -> bool {
        self.0.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn join(text: &str) -> Vec<String> {
        let mut framer = super::super::frame::Framer::new(0, 1_000_000);
        let mut joiner = Joiner::default();
        let mut records = Vec::new();
        framer.push(text.as_bytes(), |line| {
            let begins_record = line.text.starts_with('#');
            records.extend(joiner.push(line, begins_record));
        });
        records.extend(joiner.flush());
        for (record, next) in records.iter().zip(records.iter().skip(1)) {
            assert_eq!(record.end, next.offset, "nothing lies between two records");
        }
        records.into_iter().map(|record| record.text).collect()
    }

    #[test]
    fn lines_without_a_beginning_belong_to_the_record_before() {
        assert_eq!(
            join("\nlost\n#1\n at x\n\n at y\n#2\n\n"),
            ["lost", "#1\n at x\n at y", "#2"]
        );
        assert_eq!(
            join("{\"a\":1}\nother\n{\n}\n"),
            ["{\"a\":1}", "other\n{\n}"]
        );
    }

    #[test]
    fn an_endless_record_becomes_several() {
        let records = join(&format!("#1\n{}", " at x\n".repeat(500)));
        let lines: Vec<usize> = records
            .iter()
            .map(|record| record.lines().count())
            .collect();
        assert_eq!(lines, [200, 200, 101]);
    }
}
