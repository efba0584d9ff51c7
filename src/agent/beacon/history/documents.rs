//! Statements about slots and epochs → documents. Pure.

use chrono::{DateTime, Utc};

use super::{Equivocation, Scope, SlotStatus, Statement, Status, Votes};
use crate::agent::beacon::document::Setting;
use crate::event::{DataStream, DocumentId, Event};

pub(super) fn statement(setting: &Setting<'_>, statement: &Statement, now: DateTime<Utc>) -> Event {
    match statement {
        Statement::Slot(status) => slot(setting, status, now),
        Statement::Votes(votes) => participation(setting, votes, now),
    }
}

fn finality(is_final: bool) -> &'static str {
    if is_final { "final" } else { "provisional" }
}

fn slot(setting: &Setting<'_>, told: &SlotStatus, now: DateTime<Utc>) -> Event {
    let (status, action) = match told.status {
        Status::Canonical => ("canonical", "canonical_slot"),
        Status::Orphaned => ("orphaned", "orphaned_slot"),
        Status::Missed => ("missed", "missed_slot"),
    };
    // A restarted agent judges slots again: the same judgement is the same document.
    let id = DocumentId::of(&[
        setting.agent_id,
        "slot",
        &told.slot.to_string(),
        action,
        finality(told.is_final),
        &told.revision.to_string(),
    ]);
    let roots: Vec<String> = told.roots.iter().map(ToString::to_string).collect();
    let start = setting.spec.slot_start(told.slot);
    let mut event = Event::new(DataStream::Slot, id, start)
        .with("event.kind", "event")
        .with("event.action", action)
        .with("ethereum.slot", told.slot)
        .with("ethereum.epoch", setting.spec.epoch_of(told.slot))
        .with("ethereum.slot_status", status)
        .with("ethereum.finality", finality(told.is_final))
        .with("ethereum.revision", told.revision)
        .with_some(
            "ethereum.block.root",
            told.root.map(|root| root.to_string()),
        )
        .with_some("ethereum.block.proposer_index", told.proposer)
        .with_some("ethereum.proposal.proposer_index", told.duty)
        .with("ethereum.proposal.duplicate", told.is_duplicate)
        .with_some(
            "ethereum.proposal.roots",
            (!roots.is_empty()).then_some(roots),
        );
    setting.stamp(&mut event.document, now);
    event
}

/// `at`: when it was seen.
pub(in crate::agent::beacon) fn equivocation(
    setting: &Setting<'_>,
    told: &Equivocation,
    at: DateTime<Utc>,
) -> Event {
    let roots: Vec<String> = told.roots.iter().map(ToString::to_string).collect();
    let validators: Vec<String> = told.validators.iter().map(ToString::to_string).collect();
    let id = DocumentId::of(&[
        setting.agent_id,
        told.kind,
        &told.slot.to_string(),
        &validators.join(","),
        &roots.join(","),
    ]);
    let mut event = Event::new(DataStream::Slot, id, at)
        .with("event.kind", "event")
        .with("event.action", "equivocation")
        .with("ethereum.slot", told.slot)
        .with("ethereum.epoch", setting.spec.epoch_of(told.slot))
        .with("ethereum.equivocation.kind", told.kind)
        .with("ethereum.equivocation.count", told.count)
        .with("ethereum.equivocation.validators", told.validators.clone())
        .with_some(
            "ethereum.equivocation.roots",
            (!roots.is_empty()).then_some(roots),
        );
    setting.stamp(&mut event.document, at);
    event
}

fn participation(setting: &Setting<'_>, votes: &Votes, now: DateTime<Utc>) -> Event {
    let spec = setting.spec;
    let (action, slot, slots) = match votes.scope {
        Scope::Slot(slot) => ("slot", slot, 1),
        Scope::Epoch(epoch) => (
            "epoch",
            (epoch + 1) * spec.slots_per_epoch - 1,
            spec.slots_per_epoch,
        ),
    };
    let finality = finality(votes.is_final);
    let id = DocumentId::of(&[
        setting.agent_id,
        "participation",
        action,
        &slot.to_string(),
        finality,
    ]);
    let tally = &votes.tally;
    let share = |part: u64| part as f64 / tally.committee.max(1) as f64;
    let next_slot = tally.distances.get(&1).copied().unwrap_or(0);
    let mut event = Event::new(DataStream::Participation, id, spec.slot_start(slot))
        .with("event.kind", "metric")
        .with("event.action", action)
        .with("ethereum.slot", slot)
        .with("ethereum.epoch", spec.epoch_of(slot))
        .with("ethereum.finality", finality);
    let document = &mut event.document;
    let mut set = |name: &str, value: serde_json::Value| {
        document.set(format!("ethereum.participation.{name}"), value);
    };
    set("attesters", tally.attesters.into());
    set("committee", tally.committee.into());
    set("ratio", share(tally.attesters).into());
    set("head_correct", tally.head_correct.into());
    set("head_ratio", share(tally.head_correct).into());
    set("target_correct", tally.target_correct.into());
    set("target_ratio", share(tally.target_correct).into());
    if let Some(correct) = tally.source_correct {
        set("source_correct", correct.into());
        set("source_ratio", share(correct).into());
    }
    set("head_timely", tally.head_timely.into());
    set("source_timely", tally.source_timely.into());
    set("included_next_slot", next_slot.into());
    set("slots", slots.into());
    set("slots_known", votes.slots_known.into());
    set("slots_told", votes.slots_told.into());
    set("unfit", tally.unfit.into());
    let distance = "ethereum.participation.inclusion_distance";
    document.set_some(format!("{distance}.mean"), tally.distance_mean());
    for (name, slots) in [
        ("p50", tally.distance_percentile(0.50)),
        ("p95", tally.distance_percentile(0.95)),
        ("max", tally.distances.keys().next_back().copied()),
    ] {
        document.set_some(format!("{distance}.{name}"), slots);
    }
    setting.stamp(document, now);
    event
}
