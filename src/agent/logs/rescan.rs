//! Which files there are: new, renamed, truncated and vanished ones.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::time::Instant;
use tracing::{debug, info};

use super::contents::OnDisk;
use super::file::{end_of_lines, open};
use super::followed::Followed;
use super::identity::{Identity, identify};
use super::registry::{Entry, Node, Position};
use super::scan::Found;
use super::schedule::Id;
use super::tail::Tailer;
use crate::config::StartAt;
use crate::slot;

/// Scans whether anything changed or not, in units of [`Pace::scan`](super::tail::Pace::scan): for file systems that do
/// not tell the time of a change.
const EVERY: u32 = 60;

/// Looks at the folders in one scan, until two agree about what was replaced.
const MAX_LOOKS: u32 = 6;

/// Folders whose asking takes a unit of time at most.
const FOLDERS: u32 = 1_000;

/// More files that are gone are not remembered.
const MAX_GONE: usize = 10_000;

/// An empty file, or perhaps a copy in the making, as a scan found it.
pub(super) struct Undecided {
    pub(super) path: String,
    pub(super) size: u64,
    is_settled: bool,
    written_at: DateTime<Utc>,
}

impl Undecided {
    fn of(found: &Found) -> Self {
        Self {
            path: found.seen.path.clone(),
            size: found.seen.size,
            is_settled: found.seen.is_settled || found.seen.size == 0,
            written_at: found.written_at,
        }
    }

    fn may_be_decided(&self) -> bool {
        let is_as_before = |metadata: fs::Metadata| {
            let written_at = (metadata.mtime(), metadata.mtime_nsec());
            let before = i64::from(self.written_at.timestamp_subsec_nanos());
            metadata.len() == self.size && written_at == (self.written_at.timestamp(), before)
        };
        !self.is_settled || !fs::metadata(&self.path).is_ok_and(is_as_before)
    }
}

impl Tailer {
    pub(super) fn scan_if_due(&mut self, now: Instant) {
        if now >= self.next_names {
            let folders = u32::try_from(self.scanner.folders()).unwrap_or(u32::MAX);
            self.next_names = now + self.pace.scan * (folders / FOLDERS + 1);
            if self.scanner.has_changed() || self.undecided.iter().any(Undecided::may_be_decided) {
                self.next_scan = now;
            }
        }
        if now >= self.next_scan && now >= self.no_scan_before {
            self.scan(now);
            let took = now.elapsed();
            // At most a tenth of the time is spent on scanning. One scan that took long by itself was suspended.
            let usual = took.min(std::mem::replace(&mut self.scan_took, took));
            let pause = (usual * 9).max(self.pace.scan / 20);
            self.no_scan_before = Instant::now() + pause.min(Duration::from_secs(60));
        }
    }

    fn scan(&mut self, now: Instant) {
        if now >= self.next_full_scan {
            self.scanner.distrust();
            self.next_full_scan = now + self.pace.scan * EVERY;
        }
        let ids: Vec<Id> = self.files.keys().copied().collect();
        let known: Vec<&Entry> = self
            .files
            .values()
            .map(|followed| &followed.entry)
            .collect();
        let mut changed: HashSet<Node> = HashSet::new();
        let ((found, identities), replaced) = agreed(|| {
            let elsewhere = self.files.values().filter(|followed| {
                let entry = &followed.entry;
                let is_astray = followed.missing_since.is_some() || entry.beside.is_some();
                is_astray && entry.gone_at_ms.is_none()
            });
            let elsewhere = elsewhere.map(|followed| &followed.entry);
            let mut found = self.scanner.scan(
                (slot::now(), now),
                elsewhere,
                self.slots.free(),
                &self.counters,
            );
            for found in &mut found {
                found.has_changed |= changed.contains(&found.seen.node);
            }
            let mut contents = OnDisk {
                found: &found,
                answers: &mut self.answers,
            };
            let identities = identify(&known, &found, &mut contents);
            let replaced = replaced_by_others(&known, &found, &identities);
            let nodes = found.iter().filter(|found| found.has_changed);
            changed = nodes.map(|found| found.seen.node).collect();
            ((found, identities), replaced)
        });
        let mut is_there = vec![false; ids.len()];
        let mut new = Vec::new();
        self.undecided.clear();
        self.is_searching = false;
        for (found, identity) in found.into_iter().zip(identities) {
            match identity {
                Identity::Known(index) => {
                    is_there[index] = true;
                    self.refind(ids[index], found, now);
                }
                Identity::CopyOf(_) => {}
                Identity::Undecided => self.undecided.push(Undecided::of(&found)),
                Identity::New { .. } if found.is_beside => {}
                Identity::New { generation } => new.push((found, generation)),
            }
        }
        for index in (0..ids.len()).filter(|index| !is_there[*index]) {
            if replaced.contains(&index) {
                self.set_aside(ids[index], now);
            } else {
                self.miss(ids[index], now);
            }
        }
        for (found, generation) in new {
            let begin = self.begin(&found);
            let is_of_last_life = !self.has_scanned && !self.is_first_life;
            let followed = Followed::new(&found, generation, begin, is_of_last_life, now);
            let id = self.follow(followed);
            self.refind(id, found, now);
        }
        self.forget_surplus();
        self.has_scanned = true;
        let interval = match self.is_searching {
            true => 1,
            false => EVERY,
        };
        self.next_scan = now + self.pace.scan * interval;
        if self.by_path.len() > 4 * self.files.len() + MAX_GONE {
            let files = &self.files;
            self.by_path.retain(|_, id| files.contains_key(id));
        }
    }

