//! What the spool keeps of an event: where it goes, its id, and the document as the bytes that will be sent.

use std::ops::Range;

use bytes::Bytes;

use crate::event::DataStream;

/// Who gives way when the spool is full: the first class loses its oldest records first, the last class last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// Host, packet and agent measurements: the next one says nearly the same.
    Metrics = 0,
    /// What a client says of itself: its status, its log.
    Client = 1,
    /// What the chain did: nobody repeats it.
    Chain = 2,
}

impl Priority {
    pub const ALL: [Self; 3] = [Self::Metrics, Self::Client, Self::Chain];

    pub fn name(self) -> &'static str {
        match self {
            Self::Metrics => "metrics",
            Self::Client => "client",
            Self::Chain => "chain",
        }
    }

    pub fn of(stream: DataStream) -> Self {
        match (stream, stream.module()) {
            (DataStream::BeaconEvent | DataStream::Block | DataStream::Slot, _) => Self::Chain,
            // Sums of packets give way as the packets' own documents do.
            (DataStream::Traffic, _) => Self::Metrics,
            (_, "ethereum") => Self::Client,
            _ => Self::Metrics,
        }
    }
}

const VERSION: u8 = 1;
/// Version, milliseconds since 1970, lengths of index and id.
const HEADER: usize = 1 + 8 + 2 + 2;
/// One document on its way, in one piece of memory: header, index, id, JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    bytes: Bytes,
    id_at: u32,
    document_at: u32,
}

/// A record that was written among others: where it lies.
#[derive(Debug, Clone)]
pub struct Sealed {
    bytes: Range<usize>,
    id_at: u32,
    document_at: u32,
}

impl Sealed {
    /// Appends a record; `write` appends the document's JSON. Index names and ids longer than Elasticsearch takes are cut
    /// by nobody: it will refuse them, and the dead letter says so.
    pub fn write(
        out: &mut Vec<u8>,
        taken_at_ms: u64,
        index: &str,
        id: &str,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> Self {
        let index = &index.as_bytes()[..index.len().min(usize::from(u16::MAX))];
        let id = &id.as_bytes()[..id.len().min(usize::from(u16::MAX))];
        let begin = out.len();
        out.push(VERSION);
        out.extend_from_slice(&taken_at_ms.to_le_bytes());
        out.extend_from_slice(&(index.len() as u16).to_le_bytes());
        out.extend_from_slice(&(id.len() as u16).to_le_bytes());
        out.extend_from_slice(index);
        out.extend_from_slice(id);
        let document_at = out.len() - begin;
        write(out);
        Self {
            bytes: begin..out.len(),
            id_at: (HEADER + index.len()) as u32,
            document_at: document_at as u32,
        }
    }

    /// The record, once nothing more is written there.
    pub fn within(self, written: &Bytes) -> Record {
        Record {
            bytes: written.slice(self.bytes),
            id_at: self.id_at,
            document_at: self.document_at,
        }
    }
}

impl Record {
    pub fn new(taken_at_ms: u64, index: &str, id: &str, write: impl FnOnce(&mut Vec<u8>)) -> Self {
        let mut bytes = Vec::new();
        let sealed = Sealed::write(&mut bytes, taken_at_ms, index, id, write);
        sealed.within(&bytes.into())
    }

    /// In memory of its own: what waits must not keep what was written beside it.
    #[must_use]
    pub fn apart(self) -> Self {
        Self {
            bytes: Bytes::copy_from_slice(&self.bytes),
            ..self
        }
    }

    /// `None` for what a record cannot be: another version, or lengths beyond its end.
    pub fn read(bytes: Bytes) -> Option<Self> {
        let header = bytes.get(..HEADER)?;
        let id_at = HEADER + usize::from(u16::from_le_bytes([header[9], header[10]]));
        let document_at = id_at + usize::from(u16::from_le_bytes([header[11], header[12]]));
        let whole = header[0] == VERSION
            && document_at <= bytes.len()
            && std::str::from_utf8(&bytes[HEADER..document_at]).is_ok();
        whole.then_some(Self {
            bytes,
            id_at: id_at as u32,
            document_at: document_at as u32,
        })
    }

    /// Whether [`Record::read`] gave `None` because somebody newer wrote it.
    pub(super) fn is_of_later_version(bytes: &[u8]) -> bool {
        bytes.first().is_some_and(|version| *version > VERSION)
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// When the agent took the event, in milliseconds since 1970.
    pub fn taken_at_ms(&self) -> u64 {
        self.bytes[1..9]
            .iter()
            .rev()
            .fold(0, |value, byte| value << 8 | u64::from(*byte))
    }

    /// The data stream by its full name.
    pub fn index(&self) -> &str {
        self.text(HEADER..self.id_at as usize)
    }

    pub fn id(&self) -> &str {
        self.text(self.id_at as usize..self.document_at as usize)
    }

    /// `ethereum.block` of `logs-ethereum.block-default`.
    pub fn dataset(&self) -> &str {
        let index = self.index();
        let begin = memchr::memchr(b'-', index.as_bytes()).map_or(index.len(), |dash| dash + 1);
        let rest = &index[begin..];
        &rest[..memchr::memchr(b'-', rest.as_bytes()).unwrap_or(rest.len())]
    }

    /// JSON on one line.
    pub fn document(&self) -> &[u8] {
        &self.bytes[self.document_at as usize..]
    }

    fn text(&self, range: Range<usize>) -> &str {
        std::str::from_utf8(&self.bytes[range]).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_survives_the_round_trip() {
        let record = Record::new(
            1_700_000_000_123,
            "logs-ethereum.block-default",
            "abc",
            |out| {
                out.extend_from_slice(b"{\"a\":1}");
            },
        );
        let again = Record::read(Bytes::copy_from_slice(record.as_bytes())).unwrap();
        assert_eq!(again, record);
        assert_eq!(again.taken_at_ms(), 1_700_000_000_123);
        assert_eq!(again.index(), "logs-ethereum.block-default");
        assert_eq!(again.dataset(), "ethereum.block");
        assert_eq!(again.id(), "abc");
        assert_eq!(again.document(), b"{\"a\":1}");
    }

    #[test]
    fn cut_or_foreign_bytes_are_no_record() {
        let whole = Record::new(1, "logs-a-default", "id", |_| {});
        for length in 0..whole.len() {
            assert_eq!(
                Record::read(Bytes::copy_from_slice(&whole.as_bytes()[..length])),
                None
            );
        }
        let mut foreign = whole.as_bytes().to_vec();
        foreign[0] = 9;
        assert_eq!(Record::read(foreign.into()), None);
    }

    #[test]
    fn the_chain_gives_way_last() {
        assert!(Priority::of(DataStream::SystemCpu) < Priority::of(DataStream::Node));
        assert!(Priority::of(DataStream::Node) < Priority::of(DataStream::Block));
        assert_eq!(Priority::of(DataStream::AgentReport), Priority::Metrics);
    }
}
