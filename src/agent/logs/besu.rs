//! Besu: log4j's `time | thread | LEVEL | class | message`, its console and its JSON. Its sentences have two generations:
//! `Imported #1 / 94 tx / … in 0.558s. Peers: 25` and `Imported #1  (7fb0b.....80ce5)|    0 tx| … | peers:  7`.

use super::record::{Parsed, Reading};
use super::text::level::Level;
use super::text::{duration, hash, json, number};
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
            parsed.take(pairs, keys::execution);
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
    let is_problem = parsed.level >= Some(Level::Warn);
    let starts = |start: &str| message.starts_with(start);
    parsed.action = if let Some(block) = message.strip_prefix("Imported #") {
        imported(parsed, block);
        Action::BlockImported
    } else if let Some(block) = message.strip_prefix("Produced #") {
        imported(parsed, block);
        Action::Generic
    } else if let Some(rest) = message.strip_prefix("Chain Reorganization ") {
        reorg(parsed, rest);
        Action::Reorg
    } else if starts("VALID for fork-choice-update") || starts("FCU(VALID)") {
        head(parsed, message);
        Action::HeadUpdated
    } else if starts("SYNCING for fork-choice-update") || starts("FCU(SYNCING)") {
        head(parsed, message);
        Action::SyncProgress
    } else if starts("Invalid new payload")
        || starts("INVALID for fork-choice-update")
        || starts("FCU(INVALID")
    {
        invalid(parsed, message);
        Action::PayloadInvalid
    } else if starts("No sync target") || starts("Waiting for ") && message.contains("peer") {
        let peers = message
            .rsplit_once("Current peers: ")
            .or_else(|| message.rsplit_once(" peers: "));
        parsed.set_some("ethereum.peers.connected", leading_after(peers));
        Action::LowPeers
    } else if starts("Unable to find sync target")
        || starts("Block import progress")
        || starts("Downloading")
        || starts("Block download")
        || starts("Import progress")
        || starts("Backward sync")
        || starts("Completed importing chain segment")
        || starts("Worldstate download")
        || starts("World state download")
        || starts("Healed ")
        || starts("Selecting new pivot")
        || starts("Pivot block")
    {
        progress(parsed, message);
        Action::SyncProgress
    } else if let Some((_, rest)) = message.split_once("has been blocked for ") {
        parsed.set_float(
            "ethereum.duration_ms",
            duration::leading(rest).map(|(ms, _)| ms),
        );
        Action::Performance
    } else if starts("Execution engine not called") {
        parsed.fields.set_text("error.message", message);
        Action::EngineOffline
    } else if starts("Starting Besu") || starts("Besu version") || starts("Besu stopped") {
        let version = message
            .split_once("version: ")
            .map(|(_, version)| keys::first_word(version));
        if let Some(version) = version {
            parsed
                .fields
                .set_text("service.version", version.trim_end_matches(';'));
        }
        Action::Lifecycle
    } else if let Some((block, rest)) = message
        .strip_prefix("Invalid block ")
        .and_then(number::leading_integer)
    {
        parsed.fields.set_integer("ethereum.block.number", block);
        let hash = keys::between(rest, "(", &[')']).unwrap_or_default();
        parsed.set_hash(hash::BLOCK_HASH, hash);
        Action::PayloadInvalid
    } else if is_problem
        && ["Invalid block", "Bad block", "Block processing error"]
            .iter()
            .any(|complaint| starts(complaint))
    {
        Action::PayloadInvalid
    } else {
        Action::Generic
    };
}

/// `Completed importing chain segment 6364401 to 6367600 (3200 blocks in 10187ms), Peers: 21` and
/// `Backward sync phase 2 of 2, … (current head 18148064, target head 18149064). Peers: 25`
fn progress<'a>(parsed: &mut Parsed<'a>, message: &'a str) {
    let number_after = |start: &str| leading_after(message.split_once(start));
    let (current, target) = (number_after("current head "), number_after("target head "));
    let segment = message
        .split_once(" to ")
        .filter(|_| message.starts_with("Completed importing"));
    parsed.set_some("ethereum.block.number", current.or(leading_after(segment)));
    let distance = target
        .zip(current)
        .and_then(|(target, current)| target.checked_sub(current));
    parsed.set_some("ethereum.sync.distance", distance);
    let time = message
        .split_once(" blocks in ")
        .and_then(|(_, rest)| duration::leading(rest));
    parsed.set_float("ethereum.duration_ms", time.map(|(ms, _)| ms));
    let names = ["Peers: ", "peers: ", "Peer count: "];
    let peers = names.into_iter().find_map(number_after);
    parsed.set_some("ethereum.peers.connected", peers);
}

/// Both generations are a list, separated by ` / ` or by `|`, of values that name themselves.
fn imported<'a>(parsed: &mut Parsed<'a>, text: &'a str) {
    let Some((block, rest)) = number::leading_integer(text) else {
        return;
    };
    parsed.fields.set_integer("ethereum.block.number", block);
    let hash = keys::between(rest, "(0x", &[')']).or_else(|| keys::between(rest, "(", &[')']));
    let parts = if rest.contains('|') {
        rest.split("|")
    } else {
        rest.split(" / ")
    };
    for part in parts {
        part_of_import(parsed, part.trim());
    }
    if let Some(hash) = hash {
        parsed.set_hash(hash::BLOCK_HASH, hash);
    }
}

