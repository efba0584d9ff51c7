//! What happens to one file: it is looked at, read, flushed, left, and in the end forgotten.

use std::fs;
use std::os::unix::fs::MetadataExt;

use chrono::DateTime;
use tokio::time::Instant;
use tracing::warn;

use super::file::Turn;
use super::multiline::Record;
use super::schedule::{Id, rest};
use super::tail::Tailer;
use crate::slot;

/// Turns that an open file has before others that wait to be opened come first.
const FAIR_TURNS: u32 = 16;

impl Tailer {
    /// Asks a file that is at rest whether there is anything new.
    pub(super) fn look(&mut self, id: Id, now: Instant) {
        let pace = self.pace;
        let Some(followed) = self.files.get_mut(&id) else {
            return;
        };
        if let Some(since) = followed.missing_since {
            let missing_for = now.saturating_duration_since(since);
            if followed.reader.is_some() {
                self.schedule.ready(id);
            } else if followed.entry.gone_at_ms.is_some() {
                self.forget_in_time(id, now);
            } else if missing_for >= pace.rotated {
                self.leave(id, now);
            } else {
                self.schedule.look_at(id, since + pace.rotated);
            }
            return;
        }
        let entry = &followed.entry;
        let node = (entry.node.device, entry.node.inode);
        match fs::metadata(entry.place()) {
            Ok(metadata) if (metadata.dev(), metadata.ino()) == node => {
                let written_at = metadata.modified().ok().map(DateTime::from);
                let is_touched = written_at.is_some_and(|at| at != followed.written_at);
                if is_touched || metadata.len() != followed.size {
                    followed.written_at = written_at.unwrap_or(followed.written_at);
                    if metadata.len() != followed.size {
                        followed.grew_at = now;
                    }
                    followed.size = metadata.len();
                    if followed.is_shorter(metadata.len()) {
                        self.next_scan = now;
                    } else if followed.reader.is_some()
                        || !followed.is_packed
                        || followed.has_more()
                    {
                        self.schedule.ready(id);
                        return;
                    }
                } else if followed.short_at.is_some()
                    || followed.reader.is_none() && followed.has_more()
                {
                    // Perhaps a packed file is complete by now, or so old that it never will be; perhaps what could not
                    // be opened can be.
                    self.schedule.ready(id);
                    return;
                }
            }
            // It has another name, or none.
            _ => self.next_scan = now,
        }
        let is_open = self
            .files
            .get(&id)
            .is_some_and(|followed| followed.reader.is_some());
        match is_open {
            true => self.at_end(id, now),
            false => self.rest(id, now),
        }
    }

    /// Reads a file once.
    pub(super) fn turn(&mut self, id: Id, now: Instant) {
        let Some(followed) = self.files.get(&id) else {
            return;
        };
        if followed.reader.is_none() && !self.open(id, None, now) {
            return;
        }
        let Some(followed) = self.files.get_mut(&id) else {
            return;
        };
        let Some(reader) = &mut followed.reader else {
            return;
        };
        match reader.turn(&mut self.buffer, now) {
            Ok(Turn::Read(records)) => {
                // Of a packed file only its length on disk tells whether it grows.
                if !followed.is_packed {
                    followed.grew_at = now;
                }
                followed.learn();
                self.batch(id, &records);
                self.go_on(id);
            }
            Ok(Turn::Skipped) => self.go_on(id),
            Ok(Turn::End) => self.at_end(id, now),
            Ok(Turn::Unpacked(unpacked)) => {
                let records = reader.lines.finish();
                self.batch(id, &records);
                self.read_whole(id, |followed| followed.read_whole(unpacked));
                self.rest(id, now);
            }
            Ok(Turn::Damaged { is_short, unpacked }) => {
                let quiet = now.saturating_duration_since(followed.grew_at);
                if is_short && quiet < self.pace.rotated {
                    let size = followed.size;
                    self.read_whole(id, |followed| followed.short_at = Some(size));
                } else {
                    let reason = match is_short {
                        true => "log_gzip_truncated",
                        false => "log_gzip_damaged",
                    };
                    self.counters.count(reason, 1);
                    warn!(
                        path = followed.entry.path,
                        unpacked = unpacked.bytes,
                        reason,
                        "cannot unpack log file to its end"
                    );
                    let records = reader.lines.finish();
                    self.batch(id, &records);
                    self.read_whole(id, |followed| followed.read_whole(unpacked));
                }
                self.rest(id, now);
            }
            Ok(Turn::Replaced) => {
                // What the reader knows of the beginning decides in the scan too.
                followed.learn();
                self.scanner.forget(followed.entry.node);
                if followed.missing_since.is_some() {
                    // Truncated before it went: perhaps there is a copy, which may still be being packed.
                    self.set_aside(id, now);
                } else {
                    followed.is_doubtful = true;
                    self.next_scan = now;
                    self.rest(id, now);
                }
            }
            Err(error) => {
                self.counters.count("log_read_failed", 1);
                warn!(path = followed.entry.path, %error, "cannot read log file further for now");
                self.close(id);
                self.rest(id, now);
            }
        }
        self.keep_of(id);
    }

