//! Lodestar: `Apr-20 15:15:05.000[chain]  verbose: New chain head slot=…, root=…`, the `Eph 0/3 1.234[…]` form of its
//! dev command, and `--logFormat json`. Colours may occur anywhere.

use std::borrow::Cow;

use chrono::NaiveTime;

use super::keys;
use super::record::{Parsed, Reading};
use super::text::level::Level;
use super::text::pairs::{self, Pairs};
use super::text::time::{Printed, clock, full, month};
use super::text::{duration, hash, json, number};
use super::vocabulary::Action;

pub(super) fn begins_record(line: &str) -> bool {
    line.starts_with("{\"") || prefix(line).is_some()
}

/// `None` where the record has none of the forms.
pub(super) fn parse<'a>(record: &'a str, reading: &Reading) -> Option<Parsed<'a>> {
    if record.starts_with('{') {
        return parse_json(record, reading);
    }
    let (line, more) = match record.split_once('\n') {
        Some((line, more)) => (line, Some(more)),
        None => (record, None),
    };
    let (when, line) = prefix(line)?;
    let (logger, rest) = line.strip_prefix('[')?.split_once(']')?;
    let (level, message) = rest.trim_start().split_once(':')?;
    let message = message.trim();

    let mut parsed = Parsed::new(message);
    parsed.level = Some(Level::parse(level)?);
    parsed.logger = logger.trim().into();
    match when {
        When::Wall { day, time } => {
            parsed.time = reading.zone.resolve_yearless(day, time, reading.written_at)
        }
        When::Full(time) => parsed.time = time.resolve(reading.zone),
        When::Epoch(epoch) => {
            parsed.fields.set_integer("ethereum.epoch", epoch);
        }
    }
    parsed.stack_trace = more.map(Cow::Borrowed);
    let error = more
        .and_then(|trace| trace.lines().next())
        .map(|line| line.trim().trim_start_matches("Error: "));
    if is_status(message) {
        understand_status(&mut parsed, message);
    } else {
        let (head, found) = pairs::scan(message);
        understand(&mut parsed, head, found, error.unwrap_or_default());
    }
    Some(parsed)
}

/// `{"level", "message", "module", "timestamp", "context": {…}, "error": {"message", "code", "stack"}}`
fn parse_json<'a>(record: &'a str, reading: &Reading) -> Option<Parsed<'a>> {
    let (mut parsed, found) = Parsed::of_json(json::parse(record, reading)?);
    match parsed.message.clone() {
        Cow::Borrowed(status) if is_status(status) => understand_status(&mut parsed, status),
        message => understand(&mut parsed, &message, found, ""),
    }
    Some(parsed)
}

fn is_status(message: &str) -> bool {
    message.starts_with("Synced - ")
        || message.starts_with("Syncing - ")
        || message.starts_with("Searching peers")
        || message.starts_with("Searching for peers")
        || message.starts_with("Sync progress ")
}

enum When {
    /// Month and day, time of day; the year is not printed.
    Wall { day: (u32, u32), time: NaiveTime },
    /// Old versions print the year.
    Full(Printed),
    /// `Eph EPOCH/SLOT_OF_EPOCH SECONDS`: no time without the chain's genesis.
    Epoch(i64),
}

/// The time at the beginning of a line, and the rest from the bracket on.
fn prefix(line: &str) -> Option<(When, &str)> {
    if let Some(rest) = line.strip_prefix("Eph ") {
        let bracket = rest.find('[')?;
        let (epoch, _) = rest[..bracket].split_once('/')?;
        return Some((When::Epoch(epoch.parse().ok()?), &rest[bracket..]));
    }
    let (when, rest) = match full(line) {
        Some((time, rest)) => (When::Full(time), rest),
        None => {
            let month = month(line.get(..3)?)?;
            let (day, rest) = line[3..].strip_prefix('-')?.split_once(' ')?;
            let (time, rest) = clock(rest)?;
            let day = (month, day.parse().ok()?);
            (When::Wall { day, time }, rest)
        }
    };
    // Old versions have a blank before the module.
    let rest = rest.trim_start_matches(' ');
    rest.starts_with('[').then_some((when, rest))
}

/// Finds what the message is about and types what it carries. `error` is the error's own text, where one was printed
/// behind the fields.
fn understand<'a>(parsed: &mut Parsed<'a>, head: &str, found: Pairs<'a>, error: &'a str) {
    parsed.action = action(parsed, head, &found);
    for (key, value) in found.0 {
        match value {
            // The error's text follows the last field without a separator.
            Cow::Borrowed(value) => {
                let value = value.strip_suffix(error).unwrap_or(value).trim();
                if !understand_field(parsed, &key, value) {
                    parsed.keep(key, value);
                }
            }
            value if matches!(&*key, "err" | "error") && !parsed.fields.has("error.message") => {
                parsed.fields.set_text("error.message", value);
            }
            value => parsed.keep(key, value),
        }
    }
    if !error.trim().is_empty() {
        parsed.fields.set_text("error.message", error.trim());
    }
}

