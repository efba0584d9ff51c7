//! What a container's runtime puts around each line, taken off again. Pure.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::frame::{Line, Stamp, without_half_character};
use crate::config::Format;

/// A wrapped line is longer than what it holds: JSON may need six bytes for one, and runtimes cut lines at 16 KiB.
pub(super) const WRAPPED_BYTES: usize = 128 * 1024;

const STREAMS: [&str; 2] = ["stdout", "stderr"];

/// A line as its writer meant it, or a piece of one.
pub(super) struct Unwrapped {
    pub(super) line: Line,
    /// The rest follows in the next line of the same stream.
    pub(super) is_partial: bool,
}

/// Takes the wrapping off. `Err` holds the line as it was where it has none though the format asks for one.
pub(super) fn unwrap(mut line: Line, format: Format) -> Result<Unwrapped, Line> {
    let inner = match format {
        Format::Plain => None,
        Format::Cri => cri(&line.text),
        Format::Docker => docker(&line.text),
        Format::Auto => cri(&line.text).or_else(|| docker(&line.text)),
    };
    let Some(Inner {
        text,
        stamp,
        is_partial,
    }) = inner
    else {
        return match format {
            Format::Plain | Format::Auto => Ok(Unwrapped {
                line,
                is_partial: false,
            }),
            Format::Cri | Format::Docker => Err(line),
        };
    };
    line.text = text.into_owned();
    line.stamp = stamp;
    Ok(Unwrapped { line, is_partial })
}

/// Leaves at most `max_bytes` of a line.
pub(super) fn cut(line: &mut Line, max_bytes: usize) {
    if line.text.len() > max_bytes {
        let kept = without_half_character(&line.text.as_bytes()[..max_bytes]).len();
        line.text.truncate(kept);
        line.is_cut = true;
    }
}

/// Where the two streams of a container are kept apart: they are written in turns, also in the middle of a line.
pub(super) fn lane(stamp: Stamp) -> usize {
    usize::from(stamp.stream == Some(STREAMS[1]))
}

struct Inner<'a> {
    text: Cow<'a, str>,
    stamp: Stamp,
    is_partial: bool,
}

/// `2026-11-21T12:15:04.092123456Z stdout F LINE`; `P` instead of `F` where the line goes on; further tags after a colon.
fn cri(line: &str) -> Option<Inner<'_>> {
    // The cheap question first: most lines are no container's.
    if line.as_bytes().get(4) != Some(&b'-') {
        return None;
    }
    let (time, rest) = line.split_once(' ')?;
    let (stream, rest) = rest.split_once(' ')?;
    let (tags, text) = rest.split_once(' ').unwrap_or((rest, ""));
    let is_partial = match tags.split(':').next()? {
        "P" => true,
        "F" => false,
        _ => return None,
    };
    Some(Inner {
        text: text.into(),
        stamp: stamp(time, stream)?,
        is_partial,
    })
}

/// One JSON object; without a newline at the end of `log` the line goes on.
fn docker(line: &str) -> Option<Inner<'_>> {
    #[derive(Deserialize)]
    struct Wrapped<'a> {
        #[serde(borrow)]
        log: Cow<'a, str>,
        stream: &'a str,
        time: &'a str,
    }
    if !line.starts_with("{\"log\":\"") {
        return None;
    }
    let Wrapped { log, stream, time } = serde_json::from_str(line).ok()?;
    let stamp = stamp(time, stream)?;
    let is_partial = !log.ends_with('\n');
    let without_end = |log: &str| {
        let log = log.strip_suffix('\n').unwrap_or(log);
        log.strip_suffix('\r').unwrap_or(log).len()
    };
    let text = match log {
        Cow::Borrowed(log) if is_partial => Cow::Borrowed(log),
        Cow::Borrowed(log) => Cow::Borrowed(&log[..without_end(log)]),
        Cow::Owned(mut log) => {
            if !is_partial {
                log.truncate(without_end(&log));
            }
            Cow::Owned(log)
        }
    };
    Some(Inner {
        text,
        stamp,
        is_partial,
    })
}

fn stamp(time: &str, stream: &str) -> Option<Stamp> {
    let stream = STREAMS.into_iter().find(|name| *name == stream)?;
    let at = DateTime::parse_from_rfc3339(time).ok()?.with_timezone(&Utc);
    Some(Stamp {
        at: Some(at),
        by: "container",
        stream: Some(stream),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Line {
        let mut line = None;
        super::super::frame::Framer::new(0, 1_000)
            .push(format!("{text}\n").as_bytes(), |found| line = Some(found));
        line.unwrap()
    }

    #[track_caller]
    fn check(text: &str, format: Format, inner: &str, stream: Option<&str>, is_partial: bool) {
        let Ok(found) = unwrap(line(text), format) else {
            panic!("{text} is not wrapped");
        };
        assert_eq!(found.line.text, inner);
        assert_eq!(found.line.stamp.stream, stream);
        assert_eq!(found.is_partial, is_partial);
        assert_eq!(found.line.stamp.at.is_some(), stream.is_some());
    }

    #[test]
    fn both_wrappings_are_known_by_their_looks() {
        for format in [Format::Cri, Format::Auto] {
            let time = "2026-11-21T12:15:04.092123456Z";
            check(
                &format!("{time} stdout F a b"),
                format,
                "a b",
                Some("stdout"),
                false,
            );
            check(
                &format!("{time} stderr P a "),
                format,
                "a ",
                Some("stderr"),
                true,
            );
            check(
                &format!("{time} stdout F:x "),
                format,
                "",
                Some("stdout"),
                false,
            );
            check(
                &format!("{time} stdout F"),
                format,
                "",
                Some("stdout"),
                false,
            );
        }
        for format in [Format::Docker, Format::Auto] {
            let rest =
                "\"stream\":\"stderr\",\"attrs\":{\"a\":\"b\"},\"time\":\"2026-11-21T12:15:04Z\"}";
            check(
                &format!("{{\"log\":\"a\\u00e9\\r\\n\",{rest}"),
                format,
                "aé",
                Some("stderr"),
                false,
            );
            check(
                &format!("{{\"log\":\"half\",{rest}"),
                format,
                "half",
                Some("stderr"),
                true,
            );
        }
    }

    #[test]
    fn what_is_not_wrapped_stays_as_it_is() {
        let own = [
            "2026-11-21T12:15:04Z stdlog F a",
            "2026-11-21 12:15:04 stdout F a",
            "{\"log\":\"its own\\n\",\"level\":\"info\"}",
            "{\"log\":\"x\",\"stream\":\"stdout\",\"ti",
            "",
        ];
        for text in own {
            check(text, Format::Auto, text, None, false);
            assert!(unwrap(line(text), Format::Cri).is_err_and(|line| line.text == text));
            assert!(unwrap(line(text), Format::Docker).is_err_and(|line| line.text == text));
        }
        let wrapped = "2026-11-21T12:15:04Z stdout F a";
        check(wrapped, Format::Plain, wrapped, None, false);
    }
}
