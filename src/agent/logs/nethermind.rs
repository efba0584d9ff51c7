//! Nethermind: NLog's console `14 Mar 21:40:13 | message`, the older `time|message|`, the file's
//! `time|LEVEL|[logger|]thread|message`, and the JSON of its structured formats. A processed block is told in one record
//! of three lines, or in three records. What the console calls no level gets none, unless it is a failure.

use chrono::NaiveTime;

use super::keys;
use super::record::{Parsed, Reading};
use super::text::level::Level;
use super::text::time::{Printed, clock, digits, full, month};
use super::text::{duration, hash, json, number};
use super::vocabulary::Action;

pub(super) fn begins_record(line: &str) -> bool {
    line.starts_with("{\"") || console(line).is_some() || file(line).is_some()
}

/// `None` where the record has none of the forms.
pub(super) fn parse<'a>(record: &'a str, reading: &Reading) -> Option<Parsed<'a>> {
    let mut parsed = if record.starts_with('{') {
        let (mut parsed, pairs) = Parsed::of_json(json::parse(record, reading)?);
        parsed.take(pairs, keys::execution);
        parsed
    } else if let Some((day, time, text)) = console(record) {
        let mut parsed = Parsed::of_lines(text);
        parsed.time = reading.zone.resolve_yearless(day, time, reading.written_at);
        parsed
    } else {
        let (time, rest) = file(record)?;
        let mut parsed = file_fields(rest);
        parsed.time = time.resolve(reading.zone);
        parsed
    };
    parsed.read_message(understand);
    parsed.level = parsed.level.or_else(|| level_of_sentence(&parsed));
    Some(parsed)
}

/// `14 Mar 21:40:13 | message`, in newer versions with the year.
fn console(line: &str) -> Option<((u32, u32), NaiveTime, &str)> {
    let (day, rest) = line.split_at_checked(2)?;
    let day = digits(day.as_bytes())?;
    let rest = rest.strip_prefix(' ')?;
    let month = month(rest.get(..3)?)?;
    let rest = rest[3..].strip_prefix(' ')?;
    let rest = match rest.split_once(' ') {
        Some((year, rest)) if year.len() == 4 && digits(year.as_bytes()).is_some() => rest,
        _ => rest,
    };
    let (time, rest) = clock(rest)?;
    let text = rest.trim_start().strip_prefix('|')?;
    Some(((month, day), time, text))
}

/// The time of the file's form, and what follows its bar.
fn file(line: &str) -> Option<(Printed, &str)> {
    let (time, rest) = full(line)?;
    Some((time, rest.strip_prefix('|')?))
}

/// `LEVEL|[logger|]thread|message`, or the message alone.
fn file_fields(text: &str) -> Parsed<'_> {
    let Some((level, rest)) =
        Level::prefix(text).and_then(|(level, rest)| Some((level, rest.strip_prefix('|')?)))
    else {
        return Parsed::of_lines(text.strip_suffix('|').unwrap_or(text));
    };
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let mut fields = rest.splitn(3, '|');
    let (first, second, third) = (
        fields.next().unwrap_or_default(),
        fields.next(),
        fields.next(),
    );
    let (logger, thread, message) = match (second, third) {
        (Some(thread), Some(message)) if is_number(thread) && !is_number(first) => {
            (first, thread, message)
        }
        (Some(_), _) if is_number(first) => ("", first, &rest[first.len() + 1..]),
        _ => ("", "", rest),
    };
    let mut parsed = Parsed::of_lines(message);
    parsed.level = Some(level);
    parsed.logger = logger.into();
    parsed.thread = thread.into();
    parsed
}

/// The console prints no levels; what is wrong is told by the words.
fn level_of_sentence(parsed: &Parsed) -> Option<Level> {
    const COMPLAINTS: [&str; 6] = [
        "Failed",
        "Unable",
        "Cannot",
        "Could not",
        "Rejected",
        "Missing",
    ];
    let complains = || {
        COMPLAINTS
            .iter()
            .any(|word| parsed.message.starts_with(word))
    };
    if parsed.action == Action::PayloadInvalid
        || parsed.stack_trace.is_some()
        || parsed.message.contains("Exception")
    {
        Some(Level::Error)
    } else if matches!(parsed.action, Action::EngineOffline | Action::LowPeers) || complains() {
        Some(Level::Warn)
    } else {
        None
    }
}

