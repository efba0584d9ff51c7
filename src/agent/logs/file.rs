//! Reads one file from where it was left, in turns.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;
use tokio::time::Instant;

use super::gzip::{self, Unpacker};
use super::lines::{Lines, Shape};
use super::multiline::Record;
use super::registry::{Anchor, Entry, Fingerprint, Position, Unpacked};

/// An open file.
pub(super) struct Reader {
    source: Source,
    /// The first bytes, to notice that the file was truncated and written anew.
    head: Vec<u8>,
    pub(super) lines: Lines,
    pub(super) grew_at: Instant,
    /// Since it was opened.
    pub(super) turns: u32,
}

enum Source {
    Plain {
        file: File,
        /// The bytes before the position, for the same reason: beginnings may be alike.
        last: Vec<u8>,
    },
    Packed {
        unpacker: Box<Unpacker<File>>,
        disk_bytes: u64,
    },
}

/// What opening a file came to.
pub(super) enum Opened {
    Reader(Box<Reader>),
    /// Another file has the path by now.
    Elsewhere,
    /// The contents are not those that were read before.
    Replaced,
}

/// What a turn of reading came to.
pub(super) enum Turn {
    /// Bytes were read; perhaps they complete records.
    Read(Vec<Record>),
    /// On the way to where reading goes on.
    Skipped,
    /// Nothing new.
    End,
    /// A packed file was read whole.
    Unpacked(Unpacked),
    /// The contents are not those that were read before.
    Replaced,
    /// A packed file can't be unpacked further.
    Damaged { is_short: bool, unpacked: Unpacked },
}

impl Reader {
    /// Opens the file by its path unless it is open already.
    pub(super) fn open(
        entry: &Entry,
        file: Option<File>,
        shape: Shape,
        now: Instant,
    ) -> io::Result<Opened> {
        let file = match file {
            Some(file) => file,
            None => open(entry.place())?,
        };
        let metadata = file.metadata()?;
        if (metadata.dev(), metadata.ino()) != (entry.node.device, entry.node.inode) {
            return Ok(Opened::Elsewhere);
        }
        let mut head = head_of(&file)?;
        let is_packed = gzip::is_gzip(&head);
        if is_packed {
            head = gzip::head_of(&file);
        }
        if !entry.fingerprint.begins(&head) {
            return Ok(Opened::Replaced);
        }
        let Position {
            offset,
            anchor,
            done,
        } = &entry.position;
        let source = if is_packed {
            // What was promised was compared when the file was found; unpacking it twice would be dear.
            Source::Packed {
                unpacker: Box::new(Unpacker::new(file)),
                disk_bytes: metadata.len(),
            }
        } else {
            let last = bytes_before(&file, *offset, Anchor::MAX_BYTES)?;
            let is_it = anchor
                .as_ref()
                .is_none_or(|anchor| last.as_deref().is_some_and(|last| is_anchor(anchor, last)));
            match last {
                Some(last) if is_it => Source::Plain { file, last },
                _ => return Ok(Opened::Replaced),
            }
        };
        Ok(Opened::Reader(Box::new(Self {
            source,
            head,
            lines: Lines::new(shape, *offset, *done),
            grew_at: now,
            turns: 0,
        })))
    }

