//! Whoever speaks first, and however often: the same findings.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::event::DataStream;

/// A split of three nodes with a flapping end, a late straggler, an orphan and finality.
fn busy() -> Scene {
    let mut scene = Scene::from_slot(10);
    scene
        .exists("x11", 11, "g")
        .exists("x13", 13, "x11")
        .exists("y12", 12, "g")
        .exists("y14", 14, "y12");
    scene.exists("y17", 17, "y14").exists("stray", 16, "x11");
    for node in ["a", "b", "m"] {
        scene.head(node, 10.1, "g");
    }
    scene
        .head("m", 11.1, "x11")
        .head("m", 13.1, "x13")
        .head("a", 12.1, "y12")
        .head("b", 12.1, "y12");
    scene
        .head("a", 14.1, "y14")
        .head("b", 14.4, "y14")
        .import("b", 16.2, "stray");
    scene
        .head("m", 16.1, "y14")
        .only_head("m", 16.3, "x13")
        .head("m", 17.4, "y17");
    scene.head("a", 17.1, "y17").head("b", 17.1, "y17");
    let root = scene.block("y14").root;
    scene
        .tell("a", 18.0, Fact::Finalized { epoch: 2, root })
        .tell("b", 18.0, Fact::Finalized { epoch: 2, root });
    scene
}

proptest! {
    #[test]
    fn shuffled_and_repeated_observations_change_nothing(
        told in Just(busy().told).prop_shuffle(),
        again in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
    ) {
        let scene = busy();
        let expected = scene.findings(24.0);
        let repeated: Vec<_> = again.iter().map(|index| told[index.index(told.len())].clone()).collect();
        let shuffled = [told, repeated].concat();
        let mut network = scene.network_after(&shuffled);
        prop_assert_eq!(network.advance(scene.at(24.0)), expected);
        // What is heard again later is no news either.
        shuffled.into_iter().for_each(|observation| network.observe(observation));
        prop_assert_eq!(network.advance(scene.at(26.0)).iter().filter(|finding| !matches!(finding, Finding::Slot(_))).count(), 0);
    }

    #[test]
    fn nodes_that_report_within_the_waiting_time_are_judged_as_if_in_order(
        delays_ms in prop::collection::vec(0..1_500_i64, 60),
    ) {
        let scene = busy();
        let mut late = scene.told.clone();
        late.sort_by_key(|observation| {
            let delay = delays_ms[observation.order as usize % delays_ms.len()];
            observation.at + TimeDelta::milliseconds(delay)
        });
        let mut network = Network::new(scene.spec.clone(), Settings::default());
        let mut found = Vec::new();
        for observation in late {
            let delay = delays_ms[observation.order as usize % delays_ms.len()];
            let now = observation.at + TimeDelta::milliseconds(delay);
            network.observe(observation);
            found.extend(network.advance(now));
        }
        found.extend(network.advance(scene.at(24.0)));
        let story = |findings: &[Finding]| {
            let reorgs: Vec<_> = reorgs(findings).iter().map(|reorg| (reorg.old_head, reorg.new_head, reorg.branches.clone())).collect();
            let splits: Vec<_> = splits(findings).iter().map(|split| (split.id.clone(), split.step, split.at)).collect();
            (reorgs, splits)
        };
        prop_assert_eq!(story(&found), story(&scene.live_findings(24.0)));
    }
}

#[test]
fn a_restart_that_reads_the_window_again_adds_no_document() {
    let scene = busy();
    let ids = |findings: Vec<Finding>| -> BTreeSet<_> {
        let events = findings.iter().map(|finding| finding.to_event(&scene.spec));
        events
            .map(|event| (event.stream, event.id))
            .filter(|(stream, _)| *stream != DataStream::NetworkBlock)
            .collect()
    };
    let uninterrupted = ids(scene.live_findings(24.0));
    assert_eq!(
        uninterrupted.len(),
        5,
        "three reorgs, a split that opens and closes"
    );
    for restarted_at in [12.5, 14.0, 15.5, 16.3, 17.0, 18.5, 19.5] {
        let before = ids(scene.live_findings(restarted_at));
        let after = ids(scene.live_findings_from(restarted_at, 24.0));
        assert_eq!(
            before.union(&after).cloned().collect::<BTreeSet<_>>(),
            uninterrupted,
            "{restarted_at}"
        );
    }
}

#[test]
fn the_story_is_told_whole() {
    let findings = busy().live_findings(24.0);
    let sizes: Vec<_> = reorgs(&findings)
        .iter()
        .map(|reorg| {
            let fork = reorg.branches.clone().unwrap();
            (
                reorg.old_head.slot,
                reorg.new_head.slot,
                fork.old_side.len(),
                fork.new_side.len(),
            )
        })
        .collect();
    assert_eq!(sizes, [(13, 14, 2, 2), (14, 13, 2, 2), (13, 17, 2, 3)]);
    let steps: Vec<_> = splits(&findings).iter().map(|split| split.step).collect();
    assert_eq!(steps, [Step::Opened, Step::Closed]);
}

#[test]
fn memory_is_bounded_and_links_outlive_arrivals() {
    let mut scene = Scene::from_slot(0);
    let settings = Settings {
        slots_kept: 16,
        links_kept: 64,
        ..Settings::default()
    };
    let mut network = Network::new(scene.spec.clone(), settings);
    let root = |slot: u64| Root([slot as u8 + 1; 32]);
    for slot in 1..200 {
        let block = BlockRef {
            slot,
            root: root(slot),
        };
        let (parent_root, proposer_index) = (root(slot - 1), None);
        scene.told.clear();
        scene.tell(
            "a",
            slot as f64 + 0.1,
            Fact::Block {
                block,
                parent_root,
                proposer_index,
            },
        );
        scene.tell("a", slot as f64 + 0.1, Fact::Head(block));
        scene
            .told
            .drain(..)
            .for_each(|observation| network.observe(observation));
        network.advance(scene.at(slot as f64 + 0.9));
    }
    assert_eq!(network.blocks_kept(), 65, "64 slots and the running one");
    let old = BlockRef {
        slot: 150,
        root: root(150),
    };
    scene.tell("a", 150.5, Fact::Head(old)).tell(
        "a",
        199.9,
        Fact::Head(BlockRef { slot: 100, ..old }),
    );
    scene
        .told
        .drain(..)
        .for_each(|observation| network.observe(observation));
    assert_eq!(
        network.refused().too_old,
        2,
        "one by its time, one by its slot"
    );
}
