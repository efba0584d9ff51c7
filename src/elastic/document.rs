//! Single documents of plain indices, changed by compare-and-set: what must change in place lives there (states, outbox, lease).

use elasticsearch::http::Method;
use serde_json::Value;

use super::search::path_segment;
use super::{Client, Reply, SendError};

/// A document with the version that a later [`Client::compare_and_set`] must name.
#[derive(Debug, Clone, PartialEq)]
pub struct Versioned {
    pub source: Value,
    pub seq_no: u64,
    pub primary_term: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CasOutcome {
    /// Written, under this version.
    Written { seq_no: u64, primary_term: u64 },
    /// Somebody else wrote in between (or the document exists, or no longer does).
    Conflict,
}

impl Client {
    /// Reads a document in real time, not as of the last refresh. `None`: it, or its index, does not exist.
    pub async fn document(&self, index: &str, id: &str) -> Result<Option<Versioned>, SendError> {
        let path = format!("{}/_doc/{}", path_segment(index), path_segment(id));
        let reply = self.get(&path, &[]).await?;
        match reply.status {
            200 => version(&reply.body)
                .zip(reply.body.get("_source"))
                .map(|((seq_no, primary_term), source)| {
                    Some(Versioned {
                        source: source.clone(),
                        seq_no,
                        primary_term,
                    })
                })
                .ok_or_else(|| self.foreign(&reply)),
            404 => Ok(None),
            _ => Err(self.refused(&reply)),
        }
    }

    /// Writes a document if it is still what the caller read: `expected` is its (seq_no, primary_term), `None` that there is none.
    /// After [`SendError::Unreachable`] it may have been written: read it again.
    pub async fn compare_and_set(
        &self,
        index: &str,
        id: &str,
        document: &Value,
        expected: Option<(u64, u64)>,
    ) -> Result<CasOutcome, SendError> {
        let (index, id) = (path_segment(index), path_segment(id));
        let reply = match expected {
            None => {
                let path = format!("{index}/_create/{id}");
                self.request(Method::Put, &path, &[], Some(document))
                    .await?
            }
            Some((seq_no, primary_term)) => {
                let path = format!("{index}/_doc/{id}");
                let query = [
                    ("if_seq_no", &*seq_no.to_string()),
                    ("if_primary_term", &*primary_term.to_string()),
                ];
                self.request(Method::Put, &path, &query, Some(document))
                    .await?
            }
        };
        match reply.status {
            200 | 201 => version(&reply.body)
                .map(|(seq_no, primary_term)| CasOutcome::Written {
                    seq_no,
                    primary_term,
                })
                .ok_or_else(|| self.foreign(&reply)),
            409 => Ok(CasOutcome::Conflict),
            _ => Err(self.refused(&reply)),
        }
    }

    fn foreign(&self, reply: &Reply) -> SendError {
        SendError::Unreadable {
            host: self.hosts().join(", "),
            reason: format!("status {} without a document's version", reply.status),
        }
    }

    pub(super) fn refused(&self, reply: &Reply) -> SendError {
        SendError::Refused {
            host: self.hosts().join(", "),
            status: reply.status,
            reason: reply.reason(),
        }
    }
}

fn version(body: &Value) -> Option<(u64, u64)> {
    Some((
        body.get("_seq_no")?.as_u64()?,
        body.get("_primary_term")?.as_u64()?,
    ))
}
