//! Packed files: read once from front to back, resumed at the unpacked offset.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt;

use flate2::read::MultiGzDecoder;

use super::registry::{Anchor, Fingerprint};

const MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Header and trailer of an empty one.
const LEAST_BYTES: u64 = 18;

/// Unpacked bytes that are left out at once on the way to where reading goes on.
const SKIP_BYTES: u64 = 1 << 20;

/// Whether the first bytes are those of a packed file. No log line begins so.
pub(super) fn is_gzip(head: &[u8]) -> bool {
    head.starts_with(&MAGIC)
}

/// The first unpacked bytes, as many as a fingerprint takes; fewer where the file is damaged or not yet written.
pub(super) fn head_of(file: &File) -> Vec<u8> {
    let mut head = Vec::with_capacity(Fingerprint::MAX_BYTES);
    let decoder = MultiGzDecoder::new(BufReader::new(At { file, position: 0 }));
    // What could be unpacked before the error counts.
    decoder
        .take(Fingerprint::MAX_BYTES as u64)
        .read_to_end(&mut head)
        .ok();
    head
}

/// What the trailer says of the unpacked length: it is exact below 4 GiB where the file was packed in one go.
pub(super) fn promised_bytes(file: &File, disk_bytes: u64) -> io::Result<u32> {
    if disk_bytes < LEAST_BYTES {
        return Ok(0);
    }
    let mut trailer = [0; 4];
    file.read_exact_at(&mut trailer, disk_bytes - 4)?;
    Ok(u32::from_le_bytes(trailer))
}

/// The bytes before an unpacked offset; `None` where there is less. Unpacks all that is before it.
pub(super) fn anchor_at(file: &File, offset: u64) -> Option<Anchor> {
    let mut unpacker = Unpacker::new(At { file, position: 0 });
    while unpacker.position() < offset {
        unpacker.skip_to(offset).ok().filter(|bytes| *bytes > 0)?;
    }
    Some(unpacker.anchor())
}

/// Unpacks a file and remembers the end of what it gave.
pub(super) struct Unpacker<R: Read> {
    decoder: MultiGzDecoder<BufReader<R>>,
    position: u64,
    last: Vec<u8>,
}

impl<R: Read> Unpacker<R> {
    pub(super) fn new(packed: R) -> Self {
        Self {
            decoder: MultiGzDecoder::new(BufReader::new(packed)),
            position: 0,
            last: Vec::new(),
        }
    }

    /// Unpacked bytes so far.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// Goes towards `offset`, not beyond. How far; nothing at the end of the file.
    pub(super) fn skip_to(&mut self, offset: u64) -> io::Result<u64> {
        let begin = self.position;
        let mut buffer = vec![0; 32 * 1024];
        while self.position < offset && self.position - begin < SKIP_BYTES {
            let left = usize::try_from(offset - self.position).unwrap_or(usize::MAX);
            let room = buffer.len().min(left);
            if self.read(&mut buffer[..room])? == 0 {
                break;
            }
        }
        Ok(self.position - begin)
    }

    /// 0 at the end of a file whose checksums and lengths were right.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = loop {
            match self.decoder.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                outcome => break outcome?,
            }
        };
        self.position += bytes as u64;
        let kept = bytes.min(Anchor::MAX_BYTES);
        let surplus = (self.last.len() + kept).saturating_sub(Anchor::MAX_BYTES);
        self.last.drain(..surplus);
        self.last.extend_from_slice(&buffer[bytes - kept..bytes]);
        Ok(bytes)
    }

    /// Of the place reached.
    pub(super) fn anchor(&self) -> Anchor {
        Anchor::of(&self.last)
    }
}

/// Reads a file without moving its cursor.
struct At<'a> {
    file: &'a File,
    position: u64,
}

impl Read for At<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.file.read_at(buffer, self.position)?;
        self.position += bytes as u64;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};
    use std::io::Write;

    fn packed(parts: &[&str]) -> Vec<u8> {
        let pack = |part: &&str| {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(part.as_bytes()).unwrap();
            encoder.finish().unwrap()
        };
        parts.iter().flat_map(pack).collect()
    }

    fn file(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    #[test]
    fn head_length_and_anchor_are_those_of_the_unpacked_text() {
        let text = "a line of text\n".repeat(200);
        let bytes = packed(&[&text]);
        let disk = file(&bytes);
        assert!(is_gzip(&bytes));
        assert_eq!(head_of(&disk), &text.as_bytes()[..Fingerprint::MAX_BYTES]);
        assert_eq!(promised_bytes(&disk, bytes.len() as u64).unwrap(), 3_000);
        assert_eq!(
            anchor_at(&disk, 2_000),
            Some(Anchor::of(&text.as_bytes()[..2_000]))
        );
        assert_eq!(anchor_at(&disk, 3_001), None);
    }

    #[test]
    fn several_members_are_one_text_and_damage_is_noticed_at_every_byte() {
        let bytes = packed(&["one\n", "two\n"]);
        let unpack = |bytes: &[u8]| {
            let mut unpacker = Unpacker::new(bytes);
            let (mut text, mut buffer) = (Vec::new(), [0; 3]);
            loop {
                match unpacker.read(&mut buffer) {
                    Ok(0) => return Ok(text),
                    Ok(count) => text.extend_from_slice(&buffer[..count]),
                    Err(error) => return Err(error.kind()),
                }
            }
        };
        assert_eq!(unpack(&bytes).unwrap(), b"one\ntwo\n");
        let second = packed(&["one\n"]).len();
        for length in (1..bytes.len()).filter(|length| *length != second) {
            assert_eq!(
                unpack(&bytes[..length]),
                Err(io::ErrorKind::UnexpectedEof),
                "{length}"
            );
        }
        // Checksum and length.
        for at in bytes.len() - 8..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert!(unpack(&damaged).is_err(), "{at}");
        }
    }
}