    /// Its next turn, after those that have waited longer.
    fn go_on(&mut self, id: Id) {
        let has_waiting = self.schedule.has_waiting();
        let had_enough = self.files.get(&id).is_some_and(|followed| {
            let reader = followed.reader.as_ref();
            followed.missing_since.is_none()
                && reader.is_some_and(|reader| reader.turns >= FAIR_TURNS)
        });
        if has_waiting && had_enough {
            self.close(id);
            self.schedule.wait(id);
            self.admit();
        } else {
            self.schedule.ready(id);
        }
    }

    /// Nothing new in an open file: its last record may be complete by now, the file done with.
    fn at_end(&mut self, id: Id, now: Instant) {
        let pace = self.pace;
        let Some(followed) = self.files.get_mut(&id) else {
            return;
        };
        let (Some(reader), Some(section)) = (&mut followed.reader, followed.section) else {
            return;
        };
        let config = &self.sections[section];
        let (timeout, close_inactive) = (config.multiline.timeout, config.close_inactive);
        let quiet = now.saturating_duration_since(reader.grew_at);
        let missing_for = followed
            .missing_since
            .map(|since| now.saturating_duration_since(since));
        if missing_for.is_some_and(|missing| missing.min(quiet) >= pace.rotated) {
            self.leave(id, now);
            return;
        }
        if reader.lines.has_open_record() {
            if quiet < timeout {
                let at = reader.grew_at + timeout;
                self.schedule.look_at(id, at);
                return;
            }
            let records = reader.lines.flush();
            self.batch(id, &records);
        }
        if missing_for.is_none() && (quiet >= close_inactive || self.schedule.has_waiting()) {
            self.close(id);
            self.admit();
        }
        self.rest(id, now);
    }

    /// Looked at later, the later the longer it has been quiet.
    pub(super) fn rest(&mut self, id: Id, now: Instant) {
        let Some(followed) = self.files.get(&id) else {
            return;
        };
        let reader = followed.reader.as_ref();
        let grew_at = reader.map_or(followed.grew_at, |reader| reader.grew_at);
        let quiet = now.saturating_duration_since(grew_at);
        let mut until = rest(quiet, self.pace.scan);
        if followed.missing_since.is_some() || followed.short_at.is_some() {
            until = until.min(self.pace.rotated);
        }
        self.schedule.look_at(id, now + until);
    }

    /// Hands on what would wait for further lines. Whether the file was read to its end.
    pub(super) fn finish_file(&mut self, id: Id, now: Instant) -> bool {
        let Some(followed) = self.files.get_mut(&id) else {
            return true;
        };
        if followed.missing_since.is_some() && followed.entry.gone_at_ms.is_none() {
            self.leave(id, now);
            return true;
        }
        let reader = followed.reader.as_mut();
        let records = reader.map_or_else(Vec::new, |reader| reader.lines.finish());
        self.batch(id, &records);
        self.close(id);
        let followed = self.files.get(&id);
        followed.is_none_or(|followed| {
            let is_found = followed.section.is_some() && followed.missing_since.is_none();
            !is_found || followed.short_at.is_none() && !followed.has_more()
        })
    }

