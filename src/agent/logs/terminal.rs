//! The line of Go's Ethereum clients: `INFO [12-04|22:40:27.798] Message   key=value` (Geth) and
//! `[INFO] [12-04|22:40:27.798] [stage] Message   key=value` or `INFO[12-04|…` (Erigon).

use chrono::NaiveTime;

use super::record::{Parsed, Reading};
use super::text::level::Level;
use super::text::time::month_bar_clock;

/// Level, month and day, time, and what follows the bracket.
pub(super) struct Prefix<'a> {
    level: Level,
    day: (u32, u32),
    time: NaiveTime,
    pub(super) text: &'a str,
}

pub(super) fn prefix(line: &str) -> Option<Prefix<'_>> {
    let (level, rest) = match line.strip_prefix('[') {
        Some(line) => {
            let (level, rest) = Level::prefix(line)?;
            (level, rest.strip_prefix("] ")?)
        }
        None => Level::prefix(line)?,
    };
    let (day, time, rest) = month_bar_clock(rest.trim_start_matches(' ').strip_prefix('[')?)?;
    Some(Prefix {
        level,
        day,
        time,
        text: rest.strip_prefix(']')?,
    })
}

/// A record with time and level; what it says is yet to be read from its message.
pub(super) fn parse<'a>(record: &'a str, reading: &Reading) -> Option<Parsed<'a>> {
    let prefix = prefix(record)?;
    let mut parsed = Parsed::of_lines(prefix.text);
    parsed.time = reading
        .zone
        .resolve_yearless(prefix.day, prefix.time, reading.written_at);
    parsed.level = Some(prefix.level);
    Some(parsed)
}
