//! Events and blocks → documents. Pure.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

use super::clock::Clock;
use super::decode::Contents;
use super::event::{BeaconEvent, Body, Fault};
use super::topics::Topic;
use super::tracker::{Arrivals, Ready};
use crate::event::{DataStream, Document, DocumentId, Event};
use crate::slot::ChainSpec;

/// What holds for every document of the moment.
pub(super) struct Setting<'a> {
    pub(super) agent_id: &'a str,
    pub(super) spec: &'a ChainSpec,
    pub(super) clock: &'a Clock,
    /// `None` before the node's first answer.
    pub(super) syncing: Option<bool>,
}

impl Setting<'_> {
    pub(super) fn arrival_ms(&self, slot: u64, at: DateTime<Utc>) -> i64 {
        self.spec.arrival_ms(slot, at, self.clock.offset_ms())
    }

    pub(super) fn stamp(&self, document: &mut Document, created: DateTime<Utc>) {
        document.set("event.created", crate::event::timestamp(created));
        self.clock.stamp(document);
        document.set_some("ethereum.syncing", self.syncing);
    }

    /// A slot more than an epoch ahead of the clock is no slot this chain can have reached: arrival would be nonsense.
    fn is_plausible(&self, slot: u64, at: DateTime<Utc>) -> bool {
        let ahead_ms = -self.arrival_ms(slot, at);
        ahead_ms <= (self.spec.slot_duration_ms * self.spec.slots_per_epoch) as i64
    }
}

/// The document of one stream event. `sequence` tells apart, and orders, events of one chunk.
pub(super) fn event(setting: &Setting<'_>, event: BeaconEvent, sequence: u64) -> Event {
    let received = event.received_at;
    let received_ns = received.timestamp_nanos_opt().unwrap_or(i64::MAX);
    let id = DocumentId::of(&[
        setting.agent_id,
        "event",
        event.topic.name(),
        &received_ns.to_string(),
        &sequence.to_string(),
    ]);
    let action = match event.fault {
        Some(Fault::Unreadable) => "unreadable",
        Some(Fault::Oversized) => "oversized",
        _ => "received",
    };
    let mut parse_error = event.parse_error;
    let epoch = event
        .epoch
        .or_else(|| event.slot.map(|slot| setting.spec.epoch_of(slot)));
    let mut out = Event::new(DataStream::BeaconEvent, id, received)
        .with("event.kind", "event")
        .with("event.action", action)
        .with("event.sequence", sequence)
        .with("ethereum.topic", event.topic.name())
        .with("ethereum.bytes", event.bytes)
        .with_some("ethereum.slot", event.slot)
        .with_some("ethereum.epoch", epoch);
    let document = &mut out.document;
    setting.stamp(document, received);
    // Some clients cross the fields of a reorg, so that its "head" may be no block at all.
    if event.topic != Topic::ChainReorg {
        document.set_some(
            "ethereum.block.root",
            event.block.map(|root| root.to_string()),
        );
    }
    if let Some(slot) = event.slot {
        if event.is_doubtful {
            document.set("ethereum.arrival.unknown", "paused");
        } else if setting.is_plausible(slot, received) {
            let arrival_ms = setting.arrival_ms(slot, received);
            document.set("ethereum.arrival_ms", arrival_ms);
            if event.topic.announces_block() {
                document.set("ethereum.late", setting.spec.is_late(arrival_ms));
            }
        } else {
            parse_error.get_or_insert(format!("slot {slot} is in the future"));
        }
    }
    if let Some(reorg) = event.reorg {
        document.set_some("ethereum.reported_depth", reorg.depth);
        document.set_some("ethereum.reorg.old_head_root", reorg.old_head);
        document.set_some("ethereum.reorg.new_head_root", reorg.new_head);
    }
    if event.topic == Topic::FinalizedCheckpoint {
        document.set_some("ethereum.finalized.epoch", epoch);
        document.set_some(
            "ethereum.finalized.root",
            event.block.map(|root| root.to_string()),
        );
    }
    match event.body {
        Body::Json(payload) => document.set("ethereum.payload", payload),
        Body::Raw(text) => document.set("event.original", text),
    }
    document.set_some("ethereum.parse_error", parse_error);
    out
}

