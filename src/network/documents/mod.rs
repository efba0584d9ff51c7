//! Findings as documents. The index templates are built from this list; a field not listed here is never written.
//!
//! All: `@timestamp` date (when it happened, not when it was noticed), `event.action` keyword,
//! `ethereum.network.name` keyword, `ethereum.revision` integer (counts what was told about the same thing, from 0).
//!
//! - `network_block` the blocks of `logs-ethereum.network_block` · `network_event` the documents of
//!   `logs-ethereum.network_event` · `head_split` those of `logs-ethereum.head_split` · here the rest; each lists its fields
//!
//! `logs-ethereum.network_block`, `event.action` = `canonical_slot`, `orphaned_slot`, `missed_slot` (the status of a
//! slot, and each change of it):
//! - `ethereum.slot`, `ethereum.epoch` long; `ethereum.slot_status` keyword (canonical, orphaned, missed);
//!   `ethereum.finality` keyword (provisional, final); `ethereum.block.root` keyword; `ethereum.block.proposer_index` long
//!
//! `logs-ethereum.reorg`, `event.action` = `reorg`, then `updated` as further nodes make the same change:
//! - `ethereum.slot`, `ethereum.epoch` long (the wall clock's at the change); `ethereum.nodes`, `ethereum.clients` keyword
//! - `ethereum.reorg.`: `old_head_slot`, `new_head_slot`, `ancestor_slot` long, `old_head_root`, `new_head_root`,
//!   `ancestor_root` keyword, `blocks_dropped`, `blocks_added` integer, `dropped_roots`, `added_roots` keyword (oldest
//!   first), `slot_span_old`, `slot_span_new` long, `quorum` integer, `confirmed`, `sync_artefact`, `lone`,
//!   `ancestor_known` boolean
//! - `ethereum.reported_depth` nested: `node`, `client` keyword, `depth` long, `depth_text` keyword (a depth beyond `long`)
//! - `ethereum.triage.…`: see `triage/fields.rs`

mod head_split;
mod network_block;
mod network_event;

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};

use super::{Finding, Reorg, SlotStatus};
use crate::event::{DataStream, DocumentId, Event};
use crate::slot::{ChainSpec, Root};

impl Finding {
    /// The document of the finding. The first word about a thing has an id made of the thing; each further one has an
    /// id made of what it says, so that nothing that was learnt later is taken for a repetition.
    pub fn to_event(&self, spec: &ChainSpec) -> Event {
        match self {
            Self::Block(block) => network_block::event(block, spec),
            Self::Slot(slot) => slot_event(slot, spec),
            Self::Reorg(reorg) => reorg_event(reorg, spec),
            Self::Split(split) => head_split::event(split, spec),
            Self::Offence(offence) => network_event::offence(offence, spec),
            Self::Flip(flip) => network_event::flip(flip, spec),
            Self::LateRun(run) => network_event::late_run(run, spec),
        }
    }
}

fn slot_event(slot: &SlotStatus, spec: &ChainSpec) -> Event {
    let (status, finality) = (slot.status.name(), slot.finality.name());
    let root = slot.root.map(|root| root.to_string()).unwrap_or_default();
    let event = Event::new(
        DataStream::NetworkBlock,
        DocumentId::of(&[]),
        spec.slot_start(slot.slot),
    )
    .with("ethereum.slot", slot.slot)
    .with("ethereum.epoch", spec.epoch_of(slot.slot))
    .with("ethereum.slot_status", status)
    .with("ethereum.finality", finality)
    .with_some("ethereum.block.root", text(slot.root))
    .with_some("ethereum.block.proposer_index", slot.proposer_index);
    let number = slot.slot.to_string();
    let thing = ["slot", &number, status, &root, finality];
    identify(
        event,
        spec,
        &thing,
        &format!("{status}_slot"),
        slot.revision,
    )
}

