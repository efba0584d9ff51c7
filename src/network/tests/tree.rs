use std::collections::{BTreeSet, HashMap};

use proptest::prelude::*;

use super::super::tree::{Inserted, Tree};
use crate::slot::{BlockRef, Root};

/// Numbered blocks; block 0 is the root of the tree.
fn block(number: usize, slot: u64) -> BlockRef {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&(number as u64 + 1).to_be_bytes());
    BlockRef {
        slot,
        root: Root(bytes),
    }
}

/// For each block but the first: its parent and how many slots it lies after it.
fn shapes() -> impl Strategy<Value = Vec<(usize, u64)>> {
    let node = |number: usize| (0..=number, 1..4_u64);
    prop::collection::vec(any::<prop::sample::Index>(), 1..24).prop_flat_map(move |picks| {
        let nodes: Vec<_> = (0..picks.len()).map(node).collect();
        nodes
    })
}

/// The slots of all blocks and each block's set of ancestors, itself included, by brute force: no walk, only sets.
fn oracle(shape: &[(usize, u64)]) -> (Vec<u64>, Vec<BTreeSet<usize>>) {
    let mut slots = vec![10];
    let mut ancestors = vec![BTreeSet::from([0])];
    for (number, (parent, gap)) in shape.iter().enumerate() {
        slots.push(slots[*parent] + gap);
        let mut own = ancestors[*parent].clone();
        own.insert(number + 1);
        ancestors.push(own);
    }
    (slots, ancestors)
}

fn planted(shape: &[(usize, u64)], slots: &[u64], order: &[usize]) -> Tree {
    let mut tree = Tree::default();
    for &number in order {
        let parent = number.checked_sub(1).map(|index| shape[index].0);
        let parent = parent.map(|parent| block(parent, 0).root);
        tree.insert(block(number, slots[number]), parent, None);
    }
    tree
}

proptest! {
    #[test]
    fn forks_agree_with_sets_of_ancestors(
        (shape, order) in shapes().prop_flat_map(|shape| {
            let order: Vec<_> = (0..=shape.len()).collect();
            (Just(shape), Just(order).prop_shuffle())
        }),
    ) {
        let (slots, ancestors) = oracle(&shape);
        let tree = planted(&shape, &slots, &order);
        for one in 0..slots.len() {
            for other in 0..slots.len() {
                let common: BTreeSet<_> = ancestors[one].intersection(&ancestors[other]).copied().collect();
                let lowest = common.iter().copied().max_by_key(|number| slots[*number]).unwrap();
                let fork = tree.fork(block(one, 0).root, block(other, 0).root).unwrap();
                prop_assert_eq!(fork.ancestor, block(lowest, 0).root);
                prop_assert_eq!(fork.ancestor_slot, Some(slots[lowest]));
                let sides = [(&fork.old_side, one), (&fork.new_side, other)];
                for (side, tip) in sides {
                    let expected: BTreeSet<_> = ancestors[tip].difference(&common).map(|number| block(*number, 0).root).collect();
                    prop_assert_eq!(side.iter().copied().collect::<BTreeSet<_>>(), expected);
                    prop_assert!(side.is_sorted_by_key(|root| tree.get(root).unwrap().slot));
                }
                let above = tree.is_ancestor(block(one, slots[one]), block(other, 0).root);
                prop_assert_eq!(above, Some(ancestors[other].contains(&one)));
            }
        }
    }

    #[test]
    fn missing_links_are_unknown_and_never_wrong(shape in shapes(), missing in any::<prop::sample::Index>()) {
        let (slots, ancestors) = oracle(&shape);
        let missing = missing.index(slots.len());
        let order: Vec<_> = (0..slots.len()).filter(|number| *number != missing).collect();
        let tree = planted(&shape, &slots, &order);
        let slot_of: HashMap<_, _> = (0..slots.len()).map(|number| (block(number, 0).root, number)).collect();
        for one in order.iter().copied() {
            for other in order.iter().copied() {
                if let Some(fork) = tree.fork(block(one, 0).root, block(other, 0).root) {
                    let common: BTreeSet<_> = ancestors[one].intersection(&ancestors[other]).collect();
                    let lowest = common.iter().max_by_key(|number| slots[***number]).unwrap();
                    prop_assert_eq!(slot_of[&fork.ancestor], **lowest);
                }
            }
        }
    }
}

#[test]
fn hostile_links_end_in_nothing() {
    let mut tree = Tree::default();
    let (one, two) = (block(1, 5), block(2, 5));
    tree.insert(one, Some(two.root), None);
    tree.insert(two, Some(one.root), None);
    assert_eq!(tree.fork(one.root, block(3, 0).root), None);
    assert_eq!(
        tree.lineage(one.root).count(),
        1,
        "a parent is in a lower slot"
    );
    assert_eq!(
        tree.insert(block(1, 6), None, None),
        Inserted::Contradiction
    );
    assert_eq!(
        tree.insert(one, Some(block(9, 0).root), None),
        Inserted::Contradiction
    );
    assert_eq!(tree.insert(one, Some(two.root), None), Inserted::Known);
    assert_eq!(tree.insert(one, None, Some(4)), Inserted::Completed);
    // Both have a genesis block whose parent is nothing: that is no common ancestor.
    let (three, four) = (block(3, 0), block(4, 0));
    tree.insert(three, Some(Root::ZERO), None);
    tree.insert(four, Some(Root::ZERO), None);
    assert_eq!(tree.fork(three.root, four.root), None);
}

#[test]
fn forgetting_keeps_what_is_young() {
    let shape: Vec<_> = (0..30).map(|number| (number, 1)).collect();
    let (slots, _) = oracle(&shape);
    let order: Vec<_> = (0..slots.len()).collect();
    let mut tree = planted(&shape, &slots, &order);
    tree.prune_below(30);
    assert_eq!(tree.len(), 11);
    assert_eq!(
        tree.fork(block(30, 0).root, block(25, 0).root)
            .unwrap()
            .old_side
            .len(),
        5
    );
}
