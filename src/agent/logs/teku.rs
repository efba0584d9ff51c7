//! Teku: the console's `21:40:15.000 INFO  - Slot Event  *** Slot: 8650016, Block: …`, the file's
//! `time | thread | LEVEL | class | message`, and the JSON of a log4j file.

use super::record::{Parsed, Reading};
use super::text::hash::{self, HashField};
use super::text::level::Level;
use super::text::{duration, json, number};
use super::vocabulary::Action;
use super::{keys, log4j};

pub(super) fn begins_record(line: &str) -> bool {
    line.starts_with("{\"") || log4j::begins_record(line)
}

/// `None` where the record has none of the forms.
pub(super) fn parse<'a>(record: &'a str, reading: &Reading) -> Option<Parsed<'a>> {
    let mut parsed = match record.starts_with('{') {
        true => {
            let (mut parsed, pairs) = Parsed::of_json(json::parse(record, reading)?);
            parsed.take(pairs, keys::consensus);
            parsed
        }
        false => {
            log4j::parse_piped(record, reading).or_else(|| log4j::parse_console(record, reading))?
        }
    };
    parsed.read_message(understand);
    Some(parsed)
}

fn understand<'a>(parsed: &mut Parsed<'a>, message: &'a str) {
    let Some((name, text)) = message.split_once("***") else {
        return understand_sentence(parsed, message);
    };
    let text = text.trim();
    parsed.action = match name.trim() {
        "Slot Event" | "Slot Block Event" => Action::SlotStart,
        "Epoch Event" => Action::Finalized,
        "Reorg Event" => Action::Reorg,
        "Syncing" | "Sync Event" | "Sync Info" => Action::SyncProgress,
        "Miss slots" => Action::MissedSlots,
        "Late Block Import" => Action::LateBlock,
        "Slow Tick Event" | "Slow Block Production" | "Slow Block Publishing" => {
            Action::Performance
        }
        "Validator" if parsed.level >= Some(Level::Warn) || text.contains("Failed") => {
            Action::ValidatorProblem
        }
        _ => Action::Generic,
    };
    match parsed.action {
        Action::LateBlock => late_block(parsed, text),
        Action::Performance => {
            let total = text
                .rsplit_once("total: ")
                .and_then(|(_, total)| duration::to_ms(total));
            parsed.set_float("ethereum.duration_ms", total);
            let slot = keys::between(text, "Slot: ", &[' ', ',']);
            parsed.set_number("ethereum.slot", slot.unwrap_or_default());
        }
        action => {
            for (key, value) in listed(text) {
                if !field(parsed, action, key, value) {
                    parsed.keep(key, value);
                }
            }
            if action == Action::SlotStart {
                keys::head_of_slot(parsed);
            }
        }
    }
}

/// `Name: value, Other name: value`; what was done stands before the first name, behind it two blanks or more.
fn listed(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.split(", ").filter_map(|part| {
        let (key, value) = part.split_once(": ")?;
        let key = key.rsplit("  ").next().unwrap_or_default();
        Some((key.trim(), value.trim()))
    })
}

fn field<'a>(parsed: &mut Parsed<'a>, action: Action, key: &str, value: &'a str) -> bool {
    let first = keys::first_word(value);
    match key {
        // `Slot: 5 Validator: 1a2b3c4`
        "Slot" if action == Action::ValidatorProblem => parsed.set_number("ethereum.slot", first),
        "Slot" | "End slot" | "Current slot" => parsed.set_number("ethereum.slot", value),
        "Head slot" => parsed.set_number("ethereum.head.slot", value),
        "Remaining slots" => parsed.set_number("ethereum.sync.distance", value),
        "Epoch" => parsed.set_number("ethereum.epoch", value),
        "Finalized" | "Finalized checkpoint" => {
            parsed.set_number("ethereum.finalized.epoch", value)
        }
        "Finalized root" => parsed.set_hash(hash::FINALIZED_ROOT, value),
        "Peers" | "Connected peers" => parsed.set_number("ethereum.peers.connected", value),
        "Root" => parsed.set_hash(hash::BLOCK_ROOT, first),
        // A slot without a block has words instead.
        "Block" if action == Action::SlotStart => parsed.set_hash(hash::HEAD_ROOT, first),
        "Execution Block" => parsed.set_hash(hash::BLOCK_HASH, first),
        "Block" => parsed.set_hash(hash::BLOCK_ROOT, first),
        "New Head" => {
            let is_known = place(parsed, value, "ethereum.reorg.new_slot", hash::NEW_ROOT);
            let slot = parsed.fields.get_integer("ethereum.reorg.new_slot");
            parsed.set_some("ethereum.slot", slot);
            is_known
        }
        "Previous Head" => place(parsed, value, "ethereum.reorg.old_slot", hash::OLD_ROOT),
        "Common Ancestor" => place(
            parsed,
            value,
            "ethereum.reorg.ancestor_slot",
            hash::ANCESTOR_ROOT,
        ),
        _ => false,
    }
}

