//! A signed block in the JSON of the Beacon API, of any fork from phase 0 on → the fields a monitor needs.

use serde_json::Value;

use super::history::Block;
use super::history::included::{self, Included};
use crate::chain_spec::unsigned;
use crate::slot::Root;

/// What a block says. Parts its fork does not have are absent, and so is what could not be read.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Contents {
    /// `version` of the answer: `deneb`, `electra`, …
    pub fork: Option<String>,
    pub slot: u64,
    pub parent_root: Root,
    pub proposer_index: Option<u64>,
    pub graffiti: Option<String>,
    /// SSZ bytes of the signed block.
    pub size_bytes: u64,
    /// Aggregates included, and the votes in them.
    pub attestations: Option<u64>,
    pub attestation_votes: Option<u64>,
    /// The same, each by what it is for.
    pub votes: Vec<Included>,
    pub deposits: Option<u64>,
    pub voluntary_exits: Option<u64>,
    pub proposer_slashings: Option<u64>,
    pub attester_slashings: Option<u64>,
    /// Set bits of the sync aggregate, and how many there are.
    pub sync_participants: Option<u64>,
    pub sync_bits: Option<u64>,
    pub blobs: Option<u64>,
    pub payload: Option<Payload>,
}

/// The execution payload.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Payload {
    pub number: Option<u64>,
    pub hash: Option<String>,
    pub gas_used: Option<u64>,
    pub gas_limit: Option<u64>,
    /// Wei.
    pub base_fee: Option<u64>,
    pub transactions: Option<u64>,
}

impl Contents {
    /// What later blocks are judged by.
    pub fn into_block(self, root: Root) -> Block {
        Block {
            root,
            slot: self.slot,
            parent: self.parent_root,
            proposer: self.proposer_index,
            votes: self.votes,
        }
    }
}

/// Reads the answer of `/eth/v2/beacon/blocks/{id}`. Without slot or parent it is no block; the error says what is amiss.
pub fn block(answer: &Value) -> Result<Contents, String> {
    let signed = answer.get("data").ok_or("no data in the answer")?;
    let message = signed.get("message").ok_or("no message in the block")?;
    let body = message.get("body").unwrap_or(&Value::Null);
    let slot = number(message, "slot").ok_or("the block has no readable slot")?;
    let parent_root = text(message, "parent_root")
        .and_then(|text| text.parse().ok())
        .ok_or("the block has no readable parent root")?;
    let attestations = body.get("attestations").and_then(Value::as_array);
    let sync_bits = body
        .pointer("/sync_aggregate/sync_committee_bits")
        .and_then(bytes);
    Ok(Contents {
        fork: text(answer, "version").map(str::to_owned),
        slot,
        parent_root,
        proposer_index: number(message, "proposer_index"),
        graffiti: body
            .get("graffiti")
            .and_then(bytes)
            .map(|bytes| graffiti(&bytes)),
        size_bytes: ssz_bytes(signed),
        attestations: count(body, "attestations"),
        attestation_votes: attestations.map(|list| list.iter().map(votes).sum()),
        votes: attestations.map_or_else(Vec::new, |list| included::read(list)),
        deposits: count(body, "deposits"),
        voluntary_exits: count(body, "voluntary_exits"),
        proposer_slashings: count(body, "proposer_slashings"),
        attester_slashings: count(body, "attester_slashings"),
        sync_participants: sync_bits.as_deref().map(set_bits),
        sync_bits: sync_bits.map(|bits| bits.len() as u64 * 8),
        blobs: count(body, "blob_kzg_commitments"),
        payload: body
            .get("execution_payload")
            .filter(|payload| payload.is_object())
            .map(payload),
    })
}

fn payload(payload: &Value) -> Payload {
    Payload {
        number: number(payload, "block_number"),
        hash: text(payload, "block_hash").map(str::to_owned),
        gas_used: number(payload, "gas_used"),
        gas_limit: number(payload, "gas_limit"),
        base_fee: number(payload, "base_fee_per_gas"),
        transactions: count(payload, "transactions"),
    }
}

/// The proposer's 32 bytes as the text they nearly always are.
fn graffiti(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let text = text.trim_matches(|c: char| c == '\0' || c.is_whitespace());
    text.replace(char::is_control, " ")
}

/// A bit list carries one bit more, which marks its end.
fn votes(attestation: &Value) -> u64 {
    let bits = attestation.get("aggregation_bits").and_then(bytes);
    bits.map_or(0, |bits| set_bits(&bits).saturating_sub(1))
}

/// The size of a container when serialised: fixed parts as long as they are, and four bytes of offset for each part or
/// element of variable length. Leaves are hexadecimal (their bytes), booleans (1) and integers (8).
fn ssz_bytes(signed_block: &Value) -> u64 {
    // The outer message is of variable length; those of exits and slashed headers are not.
    4 + children(signed_block)
}

fn ssz_part(name: &str, value: &Value) -> u64 {
    match value {
        Value::Object(_) => children(value),
        Value::Array(items) => items
            .iter()
            .map(|item| {
                let offset = if has_variable_elements(name) { 4 } else { 0 };
                offset + ssz_part("", item)
            })
            .sum(),
        Value::String(text) if text.starts_with("0x") => (text.len() as u64 - 2) / 2,
        Value::Bool(_) => 1,
        Value::Null => 0,
        Value::String(_) | Value::Number(_) if name == "base_fee_per_gas" => 32,
        Value::String(_) | Value::Number(_) => 8,
    }
}

