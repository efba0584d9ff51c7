//! Reth: tracing's `2026-03-14T21:40:11.196065Z  INFO reth::node::events: Block added to canonical chain number=…`, with
//! the target or without, its JSON and its logfmt.

use super::record::{Parsed, Reading};
use super::text::level::Level;
use super::text::pairs::{self, Pairs};
use super::text::time::{Printed, full, parse_full};
use super::text::{hash, json};
use super::vocabulary::Action;
use super::{geth, keys, logfmt};

pub(super) fn begins_record(line: &str) -> bool {
    line.starts_with("{\"") || line.starts_with("ts=") || prefix(line).is_some()
}

/// `None` where the record has none of the forms.
pub(super) fn parse<'a>(record: &'a str, reading: &Reading) -> Option<Parsed<'a>> {
    if record.starts_with('{') {
        let (mut parsed, pairs) = Parsed::of_json(json::parse(record, reading)?);
        let message = parsed.message.clone();
        understand(&mut parsed, &message, pairs);
        return Some(parsed);
    }
    if record.starts_with("ts=") {
        let mut line = logfmt::parse(record)?;
        let mut parsed = Parsed::new(line.message_with_fields(record));
        let pairs = &mut line.pairs;
        parsed.time = pairs.read("ts", |time| parse_full(time, reading.zone));
        parsed.level = pairs.read("level", Level::parse);
        parsed.logger = line.pairs.take("target").unwrap_or_default();
        understand(&mut parsed, &line.message, line.pairs);
        return Some(parsed);
    }
    let (time, level, rest) = prefix(record)?;
    let (logger, text) = without_target(rest);
    let mut parsed = Parsed::of_lines(text);
    parsed.time = time.resolve(reading.zone);
    parsed.level = Some(level);
    parsed.logger = logger.into();
    let line = text.lines().next().unwrap_or_default();
    let (_, line) = without_target(behind_spans(line));
    let (head, pairs) = pairs::scan(line);
    if let Some(chain) = head.strip_prefix("Committing new canonical chain: ") {
        committed(&mut parsed, chain);
    }
    understand(&mut parsed, head, pairs);
    Some(parsed)
}

/// `make_canonical{block_hash=0x1…}:validate{}: target: message`: what the program was doing stays in the message.
fn behind_spans(line: &str) -> &str {
    let mut rest = line;
    loop {
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"_:-".contains(&byte);
        let length = rest.bytes().take_while(|byte| is_name(*byte)).count();
        let behind = rest[length..]
            .strip_prefix('{')
            .and_then(|values| values.split_once("}:"));
        match behind {
            Some((_, behind)) if length > 0 => rest = behind.trim_start_matches(' '),
            _ => return rest,
        }
    }
}

fn prefix(line: &str) -> Option<(Printed, Level, &str)> {
    let (time, rest) = full(line)?;
    let (level, rest) = Level::prefix(rest.strip_prefix(' ')?.trim_start())?;
    Some((time, level, rest.strip_prefix(' ')?.trim_start()))
}

/// `span{key=value}: target: message`: both may be missing.
fn without_target(text: &str) -> (&str, &str) {
    match text.split_once(": ") {
        Some((target, rest)) if target.contains("::") && !target.contains([' ', '=']) => {
            (target, rest)
        }
        Some((target, rest))
            if target
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte == b'_') =>
        {
            (target, rest)
        }
        _ => ("", text),
    }
}

fn understand<'a>(parsed: &mut Parsed<'a>, head: &str, pairs: Pairs<'a>) {
    parsed.action = action(head);
    let action = parsed.action;
    if head == "Block added to fork chain" {
        parsed.keep("canonical", "false");
    }
    parsed.take(pairs, |parsed, key, value| {
        field(parsed, action, key, value) || keys::execution(parsed, key, value)
    });
}

/// `[(17594207, 0xf517…), (17594208, 0x3a60…)]`: the last one is the head.
fn committed<'a>(parsed: &mut Parsed<'a>, chain: &'a str) {
    let last = chain.rsplit('(').next().unwrap_or_default();
    let (number, hash) = last.split_once(", ").unwrap_or((last, ""));
    parsed.set_number("ethereum.block.number", number);
    parsed.set_hash(hash::BLOCK_HASH, hash.trim_end_matches([']', ')']));
}

fn action(head: &str) -> Action {
    match head {
        _ if head.starts_with("Committing new canonical chain") => Action::HeadUpdated,
        "Block added to canonical chain" | "Block added to fork chain" => Action::BlockImported,
        "Canonical chain committed" | "Forkchoice updated" => Action::HeadUpdated,
        "Received block from consensus engine" | "Received new payload from consensus engine" => {
            Action::BlockReceived
        }
        "Status" => Action::PeerCount,
        "Preparing stage"
        | "Executing stage"
        | "Finished stage"
        | "Committed stage progress"
        | "Stage committed progress"
        | "Stage finished executing"
        | "Received forkchoice updated message when syncing"
        | "Headers" => Action::SyncProgress,
        "Received invalid forkchoice updated message"
        | "Encountered invalid block"
        | "Invalid block error on new payload" => Action::PayloadInvalid,
        "Slow block" => Action::Performance,
        "Initialized tracing, debug log directory" | "Starting reth" | "Wrapping up" => {
            Action::Lifecycle
        }
        _ if head.starts_with("Unwinding") || head.starts_with("Starting unwind") => Action::Unwind,
        _ if geth::is_beacon_silent(head) => Action::EngineOffline,
        _ => Action::Generic,
    }
}

fn field<'a>(parsed: &mut Parsed<'a>, action: Action, key: &str, value: &'a str) -> bool {
    match key {
        "checkpoint" if action == Action::SyncProgress => {
            parsed.set_number("ethereum.block.number", value)
        }
        "invalid_hash" => parsed.set_hash(hash::BLOCK_HASH, value),
        "invalid_number" => parsed.set_number("ethereum.block.number", value),
        "validation_err" => parsed.fields.set_text("error.message", value),
        "stage_eta" => keys::eta(parsed, value),
        "to" | "unwind_to" if action == Action::Unwind => {
            parsed.set_number("ethereum.block.number", value)
        }
        "version" if action == Action::Lifecycle => {
            parsed.fields.set_text("service.version", value);
            true
        }
        _ => false,
    }
}
