//! Somebody signed two things of which the protocol allows one: the node's own evidence, or a slashing it tells of. Pure.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::agent::beacon::event::{BeaconEvent, Body};
use crate::agent::beacon::topics::Topic;
use crate::chain_spec::unsigned;
use crate::slot::Root;

/// Validators that are named; `count` says how many there are.
const VALIDATORS_TOLD: usize = 64;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Equivocation {
    /// `duplicate_proposal`, `proposer_slashing`, `attester_slashing`.
    pub kind: &'static str,
    pub slot: u64,
    pub validators: Vec<u64>,
    pub count: u64,
    pub roots: Vec<Root>,
}

impl Equivocation {
    pub(super) fn of_blocks(slot: u64, proposer: u64, roots: Vec<Root>) -> Self {
        Self {
            kind: "duplicate_proposal",
            slot,
            validators: vec![proposer],
            count: 1,
            roots,
        }
    }

    /// `None` for events of other topics, and for a slashing without its fields.
    pub fn of_event(event: &BeaconEvent) -> Option<Self> {
        let Body::Json(payload) = &event.body else {
            return None;
        };
        match event.topic {
            Topic::ProposerSlashing => {
                let header = payload.pointer("/signed_header_1/message")?;
                Some(Self {
                    kind: "proposer_slashing",
                    slot: unsigned(header.get("slot")?)?,
                    validators: vec![unsigned(header.get("proposer_index")?)?],
                    count: 1,
                    roots: Vec::new(),
                })
            }
            Topic::AttesterSlashing => {
                let indices = |name: &str| -> Option<BTreeSet<u64>> {
                    let list = payload.get(name)?.get("attesting_indices")?.as_array()?;
                    Some(list.iter().filter_map(unsigned).collect())
                };
                let (one, other) = (indices("attestation_1")?, indices("attestation_2")?);
                let both: Vec<u64> = one.intersection(&other).copied().collect();
                let head = |name: &str| {
                    let root = payload.pointer(&format!("/{name}/data/beacon_block_root"));
                    root.and_then(Value::as_str)?.parse().ok()
                };
                Some(Self {
                    kind: "attester_slashing",
                    slot: event.slot?,
                    count: both.len() as u64,
                    validators: both.into_iter().take(VALIDATORS_TOLD).collect(),
                    roots: ["attestation_1", "attestation_2"]
                        .into_iter()
                        .filter_map(head)
                        .collect(),
                })
            }
            _ => None,
        }
    }
}