/// The document of one block as this node saw it.
pub(super) fn block(setting: &Setting<'_>, ready: &Ready, now: DateTime<Utc>) -> Event {
    let root = ready.root.to_string();
    let id = DocumentId::of(&[setting.agent_id, "block", &root]);
    let slot = ready
        .contents
        .as_ref()
        .map_or(ready.slot, |contents| Some(contents.slot));
    let seen = ready.arrivals.first();
    let at = seen.or_else(|| slot.map(|slot| setting.spec.slot_start(slot)));
    // A slot beyond the calendar would be a time that no index takes.
    let at = at
        .filter(|at| *at <= now + TimeDelta::hours(1))
        .unwrap_or(now);
    let action = match (&ready.contents, ready.arrivals.is_told()) {
        (None, _) => "unavailable",
        (Some(_), false) => "backfilled",
        (Some(_), true) => "observed",
    };
    let mut out = Event::new(DataStream::Block, id, at)
        .with("event.kind", "event")
        .with("event.action", action)
        .with("ethereum.block.root", root)
        .with("ethereum.backfilled", !ready.arrivals.is_told())
        .with("ethereum.finality", "provisional")
        .with("ethereum.arrival.due_ms", setting.spec.attestation_due_ms)
        .with_some("error.message", ready.failure.clone());
    let document = &mut out.document;
    setting.stamp(document, now);
    if let Some(slot) = slot {
        document.set("ethereum.slot", slot);
        document.set("ethereum.epoch", setting.spec.epoch_of(slot));
        document.set("ethereum.block.slot", slot);
        if setting.is_plausible(slot, now) {
            arrivals(setting, document, slot, &ready.arrivals);
        } else {
            document.set(
                "ethereum.parse_error",
                format!("slot {slot} is in the future"),
            );
        }
    }
    if let Some(block) = &ready.contents {
        contents(setting, document, block);
        document.set_some("ethereum.block.parent_slot", ready.parent_slot);
        let distance = ready
            .parent_slot
            .and_then(|parent| block.slot.checked_sub(parent));
        document.set_some("ethereum.block.parent_distance", distance);
    }
    out
}

/// Arrived late and imported late are two facts; where a client tells only one, that one is used and named.
fn arrivals(setting: &Setting<'_>, document: &mut Document, slot: u64, arrivals: &Arrivals) {
    if arrivals.is_unknown {
        document.set("ethereum.arrival.unknown", "paused");
    }
    let ms = |at: Option<DateTime<Utc>>| at.map(|at| setting.arrival_ms(slot, at));
    let gossip = ms(arrivals.gossip);
    let import = ms(arrivals.import);
    let head = ms(arrivals.head);
    document.set_some("ethereum.arrival.gossip_ms", gossip);
    document.set_some("ethereum.arrival.import_ms", import);
    document.set_some("ethereum.arrival.head_ms", head);
    let sources = [("block_gossip", gossip), ("block", import), ("head", head)];
    let chosen = sources
        .into_iter()
        .find_map(|(source, ms)| Some((source, ms?)));
    if let Some((source, ms)) = chosen {
        document.set("ethereum.arrival_ms", ms);
        document.set("ethereum.arrival.source", source);
        document.set("ethereum.arrival.late", setting.spec.is_late(ms));
        document.set(
            "ethereum.arrival.borderline",
            setting.spec.is_borderline(ms),
        );
    }
    let imported = import.or(head).map(|ms| setting.spec.is_late(ms));
    document.set_some("ethereum.arrival.import_late", imported);
}

fn contents(setting: &Setting<'_>, document: &mut Document, block: &Contents) {
    let mut set = |name: &str, value: Option<Value>| {
        document.set_some(format!("ethereum.block.{name}"), value);
    };
    set("parent_root", Some(block.parent_root.to_string().into()));
    set("proposer_index", block.proposer_index.map(Into::into));
    set("graffiti", block.graffiti.clone().map(Into::into));
    set("size", Some(block.size_bytes.into()));
    set("attestations", block.attestations.map(Into::into));
    set("attestation_votes", block.attestation_votes.map(Into::into));
    set("deposits", block.deposits.map(Into::into));
    set("voluntary_exits", block.voluntary_exits.map(Into::into));
    set(
        "proposer_slashings",
        block.proposer_slashings.map(Into::into),
    );
    set(
        "attester_slashings",
        block.attester_slashings.map(Into::into),
    );
    set("blobs", block.blobs.map(Into::into));
    let blob_limit = setting.spec.max_blobs(block.slot);
    set(
        "blob_fullness",
        ratio(block.blobs, blob_limit).map(Into::into),
    );
    if let Some(payload) = &block.payload {
        set("number", payload.number.map(Into::into));
        set("hash", payload.hash.clone().map(Into::into));
        set("gas_used", payload.gas_used.map(Into::into));
        set("gas_limit", payload.gas_limit.map(Into::into));
        set(
            "fullness",
            ratio(payload.gas_used, payload.gas_limit).map(Into::into),
        );
        set("base_fee", payload.base_fee.map(Into::into));
        set("transactions", payload.transactions.map(Into::into));
    }
    if block.sync_participants.is_some() {
        // The live spec says how many seats there are; the bits are as many, or the block is of another preset.
        let seats = block
            .sync_bits
            .filter(|bits| *bits < setting.spec.sync_committee_size);
        let seats = seats.unwrap_or(setting.spec.sync_committee_size);
        set(
            "sync_committee.participants",
            block.sync_participants.map(Into::into),
        );
        set("sync_committee.size", Some(seats.into()));
        set(
            "sync_committee.ratio",
            ratio(block.sync_participants, Some(seats)).map(Into::into),
        );
    }
    document.set_some("ethereum.fork", block.fork.clone());
}

fn ratio(part: Option<u64>, whole: Option<u64>) -> Option<f64> {
    let (part, whole) = (part?, whole?);
    (whole > 0).then(|| part as f64 / whole as f64)
}
