//! Which nodes stand on which branch.

use std::collections::{BTreeMap, BTreeSet};

use super::nodes::NodeName;
use super::tree::Tree;
use crate::slot::{BlockRef, Root};

/// A branch and the nodes on it; its head is the highest of theirs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Branch {
    pub head: BlockRef,
    pub nodes: BTreeSet<NodeName>,
}

/// Groups nodes by branch. A node whose head is an ancestor of one tip stands on that branch, merely behind; one whose
/// head is an ancestor of several has not chosen yet and stands on none.
pub(super) fn branches<'a>(
    tree: &Tree,
    heads: impl Iterator<Item = (&'a NodeName, &'a BlockRef)>,
) -> Vec<Branch> {
    let mut by_head: BTreeMap<BlockRef, BTreeSet<NodeName>> = BTreeMap::new();
    for (node, head) in heads {
        by_head.entry(*head).or_default().insert(node.clone());
    }
    let mut branches: Vec<Branch> = Vec::new();
    for (head, nodes) in by_head.into_iter().rev() {
        let mut above = branches
            .iter_mut()
            .filter(|branch| tree.is_ancestor(head, branch.head.root) == Some(true));
        match (above.next(), above.next()) {
            (None, _) => branches.push(Branch { head, nodes }),
            (Some(branch), None) => branch.nodes.extend(nodes),
            (Some(_), Some(_)) => {}
        }
    }
    branches
}

/// The branch the network is on: of those that contain the finalized block the one with most nodes, then the one with
/// more blocks since they parted, then the higher head, then the higher root, as fork choice breaks its ties.
pub(super) fn canonical<'a>(
    tree: &Tree,
    branches: &'a [Branch],
    finalized: Option<BlockRef>,
) -> Option<&'a Branch> {
    let keeps_finality = |branch: &&Branch| {
        finalized
            .is_none_or(|checkpoint| tree.is_ancestor(checkpoint, branch.head.root) != Some(false))
    };
    branches.iter().filter(keeps_finality).max_by(|one, other| {
        let by_nodes = one.nodes.len().cmp(&other.nodes.len());
        by_nodes
            .then_with(|| match tree.fork(one.head.root, other.head.root) {
                Some(fork) => fork.old_side.len().cmp(&fork.new_side.len()),
                None => std::cmp::Ordering::Equal,
            })
            .then_with(|| one.head.cmp(&other.head))
    })
}

/// Branches that contradict each other, seen from the block where the first of them parted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Conflict {
    pub ancestor: Root,
    pub ancestor_slot: Option<u64>,
    /// The first block of each branch after the ancestor: what identifies the conflict while its heads move on.
    pub bases: BTreeSet<Root>,
    /// Slot of the earliest of these blocks.
    pub from_slot: u64,
    /// Largest group first.
    pub groups: Vec<Branch>,
}

/// `None` where all agree, or where the links that would tell are missing.
pub(super) fn conflict(tree: &Tree, branches: &[Branch]) -> Option<Conflict> {
    let mut groups: Vec<_> = branches.to_vec();
    groups.sort_by_key(|branch| {
        (
            std::cmp::Reverse(branch.nodes.len()),
            std::cmp::Reverse(branch.head),
        )
    });
    let reference = groups.first()?.head.root;
    let mut forks = Vec::new();
    groups.retain(|branch| {
        let fork = tree.fork(reference, branch.head.root);
        let related = fork.is_some();
        forks.extend(fork);
        related
    });
    if groups.len() < 2 {
        return None;
    }
    // All forks hang on the reference, so the one that leaves it lowest is above all the others.
    let lowest = forks.into_iter().max_by_key(|fork| fork.old_side.len())?;
    let base = |branch: &Branch| {
        tree.lineage(branch.head.root)
            .take_while(|root| *root != lowest.ancestor)
            .last()
    };
    let bases: BTreeSet<_> = groups.iter().filter_map(base).collect();
    Some(Conflict {
        ancestor: lowest.ancestor,
        ancestor_slot: lowest.ancestor_slot,
        from_slot: bases
            .iter()
            .filter_map(|root| Some(tree.get(root)?.slot))
            .min()?,
        bases,
        groups,
    })
}
