//! Reads what all agents shipped: one search per tick over every stream of interest.

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::cursor::{Cursor, Interest, Seen};
use crate::elastic::{Client, SendError};
use crate::event::{DataStream, Document, DocumentId};

/// Hits per page: what is in memory at one time, however far the reader is behind.
const PAGE: usize = 2_000;

/// A document as it was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Read {
    pub stream: DataStream,
    pub id: DocumentId,
    pub document: Document,
}

pub(super) struct Reader {
    client: Client,
    target: String,
    interests: Vec<Interest>,
    started: DateTime<Utc>,
    cursor: Cursor,
    seen: Seen,
    /// Hits that were no document of ours.
    pub unreadable: u64,
}

/// A page of what is new.
#[derive(Debug, Default)]
pub(super) struct Page {
    pub documents: Vec<Read>,
    /// There is more to read at once.
    pub more: bool,
}

impl Reader {
    /// `started` fixes the first window; later reads go by sequence number.
    pub(super) fn new(
        client: Client,
        namespace: &str,
        interests: Vec<Interest>,
        started: DateTime<Utc>,
    ) -> Self {
        let mut streams: Vec<String> = interests
            .iter()
            .map(|interest| interest.stream.name(namespace))
            .collect();
        streams.sort_unstable();
        streams.dedup();
        Self {
            client,
            target: streams.join(","),
            interests,
            started,
            cursor: Cursor::default(),
            seen: Seen::default(),
            unreadable: 0,
        }
    }

    /// Whether the document was among what was read.
    pub(super) fn knows(&self, stream: DataStream, id: &DocumentId) -> bool {
        self.seen.contains(stream, id)
    }

    /// Makes everything that was acknowledged findable.
    pub(super) async fn refresh(&self) -> Result<(), SendError> {
        let path = format!("{}/_refresh", self.target);
        self.client
            .post(&path, &[("ignore_unavailable", "true")], None)
            .await?;
        Ok(())
    }

    /// The first page of all that is new since the last turn, each document once.
    pub(super) async fn begin(&mut self, now: DateTime<Utc>) -> Result<Page, SendError> {
        self.cursor.settle(now);
        self.page(now, true).await
    }

    /// The page after the last one, where there was more.
    pub(super) async fn go_on(&mut self, now: DateTime<Utc>) -> Result<Page, SendError> {
        self.page(now, false).await
    }

    async fn page(&mut self, now: DateTime<Utc>, overlap: bool) -> Result<Page, SendError> {
        let query = self
            .cursor
            .query(&self.interests, self.started, overlap, PAGE);
        let answer = self.client.search(&self.target, &query).await?;
        let hits = hits(answer);
        let mut page = Page {
            more: hits.len() >= PAGE,
            ..Page::default()
        };
        for hit in hits {
            self.take(hit, now, &mut page.documents);
        }
        Ok(page)
    }

    fn take(&mut self, hit: Value, now: DateTime<Utc>, documents: &mut Vec<Read>) {
        if let (Some(index), Some(seq_no)) = (hit["_index"].as_str(), hit["sort"][0].as_i64()) {
            self.cursor.advance(index, seq_no, now);
        }
        let Some(read) = parse(hit) else {
            self.unreadable += 1;
            return;
        };
        if self.seen.insert(read.stream, &read.id) {
            documents.push(read);
        }
    }
}

/// The documents of a search's answer.
pub(super) fn documents(answer: Value) -> Vec<Read> {
    hits(answer).into_iter().filter_map(parse).collect()
}

fn hits(mut answer: Value) -> Vec<Value> {
    match answer.pointer_mut("/hits/hits").map(Value::take) {
        Some(Value::Array(hits)) => hits,
        _ => Vec::new(),
    }
}

fn parse(mut hit: Value) -> Option<Read> {
    let Value::Object(source) = hit.get_mut("_source")?.take() else {
        return None;
    };
    let document = Document::from(source);
    let kind = document.get_str("data_stream.type")?;
    let dataset = document.get_str("data_stream.dataset")?;
    Some(Read {
        stream: DataStream::from_prefix(&format!("{kind}-{dataset}"))?,
        id: DocumentId::existing(hit.get("_id")?.as_str()?),
        document,
    })
}
