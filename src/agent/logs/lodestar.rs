//! Lodestar: `Apr-20 15:15:05.000[chain]  verbose: New chain head slot=…, root=…`, the `Eph 0/3 1.234[…]` form of its
//! dev command, and `--logFormat json`. Colours may occur anywhere.

use std::borrow::Cow;

use chrono::NaiveTime;
use serde_json::{Map, Value};

use super::record::{Action, Parsed, Reading};
use super::text::level::Level;
use super::text::time::{month, parse_full, time_of_day};
use super::text::{ansi, duration, pairs};

/// Fields by the name that Lodestar gives them, whatever the message.
type Pairs<'a> = [(&'a str, &'a str)];

pub(super) fn begins_record(line: &str) -> bool {
    let begins = |line: &str| line.starts_with("{\"") || prefix(line).is_some();
    // Colours rarely come as early as the time.
    begins(line) || matches!(ansi::strip(line), Cow::Owned(line) if begins(&line))
}

/// `None` where the record has none of the forms.
pub(super) fn parse(record: &str, reading: &Reading) -> Option<Parsed> {
    let record = ansi::strip(record);
    if record.starts_with('{') {
        return parse_json(&record, reading);
    }
    let (line, more) = match record.split_once('\n') {
        Some((line, more)) => (line, Some(more)),
        None => (record.as_ref(), None),
    };
    let (when, line) = prefix(line)?;
    let (logger, rest) = line.strip_prefix('[')?.split_once(']')?;
    let (level, message) = rest.trim_start().split_once(':')?;
    let message = message.trim();
    let (head, found) = pairs::scan(message);

    let mut parsed = Parsed::new(message);
    parsed.level = Some(Level::parse(level)?);
    parsed.logger = logger.trim().to_owned();
    match when {
        When::Wall { day, time } => {
            parsed.time = reading.zone.resolve_yearless(day, time, reading.written_at)
        }
        When::Epoch(epoch) => parsed.fields.set("ethereum.epoch", epoch),
    }
    parsed.stack_trace = more.map(ToOwned::to_owned);
    let error = more
        .and_then(|trace| trace.lines().next())
        .map(|line| line.trim().trim_start_matches("Error: "));
    understand(&mut parsed, head, &found, error.unwrap_or_default());
    Some(parsed)
}

/// `{"level", "message", "module", "timestamp", "context": {…}, "error": {"message", "code", "stack"}}`
fn parse_json(record: &str, reading: &Reading) -> Option<Parsed> {
    let mut object: Map<String, Value> = serde_json::from_str(record).ok()?;
    let message = object.remove("message")?.as_str()?.to_owned();
    let text = |object: &Map<String, Value>, key: &str| Some(object.get(key)?.as_str()?.to_owned());
    let mut parsed = Parsed::new(message.as_str());
    parsed.level = Level::parse(object.get("level")?.as_str()?);
    parsed.logger = text(&object, "module").unwrap_or_default();
    parsed.time = parse_full(&text(&object, "timestamp")?, reading.zone);
    let error = match object.get("error") {
        Some(Value::Object(error)) => {
            parsed.stack_trace = text(error, "stack");
            text(error, "message").or_else(|| text(error, "code"))
        }
        _ => None,
    };
    let context = match object.remove("context") {
        Some(Value::Object(context)) => context,
        _ => Map::new(),
    };
    let plain = |value: Value| match value {
        Value::String(text) => text,
        other => other.to_string(),
    };
    let found: Vec<(String, String)> = context
        .into_iter()
        .map(|(key, value)| (key, plain(value)))
        .collect();
    let found: Vec<_> = found
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_str()))
        .collect();
    understand(&mut parsed, &message, &found, &error.unwrap_or_default());
    Some(parsed)
}

enum When {
    /// Month and day, time of day; the year is not printed.
    Wall { day: (u32, u32), time: NaiveTime },
    /// `Eph EPOCH/SLOT_OF_EPOCH SECONDS`: no time without the chain's genesis.
    Epoch(u64),
}

