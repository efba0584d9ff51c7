//! Which branch the provisional statuses follow while nodes stand on several.
//!
//! Counted are nodes and not votes: votes are watched at few nodes and told slots after they were cast. But nodes are a
//! sample, and in a lasting even split one of them going over, falling silent or merely speaking first would turn all
//! statuses over and back. So the branch that leads keeps the lead
//!
//! - against branches with as many nodes or fewer, whatever their length,
//! - against a branch with more nodes until it has had them for as long as a split needs to be told,
//! - and loses it at once to more than two thirds of the nodes, as many as finality takes, when no node stands on it
//!   any more, or when finality excludes it.
//!
//! It changes at the ends of slots only: then live, replay and a restart see the same heads.

use super::branches::{Branch, canonical};
use super::tree::Tree;
use crate::slot::BlockRef;

#[derive(Debug, Default)]
pub(super) struct Lead {
    head: Option<BlockRef>,
    /// Head of the branch that has more nodes, and for how many ends of slots in a row.
    challenger: Option<(BlockRef, u64)>,
}

impl Lead {
    /// Judges at the end of a slot. A challenger has to have more nodes for `patience` slots.
    pub(super) fn decide(
        &mut self,
        tree: &Tree,
        branches: &[Branch],
        finalized: Option<BlockRef>,
        patience: u64,
    ) {
        let Some(best) = canonical(tree, branches, finalized) else {
            return;
        };
        let nodes: usize = branches.iter().map(|branch| branch.nodes.len()).sum();
        let leader = self.branch(tree, branches, finalized);
        let (head, challenger) = match leader {
            Some(leader) if best.nodes.len() > leader.nodes.len() => {
                let slots = match self.challenger {
                    Some((head, slots)) if same_branch(tree, head, best.head) => slots + 1,
                    _ => 0,
                };
                if slots >= patience || best.nodes.len() * 3 > nodes * 2 {
                    (best.head, None)
                } else {
                    (leader.head, Some((best.head, slots)))
                }
            }
            leader => (leader.unwrap_or(best).head, None),
        };
        self.head = Some(head);
        self.challenger = challenger;
    }

    /// The branch that leads, as far as it has come. `None` where it is gone, until the slot ends.
    pub(super) fn branch<'a>(
        &self,
        tree: &Tree,
        branches: &'a [Branch],
        finalized: Option<BlockRef>,
    ) -> Option<&'a Branch> {
        let head = self.head?;
        let continues = |branch: &&Branch| tree.is_ancestor(head, branch.head.root) == Some(true);
        let steps_back = |branch: &&Branch| tree.is_ancestor(branch.head, head.root) == Some(true);
        // Several continue it where the split is above it.
        canonical(tree, branches.iter().filter(continues), finalized)
            .or_else(|| canonical(tree, branches.iter().filter(steps_back), finalized))
    }
}

fn same_branch(tree: &Tree, one: BlockRef, other: BlockRef) -> bool {
    tree.is_ancestor(one, other.root) == Some(true)
        || tree.is_ancestor(other, one.root) == Some(true)
}
