//! What the agents of a fleet write in a slot, field by field as `agent/` does.

use chrono::{DateTime, TimeDelta, Utc};
use ethmon::event::{DataStream, timestamp};
use ethmon::slot::{BlockRef, Root};
use serde_json::{Value, json};

use crate::chain::{Chain, Node, Sighting, Slot};
use crate::envelope::{Delivery, Writer};

/// The block is fetched, and its head event waited for.
const BLOCK_DOCUMENT: TimeDelta = TimeDelta::milliseconds(450);
/// Heavy topics, and about how many events of each a node hears in a slot.
const SUMMED: [(&str, u64); 4] = [
    ("attestation", 1_020),
    ("single_attestation", 28_900),
    ("contribution_and_proof", 64),
    ("data_column_sidecar", 128),
];
/// Log records of a client that a slot brings, and how many of how many are errors.
const LOG_RECORDS: u64 = 2;
const ERRORS: u64 = 400;

impl Writer {
    /// All documents of a slot, those about earlier slots included.
    pub(crate) fn slot(&mut self, chain: &Chain, slot: &Slot) -> Vec<Delivery> {
        for (index, node) in chain.nodes.iter().enumerate() {
            for sighting in &slot.sightings[index] {
                self.sighting(node, sighting);
            }
            if index % 2 == 0 {
                self.payload_attributes(node, slot, slot.heads[index]);
            }
            self.summaries(node, slot.slot - 2);
            let at = self.spec.slot_start(slot.slot) + self.two_thirds();
            let checkpoints = [slot.justified, slot.finalized];
            self.status(node, at, slot.slot, slot.heads[index], checkpoints);
            self.host(node, slot.slot);
        }
        std::mem::take(&mut self.out)
    }

    /// What the nodes say before the first slot: which chain this is.
    pub(crate) fn greeting(&mut self, chain: &Chain, at: DateTime<Utc>) -> Vec<Delivery> {
        for node in &chain.nodes {
            self.status(node, at, chain.first - 1, chain.heads[0], [None; 2]);
        }
        for delivery in &mut self.out {
            delivery.at = at;
        }
        std::mem::take(&mut self.out)
    }

    fn sighting(&mut self, node: &Node, sighting: &Sighting) {
        let block = sighting.block.block;
        let about = Some(block.slot);
        if let Some(at) = sighting.gossip {
            let payload = json!({"slot": block.slot.to_string(), "block": block.root});
            self.stream_event(node, "block_gossip", block, at, payload, about);
        }
        let payload = json!({"slot": block.slot.to_string(), "block": block.root, "execution_optimistic": false});
        self.stream_event(node, "block", block, sighting.import, payload, about);
        if let Some(at) = sighting.head {
            let payload = json!({
                "slot": block.slot.to_string(), "block": block.root, "state": Root([7; 32]), "epoch_transition": false,
                "previous_duty_dependent_root": Root([8; 32]), "current_duty_dependent_root": Root([9; 32]),
                "execution_optimistic": false,
            });
            if node.client.tells_head_v2 {
                let wrapped = json!({"version": "fulu", "data": payload});
                self.stream_event(node, "head_v2", block, at, wrapped, about);
            }
            self.stream_event(node, "head", block, at, payload, about);
            if let Some(old) = sighting.reorg_from {
                self.reorg(node, old, block, at);
            }
        }
        self.block(node, sighting);
    }

    fn reorg(&mut self, node: &Node, old: BlockRef, new: BlockRef, at: DateTime<Utc>) {
        let depth = new.slot - old.slot + 1;
        let mut event = self
            .begin(DataStream::BeaconEvent, node, at)
            .with("ethereum.topic", "chain_reorg")
            .with("ethereum.slot", new.slot)
            .with("ethereum.epoch", self.spec.epoch_of(new.slot))
            .with("ethereum.reported_depth", depth)
            .with("ethereum.reorg.old_head_root", old.root.to_string())
            .with("ethereum.reorg.new_head_root", new.root.to_string());
        let payload = json!({
            "slot": new.slot.to_string(), "depth": depth.to_string(), "old_head_block": old.root, "new_head_block": new.root,
            "old_head_state": Root([5; 32]), "new_head_state": Root([6; 32]), "epoch": "0", "execution_optimistic": false,
        });
        event.document.set("ethereum.payload", payload);
        self.send(node, event, at, None);
    }

    fn stream_event(
        &mut self,
        node: &Node,
        topic: &str,
        block: BlockRef,
        at: DateTime<Utc>,
        payload: Value,
        about: Option<u64>,
    ) {
        let arrival_ms = self.spec.arrival_ms(block.slot, at, 0.0);
        let event = self
            .begin(DataStream::BeaconEvent, node, at)
            .with("event.kind", "event")
            .with("event.action", "received")
            .with("ethereum.topic", topic)
            .with("ethereum.bytes", payload.to_string().len())
            .with("ethereum.slot", block.slot)
            .with("ethereum.epoch", self.spec.epoch_of(block.slot))
            .with("ethereum.block.root", block.root.to_string())
            .with("ethereum.arrival_ms", arrival_ms)
            .with("ethereum.late", self.spec.is_late(arrival_ms))
            .with("ethereum.payload", payload);
        self.send(node, event, at, about);
    }

