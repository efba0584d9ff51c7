//! How many files may be open at once: what the process may have, and what a section may have of it.

use std::collections::BTreeMap;

use rustix::process::{Resource, getrlimit};

use super::schedule::Id;
use crate::config;

/// More open files would not make reading faster.
const MOST: usize = 1_024;

/// Even under the tightest limit.
const LEAST: usize = 4;

#[derive(Debug)]
pub(super) struct Slots {
    pub(super) most: usize,
    most_of_section: Vec<Option<usize>>,
    /// With their sections.
    open: BTreeMap<Id, usize>,
    open_of_section: Vec<usize>,
}

impl Slots {
    /// Half of what the process may open: the rest is for the store, connections and other collectors.
    pub(super) fn new(sections: &[config::Logs]) -> Self {
        let limit = getrlimit(Resource::Nofile).current;
        let half = limit.and_then(|limit| usize::try_from(limit / 2).ok());
        let most_of_section = |config: &config::Logs| {
            let own = config.max_open_files?;
            usize::try_from(own.get()).ok()
        };
        Self {
            most: half.unwrap_or(MOST).clamp(LEAST, MOST),
            most_of_section: sections.iter().map(most_of_section).collect(),
            open: BTreeMap::new(),
            open_of_section: vec![0; sections.len()],
        }
    }

    pub(super) fn has_room(&self, section: usize) -> bool {
        let most = self.most_of_section[section];
        self.open.len() < self.most && most.is_none_or(|most| self.open_of_section[section] < most)
    }

    pub(super) fn free(&self) -> usize {
        self.most.saturating_sub(self.open.len())
    }

    pub(super) fn opened(&mut self, id: Id, section: usize) {
        self.closed(id);
        self.open.insert(id, section);
        self.open_of_section[section] += 1;
    }

    pub(super) fn closed(&mut self, id: Id) {
        if let Some(section) = self.open.remove(&id) {
            self.open_of_section[section] -= 1;
        }
    }

    /// So many are closed at once where room is needed: to look for them takes as long as to open as many.
    pub(super) fn to_close(&self, section: usize) -> usize {
        let most = self.most_of_section[section].unwrap_or(self.most);
        (most.min(self.most) / 8).max(1)
    }

    /// Files whose closing would make room for one of the section.
    pub(super) fn in_the_way(&self, section: usize) -> impl Iterator<Item = Id> {
        let is_full = self.open.len() >= self.most;
        let open = self.open.iter();
        open.filter(move |(_, other)| is_full || **other == section)
            .map(|(id, _)| *id)
    }
}
