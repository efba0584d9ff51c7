//! What is known, by what a found file is asked for: ten thousand files are told apart without comparing each with each.

use std::collections::HashMap;
use std::path::Path;

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
        let stems = possible_stems(file_name(&seen.path)).filter_map(|stem| self.stems.get(stem));
        let inode = self.inodes.get(&seen.node.inode);
        inode.into_iter().chain(stems).flatten().copied()
    }
}

/// Files of one scan, by folder and stem.
pub(super) struct Beside<'a> {
    files: HashMap<(Option<&'a Path>, &'a str), Vec<usize>>,
}

impl<'a> Beside<'a> {
    pub(super) fn of(seen: impl Iterator<Item = (usize, &'a Seen)>) -> Self {
        let mut files: HashMap<_, Vec<usize>> = HashMap::new();
        for (s, file) in seen {
            let folder = Path::new(&file.path).parent();
            files.entry((folder, stem(&file.path))).or_default().push(s);
        }
        Self { files }
    }

    /// Of which the file may be a copy by its name and place.
    pub(super) fn originals(&self, seen: &'a Seen) -> impl Iterator<Item = usize> {
        let folders = Path::new(&seen.path).ancestors().skip(1).take(2);
        let places = folders.flat_map(|folder| {
            possible_stems(file_name(&seen.path)).map(move |stem| (Some(folder), stem))
        });
        places
            .filter_map(|place| self.files.get(&place))
            .flatten()
            .copied()
    }
}

/// Of what a file of this name may be a rotation.
fn possible_stems(name: &str) -> impl Iterator<Item = &str> {
    let ends = name.char_indices().map(|(at, _)| at).chain([name.len()]);
    ends.map(|end| name.split_at(end))
        .filter(|(_, rest)| !rest.starts_with(char::is_alphanumeric))
        .map(|(stem, _)| stem)
}
