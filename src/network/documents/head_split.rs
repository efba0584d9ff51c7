//! A split of the network over heads, as documents of `logs-ethereum.head_split`: `event.action` = `opened`, `updated`,
//! `closed`.
//!
//! Counts are exact. Of lists a document holds the first entries, and counts the rest in a `…_cut` beside it.
//!
//! - `ethereum.slot`, `ethereum.epoch` long (the wall clock's); `ethereum.nodes`, `ethereum.clients` keyword
//! - `ethereum.split.`: `id` keyword; `from_slot`, `to_slot`, `slots`, `duration_ms` long (since the heads parted);
//!   `ancestor_slot` long, `ancestor_root` keyword; `node_count`, `nodes_cut`, `group_count`, `groups_cut` long
//! - `ethereum.split.groups` nested, largest first: `head_slot` long, `head_root` keyword; `nodes` keyword,
//!   `node_count`, `nodes_cut` long; `clients` keyword (name and version); `mix` nested, most nodes first: `client`,
//!   `version` keyword, `node_count` long; `mix_cut` long; `justified`, `finalized` nested, highest first: `epoch` long,
//!   `root` keyword, `node_count` long
//! - `ethereum.split.justified` nested, as of a group, of all nodes that are there and in sync;
//!   `justified_differ` boolean (there is more than one), `justified_contradict` boolean (and one is not merely behind)
//! - `ethereum.split.moved` nested: `node`, `client`, `version` keyword, `from_slot`, `to_slot` long, `from_root`,
//!   `to_root` keyword (heads of the branch left, and of the branch joined; at the closing the head on which all agreed); `joined` nested: the same,
//!   `from_…` where the node stood there before it was gone; `left` nested: `node`, `client`, `version`, `from_…`,
//!   `reason` keyword (silent, syncing, undecided); `moved_count`, `moved_cut`, `joined_count`, `joined_cut`,
//!   `left_count`, `left_cut` long. Of the opening there are none
//! - `ethereum.triage.…`: as of a reorg

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::identify;
use super::network_block::object;
use crate::event::{DataStream, DocumentId, Event};
use crate::network::{Checkpoint, Group, HeadSplit, Move, Step};
use crate::slot::{BlockRef, ChainSpec};

/// Names that a list of nodes or clients holds.
const NAMES_LISTED: usize = 256;

/// Sides that a document holds.
const GROUPS_LISTED: usize = 16;

/// Rows that every other list holds: nodes that moved, clients of a side, checkpoints.
const ROWS_LISTED: usize = 64;

pub(super) fn event(split: &HeadSplit, spec: &ChainSpec) -> Event {
    let action = match split.step {
        Step::Opened => "opened",
        Step::Updated => "updated",
        Step::Closed => "closed",
    };
    let mut document = Map::new();
    let mut field = |name: &str, value: Value| document.insert(name.to_owned(), value);
    field("id", split.id.as_str().into());
    field("from_slot", split.from_slot.into());
    field("to_slot", split.to_slot.into());
    field("slots", split.slots().into());
    field("duration_ms", split.duration().num_milliseconds().into());
    field("ancestor_root", json!(split.ancestor));
    if let Some(slot) = split.ancestor_slot {
        field("ancestor_slot", slot.into());
    }
    let nodes = split.groups.iter().map(|group| group.nodes.len());
    field("node_count", nodes.sum::<usize>().into());
    field("group_count", split.groups.len().into());
    let groups = split.groups.iter().map(group);
    put_list(&mut document, "groups", groups, GROUPS_LISTED);

    put_list(
        &mut document,
        "justified",
        checkpoints(&split.justified),
        ROWS_LISTED,
    );
    let mut field = |name: &str, value: Value| document.insert(name.to_owned(), value);
    field("justified_differ", (split.justified.len() > 1).into());
    field("justified_contradict", split.justified_contradict.into());
    if split.step != Step::Opened {
        let moves = &split.moves;
        let left = moves.left.iter().map(|(left, absence)| {
            let mut row = row(left);
            row["reason"] = absence.name().into();
            row
        });
        field("moved_count", moves.moved.len().into());
        field("joined_count", moves.joined.len().into());
        field("left_count", moves.left.len().into());
        put_list(
            &mut document,
            "moved",
            moves.moved.iter().map(row),
            ROWS_LISTED,
        );
        put_list(
            &mut document,
            "joined",
            moves.joined.iter().map(row),
            ROWS_LISTED,
        );
        put_list(&mut document, "left", left, ROWS_LISTED);
    }

    let nodes = super::names(split.groups.iter().flat_map(|group| &group.nodes));
    let clients = super::names(split.groups.iter().flat_map(|group| group.clients.keys()));
    put_cut(&mut document, "nodes", nodes.len(), NAMES_LISTED);
    let event = Event::new(DataStream::HeadSplit, DocumentId::of(&[]), split.at)
        .with("ethereum.slot", split.to_slot)
        .with("ethereum.epoch", spec.epoch_of(split.to_slot))
        .with("ethereum.nodes", first(nodes))
        .with("ethereum.clients", first(clients));
    let fields = document.into_iter();
    let event = fields.fold(event, |event, (name, value)| {
        event.with(format!("ethereum.split.{name}"), value)
    });
    let event = split.triage.write_to(event);
    // A split opens and closes once, whatever revision the closing has after a restart in between.
    let revision = if split.step == Step::Updated {
        split.revision
    } else {
        0
    };
    let event = event.with("ethereum.revision", split.revision);
    let thing = ["head_split", split.id.as_str(), action];
    identify(event, spec, &thing, action, revision)
}