    /// Nodes with validators prepare the next block: the largest event there is.
    fn payload_attributes(&mut self, node: &Node, slot: &Slot, head: BlockRef) {
        let at = self.spec.slot_start(slot.slot) + self.two_thirds();
        let withdrawal = |index: u64| {
            json!({
                "index": (90_000_000 + index).to_string(), "validator_index": (600_000 + index).to_string(),
                "address": "0x00000000219ab540356cbb839cbe05303d7705fa", "amount": (17_000_000 + index).to_string(),
            })
        };
        let payload = json!({"version": "fulu", "data": {
            "proposer_index": "123456", "proposal_slot": (slot.slot + 1).to_string(), "parent_block_root": head.root,
            "parent_block_number": "23700000", "parent_block_hash": Root([4; 32]), "payload_attributes": {
                "timestamp": "1763700000", "prev_randao": Root([3; 32]), "suggested_fee_recipient": "0x00000000219ab540356cbb839cbe05303d7705fa",
                "withdrawals": (0..16).map(withdrawal).collect::<Vec<_>>(), "parent_beacon_block_root": head.root,
            },
        }});
        let event = self
            .begin(DataStream::BeaconEvent, node, at)
            .with("event.kind", "event")
            .with("event.action", "received")
            .with("ethereum.topic", "payload_attributes")
            .with("ethereum.bytes", payload.to_string().len())
            .with("ethereum.slot", slot.slot + 1)
            .with("ethereum.epoch", self.spec.epoch_of(slot.slot + 1))
            .with("ethereum.block.root", head.root.to_string())
            .with(
                "ethereum.arrival_ms",
                self.spec.arrival_ms(slot.slot + 1, at, 0.0),
            )
            .with("ethereum.payload", payload);
        self.send(node, event, at, None);
    }

    /// Told two slots after their own.
    fn summaries(&mut self, node: &Node, slot: u64) {
        let start = self.spec.slot_start(slot);
        let share = |percent: i64| {
            TimeDelta::milliseconds(self.spec.slot_duration_ms as i64 * percent / 100)
        };
        let (first, last, told) = (start + share(20), start + share(75), start + share(230));
        for (topic, count) in SUMMED {
            let few = Root([2; 32]);
            let most = Root([1; 32]);
            let event = self
                .begin(DataStream::BeaconEvent, node, first)
                .with("event.kind", "metric")
                .with("event.action", "summary")
                .with("event.created", timestamp(told))
                .with("ethereum.topic", topic)
                .with("ethereum.slot", slot)
                .with("ethereum.epoch", self.spec.epoch_of(slot))
                .with("ethereum.summary.count", count)
                .with(
                    "ethereum.summary.first_ms",
                    self.spec.arrival_ms(slot, first, 0.0),
                )
                .with(
                    "ethereum.summary.last_ms",
                    self.spec.arrival_ms(slot, last, 0.0),
                )
                .with("ethereum.summary.roots", 2)
                .with("ethereum.summary.top_root", most.to_string())
                .with("ethereum.summary.top_root_count", count - 5)
                .with(
                    "ethereum.summary.votes",
                    json!([{"root": most, "count": count - 5}, {"root": few, "count": 5}]),
                );
            self.send(node, event, told, None);
        }
    }

    fn block(&mut self, node: &Node, sighting: &Sighting) {
        let block = &sighting.block;
        let first = sighting.gossip.unwrap_or(sighting.import);
        let told = sighting.head.unwrap_or(sighting.import) + BLOCK_DOCUMENT;
        let slot = block.block.slot;
        let ms = |at: DateTime<Utc>| self.spec.arrival_ms(slot, at, 0.0);
        let (gossip, import, head) = (
            sighting.gossip.map(ms),
            ms(sighting.import),
            sighting.head.map(ms),
        );
        let event = self
            .begin(DataStream::Block, node, first)
            .with("event.kind", "event")
            .with("event.action", "observed")
            .with("event.created", timestamp(told))
            .with("ethereum.block.root", block.block.root.to_string())
            .with("ethereum.backfilled", false)
            .with("ethereum.finality", "provisional")
            .with("ethereum.slot", slot)
            .with("ethereum.epoch", self.spec.epoch_of(slot))
            .with("ethereum.arrival.due_ms", self.spec.attestation_due_ms)
            .with_some("ethereum.arrival.gossip_ms", gossip)
            .with("ethereum.arrival.import_ms", import)
            .with_some("ethereum.arrival.head_ms", head)
            .with("ethereum.arrival_ms", gossip.unwrap_or(import))
            .with(
                "ethereum.arrival.source",
                if gossip.is_some() {
                    "block_gossip"
                } else {
                    "block"
                },
            )
            .with(
                "ethereum.arrival.late",
                self.spec.is_late(gossip.unwrap_or(import)),
            )
            .with("ethereum.arrival.import_late", self.spec.is_late(import))
            .with("ethereum.block.slot", slot)
            .with("ethereum.block.parent_root", block.parent.root.to_string())
            .with("ethereum.block.parent_slot", block.parent.slot)
            .with("ethereum.block.parent_distance", slot - block.parent.slot)
            .with("ethereum.block.proposer_index", block.proposer)
            .with("ethereum.block.graffiti", "scale")
            .with("ethereum.block.size", 120_000)
            .with("ethereum.block.attestations", 8)
            .with("ethereum.block.attestation_votes", 29_800)
            .with("ethereum.block.gas_used", 22_000_000)
            .with("ethereum.block.gas_limit", 45_000_000)
            .with("ethereum.block.fullness", 0.489)
            .with("ethereum.block.transactions", 180)
            .with("ethereum.block.blobs", 5)
            .with("ethereum.block.blob_fullness", 0.33)
            .with("ethereum.block.sync_committee.participants", 505)
            .with("ethereum.block.sync_committee.size", 512)
            .with("ethereum.block.sync_committee.ratio", 0.986)
            .with("ethereum.fork", "fulu");
        self.send(node, event, told, Some(slot));
    }

