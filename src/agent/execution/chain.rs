//! The newest blocks of the client's chain, and what a new head means to them: more of the same, a reorg, or a leap. Pure.
//!
//! Two reorgs between two polls read as one, and a branch that came and went between them is not seen: nobody was told of it.

use std::collections::VecDeque;

use alloy::primitives::B256;

/// Blocks remembered, and fetched by one walk at most. Two epochs of beacon blocks: below lies what is final.
pub(super) const REACH: usize = 64;

/// A block and the one it builds on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) number: u64,
    pub(super) hash: B256,
    pub(super) parent: B256,
}

/// The newest blocks of the chain as last seen, each the child of the one before it.
#[derive(Debug, Default)]
pub(super) struct Chain(VecDeque<Link>);

/// A new head and ancestors of it.
#[derive(Debug)]
pub(super) struct Branch {
    /// Newest first, each the parent of the one before it.
    blocks: Vec<Link>,
    head: Link,
}

/// What became of the old head.
#[derive(Debug, PartialEq)]
pub(super) enum Change {
    /// It is the head, or an ancestor of it.
    Followed,
    Reorged(Reorg),
    /// The branch ends before the remembered blocks: whether it comes from them is not known.
    Leapt {
        from: Link,
    },
}

#[derive(Debug, PartialEq)]
pub(super) struct Reorg {
    pub(super) old_head: Link,
    pub(super) new_head: Link,
    /// Number and hash of the newest block that both branches have. `None`: it lies below all that is remembered.
    pub(super) ancestor: Option<(u64, B256)>,
    /// The depth. At least so many where the ancestor is not known; the same holds for those added.
    pub(super) blocks_dropped: u64,
    pub(super) blocks_added: u64,
}

impl Branch {
    pub(super) fn new(head: Link) -> Self {
        Self {
            blocks: vec![head],
            head,
        }
    }

    fn oldest(&self) -> &Link {
        self.blocks.last().unwrap_or(&self.head)
    }

    /// Takes the parent of the oldest block; `false` if it is none.
    pub(super) fn push(&mut self, block: Link) -> bool {
        let child = self.oldest();
        let fits = block.hash == child.parent && block.number.checked_add(1) == Some(child.number);
        if fits {
            self.blocks.push(block);
        }
        fits
    }
}

impl Chain {
    /// The hash of the block that the branch has to be continued with, as long as that can tell more.
    pub(super) fn wanted(&self, branch: &Branch) -> Option<B256> {
        let oldest = branch.oldest();
        // What is remembered first is as long as can be: a reorg that comes next is measured against it.
        let is_told = match self.0.front() {
            Some(first) => self.joint(branch).is_some() || oldest.number <= first.number,
            None => false,
        };
        let is_over = is_told || oldest.number == 0 || branch.blocks.len() >= REACH;
        (!is_over).then_some(oldest.parent)
    }

    /// Remembers the branch as the chain's end.
    pub(super) fn take(&mut self, branch: Branch) -> Change {
        let joint = self.joint(&branch);
        let (first, last) = (self.0.front().copied(), self.0.back().copied());
        let (Some(first), Some(old_head)) = (first, last) else {
            self.0 = branch.blocks.into_iter().rev().collect();
            return Change::Followed;
        };
        let new_head = branch.head;
        let reorg = |ancestor, blocks_dropped, blocks_added| Reorg {
            old_head,
            new_head,
            ancestor,
            blocks_dropped,
            blocks_added,
        };
        let Some((number, hash)) = joint else {
            let is_below = branch.oldest().number <= first.number;
            let dropped = self.0.len() as u64;
            let replaces = |block: &&Link| block.number >= first.number;
            let added = branch.blocks.iter().filter(replaces).count() as u64;
            self.0 = branch.blocks.into_iter().rev().collect();
            return match is_below {
                true => Change::Reorged(reorg(None, dropped, added)),
                false => Change::Leapt { from: old_head },
            };
        };
        while self.0.back().is_some_and(|block| block.number > number) {
            self.0.pop_back();
        }
        // Nothing is left where they part right below what is remembered.
        let left = self.0.back().map(|block| block.number);
        let is_new = |block: &Link| left.is_none_or(|left| block.number > left);
        self.0
            .extend(branch.blocks.into_iter().rev().filter(is_new));
        while self.0.len() > REACH {
            self.0.pop_front();
        }
        match old_head.number.saturating_sub(number) {
            0 => Change::Followed,
            dropped => Change::Reorged(reorg(
                Some((number, hash)),
                dropped,
                new_head.number.saturating_sub(number),
            )),
        }
    }

