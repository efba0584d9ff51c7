//! Evidence → class. Each signature says yes with its reason, or almost: all of it was there but for what the reason names.

use super::evidence::{Equivocation, Evidence, Role, Side, Spread};
use super::{Class, Triage};

/// Times from so many nodes speak for the network; one node may have been frozen.
pub(super) const TIMED_NODES: usize = 2;

/// REORG_HEAD_WEIGHT_THRESHOLD: a head with this share of its slot's votes may not be left out by an honest proposer.
const WEAK_HEAD_PERCENT: u64 = 20;

/// Votes of the smaller side of a balanced fork, at least, of those on both.
const BALANCED_PERCENT: u64 = 40;

pub(super) enum Verdict {
    Yes(String),
    Almost(String),
    No,
}

pub(super) type Signature = (Class, fn(&Evidence) -> Verdict);

/// In the order in which they are asked: proof first, then attacks, then what also has a harmless form.
const OF_REORGS: [Signature; 6] = [
    (Class::Equivocation, equivocation),
    (Class::Bouncing, bouncing),
    (Class::ExAnte, ex_ante),
    (Class::Sandwich, sandwich),
    (Class::ClientSplit, client_split),
    (Class::LateBlock, late_block),
];

const OF_SPLITS: [Signature; 3] = [
    (Class::Equivocation, equivocation),
    (Class::Bouncing, bouncing),
    (Class::ClientSplit, client_split),
];

pub(super) fn reorg(evidence: Evidence, sync_artefact: bool) -> Triage {
    if sync_artefact {
        return Triage {
            class: Class::SyncArtefact,
            reason: "only nodes that were catching up changed their head".into(),
            evidence,
        };
    }
    judge(evidence, &OF_REORGS)
}

pub(super) fn split(evidence: Evidence) -> Triage {
    judge(evidence, &OF_SPLITS)
}

pub(super) fn judge(evidence: Evidence, signatures: &[Signature]) -> Triage {
    let mut missing = Vec::new();
    for (class, signature) in signatures {
        match signature(&evidence) {
            Verdict::Yes(reason) => {
                return Triage {
                    class: *class,
                    reason,
                    evidence,
                };
            }
            Verdict::Almost(reason) => missing.push(reason),
            Verdict::No => {}
        }
    }
    if missing.is_empty() {
        missing.push(nothing_fits(&evidence));
    }
    Triage {
        class: Class::Unknown,
        reason: missing.join("; "),
        evidence,
    }
}

/// One proposer, one slot, two blocks; votes and heads divided between them make it a balancing attack.
pub(super) fn equivocation(evidence: &Evidence) -> Verdict {
    let Some(Equivocation {
        slot,
        proposer_index,
        roots,
        slashing,
    }) = evidence.equivocations.first()
    else {
        return Verdict::No;
    };
    let told = match (roots.len(), slashing) {
        (0 | 1, _) => "a published slashing says that it made two blocks".to_owned(),
        (made, _) => format!("made {made} blocks"),
    };
    let mut reason = format!("proposer {proposer_index} of slot {slot}: {told}");
    if let Some(percent) = smaller_side_percent(evidence) {
        let balanced = if percent >= BALANCED_PERCENT {
            ": balanced"
        } else {
            ""
        };
        reason += &format!("; the smaller side has {percent} % of the votes{balanced}");
    }
    if evidence
        .separation
        .is_some_and(|separation| separation.is_clear())
    {
        reason += &format!("; the branches part by client ({})", clients_of(evidence));
    }
    Verdict::Yes(reason)
}

/// The justified checkpoint of several nodes went to another branch and back.
fn bouncing(evidence: &Evidence) -> Verdict {
    let flips = evidence.flips;
    let told = format!(
        "the justified checkpoint contradicted the one before up to {} times at a node",
        flips.most
    );
    match flips.nodes {
        0 => Verdict::No,
        1 if evidence.nodes_known > 1 => Verdict::Almost(format!("{told}, but at one node alone")),
        nodes => Verdict::Yes(format!("{told}, at {nodes} nodes over and back")),
    }
}