    /// Agents ask their nodes then.
    fn two_thirds(&self) -> TimeDelta {
        TimeDelta::milliseconds(self.spec.slot_duration_ms as i64 * 2 / 3)
    }

    fn status(
        &mut self,
        node: &Node,
        at: DateTime<Utc>,
        slot: u64,
        head: BlockRef,
        [justified, finalized]: [Option<(u64, Root)>; 2],
    ) {
        let spec = self.spec.clone();
        let event = self
            .begin(DataStream::Node, node, at)
            .with("event.kind", "metric")
            .with("event.action", "polled")
            .with("ethereum.reachable", true)
            .with(
                "ethereum.network.genesis_validators_root",
                spec.genesis_validators_root.to_string(),
            )
            .with("ethereum.spec.slot_duration_ms", spec.slot_duration_ms)
            .with("ethereum.spec.slots_per_epoch", spec.slots_per_epoch)
            .with("ethereum.spec.attestation_due_ms", spec.attestation_due_ms)
            .with(
                "ethereum.spec.sync_committee_size",
                spec.sync_committee_size,
            )
            .with("ethereum.slot", slot)
            .with("ethereum.epoch", spec.epoch_of(slot))
            .with("ethereum.stream.connected", true)
            .with("ethereum.stream.stale", false)
            .with("ethereum.stream.reconnects", 0)
            .with("ethereum.stream.events", self.sequence)
            .with("ethereum.sync.is_syncing", false)
            .with("ethereum.sync.distance", slot.saturating_sub(head.slot))
            .with("ethereum.sync.reported_distance", 0)
            .with("ethereum.optimistic", false)
            .with("ethereum.el_offline", false)
            .with("ethereum.peers.connected", 75)
            .with("ethereum.peers.inbound", 40)
            .with("ethereum.peers.outbound", 35)
            .with_some(
                "ethereum.finality_lag",
                finalized.map(|(epoch, _)| spec.epoch_of(head.slot).saturating_sub(epoch)),
            )
            .with("ethereum.head.slot", head.slot)
            .with("ethereum.head.root", head.root.to_string())
            .with_some(
                "ethereum.justified.epoch",
                justified.map(|(epoch, _)| epoch),
            )
            .with_some(
                "ethereum.justified.root",
                justified.map(|(_, root)| root.to_string()),
            )
            .with_some(
                "ethereum.finalized.epoch",
                finalized.map(|(epoch, _)| epoch),
            )
            .with_some(
                "ethereum.finalized.root",
                finalized.map(|(_, root)| root.to_string()),
            );
        self.send(node, event, at, None);
    }

    /// What the rules read beside the chain: a file system, and the client's log.
    fn host(&mut self, node: &Node, slot: u64) {
        let start = self.spec.slot_start(slot);
        let spread =
            TimeDelta::milliseconds((self.sequence * 37 % self.spec.slot_duration_ms) as i64);
        let at = start + spread;
        let event = self
            .begin(DataStream::SystemFilesystem, node, at)
            .with("system.filesystem.mount_point", "/data")
            .with("system.filesystem.type", "ext4")
            .with("system.filesystem.used.pct", 0.6);
        self.send(node, event, at, None);
        for _ in 0..LOG_RECORDS {
            let level = if self.sequence.is_multiple_of(ERRORS) {
                "error"
            } else {
                "info"
            };
            let event = self
                .begin(DataStream::ClientLog, node, at)
                .with(
                    "message",
                    "Synced slot: 12000000 finalized: 374998 peers: 75",
                )
                .with("log.level", level);
            self.send(node, event, at, None);
        }
    }
}
