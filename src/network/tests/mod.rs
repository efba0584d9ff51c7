//! Scenes told in a few words: blocks by name, nodes by letter, times in slots.

mod arrivals;
mod events;
mod gaps;
mod late_documents;
mod lead;
mod moves;
mod oracle;
mod order;
mod reorgs;
mod rules;
mod scenario;
mod slots;
mod splits;
mod tree;
mod triage;

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};

use super::*;
use crate::slot::ChainSpec;

/// A chain of 4-second slots with 8 to an epoch, and what its nodes say.
pub(super) struct Scene {
    pub(super) spec: ChainSpec,
    blocks: HashMap<&'static str, (BlockRef, Root)>,
    pub(super) told: Vec<Observation>,
}

impl Scene {
    /// A chain with a block `g` in slot `slot`.
    pub(super) fn from_slot(slot: u64) -> Self {
        let spec = ChainSpec {
            slot_duration_ms: 4_000,
            slots_per_epoch: 8,
            attestation_due_ms: 1_333,
            ..ChainSpec::example()
        };
        let genesis = (
            BlockRef {
                slot,
                root: root_of("g"),
            },
            root_of("before g"),
        );
        Self {
            spec,
            blocks: HashMap::from([("g", genesis)]),
            told: Vec::new(),
        }
    }

    /// The time `slots` into the chain.
    pub(super) fn at(&self, slots: f64) -> DateTime<Utc> {
        self.spec.genesis_time + TimeDelta::microseconds((slots * 4e6).round() as i64)
    }

    pub(super) fn block(&self, name: &str) -> BlockRef {
        self.blocks[name].0
    }

    /// A block that exists; nobody has shown it.
    pub(super) fn exists(&mut self, name: &'static str, slot: u64, parent: &str) -> &mut Self {
        let block = BlockRef {
            slot,
            root: root_of(name),
        };
        let parent = self.block(parent).root;
        self.blocks.insert(name, (block, parent));
        self
    }

    pub(super) fn tell(&mut self, node: &str, slots: f64, fact: Fact) -> &mut Self {
        self.told.push(Observation {
            node: node.into(),
            client: Some(if node < "m" { "Prysm" } else { "Lodestar" }.into()),
            at: self.at(slots),
            order: self.told.len() as u64,
            fact,
        });
        self
    }

    /// A node imports a block and serves it.
    pub(super) fn import(&mut self, node: &str, slots: f64, name: &str) -> &mut Self {
        let (block, parent_root) = self.blocks[name];
        let arrival_ms = Some(self.spec.arrival_ms(block.slot, self.at(slots), 0.0));
        let source = Source::Block;
        self.tell(
            node,
            slots,
            Fact::Seen {
                block,
                source,
                arrival_ms,
            },
        );
        let proposer_index = Some(1);
        self.tell(
            node,
            slots,
            Fact::Block {
                block,
                parent_root,
                proposer_index,
            },
        )
    }

    /// A node imports a block and makes it its head.
    pub(super) fn head(&mut self, node: &str, slots: f64, name: &str) -> &mut Self {
        self.import(node, slots, name).only_head(node, slots, name)
    }

    /// A node's head changes; its block is not served.
    pub(super) fn only_head(&mut self, node: &str, slots: f64, name: &str) -> &mut Self {
        let head = self.block(name);
        self.tell(node, slots, Fact::Head(head))
    }

    /// Everything at once, judged at `slots`.
    pub(super) fn findings(&self, slots: f64) -> Vec<Finding> {
        self.network_after(&self.told).advance(self.at(slots))
    }

    /// Everything in order of time, judged every quarter of a slot up to `slots`, as live.
    pub(super) fn live_findings(&self, slots: f64) -> Vec<Finding> {
        self.live_findings_from(0.0, slots)
    }

    pub(super) fn live_findings_from(&self, from: f64, slots: f64) -> Vec<Finding> {
        let mut network = Network::new(self.spec.clone(), Settings::default());
        let mut told = self.told.clone();
        told.sort_by_key(|observation| (observation.at, observation.order));
        let mut told = told.into_iter().peekable();
        let mut findings = Vec::new();
        for tick in 0..=((slots - from) * 4.0) as u32 {
            let now = self.at(from + f64::from(tick) / 4.0);
            while let Some(observation) = told.next_if(|observation| observation.at <= now) {
                network.observe(observation);
            }
            findings.extend(network.advance(now));
        }
        findings
    }

    pub(super) fn network_after(&self, told: &[Observation]) -> Network {
        let mut network = Network::new(self.spec.clone(), Settings::default());
        told.iter()
            .cloned()
            .for_each(|observation| network.observe(observation));
        network
    }
}

pub(super) fn root_of(name: &str) -> Root {
    let mut bytes = [0; 32];
    bytes[..name.len()].copy_from_slice(name.as_bytes());
    Root(bytes)
}

pub(super) fn reorgs(findings: &[Finding]) -> Vec<&Reorg> {
    findings
        .iter()
        .filter_map(|finding| match finding {
            Finding::Reorg(reorg) => Some(reorg),
            _ => None,
        })
        .collect()
}

pub(super) fn splits(findings: &[Finding]) -> Vec<&HeadSplit> {
    findings
        .iter()
        .filter_map(|finding| match finding {
            Finding::Split(split) => Some(split),
            _ => None,
        })
        .collect()
}