fn group(group: &Group) -> Value {
    let names: Vec<String> = group.nodes.iter().map(|name| name.to_string()).collect();
    let mut out = Map::new();
    out.insert("head_slot".into(), group.head.slot.into());
    out.insert("head_root".into(), json!(group.head.root));
    out.insert("node_count".into(), names.len().into());
    put_cut(&mut out, "nodes", names.len(), NAMES_LISTED);
    out.insert("nodes".into(), first(names).into());
    let clients = super::names(group.clients.keys());
    out.insert("clients".into(), first(clients).into());
    put_list(&mut out, "mix", mix(&group.clients), ROWS_LISTED);
    put_list(
        &mut out,
        "justified",
        checkpoints(&group.justified),
        ROWS_LISTED,
    );
    put_list(
        &mut out,
        "finalized",
        checkpoints(&group.finalized),
        ROWS_LISTED,
    );
    Value::Object(out)
}

/// Clients by version, those with most nodes first.
fn mix(clients: &BTreeMap<Arc<str>, usize>) -> impl ExactSizeIterator<Item = Value> {
    let mut sorted: Vec<_> = clients.iter().collect();
    sorted.sort_by_key(|(_, nodes)| std::cmp::Reverse(**nodes));
    sorted.into_iter().map(|(client, nodes)| {
        let (name, version) = name_and_version(client);
        object([
            ("client", Some(name.into())),
            ("version", version.map(Into::into)),
            ("node_count", Some((*nodes).into())),
        ])
    })
}

fn checkpoints(counts: &BTreeMap<Checkpoint, usize>) -> impl ExactSizeIterator<Item = Value> + '_ {
    let highest_first = counts.iter().rev();
    highest_first
        .map(|((epoch, root), nodes)| json!({"epoch": epoch, "root": root, "node_count": nodes}))
}

fn row(row: &Move) -> Value {
    let (client, version) = match &row.client {
        Some(client) => {
            let (name, version) = name_and_version(client);
            (Some(name.into()), version.map(Into::into))
        }
        None => (None, None),
    };
    let slot = |block: Option<BlockRef>| block.map(|block| block.slot.into());
    let root = |block: Option<BlockRef>| block.map(|block| json!(block.root));
    object([
        ("node", Some(row.node.as_ref().into())),
        ("client", client),
        ("version", version),
        ("from_slot", slot(row.from)),
        ("from_root", root(row.from)),
        ("to_slot", slot(row.to)),
        ("to_root", root(row.to)),
    ])
}

/// `prysm/v6.1.4` is a name and a version.
fn name_and_version(client: &str) -> (&str, Option<&str>) {
    match client.split_once('/') {
        Some((name, version)) => (name, Some(version)),
        None => (client, None),
    }
}

fn first(mut names: Vec<String>) -> Vec<String> {
    names.truncate(NAMES_LISTED);
    names
}

fn put_list(
    fields: &mut Map<String, Value>,
    name: &str,
    rows: impl ExactSizeIterator<Item = Value>,
    limit: usize,
) {
    if rows.len() == 0 {
        return;
    }
    put_cut(fields, name, rows.len(), limit);
    fields.insert(name.to_owned(), rows.take(limit).collect());
}

/// How many entries a list lacks, if any.
fn put_cut(fields: &mut Map<String, Value>, name: &str, all: usize, limit: usize) {
    if let Some(cut) = all.checked_sub(limit).filter(|cut| *cut > 0) {
        fields.insert(format!("{name}_cut"), cut.into());
    }
}