/// A block nobody saw in its slot displaces a timely sibling, with votes that only its maker's friends can have cast.
fn ex_ante(evidence: &Evidence) -> Verdict {
    let Some((dropped, added)) = reorg_sides(evidence) else {
        return Verdict::No;
    };
    let withheld = |first_ms: i64| first_ms >= evidence.slot_duration_ms as i64;
    let first_ms = added.arrival.first_ms.filter(|ms| withheld(*ms));
    let older = added.base.slot < dropped.base.slot && evidence.same_parent == Some(true);
    let Some(first_ms) = first_ms.filter(|_| older && mostly_timely(&dropped.arrival)) else {
        return Verdict::No;
    };
    let told = format!(
        "block {} of slot {} was first seen {} into its slot, and displaced the timely block of slot {} with the same parent",
        added.base.root.short(),
        added.base.slot,
        seconds(first_ms),
        dropped.base.slot
    );
    if added.arrival.timed < TIMED_NODES {
        return Verdict::Almost(format!("{told}, but only one node gave a time"));
    }
    match added.own_slot_votes {
        Some((votes @ 1.., _)) => Verdict::Yes(format!(
            "{told}; {votes} votes of its slot named it although nobody could see it"
        )),
        Some((0, _)) => Verdict::Almost(format!(
            "{told}, but no vote of its slot named it: late rather than withheld"
        )),
        None => Verdict::Almost(format!(
            "{told}; whether votes were withheld with it was not watched"
        )),
    }
}

/// A timely block with many votes is left out by the one who also made the block before it.
fn sandwich(evidence: &Evidence) -> Verdict {
    let Some((dropped, added)) = reorg_sides(evidence) else {
        return Verdict::No;
    };
    let left_out = dropped.blocks == 1 && added.base.slot > dropped.base.slot;
    if !left_out || !mostly_timely(&dropped.arrival) {
        return Verdict::No;
    }
    let mut told = format!(
        "the block of slot {} was timely at {} of {} nodes and was left out by the proposer of slot {}",
        dropped.base.slot, dropped.arrival.timely, dropped.arrival.timed, added.base.slot
    );
    let Some(percent) = own_slot_percent(dropped) else {
        return Verdict::Almost(format!("{told}; its votes were not watched"));
    };
    if percent < WEAK_HEAD_PERCENT {
        return Verdict::Almost(format!(
            "{told}, but had only {percent} % of its slot's votes"
        ));
    }
    told += &format!(" although it had {percent} % of its slot's votes");
    match (evidence.ancestor_proposer, added.base_proposer) {
        (Some(before), Some(after)) if before == after => Verdict::Yes(format!(
            "{told}; proposer {after} also made the block before it"
        )),
        (Some(before), Some(after)) => Verdict::Almost(format!(
            "{told}; proposers {before} and {after} around it differ, whether one operator runs both is not known"
        )),
        _ => Verdict::Almost(format!("{told}; a proposer around it is not known")),
    }
}

fn client_split(evidence: &Evidence) -> Verdict {
    let Some(separation) = evidence.separation else {
        return Verdict::No;
    };
    let what = if separation.by_version {
        "client version mix"
    } else {
        "client mix"
    };
    let told = format!(
        "{what} differs between the branches: {}",
        clients_of(evidence)
    );
    let percent = separation.chance_ppm as f64 / 10_000.0;
    if separation.is_clear() {
        Verdict::Yes(format!("{told}; by chance so in {percent:.1} % of forks"))
    } else {
        Verdict::Almost(format!(
            "{told}; {} nodes lie so by chance in {percent:.0} % of forks, so place may explain it as well",
            separation.nodes
        ))
    }
}

/// What honest proposers do: leave out one block that came late and found few votes, within an epoch.
fn late_block(evidence: &Evidence) -> Verdict {
    let Some((dropped, added)) = reorg_sides(evidence) else {
        return Verdict::No;
    };
    let left_out = dropped.blocks == 1 && added.base.slot > dropped.base.slot;
    let arrival = &dropped.arrival;
    if !left_out || arrival.late * 2 <= arrival.timed {
        return Verdict::No;
    }
    let told = format!(
        "the block of slot {} came late at {} of {} nodes ({}) and was left out by the next proposer",
        dropped.base.slot,
        arrival.late,
        arrival.timed,
        spread_text(arrival)
    );
    if arrival.timed < TIMED_NODES {
        return Verdict::Almost(format!("{told}, but only one node gave a time"));
    }
    let distance = evidence
        .ancestor_slot
        .and_then(|slot| added.base.slot.checked_sub(slot));
    if distance != Some(2) {
        return Verdict::Almost(format!(
            "{told}, but that one's parent does not lie two slots back"
        ));
    }
    let percent = own_slot_percent(dropped);
    if let Some(percent) = percent.filter(|percent| *percent >= WEAK_HEAD_PERCENT) {
        return Verdict::Almost(format!("{told}, but had {percent} % of its slot's votes"));
    }
    if added.base.slot % evidence.slots_per_epoch.max(1) == 0 {
        return Verdict::Almost(format!(
            "{told}, but at an epoch's boundary, where honest proposers keep late heads"
        ));
    }
    match percent {
        Some(percent) => Verdict::Yes(format!("{told}; it had {percent} % of its slot's votes")),
        None => Verdict::Yes(format!("{told}; its votes were not watched")),
    }
}

