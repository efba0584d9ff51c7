//! Late blocks in a row: whose fault, by what the core knows. The same classes, of which a run can have four.

use std::collections::{BTreeMap, BTreeSet};

use super::evidence::{Evidence, Role, Side, View};
use super::judge::{
    Signature, TIMED_NODES, Verdict, equivocation, judge, own_slot_percent, seconds,
};
use super::{Class, Triage};
use crate::network::late_run::LateRun;
use crate::network::nodes::NodeName;

/// A block with this share of its slot's votes was there in time for most of the network.
const TIMELY_PERCENT: u64 = 50;

const OF_RUNS: [Signature; 4] = [
    (Class::Equivocation, equivocation),
    (Class::ClientSplit, client_split),
    (Class::LateBlock, late_proposers),
    (Class::ExAnte, withheld),
];

pub(in crate::network) fn of_run(view: &View, run: &LateRun) -> Triage {
    let mut evidence = view.common(run.at, None);
    for late in &run.blocks {
        let nodes = late.late_nodes.clone();
        evidence
            .sides
            .extend(view.side(Role::Late, &[late.block.root], nodes));
    }
    let (late, timely) = mostly_late(run);
    evidence.nodes_changed = late.len();
    evidence.separation = view.separation([&late, &timely]);
    view.complete(&mut evidence);
    // Late blocks follow each other: that they have different parents says nothing.
    evidence.same_parent = None;
    let catching_up = |name: &NodeName| {
        view.nodes
            .get(name)
            .is_some_and(|node| node.was_syncing(run.at))
    };
    if !late.is_empty() && late.iter().all(catching_up) {
        return Triage {
            class: Class::SyncArtefact,
            reason: "only nodes that were catching up got the blocks late".into(),
            evidence,
        };
    }
    judge(evidence, &OF_RUNS)
}

/// The nodes that got most blocks of the run late, and those that did not.
fn mostly_late(run: &LateRun) -> (BTreeSet<NodeName>, BTreeSet<NodeName>) {
    let mut counts: BTreeMap<&NodeName, [usize; 2]> = BTreeMap::new();
    for block in &run.blocks {
        for node in &block.late_nodes {
            counts.entry(node).or_default()[0] += 1;
        }
        for node in &block.timely_nodes {
            counts.entry(node).or_default()[1] += 1;
        }
    }
    let (late, timely): (Vec<_>, Vec<_>) = counts
        .into_iter()
        .partition(|(_, [late, timely])| late > timely);
    (names(late), names(timely))
}

fn names(nodes: Vec<(&NodeName, [usize; 2])>) -> BTreeSet<NodeName> {
    nodes.into_iter().map(|(name, _)| name.clone()).collect()
}

/// A client that is slow, or that is shown the blocks late: the others have them in time.
fn client_split(evidence: &Evidence) -> Verdict {
    let Some(separation) = evidence.separation else {
        return Verdict::No;
    };
    let clients: BTreeSet<_> = evidence
        .sides
        .iter()
        .flat_map(|side| &side.clients)
        .map(|client| client.as_ref())
        .collect();
    let clients: Vec<_> = clients.into_iter().collect();
    let told = format!(
        "{} of {} nodes got the blocks late, and they part from the others by client ({})",
        evidence.nodes_changed,
        separation.nodes,
        clients.join(", ")
    );
    let percent = separation.chance_ppm as f64 / 10_000.0;
    if separation.is_clear() {
        Verdict::Yes(format!("{told}; by chance so in {percent:.1} % of cases"))
    } else {
        Verdict::Almost(format!(
            "{told}, but by chance so in {percent:.0} % of cases"
        ))
    }
}

/// Late at most nodes that gave a time, and attesters did not see them in time either.
fn late_proposers(evidence: &Evidence) -> Verdict {
    let sides = &evidence.sides;
    let at_most_nodes = |side: &&Side| side.arrival.late * 2 > side.arrival.timed;
    if sides.is_empty() || sides.iter().filter(at_most_nodes).count() < sides.len() {
        return Verdict::No;
    }
    let proposers: BTreeSet<_> = sides.iter().filter_map(|side| side.base_proposer).collect();
    let by = match proposers.len() {
        0 => "by unknown proposers".to_owned(),
        1 if sides.len() > 1 => "all by one proposer".to_owned(),
        count => format!("by {count} proposers"),
    };
    let told = format!(
        "{} blocks in a row came late at most nodes ({}), {by}",
        sides.len(),
        spread(sides)
    );
    let fewest = sides.iter().map(|side| side.arrival.timed).min();
    if fewest < Some(TIMED_NODES) {
        return Verdict::Almost(format!("{told}, but of some only one node gave a time"));
    }
    let percents: Vec<u64> = sides.iter().filter_map(own_slot_percent).collect();
    let Some(highest) = percents.iter().max() else {
        return Verdict::Almost(format!(
            "{told}; votes were not watched, so the way to these nodes may be what is slow"
        ));
    };
    let seen_in_time = percents
        .iter()
        .filter(|percent| **percent >= TIMELY_PERCENT)
        .count();
    if seen_in_time * 2 > percents.len() {
        return Verdict::Almost(format!(
            "{told}, but {seen_in_time} of {} had most votes of their slots (up to {highest} %): others had them in time, the way to these nodes is slow",
            percents.len()
        ));
    }
    Verdict::Yes(format!(
        "{told}; attesters had them late too: at most {highest} % of a slot's votes, watched for {} of them",
        percents.len()
    ))
}

/// Blocks that nobody saw in their own slot. Whether they displaced others is told of the reorgs they made.
fn withheld(evidence: &Evidence) -> Verdict {
    let slot_ms = evidence.slot_duration_ms as i64;
    let held = |side: &&Side| side.arrival.first_ms.is_some_and(|ms| ms >= slot_ms);
    match evidence.sides.iter().filter(held).count() {
        0 => Verdict::No,
        count => Verdict::Almost(format!(
            "{count} of them were first seen after their slot, as withheld blocks are; none is known to have displaced another"
        )),
    }
}

fn spread(sides: &[Side]) -> String {
    let first = sides.iter().filter_map(|side| side.arrival.first_ms).min();
    let last = sides.iter().filter_map(|side| side.arrival.last_ms).max();
    match (first, last) {
        (Some(first), Some(last)) => format!("{} to {}", seconds(first), seconds(last)),
        _ => "no times".into(),
    }
}