fn action(parsed: &Parsed, head: &str, found: &Pairs) -> Action {
    let is_problem = parsed.level >= Some(Level::Warn);
    match head {
        "New chain head" | "Processed new chain head" => Action::HeadUpdated,
        "Block processed" => Action::BlockImported,
        "Received gossip block" => Action::BlockReceived,
        "Chain reorg" => Action::Reorg,
        "Clock slot" => Action::SlotStart,
        "Low peer count" => Action::LowPeers,
        "Checkpoint finalized" | "Fork choice finalized" if found.has("epoch") => Action::Finalized,
        "Imported block"
        | "Transitioned gossip block"
        | "Verified block signatures"
        | "Verified execution payload" => Action::Performance,
        "Lodestar" => Action::Lifecycle,
        _ if keys::starts_in_any_case(head, "stopping gracefully") => Action::Lifecycle,
        _ if head.starts_with("Block error") && is_execution_error(found) => Action::PayloadInvalid,
        _ if is_problem => problem(&head.to_ascii_lowercase()),
        _ => Action::Generic,
    }
}

/// What a warning or an error, in lower case, is about.
fn problem(head: &str) -> Action {
    match head {
        _ if is_duty(head) => Action::ValidatorProblem,
        _ if is_engine_silent(head) => Action::EngineOffline,
        _ => Action::Generic,
    }
}

fn is_execution_error(found: &Pairs) -> bool {
    found
        .get("code")
        .is_some_and(|code| code.contains("EXECUTION"))
}

fn is_duty(head: &str) -> bool {
    [
        "error proposing",
        "error producing",
        "error signing",
        "error publishing",
        "failed to produce",
    ]
    .iter()
    .any(|start| head.starts_with(start))
}

fn is_engine_silent(head: &str) -> bool {
    let names_engine = ["execution client", "execution engine", "execution layer"]
        .iter()
        .any(|name| head.contains(name));
    names_engine
        && [
            "offline",
            "unreachable",
            "unavailable",
            "auth failed",
            "authentication failed",
            "econnrefused",
        ]
        .iter()
        .any(|word| head.contains(word))
}

/// Whether the field has a type of its own; if not, it is kept as text.
fn understand_field<'a>(parsed: &mut Parsed<'a>, key: &str, value: &'a str) -> bool {
    let first = value.split(' ').next().unwrap_or_default();
    let action = parsed.action;
    match key {
        "slot" => {
            if action == Action::Reorg {
                parsed.set_number("ethereum.reorg.new_slot", first);
            }
            parsed.set_number("ethereum.slot", first)
        }
        "epoch" if action == Action::Finalized => {
            parsed.set_number("ethereum.finalized.epoch", first)
        }
        "epoch" | "prevEpoch" | "nextEpoch" => parsed.set_number("ethereum.epoch", first),
        "prepareSlot" => parsed.set_number("ethereum.slot", first),
        "root" | "rootHex" if action == Action::Finalized => {
            parsed.set_hash(hash::FINALIZED_ROOT, first)
        }
        "root" | "rootHex" | "blockRoot" | "beaconBlockRoot" | "newChainHeadRoot" => {
            parsed.set_hash(hash::BLOCK_ROOT, first)
        }
        "headSlot" => parsed.set_number("ethereum.head.slot", first),
        "head" | "headRoot" => parsed.set_hash(hash::HEAD_ROOT, first),
        "finalizedEpoch" => parsed.set_number("ethereum.finalized.epoch", first),
        "proposerIndex" => parsed.set_number("ethereum.proposer_index", first),
        "peers" => parsed.set_number("ethereum.peers.connected", first),
        "depth" if action == Action::Reorg => {
            parsed.set_number("ethereum.reorg.reported_depth", first)
        }
        "newHeadBlock" => parsed.set_hash(hash::NEW_ROOT, first),
        "oldHeadBlock" => parsed.set_hash(hash::OLD_ROOT, first),
        "delaySec" => parsed.set_float("ethereum.delay_ms", duration::seconds_to_ms(first)),
        "recvToImportedBlock"
        | "recvToTransition"
        | "recvToSigVer"
        | "recvToVerifiedExecPayload" => {
            parsed.set_float("ethereum.duration_ms", duration::seconds_to_ms(first))
        }
        "version" if action == Action::Lifecycle => {
            parsed.fields.set_text("service.version", first);
            true
        }
        "err" | "error" => parsed.fields.set_text("error.message", value),
        _ => keys::consensus(parsed, key, value),
    }
}

