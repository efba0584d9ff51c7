//! Opening and closing, under the limit of open files: those that wait for a place take turns with those that have one.

use std::fs::File;

use tokio::time::Instant;
use tracing::debug;

use super::file::{Opened, Reader};
use super::schedule::Id;
use super::tail::Tailer;

impl Tailer {
    /// Opens a file, or lets it wait until it may be opened. Whether it is open.
    pub(super) fn open(&mut self, id: Id, file: Option<File>, now: Instant) -> bool {
        let section = self.files.get(&id).and_then(|followed| followed.section);
        let Some(section) = section else {
            return false;
        };
        if !self.slots.has_room(section) && !self.make_room(section) {
            self.schedule.wait(id);
            return false;
        }
        let Some(followed) = self.files.get_mut(&id) else {
            return false;
        };
        let configured = self.sections[section].client;
        let shape = self.shapes[section].of_file(configured, followed.entry.client);
        match Reader::open(&followed.entry, file, shape, now) {
            Ok(Opened::Reader(reader)) => {
                followed.reader = Some(reader);
                self.slots.opened(id, section);
                return true;
            }
            Ok(Opened::Elsewhere) => self.next_scan = now,
            Ok(Opened::Replaced) => {
                self.scanner.forget(followed.entry.node);
                self.next_scan = now;
            }
            // Tried again; the scan says why a file can't be read.
            Err(error) => debug!(path = followed.entry.path, %error, "cannot open log file"),
        }
        self.rest(id, now);
        false
    }

    /// Closes those files in the way that have been at their ends for longest.
    fn make_room(&mut self, section: usize) -> bool {
        let at_rest = |id: &Id| {
            let followed = self.files.get(id)?;
            let reader = followed.reader.as_ref()?;
            let is_needed = reader.lines.has_open_record() || followed.missing_since.is_some();
            (!is_needed && self.schedule.is_at_rest(*id)).then_some(reader.grew_at)
        };
        let candidates = self.slots.in_the_way(section);
        let mut longest: Vec<_> = candidates
            .filter_map(|id| Some((at_rest(&id)?, id)))
            .collect();
        longest.sort_unstable();
        longest.truncate(self.slots.to_close(section));
        for (_, id) in &longest {
            self.close(*id);
        }
        !longest.is_empty()
    }

    /// Lets those that wait for a place have what is free.
    pub(super) fn admit(&mut self) {
        let (slots, files) = (&self.slots, &self.files);
        if slots.free() == 0 {
            return;
        }
        let may_open = |id: Id| {
            let section = files.get(&id).and_then(|followed| followed.section);
            section.is_none_or(|section| slots.has_room(section))
        };
        self.schedule.admit(may_open);
    }

    pub(super) fn close(&mut self, id: Id) {
        if let Some(followed) = self.files.get_mut(&id) {
            followed.close();
        }
        self.slots.closed(id);
    }
}
