//! Geth's three forms: terminal, logfmt and JSON. Only the terminal form shortens hashes and separates thousands.

use super::record::{Parsed, Reading};
use super::text::level::Level;
use super::text::pairs::{self, Pairs};
use super::text::{hash, json};
use super::vocabulary::Action;
use super::{keys, logfmt, terminal};

pub(super) fn begins_record(line: &str) -> bool {
    line.starts_with("{\"") || line.starts_with("t=") || terminal::prefix(line).is_some()
}

/// `None` where the record has none of the forms.
pub(super) fn parse<'a>(record: &'a str, reading: &Reading) -> Option<Parsed<'a>> {
    let (mut parsed, pairs) = parse_form(record, reading)?;
    match pairs {
        Some((head, pairs)) => understand(&mut parsed, &head, pairs),
        None => parsed.read_message(|parsed, message| {
            if message.starts_with('#') {
                return bad_block(parsed, message);
            }
            let (head, pairs) = pairs::scan(message);
            understand(parsed, head, pairs);
        }),
    }
    // What a slow block cost is told in one object, whatever the form of the log.
    if parsed.message.starts_with('{') {
        parsed.read_message(|parsed, message| {
            if let Some(object) = json::parse(message, reading) {
                understand(parsed, &object.message, object.pairs);
            }
        });
    }
    Some(parsed)
}

/// Head and pairs, where the form tells them apart without the message's own grammar.
type Parts<'a> = Option<(std::borrow::Cow<'a, str>, Pairs<'a>)>;

/// The forms of Go's clients: [`super::erigon`] has them too.
pub(super) fn parse_form<'a>(
    record: &'a str,
    reading: &Reading,
) -> Option<(Parsed<'a>, Parts<'a>)> {
    if record.starts_with('{') {
        let (parsed, pairs) = Parsed::of_json(json::parse(record, reading)?);
        let head = parsed.message.clone();
        return Some((parsed, Some((head, pairs))));
    }
    if record.starts_with("t=") {
        let mut line = logfmt::parse(record)?;
        let mut parsed = Parsed::new(line.message_with_fields(record));
        parsed.time = line.pairs.read("t", |text| json::any_time(text, reading));
        parsed.level = line.pairs.read("lvl", Level::parse);
        return Some((parsed, Some((line.message, line.pairs))));
    }
    Some((terminal::parse(record, reading)?, None))
}

fn understand<'a>(parsed: &mut Parsed<'a>, head: &str, pairs: Pairs<'a>) {
    parsed.action = action(head);
    let action = parsed.action;
    parsed.take(pairs, |parsed, key, value| {
        field(parsed, action, key, value) || keys::execution(parsed, key, value)
    });
}

fn action(head: &str) -> Action {
    match head {
        "Imported new chain segment" | "Imported new potential chain segment" => {
            Action::BlockImported
        }
        "Chain head was updated" => Action::HeadUpdated,
        "Chain reorg detected" | "Large chain reorg detected" => Action::Reorg,
        "Looking for peers" => Action::PeerCount,
        "Forkchoice requested sync to new head"
        | "Forkchoice requested unknown head"
        | "Block synchronisation started"
        | "Imported new block headers"
        | "Imported new block receipts"
        | "Imported new state entries"
        | "Syncing beacon headers"
        | "Syncing" => Action::SyncProgress,
        "Ignoring payload with missing parent"
        | "Failed ForkchoiceUpdated"
        | "Invalid NewPayload params"
        | "NewPayload: inserting block failed"
        | "Ignoring bad block"
        | "Forkchoice requested update to bad block"
        | "Invalid timestamp"
        | "Ignoring pre-merge payload"
        | "Detected prior invalid header" => Action::PayloadInvalid,
        "Slow block" => Action::Performance,
        "Maximum peer count"
        | "Got interrupt, shutting down..."
        | "Starting peer-to-peer node"
        | "Blockchain stopped"
        | "Ethereum protocol stopped" => Action::Lifecycle,
        "State heal in progress" | "State sync in progress" => Action::SyncProgress,
        _ if head.starts_with("Syncing: ") || head.starts_with("Forkchoice requested sync") => {
            Action::SyncProgress
        }
        _ if head.starts_with("Rewinding") || head.starts_with("Rewound") => Action::Unwind,
        _ if head.starts_with("Starting Geth on") => Action::Lifecycle,
        _ if is_beacon_silent(head) => Action::EngineOffline,
        // In one line, as JSON has it.
        _ if head.trim_start().starts_with("####") => Action::PayloadInvalid,
        _ => Action::Generic,
    }
}

/// A frame of `#`, in it lines `Block: 20123456 (0x1ee3af…)`, `Error: invalid gas used …` and more.
fn bad_block<'a>(parsed: &mut Parsed<'a>, message: &'a str) {
    parsed.action = Action::PayloadInvalid;
    for line in message.lines() {
        match line.split_once(": ") {
            Some(("Block" | "Number", value)) => {
                let (number, hash) = value.split_once(" (").unwrap_or((value, ""));
                parsed.set_number("ethereum.block.number", number.trim_start_matches('#'));
                parsed.set_hash(hash::BLOCK_HASH, hash.trim_end_matches(')'));
            }
            Some(("Hash", value)) => {
                parsed.set_hash(hash::BLOCK_HASH, value.trim());
            }
            Some(("Error", error)) => {
                parsed.fields.set_text("error.message", error.trim());
            }
            _ => {}
        }
    }
}

/// Nobody tells the execution client what the head is.
pub(super) fn is_beacon_silent(head: &str) -> bool {
    head.starts_with("Beacon client online, but")
        || head.starts_with("Post-merge network, but no beacon client")
        || head.starts_with("Post-merge network, but never seen beacon client")
}

fn field<'a>(parsed: &mut Parsed<'a>, action: Action, key: &str, value: &'a str) -> bool {
    match key {
        // The number and the hash of a reorganisation are those of the common ancestor.
        "number" if action == Action::Reorg => parsed.set_number("ethereum.block.number", value),
        "hash" if action == Action::Reorg => parsed.set_hash(hash::ANCESTOR_HASH, value),
        "drop" => parsed.set_number("ethereum.reorg.dropped", value),
        "add" => parsed.set_number("ethereum.reorg.added", value),
        "dropfrom" => parsed.set_hash(hash::OLD_HASH, value),
        "addfrom" => parsed.set_hash(hash::NEW_HASH, value),
        "eta" if action == Action::SyncProgress => keys::eta(parsed, value),
        "target" if action == Action::Unwind => parsed.set_number("ethereum.block.number", value),
        "left" if action == Action::SyncProgress => {
            parsed.set_number("ethereum.sync.distance", value)
        }
        "total" if action == Action::Lifecycle => parsed.set_number("ethereum.peers.target", value),
        "instance" if action == Action::Lifecycle => {
            parsed.fields.set_text("service.version", value);
            true
        }
        "gas" | "gasused" => parsed.set_number("ethereum.exec.gas_used", value),
        _ => false,
    }
}