fn nothing_fits(evidence: &Evidence) -> String {
    if evidence.sides.is_empty() {
        return "the blocks between the heads are not known".into();
    }
    let blind = |side: &&Side| side.arrival.timed == 0;
    if let Some(side) = evidence.sides.iter().find(blind) {
        return format!(
            "nobody gave a time for the block of slot {}",
            side.base.slot
        );
    }
    let told: Vec<_> = evidence
        .sides
        .iter()
        .filter_map(|side| parted(side, evidence))
        .collect();
    match told.is_empty() {
        true => "arrivals, proposers and clients fit no known pattern".into(),
        false => format!(
            "{}: as when connections between nodes are cut, or nodes stand still",
            told.join(", ")
        ),
    }
}

/// Half of the nodes never got the block, or some got it more than a slot after the first: what reaches them slowly does
/// not reach them as slowly as that.
fn parted(side: &Side, evidence: &Evidence) -> Option<String> {
    let (slot, arrival) = (side.base.slot, &side.arrival);
    if arrival.seen * 2 <= evidence.nodes_known {
        return Some(format!(
            "the block of slot {slot} was seen by {} of {} nodes",
            arrival.seen, evidence.nodes_known
        ));
    }
    let (first_ms, last_ms) = arrival.first_ms.zip(arrival.last_ms)?;
    let is_parted = last_ms.saturating_sub(first_ms) >= evidence.slot_duration_ms as i64;
    is_parted.then(|| {
        format!(
            "the block of slot {slot} came {} after its slot began to the first node and {} after to the last",
            seconds(first_ms),
            seconds(last_ms)
        )
    })
}

fn reorg_sides(evidence: &Evidence) -> Option<(&Side, &Side)> {
    match evidence.sides.as_slice() {
        [dropped, added] if dropped.role == Role::Dropped && added.role == Role::Added => {
            Some((dropped, added))
        }
        _ => None,
    }
}

fn mostly_timely(arrival: &Spread) -> bool {
    arrival.timed >= TIMED_NODES && arrival.timely * 2 > arrival.timed
}

pub(super) fn own_slot_percent(side: &Side) -> Option<u64> {
    let (named, all) = side.own_slot_votes?;
    named.saturating_mul(100).checked_div(all)
}

/// `None` where no vote named either side.
fn smaller_side_percent(evidence: &Evidence) -> Option<u64> {
    let [one, other] = evidence.sides.get(..2)? else {
        return None;
    };
    let (one, other) = (one.votes?, other.votes?);
    one.min(other)
        .saturating_mul(100)
        .checked_div(one.saturating_add(other))
}

/// `Prysm/v6 (3 nodes) on the block of slot 9, …`
fn clients_of(evidence: &Evidence) -> String {
    let side = |side: &Side| {
        let clients: Vec<_> = side.clients.iter().map(|client| client.as_ref()).collect();
        let plural = if side.nodes.len() == 1 { "" } else { "s" };
        format!(
            "{} ({} node{plural}) on {} of slot {}",
            clients.join(", "),
            side.nodes.len(),
            side.base.root.short(),
            side.base.slot
        )
    };
    let sides: Vec<_> = evidence.sides.iter().map(side).collect();
    sides.join("; ")
}

fn spread_text(arrival: &Spread) -> String {
    match (arrival.first_ms, arrival.last_ms) {
        (Some(first), Some(last)) if first == last => seconds(first),
        (Some(first), Some(last)) => format!("{} to {}", seconds(first), seconds(last)),
        _ => "no times".into(),
    }
}

pub(super) fn seconds(ms: i64) -> String {
    format!("{:.1} s", ms as f64 / 1000.0)
}
