//! What holds whenever it was read: parent links, and what is in a block. Pure, but for logs that have to be asked.
//!
//! An answer whose time nobody wrote down may be of another run of the network. So its links count only where they lead
//! back from a block that a node spoke of.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::blocks::Unnamed;
use super::files::{Troubles, whole};
use super::logs::Lines;
use crate::network::{Fact, Observation};
use crate::slot::{BlockRef, Root};

/// A block, its parent (zero where it is not known), its proposer.
pub(super) type Link = (BlockRef, Root, Option<u64>);

#[derive(Debug, Default)]
pub(super) struct Links {
    links: Vec<Link>,
    contents: Vec<Fact>,
    unnamed: Vec<Unnamed>,
}

impl Links {
    pub(super) fn take(&mut self, facts: Vec<Fact>, unnamed: Vec<Unnamed>) {
        for fact in facts {
            match fact {
                Fact::Block {
                    block,
                    parent_root,
                    proposer_index,
                } => self.links.push((block, parent_root, proposer_index)),
                Fact::Contents { .. } => self.contents.push(fact),
                // The rest was so at a time, and nobody knows when.
                _ => {}
            }
        }
        self.unnamed.extend(unnamed);
    }

    /// The links that lead back from what was observed, and the contents of those blocks, told by who saw them.
    pub(super) fn settle(
        self,
        observations: &[Observation],
        logs: &[PathBuf],
        dir: &Path,
        troubles: &mut Troubles,
    ) -> (Vec<Link>, Vec<Observation>) {
        let mut known = Known::of(observations);
        let untimed: BTreeMap<_, _> = self.links.iter().map(|link| (link.0, *link)).collect();
        let mut links: Vec<_> = known.follow(&untimed);
        if known.is_unlinked() && !logs.is_empty() {
            let mut lines = Lines::default();
            for path in logs {
                let text = whole(path, troubles);
                lines.read(&String::from_utf8_lossy(&text), &known.blocks);
            }
            let told = lines.links(&known.blocks);
            links.extend(known.follow(&told.into_iter().map(|link| (link.0, link)).collect()));
        }
        let elsewhere = untimed.keys().filter(|block| !known.blocks.contains(block));
        troubles.add(
            dir,
            "blocks in answers without a time that no node spoke of, not used",
            elsewhere.count() as u64,
        );
        let named = self.unnamed.iter().filter_map(|block| {
            let mut roots = known
                .links
                .iter()
                .filter(|(of, (parent, proposer))| block.is(**of, *parent, *proposer));
            let (of, _) = roots.next()?;
            roots.next().is_none().then(|| block.named(of.root))
        });
        let contents = named.map(|[_, contents]| contents).chain(self.contents);
        let told = contents.filter_map(|fact| match fact {
            Fact::Contents { block, .. } => {
                let first = known.seen.get(&block)?;
                Some(Observation {
                    order: u64::MAX,
                    fact,
                    ..observations[*first].clone()
                })
            }
            _ => None,
        });
        (links, told.collect())
    }
}

/// What the nodes spoke of.
struct Known {
    blocks: BTreeSet<BlockRef>,
    /// Roots named as a parent.
    parents: BTreeSet<Root>,
    links: BTreeMap<BlockRef, (Root, Option<u64>)>,
    /// By block, the first observation that has it.
    seen: BTreeMap<BlockRef, usize>,
}

impl Known {
    fn of(observations: &[Observation]) -> Self {
        let mut known = Self {
            blocks: BTreeSet::new(),
            parents: BTreeSet::new(),
            links: BTreeMap::new(),
            seen: BTreeMap::new(),
        };
        for (nth, observation) in observations.iter().enumerate() {
            let block = match observation.fact {
                Fact::Seen { block, .. } | Fact::Head(block) | Fact::PolledHead(block) => block,
                Fact::Block {
                    block,
                    parent_root,
                    proposer_index,
                } => {
                    known.parents.insert(parent_root);
                    known.links.insert(block, (parent_root, proposer_index));
                    block
                }
                _ => continue,
            };
            known.blocks.insert(block);
            known.seen.entry(block).or_insert(nth);
        }
        known
    }

    /// Whether there is a block whose parent nobody told.
    fn is_unlinked(&self) -> bool {
        self.blocks
            .iter()
            .any(|block| block.slot > 0 && !self.links.contains_key(block))
    }

    /// Newest first, so that each link finds its block known by the link above it.
    fn follow(&mut self, told: &BTreeMap<BlockRef, Link>) -> Vec<Link> {
        let mut found = Vec::new();
        for link in told.values().rev() {
            let (block, parent_root, proposer) = *link;
            let is_spoken_of = self.blocks.contains(&block) || self.parents.contains(&block.root);
            if is_spoken_of {
                self.blocks.insert(block);
                self.parents.insert(parent_root);
                if parent_root != Root::ZERO {
                    self.links.entry(block).or_insert((parent_root, proposer));
                }
                found.push(*link);
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::Contents;
    use chrono::DateTime;

    fn block(slot: u64) -> BlockRef {
        BlockRef {
            slot,
            root: Root([slot as u8; 32]),
        }
    }

    fn link(slot: u64, parent: u64) -> Fact {
        Fact::Block {
            block: block(slot),
            parent_root: block(parent).root,
            proposer_index: Some(slot),
        }
    }

    #[test]
    fn links_without_a_time_count_as_far_as_they_lead_back() {
        let observations = [Observation {
            node: "a".into(),
            client: None,
            at: DateTime::UNIX_EPOCH,
            order: 0,
            fact: Fact::Head(block(5)),
        }];
        let mut links = Links::default();
        let unnamed = |slot: u64, parent: u64| Unnamed {
            slot,
            parent_root: block(parent).root,
            proposer_index: Some(slot),
            contents: Contents {
                size_bytes: Some(slot),
                ..Contents::default()
            },
            clock: None,
        };
        let facts = vec![link(3, 2), link(5, 3), link(9, 8), Fact::Head(block(9))];
        links.take(facts, vec![unnamed(5, 3), unnamed(5, 4), unnamed(3, 2)]);
        let mut troubles = Troubles::default();
        let (links, told) = links.settle(&observations, &[], Path::new("x"), &mut troubles);
        let slots: Vec<_> = links.iter().map(|(block, ..)| block.slot).collect();
        assert_eq!(slots, [5, 3]);
        // Nobody saw block 3 itself, and block 4 is nobody's parent.
        let sizes: Vec<_> = told.iter().map(|told| &told.fact).collect();
        let contents = unnamed(5, 3).contents;
        assert_eq!(
            sizes,
            [&Fact::Contents {
                block: block(5),
                contents
            }]
        );
        let mut text = Vec::new();
        troubles.write_to(&mut text).unwrap();
        assert!(String::from_utf8(text).unwrap().ends_with("not used: 1\n"));
    }
}
