//! Any program's log: time and level as far as they can be read, the message whole.

use super::record::{Parsed, Reading};
use super::text::json;
use super::text::level::Level;
use super::text::time::{LogTime, full};

/// A level stands among the first words or nowhere.
const LEVEL_WITHIN_WORDS: usize = 6;

/// Indented lines and the usual parts of stack traces belong to the record before them.
pub(super) fn begins_record(line: &str) -> bool {
    const CONTINUATIONS: [&str; 6] = ["at ", "Caused by", "...", "}", ")", "goroutine "];
    !line.starts_with(char::is_whitespace)
        && !CONTINUATIONS.iter().any(|start| line.starts_with(start))
}

pub(super) fn parse<'a>(record: &'a str, reading: &Reading) -> Parsed<'a> {
    if let Some(parsed) = parse_json(record, reading) {
        return parsed;
    }
    let mut parsed = Parsed::new(record);
    let line = record.lines().next().unwrap_or_default();
    parsed.time = time_in(line, reading);
    parsed.level = level_in(line);
    parsed
}

fn parse_json<'a>(record: &'a str, reading: &Reading) -> Option<Parsed<'a>> {
    let (mut parsed, pairs) = Parsed::of_json(json::parse(record, reading)?);
    parsed.take(pairs, |_, _, _| false);
    Some(parsed)
}

/// A whole date and time at the beginning, bare, in brackets or as `time="…"`.
fn time_in(line: &str, reading: &Reading) -> Option<LogTime> {
    let line = line
        .strip_prefix("time=")
        .unwrap_or(line)
        .trim_start_matches(['[', '"']);
    full(line)?.0.resolve(reading.zone)
}

/// A level word in capitals, or after `level=` or before a colon.
fn level_in(line: &str) -> Option<Level> {
    let words = line
        .split([' ', '|'])
        .filter(|word| !word.is_empty())
        .take(LEVEL_WITHIN_WORDS);
    words
        .filter_map(|word| {
            if let Some(level) = word
                .strip_prefix("level=")
                .or_else(|| word.strip_prefix("lvl="))
            {
                return Level::parse(level.trim_matches('"'));
            }
            let is_marked = word.ends_with(':') || word.starts_with('[');
            let word = word.trim_matches(['[', ']', ':', '-']);
            let word = word.split('[').next().unwrap_or_default();
            let is_shouted = word.len() > 2 && word.bytes().all(|byte| byte.is_ascii_uppercase());
            (is_shouted || is_marked)
                .then(|| Level::parse(word))
                .flatten()
        })
        .next()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::logs::Zone;
    use chrono::{DateTime, Utc};

    #[track_caller]
    fn check(line: &str, at: Option<&str>, level: Option<Level>) {
        let parsed = parse(
            line,
            &Reading {
                at: DateTime::UNIX_EPOCH,
                written_at: DateTime::UNIX_EPOCH,
                zone: Zone::Utc,
            },
        );
        let expected = at.map(|at| at.parse::<DateTime<Utc>>().unwrap());
        assert_eq!(
            (parsed.time.map(|time| time.at), parsed.level),
            (expected, level),
            "{line}"
        );
        assert!(!parsed.message.is_empty());
    }

    #[test]
    fn times_and_levels_of_many_formats() {
        check(
            "time=\"2023-05-19 23:28:57\" level=info msg=\"Synced new block\"",
            Some("2023-05-19T23:28:57Z"),
            Some(Level::Info),
        );
        check(
            "[2025-12-18T00:16:34.901Z]  WARN fork_choice: empty",
            Some("2025-12-18T00:16:34.901Z"),
            Some(Level::Warn),
        );
        check(
            "2023-09-16 10:17:24.623+02:00 | vert.x-3 | ERROR | Engine | Imported",
            Some("2023-09-16T08:17:24.623Z"),
            Some(Level::Error),
        );
        check(
            "INFO [12-04|22:40:27.798] Imported new chain segment",
            None,
            Some(Level::Info),
        );
        check(
            "ERROR[06-03|15:23:18.105] Failed ForkchoiceUpdated",
            None,
            Some(Level::Error),
        );
        check(
            "{\"lvl\":\"INF\",\"ts\":\"2026-06-22 15:59:28.995+00:00\",\"msg\":\"Slot start\"}",
            Some("2026-06-22T15:59:28.995Z"),
            Some(Level::Info),
        );
        check("no info at all", None, None);
        check("{\"half\": ", None, None);
    }

    #[test]
    fn stack_traces_belong_to_the_record_before() {
        for line in [
            "    at resolveBlockId (x.ts:3)",
            "\tat java.base",
            "Caused by: java.io.IOException",
            "... 12 more",
        ] {
            assert!(!begins_record(line), "{line}");
        }
        assert!(begins_record("INFO [12-04|22:40:27.798] Imported"));
    }
}
