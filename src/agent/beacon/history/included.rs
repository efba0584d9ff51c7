//! The votes in a block: what they are for and whose they are, by place in the committees. Pure.

use serde_json::Value;

use crate::agent::beacon::heavy::{Number, bit_list, committees};
use crate::chain_spec::unsigned;
use crate::slot::Root;

/// An aggregate that a block includes, in the form before Electra or since.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Included {
    pub slot: u64,
    /// The block it says was the head.
    pub head: Root,
    pub source: Checkpoint,
    pub target: Checkpoint,
    /// Bit 0 is committee 0.
    pub committees: u64,
    /// Bit 0 of byte 0 is the first member of the first of these committees.
    pub bits: Vec<u8>,
    /// How many members these committees have.
    pub members: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checkpoint {
    pub epoch: u64,
    pub root: Root,
}

/// Reads the attestations of a block, or the answer of `…/blocks/{id}/attestations`; odd ones are left out.
pub fn read(attestations: &[Value]) -> Vec<Included> {
    attestations.iter().filter_map(one).collect()
}

fn one(attestation: &Value) -> Option<Included> {
    let data = attestation.get("data")?;
    let committee_bits = attestation.get("committee_bits").and_then(Value::as_str);
    let index = data.get("index").and_then(unsigned).map(Number);
    let (bits, members) = bit_list(attestation.get("aggregation_bits")?.as_str()?)?;
    Some(Included {
        slot: unsigned(data.get("slot")?)?,
        head: root(data.get("beacon_block_root")?)?,
        source: checkpoint(data.get("source")?)?,
        target: checkpoint(data.get("target")?)?,
        committees: committees(committee_bits, index)?,
        bits,
        members,
    })
}

fn checkpoint(value: &Value) -> Option<Checkpoint> {
    Some(Checkpoint {
        epoch: unsigned(value.get("epoch")?)?,
        root: root(value.get("root")?)?,
    })
}

fn root(value: &Value) -> Option<Root> {
    value.as_str()?.parse().ok()
}
