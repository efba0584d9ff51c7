//! The layouts of log4j that Teku and Besu use.

use super::record::{Parsed, Reading};
use super::text::level::Level;
use super::text::time::{clock, full};

/// `2026-03-14 21:40:13.600+00:00 | vert.x-worker-thread-0 | INFO  | AbstractEngineNewPayload | Imported #…`
pub(super) fn parse_piped<'a>(record: &'a str, reading: &Reading) -> Option<Parsed<'a>> {
    let (time, rest) = full(record)?;
    let rest = rest.strip_prefix(" | ")?;
    // A thread's name may hold anything but this.
    let (thread, rest) = rest.split_once(" | ")?;
    let (level, rest) = Level::prefix(rest)?;
    let (class, text) = rest
        .trim_start()
        .strip_prefix("| ")?
        .split_once(" | ")
        .or_else(|| {
            // A message that is empty loses the blank behind the bar.
            rest.trim_start()
                .strip_prefix("| ")?
                .strip_suffix(" |")
                .map(|class| (class, ""))
        })?;
    let mut parsed = Parsed::of_lines(text);
    parsed.time = time.resolve(reading.zone);
    parsed.level = Some(level);
    parsed.logger = class.trim().into();
    parsed.thread = thread.trim().into();
    Some(parsed)
}

/// `21:40:11.000 INFO  - Slot Event  *** …`, with a date or without.
pub(super) fn parse_console<'a>(record: &'a str, reading: &Reading) -> Option<Parsed<'a>> {
    let (time, rest) = match full(record) {
        Some((time, rest)) => (time.resolve(reading.zone), rest),
        None => {
            let (time, rest) = clock(record)?;
            (
                reading.zone.resolve_dateless(time, reading.written_at),
                rest,
            )
        }
    };
    let (level, rest) = Level::prefix(rest.strip_prefix(' ')?)?;
    let mut parsed = Parsed::of_lines(rest.trim_start().strip_prefix('-')?);
    parsed.time = time;
    parsed.level = Some(level);
    Some(parsed)
}

/// Whether a line begins in one of the two ways.
pub(super) fn begins_record(line: &str) -> bool {
    let rest = match full(line) {
        Some((_, rest)) => rest,
        None => match clock(line) {
            Some((_, rest)) => rest,
            None => return false,
        },
    };
    let Some(rest) = rest.strip_prefix(' ') else {
        return false;
    };
    rest.starts_with("| ")
        || Level::prefix(rest).is_some_and(|(_, rest)| rest.trim_start().starts_with('-'))
}
