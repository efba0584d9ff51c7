//! The receive time before a recorded line: `ns, tab, line`, `seconds, blank, line`, or none at all. Pure.

use chrono::{DateTime, Utc};

/// Longer than any time that can be read.
const MAX_TIME_BYTES: usize = 40;

const BOM: &[u8] = b"\xef\xbb\xbf";

/// A line of a recording.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line<'a> {
    At(DateTime<Utc>, &'a [u8]),
    /// As the node sent it: nobody wrote down when.
    Bare(&'a [u8]),
    /// The recorder's own, as `# HTTP 200 …`.
    Remark,
}

/// Which of them a line is; `None` where it is none.
pub(super) fn read(line: &[u8]) -> Option<Line<'_>> {
    let line = line.strip_prefix(BOM).unwrap_or(line);
    if line.first() == Some(&b'#') {
        return Some(Line::Remark);
    }
    let end = line.iter().position(|byte| matches!(byte, b'\t' | b' '));
    let (stamp, rest) = match end {
        Some(end) => (&line[..end], &line[end + 1..]),
        // The end of an event, whose blank an editor has cut off.
        None => (line, &line[line.len()..]),
    };
    if let Some(at) = time(stamp) {
        return Some(Line::At(at, rest));
    }
    let field = line.split(|byte| *byte == b':').next().unwrap_or_default();
    matches!(field, b"" | b"event" | b"data" | b"id" | b"retry").then_some(Line::Bare(line))
}

/// Seconds, milli-, micro- or nanoseconds since 1970, told apart by their digits, or RFC 3339.
fn time(text: &[u8]) -> Option<DateTime<Utc>> {
    let text = str::from_utf8(text).ok()?;
    if text.is_empty() || text.len() > MAX_TIME_BYTES {
        return None;
    }
    if text.contains('T') {
        return DateTime::parse_from_rfc3339(text)
            .ok()
            .map(|at| at.to_utc());
    }
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let are_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !are_digits(whole) || !are_digits(fraction) {
        return None;
    }
    let scale = match whole.len() {
        ..=11 => 9,
        12..=14 => 6,
        15..=17 => 3,
        _ => 0,
    };
    let digits: String = fraction
        .chars()
        .chain("000000000".chars())
        .take(scale)
        .collect();
    format!("{whole}{digits}")
        .parse()
        .ok()
        .map(DateTime::from_timestamp_nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ns(line: &str) -> Option<(i64, &str)> {
        match read(line.as_bytes())? {
            Line::At(at, rest) => Some((at.timestamp_nanos_opt()?, str::from_utf8(rest).ok()?)),
            _ => None,
        }
    }

    #[test]
    fn times_of_all_recorders() {
        let told = Some((1_795_253_006_950_309_000, "event: head"));
        for line in [
            "1795253006950309000\tevent: head",
            "1795253006950309 event: head",
            "1795253006.950309 event: head",
            "1795253006950.309\tevent: head",
            "2026-11-21T09:23:26.950309Z event: head",
        ] {
            assert_eq!(ns(line), told, "{line}");
        }
        assert_eq!(ns("1795253006.5 "), Some((1_795_253_006_500_000_000, "")));
        assert_eq!(ns("1795253006.5"), Some((1_795_253_006_500_000_000, "")));
    }

    #[test]
    fn lines_without_time_are_the_streams_or_nothing() {
        for line in ["event: head", "data:x", ":", "", ": ping", "id", "retry: 5"] {
            assert_eq!(read(line.as_bytes()), Some(Line::Bare(line.as_bytes())));
        }
        assert_eq!(read(b"# HTTP 200 Connection: close"), Some(Line::Remark));
        for wrong in [
            "x\tdata: 1",
            "no tab",
            "<html>",
            "99999999999999999999 :",
            "-5\t:",
        ] {
            assert_eq!(read(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
