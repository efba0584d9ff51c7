//! Steps → documents as agents write them, each with the time at which the aggregator can read it.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use super::{Block, Scenario, Step, What};
use crate::aggregator::Read;
use crate::event::{DataStream, Document, DocumentId, Event};
use crate::slot::{BlockRef, ChainSpec};

/// From gossip to import, to the head, and to the document of the block.
const IMPORT_MS: i64 = 60;
const HEAD_MS: i64 = 90;
const BLOCK_DOCUMENT_MS: i64 = 300;

pub(super) struct Delivery {
    pub(super) at: DateTime<Utc>,
    pub(super) event: Event,
}

impl Delivery {
    pub(super) fn read(&self) -> Read {
        Read {
            stream: self.event.stream,
            id: self.event.id.clone(),
            document: self.event.document.clone(),
        }
    }
}

impl Scenario {
    /// In the order in which nodes said it.
    pub(super) fn deliveries(&self) -> Vec<Delivery> {
        let mut deliveries = Vec::new();
        for step in &self.steps {
            self.tell(step, &mut deliveries);
        }
        deliveries.sort_by_key(|delivery| delivery.at);
        for (sequence, delivery) in deliveries.iter_mut().enumerate() {
            // Only the stream's events are counted by agents.
            if delivery.event.stream == DataStream::BeaconEvent {
                let document = &mut delivery.event.document;
                document.set("event.sequence", sequence as u64);
            }
            delivery.event.id = DocumentId::of(&["scenario", &sequence.to_string()]);
        }
        deliveries
    }

    fn tell(&self, step: &Step, out: &mut Vec<Delivery>) {
        let after = |ms| step.at + TimeDelta::milliseconds(ms);
        match &step.what {
            What::Import { block, head } => {
                let mut topics = vec![("block_gossip", 0), ("block", IMPORT_MS)];
                if *head {
                    topics.push(("head", HEAD_MS));
                }
                for (topic, ms) in topics {
                    let event = self.announcement(step, topic, block.block, after(ms));
                    out.push(Delivery {
                        at: after(ms),
                        event,
                    });
                }
                let at = after(BLOCK_DOCUMENT_MS);
                out.push(Delivery {
                    at,
                    event: self.served(step, block),
                });
            }
            What::Head(head) => {
                let event = self.announcement(step, "head", *head, step.at);
                out.push(Delivery { at: step.at, event });
            }
            What::Votes { slot, by_root } => {
                out.push(Delivery {
                    at: step.at,
                    event: self.votes(step, *slot, by_root),
                });
            }
            What::Justified { epoch, root } => {
                let event = self
                    .document(step, DataStream::Node, step.at)
                    .with("ethereum.sync.is_syncing", false)
                    .with("ethereum.justified.epoch", *epoch)
                    .with("ethereum.justified.root", root.to_string());
                out.push(Delivery { at: step.at, event });
            }
            What::Slashing { slot, proposer } => {
                let event = self
                    .document(step, DataStream::Slot, step.at)
                    .with("event.action", "equivocation")
                    .with("ethereum.slot", *slot)
                    .with("ethereum.epoch", self.spec.epoch_of(*slot))
                    .with("ethereum.equivocation.kind", "proposer_slashing")
                    .with("ethereum.equivocation.validators", vec![*proposer])
                    .with("ethereum.equivocation.count", 1);
                out.push(Delivery { at: step.at, event });
            }
            What::Syncing(syncing) => {
                let event = self
                    .document(step, DataStream::Node, step.at)
                    .with("ethereum.sync.is_syncing", *syncing);
                out.push(Delivery { at: step.at, event });
            }
        }
    }

