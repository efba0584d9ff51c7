//! Lighthouse, both generations: `Mar 14 21:40:11.006 INFO Synced    slot: 1, block: 0x…, service: slot_notifier` (slog)
//! and `Mar 14 21:40:11.006 INFO  Synced    peers: "71", slot: 1` (tracing), with or without the place in the code; and
//! the JSON of both.

use super::keys;
use super::record::{Parsed, Reading};
use super::text::level::Level;
use super::text::pairs::Pairs;
use super::text::time::{LogTime, month_day};
use super::text::{colon, duration, hash, json, number};
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
    let (level, rest) = prefix(record)?;
    let (logger, text) = without_place(rest);
    let mut parsed = Parsed::of_lines(text);
    parsed.time = time_of(record, reading);
    parsed.level = Some(level);
    parsed.logger = logger.into();
    let line = text.lines().next().unwrap_or_default();
    let (head, pairs) = colon::scan(line);
    understand(&mut parsed, head, pairs);
    Some(parsed)
}

/// The level of a line, and what follows it. The time may be switched off, the level never is.
fn prefix(line: &str) -> Option<(Level, &str)> {
    let rest = match month_day(line) {
        Some((_, _, rest)) => rest.strip_prefix(' ')?,
        None => line.strip_prefix(' ')?,
    };
    let (level, rest) = Level::prefix(rest)?;
    let is_loud = line[..line.len() - rest.len()].ends_with(|c: char| c.is_ascii_uppercase());
    Some((level, rest.strip_prefix(' ').filter(|_| is_loud)?))
}

fn time_of(line: &str, reading: &Reading) -> Option<LogTime> {
    let (day, time, _) = month_day(line)?;
    reading.zone.resolve_yearless(day, time, reading.written_at)
}

/// `module::path::file.rs:12 message`: a debug option puts it before the message.
fn without_place(text: &str) -> (&str, &str) {
    let text = text.trim_start();
    let (place, rest) = text.split_once(' ').unwrap_or((text, ""));
    let is_place = place.contains("::")
        && place
            .rsplit_once(':')
            .is_some_and(|(_, line)| number::integer(line).is_some());
    if is_place {
        (place, rest.trim_start())
    } else {
        ("", text)
    }
}

fn understand<'a>(parsed: &mut Parsed<'a>, head: &str, pairs: Pairs<'a>) {
    parsed.action = action(parsed.level, head, &pairs);
    let action = parsed.action;
    parsed.take(pairs, |parsed, key, value| {
        field(parsed, action, key, value) || keys::consensus(parsed, key, value)
    });
    if action == Action::SlotStart {
        parsed.fields.set_text("ethereum.sync.state", "synced");
        keys::head_of_slot(parsed);
    }
}

fn action(level: Option<Level>, head: &str, pairs: &Pairs) -> Action {
    let error = || pairs.get("error").unwrap_or_default();
    let is_problem = level >= Some(Level::Warn);
    match head {
        "Synced" | "Synced to previous epoch" | "Synced to current epoch" => Action::SlotStart,
        "Syncing"
        | "Sync state updated"
        | "Downloading historical blocks"
        | "Historical block download complete" => Action::SyncProgress,
        "Low peer count" | "Searching for peers" => Action::LowPeers,
        "New block received" | "New RPC block received" | "Successfully verified gossip block" => {
            Action::BlockReceived
        }
        "Beacon block imported" | "Block imported" => Action::BlockImported,
        "Delayed head block" => Action::LateBlock,
        "On-time head block" | "Head beacon block" | "Fork choice updated head" => {
            Action::HeadUpdated
        }
        "Beacon chain re-org" => Action::Reorg,
        "Lighthouse started"
        | "Lighthouse stopped"
        | "Internal shutdown received"
        | "Shutting down.."
        | "Shutting down" => Action::Lifecycle,
        "Execution engine call failed"
        | "Failed to update execution head"
        | "Error during execution engine upcheck"
            if is_unreachable(error()) =>
        {
            Action::EngineOffline
        }
        "Execution engine call failed"
        | "Failed to update execution head"
        | "Invalid execution payload"
        | "Invalid execution payload in block"
        | "INVALID block hash" => Action::PayloadInvalid,
        "Error during execution engine upcheck"
        | "Execution engine offline"
        | "Execution engines offline"
        | "Execution endpoint is not accessible"
        | "Error connecting to eth1 node endpoint" => Action::EngineOffline,
        _ if head.starts_with("Syncing - ") => Action::SyncProgress,
        _ if is_problem && is_duty(head) => Action::ValidatorProblem,
        _ if is_problem && head.starts_with("Previous epoch") && head.ends_with("missing") => {
            Action::ValidatorProblem
        }
        _ => Action::Generic,
    }
}