fn understand<'a>(parsed: &mut Parsed<'a>, message: &'a str) {
    let starts = |start: &str| keys::starts_in_any_case(message, start);
    let text = message.trim_start_matches(['-', ' ']);
    parsed.action = if starts("Received new block:")
        || starts("Received a new payload:")
        || starts("Discovered new block")
        || starts("Discovered a new block")
    {
        block(parsed, message);
        // An arrow may follow.
        let limit = message.split_once("| limit").map(|(_, rest)| rest);
        let limit = limit.and_then(number::leading_integer);
        parsed.set_some("ethereum.exec.gas_limit", limit.map(|(limit, _)| limit));
        Action::BlockReceived
    } else if starts("Processed ") && processed(parsed, message) {
        Action::BlockImported
    } else if text.starts_with("Block") && text.contains("MGas") {
        line_of_block(parsed, text);
        Action::Performance
    } else if let Some((_, hash)) = message.split_once("HeadBlockHash: ") {
        parsed.set_hash(
            hash::BLOCK_HASH,
            hash.split([',', ')']).next().unwrap_or_default(),
        );
        match starts("Received") {
            true => Action::HeadUpdated,
            // What was answered.
            false => Action::Generic,
        }
    } else if starts("Received ForkChoice") {
        block(parsed, message);
        let finalized = keys::between(message, "Finalized: ", &[',', '.']).unwrap_or_default();
        parsed.keep("finalized", finalized);
        Action::HeadUpdated
    } else if starts("Synced chain head to ")
        || starts("FCU - block")
        || starts("ForkChoiceUpdate: block")
        || message.contains(" was set as head")
    {
        block(parsed, message);
        Action::HeadUpdated
    } else if starts("Valid. Result of a new payload") || starts("Rerunning block") {
        block(parsed, message);
        Action::Generic
    } else if starts("Peers ") || starts("Peers:") || starts("Sync peers") {
        peers(parsed, message);
        Action::PeerCount
    } else if starts("Syncing")
        || starts("Old ")
        || starts("Beacon Headers")
        || starts("Changing sync")
        || starts("Changing state")
        || starts("Sync mode changed")
        || starts("Snap ")
        || starts("State Sync")
        || starts("Fast ")
        || starts("Downloaded")
        || starts("Branch sync progress")
    {
        Action::SyncProgress
    } else if starts("Reorganized") || starts("Reorg ") {
        Action::Reorg
    } else if starts("Invalid")
        || starts("Processed block") && message.contains("is not valid")
        || starts("Rejected invalid block")
        || starts("Received Invalid")
        || message.contains("InvalidBlockException")
    {
        block(parsed, message);
        parsed
            .fields
            .set_text("error.message", message.lines().next().unwrap_or_default());
        Action::PayloadInvalid
    } else if starts("No incoming messages from the consensus client") || starts("Not received") {
        parsed.fields.set_text("error.message", message);
        Action::EngineOffline
    } else if starts("Nethermind is starting up")
        || starts("Nethermind initialization completed")
        || starts("Version:")
        || starts("Nethermind is shutting down")
        || starts("Nethermind is shut down")
    {
        Action::Lifecycle
    } else {
        Action::Generic
    };
}

/// The first block that is named: `21687700 (0xbe6678...3f7554)`, or a hash alone.
fn block<'a>(parsed: &mut Parsed<'a>, message: &'a str) {
    let behind_colon = message.split_once(':').map_or(message, |(_, text)| text);
    if !block_in(parsed, behind_colon) {
        block_in(parsed, message);
    }
}