    /// Reads at most `buffer` bytes.
    pub(super) fn turn(&mut self, buffer: &mut [u8], now: Instant) -> io::Result<Turn> {
        self.turns = self.turns.saturating_add(1);
        let position = self.lines.position();
        let new = match &mut self.source {
            Source::Plain { file, last } => {
                let begin = position - last.len() as u64;
                let bytes = file.read_at(buffer, begin)?;
                if !buffer[..bytes].starts_with(last) {
                    return Ok(Turn::Replaced);
                }
                let new = last.len()..bytes;
                if new.is_empty() {
                    return Ok(Turn::End);
                }
                // Asked after reading: if the beginning is still the same, so was what was read.
                let head = head_of(file)?;
                if !head.starts_with(&self.head) {
                    return Ok(Turn::Replaced);
                }
                self.head = head;
                last.clear();
                last.extend_from_slice(&buffer[bytes.saturating_sub(Anchor::MAX_BYTES)..bytes]);
                new
            }
            Source::Packed {
                unpacker,
                disk_bytes,
            } => {
                let is_skipping = unpacker.position() < position;
                let outcome = match is_skipping {
                    true => unpacker
                        .skip_to(position)
                        .map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX)),
                    false => unpacker.read(buffer),
                };
                let unpacked = Unpacked {
                    disk_bytes: *disk_bytes,
                    bytes: unpacker.position(),
                };
                match outcome {
                    Ok(0) => return Ok(Turn::Unpacked(unpacked)),
                    Ok(_) if is_skipping => return Ok(Turn::Skipped),
                    Ok(bytes) => 0..bytes,
                    Err(error) => {
                        return damage(&error)
                            .map(|is_short| Turn::Damaged { is_short, unpacked })
                            .ok_or(error);
                    }
                }
            }
        };
        self.grew_at = now;
        Ok(Turn::Read(self.lines.push(&buffer[new])))
    }

    /// Where a further reader would go on.
    pub(super) fn position(&self) -> Position {
        let offset = self.lines.resume();
        let anchor = match &self.source {
            Source::Plain { last, .. } if offset == self.lines.position() => Some(Anchor::of(last)),
            Source::Plain { file, .. } => {
                let before = bytes_before(file, offset, Anchor::MAX_BYTES).ok().flatten();
                // Asked after reading: the file may have been truncated and written anew since its lines were read.
                before
                    .filter(|_| self.holds_what_was_read())
                    .map(|before| Anchor::of(&before))
            }
            Source::Packed { unpacker, .. } => {
                (unpacker.position() == offset).then(|| unpacker.anchor())
            }
        };
        Position {
            offset,
            anchor,
            done: self.lines.done(),
        }
    }

    fn holds_what_was_read(&self) -> bool {
        let Source::Plain { file, last } = &self.source else {
            return true;
        };
        let read = bytes_before(file, self.lines.position(), last.len());
        read.is_ok_and(|read| read.as_ref() == Some(last))
    }

    pub(super) fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.head)
    }
}

/// For reading. A pipe that has the name by now must not make us wait for a writer.
pub(super) fn open(path: impl AsRef<Path>) -> io::Result<File> {
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or(0);
    OpenOptions::new().read(true).custom_flags(flags).open(path)
}

/// The first bytes of a file, as many as a fingerprint takes.
pub(super) fn head_of(file: &File) -> io::Result<Vec<u8>> {
    read_up_to(file, 0, Fingerprint::MAX_BYTES)
}

/// At most `max_bytes` that end at `offset`; `None` where the file ends before.
pub(super) fn bytes_before(
    file: &File,
    offset: u64,
    max_bytes: usize,
) -> io::Result<Option<Vec<u8>>> {
    let begin = offset.saturating_sub(max_bytes as u64);
    let wanted = usize::try_from(offset - begin).unwrap_or(max_bytes);
    let bytes = read_up_to(file, begin, wanted)?;
    Ok((bytes.len() == wanted).then_some(bytes))
}

/// `last` may begin before what the anchor takes in.
pub(super) fn is_anchor(anchor: &Anchor, last: &[u8]) -> bool {
    let begin = last.len().checked_sub(anchor.len());
    begin.is_some_and(|begin| Anchor::of(&last[begin..]) == *anchor)
}

/// Where the last line that is complete ends.
pub(super) fn end_of_lines(file: &File, size: u64) -> io::Result<Position> {
    const WITHIN: usize = 64 * 1024;
    let tail = bytes_before(file, size, WITHIN)?.unwrap_or_default();
    let unfinished = memchr::memrchr(b'\n', &tail).map_or(0, |end| tail.len() - end - 1);
    let offset = size - unfinished as u64;
    Ok(Position {
        offset,
        anchor: bytes_before(file, offset, Anchor::MAX_BYTES)?.map(|last| Anchor::of(&last)),
        ..Position::default()
    })
}

fn read_up_to(file: &File, begin: u64, max_bytes: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; max_bytes];
    let mut filled = 0;
    while filled < bytes.len() {
        match file.read_at(&mut bytes[filled..], begin + filled as u64)? {
            0 => break,
            count => filled += count,
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

/// Whether the file ends too early, or is otherwise no packed file; `None` where the disk is to blame.
fn damage(error: &io::Error) -> Option<bool> {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => Some(true),
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => Some(false),
        _ => None,
    }
}
