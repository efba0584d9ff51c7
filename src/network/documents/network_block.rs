//! A block as the network saw it, as a document of `logs-ethereum.network_block`: `event.action` = `settled`, then
//! `updated`.
//!
//! - `ethereum.slot`, `ethereum.epoch` long; `ethereum.slot_status`, `ethereum.finality` keyword
//! - `ethereum.block.{root,parent_root}` keyword, `ethereum.block.{proposer_index,parent_slot,parent_distance}` long,
//!   `ethereum.block.missed_between` long (slots between parent and block without any block),
//!   `ethereum.block.across_split` boolean (the blocks it passes over belong to another side of a head split; only where
//!   it passes over slots), `ethereum.block.{size,blobs}` long, `ethereum.block.sync_committee.{participants,size}` long, `.ratio` double
//! - `ethereum.first_seen_ms` long (signed), `ethereum.first_seen_node` keyword, `ethereum.nodes_seen`,
//!   `ethereum.nodes_known`, `ethereum.late_nodes` long, `ethereum.late` boolean, `ethereum.late_alone` keyword
//! - `ethereum.dispersion_ms.{p50,p95,max}` long; `ethereum.dispersion_ms.{excess_p50,excess_p95,excess_max}` long (of
//!   the deltas beyond what is usual for each node)
//! - `ethereum.slowness.{expected_ms,residual_ms,sigma_ms}` long, `ethereum.slowness.slow` boolean: the dispersion
//!   against a fit on size and blobs of the blocks before
//! - `ethereum.seen` nested: `node`, `client`, `source` keyword, `arrival_ms`, `delta_ms`, `baseline_ms`, `excess_ms`
//!   long, `late`, `arrival_late`, `import_late` boolean
//! - `ethereum.client_latency` nested: `client` keyword, `nodes`, `delta_ms`, `baseline_ms`, `excess_ms` long

use serde_json::{Map, Value};

use super::{identify, text};
use crate::event::{DataStream, DocumentId, Event};
use crate::network::{ClientLatency, NetworkBlock, Seen};
use crate::slot::ChainSpec;

pub(super) fn event(block: &NetworkBlock, spec: &ChainSpec) -> Event {
    let slot = block.block.slot;
    let root = block.block.root.to_string();
    let action = if block.revision == 0 {
        "settled"
    } else {
        "updated"
    };
    let distance = block.parent_slot.map(|parent| slot.saturating_sub(parent));
    let event = Event::new(DataStream::NetworkBlock, DocumentId::of(&[]), block.at)
        .with("ethereum.slot", slot)
        .with("ethereum.epoch", spec.epoch_of(slot))
        .with("ethereum.block.root", root.as_str())
        .with_some("ethereum.block.parent_root", text(block.parent_root))
        .with_some("ethereum.block.parent_slot", block.parent_slot)
        .with_some("ethereum.block.parent_distance", distance)
        .with_some("ethereum.block.missed_between", block.missed_between)
        .with_some("ethereum.block.across_split", block.across_split)
        .with_some("ethereum.block.proposer_index", block.proposer_index)
        .with_some("ethereum.first_seen_ms", block.first_seen_ms)
        .with_some("ethereum.first_seen_node", block.first_seen_node.as_deref())
        .with("ethereum.nodes_seen", block.seen.len())
        .with("ethereum.nodes_known", block.nodes_known)
        .with("ethereum.late_nodes", block.late_nodes)
        .with("ethereum.late", block.late)
        .with("ethereum.seen", list(&block.seen, seen))
        .with_some(
            "ethereum.slot_status",
            block.status.map(|status| status.name()),
        )
        .with("ethereum.finality", block.finality.name());
    let event = latency(contents(event, block), block);
    identify(
        event,
        spec,
        &["network_block", &root],
        action,
        block.revision,
    )
}

fn contents(event: Event, block: &NetworkBlock) -> Event {
    let contents = block.contents;
    let sync = contents.sync_participants.zip(contents.sync_size);
    let ratio = sync
        .filter(|(_, size)| *size > 0)
        .map(|(set, size)| set as f64 / size as f64);
    event
        .with_some("ethereum.block.size", contents.size_bytes)
        .with_some("ethereum.block.blobs", contents.blobs)
        .with_some(
            "ethereum.block.sync_committee.participants",
            contents.sync_participants,
        )
        .with_some("ethereum.block.sync_committee.size", contents.sync_size)
        .with_some("ethereum.block.sync_committee.ratio", ratio)
}

fn latency(mut event: Event, block: &NetworkBlock) -> Event {
    if !block.late_alone.is_empty() {
        let names: Vec<_> = block.late_alone.iter().map(|name| name.as_ref()).collect();
        event = event.with("ethereum.late_alone", names);
    }
    if let Some(dispersion) = block.dispersion {
        event = event
            .with("ethereum.dispersion_ms.p50", dispersion.p50)
            .with("ethereum.dispersion_ms.p95", dispersion.p95)
            .with("ethereum.dispersion_ms.max", dispersion.max);
    }
    if let Some(excess) = block.excess {
        event = event
            .with("ethereum.dispersion_ms.excess_p50", excess.p50)
            .with("ethereum.dispersion_ms.excess_p95", excess.p95)
            .with("ethereum.dispersion_ms.excess_max", excess.max);
    }
    if let Some(slowness) = block.slowness {
        event = event
            .with("ethereum.slowness.expected_ms", slowness.expected_ms)
            .with("ethereum.slowness.residual_ms", slowness.residual_ms)
            .with("ethereum.slowness.sigma_ms", slowness.sigma_ms)
            .with("ethereum.slowness.slow", slowness.slow);
    }
    if !block.clients.is_empty() {
        event = event.with("ethereum.client_latency", list(&block.clients, client));
    }
    event
}

fn list<T>(items: &[T], value: fn(&T) -> Value) -> Vec<Value> {
    items.iter().map(value).collect()
}

fn seen(seen: &Seen) -> Value {
    object([
        ("node", Some(seen.node.as_ref().into())),
        ("client", seen.client.as_deref().map(Into::into)),
        ("source", seen.source.map(|source| source.name().into())),
        ("arrival_ms", seen.arrival_ms.map(Into::into)),
        ("delta_ms", seen.delta_ms.map(Into::into)),
        ("baseline_ms", seen.baseline_ms.map(Into::into)),
        ("excess_ms", seen.excess_ms.map(Into::into)),
        ("late", Some(seen.late.into())),
        ("arrival_late", seen.arrival_late.map(Into::into)),
        ("import_late", seen.import_late.map(Into::into)),
    ])
}

fn client(client: &ClientLatency) -> Value {
    object([
        ("client", Some(client.client.as_str().into())),
        ("nodes", Some(client.nodes.into())),
        ("delta_ms", Some(client.delta_ms.into())),
        ("baseline_ms", client.baseline_ms.map(Into::into)),
        ("excess_ms", client.excess_ms.map(Into::into)),
    ])
}

/// What is not known is no field.
pub(super) fn object<const N: usize>(fields: [(&str, Option<Value>); N]) -> Value {
    let known = fields
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(known.collect::<Map<_, _>>())
}