/// `Synced - slot: 13 (skipped 1) - head: 12 0x6f9f…5129 - execution: valid(0x3c05…94da) - finalized: 0x0000…0000:0 - peers: 1`
/// and `Syncing - 22 seconds left - 4.92 slots/s - slot: 6264971 - head: (slot - 108) 0xd15f…b605 - …`
fn understand_status<'a>(parsed: &mut Parsed<'a>, status: &'a str) {
    let state = status.split(" - ").next().unwrap_or_default();
    let state = match state.strip_prefix("Sync progress ") {
        Some(progress) => {
            old_progress(parsed, progress);
            "Syncing"
        }
        None => state,
    };
    parsed.fields.set_text(
        "ethereum.sync.state",
        state.to_ascii_lowercase().replace(' ', "_"),
    );
    let mut slot = None;
    // Old versions name the slot's block, a word where there is none, and give roots with their slots.
    if let Some(value) = value_of(status, "block") {
        slot = number::integer(keys::first_word(value));
        parsed.set_some("ethereum.slot", slot);
    }
    if let Some(value) = value_of(status, "slot").or_else(|| value_of(status, "clockSlot")) {
        let (number, skipped) = value.split_once(" (skipped ").unwrap_or((value, ""));
        slot = number.parse::<i64>().ok();
        parsed.set_some("ethereum.slot", slot);
        parsed.keep("skipped", skipped.trim_end_matches(')'));
    }
    if let Some(value) = value_of(status, "head") {
        understand_head(parsed, value, slot);
    }
    if let Some(value) = value_of(status, "exec-block").or_else(|| value_of(status, "execution")) {
        // The payload's status, then its number (newer versions) and hash.
        let (verdict, payload) = value
            .trim_end_matches(')')
            .split_once('(')
            .unwrap_or((value, ""));
        parsed.keep("execution", verdict);
        let (number, hash) = payload.split_once(' ').unwrap_or(("", payload));
        parsed.set_number("ethereum.block.number", number);
        parsed.set_hash(hash::BLOCK_HASH, hash);
    }
    // `0x6981…682f:195778`, once `1173120 0x24ad…eb79 (36660)`.
    if let Some((root, epoch)) = value_of(status, "finalized").and_then(|value| {
        let old = value
            .strip_suffix(')')
            .and_then(|value| value.rsplit_once(" ("));
        old.or_else(|| value.rsplit_once(':'))
    }) {
        parsed.set_hash(
            hash::FINALIZED_ROOT,
            root.rsplit(' ').next().unwrap_or_default(),
        );
        parsed.set_number("ethereum.finalized.epoch", epoch);
    }
    if let Some(value) = value_of(status, "peers") {
        parsed.set_number("ethereum.peers.connected", value);
    }
    for part in status.split(" - ") {
        if let Some(left) = part.strip_suffix(" left") {
            keys::eta(parsed, left);
        } else if let Some(rate) = part.strip_suffix(" slots/s") {
            parsed.set_float("ethereum.sync.rate_slots_s", number::decimal(rate));
        }
    }
    parsed.action = match state {
        "Syncing" => Action::SyncProgress,
        "Synced" => Action::SlotStart,
        // It looks for peers.
        _ => Action::LowPeers,
    };
}

/// `10910/10949`
fn old_progress(parsed: &mut Parsed, progress: &str) {
    let Some((done, all)) = progress.split_once('/') else {
        return;
    };
    let (done, all) = (number::integer(done), number::integer(all));
    parsed.set_some("ethereum.head.slot", done);
    parsed.set_some("ethereum.slot", all);
    let distance = all.zip(done).and_then(|(all, done)| all.checked_sub(done));
    parsed.set_some("ethereum.sync.distance", distance);
}

/// `12 0x6f9f…5129`, `(slot - 108) 0xd15f…b605`, or the root alone, which is that of the slot itself.
fn understand_head<'a>(parsed: &mut Parsed<'a>, value: &'a str, slot: Option<i64>) {
    let (place, root) = value.rsplit_once(' ').unwrap_or(("", value));
    let behind = place
        .strip_prefix("(slot -")
        .and_then(|rest| rest.trim_end_matches(')').trim().parse::<i64>().ok());
    let head_slot = match (place, behind) {
        ("", _) => slot,
        (_, Some(behind)) => {
            parsed.fields.set_integer("ethereum.sync.distance", behind);
            slot.and_then(|slot| slot.checked_sub(behind))
        }
        (place, None) => place.parse().ok(),
    };
    parsed.set_some("ethereum.head.slot", head_slot);
    parsed.set_hash(hash::HEAD_ROOT, root);
}

/// The text between `name: ` and the next ` - name: ` or the end.
fn value_of<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    let mut rest = status;
    loop {
        rest = rest.split_once(" - ")?.1;
        let Some(value) = rest
            .strip_prefix(name)
            .and_then(|value| value.strip_prefix(": "))
        else {
            continue;
        };
        let is_name = |text: &str| {
            let name = text.split_once(": ").map_or("", |(name, _)| name);
            !name.is_empty()
                && name
                    .bytes()
                    .all(|byte| byte.is_ascii_alphabetic() || byte == b'-')
        };
        let mut ends = value.match_indices(" - ").map(|(at, _)| at);
        let end = ends.find(|at| is_name(&value[at + 3..]));
        return Some(value[..end.unwrap_or(value.len())].trim());
    }
}
