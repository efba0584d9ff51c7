//! Nimbus: chronicles' `INF 2026-03-14 21:40:11.001+00:00 Slot start    topics="beacnde" slot=7344320 …` and its JSON.

use super::keys;
use super::record::{Parsed, Reading};
use super::text::level::Level;
use super::text::pairs::{self, Pairs};
use super::text::time::{Printed, full};
use super::text::{duration, hash, json, number};
use super::vocabulary::Action;

pub(super) fn begins_record(line: &str) -> bool {
    line.starts_with("{\"") || prefix(line).is_some()
}

/// `None` where the record has none of the forms.
pub(super) fn parse<'a>(record: &'a str, reading: &Reading) -> Option<Parsed<'a>> {
    if record.starts_with('{') {
        let (mut parsed, pairs) = Parsed::of_json(json::parse(record, reading)?);
        let message = parsed.message.clone();
        understand(&mut parsed, &message, pairs);
        return Some(parsed);
    }
    let (level, time, text) = prefix(record)?;
    let mut parsed = Parsed::of_lines(text);
    parsed.time = time.resolve(reading.zone);
    parsed.level = Some(level);
    let (head, pairs) = pairs::scan(text.lines().next().unwrap_or_default());
    understand(&mut parsed, head, pairs);
    Some(parsed)
}

fn prefix(line: &str) -> Option<(Level, Printed, &str)> {
    let (level, rest) = Level::prefix(line)?;
    let (time, text) = full(rest.strip_prefix(' ')?)?;
    Some((level, time, text.strip_prefix(' ')?))
}

fn understand<'a>(parsed: &mut Parsed<'a>, head: &str, mut pairs: Pairs<'a>) {
    parsed.action = action(parsed.level, head, &pairs);
    let action = parsed.action;
    if let Some(topics) = pairs.take("topics") {
        parsed.logger = topics;
    }
    object(parsed, &pairs);
    let has_epoch = pairs.has("finalizedEpoch");
    parsed.take(pairs, |parsed, key, value| {
        field(parsed, (action, has_epoch), key, value) || keys::consensus(parsed, key, value)
    });
}

fn action(level: Option<Level>, head: &str, pairs: &Pairs) -> Action {
    let is_problem = level >= Some(Level::Warn);
    match head {
        "Slot start" => match pairs.get("sync") {
            Some(sync) if !sync.starts_with("synced") => Action::SyncProgress,
            _ => Action::SlotStart,
        },
        "Updated head block with chain reorg" => Action::Reorg,
        "Updated head block" | "Head block updated" => Action::HeadUpdated,
        "Reached new finalization checkpoint" => Action::Finalized,
        "Block received" | "Received block" => Action::BlockReceived,
        "Block resolved" => Action::BlockImported,
        "Block processed" | "Missed multiple heartbeats" => Action::Performance,
        "Beacon node not in sync" => Action::SyncProgress,
        "Launching beacon node" | "Starting beacon node" | "Shutting down" => Action::Lifecycle,
        _ if head.starts_with("Peer count low") => Action::LowPeers,
        _ if is_problem && is_invalid(head) => Action::PayloadInvalid,
        _ if (is_problem || head.starts_with("REQUIRED ")) && is_engine_silent(head) => {
            Action::EngineOffline
        }
        _ if is_problem && is_duty(head) => Action::ValidatorProblem,
        _ => Action::Generic,
    }
}

fn is_invalid(head: &str) -> bool {
    let lower = head.to_ascii_lowercase();
    lower.contains("execution") && lower.contains("invalid")
}

fn is_engine_silent(head: &str) -> bool {
    const STARTS: [&str; 8] = [
        "REQUIRED Execution client",
        "No execution client",
        "Failed to exchange transition configuration",
        "Failed to connect to the execution",
        "Failed to obtain the engine",
        "Execution client not",
        "No response from execution",
        "Connection to EL node degraded",
    ];
    STARTS.iter().any(|start| head.starts_with(start))
}

fn is_duty(head: &str) -> bool {
    const STARTS: [&str; 5] = [
        "Unable to publish",
        "Unable to produce",
        "Could not produce",
        "Failed to produce",
        "Cannot create",
    ];
    STARTS.iter().any(|start| head.starts_with(start))
}

