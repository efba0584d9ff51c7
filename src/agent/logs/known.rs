//! What is known, by what a found file is asked for: ten thousand files are told apart without comparing each with each.

use std::collections::HashMap;

use super::identity::{Seen, file_name, stem};
use super::registry::{Entry, Node};

pub(super) struct Known<'a> {
    nodes: HashMap<Node, Vec<usize>>,
    origins: HashMap<Node, Vec<usize>>,
    inodes: HashMap<u64, Vec<usize>>,
    stems: HashMap<&'a str, Vec<usize>>,
}

impl<'a> Known<'a> {
    pub(super) fn of(known: &[&'a Entry]) -> Self {
        let mut index = Self {
            nodes: HashMap::new(),
            origins: HashMap::new(),
            inodes: HashMap::new(),
            stems: HashMap::new(),
        };
        for (k, entry) in known.iter().enumerate() {
            index.nodes.entry(entry.node).or_default().push(k);
            index.origins.entry(entry.origin).or_default().push(k);
            index.inodes.entry(entry.node.inode).or_default().push(k);
            index.stems.entry(stem(&entry.path)).or_default().push(k);
        }
        index
    }

    /// Whose contents are, or were last, in this place.
    pub(super) fn at(&self, node: Node) -> impl Iterator<Item = usize> {
        self.nodes.get(&node).into_iter().flatten().copied()
    }

    /// Whose contents were first in this place.
    pub(super) fn from(&self, node: Node) -> impl Iterator<Item = usize> {
        self.origins.get(&node).into_iter().flatten().copied()
    }

    /// Of which the file may be a rotation by its name, or the same by its inode. Some come twice.
    pub(super) fn like(&self, seen: &Seen) -> impl Iterator<Item = usize> {
        let name = file_name(&seen.path);
        let is_end = |at: &usize| !name[*at..].starts_with(char::is_alphanumeric);
        let ends = name.char_indices().map(|(at, _)| at).chain([name.len()]);
        let stems = ends
            .filter(is_end)
            .filter_map(|end| self.stems.get(&name[..end]));
        let inode = self.inodes.get(&seen.node.inode);
        inode.into_iter().chain(stems).flatten().copied()
    }
}
