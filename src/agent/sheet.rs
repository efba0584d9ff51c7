//! Events that come in great numbers are sealed one behind the other, into one piece of memory.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use chrono::{DateTime, Utc};

use super::envelope::{Envelope, Moment};
use super::outbox::Seal;
use super::process::{Chain, Fate};
use super::store::{Record, Sealed};
use crate::event::{DataStream, DocumentId, Event};

/// Memory that is kept for the next events. What is under way has more of it, at most as much as the window allows.
const SPARE: usize = 16;

/// Used again and again by one that makes events.
pub struct Sheet {
    seal: Seal,
    envelope: Arc<Envelope>,
    processors: Option<Arc<Chain>>,
    now: Moment,
    /// Filled anew for each event.
    event: Event,
    bytes: Vec<u8>,
    sealed: Vec<Sealed>,
    spare: Arc<Mutex<Vec<Vec<u8>>>>,
}

/// Comes back once the last record in it has its outcome.
struct Lent {
    bytes: Vec<u8>,
    spare: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Sheet {
    pub fn new(seal: Seal) -> Self {
        let (envelope, processors) = seal.current();
        let start = DateTime::UNIX_EPOCH;
        Self {
            seal,
            envelope,
            processors,
            now: Moment::of(start),
            event: Event::new(DataStream::ClientLog, DocumentId::of(&[]), start),
            bytes: Vec::new(),
            sealed: Vec::new(),
            spare: Arc::default(),
        }
    }

    /// From here on events are sealed by what is known of the node now.
    pub fn begin(&mut self, now: DateTime<Utc>) {
        (self.envelope, self.processors) = self.seal.current();
        self.now = Moment::of(now);
        self.bytes = lock(&self.spare).pop().unwrap_or_default();
    }

    /// There is nothing to do for a while: the memory is given back.
    pub fn rest(&mut self) {
        *lock(&self.spare) = Vec::new();
    }

    /// Seals the event that `fill` makes of the last one. `false` where a processor dropped it.
    pub fn add(&mut self, fill: impl FnOnce(&mut Event)) -> bool {
        fill(&mut self.event);
        if let Some(processors) = &self.processors {
            let base = self.envelope.base(self.event.stream);
            if self.seal.process(processors, &mut self.event, base) == Fate::Dropped {
                return false;
            }
        }
        let sealed = self
            .envelope
            .write(&mut self.bytes, &mut self.event, &self.now);
        self.sealed.push(sealed);
        true
    }

    /// What was sealed since the beginning.
    pub fn take(&mut self) -> Vec<Record> {
        let bytes = Bytes::from_owner(Lent {
            bytes: std::mem::take(&mut self.bytes),
            spare: Arc::clone(&self.spare),
        });
        let sealed = self.sealed.drain(..);
        sealed.map(|sealed| sealed.within(&bytes)).collect()
    }
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let mut spare = lock(&self.spare);
        if spare.len() < SPARE {
            self.bytes.clear();
            spare.push(std::mem::take(&mut self.bytes));
        }
    }
}

fn lock(spare: &Mutex<Vec<Vec<u8>>>) -> MutexGuard<'_, Vec<Vec<u8>>> {
    spare.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::envelope::Identity;

    #[test]
    fn records_lie_side_by_side_and_their_memory_is_used_again() {
        let mut sheet = Sheet::new(Seal::new(Identity::default()));
        let mut at = None;
        for _ in 0..3 {
            sheet.begin(DateTime::UNIX_EPOCH);
            for text in ["a", "b"] {
                let kept = sheet.add(|event| {
                    event.id = DocumentId::of(&[text]);
                    event.document.begin(DateTime::UNIX_EPOCH);
                    event.document.set_text("message", text);
                });
                assert!(kept);
            }
            let records = sheet.take();
            let texts = records.iter().map(|record| {
                let document: serde_json::Value =
                    serde_json::from_slice(record.document()).unwrap();
                (record.id().to_owned(), document["message"].clone())
            });
            let expected =
                ["a", "b"].map(|text| (DocumentId::of(&[text]).to_string(), text.into()));
            assert_eq!(texts.collect::<Vec<_>>(), expected);
            let place = records[0].as_bytes().as_ptr();
            assert!(at.is_none_or(|before| before == place));
            at = Some(place);
            assert_eq!(records[0].clone().apart(), records[0]);
        }
        sheet.rest();
        assert!(lock(&sheet.spare).is_empty());
    }
}
