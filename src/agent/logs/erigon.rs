//! Erigon and Caplin, its consensus layer: `[INFO] [03-14|21:40:11.694] [2/15 Headers] Handling new payload  height=…`,
//! the same with `INFO[…]`, logfmt and JSON.

use super::record::{Parsed, Reading};
use super::text::pairs::{self, Pairs};
use super::text::{hash, number};
use super::vocabulary::Action;
use super::{geth, keys, terminal};

pub(super) fn begins_record(line: &str) -> bool {
    geth::begins_record(line) || terminal::prefix(line).is_some()
}

/// `None` where the record has none of the forms.
pub(super) fn parse<'a>(record: &'a str, reading: &Reading) -> Option<Parsed<'a>> {
    let (mut parsed, pairs) = geth::parse_form(record, reading)?;
    match pairs {
        Some((head, pairs)) => understand(&mut parsed, &head, pairs),
        None => parsed.read_message(|parsed, message| {
            let (head, pairs) = pairs::scan(message);
            understand(parsed, head, pairs);
        }),
    }
    // The stage in brackets is the logger; the message keeps it.
    if parsed.logger.is_empty()
        && let Some((stage, _)) = parsed
            .message
            .strip_prefix('[')
            .and_then(|rest| rest.split_once(']'))
    {
        parsed.logger = stage.to_owned().into();
    }
    Some(parsed)
}

fn understand<'a>(parsed: &mut Parsed<'a>, head: &str, pairs: Pairs<'a>) {
    let (stage, head) = match head.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((stage, head)) => (stage, head.trim_start()),
        None => ("", head),
    };
    parsed.action = action(stage, head, &pairs);
    if pairs.get("app") == Some("caplin") || stage == "Caplin" {
        parsed.layer = Some("consensus");
    }
    let action = parsed.action;
    if action == Action::PeerCount {
        good_peers(parsed, &pairs);
    }
    let is_reorg = action == Action::Reorg;
    let (from, to) = (pairs.get("from"), pairs.get("to"));
    let distance = from.zip(to).and_then(|(from, to)| {
        let number = |text| number::integer(keys::first_word(text));
        number(from)?.checked_sub(number(to)?)
    });
    if is_reorg {
        parsed.set_some("ethereum.reorg.dropped", distance);
    }
    parsed.take(pairs, |parsed, key, value| {
        field(parsed, action, key, value) || keys::execution(parsed, key, value)
    });
}

fn action(stage: &str, head: &str, pairs: &Pairs) -> Action {
    match head {
        "Handling new payload" => Action::BlockReceived,
        "head updated" => Action::HeadUpdated,
        "Received block via gossip" => Action::BlockReceived,
        "GoodPeers" | "P2P" => Action::PeerCount,
        "No GoodPeers" => Action::LowPeers,
        "UnwindTo" => Action::Unwind,
        "Imported chain segment" => Action::BlockImported,
        "Forward Sync"
        | "Downloading Execution History"
        | "Downloading"
        | "Executed blocks"
        | "Wrote block headers" => Action::SyncProgress,
        "Starting Erigon" => Action::Lifecycle,
        _ if head.starts_with("Fork choice: re-org") => Action::Reorg,
        _ if head.starts_with("Unwind") || head.starts_with("Rewinding") => Action::Unwind,
        _ if head.starts_with("Timings")
            || head.starts_with("Slow block")
            || head.starts_with("Executed block")
            || head == "head validated" =>
        {
            Action::Performance
        }
        _ if head.starts_with("Starting Erigon")
            || head.starts_with("Build info")
            || head.starts_with("Got interrupt") =>
        {
            Action::Lifecycle
        }
        _ if head.starts_with("invalid block")
            || pairs
                .get("err")
                .is_some_and(|error| error.contains("invalid block")) =>
        {
            Action::PayloadInvalid
        }
        _ if stage == "NewPayload" && head.starts_with("Invalid") => Action::PayloadInvalid,
        _ if geth::is_beacon_silent(head) => Action::EngineOffline,
        _ => Action::Generic,
    }
}

/// `eth66=29 eth67=24 eth68=68`
fn good_peers(parsed: &mut Parsed, pairs: &Pairs) {
    let protocols = pairs.0.iter().filter(|(key, _)| key.starts_with("eth"));
    let counts = protocols.filter_map(|(_, count)| number::integer(count));
    let mut count = 0_usize;
    let sum = counts
        .inspect(|_| count += 1)
        .fold(0_i64, i64::saturating_add);
    parsed.set_some("ethereum.peers.connected", (count > 0).then_some(sum));
}

fn field<'a>(parsed: &mut Parsed<'a>, action: Action, key: &str, value: &'a str) -> bool {
    let is_forward_sync = action == Action::SyncProgress && parsed.layer.is_some();
    match key {
        "goal" => parsed.set_number("ethereum.block.number", value),
        "from" if is_forward_sync => parsed.set_number("ethereum.head.slot", value),
        "to" if is_forward_sync => parsed.set_number("ethereum.slot", value),
        "to" | "block" if action == Action::Unwind => {
            parsed.set_number("ethereum.block.number", value)
        }
        // A block's number and its hash have one name here.
        "block" | "blk" => {
            parsed.set_number("ethereum.block.number", value)
                || parsed.set_hash(hash::BLOCK_HASH, value)
        }
        "slot" | "progress" if parsed.layer.is_some() => parsed.set_number("ethereum.slot", value),
        "hash" if parsed.layer.is_some() => parsed.set_hash(hash::BLOCK_ROOT, value),
        "estimated-time-remaining" | "time-left" => keys::eta(parsed, value),
        _ => false,
    }
}
