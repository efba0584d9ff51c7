//! Grandine: `[2026-03-14T21:40:13.100Z]  INFO fork_choice_store::store:2450: imported beacon block … peers=[97/100]`.
//! The parentheses of its messages need not balance.

use super::keys;
use super::record::{Parsed, Reading};
use super::text::level::Level;
use super::text::time::{Printed, full};
use super::text::{hash, json, number};
use super::vocabulary::Action;

pub(super) fn begins_record(line: &str) -> bool {
    line.starts_with("{\"") || prefix(line).is_some()
}

/// `None` where the record has none of the forms.
pub(super) fn parse<'a>(record: &'a str, reading: &Reading) -> Option<Parsed<'a>> {
    if record.starts_with('{') {
        let (mut parsed, pairs) = Parsed::of_json(json::parse(record, reading)?);
        parsed.take(pairs, keys::consensus);
        parsed.read_message(understand);
        return Some(parsed);
    }
    let (time, level, rest) = prefix(record)?;
    let (logger, text) = match rest.split_once(": ") {
        Some((logger, text)) if !logger.contains(' ') => (logger, text),
        _ => ("", rest),
    };
    let mut parsed = Parsed::of_lines(text);
    parsed.time = time.resolve(reading.zone);
    parsed.level = Some(level);
    parsed.logger = logger.into();
    parsed.read_message(understand);
    Some(parsed)
}

fn prefix(line: &str) -> Option<(Printed, Level, &str)> {
    let (time, rest) = full(line.strip_prefix('[')?)?;
    let (level, rest) = Level::prefix(rest.strip_prefix(']')?.trim_start())?;
    Some((time, level, rest.strip_prefix(' ')?.trim_start()))
}

fn understand<'a>(parsed: &mut Parsed<'a>, message: &'a str) {
    let line = message.lines().next().unwrap_or_default();
    let (text, peers) = match line.rsplit_once(" peers=[") {
        Some((text, peers)) => (text, peers.trim_end().strip_suffix(']')),
        None => (line, None),
    };
    if let Some((connected, target)) = peers.and_then(|peers| peers.split_once('/')) {
        parsed.set_number("ethereum.peers.connected", connected);
        parsed.set_number("ethereum.peers.target", target);
    }
    parsed.action = action(parsed.level, text);
    values(parsed, text);
}

fn action(level: Option<Level>, text: &str) -> Action {
    let starts = |start: &str| text.starts_with(start);
    let is_problem = level >= Some(Level::Warn);
    if starts("imported beacon block") || starts("imported block") {
        Action::BlockImported
    } else if starts("received") && text.contains("beacon block") {
        Action::BlockReceived
    } else if starts("chain reorganized") {
        Action::Reorg
    } else if starts("new head") || starts("head changed") {
        Action::HeadUpdated
    } else if starts("back-sync") || starts("synced") || starts("syncing") {
        Action::SyncProgress
    } else if starts("finalized") || starts("new finalized") {
        Action::Finalized
    } else if starts("too many empty slots")
        || is_problem
            && (starts("validator") || starts("failed to produce") || starts("failed to sign"))
    {
        Action::ValidatorProblem
    } else if is_problem && text.contains("invalid payload") {
        Action::PayloadInvalid
    } else if is_problem && is_engine_silent(&text.to_ascii_lowercase()) {
        Action::EngineOffline
    } else if starts("starting")
        || starts("Grandine version")
        || starts("Grandine/")
        || starts("received signal")
    {
        Action::Lifecycle
    } else {
        Action::Generic
    }
}

/// `text` in lower case.
fn is_engine_silent(text: &str) -> bool {
    let any = |words: &[&str]| words.iter().any(|word| text.contains(word));
    any(&["eth1", "execution", "engine"])
        && any(&[
            "error",
            "offline",
            "failed",
            "unreachable",
            "timed out",
            "refused",
        ])
}

const ENDS: [char; 5] = [' ', ',', ')', ']', ';'];

fn values<'a>(parsed: &mut Parsed<'a>, text: &'a str) {
    let after = |start: &str| keys::between(text, start, &ENDS).unwrap_or_default();
    match parsed.action {
        Action::Reorg => {
            parsed.set_hash(hash::OLD_ROOT, after("old head: "));
            parsed.set_hash(hash::NEW_ROOT, after("new head: "));
            return;
        }
        Action::SyncProgress => {
            // `back-synced to 2074616 slot`
            let before = text
                .split_once(" slot")
                .and_then(|(before, _)| before.rsplit(' ').next());
            parsed.set_number("ethereum.slot", before.unwrap_or_default());
        }
        Action::ValidatorProblem if text.starts_with("too many empty slots") => {
            empty_slots(parsed, text);
        }
        Action::BlockImported => {
            let blobs = text
                .split_once(" with ")
                .map(|(_, rest)| keys::first_word(rest));
            parsed.set_number("ethereum.exec.blobs", blobs.unwrap_or_default());
        }
        Action::Finalized => {
            parsed.set_number("ethereum.finalized.epoch", after("epoch: "));
            parsed.set_hash(hash::FINALIZED_ROOT, first_root(text));
            return;
        }
        _ => {}
    }
    if !parsed.fields.has("ethereum.slot") {
        let _is_known = parsed.set_number("ethereum.slot", after("slot: "))
            || parsed.set_number("ethereum.slot", after("slot "))
            || parsed.set_number("ethereum.slot", after("slot="));
    }
    parsed.set_number("ethereum.epoch", after("epoch: "));
    parsed.set_hash(hash::BLOCK_ROOT, first_root(text));
}

/// `too many empty slots after head: 2083576 + 32 < 2083621`
fn empty_slots(parsed: &mut Parsed, text: &str) {
    let numbers = text.split_once(": ").map_or("", |(_, numbers)| numbers);
    parsed.set_some(
        "ethereum.head.slot",
        number::leading_integer(numbers).map(|(slot, _)| slot),
    );
    let slot = numbers.rsplit_once("< ").map_or("", |(_, slot)| slot);
    parsed.set_number("ethereum.slot", slot);
}

/// The first 32 bytes in hexadecimal: a block's.
fn first_root(text: &str) -> &str {
    let found = text
        .match_indices("0x")
        .map(|(at, _)| text[at..].split(ENDS).next().unwrap_or_default());
    let mut roots = found.filter(|word| word.len() == 66);
    roots.next().unwrap_or_default()
}