    fn document(&self, step: &Step, stream: DataStream, at: DateTime<Utc>) -> Event {
        let (client, version) = self.nodes[&step.node]
            .split_once('/')
            .unwrap_or((&self.nodes[&step.node], "0"));
        Event::new(stream, DocumentId::of(&[]), at)
            .with("event.kind", "event")
            .with("ethereum.node.name", step.node.as_str())
            .with("ethereum.node.client", client)
            .with("ethereum.node.version", version)
            .with("ethereum.network.name", self.spec.network.as_str())
    }

    fn announcement(&self, step: &Step, topic: &str, block: BlockRef, at: DateTime<Utc>) -> Event {
        let arrival_ms = self.spec.arrival_ms(block.slot, at, 0.0);
        self.document(step, DataStream::BeaconEvent, at)
            .with("event.action", "received")
            .with("ethereum.topic", topic)
            .with("ethereum.slot", block.slot)
            .with("ethereum.epoch", self.spec.epoch_of(block.slot))
            .with("ethereum.block.root", block.root.to_string())
            .with("ethereum.arrival_ms", arrival_ms)
            .with("ethereum.late", self.spec.is_late(arrival_ms))
            .with("ethereum.payload", payload(block))
    }

    fn served(&self, step: &Step, block: &Block) -> Event {
        let slot = block.block.slot;
        let arrival_ms = self.spec.arrival_ms(slot, step.at, 0.0);
        self.document(step, DataStream::Block, step.at)
            .with("event.action", "observed")
            .with("ethereum.slot", slot)
            .with("ethereum.backfilled", false)
            .with("ethereum.block.slot", slot)
            .with("ethereum.block.root", block.block.root.to_string())
            .with("ethereum.block.parent_root", block.parent.to_string())
            .with("ethereum.block.proposer_index", block.proposer)
            .with("ethereum.arrival_ms", arrival_ms)
            .with("ethereum.arrival.gossip_ms", arrival_ms)
            .with("ethereum.arrival.source", "block_gossip")
    }

    fn votes(&self, step: &Step, slot: u64, by_root: &[(crate::slot::Root, u64)]) -> Event {
        let total: u64 = by_root.iter().map(|(_, count)| count).sum();
        let top = by_root.iter().max_by_key(|(_, count)| *count);
        let votes = by_root
            .iter()
            .map(|(root, count)| json!({"root": root, "count": count}));
        // The agent's sum has the time of its first vote, and is written when the slot is long over.
        self.document(step, DataStream::BeaconEvent, voted_at(&self.spec, slot))
            .with("event.action", "summary")
            .with("ethereum.topic", "single_attestation")
            .with("ethereum.slot", slot)
            .with("ethereum.summary.count", total)
            .with("ethereum.summary.roots", by_root.len())
            .with_some(
                "ethereum.summary.top_root",
                top.map(|(root, _)| root.to_string()),
            )
            .with_some(
                "ethereum.summary.top_root_count",
                top.map(|(_, count)| *count),
            )
            .with("ethereum.summary.votes", votes.collect::<Vec<_>>())
    }
}

fn voted_at(spec: &ChainSpec, slot: u64) -> DateTime<Utc> {
    spec.slot_start(slot) + TimeDelta::milliseconds(spec.attestation_due_ms as i64)
}

fn payload(block: BlockRef) -> Value {
    json!({"slot": block.slot.to_string(), "block": block.root})
}

#[test]
fn the_documents_fit_the_templates_of_their_streams() {
    let text = "node a X/1\nblock g 10 proposer 1\narrive g a 1s\nvotes 10 a g 5 @12+1s\n\
        justified a 0 g @11+1s\nslashing a 10 1 @11+2s\nsyncing a @11+3s\nuntil 12";
    let deliveries = super::parse(text).unwrap().deliveries();
    assert_eq!(deliveries.len(), 8);
    let document = |delivery: &Delivery| -> Document { delivery.event.document.clone() };
    for delivery in &deliveries {
        assert!(document(delivery).timestamp().is_some());
        crate::setup::assert_accepted([&delivery.event]);
        assert!(!crate::aggregator::observations(&delivery.read()).is_empty());
    }
}
