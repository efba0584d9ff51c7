//! Names that mean the same with every client that uses them.

use super::record::Parsed;
use super::text::hash::{self, HashField};
use super::text::{duration, number};

/// Whether a name of a consensus client has a type of its own, and the value was of it.
pub(super) fn consensus<'a>(parsed: &mut Parsed<'a>, key: &str, value: &'a str) -> bool {
    let field = match key {
        "slot" | "Slot" | "current_slot" | "currentSlot" | "block_slot" | "blockSlot"
        | "wallSlot" | "wall_slot" => "ethereum.slot",
        "epoch" | "current_epoch" | "currentEpoch" => "ethereum.epoch",
        "proposer_index" | "proposerIndex" | "proposer" => "ethereum.proposer_index",
        "head_slot" | "headSlot" | "syncedSlot" => "ethereum.head.slot",
        "finalized_epoch" | "finalizedEpoch" => "ethereum.finalized.epoch",
        "peers" | "peer_count" | "peerCount" | "connected_peers" | "connectedPeers"
        | "activePeers" => "ethereum.peers.connected",
        "sync_distance" | "syncDistance" => "ethereum.sync.distance",
        "block_number" | "blockNumber" | "exec_block_number" => "ethereum.block.number",
        "txCount" | "tx_count" => "ethereum.exec.tx_count",
        "attestations" => "ethereum.attestations",
        "syncBitsCount" => "ethereum.sync_bits",
        "withdrawals" => "ethereum.exec.withdrawals",
        "kzgCommitmentCount" | "blobs" | "blob_count" | "blobCount" => "ethereum.exec.blobs",
        "gasUsed" | "gas_used" => "ethereum.exec.gas_used",
        _ => return consensus_hash(parsed, key, value),
    };
    parsed.set_number(field, value)
}

fn consensus_hash<'a>(parsed: &mut Parsed<'a>, key: &str, value: &'a str) -> bool {
    let field = match key {
        "root" | "block_root" | "blockRoot" | "rootHex" | "beaconBlockRoot" | "BeaconBlockRoot"
        | "block" => hash::BLOCK_ROOT,
        "head" | "head_root" | "headRoot" | "head_block_root" | "headBlockRoot" | "head_block" => {
            hash::HEAD_ROOT
        }
        "finalized_root" | "finalizedRoot" => hash::FINALIZED_ROOT,
        "exec_hash"
        | "block_hash"
        | "blockHash"
        | "payloadHash"
        | "payloadBlockHash"
        | "execution_block_hash" => hash::BLOCK_HASH,
        _ => return false,
    };
    parsed.set_hash(field, first_word(value))
}

/// As [`consensus`], for an execution client.
pub(super) fn execution<'a>(parsed: &mut Parsed<'a>, key: &str, value: &'a str) -> bool {
    let field = match key {
        "number" | "block" | "blockNum" | "block_number" | "block.number" | "latest_block"
        | "height" => "ethereum.block.number",
        "txs" | "txns" | "block.tx_count" => "ethereum.exec.tx_count",
        "gas_used" | "gasused" | "gas" | "block.gas_used" => {
            return parsed.set_some("ethereum.exec.gas_used", number::gas(value));
        }
        "gas_limit" | "gaslimit" => {
            return parsed.set_some("ethereum.exec.gas_limit", number::gas(value));
        }
        "mgas" => return parsed.set_some("ethereum.exec.gas_used", number::mega_gas(value)),
        "mgasps" | "mgas/s" | "Mgas/s" | "throughput.mgas_per_sec" => {
            return parsed.set_float("ethereum.exec.mgas_per_s", number::decimal(value));
        }
        "gas_throughput" => {
            return parsed.set_float("ethereum.exec.mgas_per_s", number::gas_rate(value));
        }
        "full" => return parsed.set_float("ethereum.exec.gas_ratio", number::share(value)),
        "base_fee" => return parsed.set_some("ethereum.exec.base_fee_wei", number::wei(value)),
        "blobs" => "ethereum.exec.blobs",
        "withdrawals" => "ethereum.exec.withdrawals",
        "peers" | "peercount" | "connected_peers" => "ethereum.peers.connected",
        "slot" => "ethereum.slot",
        "elapsed" | "in" | "took" | "duration" => {
            return parsed.set_float("ethereum.duration_ms", duration::to_ms(value));
        }
        "hash" | "block.hash" | "block_hash" | "head_block_hash" => {
            return parsed.set_hash(hash::BLOCK_HASH, first_word(value));
        }
        // Digits alone are a number: a hash that is shortened has dots, or `0x`.
        "head" => {
            return parsed.set_number("ethereum.block.number", value)
                || parsed.set_hash(hash::BLOCK_HASH, first_word(value));
        }
        "timing.total_ms" => {
            return parsed.set_float("ethereum.duration_ms", duration::plain_ms(value));
        }
        _ => return false,
    };
    parsed.set_number(field, value)
}

/// `ROOT:NUMBER` or `NUMBER:ROOT`, whatever stands between: the root is the longer of the two, shortened as it may be.
pub(super) fn checkpoint<'a>(
    parsed: &mut Parsed<'a>,
    value: &'a str,
    separator: char,
    (number_field, root_field): (&'static str, HashField),
) -> bool {
    let Some((first, second)) = value.split_once(separator) else {
        return false;
    };
    let (root, number) = if first.len() > second.len() {
        (first, second)
    } else {
        (second, first)
    };
    let has_number = parsed.set_number(number_field, number);
    parsed.set_hash(root_field, root) | has_number
}

/// Capitals differ between versions.
pub(super) fn starts_in_any_case(text: &str, start: &str) -> bool {
    let begin = text.as_bytes().get(..start.len());
    begin.is_some_and(|begin| begin.eq_ignore_ascii_case(start.as_bytes()))
}

/// A value's first word: what follows in brackets explains it.
pub(super) fn first_word(value: &str) -> &str {
    value.split(' ').next().unwrap_or_default()
}

/// The text between `start` and the next of `ends`, or the end of all.
pub(super) fn between<'a>(text: &'a str, start: &str, ends: &[char]) -> Option<&'a str> {
    let (_, rest) = text.split_once(start)?;
    Some(rest.split(ends).next().unwrap_or_default().trim())
}

/// Sets the time that is left until the node is synced.
pub(super) fn eta(parsed: &mut Parsed, value: &str) -> bool {
    let seconds = duration::to_ms(value).map(|ms| (ms / 1e3) as i64);
    parsed.set_some("ethereum.sync.eta_s", seconds)
}

/// The block of a slot's status line is the head.
pub(super) fn head_of_slot(parsed: &mut Parsed) {
    let hash::HashField([_, prefix, _]) = hash::HEAD_ROOT;
    if parsed.fields.has(prefix) && !parsed.fields.has("ethereum.head.slot") {
        let slot = parsed.fields.get_integer("ethereum.slot");
        parsed.set_some("ethereum.head.slot", slot);
    }
}