fn is_unreachable(error: &str) -> bool {
    [
        "Reqwest",
        "HttpClient",
        "TimedOut",
        "timed out",
        "Connection",
        "Offline",
        "Auth",
    ]
    .iter()
    .any(|word| error.contains(word))
}

fn is_duty(head: &str) -> bool {
    const STARTS: [&str; 9] = [
        "Error whilst producing",
        "Error during attestation",
        "Failed to produce",
        "Failed to publish",
        "Failed to sign",
        "Failed to download attester duties",
        "Unable to publish",
        "Producing block at incorrect slot",
        "Skipping proposer preparation",
    ];
    STARTS.iter().any(|start| head.starts_with(start))
}

/// Names that mean something else than usual here.
fn field<'a>(parsed: &mut Parsed<'a>, action: Action, key: &str, value: &'a str) -> bool {
    match key {
        // The status line's block is the head; a skipped slot has words instead.
        "block" | "block_root" if action == Action::SlotStart => {
            parsed.set_hash(hash::HEAD_ROOT, value)
        }
        "new_slot" => {
            parsed.set_number("ethereum.slot", value);
            parsed.set_number("ethereum.reorg.new_slot", value)
        }
        "previous_slot" => parsed.set_number("ethereum.reorg.old_slot", value),
        "reorg_distance" => parsed.set_number("ethereum.reorg.reported_depth", value),
        "new_head_slot" if action == Action::HeadUpdated => {
            parsed.set_number("ethereum.slot", value)
        }
        "new_head_block_root" if action == Action::HeadUpdated => {
            parsed.set_hash(hash::BLOCK_ROOT, value)
        }
        "new_head" => parsed.set_hash(hash::NEW_ROOT, value),
        "previous_head" => parsed.set_hash(hash::OLD_ROOT, value),
        // `0x1e10…9a0d/421000`
        "finalized_checkpoint" => {
            let finalized = ("ethereum.finalized.epoch", hash::FINALIZED_ROOT);
            keys::checkpoint(parsed, value, '/', finalized)
        }
        // `262 slots (52 mins)`
        "distance" => parsed.set_number("ethereum.sync.distance", keys::first_word(value)),
        "speed" => {
            let rate = value.strip_suffix(" slots/sec").and_then(number::decimal);
            parsed.set_float("ethereum.sync.rate_slots_s", rate)
        }
        "est_time" => keys::eta(parsed, value),
        "sync_state" => {
            parsed.fields.set_text("ethereum.sync.state", value);
            true
        }
        "version" if action == Action::Lifecycle => {
            parsed.fields.set_text("service.version", value);
            true
        }
        _ => delay(parsed, key, value),
    }
}

/// `Some(5.1s)` of the first generation, bare milliseconds of the second; what is unknown is absent.
fn delay<'a>(parsed: &mut Parsed<'a>, key: &str, value: &'a str) -> bool {
    let field = match key {
        "block_delay" | "total_delay_ms" => "ethereum.delay.total_ms",
        "observed_delay" | "observed_delay_ms" => "ethereum.delay.observed_ms",
        "blob_delay" | "blob_delay_ms" => "ethereum.delay.blobs_ms",
        "consensus_time_ms" => "ethereum.delay.consensus_ms",
        "execution_time_ms" => "ethereum.delay.execution_ms",
        "available_delay" | "available_delay_ms" => "ethereum.delay.available_ms",
        "attestable_delay" | "attestable_delay_ms" => "ethereum.delay.attestable_ms",
        "imported_delay" | "imported_time_ms" => "ethereum.delay.imported_ms",
        "set_as_head_delay" | "set_as_head_time_ms" => "ethereum.delay.set_as_head_ms",
        _ => return false,
    };
    let ms = match key.ends_with("_ms") {
        true => duration::plain_ms(value),
        false => duration::to_ms(value),
    };
    parsed.set_float(field, ms)
}
