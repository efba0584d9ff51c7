//! From bytes to records: lines are framed, taken out of their container's wrapping, and joined. Pure.
//!
//! The two streams of a container are written into one file in turns. Each has a lane here, so that neither cuts the
//! other's records; where reading goes on after a restart, [`Lines::resume`] and [`Lines::done`] say together.

use super::client::Client;
use super::container::{self, Unwrapped, WRAPPED_BYTES};
use super::frame::{Framer, Line};
use super::multiline::{Joiner, Joining, Record};
use super::recognise::Recogniser;
use super::registry::Position;
use crate::config::{self, Format};

/// How the files of a section are cut into records.
#[derive(Debug, Clone)]
pub(super) struct Shape {
    format: Format,
    max_line_bytes: usize,
    joining: Joining,
    recogniser: Recogniser,
}

impl Shape {
    pub(super) fn of(config: &config::Logs) -> Self {
        Self {
            format: config.format,
            max_line_bytes: config.max_line_bytes.max(1),
            joining: Joining::of(&config.multiline, config.client),
            recogniser: Recogniser::new(config.client, None),
        }
    }

    /// For a file of which it is known whose log it is, where the configuration leaves that open.
    pub(super) fn of_file(&self, configured: Client, known: Option<Client>) -> Self {
        let mut shape = self.clone();
        shape.recogniser = Recogniser::new(configured, known);
        shape.joining.set_client(shape.recogniser.client());
        shape
    }

    /// A look at a line while it is not known whose log it is.
    fn look_at(&mut self, line: &str) {
        if self.recogniser.look_at(line) {
            self.joining.set_client(self.recogniser.client());
        }
    }

    /// The framer's limit: what is wrapped may be longer than what it holds.
    fn framed_bytes(&self) -> usize {
        match self.format {
            Format::Plain => self.max_line_bytes,
            Format::Auto | Format::Cri | Format::Docker => self.max_line_bytes.max(WRAPPED_BYTES),
        }
    }
}

#[derive(Debug)]
pub(super) struct Lines {
    shape: Shape,
    framer: Framer,
    lanes: [Lane; LANES],
    /// Lines that had none of the wrapping that the format names.
    not_wrapped: u64,
}

pub(super) const LANES: usize = 2;

#[derive(Debug, Default)]
struct Lane {
    /// A line whose rest has not come.
    partial: Option<Line>,
    joiner: Joiner,
    /// Lines that begin before this were handed on.
    done: u64,
}

impl Lines {
    /// Goes on at `offset`, a line's beginning, with what each lane handed on from there before.
    pub(super) fn new(shape: Shape, offset: u64, done: [u64; LANES]) -> Self {
        Self {
            framer: Framer::new(offset, shape.framed_bytes()),
            lanes: done.map(|done| Lane {
                done,
                ..Lane::default()
            }),
            shape,
            not_wrapped: 0,
        }
    }

    /// Takes the next bytes and returns the records that they complete.
    pub(super) fn push(&mut self, chunk: &[u8]) -> Vec<Record> {
        let mut records = Vec::new();
        let Self {
            shape,
            framer,
            lanes,
            not_wrapped,
        } = self;
        framer.push(chunk, |line| {
            take(line, shape, lanes, not_wrapped, &mut records);
        });
        self.handed_on(records)
    }

    /// The records that wait for further lines.
    pub(super) fn flush(&mut self) -> Vec<Record> {
        let records = self.lanes.iter_mut().filter_map(|lane| lane.joiner.flush());
        let mut records: Vec<Record> = records.collect();
        records.sort_by_key(|record| record.offset);
        self.handed_on(records)
    }

    /// All that is left when nothing more will come: a line without an end, half a line, open records.
    pub(super) fn finish(&mut self) -> Vec<Record> {
        let mut records = Vec::new();
        if let Some(line) = self.framer.finish() {
            take(
                line,
                &mut self.shape,
                &mut self.lanes,
                &mut self.not_wrapped,
                &mut records,
            );
        }
        for lane in &mut self.lanes {
            if let Some(partial) = lane.partial.take() {
                lane.joiner
                    .push(partial, &self.shape.joining, |record| records.push(record));
            }
        }
        let mut records = self.handed_on(records);
        records.extend(self.flush());
        records
    }

    pub(super) fn has_open_record(&self) -> bool {
        self.lanes
            .iter()
            .any(|lane| lane.joiner.open_from().is_some())
    }

    /// Up to where bytes were taken in.
    pub(super) fn position(&self) -> u64 {
        self.framer.position()
    }

    /// Where reading goes on so that nothing open is lost.
    pub(super) fn resume(&self) -> u64 {
        let open = self.lanes.iter().flat_map(|lane| {
            let partial = lane.partial.as_ref().map(|line| line.offset);
            partial.into_iter().chain(lane.joiner.open_from())
        });
        open.min().unwrap_or(u64::MAX).min(self.framer.line_begin())
    }

    /// What of it each lane has handed on, where that is more.
    pub(super) fn done(&self) -> [u64; LANES] {
        let resume = self.resume();
        [0, 1].map(|lane: usize| match self.lanes[lane].done {
            done if done > resume => done,
            _ => 0,
        })
    }

    /// Both of them, where the bytes before can't be had any more.
    pub(super) fn place(&self) -> Position {
        Position {
            offset: self.resume(),
            anchor: None,
            done: self.done(),
        }
    }

    /// Since this was asked last.
    pub(super) fn take_not_wrapped(&mut self) -> u64 {
        std::mem::take(&mut self.not_wrapped)
    }

