//! Prefixes that others put before a client's own: syslog's and the journal's, and those of container logs.

use chrono::{DateTime, Utc};

use super::record::Reading;
use super::text::time;

/// The client's own text; `None` where there is no such prefix.
pub(super) fn payload(line: &str) -> Option<&str> {
    syslog(line)
        .or_else(|| compose(line))
        .or_else(|| stamped(line))
}

/// Such a prefix, and the text behind it.
pub(super) fn split(record: &str) -> Option<(&str, &str)> {
    let payload = payload(record)?;
    let prefix = &record[..record.len() - payload.len()];
    Some((prefix.trim_end_matches([' ', ':', '|']), payload))
}

/// When others took the record over: clients that print no date or no year are to be understood from there.
pub(super) fn written_at(prefix: &str, reading: &Reading) -> Option<DateTime<Utc>> {
    let time = match time::month_day(prefix) {
        Some((day, time, _)) => reading.zone.resolve_yearless(day, time, reading.written_at),
        None => {
            let (_, behind_name) = prefix.split_once('|').unwrap_or(("", prefix));
            time::full(behind_name.trim_start())?
                .0
                .resolve(reading.zone)
        }
    };
    Some(time?.at)
}

/// `Mar 14 21:40:14 host prysm.sh[4711]: …`, or the same with an ISO time.
fn syslog(line: &str) -> Option<&str> {
    let rest = match after_local_date(line) {
        Some(rest) => rest,
        None => time::full(line)?.1,
    };
    let (host, rest) = rest.strip_prefix(' ')?.split_once(' ')?;
    let (program, payload) = rest.split_once(": ")?;
    let is_program = !program.is_empty() && !program.contains([' ', '|', '"', '=']);
    (is_program && is_name(host)).then_some(payload)
}

/// What follows `Mar 14 21:40:14`. The journal names months in the language of whoever reads it: `ago 28`, `nov. 22`.
fn after_local_date(line: &str) -> Option<&str> {
    const LONGEST_MONTH: usize = 16;
    let month = line.find(|c: char| !c.is_alphabetic())?;
    if month == 0 || month > LONGEST_MONTH {
        return None;
    }
    let rest = line[month..].strip_prefix('.').unwrap_or(&line[month..]);
    let (day, rest) = rest.strip_prefix(' ')?.trim_start().split_once(' ')?;
    let day = time::digits(day.as_bytes())?;
    (1..=31).contains(&day).then_some(())?;
    Some(time::clock(rest)?.1)
}

/// `geth-1  | …`, perhaps with the time of the container's log before the client's own.
fn compose(line: &str) -> Option<&str> {
    let (name, rest) = line.split_once('|')?;
    if !is_name(name.strip_suffix(' ')?.trim_end()) {
        return None;
    }
    let rest = rest.strip_prefix(' ').unwrap_or(rest);
    match time::full(rest) {
        // With nine digits it is not the client's.
        Some((_, payload))
            if rest.len() - payload.len() == "2025-03-03T00:22:46.915326618Z".len() =>
        {
            Some(payload.strip_prefix(' ').unwrap_or(payload))
        }
        _ => Some(rest),
    }
}

/// `2023-09-17T08:23:24+02:00 …`: what shows logs may put its own time before each line.
fn stamped(line: &str) -> Option<&str> {
    let (_, rest) = time::full(line)?;
    // A bar is part of a client's own prefix.
    rest.strip_prefix([' ', '\t'])
        .filter(|payload| !payload.starts_with('|'))
}

/// Of a host or a container.
fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_.:-".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_of_others() {
        for (line, expected) in [
            (
                "Mar 14 21:40:14 node1 prysm.sh[4711]: time=x",
                Some("time=x"),
            ),
            (
                "Sep  7 10:11:05 h lighthouse[1]: Sep 07 10:11:05.001 INFO x",
                Some("Sep 07 10:11:05.001 INFO x"),
            ),
            ("nov. 22 12:17:09 node1 prysm.sh[1]: time=x", Some("time=x")),
            ("août 28 10:06:31 node1 prysm.sh[1]: time=x", Some("time=x")),
            (
                "2026-03-14T21:40:14+0000 node1 geth: INFO [",
                Some("INFO ["),
            ),
            (
                "geth-1  | WARN [03-27|20:26:16.368] x",
                Some("WARN [03-27|20:26:16.368] x"),
            ),
            (
                "erigon  | 2025-03-03T00:22:46.915326618Z [INFO] x",
                Some("[INFO] x"),
            ),
            ("Mar 14 21:40:11.006 INFO Synced   slot: 1", None),
            (
                "2026-03-14 21:40:13.600+00:00 | thread | INFO  | C | x: y",
                None,
            ),
            ("14 Mar 21:40:13 | Received", None),
            ("", None),
        ] {
            assert_eq!(payload(line), expected, "{line}");
        }
    }
}