    /// A scan found it. Opened at once where there is more to read: its name may be another's the next moment.
    fn refind(&mut self, id: Id, mut found: Found, now: Instant) {
        let Some(followed) = self.files.get_mut(&id) else {
            return;
        };
        let is_new_name = followed.section.is_none() || followed.entry.place() != found.seen.path;
        let was_open = followed.reader.is_some();
        followed.refind(&found, now);
        let has_more = match followed.reader.is_some() {
            true => found.has_changed,
            false => followed.has_more(),
        };
        let is_open = followed.reader.is_some();
        let section = found.section;
        if was_open && !is_open {
            self.slots.closed(id);
        }
        if is_new_name {
            self.watch(id, &found.seen.path);
        }
        self.keep_of(id);
        if !has_more {
            if self.schedule.is_unknown(id) {
                self.rest(id, now);
            }
        } else if is_open {
            self.schedule.opened(id);
        } else if !self.slots.has_room(section) || self.schedule.is_in_line(id) {
            // What has just become free is for who waited longest.
            self.schedule.ready(id);
        } else if self.open(id, found.file.take(), now) {
            self.schedule.opened(id);
        }
    }

    /// It was not found. Its reader, where it has one, goes on to the end.
    fn miss(&mut self, id: Id, now: Instant) {
        let Some(followed) = self.files.get_mut(&id) else {
            return;
        };
        if followed.missing_since.is_some() {
            return;
        }
        followed.missing_since = Some(now);
        // The next scan looks for it beside where it was.
        self.is_searching = true;
        match followed.reader.is_some() {
            true => self.schedule.ready(id),
            false => self.schedule.look_at(id, now + self.pace.rotated),
        }
    }

    /// Where a new file is read from, if not from its beginning.
    fn begin(&self, found: &Found) -> Option<Position> {
        let config = &self.sections[found.section];
        let path = &found.seen.path;
        let age = slot::now() - found.written_at;
        let is_old = config
            .ignore_older
            .and_then(|limit| TimeDelta::from_std(limit).ok())
            .is_some_and(|limit| age > limit);
        let is_first = !self.has_scanned && !self.is_old[found.section];
        if is_old {
            info!(path, "log file is too old to be read, unless it grows");
            self.counters.count("log_file_ignored_older", 1);
        } else if !is_first || config.start_at == StartAt::Beginning {
            return None;
        }
        if found.seen.packed.is_some() {
            return Some(Position::default());
        }
        let file = match &found.file {
            Some(file) => file.try_clone(),
            None => open(path),
        };
        match file.and_then(|file| end_of_lines(&file, found.seen.size)) {
            Ok(position) => Some(position),
            Err(error) => {
                debug!(path, %error, "cannot find the end of log file, it is read from its beginning");
                None
            }
        }
    }

    fn forget_surplus(&mut self) {
        let gone = self.files.iter();
        let gone = gone.filter_map(|(id, followed)| Some((followed.entry.gone_at_ms?, *id)));
        let mut gone: Vec<_> = gone.collect();
        if gone.len() > MAX_GONE {
            gone.sort_unstable();
            for (_, id) in &gone[..gone.len() - MAX_GONE] {
                self.forget(*id);
            }
        }
    }
}

/// The first look whose replaced files are those of the look before it. Where a place has other contents, a copy may have
/// been made while the folder was being read, and each look may meet one of its own.
fn agreed<T>(mut look: impl FnMut() -> (T, Vec<usize>)) -> (T, Vec<usize>) {
    let mut before = Vec::new();
    for _ in 1..MAX_LOOKS {
        let (seen, replaced) = look();
        if replaced == before {
            return (seen, replaced);
        }
        before = replaced;
    }
    look()
}

/// Known files whose place other contents have taken, while nobody found their own.
fn replaced_by_others(known: &[&Entry], found: &[Found], identities: &[Identity]) -> Vec<usize> {
    let mut is_known = vec![false; known.len()];
    let mut taken = HashSet::new();
    for (found, identity) in found.iter().zip(identities) {
        match identity {
            Identity::Known(index) => is_known[*index] = true,
            Identity::New { .. } => drop(taken.insert(found.seen.node)),
            Identity::CopyOf(_) | Identity::Undecided => {}
        }
    }
    let is_replaced = |index: &usize| {
        let entry = known[*index];
        let is_new = !entry.is_replaced && entry.gone_at_ms.is_none();
        !is_known[*index] && is_new && taken.contains(&entry.node)
    };
    (0..known.len()).filter(is_replaced).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_look_says_was_replaced_is_looked_at_again() {
        let check = |looks: &[&[usize]], believed: usize| {
            let mut number = 0;
            let (seen, replaced) = agreed(|| {
                number += 1;
                (number, looks[number - 1].to_vec())
            });
            assert_eq!((seen, &replaced[..]), (believed, looks[believed - 1]));
        };
        check(&[&[]], 1);
        check(&[&[1], &[1]], 2);
        check(&[&[1], &[], &[]], 3);
        // Another file is copied and truncated during the second look.
        check(&[&[1], &[1, 2], &[1], &[1]], 4);
        check(&[&[1], &[2], &[3], &[4], &[5], &[6]], 6);
    }
}
