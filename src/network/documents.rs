//! Findings as documents. The index templates are built from this list; a field not listed here is never written.
//!
//! All: `@timestamp` date (when it happened, not when it was noticed), `event.action` keyword,
//! `ethereum.network.name` keyword, `ethereum.revision` integer (counts what was told about the same thing, from 0).
//!
//! `logs-ethereum.network_block`, `event.action` = `settled`, `updated` (blocks) or `canonical_slot`, `orphaned_slot`,
//! `missed_slot` (the status of a slot, and each change of it):
//! - `ethereum.slot`, `ethereum.epoch` long; `ethereum.slot_status` keyword (canonical, orphaned, missed);
//!   `ethereum.finality` keyword (provisional, final); `ethereum.block.root` keyword
//! - blocks only: `ethereum.block.parent_root` keyword, `ethereum.block.proposer_index` long,
//!   `ethereum.first_seen_ms` long (signed), `ethereum.first_seen_node` keyword, `ethereum.nodes_seen`,
//!   `ethereum.nodes_known`, `ethereum.late_nodes` integer, `ethereum.late` boolean,
//!   `ethereum.dispersion_ms.{p50,p95,max}` long, `ethereum.seen` nested: `node`, `client`, `source` keyword,
//!   `arrival_ms`, `delta_ms` long, `late`, `arrival_late`, `import_late` boolean
//!
//! `logs-ethereum.reorg`, `event.action` = `reorg`, then `updated` as further nodes make the same change:
//! - `ethereum.slot`, `ethereum.epoch` long (the wall clock's at the change); `ethereum.nodes`, `ethereum.clients` keyword
//! - `ethereum.reorg.`: `old_head_slot`, `new_head_slot`, `ancestor_slot` long, `old_head_root`, `new_head_root`,
//!   `ancestor_root` keyword, `blocks_dropped`, `blocks_added` integer, `dropped_roots`, `added_roots` keyword (oldest
//!   first), `slot_span_old`, `slot_span_new` long, `quorum` integer, `confirmed`, `sync_artefact`, `ancestor_known` boolean
//! - `ethereum.reported_depth` nested: `node`, `client` keyword, `depth` long, `depth_text` keyword (a depth beyond `long`)
//!
//! `logs-ethereum.head_split`, `event.action` = `opened`, `updated`, `closed`:
//! - `ethereum.slot`, `ethereum.epoch` long (the wall clock's); `ethereum.nodes`, `ethereum.clients` keyword
//! - `ethereum.split.`: `id` keyword, `from_slot`, `to_slot`, `slots`, `ancestor_slot` long, `ancestor_root` keyword,
//!   `groups` nested: `head_slot` long, `head_root`, `nodes`, `clients` keyword

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::{Finding, HeadSplit, NetworkBlock, Reorg, Seen, SlotStatus, Step};
use crate::event::{DataStream, DocumentId, Event};
use crate::slot::{ChainSpec, Root};

impl Finding {
    /// The document of the finding. The first word about a thing has an id made of the thing; each further one has an
    /// id made of what it says, so that nothing that was learnt later is taken for a repetition.
    pub fn to_event(&self, spec: &ChainSpec) -> Event {
        match self {
            Self::Block(block) => block_event(block, spec),
            Self::Slot(slot) => slot_event(slot, spec),
            Self::Reorg(reorg) => reorg_event(reorg, spec),
            Self::Split(split) => split_event(split, spec),
        }
    }
}

fn block_event(block: &NetworkBlock, spec: &ChainSpec) -> Event {
    let slot = block.block.slot;
    let root = block.block.root.to_string();
    let action = if block.revision == 0 {
        "settled"
    } else {
        "updated"
    };
    let mut event = Event::new(DataStream::NetworkBlock, DocumentId::of(&[]), block.at)
        .with("ethereum.slot", slot)
        .with("ethereum.epoch", spec.epoch_of(slot))
        .with("ethereum.block.root", root.as_str())
        .with_some("ethereum.block.parent_root", text(block.parent_root))
        .with_some("ethereum.block.proposer_index", block.proposer_index)
        .with_some("ethereum.first_seen_ms", block.first_seen_ms)
        .with_some("ethereum.first_seen_node", block.first_seen_node.as_deref())
        .with("ethereum.nodes_seen", block.seen.len())
        .with("ethereum.nodes_known", block.nodes_known)
        .with("ethereum.late_nodes", block.late_nodes)
        .with("ethereum.late", block.late)
        .with(
            "ethereum.seen",
            block.seen.iter().map(seen_value).collect::<Vec<_>>(),
        )
        .with_some(
            "ethereum.slot_status",
            block.status.map(|status| status.name()),
        )
        .with("ethereum.finality", block.finality.name());
    if let Some(dispersion) = block.dispersion {
        event = event
            .with("ethereum.dispersion_ms.p50", dispersion.p50)
            .with("ethereum.dispersion_ms.p95", dispersion.p95)
            .with("ethereum.dispersion_ms.max", dispersion.max);
    }
    identify(
        event,
        spec,
        &["network_block", &root],
        action,
        block.revision,
    )
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
    .with_some("ethereum.block.root", text(slot.root));
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

fn split_event(split: &HeadSplit, spec: &ChainSpec) -> Event {
    let action = match split.step {
        Step::Opened => "opened",
        Step::Updated => "updated",
        Step::Closed => "closed",
    };
    let groups: Vec<_> = split
        .groups
        .iter()
        .map(|group| {
            json!({
                "head_slot": group.head.slot,
                "head_root": group.head.root,
                "nodes": names(&group.nodes),
                "clients": names(&group.clients),
            })
        })
        .collect();
    let event = Event::new(DataStream::HeadSplit, DocumentId::of(&[]), split.at)
        .with("ethereum.slot", split.to_slot)
        .with("ethereum.epoch", spec.epoch_of(split.to_slot))
        .with(
            "ethereum.nodes",
            names(split.groups.iter().flat_map(|group| &group.nodes)),
        )
        .with(
            "ethereum.clients",
            names(split.groups.iter().flat_map(|group| &group.clients)),
        )
        .with("ethereum.split.id", split.id.as_str())
        .with("ethereum.split.from_slot", split.from_slot)
        .with("ethereum.split.to_slot", split.to_slot)
        .with("ethereum.split.slots", split.slots())
        .with("ethereum.split.ancestor_root", split.ancestor.to_string())
        .with_some("ethereum.split.ancestor_slot", split.ancestor_slot)
        .with("ethereum.split.groups", groups);
    // A split opens and closes once, whatever revision the closing has after a restart in between.
    let revision = if split.step == Step::Updated {
        split.revision
    } else {
        0
    };
    let event = event.with("ethereum.revision", split.revision);
    identify(
        event,
        spec,
        &["head_split", split.id.as_str(), action],
        action,
        revision,
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

fn seen_value(seen: &Seen) -> Value {
    let mut object = Map::new();
    let mut set = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            object.insert(key.to_owned(), value);
        }
    };
    set("node", Some(seen.node.as_ref().into()));
    set("client", seen.client.as_deref().map(Into::into));
    set("source", seen.source.map(|source| source.name().into()));
    set("arrival_ms", seen.arrival_ms.map(Into::into));
    set("delta_ms", seen.delta_ms.map(Into::into));
    set("late", Some(seen.late.into()));
    set("arrival_late", seen.arrival_late.map(Into::into));
    set("import_late", seen.import_late.map(Into::into));
    Value::Object(object)
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
