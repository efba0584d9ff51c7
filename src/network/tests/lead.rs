//! Which branch provisional statuses follow in a lasting split.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::network::branches::Branch;
use crate::network::lead::Lead;

/// Block names that live as long as the test.
fn name(side: &str, slot: u64) -> &'static str {
    Box::leak(format!("{side}{slot}").into_boxed_str())
}

/// After slot 10 two sides make blocks in turn, one of them two at a time, up to slot `last`.
fn taking_turns(sides: [&[&str]; 2], last: u64) -> Scene {
    let mut scene = Scene::from_slot(10);
    for node in sides.concat() {
        scene.head(node, 10.1, "g");
    }
    let mut heads = ["g", "g"];
    for slot in 11..=last {
        let side = usize::from(slot % 3 == 0);
        let block = name(["x", "y"][side], slot);
        scene.exists(block, slot, heads[side]);
        for node in sides[side] {
            scene.head(node, slot as f64 + 0.1, block);
        }
        heads[side] = block;
    }
    scene
}

/// How often the status of each slot was told.
fn tellings(findings: &[Finding]) -> BTreeMap<u64, Vec<Status>> {
    let mut told: BTreeMap<u64, Vec<Status>> = BTreeMap::new();
    for finding in findings {
        if let Finding::Slot(slot) = finding {
            told.entry(slot.slot).or_default().push(slot.status);
        }
    }
    told
}

#[test]
fn in_an_even_split_no_status_is_told_twice() {
    let scene = taking_turns([&["a", "b"], &["m", "n"]], 30);
    let mut expected = None;
    for findings in [scene.findings(33.0), scene.live_findings(33.0)] {
        let told = tellings(&findings);
        assert!(told.len() >= 20);
        assert!(told.values().all(|told| told.len() == 1), "{told:?}");
        assert_eq!(*expected.get_or_insert(told.clone()), told);
    }
}

#[test]
fn when_the_other_side_wins_each_status_changes_once() {
    let mut scene = taking_turns([&["a", "b"], &["m", "n"]], 24);
    scene.exists("y25", 25, "y24");
    // One of them goes over and back first.
    scene.head("a", 25.2, "y25").only_head("a", 25.4, "x23");
    for node in ["a", "b", "m", "n"] {
        scene.head(node, 26.1, "y25");
    }
    for findings in [scene.findings(33.0), scene.live_findings(33.0)] {
        let told = tellings(&findings);
        assert!(told.values().all(|told| told.len() <= 2), "{told:?}");
        let last = |slot: u64| told[&slot].last().copied();
        assert_eq!(last(23), Some(Status::Orphaned));
        assert_eq!(last(24), Some(Status::Canonical));
    }
}

#[test]
fn a_node_that_hops_each_slot_turns_nothing_over() {
    let mut scene = taking_turns([&["a", "b"], &["m", "n"]], 30);
    scene.head("k", 10.1, "g");
    let mut heads = ["g", "g"];
    for slot in 11..=30_u64 {
        let side = usize::from(slot % 3 == 0);
        heads[side] = name(["x", "y"][side], slot);
        scene.head("k", slot as f64 + 0.3, heads[slot as usize % 2]);
    }
    let told = tellings(&scene.findings(33.0));
    assert!(told.values().all(|told| told.len() == 1), "{told:?}");
}

/// A tree with a fork after slot 10, and so many nodes on either side.
struct Two {
    scene: Scene,
    lead: Lead,
}

impl Two {
    fn new() -> Self {
        let mut scene = Scene::from_slot(10);
        scene.exists("x", 11, "g").exists("y", 12, "g");
        let lead = Lead::default();
        Self { scene, lead }
    }

    /// The side that leads after a slot that ends like this.
    fn after(&mut self, on_x: usize, on_y: usize) -> Option<&'static str> {
        let mut tree = Tree::default();
        let g = self.scene.block("g").root;
        tree.insert(self.scene.block("g"), None, None);
        let sides = [("x", on_x), ("y", on_y)].map(|(side, nodes)| {
            let head = self.scene.block(side);
            tree.insert(head, Some(g), None);
            let nodes: BTreeSet<NodeName> = (0..nodes)
                .map(|nth| format!("{side}{nth}").into())
                .collect();
            Branch { head, nodes }
        });
        let branches: Vec<_> = sides
            .into_iter()
            .filter(|branch| !branch.nodes.is_empty())
            .collect();
        self.lead.decide(&tree, &branches, None, 2);
        let head = self.lead.branch(&tree, &branches, None)?.head;
        ["x", "y"]
            .into_iter()
            .find(|side| self.scene.block(side) == head)
    }
}

#[test]
fn the_lead_goes_to_more_nodes_when_they_have_been_more_for_long_enough() {
    let mut two = Two::new();
    assert_eq!(two.after(3, 2), Some("x"));
    assert_eq!(two.after(2, 3), Some("x"));
    assert_eq!(two.after(2, 3), Some("x"), "one slot");
    assert_eq!(two.after(2, 3), Some("y"), "two slots");
    // Equal again, and more for less than that, are not enough for the way back.
    for (on_x, on_y) in [(3, 3), (3, 2), (3, 2), (3, 3), (3, 2), (3, 2)] {
        assert_eq!(two.after(on_x, on_y), Some("y"));
    }
}

#[test]
fn more_than_two_thirds_take_the_lead_at_once_and_so_does_who_is_left() {
    let mut two = Two::new();
    assert_eq!(two.after(3, 0), Some("x"));
    assert_eq!(two.after(1, 2), Some("x"), "two thirds, and no more");
    assert_eq!(two.after(1, 3), Some("y"));
    assert_eq!(two.after(1, 0), Some("x"));
    assert_eq!(two.after(0, 0), None);
    assert_eq!(
        two.after(1, 1),
        Some("x"),
        "it had the lead before all fell silent"
    );
}
