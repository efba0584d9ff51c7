//! Encodes bulk bodies. Pure.
//!
//! One malformed line makes Elasticsearch refuse the whole request, so whatever could do that is checked here, per item.

use bytes::{BufMut, Bytes, BytesMut};

/// Elasticsearch refuses a request with a longer `_id`.
const LONGEST_ID: usize = 512;

/// When a body is full. Whichever comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Before compression.
    pub bytes: usize,
    pub items: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            bytes: 5 * 1024 * 1024,
            items: 1600,
        }
    }
}

/// Why an item can't be sent. It concerns this item alone, and for ever.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadItem {
    #[error("an id of {bytes} bytes: it must have 1 to {LONGEST_ID}")]
    Id { bytes: usize },
    #[error("not one JSON object on one line")]
    Document,
}

/// A bulk body under construction: `create` lines with their documents.
#[derive(Debug)]
pub struct BulkBody {
    buffer: BytesMut,
    items: usize,
    limits: Limits,
}

impl BulkBody {
    pub fn new(limits: Limits) -> Self {
        Self {
            buffer: BytesMut::new(),
            items: 0,
            limits,
        }
    }

    /// For the next body; the one under construction may be beyond them.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Appends a document, already encoded. `Ok(false)`: the body is full and took nothing; send it first. An empty body takes a
    /// document of any size, so that the server's 413 decides about it.
    ///
    /// Of the document only the frame is checked: broken JSON inside costs nobody but itself.
    pub fn push(&mut self, data_stream: &str, id: &str, document: &[u8]) -> Result<bool, BadItem> {
        if id.is_empty() || id.len() > LONGEST_ID {
            return Err(BadItem::Id { bytes: id.len() });
        }
        let framed = document.first() == Some(&b'{') && document.last() == Some(&b'}');
        if !framed || memchr::memchr(b'\n', document).is_some() {
            return Err(BadItem::Document);
        }
        let begin = self.buffer.len();
        if begin == 0 {
            // Growing by itself it would take twice as much, and copy it.
            self.buffer.reserve(self.limits.bytes.max(document.len()));
        }
        self.buffer.put_slice(br#"{"create":{"_index":"#);
        self.put_string(data_stream);
        self.buffer.put_slice(br#","_id":"#);
        self.put_string(id);
        self.buffer.put_slice(b"}}\n");
        let fits = self.buffer.len() + document.len() < self.limits.bytes
            && self.items < self.limits.items;
        if !fits && self.items > 0 {
            self.buffer.truncate(begin);
            return Ok(false);
        }
        self.buffer.put_slice(document);
        self.buffer.put_u8(b'\n');
        self.items += 1;
        Ok(true)
    }

    pub fn limits(&self) -> Limits {
        self.limits
    }

    pub fn items(&self) -> usize {
        self.items
    }

    pub fn bytes(&self) -> usize {
        self.buffer.len()
    }

    pub fn is_empty(&self) -> bool {
        self.items == 0
    }

    /// The body so far and its number of items; what follows goes into a new one. The memory is used again once the body is dropped.
    pub fn take(&mut self) -> (Bytes, usize) {
        let body = self.buffer.split().freeze();
        (body, std::mem::take(&mut self.items))
    }

    fn put_string(&mut self, text: &str) {
        let plain = |byte: u8| byte >= 0x20 && byte != b'"' && byte != b'\\';
        if text.bytes().all(plain) {
            self.buffer.put_u8(b'"');
            self.buffer.put_slice(text.as_bytes());
            self.buffer.put_u8(b'"');
        } else {
            self.buffer
                .put_slice(serde_json::Value::from(text).to_string().as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    #[test]
    fn items_are_framed_as_elasticsearch_reads_them() {
        let mut body = BulkBody::new(Limits::default());
        assert_eq!(body.push("logs-a-b", "1", br#"{"x":1}"#), Ok(true));
        assert_eq!(body.push("logs-a-b", "\"2\n", b"{}"), Ok(true));
        assert_eq!((body.items(), body.bytes()), (2, body.buffer.len()));
        let (bytes, items) = body.take();
        assert_eq!(
            bytes,
            concat!(
                r#"{"create":{"_index":"logs-a-b","_id":"1"}}"#,
                "\n{\"x\":1}\n",
                r#"{"create":{"_index":"logs-a-b","_id":"\"2\n"}}"#,
                "\n{}\n"
            )
        );
        assert_eq!((items, body.is_empty(), body.bytes()), (2, true, 0));
    }

    #[test]
    fn what_would_spoil_the_whole_request_is_refused_alone() {
        let mut body = BulkBody::new(Limits::default());
        assert_eq!(body.push("s", "", b"{}"), Err(BadItem::Id { bytes: 0 }));
        let long = "x".repeat(513);
        assert_eq!(
            body.push("s", &long, b"{}"),
            Err(BadItem::Id { bytes: 513 })
        );
        for document in ["", "[]", "1", "{\n}", "{}\n", "{", "\"{}\""] {
            assert_eq!(
                body.push("s", "1", document.as_bytes()),
                Err(BadItem::Document),
                "{document:?}"
            );
        }
        assert_eq!(body.bytes(), 0, "nothing of a refused item remains");
    }

    #[test]
    fn a_full_body_takes_nothing_and_an_empty_one_takes_anything() {
        let mut body = BulkBody::new(Limits {
            bytes: 100,
            items: 2,
        });
        let large = format!(r#"{{"x":"{}"}}"#, "y".repeat(200));
        assert_eq!(body.push("s", "1", large.as_bytes()), Ok(true));
        assert_eq!(body.push("s", "2", b"{}"), Ok(false));
        assert_eq!(body.take().1, 1);
        assert_eq!(body.push("s", "2", b"{}"), Ok(true));
        assert_eq!(body.push("s", "3", b"{}"), Ok(true));
        assert_eq!(body.push("s", "4", b"{}"), Ok(false));
    }

    proptest! {
        #[test]
        fn every_id_survives_the_encoding(id in ".{1,120}") {
            let mut body = BulkBody::new(Limits::default());
            prop_assert_eq!(body.push("s", &id, b"{}"), Ok(true));
            let (bytes, _) = body.take();
            let lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
            prop_assert_eq!(lines.len(), 3);
            let action: Value = serde_json::from_slice(lines[0]).unwrap();
            prop_assert_eq!(action, json!({"create": {"_index": "s", "_id": id}}));
        }
    }
}