    fn read_whole(&mut self, id: Id, note: impl FnOnce(&mut super::followed::Followed)) {
        if let Some(followed) = self.files.get_mut(&id) {
            followed.short_at = None;
            note(followed);
        }
        self.close(id);
        self.admit();
    }

    /// Other contents have its place. Its own may still come to light as a copy, and are read on there.
    pub(super) fn set_aside(&mut self, id: Id, now: Instant) {
        if let Some(followed) = self.files.get_mut(&id) {
            followed.is_replaced(now);
        }
        self.slots.closed(id);
        self.admit();
        self.schedule.look_at(id, now + self.pace.rotated);
        self.keep_of(id);
    }

    /// The file is not found any more: what was not read and has no copy is lost.
    pub(super) fn leave(&mut self, id: Id, now: Instant) {
        let Some(followed) = self.files.get_mut(&id) else {
            return;
        };
        let records = followed.last_records();
        self.batch(id, &records);
        let Some(followed) = self.files.get_mut(&id) else {
            return;
        };
        let entry = &followed.entry;
        let lost = entry.size_seen.saturating_sub(entry.position.offset);
        let mut sections = 0..self.sections.len();
        // What the configuration does not name any more is not missed.
        if lost > 0 && sections.any(|section| self.scanner.names(section, &entry.path)) {
            let reason = match entry.is_replaced {
                true => "log_bytes_truncated_unread",
                false => "log_bytes_vanished_unread",
            };
            self.counters.count(reason, lost);
            warn!(
                path = entry.path,
                bytes = lost,
                reason,
                "log file went before all of it was read"
            );
        }
        followed.is_gone(slot::now());
        followed.missing_since.get_or_insert(now);
        self.slots.closed(id);
        self.admit();
        self.forget_in_time(id, now);
        self.keep_of(id);
    }

    /// A file that has been gone for long is forgotten; the others are when it is their time.
    fn forget_in_time(&mut self, id: Id, now: Instant) {
        let now_ms = u64::try_from(slot::now().timestamp_millis()).unwrap_or(0);
        let Some(followed) = self.files.get(&id) else {
            return;
        };
        if !followed.entry.is_gone_for(self.pace.forget, now_ms) {
            self.schedule.look_at(id, now + self.pace.forget / 64);
            return;
        }
        self.forget(id);
    }

    pub(super) fn forget(&mut self, id: Id) {
        if let Some(followed) = self.files.remove(&id) {
            self.unkept.push(followed.entry.without_identity());
            self.outgoing.push_back(followed.last_batch());
        }
        self.schedule.remove(id);
        self.slots.closed(id);
    }

    pub(super) fn keep_of(&mut self, id: Id) {
        if let Some(followed) = self.files.get_mut(&id) {
            self.unkept.extend(followed.unkept());
        }
    }

    fn batch(&mut self, id: Id, records: &[Record]) {
        let Some(followed) = self.files.get_mut(&id) else {
            return;
        };
        let config = followed.section.map(|section| &self.sections[section]);
        let (batch, noticed) = followed.batch(
            records,
            config,
            &self.agent_id,
            &mut self.sheet,
            slot::now(),
        );
        self.outgoing.extend(batch);
        let not_wrapped = followed
            .reader
            .as_mut()
            .map_or(0, |reader| reader.lines.take_not_wrapped());
        let count = |reason, is_counted: fn(&&Record) -> bool| {
            (reason, records.iter().filter(is_counted).count() as u64)
        };
        for (reason, number) in [
            ("log_record_excluded", noticed.excluded),
            ("log_record_unknown", noticed.unknown),
            ("log_line_not_wrapped", not_wrapped),
            count("log_line_cut", |record| record.is_cut),
            count("log_line_not_utf8", |record| record.is_repaired),
            count("log_line_after_hole", |record| record.is_after_hole),
        ] {
            if number > 0 {
                self.counters.count(reason, number);
            }
        }
    }
}