/// The time at the beginning of a line, and the rest from the bracket on.
fn prefix(line: &str) -> Option<(When, &str)> {
    if let Some(rest) = line.strip_prefix("Eph ") {
        let bracket = rest.find('[')?;
        let (epoch, _) = rest[..bracket].split_once('/')?;
        return Some((When::Epoch(epoch.parse().ok()?), &rest[bracket..]));
    }
    const LENGTH: usize = "Apr-20 15:15:05.000".len();
    let (stamp, rest) = line.split_at_checked(LENGTH)?;
    let (date, time) = stamp.split_once(' ')?;
    let (name, day) = date.split_once('-')?;
    let day = (month(name)?, day.parse().ok()?);
    let time = time_of_day(time)?;
    rest.starts_with('[')
        .then_some((When::Wall { day, time }, rest))
}

/// Finds what the message is about and types what it carries. `error` is the error's own text, where one was printed.
fn understand(parsed: &mut Parsed, head: &str, found: &Pairs, error: &str) {
    let is_status = head.starts_with("Synced - ")
        || head.starts_with("Syncing - ")
        || head.starts_with("Searching peers");
    parsed.action = if is_status {
        understand_status(parsed, head)
    } else {
        action(parsed, head, found)
    };
    for (key, value) in found {
        // The error's text follows the last field without a separator.
        let value = value.strip_suffix(error).unwrap_or(value).trim();
        if !understand_field(parsed, key, value) {
            parsed.keep(key, value);
        }
    }
    if !error.trim().is_empty() {
        parsed.fields.set("error.message", error.trim());
    }
}

fn action(parsed: &mut Parsed, head: &str, found: &Pairs) -> Action {
    let has = |key: &str| found.iter().any(|(name, _)| *name == key);
    let is_problem = parsed.level >= Some(Level::Warn);
    let begins = |start: &str| {
        let begin = head.get(..start.len());
        begin.is_some_and(|begin| begin.eq_ignore_ascii_case(start))
    };
    match head {
        "New chain head" => Action::HeadUpdated,
        "Block processed" => Action::BlockImported,
        "Received gossip block" => Action::BlockReceived,
        "Chain reorg" => Action::Reorg,
        "Clock slot" => Action::SlotStart,
        "Low peer count" => Action::LowPeers,
        "Checkpoint finalized" | "Fork choice finalized" if has("epoch") => Action::Finalized,
        "Imported block"
        | "Transitioned gossip block"
        | "Verified block signatures"
        | "Verified execution payload" => Action::Performance,
        "Lodestar" => Action::Lifecycle,
        _ if begins("stopping gracefully") => Action::Lifecycle,
        _ if head.starts_with("Block error") && is_execution_error(found) => Action::PayloadInvalid,
        _ if is_problem && DUTIES.iter().any(|duty| begins(duty)) => Action::ValidatorProblem,
        _ if is_problem && is_engine_silent(&head.to_ascii_lowercase()) => Action::EngineOffline,
        _ => Action::Generic,
    }
}

fn is_execution_error(found: &Pairs) -> bool {
    found
        .iter()
        .any(|(key, value)| *key == "code" && value.contains("EXECUTION"))
}

/// What a validator's failed duties begin with.
const DUTIES: [&str; 5] = [
    "error proposing",
    "error producing",
    "error signing",
    "error publishing",
    "failed to produce",
];

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
            "econnrefused",
        ]
        .iter()
        .any(|word| head.contains(word))
}

/// Whether the field has a type of its own; if not, it is kept as text.
fn understand_field(parsed: &mut Parsed, key: &str, value: &str) -> bool {
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
        "epoch" => parsed.set_number("ethereum.epoch", first),
        "root" | "rootHex" if action == Action::Finalized => {
            parsed.set_hash("ethereum.finalized.root", first)
        }
        "root" | "rootHex" | "blockRoot" | "beaconBlockRoot" => {
            parsed.set_hash("ethereum.block.root", first)
        }
        "headSlot" => parsed.set_number("ethereum.head.slot", first),
        "head" | "headRoot" => parsed.set_hash("ethereum.head.root", first),
        "finalizedEpoch" => parsed.set_number("ethereum.finalized.epoch", first),
        "proposerIndex" => parsed.set_number("ethereum.proposer_index", first),
        "peers" => parsed.set_number("ethereum.peers.connected", first),
        "depth" if action == Action::Reorg => {
            parsed.set_number("ethereum.reorg.reported_depth", first)
        }
        "newHeadBlock" => parsed.set_hash("ethereum.reorg.new_root", first),
        "oldHeadBlock" => parsed.set_hash("ethereum.reorg.old_root", first),
        "delaySec" => parsed.set_ms("ethereum.delay_ms", duration::seconds_to_ms(first)),
        "recvToImportedBlock"
        | "recvToTransition"
        | "recvToSigVer"
        | "recvToVerifiedExecPayload" => {
            parsed.set_ms("ethereum.duration_ms", duration::seconds_to_ms(first))
        }
        "version" if action == Action::Lifecycle => {
            parsed.fields.set("service.version", first);
            true
        }
        "err" | "error" => {
            parsed.fields.set("error.message", value);
            true
        }
        _ => false,
    }
}