/// Whether there is one.
fn block_in<'a>(parsed: &mut Parsed<'a>, text: &'a str) -> bool {
    let text = text.trim_start().strip_prefix("Head: ").unwrap_or(text);
    let from_digits = text
        .find(|c: char| c.is_ascii_digit())
        .map_or("", |at| &text[at..]);
    let hash = text.find("0x").map_or("", |at| &text[at..]);
    let number = match from_digits.starts_with("0x") {
        true => None,
        false => number::leading_integer(from_digits).map(|(number, _)| number),
    };
    parsed.set_some("ethereum.block.number", number);
    let hash = hash
        .split([' ', ')', ',', ']', '>'])
        .next()
        .unwrap_or_default();
    parsed.set_hash(hash::BLOCK_HASH, hash) | number.is_some()
}

/// `Processed    21687700    |    140.49 ms  | slot  12,100 ms  | …`; a range is told by its last block. Older versions have
/// `| 195ms of 11,770ms, mgasps 60.54 total …`. Whether it is about blocks.
fn processed<'a>(parsed: &mut Parsed<'a>, message: &'a str) -> bool {
    let (first, more) = message.split_once('\n').unwrap_or((message, ""));
    let (blocks, rest) = first.split_once('|').unwrap_or((first, ""));
    let last = blocks
        .trim_end()
        .rsplit([' ', '.'])
        .next()
        .unwrap_or_default();
    if !parsed.set_number("ethereum.block.number", last) {
        return false;
    }
    parsed.set_float(
        "ethereum.duration_ms",
        duration::leading(rest).map(|(ms, _)| ms),
    );
    if let Some((_, rate)) = rest.split_once("mgasps") {
        parsed.set_float(
            "ethereum.exec.mgas_per_s",
            number::leading(rate).map(|(rate, _)| rate),
        );
    }
    for line in more.lines() {
        line_of_block(parsed, line.trim_start_matches(['-', ' ']));
    }
    true
}

/// `Block  15.04 MGas  |  162  txs | …` and `[Block] throughput  88.31 MGas/s | …`
fn line_of_block<'a>(parsed: &mut Parsed<'a>, line: &'a str) {
    for part in line.split('|') {
        let part = part.trim();
        if let Some(before) = part.split_once("MGas/s").map(|(before, _)| before) {
            // The average of many blocks follows on a line of its own.
            if !part.starts_with("Ave") {
                parsed.set_float(
                    "ethereum.exec.mgas_per_s",
                    number::decimal(last_word(before)),
                );
            }
        } else if let Some(before) = part.strip_suffix("MGas") {
            parsed.set_some(
                "ethereum.exec.gas_used",
                number::mega_gas(last_word(before)),
            );
        } else if let Some(count) = part.strip_suffix(" txs") {
            parsed.set_number("ethereum.exec.tx_count", count.trim());
        } else if let Some(count) = part.strip_prefix("blobs ") {
            parsed.set_number("ethereum.exec.blobs", count.trim());
        }
    }
}

fn last_word(text: &str) -> &str {
    text.split_whitespace().next_back().unwrap_or_default()
}

/// `Peers | with known best block: 48 | all: 50 |`; newer: `Peers: 50 | node diversity: …`; also `Sync peers 44(44)/100`
fn peers<'a>(parsed: &mut Parsed<'a>, message: &'a str) {
    let lower = |name: &str| {
        message
            .match_indices(name)
            .next()
            .map(|(at, name)| &message[at + name.len()..])
    };
    if let Some((synced, most)) = message
        .strip_prefix("Sync peers ")
        .and_then(|text| keys::first_word(text).lines().next()?.split_once('/'))
    {
        let connected = synced.split('(').next().unwrap_or_default();
        parsed.set_number("ethereum.peers.connected", connected);
        parsed.set_number("ethereum.peers.target", most);
    }
    let all = lower("all: ")
        .or_else(|| lower("All: "))
        .or_else(|| lower("Peers: "));
    let all = all
        .and_then(number::leading_integer)
        .map(|(peers, _)| peers);
    parsed.set_some("ethereum.peers.connected", all);
    let target = lower("Max: ")
        .and_then(number::leading_integer)
        .map(|(peers, _)| peers);
    parsed.set_some("ethereum.peers.target", target);
}
