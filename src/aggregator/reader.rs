//! Reads what all agents shipped: one search per tick over every stream of interest.

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::cursor::{Cursor, Interest, Seen};
use crate::elastic::{Client, SendError};
use crate::event::{DataStream, Document, DocumentId};

/// Hits per page.
const PAGE: usize = 2_000;

/// Pages per poll: at a start over a long lookback the loop judges between polls instead of after all of them.
const MAX_PAGES: usize = 25;

/// A document as it was read.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Read {
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

/// What a poll brought.
#[derive(Debug, Default)]
pub(super) struct Poll {
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

    /// Everything new since the last poll, each document once.
    pub(super) async fn poll(&mut self, now: DateTime<Utc>) -> Result<Poll, SendError> {
        self.cursor.settle(now);
        let mut poll = Poll::default();
        for page in 0..MAX_PAGES {
            let query = self
                .cursor
                .query(&self.interests, self.started, page == 0, PAGE);
            let answer = self.client.search(&self.target, &query).await?;
            let hits = answer["hits"]["hits"]
                .as_array()
                .map(Vec::as_slice)
                .unwrap_or_default();
            for hit in hits {
                self.take(hit, now, &mut poll.documents);
            }
            if hits.len() < PAGE {
                return Ok(poll);
            }
        }
        poll.more = true;
        Ok(poll)
    }

    fn take(&mut self, hit: &Value, now: DateTime<Utc>, documents: &mut Vec<Read>) {
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
pub(super) fn documents(answer: &Value) -> Vec<Read> {
    let hits = answer["hits"]["hits"].as_array();
    hits.into_iter().flatten().filter_map(parse).collect()
}

fn parse(hit: &Value) -> Option<Read> {
    let document = Document::from(hit["_source"].as_object()?.clone());
    let kind = document.get_str("data_stream.type")?;
    let dataset = document.get_str("data_stream.dataset")?;
    Some(Read {
        stream: DataStream::from_prefix(&format!("{kind}-{dataset}"))?,
        id: DocumentId::existing(hit["_id"].as_str()?),
        document,
    })
}