fn children(container: &Value) -> u64 {
    let Some(fields) = container.as_object() else {
        return 0;
    };
    fields
        .iter()
        .map(|(name, value)| ssz_part(name, value) + if is_variable(name, value) { 4 } else { 0 })
        .sum()
}

fn is_variable(name: &str, value: &Value) -> bool {
    match value {
        // A Merkle proof is a vector.
        Value::Array(_) => name != "proof",
        Value::Object(_) => matches!(
            name,
            "body" | "execution_payload" | "execution_requests" | "attestation_1" | "attestation_2"
        ),
        _ => matches!(name, "aggregation_bits" | "extra_data"),
    }
}

fn has_variable_elements(name: &str) -> bool {
    matches!(name, "attestations" | "attester_slashings" | "transactions")
}

/// Only what an Elasticsearch `long` can hold.
fn number(object: &Value, name: &str) -> Option<u64> {
    unsigned(object.get(name)?).filter(|number| i64::try_from(*number).is_ok())
}

fn text<'a>(object: &'a Value, name: &str) -> Option<&'a str> {
    object.get(name)?.as_str()
}

fn count(object: &Value, name: &str) -> Option<u64> {
    Some(object.get(name)?.as_array()?.len() as u64)
}

fn bytes(value: &Value) -> Option<Vec<u8>> {
    hex::decode(value.as_str()?.strip_prefix("0x")?).ok()
}

fn set_bits(bytes: &[u8]) -> u64 {
    bytes.iter().map(|byte| u64::from(byte.count_ones())).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn shared(path: &str) -> String {
        std::fs::read_to_string(format!(
            "{}/../shared/data/{path}",
            env!("CARGO_MANIFEST_DIR")
        ))
        .unwrap()
    }

    /// The decoded mainnet blocks hold counts where the API holds lists.
    fn mainnet_block(slot: u64) -> Contents {
        let text = shared("mainnet-sse/blocks-decoded.ndjson");
        let mut blocks = text
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap());
        let block_json = blocks
            .find(|block| block["slot"].as_str() == Some(&slot.to_string()))
            .unwrap();
        block(&json!({"version": "electra", "data": {"message": block_json}})).unwrap()
    }

    #[test]
    fn mainnet_blocks_have_the_known_figures() {
        for (slot, fullness, blobs, sync) in [
            (12_902_352, 0.4250, 3, 510),
            (12_902_356, 0.7024, 6, 509),
            (12_902_358, 0.7883, 6, 510),
            (12_902_365, 0.3851, 9, 257),
            (12_902_369, 0.6221, 8, 366),
        ] {
            let block = mainnet_block(slot);
            let payload = block.payload.unwrap();
            let full = payload.gas_used.unwrap() as f64 / payload.gas_limit.unwrap() as f64;
            assert!((full - fullness).abs() < 5e-5, "{slot}: {full}");
            assert_eq!(
                (block.blobs, block.sync_participants),
                (Some(blobs), Some(sync)),
                "{slot}"
            );
            assert_eq!(block.sync_bits, Some(512));
        }
    }

    #[test]
    fn an_electra_block_of_prysm() {
        let answer = serde_json::from_str(&shared("prysm/run1/rest/block-head.json")).unwrap();
        let block = block(&answer).unwrap();
        assert_eq!((block.fork.as_deref(), block.slot), (Some("electra"), 23));
        assert_eq!(
            (block.attestations, block.attestation_votes),
            (Some(1), Some(2))
        );
        assert_eq!(block.graffiti.as_deref(), Some(""));
        assert_eq!(block.blobs, Some(0));
    }

    #[test]
    fn phase_0_has_neither_payload_nor_sync_aggregate() {
        let answer = json!({"data": {"message": {"slot": "3", "proposer_index": "7",
            "parent_root": Root::ZERO, "body": {"graffiti": format!("0x{}", "ff41000a".repeat(8)), "attestations": []}}}});
        let block = block(&answer).unwrap();
        assert_eq!(
            (block.payload, block.sync_participants, block.fork),
            (None, None, None)
        );
        assert_eq!(block.graffiti.unwrap().matches("\u{fffd}A").count(), 8);
    }

    #[test]
    fn what_is_no_block_is_an_error_with_a_reason() {
        assert_eq!(
            block(&json!({"message": "not found"})).unwrap_err(),
            "no data in the answer"
        );
        let overflow = json!({"data": {"message": {"slot": "-1", "parent_root": Root::ZERO}}});
        assert_eq!(
            block(&overflow).unwrap_err(),
            "the block has no readable slot"
        );
    }

    #[test]
    fn a_size_is_the_sum_of_parts_and_offsets() {
        let signed = json!({"message": {"slot": "1", "aggregate": {"x": "0x00ff"}, "transactions": ["0x00", "0x"], "extra_data": "0x01"},
            "signature": "0x0102"});
        assert_eq!(
            ssz_bytes(&signed),
            4 + 2 + 8 + 2 + (4 + 4 + 1 + 4) + (4 + 1)
        );
    }

    proptest! {
        #[test]
        fn odd_bodies_break_nothing(key in "attestations|graffiti|execution_payload|deposits|sync_aggregate", value in "[^\\\\\"]{0,10}") {
            for value in [json!(value), json!([value]), json!({"transactions": value, "gas_used": value}), json!(null)] {
                let body = json!({key.clone(): value});
                let answer = json!({"data": {"message": {"slot": 1, "parent_root": Root::ZERO, "body": body}}});
                prop_assert!(block(&answer).is_ok());
            }
        }
    }
}
