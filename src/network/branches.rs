//! Which nodes stand on which branch.

use std::collections::{BTreeMap, BTreeSet};

use super::nodes::NodeName;
use super::tree::{Fork, Tree};
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
    // Lists first: names that come in order become a set without comparing each with many others.
    let mut by_head: BTreeMap<BlockRef, Vec<NodeName>> = BTreeMap::new();
    for (node, head) in heads {
        by_head.entry(*head).or_default().push(node.clone());
    }
    let mut branches: Vec<Branch> = Vec::new();
    for (head, nodes) in by_head.into_iter().rev() {
        let nodes = BTreeSet::from_iter(nodes);
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

/// The branch that most speaks for, without regard to what was said before: of those that contain the finalized block
/// the one with most nodes, then the one with more blocks since they parted, then the higher head, then the higher root,
/// as fork choice breaks its ties.
pub(super) fn canonical<'a>(
    tree: &Tree,
    branches: impl IntoIterator<Item = &'a Branch>,
    finalized: Option<BlockRef>,
) -> Option<&'a Branch> {
    let keeps_finality = |branch: &&Branch| {
        finalized
            .is_none_or(|checkpoint| tree.is_ancestor(checkpoint, branch.head.root) != Some(false))
    };
    let branches = branches.into_iter().filter(keeps_finality);
    branches.max_by(|one, other| {
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

impl Conflict {
    /// Who stands with whom, wherever.
    pub(super) fn sides(&self) -> BTreeSet<BTreeSet<NodeName>> {
        let groups = self.groups.iter();
        groups.map(|group| group.nodes.clone()).collect()
    }
}

/// How the branches stand to each other.
#[derive(Debug)]
pub(super) enum Standing {
    /// All agree, or the links that would tell are missing.
    Agreed(Vec<Branch>),
    Parted(Conflict),
}

/// Of branches that nobody can relate to the largest one for want of links, a conflict says nothing.
pub(super) fn standing(tree: &Tree, mut branches: Vec<Branch>) -> Standing {
    branches.sort_by_key(|branch| {
        (
            std::cmp::Reverse(branch.nodes.len()),
            std::cmp::Reverse(branch.head),
        )
    });
    let related: Vec<Option<Fork>> = match branches.as_slice() {
        [largest, _, ..] => branches
            .iter()
            .map(|branch| tree.fork(largest.head.root, branch.head.root))
            .collect(),
        _ => Vec::new(),
    };
    if related.iter().flatten().count() < 2 {
        return Standing::Agreed(branches);
    }
    // All forks hang on the largest, so the one that leaves it lowest is above all the others.
    let forks = related.iter().flatten();
    let Some(lowest) = forks.max_by_key(|fork| fork.old_side.len()).cloned() else {
        return Standing::Agreed(branches);
    };
    let is_related = |index: usize| related[index].is_some();
    let base = |(index, branch): (usize, &Branch)| {
        let above = tree.lineage(branch.head.root);
        let above = above.take_while(|root| *root != lowest.ancestor);
        above.last().filter(|_| is_related(index))
    };
    let bases: BTreeSet<Root> = branches.iter().enumerate().filter_map(base).collect();
    let slots = bases.iter().filter_map(|root| Some(tree.get(root)?.slot));
    let Some(from_slot) = slots.min() else {
        return Standing::Agreed(branches);
    };
    let groups = branches.into_iter().enumerate();
    let groups = groups.filter(|(index, _)| is_related(*index));
    Standing::Parted(Conflict {
        ancestor: lowest.ancestor,
        ancestor_slot: lowest.ancestor_slot,
        bases,
        from_slot,
        groups: groups.map(|(_, branch)| branch).collect(),
    })
}