/// `a84b9e..4e76 (8650020)`
fn place<'a>(
    parsed: &mut Parsed<'a>,
    text: &'a str,
    slot_field: &'static str,
    root_field: HashField,
) -> bool {
    let Some((root, slot)) = text.split_once(" (") else {
        return parsed.set_hash(root_field, text);
    };
    let slot = slot.split(')').next().unwrap_or_default();
    parsed.set_number(slot_field, slot) | parsed.set_hash(root_field, root)
}

/// `Block: ROOT (SLOT) Proposer: N Result: success Timings: arrival 4310ms, processed +201ms, …`; older versions have
/// `proposer N` and no other names.
fn late_block<'a>(parsed: &mut Parsed<'a>, text: &'a str) {
    let block = text.strip_prefix("Block: ").unwrap_or(text);
    place(parsed, block, "ethereum.slot", hash::BLOCK_ROOT);
    let after = |name: &str| {
        let (_, rest) = block.split_once(name)?;
        Some(keys::first_word(rest.trim_start()))
    };
    let proposer = after(" Proposer:").or_else(|| after(" proposer "));
    parsed.set_number("ethereum.proposer_index", proposer.unwrap_or_default());
    if let Some(result) = after(" Result:") {
        parsed.keep("result", result);
    }
    let begin = block.find("Timings: ").map(|at| at + "Timings: ".len());
    let begin = begin.or_else(|| block.find("arrival "));
    let timings = begin.map_or("", |at| &block[at..]);
    let mut total_ms = 0.0;
    for timing in timings.split(", ") {
        let Some((name, ms)) = timing
            .rsplit_once(' ')
            .and_then(|(name, ms)| Some((name, duration::to_ms(ms)?)))
        else {
            continue;
        };
        total_ms += ms;
        let field = match &*name.to_ascii_lowercase() {
            "arrival" => "ethereum.delay.observed_ms",
            "processed" => "ethereum.delay.consensus_ms",
            "execution_payload_result_received" => "ethereum.delay.execution_ms",
            "data_availability_checked" => "ethereum.delay.blobs_ms",
            _ => {
                parsed.keep(name, ms.to_string());
                continue;
            }
        };
        parsed.set_float(field, Some(ms));
    }
    parsed.set_float(
        "ethereum.delay.total_ms",
        (total_ms > 0.0).then_some(total_ms),
    );
}

fn understand_sentence<'a>(parsed: &mut Parsed<'a>, message: &'a str) {
    let is_problem = parsed.level >= Some(Level::Warn);
    let starts = |start: &str| message.starts_with(start);
    parsed.action = if let Some(rest) = message.strip_prefix("Chain reorg at slot ") {
        reorg(parsed, rest);
        Action::Reorg
    } else if starts("Execution Client") && is_problem {
        parsed.fields.set_text("error.message", message);
        Action::EngineOffline
    } else if starts("No connected peers") {
        parsed.fields.set_integer("ethereum.peers.connected", 0);
        Action::LowPeers
    } else if starts("Syncing stopped") {
        let behind = keys::between(message, " still ", &[' ']);
        parsed.set_number("ethereum.sync.distance", behind.unwrap_or_default());
        Action::SyncProgress
    } else if starts("Syncing completed")
        || starts("Syncing started")
        || starts("Beacon chain syncing complete")
    {
        Action::SyncProgress
    } else if starts("Teku version: ") || starts("Version: teku") {
        let version = message
            .split_once(": ")
            .map_or("", |(_, version)| keys::first_word(version));
        parsed.fields.set_text("service.version", version);
        Action::Lifecycle
    } else if is_problem
        && (starts("Invalid block")
            || starts("Rejecting invalid block")
            || message.contains("invalid payload"))
    {
        of_slot(parsed, message);
        if let Some((_, root)) = message.split_once(" root ") {
            parsed.set_hash(hash::BLOCK_ROOT, keys::first_word(root));
        }
        Action::PayloadInvalid
    } else {
        of_slot(parsed, message);
        Action::Generic
    };
}

fn of_slot(parsed: &mut Parsed, message: &str) {
    let slot = keys::between(message, " slot ", &[' ', ',', '.', ')', ':']);
    parsed.set_number("ethereum.slot", slot.unwrap_or_default());
}

/// `34362 from dbb35b..8475 to 4efd62..8889. Common ancestor at slot 34361`
fn reorg<'a>(parsed: &mut Parsed<'a>, text: &'a str) {
    if let Some((slot, _)) = number::leading_integer(text) {
        parsed.fields.set_integer("ethereum.slot", slot);
        parsed.fields.set_integer("ethereum.reorg.new_slot", slot);
    }
    let word_after = |start: &str| {
        keys::between(text, start, &[' '])
            .unwrap_or_default()
            .trim_end_matches('.')
    };
    parsed.set_hash(hash::OLD_ROOT, word_after(" from "));
    parsed.set_hash(hash::NEW_ROOT, word_after(" to "));
    parsed.set_number(
        "ethereum.reorg.ancestor_slot",
        word_after("Common ancestor at slot "),
    );
}
