//! Prysm: logrus' `time="…" level=info msg="…" key=value`, its console form
//! `[2026-03-14 21:40:14]  INFO blockchain: Synced new block slot=…`, and its JSON (also as Fluentd wants it).

use super::record::{Parsed, Reading};
use super::text::level::Level;
use super::text::pairs::{self, Pairs};
use super::text::time::{full, parse_full};
use super::text::{duration, hash, json, number};
use super::vocabulary::Action;
use super::{keys, logfmt};

pub(super) fn begins_record(line: &str) -> bool {
    line.starts_with("{\"") || line.starts_with("time=\"") || console_prefix(line).is_some()
}

/// `None` where the record has none of the forms.
pub(super) fn parse<'a>(record: &'a str, reading: &Reading) -> Option<Parsed<'a>> {
    if record.starts_with('{') {
        let (mut parsed, pairs) = Parsed::of_json(json::parse(record, reading)?);
        let message = parsed.message.clone();
        understand(&mut parsed, &message, pairs);
        return Some(parsed);
    }
    if record.starts_with("time=") {
        let mut line = logfmt::parse(record)?;
        let mut parsed = Parsed::new(line.message_with_fields(record));
        let pairs = &mut line.pairs;
        parsed.time = pairs.read("time", |time| parse_full(time, reading.zone));
        parsed.level = pairs.read("level", Level::parse);
        parsed.logger = line.pairs.take("prefix").unwrap_or_default();
        understand(&mut parsed, &line.message, line.pairs);
        return Some(parsed);
    }
    let (time, level, rest) = console_prefix(record)?;
    let (logger, text) = match rest.split_once(": ") {
        Some((logger, text)) if !logger.contains([' ', '=', '"']) => (logger, text),
        _ => ("", rest),
    };
    let mut parsed = Parsed::of_lines(text);
    parsed.time = time.resolve(reading.zone);
    parsed.level = Some(level);
    parsed.logger = logger.into();
    let (head, pairs) = pairs::scan(text.lines().next().unwrap_or_default());
    understand(&mut parsed, head, pairs);
    Some(parsed)
}

/// `[2026-03-14 21:40:14.12]  INFO `
fn console_prefix(line: &str) -> Option<(super::text::time::Printed, Level, &str)> {
    let (time, rest) = full(line.strip_prefix('[')?)?;
    let (level, rest) = Level::prefix(rest.strip_prefix(']')?.trim_start())?;
    Some((time, level, rest.strip_prefix(' ')?.trim_start()))
}

fn understand<'a>(parsed: &mut Parsed<'a>, head: &str, pairs: Pairs<'a>) {
    parsed.action = action(parsed, head, &pairs);
    let action = parsed.action;
    if head.starts_with("Processing block") {
        batch(parsed, head);
    } else if let Some(slot) = head.strip_prefix("Synced up to slot ") {
        parsed.set_number("ethereum.slot", slot);
    }
    let peers = pairs.get("total").and_then(number::integer);
    parsed.take(pairs, |parsed, key, value| {
        field(parsed, action, key, value) || keys::consensus(parsed, key, value)
    });
    if action == Action::PeerCount {
        parsed.set_some("ethereum.peers.connected", peers);
        sum_directions(parsed);
    }
}

fn action(parsed: &Parsed, head: &str, pairs: &Pairs) -> Action {
    let is_problem = parsed.level >= Some(Level::Warn);
    let error = pairs.get("error").unwrap_or_default();
    match head {
        "Synced new block" => Action::BlockImported,
        // A second line of the same import.
        "Finished applying state transition" | "Synced new payload" => Action::Performance,
        "Received block" => Action::BlockReceived,
        "Chain reorg occurred" => Action::Reorg,
        "Head changed due to attestations" => Action::HeadUpdated,
        "Connected peers" | "Peer summary" => Action::PeerCount,
        "Waiting for enough suitable peers before syncing" => Action::LowPeers,
        "Synced to head of chain"
        | "Range is not processed"
        | "Processing blocks"
        | "Already synced to the current chain head" => Action::SyncProgress,
        "Starting beacon node"
        | "Stopping beacon node"
        | "Starting validator node"
        | "Stopping Prysm validator"
        | "Got interrupt, shutting down..." => Action::Lifecycle,
        _ if head.starts_with("Processing block")
            || head.starts_with("Fallen behind peers")
            || head.starts_with("Synced up to slot ") =>
        {
            Action::SyncProgress
        }
        _ if head.starts_with("Finalized") && pairs.has("epoch") => Action::Finalized,
        _ if is_problem && is_engine_silent(head, error) => Action::EngineOffline,
        _ if is_problem && error.contains("invalid payload") => Action::PayloadInvalid,
        _ if is_problem && is_duty(head) => Action::ValidatorProblem,
        _ => Action::Generic,
    }
}

fn is_engine_silent(head: &str, error: &str) -> bool {
    let names_engine = [
        "execution endpoint",
        "execution client",
        "execution node",
        "execution engine",
    ]
    .iter()
    .any(|name| head.contains(name));
    let is_silent = [
        "Could not connect",
        "not connect",
        "unreachable",
        "timeout",
        "timed out",
    ]
    .iter()
    .any(|word| head.contains(word) || error.contains(word));
    names_engine && is_silent
}