/// `Synced - slot: 13 (skipped 1) - head: 12 0x6f9f…5129 - execution: valid(0x3c05…94da) - finalized: 0x0000…0000:0 - peers: 1`
/// and `Syncing - 22 seconds left - 4.92 slots/s - slot: 6264971 - head: (slot - 108) 0xd15f…b605 - …`
fn understand_status(parsed: &mut Parsed, status: &str) -> Action {
    let state = status.split(" - ").next().unwrap_or_default();
    parsed.fields.set(
        "ethereum.sync.state",
        state.to_ascii_lowercase().replace(' ', "_"),
    );
    let mut slot = None;
    if let Some(value) = value_of(status, "slot") {
        let (number, skipped) = value.split_once(" (skipped ").unwrap_or((value, ""));
        slot = number.parse::<i64>().ok();
        parsed.fields.set_some("ethereum.slot", slot);
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
        parsed.set_hash("ethereum.block.hash", hash);
    }
    if let Some((root, epoch)) =
        value_of(status, "finalized").and_then(|value| value.rsplit_once(':'))
    {
        parsed.set_hash("ethereum.finalized.root", root);
        parsed.set_number("ethereum.finalized.epoch", epoch);
    }
    if let Some(value) = value_of(status, "peers") {
        parsed.set_number("ethereum.peers.connected", value);
    }
    for part in status.split(" - ") {
        if let Some(left) = part.strip_suffix(" left") {
            parsed
                .fields
                .set_some("ethereum.sync.eta_s", seconds_in_words(left));
        } else if let Some(rate) = part.strip_suffix(" slots/s") {
            let rate = rate.parse::<f64>().ok().filter(|rate| rate.is_finite());
            parsed.fields.set_some("ethereum.sync.rate_slots_s", rate);
        }
    }
    if state == "Syncing" {
        Action::SyncProgress
    } else {
        Action::SlotStart
    }
}

/// `12 0x6f9f…5129`, `(slot - 108) 0xd15f…b605`, or the root alone, which is that of the slot itself.
fn understand_head(parsed: &mut Parsed, value: &str, slot: Option<i64>) {
    let (place, root) = value.rsplit_once(' ').unwrap_or(("", value));
    let behind = place
        .strip_prefix("(slot -")
        .and_then(|rest| rest.trim_end_matches(')').trim().parse::<i64>().ok());
    let head_slot = match (place, behind) {
        ("", _) => slot,
        (_, Some(behind)) => {
            parsed.fields.set("ethereum.sync.distance", behind);
            slot.and_then(|slot| slot.checked_sub(behind))
        }
        (place, None) => place.parse().ok(),
    };
    parsed.fields.set_some("ethereum.head.slot", head_slot);
    parsed.set_hash("ethereum.head.root", root);
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
                    .all(|byte| byte.is_ascii_lowercase() || byte == b'-')
        };
        let mut ends = value.match_indices(" - ").map(|(at, _)| at);
        let end = ends.find(|at| is_name(&value[at + 3..]));
        return Some(value[..end.unwrap_or(value.len())].trim());
    }
}

/// `22 seconds`, `3.5 hours`, `1 minute 5 seconds`
fn seconds_in_words(text: &str) -> Option<i64> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let mut total_s = 0.0;
    for pair in words.chunks(2) {
        let [number, unit] = pair else { return None };
        let seconds = match unit.trim_end_matches('s') {
            "second" => 1.0,
            "minute" => 60.0,
            "hour" => 3_600.0,
            "day" => 86_400.0,
            _ => return None,
        };
        total_s += number.parse::<f64>().ok()? * seconds;
    }
    (!words.is_empty() && total_s.is_finite()).then_some(total_s as i64)
}
