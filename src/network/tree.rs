//! The block tree by parent links. Blocks come in any order; a link may be known before either end's slot.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::slot::{BlockRef, Root};

/// All blocks known of one chain, back to the oldest slot kept.
#[derive(Debug, Default)]
pub struct Tree {
    blocks: HashMap<Root, Block>,
    by_slot: BTreeMap<u64, BTreeSet<Root>>,
}

/// What is known of a block: its slot always, its parent once somebody served the block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block {
    pub slot: u64,
    pub parent: Option<Root>,
    pub proposer_index: Option<u64>,
}

/// Where two branches part. Roots are oldest first and exclude the ancestor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fork {
    pub ancestor: Root,
    /// `None` when only the children of the ancestor were ever served.
    pub ancestor_slot: Option<u64>,
    pub old_side: Vec<Root>,
    pub new_side: Vec<Root>,
}

/// What inserting did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inserted {
    /// A root never seen before.
    New,
    /// A parent link or proposer for a known root.
    Completed,
    Known,
    /// Says something else about a root than what is known; a root is a hash, so one of the two speakers is wrong.
    Contradiction,
}

impl Tree {
    pub fn insert(
        &mut self,
        block: BlockRef,
        parent: Option<Root>,
        proposer: Option<u64>,
    ) -> Inserted {
        // The genesis block's parent is no block.
        let parent = parent.filter(|parent| *parent != Root::ZERO);
        let Some(known) = self.blocks.get_mut(&block.root) else {
            let slot = block.slot;
            self.by_slot.entry(slot).or_default().insert(block.root);
            self.blocks.insert(
                block.root,
                Block {
                    slot,
                    parent,
                    proposer_index: proposer,
                },
            );
            return Inserted::New;
        };
        let other_parent = matches!((known.parent, parent), (Some(a), Some(b)) if a != b);
        if known.slot != block.slot || other_parent {
            return Inserted::Contradiction;
        }
        let before = *known;
        known.parent = known.parent.or(parent);
        known.proposer_index = known.proposer_index.or(proposer);
        if *known == before {
            Inserted::Known
        } else {
            Inserted::Completed
        }
    }

    pub fn get(&self, root: &Root) -> Option<&Block> {
        self.blocks.get(root)
    }

    /// The parent's root; `None` where it is not known, or where it can't be right because its slot is not lower.
    pub fn parent(&self, root: &Root) -> Option<Root> {
        let block = self.blocks.get(root)?;
        let parent = block.parent?;
        let descends = self
            .blocks
            .get(&parent)
            .is_none_or(|above| above.slot < block.slot);
        descends.then_some(parent)
    }

    /// The block and its ancestors as far as they are known; the last root may be known by name only.
    pub fn lineage(&self, root: Root) -> impl Iterator<Item = Root> + '_ {
        std::iter::successors(Some(root), |root| self.parent(root))
    }

    /// The lowest common ancestor and both ways down to it; `None` while a link in between is missing.
    pub fn fork(&self, old: Root, new: Root) -> Option<Fork> {
        // Both sides climb in turn, so the work is bounded by the longer branch and not by the height of the tree.
        let mut sides = [Side::from(old), Side::from(new)];
        while sides.iter().any(|side| side.next.is_some()) {
            for (this, other) in [(0, 1), (1, 0)] {
                let Some(root) = sides[this].next else {
                    continue;
                };
                sides[this].next = self.parent(&root);
                if let Some(&at) = sides[other].seen.get(&root) {
                    sides[other].path.truncate(at);
                    let [old_side, new_side] = sides.map(|mut side| {
                        side.path.reverse();
                        side.path
                    });
                    let ancestor_slot = self.blocks.get(&root).map(|block| block.slot);
                    return Some(Fork {
                        ancestor: root,
                        ancestor_slot,
                        old_side,
                        new_side,
                    });
                }
                let at = sides[this].path.len();
                sides[this].seen.insert(root, at);
                sides[this].path.push(root);
            }
        }
        None
    }

    /// Whether `ancestor` is `of` or above it; `None` while a link in between is missing.
    pub fn is_ancestor(&self, ancestor: BlockRef, of: Root) -> Option<bool> {
        for root in self.lineage(of) {
            if root == ancestor.root {
                return Some(true);
            }
            if self.blocks.get(&root)?.slot <= ancestor.slot {
                return Some(false);
            }
        }
        None
    }

    /// Blocks proposed for a slot, on whatever branch.
    pub fn at_slot(&self, slot: u64) -> impl Iterator<Item = Root> + '_ {
        self.by_slot.get(&slot).into_iter().flatten().copied()
    }

    /// The slot of the highest block, on whatever branch.
    pub fn highest_slot(&self) -> Option<u64> {
        self.by_slot.last_key_value().map(|(slot, _)| *slot)
    }

    pub fn len(&self) -> usize {
        self.blocks.len()
    }

    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// Forgets blocks below `slot`.
    pub fn prune_below(&mut self, slot: u64) {
        while let Some(oldest) = self
            .by_slot
            .first_entry()
            .filter(|entry| *entry.key() < slot)
        {
            for root in oldest.remove() {
                self.blocks.remove(&root);
            }
        }
    }
}

/// One branch on its way down.
struct Side {
    next: Option<Root>,
    path: Vec<Root>,
    seen: HashMap<Root, usize>,
}

impl From<Root> for Side {
    fn from(root: Root) -> Self {
        Self {
            next: Some(root),
            path: Vec::new(),
            seen: HashMap::new(),
        }
    }
}
