//! What befell the network beside reorgs and splits, as documents of `logs-ethereum.network_event`: one for each event,
//! and a further one (`ethereum.revision`) when more becomes known of it.
//!
//! All: `ethereum.slot`, `ethereum.epoch` long, `ethereum.nodes`, `ethereum.clients` keyword.
//!
//! `event.action` = `equivocation`:
//! - `ethereum.equivocation.`: `kind` keyword (duplicate_proposal, proposer_slashing, attester_slashing), `validators`,
//!   `count` long, `slashing` boolean, `slashing_nodes` keyword, `roots` keyword, `blocks` nested: `root`,
//!   `parent_root`, `nodes` keyword, `first_ms`, `votes` long
//!
//! `event.action` = `justification_flip`:
//! - `ethereum.justification.`: `from_epoch`, `to_epoch` long, `from_root`, `to_root` keyword (the first change that
//!   contradicted the checkpoint before), `flips` long (the most at a node), `nodes_flipped`, `quorum` long, `confirmed`
//!   boolean, `checkpoints` nested: `epoch` long, `root` keyword; `changes` nested: `node`, `at`, `from_root`,
//!   `to_root` keyword, `from_epoch`, `to_epoch` long
//!
//! `event.action` = `late_run`:
//! - `ethereum.late_run.`: `from_slot`, `to_slot`, `slots` long, `late_nodes`, `timely_nodes` keyword; and
//!   `ethereum.triage.…`, its sides the late blocks

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::network_block::object;
use super::{identify, names};
use crate::event::{DataStream, DocumentId, Event, timestamp};
use crate::network::{JustificationFlip, LateRun, Offence, OffenceKind};
use crate::slot::{ChainSpec, Root};

/// Changes of justified checkpoints that a document lists.
const CHANGES_LISTED: usize = 64;

pub(super) fn offence(offence: &Offence, spec: &ChainSpec) -> Event {
    let slashing = !offence.slashing_heard_by.is_empty();
    let kind = match offence.kind {
        OffenceKind::Vote => "attester_slashing",
        OffenceKind::Proposal if offence.blocks.len() > 1 => "duplicate_proposal",
        OffenceKind::Proposal => "proposer_slashing",
    };
    let blocks = offence.blocks.iter().map(|block| {
        object([
            ("root", Some(json!(block.root))),
            ("parent_root", block.parent.map(|root| json!(root))),
            ("nodes", Some(names(&block.nodes).into())),
            ("first_ms", block.first_ms.map(Into::into)),
            ("votes", block.votes.map(Into::into)),
        ])
    });
    let roots: Vec<Root> = offence.blocks.iter().map(|block| block.root).collect();
    let event = Event::new(DataStream::NetworkEvent, DocumentId::of(&[]), offence.at)
        .with("ethereum.slot", offence.slot)
        .with("ethereum.epoch", spec.epoch_of(offence.slot))
        .with("ethereum.nodes", names(&offence.nodes))
        .with("ethereum.clients", names(&offence.clients))
        .with("ethereum.equivocation.kind", kind)
        .with(
            "ethereum.equivocation.validators",
            offence.validators.clone(),
        )
        .with("ethereum.equivocation.count", offence.validators_count)
        .with("ethereum.equivocation.slashing", slashing)
        .with(
            "ethereum.equivocation.slashing_nodes",
            names(&offence.slashing_heard_by),
        )
        .with("ethereum.equivocation.roots", super::roots(&roots))
        .with("ethereum.equivocation.blocks", blocks.collect::<Vec<_>>());
    let slot = offence.slot.to_string();
    let validators = format!("{:?} {:?}", offence.kind, offence.validators);
    let thing = ["equivocation", slot.as_str(), validators.as_str()];
    identify(event, spec, &thing, "equivocation", offence.revision)
}

pub(super) fn flip(flip: &JustificationFlip, spec: &ChainSpec) -> Event {
    let slot = spec.slot_at(flip.at).unwrap_or(0);
    let flipped: BTreeSet<_> = flip.nodes.iter().map(|node| node.node.clone()).collect();
    let checkpoints = flip.checkpoints.iter();
    let checkpoints = checkpoints.map(|(epoch, root)| json!({"epoch": epoch, "root": root}));
    let changes = flip.nodes.iter().flat_map(|node| {
        node.changes.iter().map(|change| {
            json!({
                "node": node.node.as_ref(), "at": timestamp(change.at),
                "from_epoch": change.from.0, "from_root": change.from.1,
                "to_epoch": change.to.0, "to_root": change.to.1,
            })
        })
    });
    let changes: Vec<Value> = changes.take(CHANGES_LISTED).collect();
    let most = flip.nodes.iter().map(|node| node.changes.len()).max();
    let (from, to) = (flip.from.1.to_string(), flip.to.1.to_string());
    let event = Event::new(DataStream::NetworkEvent, DocumentId::of(&[]), flip.at)
        .with("ethereum.slot", slot)
        .with("ethereum.epoch", spec.epoch_of(slot))
        .with("ethereum.nodes", names(&flipped))
        .with("ethereum.clients", names(&flip.clients))
        .with("ethereum.justification.from_epoch", flip.from.0)
        .with("ethereum.justification.from_root", from.as_str())
        .with("ethereum.justification.to_epoch", flip.to.0)
        .with("ethereum.justification.to_root", to.as_str())
        .with_some("ethereum.justification.flips", most)
        .with("ethereum.justification.nodes_flipped", flip.nodes.len())
        .with("ethereum.justification.quorum", flip.quorum)
        .with("ethereum.justification.confirmed", flip.confirmed)
        .with(
            "ethereum.justification.checkpoints",
            checkpoints.collect::<Vec<_>>(),
        )
        .with("ethereum.justification.changes", changes);
    let epoch = flip.to.0.to_string();
    let thing = ["justification_flip", &from, &to, &epoch];
    identify(event, spec, &thing, "justification_flip", flip.revision)
}

pub(super) fn late_run(run: &LateRun, spec: &ChainSpec) -> Event {
    let late: BTreeSet<_> = run
        .blocks
        .iter()
        .flat_map(|block| &block.late_nodes)
        .collect();
    let timely: BTreeSet<_> = run
        .blocks
        .iter()
        .flat_map(|block| &block.timely_nodes)
        .collect();
    let sides = &run.triage.evidence.sides;
    let clients = names(sides.iter().flat_map(|side| &side.clients));
    let event = Event::new(DataStream::NetworkEvent, DocumentId::of(&[]), run.at)
        .with("ethereum.slot", run.to_slot)
        .with("ethereum.epoch", spec.epoch_of(run.to_slot))
        .with("ethereum.nodes", names(late.iter().copied()))
        .with("ethereum.clients", clients)
        .with("ethereum.late_run.from_slot", run.from_slot)
        .with("ethereum.late_run.to_slot", run.to_slot)
        .with("ethereum.late_run.slots", run.slots)
        .with("ethereum.late_run.late_nodes", names(late))
        .with("ethereum.late_run.timely_nodes", names(timely));
    let event = run.triage.write_to(event);
    let from = run.from_slot.to_string();
    identify(event, spec, &["late_run", &from], "late_run", run.revision)
}