fn is_duty(head: &str) -> bool {
    const STARTS: [&str; 6] = [
        "Failed to propose",
        "Failed to request",
        "Failed to sign",
        "Could not submit",
        "Could not propose",
        "Could not request attestation",
    ];
    STARTS.iter().any(|start| head.starts_with(start))
}

/// `Processing block batch of size 64 starting from  0x02133ae6... 8413220/8413284 - estimated time remaining 3s`
fn batch(parsed: &mut Parsed, head: &str) {
    let (done, eta) = head.split_once(" - ").unwrap_or((head, ""));
    progress(parsed, done.rsplit(' ').next().unwrap_or_default());
    keys::eta(
        parsed,
        eta.strip_prefix("estimated time remaining ")
            .unwrap_or_default(),
    );
}

/// `8413220/8413284`: done of all. Whether it is that.
fn progress(parsed: &mut Parsed, slots: &str) -> bool {
    let slots = slots
        .split_once('/')
        .and_then(|(done, all)| number::integer(done).zip(number::integer(all)));
    let Some((done, all)) = slots else {
        return false;
    };
    parsed.fields.set_integer("ethereum.head.slot", done);
    parsed.fields.set_integer("ethereum.slot", all);
    let distance = all.saturating_sub(done);
    parsed
        .fields
        .set_integer("ethereum.sync.distance", distance)
}

/// Newer versions count each transport apart; the sum of those seen so far is kept in the field.
fn add(parsed: &mut Parsed, field: &'static str, value: &str) -> bool {
    let before = parsed.fields.get_integer(field).unwrap_or(0);
    let sum = number::integer(value).and_then(|number| before.checked_add(number));
    if let Some(sum) = sum {
        parsed.fields.replace_integer(field, sum);
    }
    sum.is_some()
}

/// Where no total was printed.
fn sum_directions(parsed: &mut Parsed) {
    let of = |field| parsed.fields.get_integer(field);
    let sum = of("ethereum.peers.inbound").zip(of("ethereum.peers.outbound"));
    if let Some((inbound, outbound)) = sum
        && !parsed.fields.has("ethereum.peers.connected")
    {
        parsed
            .fields
            .set_integer("ethereum.peers.connected", inbound.saturating_add(outbound));
    }
}

fn field<'a>(parsed: &mut Parsed<'a>, action: Action, key: &str, value: &'a str) -> bool {
    match key {
        "epoch" if action == Action::Finalized => {
            parsed.set_number("ethereum.finalized.epoch", value)
        }
        "root" if action == Action::Finalized => parsed.set_hash(hash::FINALIZED_ROOT, value),
        "newSlot" => {
            parsed.set_number("ethereum.slot", value);
            parsed.set_number("ethereum.reorg.new_slot", value)
        }
        "oldSlot" => parsed.set_number("ethereum.reorg.old_slot", value),
        "commonAncestorSlot" => parsed.set_number("ethereum.reorg.ancestor_slot", value),
        "depth" if action == Action::Reorg => {
            parsed.set_number("ethereum.reorg.reported_depth", value)
        }
        "newRoot" | "newHeadRoot" if action == Action::HeadUpdated => {
            parsed.set_hash(hash::BLOCK_ROOT, value)
        }
        "newRoot" => parsed.set_hash(hash::NEW_ROOT, value),
        "oldRoot" => parsed.set_hash(hash::OLD_ROOT, value),
        "commonAncestorRoot" => parsed.set_hash(hash::ANCESTOR_ROOT, value),
        "inbound" | "inboundTCP" | "inboundQUIC" => add(parsed, "ethereum.peers.inbound", value),
        "outbound" | "outboundTCP" | "outboundQUIC" => {
            add(parsed, "ethereum.peers.outbound", value)
        }
        "target" if action == Action::PeerCount => {
            parsed.set_number("ethereum.peers.target", value)
        }
        "required" if action == Action::LowPeers => {
            parsed.set_number("ethereum.peers.target", value)
        }
        "suitable" if action == Action::LowPeers => {
            parsed.set_number("ethereum.peers.connected", value)
        }
        "remainingActivePeers" => parsed.set_number("ethereum.peers.connected", value),
        "latestProcessedSlot/currentSlot" => progress(parsed, value),
        "estimatedTimeRemaining" => keys::eta(parsed, value),
        "gasUtilized" => parsed.set_float("ethereum.exec.gas_ratio", number::decimal(value)),
        "timeSinceSlotStart" => parsed.set_float("ethereum.delay_ms", elapsed_ms(value)),
        "blocksPerSecond" => parsed.set_float("ethereum.sync.rate_slots_s", number::decimal(value)),
        "sinceSlotStartTime" => parsed.set_float("ethereum.delay.total_ms", elapsed_ms(value)),
        "chainServiceProcessedTime" => {
            parsed.set_float("ethereum.delay.consensus_ms", elapsed_ms(value))
        }
        "dataAvailabilityWaitedTime" => {
            parsed.set_float("ethereum.delay.available_ms", elapsed_ms(value))
        }
        "elapsed" | "duration" | "validationTime" => {
            parsed.set_float("ethereum.duration_ms", elapsed_ms(value))
        }
        "version" if action == Action::Lifecycle => {
            parsed.fields.set_text("service.version", value);
            true
        }
        _ => false,
    }
}

/// Go's form in text; nanoseconds, bare, in JSON.
fn elapsed_ms(value: &str) -> Option<f64> {
    duration::to_ms(value).or_else(|| number::decimal(value).map(|ns| ns / 1e6))
}