fn reorg_event(reorg: &Reorg, spec: &ChainSpec) -> Event {
    let (old, new) = (
        reorg.old_head.root.to_string(),
        reorg.new_head.root.to_string(),
    );
    let slot = spec.slot_at(reorg.at()).unwrap_or(0);
    let nodes: Vec<_> = reorg.nodes.keys().map(|name| name.as_ref()).collect();
    let clients = names(reorg.nodes.values().filter_map(|node| node.client.as_ref()));
    let mut event = Event::new(DataStream::Reorg, DocumentId::of(&[]), reorg.at())
        .with("ethereum.slot", slot)
        .with("ethereum.epoch", spec.epoch_of(slot))
        .with("ethereum.nodes", nodes)
        .with("ethereum.clients", clients)
        .with("ethereum.reorg.old_head_slot", reorg.old_head.slot)
        .with("ethereum.reorg.old_head_root", old.as_str())
        .with("ethereum.reorg.new_head_slot", reorg.new_head.slot)
        .with("ethereum.reorg.new_head_root", new.as_str())
        .with_some("ethereum.reorg.slot_span_old", reorg.slot_span_old())
        .with_some("ethereum.reorg.slot_span_new", reorg.slot_span_new())
        .with("ethereum.reorg.quorum", reorg.quorum)
        .with("ethereum.reorg.confirmed", reorg.confirmed)
        .with("ethereum.reorg.sync_artefact", reorg.sync_artefact)
        .with("ethereum.reorg.lone", reorg.lone)
        .with("ethereum.reorg.ancestor_known", reorg.branches.is_some())
        .with("ethereum.reported_depth", reported_depths(reorg));
    if let Some(fork) = &reorg.branches {
        event = event
            .with("ethereum.reorg.ancestor_root", fork.ancestor.to_string())
            .with_some("ethereum.reorg.ancestor_slot", fork.ancestor_slot)
            .with("ethereum.reorg.blocks_dropped", fork.old_side.len())
            .with("ethereum.reorg.blocks_added", fork.new_side.len())
            .with("ethereum.reorg.dropped_roots", roots(&fork.old_side))
            .with("ethereum.reorg.added_roots", roots(&fork.new_side));
    }
    let event = reorg.triage.write_to(event);
    let action = if reorg.revision == 0 {
        "reorg"
    } else {
        "updated"
    };
    let occurrence = reorg.occurrence.to_string();
    identify(
        event,
        spec,
        &["reorg", &old, &new, &occurrence],
        action,
        reorg.revision,
    )
}

/// Completes a document with what all have, and gives it its id.
fn identify(
    mut event: Event,
    spec: &ChainSpec,
    thing: &[&str],
    action: &str,
    revision: u32,
) -> Event {
    event.document.set("event.action", action);
    event
        .document
        .set("ethereum.network.name", spec.network.as_str());
    if event.document.get("ethereum.revision").is_none() {
        event.document.set("ethereum.revision", revision);
    }
    let chain = spec.genesis_validators_root.to_string();
    let content = if revision == 0 {
        String::new()
    } else {
        event.document.clone().into_value().to_string()
    };
    let mut parts = vec![chain.as_str()];
    parts.extend(thing);
    parts.push(&content);
    event.id = DocumentId::of(&parts);
    event
}

fn reported_depths(reorg: &Reorg) -> Vec<Value> {
    let reports = reorg
        .nodes
        .iter()
        .filter_map(|(name, node)| Some((name, node, node.reported?)));
    let value = |(name, node, report): (&Arc<str>, &super::NodeReorg, super::ReportedReorg)| {
        let mut value = json!({"node": name.as_ref()});
        if let Some(client) = &node.client {
            value["client"] = client.as_ref().into();
        }
        match i64::try_from(report.depth) {
            Ok(depth) => value["depth"] = depth.into(),
            Err(_) => value["depth_text"] = report.depth.to_string().into(),
        }
        value
    };
    reports.map(value).collect()
}

fn names<'a>(names: impl IntoIterator<Item = &'a Arc<str>>) -> Vec<String> {
    let unique: BTreeSet<_> = names.into_iter().collect();
    unique.into_iter().map(|name| name.to_string()).collect()
}

fn roots(roots: &[Root]) -> Vec<String> {
    roots.iter().map(Root::to_string).collect()
}

fn text(root: Option<Root>) -> Option<String> {
    root.map(|root| root.to_string())
}