    /// The newest remembered block that the branch reaches: its own oldest one, or that one's parent.
    fn joint(&self, branch: &Branch) -> Option<(u64, B256)> {
        let oldest = branch.oldest();
        let itself = (oldest.number, oldest.hash);
        let before = oldest.number.checked_sub(1);
        let parent = before.map(|number| (number, oldest.parent));
        [Some(itself), parent]
            .into_iter()
            .flatten()
            .find(|(number, hash)| self.hash_at(*number) == Some(*hash))
    }

    /// One block further back than what is remembered is known by its child.
    fn hash_at(&self, number: u64) -> Option<B256> {
        let first = self.0.front()?;
        match number.checked_sub(first.number) {
            Some(nth) => Some(self.0.get(usize::try_from(nth).ok()?)?.hash),
            None => (number.checked_add(1) == Some(first.number)).then_some(first.parent),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Block `number` of a branch that left the main one (0) after `root`.
    fn hash(number: u64, branch: u8) -> B256 {
        let mut hash = [branch; 32];
        hash[..8].copy_from_slice(&number.to_be_bytes());
        B256::from(hash)
    }

    /// Two branches that part above `root`.
    struct Tree {
        root: u64,
    }

    impl Tree {
        fn block(&self, number: u64, branch: u8) -> Link {
            let of = |number: u64| hash(number, if number > self.root { branch } else { 0 });
            Link {
                number,
                hash: of(number),
                parent: number.checked_sub(1).map_or(B256::ZERO, of),
            }
        }

        /// As the collector walks, over a node that has all blocks from `oldest` on. Returns how many it fetched.
        fn follow(&self, chain: &mut Chain, number: u64, branch: u8, oldest: u64) -> (Change, u64) {
            let mut walked = Branch::new(self.block(number, branch));
            let mut next = number;
            while let Some(wanted) = chain.wanted(&walked) {
                next -= 1;
                if next < oldest {
                    break;
                }
                let block = self.block(next, branch);
                assert_eq!(block.hash, wanted);
                assert!(walked.push(block));
            }
            (chain.take(walked), number - next)
        }
    }

    #[test]
    fn a_reorg_has_its_depth_and_its_ancestor() {
        let tree = Tree { root: 100 };
        let mut chain = Chain::default();
        assert_eq!(tree.follow(&mut chain, 103, 1, 0).0, Change::Followed);
        assert_eq!(tree.follow(&mut chain, 104, 1, 0), (Change::Followed, 0));
        let (change, fetched) = tree.follow(&mut chain, 106, 2, 0);
        let reorg = Reorg {
            old_head: tree.block(104, 1),
            new_head: tree.block(106, 2),
            ancestor: Some((100, hash(100, 0))),
            blocks_dropped: 4,
            blocks_added: 6,
        };
        assert_eq!((change, fetched), (Change::Reorged(reorg), 5));
        assert_eq!(tree.follow(&mut chain, 106, 2, 0), (Change::Followed, 0));
    }

    #[test]
    fn a_chain_that_was_set_back_drops_blocks_and_adds_none() {
        let tree = Tree { root: 0 };
        let mut chain = Chain::default();
        tree.follow(&mut chain, 5, 0, 0);
        for (to, dropped) in [(3, 2), (0, 3)] {
            let Change::Reorged(reorg) = tree.follow(&mut chain, to, 0, 0).0 else {
                panic!("no reorg to {to}");
            };
            assert_eq!((reorg.blocks_dropped, reorg.blocks_added), (dropped, 0));
            assert_eq!(reorg.ancestor, Some((to, hash(to, 0))));
        }
    }

    #[test]
    fn what_lies_below_all_that_is_remembered_is_not_made_up() {
        let tree = Tree { root: 10 };
        let mut chain = Chain::default();
        tree.follow(&mut chain, 200, 1, 0);
        assert_eq!(chain.0.len(), REACH);
        let Change::Reorged(reorg) = tree.follow(&mut chain, 180, 2, 0).0 else {
            panic!("no reorg");
        };
        assert_eq!(reorg.ancestor, None);
        assert_eq!(reorg.blocks_dropped, REACH as u64);
    }

    #[test]
    fn a_leap_is_neither_followed_nor_a_reorg() {
        let tree = Tree { root: 0 };
        let mut chain = Chain::default();
        tree.follow(&mut chain, 10, 0, 0);
        let from = tree.block(10, 0);
        let (change, fetched) = tree.follow(&mut chain, 5_000, 0, 0);
        assert_eq!(change, Change::Leapt { from });
        assert!(fetched < REACH as u64, "{fetched}");
        // A node that has fewer blocks than were asked for.
        let from = tree.block(5_000, 0);
        let (change, _) = tree.follow(&mut chain, 5_020, 0, 5_015);
        assert_eq!(change, Change::Leapt { from });
        assert_eq!(tree.follow(&mut chain, 5_021, 0, 0), (Change::Followed, 0));
    }

    #[test]
    fn a_branch_takes_no_stranger() {
        let tree = Tree { root: 0 };
        let mut branch = Branch::new(tree.block(7, 0));
        for stranger in [tree.block(6, 1), tree.block(5, 0), tree.block(7, 0)] {
            assert!(!branch.push(stranger));
        }
        assert!(branch.push(tree.block(6, 0)));
    }

    proptest! {
        /// Polls that see heads of two branches in any order: the ancestor is the true one, or unknown for a reason.
        #[test]
        fn ancestors_are_true_ones(
            root in 0_u64..90,
            heads in prop::collection::vec((0_u64..150, 1_u8..3, 0_u64..40), 1..30),
        ) {
            let tree = Tree { root };
            let mut chain = Chain::default();
            let mut last: Option<(Link, u8)> = None;
            for (number, branch, oldest) in heads {
                let head = tree.block(number, branch);
                let (change, fetched) = tree.follow(&mut chain, number, branch, oldest.min(number));
                prop_assert!(fetched <= REACH as u64 && chain.0.len() <= REACH);
                let links = chain.0.iter().zip(chain.0.iter().skip(1));
                prop_assert!(links.into_iter().all(|(block, child)| child.parent == block.hash));
                prop_assert_eq!(chain.0.back().copied(), Some(head));
                if let Some((old, old_branch)) = last {
                    let both = old.number.min(number);
                    let ancestor = if old_branch == branch { both } else { both.min(root) };
                    let dropped = old.number - ancestor;
                    match change {
                        Change::Followed => prop_assert_eq!(dropped, 0),
                        Change::Leapt { from } => prop_assert_eq!(from, old),
                        Change::Reorged(reorg) => {
                            prop_assert!(dropped > 0);
                            prop_assert_eq!((reorg.old_head, reorg.new_head), (old, head));
                            if let Some((found, found_hash)) = reorg.ancestor {
                                prop_assert_eq!(found, ancestor);
                                prop_assert_eq!(found_hash, tree.block(found, branch).hash);
                                prop_assert_eq!(reorg.blocks_dropped, dropped);
                                prop_assert_eq!(reorg.blocks_added, number - ancestor);
                            } else {
                                prop_assert!(reorg.blocks_dropped <= dropped);
                                prop_assert!(reorg.blocks_added <= number - ancestor);
                            }
                        }
                    }
                }
                last = Some((head, branch));
            }
        }
    }
}
