//! Who moved in a split since it was told last: over to another branch, into the conflict, or out of it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::branches::Branch;
use super::nodes::{NodeName, Nodes};
use super::tree::Tree;
use crate::slot::BlockRef;

/// What changed between two steps of a split, each by the nodes' names.
///
/// A node that went over and back in between did not move; the reorgs tell of both ways.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Moves {
    /// From one branch to another that contradicts it.
    pub moved: Vec<Move>,
    /// Nodes that stood nowhere when the split was told last and stand on a branch now. `from` is where they stood
    /// before they were gone, if they ever did: had it been another branch, they would have moved.
    pub joined: Vec<Move>,
    /// Nodes that stand on no branch any more.
    pub left: Vec<(Move, Absence)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    pub node: NodeName,
    pub client: Option<Arc<str>>,
    /// Head of the branch that it left, as far as it was followed.
    pub from: Option<BlockRef>,
    /// Head of the branch that it joined; at the end of a split, the head on which all agreed.
    pub to: Option<BlockRef>,
}

/// Why a node stands on no branch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Absence {
    /// Nothing is heard of it.
    Silent,
    Syncing,
    /// Its head is below the fork, or the links that would tell are missing.
    Undecided,
}

impl Moves {
    pub fn is_empty(&self) -> bool {
        self.moved.is_empty() && self.joined.is_empty() && self.left.is_empty()
    }
}

impl Absence {
    pub fn name(self) -> &'static str {
        match self {
            Self::Silent => "silent",
            Self::Syncing => "syncing",
            Self::Undecided => "undecided",
        }
    }
}

/// What nodes are asked of.
pub(super) struct View<'a> {
    pub tree: &'a Tree,
    pub nodes: &'a Nodes,
    /// When a node's last word is too long ago.
    pub silent_since: DateTime<Utc>,
    pub at: DateTime<Utc>,
}

/// Where each node stood when the split was told last.
#[derive(Debug, Default)]
pub(super) struct Stands {
    /// Heads of the branches, as far as they have come since.
    heads: Vec<BlockRef>,
    nodes: BTreeMap<NodeName, Stand>,
}

#[derive(Debug, Clone, Copy)]
struct Stand {
    /// Index of the branch's head.
    branch: usize,
    /// It stands there still; else this was its last.
    there: bool,
}

impl Stands {
    pub(super) fn of(branches: &[Branch]) -> Self {
        let mut stands = Self::default();
        stands.take(branches);
        stands
    }

    /// Follows the branches upwards, each until it parts.
    pub(super) fn grow(&mut self, branches: &[Branch], tree: &Tree) {
        for head in &mut self.heads {
            let above = |branch: &&Branch| tree.is_ancestor(*head, branch.head.root) == Some(true);
            let mut above = branches.iter().filter(above);
            if let (Some(branch), None) = (above.next(), above.next()) {
                *head = branch.head;
            }
        }
    }

    /// Takes where the nodes stand now as told. Nodes that are gone keep their last stand while they are known at all.
    pub(super) fn renew(&mut self, branches: &[Branch], nodes: &Nodes) {
        self.nodes.retain(|name, stand| {
            stand.there = false;
            nodes.contains_key(name)
        });
        self.take(branches);
        let used: BTreeSet<usize> = self.nodes.values().map(|stand| stand.branch).collect();
        self.heads = used.iter().map(|branch| self.heads[*branch]).collect();
        let places: HashMap<usize, usize> = used.into_iter().zip(0..).collect();
        for stand in self.nodes.values_mut() {
            stand.branch = places[&stand.branch];
        }
    }

    fn take(&mut self, branches: &[Branch]) {
        for branch in branches {
            let stand = Stand {
                branch: self.heads.len(),
                there: true,
            };
            self.heads.push(branch.head);
            let names = branch.nodes.iter();
            self.nodes.extend(names.map(|name| (name.clone(), stand)));
        }
    }

    /// What changed since then, if the nodes stand on these branches now.
    pub(super) fn moves(&self, branches: &[Branch], view: &View) -> Moves {
        let now: BTreeMap<&NodeName, BlockRef> = branches
            .iter()
            .flat_map(|branch| branch.nodes.iter().map(|name| (name, branch.head)))
            .collect();
        // Most nodes stand on a few branches together.
        let mut known = HashMap::new();
        let mut moves = Moves::default();
        for (name, to) in &now {
            let before = self.nodes.get(*name);
            let from = before.map(|stand| self.heads[stand.branch]);
            let over = from.is_some_and(|from| {
                *known
                    .entry((from, *to))
                    .or_insert_with(|| contradict(view.tree, from, *to))
            });
            let moved = || view.describe(name, from, Some(*to));
            match before {
                Some(_) if over => moves.moved.push(moved()),
                Some(stand) if stand.there => {}
                _ => moves.joined.push(moved()),
            }
        }
        let gone = self.nodes.iter().filter(|(_, stand)| stand.there);
        for (name, stand) in gone.filter(|(name, _)| !now.contains_key(name)) {
            let left = view.describe(name, Some(self.heads[stand.branch]), None);
            moves.left.push((left, view.absence(name)));
        }
        moves
    }
}

impl View<'_> {
    fn describe(&self, name: &NodeName, from: Option<BlockRef>, to: Option<BlockRef>) -> Move {
        Move {
            node: name.clone(),
            client: self.nodes.get(name).and_then(|node| node.client.clone()),
            from,
            to,
        }
    }

    fn absence(&self, name: &NodeName) -> Absence {
        match self.nodes.get(name) {
            Some(node) if node.last_seen < Some(self.silent_since) => Absence::Silent,
            Some(node) if node.was_syncing(self.at) => Absence::Syncing,
            Some(_) => Absence::Undecided,
            None => Absence::Silent,
        }
    }
}

/// Neither is above the other. A branch that grew, or whose highest node went, is the same branch.
fn contradict(tree: &Tree, one: BlockRef, other: BlockRef) -> bool {
    tree.is_ancestor(one, other.root) == Some(false)
        && tree.is_ancestor(other, one.root) == Some(false)
}