/// `(slot: 5, proposer_index: 3, …)`, `(aggregation_bits: 0b1, data: (slot: 5, index: 3, …`: kept whole as well.
fn object(parsed: &mut Parsed, pairs: &Pairs) {
    const NAMES: [&str; 5] = [
        "blck",
        "signedBlock",
        "attestation",
        "aggregate",
        "contribution",
    ];
    let mut objects = NAMES.iter().filter_map(|name| pairs.get(name));
    if let Some(object) = objects.find(|object| object.starts_with('(')) {
        let part = |name| keys::between(object, name, &[',', ')']).unwrap_or_default();
        parsed.set_number("ethereum.proposer_index", part("proposer_index: "));
        parsed.set_number("ethereum.slot", part("slot: "));
    }
}

/// `ROOT:SLOT` of a checkpoint.
fn finalized_block<'a>(parsed: &mut Parsed<'a>, value: &'a str) -> bool {
    let (root, slot) = value.split_once(':').unwrap_or((value, ""));
    parsed.keep("finalized_slot", slot);
    parsed.set_hash(hash::FINALIZED_ROOT, root)
}

fn field<'a>(
    parsed: &mut Parsed<'a>,
    (action, has_epoch): (Action, bool),
    key: &str,
    value: &'a str,
) -> bool {
    let mut place = |fields| keys::checkpoint(parsed, value, ':', fields);
    match key {
        "head" | "newHead" if action == Action::HeadUpdated => {
            place(("ethereum.slot", hash::BLOCK_ROOT))
        }
        "newHead" if action == Action::Reorg => {
            let is_known = place(("ethereum.reorg.new_slot", hash::NEW_ROOT));
            let slot = parsed.fields.get_integer("ethereum.reorg.new_slot");
            parsed.set_some("ethereum.slot", slot);
            is_known
        }
        "head" | "newHead" => place(("ethereum.head.slot", hash::HEAD_ROOT)),
        "lastHead" | "oldHead" => place(("ethereum.reorg.old_slot", hash::OLD_ROOT)),
        // Where the epoch has a name of its own, this is the checkpoint's slot.
        "finalized" if has_epoch => finalized_block(parsed, value),
        "finalized" | "finalizedCheckpoint" => {
            place(("ethereum.finalized.epoch", hash::FINALIZED_ROOT))
        }
        "finalizedHead" | "newFinalizedHead" if action == Action::Finalized => {
            finalized_block(parsed, value)
        }
        "finalizedHead" => place(("ethereum.head.slot", hash::HEAD_ROOT)),
        "sync" => {
            sync(parsed, value);
            true
        }
        "delay" if action == Action::Performance => {
            parsed.set_float("ethereum.duration_ms", duration::to_ms(value))
        }
        "delay" => parsed.set_float("ethereum.delay_ms", duration::to_ms(value)),
        "storeBlockDur" | "validationDur" | "dur" | "blockDur" => {
            parsed.set_float("ethereum.duration_ms", duration::to_ms(value))
        }
        "scheduledSlot" => parsed.set_number("ethereum.slot", value),
        "current_peers" => parsed.set_number("ethereum.peers.connected", value),
        "wanted_peers" => parsed.set_number("ethereum.peers.target", value),
        "blck.slot" => parsed.set_number("ethereum.slot", value),
        "blck.proposer_index" => parsed.set_number("ethereum.proposer_index", value),
        "version" if action == Action::Lifecycle => {
            parsed.fields.set_text("service.version", value);
            true
        }
        _ => false,
    }
}

/// `synced`, `synced/opt`, or `05h12m (96.44%) 4.1032slots/s (QQPQQQQQQQ:7082305)`
fn sync<'a>(parsed: &mut Parsed<'a>, value: &'a str) {
    if value.starts_with("synced") {
        parsed.fields.set_text("ethereum.sync.state", value);
        return;
    }
    parsed.fields.set_text("ethereum.sync.state", "syncing");
    keys::eta(parsed, keys::first_word(value));
    let rate = value
        .split(' ')
        .find_map(|word| word.strip_suffix("slots/s"));
    parsed.set_float("ethereum.sync.rate_slots_s", rate.and_then(number::decimal));
}
