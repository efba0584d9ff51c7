//! Triage as fields of the fork's document.
//!
//! `ethereum.triage.`: `class`, `looks_like` (attack, bug, benign, unknown), `reason` keyword; `same_parent`,
//! `adjacent_proposers` boolean; `nodes_followed`, `nodes_never_followed` long (of a reorg); `nodes_changed`, `nodes_known`, `justified_flips.{most,nodes}` long;
//! `clients.{clear,by_version}` boolean, `clients.{nodes,strays,chance_ppm}` long; `equivocations` nested: `slot`,
//! `proposer_index` long, `roots` keyword, `slashing` boolean; `sides` nested: `role` (dropped, added, group, late),
//! `base_root`, `head_root`, `nodes`, `clients` keyword, `base_slot`, `head_slot`, `base_proposer_index`, `blocks`,
//! `node_count`, `nodes_cut` (names beyond those listed), `votes`, `own_slot_votes`, `own_slot_total`, `nodes_seen`,
//! `nodes_timed`, `nodes_late`, `nodes_timely`, `first_ms`, `median_ms`, `last_ms` long (signed ms into the slot of the
//! side's first block)

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::evidence::{Equivocation, Role, Side};
use super::{Separation, Triage};
use crate::event::Event;

/// Names that a side lists; the rest is counted.
const NAMES_LISTED: usize = 256;

impl Triage {
    pub(in crate::network) fn write_to(&self, event: Event) -> Event {
        let evidence = &self.evidence;
        let adjacent = evidence.sides.iter().find(|side| side.role == Role::Added);
        let adjacent = adjacent
            .and_then(|added| added.base_proposer)
            .zip(evidence.ancestor_proposer)
            .map(|(after, before)| after == before);
        let event = event
            .with("ethereum.triage.class", self.class.name())
            .with("ethereum.triage.looks_like", self.class.looks_like())
            .with("ethereum.triage.reason", self.reason.as_str())
            .with_some("ethereum.triage.same_parent", evidence.same_parent)
            .with_some("ethereum.triage.adjacent_proposers", adjacent)
            .with("ethereum.triage.nodes_changed", evidence.nodes_changed)
            .with("ethereum.triage.nodes_known", evidence.nodes_known)
            .with("ethereum.triage.justified_flips.most", evidence.flips.most)
            .with(
                "ethereum.triage.justified_flips.nodes",
                evidence.flips.nodes,
            )
            .with(
                "ethereum.triage.equivocations",
                list(&evidence.equivocations, equivocation),
            )
            .with("ethereum.triage.sides", list(&evidence.sides, side));
        let event = match evidence.followed + evidence.never_followed {
            0 => event,
            _ => event
                .with("ethereum.triage.nodes_followed", evidence.followed)
                .with(
                    "ethereum.triage.nodes_never_followed",
                    evidence.never_followed,
                ),
        };
        match evidence.separation {
            Some(separation) => clients(event, separation),
            None => event,
        }
    }
}

fn clients(event: Event, separation: Separation) -> Event {
    event
        .with("ethereum.triage.clients.clear", separation.is_clear())
        .with("ethereum.triage.clients.by_version", separation.by_version)
        .with("ethereum.triage.clients.nodes", separation.nodes)
        .with("ethereum.triage.clients.strays", separation.strays)
        .with("ethereum.triage.clients.chance_ppm", separation.chance_ppm)
}

fn list<T>(items: &[T], value: fn(&T) -> Value) -> Vec<Value> {
    items.iter().map(value).collect()
}

fn equivocation(equivocation: &Equivocation) -> Value {
    json!({
        "slot": equivocation.slot,
        "proposer_index": equivocation.proposer_index,
        "roots": equivocation.roots,
        "slashing": equivocation.slashing,
    })
}

fn side(side: &Side) -> Value {
    let role = match side.role {
        Role::Dropped => "dropped",
        Role::Added => "added",
        Role::Group => "group",
        Role::Late => "late",
    };
    let arrival = &side.arrival;
    let names = |names: &BTreeSet<Arc<str>>| -> Vec<String> {
        let names = names.iter().take(NAMES_LISTED);
        names.map(|name| name.to_string()).collect()
    };
    let cut = side.nodes.len().saturating_sub(NAMES_LISTED);
    let value = json!({
        "role": role,
        "base_slot": side.base.slot,
        "base_root": side.base.root,
        "base_proposer_index": side.base_proposer,
        "head_slot": side.head.slot,
        "head_root": side.head.root,
        "blocks": side.blocks,
        "nodes": names(&side.nodes),
        "node_count": side.nodes.len(),
        "nodes_cut": (cut > 0).then_some(cut),
        "clients": names(&side.clients),
        "votes": side.votes,
        "own_slot_votes": side.own_slot_votes.map(|(named, _)| named),
        "own_slot_total": side.own_slot_votes.map(|(_, all)| all),
        "nodes_seen": arrival.seen,
        "nodes_timed": arrival.timed,
        "nodes_late": arrival.late,
        "nodes_timely": arrival.timely,
        "first_ms": arrival.first_ms,
        "median_ms": arrival.median_ms,
        "last_ms": arrival.last_ms,
    });
    let Value::Object(object) = value else {
        return Value::Null;
    };
    // What is not known is no field.
    let known: Map<String, Value> = object
        .into_iter()
        .filter(|(_, value)| !value.is_null())
        .collect();
    Value::Object(known)
}