fn part_of_import<'a>(parsed: &mut Parsed<'a>, part: &'a str) {
    if let Some(fee) = part
        .strip_prefix("base fee ")
        .or_else(|| part.strip_prefix("bfee "))
    {
        parsed.set_some("ethereum.exec.base_fee_wei", number::wei(fee));
    } else if let Some(fee) = part
        .strip_suffix(" bfee")
        .or_else(|| part.strip_suffix(" base"))
    {
        parsed.set_some("ethereum.exec.base_fee_wei", number::wei(fee));
    } else if part.contains("gas") && !part.contains("gas/s") {
        gas(parsed, part);
    } else if let Some(rate) = part.strip_prefix("mgas/s") {
        parsed.set_float("ethereum.exec.mgas_per_s", number::decimal(rate));
    } else if let Some(rate) = part.strip_suffix(" Mgas/s") {
        parsed.set_float("ethereum.exec.mgas_per_s", number::decimal(rate));
    } else if let Some(peers) = part
        .strip_prefix("peers:")
        .or_else(|| part.strip_suffix(" peers"))
    {
        parsed.set_number("ethereum.peers.connected", peers);
    } else if part.starts_with("exec") || part.ends_with("exec") {
        let time = part
            .trim_start_matches("exec time")
            .trim_end_matches("exec");
        parsed.set_float("ethereum.duration_ms", duration::to_ms(time));
    } else if let Some((_, rest)) = part.split_once(") in ") {
        // `(0x6dc7…8003) in 0.558s. Peers: 25`
        parsed.set_float(
            "ethereum.duration_ms",
            duration::leading(rest).map(|(ms, _)| ms),
        );
        let peers = rest.split_once("Peers: ").map(|(_, peers)| peers);
        parsed.set_number("ethereum.peers.connected", peers.unwrap_or_default());
    } else if let Some((count, unit)) = number::leading_integer(part) {
        let field = match keys::first_word(unit.trim_start()) {
            "tx" | "txs" => "ethereum.exec.tx_count",
            "ws" => "ethereum.exec.withdrawals",
            "blobs" | "blob" => "ethereum.exec.blobs",
            _ => return,
        };
        parsed.fields.set_integer(field, count);
    }
}

/// `8,959,450 (29.9%) gas`, `gas used  51,897,982 (  1.3%)`, `8,959,450 (29.9%) gas used`
fn gas<'a>(parsed: &mut Parsed<'a>, part: &'a str) {
    let amount = part.strip_prefix("gas used").unwrap_or(part);
    let used = number::leading_integer(amount).map(|(used, _)| used);
    parsed.set_some("ethereum.exec.gas_used", used);
    let share = keys::between(part, "(", &[')']).and_then(number::share);
    parsed.set_float("ethereum.exec.gas_ratio", share);
}

/// `+3 new / -2 old`, then three lines with the hashes and heights of the old head, the new one and the ancestor.
fn reorg<'a>(parsed: &mut Parsed<'a>, text: &'a str) {
    let count = |sign: char| {
        text.split_once(sign)
            .and_then(|(_, rest)| number::leading_integer(rest))
            .map(|(n, _)| n)
    };
    parsed.set_some("ethereum.reorg.added", count('+'));
    parsed.set_some("ethereum.reorg.dropped", count('-'));
    for line in text.lines().skip(1) {
        let hash = keys::between(line, "hash: ", &[',', ' ']).unwrap_or_default();
        let height = keys::between(line, "height: ", &[',', ' ']).unwrap_or_default();
        match keys::first_word(line.trim_start()) {
            "Old" => {
                parsed.set_hash(hash::OLD_HASH, hash);
            }
            "New" => {
                parsed.set_hash(hash::NEW_HASH, hash);
                parsed.set_number("ethereum.block.number", height);
            }
            "Ancestor" => {
                parsed.set_hash(hash::ANCESTOR_HASH, hash);
                parsed.keep("ancestor_number", height);
            }
            _ => {}
        }
    }
}

/// `… head: HASH, finalized: HASH, safeBlockHash: HASH`, newer versions with bars between.
fn head<'a>(parsed: &mut Parsed<'a>, message: &'a str) {
    let hash = |name: &str| keys::between(message, name, &[',', '|', ' ']).unwrap_or_default();
    parsed.set_hash(hash::BLOCK_HASH, hash("head: "));
    parsed.keep("finalized", hash("finalized: "));
    parsed.keep("safe", hash("safeBlockHash: "));
}

/// `number: N, hash: H, parentHash: H, latestValidHash: H, status: S, validationError: …`
fn invalid<'a>(parsed: &mut Parsed<'a>, message: &'a str) {
    let value = |name: &str| keys::between(message, name, &[',']).unwrap_or_default();
    parsed.set_number("ethereum.block.number", value("number: "));
    parsed.set_hash(hash::BLOCK_HASH, value(" hash: "));
    if let Some((_, error)) = message.split_once("validationError: ") {
        parsed.fields.set_text("error.message", error);
    }
}

fn leading_after(found: Option<(&str, &str)>) -> Option<i64> {
    let (_, rest) = found?;
    number::leading_integer(rest).map(|(number, _)| number)
}
