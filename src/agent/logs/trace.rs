//! What a runtime writes when a program fails: stack traces behind a record, and the record of its death.

use super::record::Parsed;
use super::text::level::Level;

/// How the lines of stack traces begin.
const FRAMES: [&str; 9] = [
    "at ",
    "Caused by",
    "... ",
    "goroutine ",
    "stack backtrace:",
    "Suppressed:",
    "--- End of",
    "---> ",
    "Error: ",
];

/// A trace shows itself within so many lines.
const LINES_LOOKED_AT: usize = 3;

/// Whether the lines behind a record's first are a stack trace.
pub(super) fn is_trace(lines: &str) -> bool {
    lines.lines().take(LINES_LOOKED_AT).any(|line| {
        let line = line.trim_start();
        FRAMES.iter().any(|frame| line.starts_with(frame))
    })
}

/// Whether a line says that a program of Go, Rust, Java or .NET dies. It has no time and no level.
pub(super) fn begins_death(line: &str) -> bool {
    level_of_death(line).is_some()
}

/// The record of a death.
pub(super) fn parse_death(record: &str) -> Option<Parsed<'_>> {
    let level = level_of_death(record)?;
    let (first, more) = match record.split_once('\n') {
        Some((first, more)) => (first, Some(more)),
        None => (record, None),
    };
    let mut parsed = Parsed::new(first);
    parsed.stack_trace = more.map(Into::into);
    parsed.level = Some(level);
    parsed.is_known = true;
    parsed
        .fields
        .set_text("error.message", parsed.message.clone());
    Some(parsed)
}

fn level_of_death(line: &str) -> Option<Level> {
    let starts = |starts: &[&str]| starts.iter().any(|start| line.starts_with(start));
    // Most lines begin otherwise: one look at the first letter is enough for them.
    match line.as_bytes().first()? {
        b'p' if starts(&["panic: "]) => Some(Level::Critical),
        b'f' if starts(&["fatal error: "]) => Some(Level::Critical),
        b'F' if starts(&["Fatal: "]) => Some(Level::Critical),
        b'U' if starts(&["Unhandled exception"]) => Some(Level::Critical),
        b'S' if starts(&["SIGSEGV"]) => Some(Level::Critical),
        b'E' if starts(&["Exception in thread "]) => Some(Level::Error),
        b't' if starts(&["thread '"]) && line.contains("panicked at") => Some(Level::Error),
        _ => None,
    }
}
