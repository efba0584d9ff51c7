//! Reads one file from where it was left, in turns.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};

use tokio::time::Instant;

use super::client::Client;
use super::frame::{Framer, Line};
use super::multiline::{Joiner, Record};
use super::registry::{Entry, Fingerprint};
use super::scan::head_of;

/// An open file.
pub(super) struct Reader {
    file: File,
    /// Whose records these are: where they begin.
    pub(super) client: Client,
    /// The first bytes, to notice that the file was truncated and written anew.
    head: Vec<u8>,
    framer: Framer,
    joiner: Joiner,
    pub(super) grew_at: Instant,
}

/// What a turn of reading came to.
pub(super) enum Turn {
    /// Bytes were read; perhaps they complete records.
    Read(Vec<Record>),
    /// Nothing new.
    End,
    /// The contents are not those that were read before.
    Replaced,
}

impl Reader {
    /// Opens the file by its path unless it is open already. `None` where another file has this path by now.
    pub(super) fn open(
        entry: &Entry,
        file: Option<File>,
        client: Client,
        max_line_bytes: usize,
    ) -> io::Result<Option<Self>> {
        let file = match file {
            Some(file) => file,
            None => File::open(&entry.path)?,
        };
        let metadata = file.metadata()?;
        let head = head_of(&file)?;
        let is_it = (metadata.dev(), metadata.ino()) == (entry.node.device, entry.node.inode);
        if !is_it || !entry.fingerprint.begins(&head) {
            return Ok(None);
        }
        Ok(Some(Self {
            file,
            client,
            head,
            framer: Framer::new(entry.offset, max_line_bytes),
            joiner: Joiner::default(),
            grew_at: Instant::now(),
        }))
    }

    /// Reads at most `buffer` bytes.
    pub(super) fn turn(&mut self, buffer: &mut [u8], now: Instant) -> io::Result<Turn> {
        let position = self.framer.position();
        let bytes = self.file.read_at(buffer, position)?;
        if bytes == 0 {
            let is_shorter = self.file.metadata()?.len() < position;
            return Ok(if is_shorter {
                Turn::Replaced
            } else {
                Turn::End
            });
        }
        // Asked after reading: if the beginning is still the same, so was what was read.
        let head = head_of(&self.file)?;
        if !head.starts_with(&self.head) {
            return Ok(Turn::Replaced);
        }
        self.head = head;
        self.grew_at = now;
        let mut records = Vec::new();
        let (joiner, client) = (&mut self.joiner, self.client);
        self.framer.push(&buffer[..bytes], |line| {
            records.extend(join(joiner, client, line))
        });
        Ok(Turn::Read(records))
    }

    /// The record that waits for further lines.
    pub(super) fn flush(&mut self) -> Option<Record> {
        self.joiner.flush()
    }

    /// All that is left when the file will not grow: an open record, a line without an end.
    pub(super) fn finish(&mut self) -> Vec<Record> {
        let last_line = self.framer.finish();
        let complete = last_line.and_then(|line| join(&mut self.joiner, self.client, line));
        complete.into_iter().chain(self.joiner.flush()).collect()
    }

    pub(super) fn has_open_record(&self) -> bool {
        self.joiner.is_open()
    }

    pub(super) fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.head)
    }

    /// Where reading goes on.
    pub(super) fn position(&self) -> u64 {
        self.framer.position()
    }
}

fn join(joiner: &mut Joiner, client: Client, line: Line) -> Option<Record> {
    let begins_record = client.begins_record(&line.text);
    joiner.push(line, begins_record)
}
