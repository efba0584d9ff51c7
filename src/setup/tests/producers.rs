//! What the core concludes fits the templates, in every shape it takes. (Collectors' documents are checked beside them.)

use chrono::TimeDelta;

use super::*;
use crate::alert::{Arrival, Simulation, record, simulate};
use crate::event::{DocumentId, Event};
use crate::network::{Fact, Network, Observation, Settings, Source};
use crate::setup::assert_accepted;
use crate::slot::{BlockRef, ChainSpec, Root};

#[track_caller]
fn check<'a>(events: impl IntoIterator<Item = &'a Event>) -> BTreeSet<(DataStream, String)> {
    let mut seen = BTreeSet::new();
    for event in events {
        assert_accepted([event]);
        let action = event.document.get_str("event.action").unwrap_or_default();
        seen.insert((event.stream, action.to_owned()));
    }
    seen
}

/// Two nodes part for six slots, and one goes over to the other's branch.
#[test]
fn findings_of_the_network() {
    let spec = ChainSpec::example();
    let block = |slot: u64, branch: u8| BlockRef {
        slot,
        root: Root([branch + slot as u8; 32]),
    };
    let (common, left, right) = (0_u8, 100, 200);
    let mut said = Vec::new();
    let mut import = |node: &str, block: BlockRef, parent: BlockRef, late_slots: u64| {
        let at = spec.slot_start(block.slot + late_slots) + TimeDelta::milliseconds(500);
        let arrival_ms = Some(spec.arrival_ms(block.slot, at, 0.0));
        for fact in [
            Fact::Seen {
                block,
                source: Source::Block,
                arrival_ms,
            },
            Fact::Block {
                block,
                parent_root: parent.root,
                proposer_index: Some(7),
            },
            Fact::Head(block),
        ] {
            let order = said.len() as u64;
            said.push(Observation {
                node: node.into(),
                client: Some(node.into()),
                at,
                order,
                fact,
            });
        }
    };
    for slot in 10..13 {
        for node in ["a", "b"] {
            import(node, block(slot, common), block(slot - 1, common), 0);
        }
    }
    let parent = |slot: u64, branch| {
        if slot == 13 {
            block(12, common)
        } else {
            block(slot - 1, branch)
        }
    };
    for slot in 13..19 {
        import("a", block(slot, left), parent(slot, left), 0);
        import("b", block(slot, right), parent(slot, right), 0);
    }
    for slot in 13..20 {
        import("b", block(slot, left), parent(slot, left), 19 - slot);
    }
    import("a", block(19, left), block(18, left), 0);

    said.sort_by_key(|observation| (observation.at, observation.order));
    let mut said = said.into_iter().peekable();
    let mut network = Network::new(spec.clone(), Settings::default());
    let mut events = Vec::new();
    for slot in 10..40 {
        let now = spec.slot_start(slot);
        while let Some(observation) = said.next_if(|observation| observation.at <= now) {
            network.observe(observation);
        }
        events.extend(
            network
                .advance(now)
                .iter()
                .map(|finding| finding.to_event(&spec)),
        );
    }
    let seen = check(&events);
    for (stream, action) in [
        (DataStream::NetworkBlock, "settled"),
        (DataStream::NetworkBlock, "canonical_slot"),
        (DataStream::Reorg, "reorg"),
        (DataStream::HeadSplit, "opened"),
        (DataStream::HeadSplit, "closed"),
    ] {
        assert!(
            seen.contains(&(stream, action.to_owned())),
            "no {action} in {seen:?}"
        );
    }
}

/// A node reports, falls silent, and comes back.
#[test]
fn transitions_of_alerts() {
    let chain = ChainSpec::example();
    let rules: Vec<_> = crate::rules::shipped()
        .into_iter()
        .filter(|rule| rule.name == "node_silent")
        .collect();
    let report = |slot: u64| {
        let at = chain.slot_start(slot);
        let event = Event::new(DataStream::Node, DocumentId::existing(slot.to_string()), at)
            .with("ethereum.node.name", "a")
            .with("ethereum.node.client", "Lodestar")
            .with("ethereum.head.slot", slot);
        Arrival { at, event }
    };
    let arrivals: Vec<_> = (10..20).chain(40..60).map(report).collect();
    check(arrivals.iter().map(|arrival| &arrival.event));
    let run = Simulation {
        from: chain.slot_start(10),
        to: chain.slot_start(60),
        tick: TimeDelta::seconds(12),
        idle_tick: TimeDelta::seconds(12),
        restart_at: None,
        chain: chain.clone(),
    };
    let transitions = simulate(&rules, &arrivals, &run);
    let events: Vec<_> = transitions
        .iter()
        .map(|transition| record(transition, &chain))
        .collect();
    let seen = check(&events);
    for action in ["opened", "resolved"] {
        assert!(
            seen.contains(&(DataStream::Alert, action.to_owned())),
            "no {action} in {seen:?}"
        );
    }
}