    /// Whose records these are.
    pub(super) fn recogniser(&mut self) -> &mut Recogniser {
        &mut self.shape.recogniser
    }

    fn handed_on(&mut self, records: Vec<Record>) -> Vec<Record> {
        for record in &records {
            let lane = &mut self.lanes[container::lane(record.stamp)];
            lane.done = lane.done.max(record.end);
        }
        records
    }
}

fn take(
    line: Line,
    shape: &mut Shape,
    lanes: &mut [Lane; LANES],
    not_wrapped: &mut u64,
    records: &mut Vec<Record>,
) {
    let Unwrapped {
        mut line,
        is_partial,
    } = container::unwrap(line, shape.format).unwrap_or_else(|line| {
        *not_wrapped += 1;
        Unwrapped {
            line,
            is_partial: false,
        }
    });
    let lane = &mut lanes[container::lane(line.stamp)];
    if line.offset < lane.done {
        return;
    }
    if let Some(mut whole) = lane.partial.take() {
        // What was cut has no end that more could follow.
        if !whole.is_cut {
            whole.text.push_str(&line.text);
        }
        whole.end = line.end;
        whole.is_cut |= line.is_cut;
        whole.is_repaired |= line.is_repaired;
        line = whole;
    }
    container::cut(&mut line, shape.max_line_bytes);
    shape.look_at(&line.text);
    if is_partial {
        lane.partial = Some(line);
    } else {
        lane.joiner
            .push(line, &shape.joining, |record| records.push(record));
    }
}

/// Whether a record is one of those that the section wants.
pub(super) fn is_wanted(text: &str, config: &config::Logs) -> bool {
    let (include, exclude) = (&config.include_lines, &config.exclude_lines);
    if include.is_empty() && exclude.is_empty() {
        return true;
    }
    let text = super::text::ansi::strip(text);
    let is_included = include.is_empty() || include.iter().any(|pattern| pattern.matches(&text));
    is_included && !exclude.iter().any(|pattern| pattern.matches(&text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lines(format: Format, max_line_bytes: usize, offset: u64, done: [u64; LANES]) -> Lines {
        let config = config::Logs {
            format,
            max_line_bytes,
            ..config::Logs::default()
        };
        Lines::new(Shape::of(&config), offset, done)
    }

    fn texts(records: &[Record]) -> Vec<&str> {
        records.iter().map(|record| record.text.as_str()).collect()
    }

    fn cri(stream: &str, tag: char, text: &str) -> String {
        format!("2026-11-21T12:15:04.092Z {stream} {tag} {text}\n")
    }

    #[test]
    fn pieces_of_a_line_are_joined_per_stream() {
        let log = [
            cri("stdout", 'P', "one "),
            cri("stderr", 'F', "error"),
            cri("stdout", 'P', "and "),
            cri("stderr", 'F', " at x"),
            cri("stdout", 'F', "two"),
        ];
        let mut lines = lines(Format::Auto, 1_000, 0, [0; LANES]);
        let mut records = lines.push(log.concat().as_bytes());
        records.extend(lines.finish());
        assert_eq!(texts(&records), ["one and two", "error\n at x"]);
        assert_eq!(records[0].stamp.stream, Some("stdout"));
        assert_eq!(lines.take_not_wrapped(), 0);
    }

    #[test]
    fn a_joined_line_is_cut_at_the_same_limit_and_counted_once() {
        let log = [
            cri("stdout", 'P', "aé"),
            cri("stdout", 'P', "éé"),
            cri("stdout", 'F', "b"),
        ];
        let mut lines = lines(Format::Cri, 4, 0, [0; LANES]);
        assert!(lines.push(log.concat().as_bytes()).is_empty());
        let records = lines.finish();
        assert_eq!(texts(&records), ["aé"]);
        assert!(records[0].is_cut && !records[0].is_repaired);
    }

    #[test]
    fn lines_without_the_wrapping_asked_for_are_kept_and_counted() {
        let mut lines = lines(Format::Docker, 1_000, 0, [0; LANES]);
        lines.push(b"no container\n");
        assert_eq!(texts(&lines.finish()), ["no container"]);
        assert_eq!(lines.take_not_wrapped(), 1);
    }

    proptest! {
        /// Killed after any byte, the rest of the log gives the rest of the records, none of them twice.
        #[test]
        fn going_on_elsewhere_gives_the_rest(
            log in prop::collection::vec((any::<bool>(), any::<bool>(), "[a-c ]{0,6}"), 0..12),
            at in 0_usize..600,
        ) {
            let log: String = log
                .iter()
                .map(|(stdout, whole, text)| {
                    let stream = if *stdout { "stdout" } else { "stderr" };
                    cri(stream, if *whole { 'F' } else { 'P' }, text)
                })
                .collect();
            let at = at.min(log.len());
            let mut whole = lines(Format::Cri, 10, 0, [0; LANES]);
            let mut expected = whole.push(log.as_bytes());
            expected.extend(whole.finish());

            let mut before = lines(Format::Cri, 10, 0, [0; LANES]);
            let mut found = before.push(&log.as_bytes()[..at]);
            let resume = before.resume();
            let mut after = lines(Format::Cri, 10, resume, before.done());
            found.extend(after.push(&log.as_bytes()[usize::try_from(resume).unwrap()..]));
            found.extend(after.finish());
            let key = |record: &Record| (record.offset, record.stamp.stream);
            expected.sort_by_key(key);
            found.sort_by_key(key);
            prop_assert_eq!(found, expected);
        }
    }
}
