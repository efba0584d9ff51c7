//! Finds documents by id across a rollover: an id protects only within one backing index.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::search::path_segment;
use super::{Client, SendError};

/// A request's first line has a limit.
const NAMES_PER_REQUEST: usize = 40;

/// One of the indices that hold a data stream's documents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackingIndex {
    pub stream: String,
    pub name: String,
    /// Milliseconds since 1970, by the server's clock.
    pub created_ms: u64,
}

impl Client {
    /// The backing indices of some data streams, oldest first. `Err` of 403: we may not know (privilege
    /// `view_index_metadata`).
    pub async fn backing_indices(&self, streams: &[&str]) -> Result<Vec<BackingIndex>, SendError> {
        let mut all = Vec::new();
        for streams in streams.chunks(NAMES_PER_REQUEST) {
            let target = path_segment(&streams.join(","));
            let path = format!("{target}/_settings/index.creation_date");
            let query = [
                ("ignore_unavailable", "true"),
                ("expand_wildcards", "all"),
                ("filter_path", "*.settings.index.creation_date"),
            ];
            let reply = self.get(&path, &query).await?;
            if !reply.is_success() {
                return Err(self.refused(&reply));
            }
            all.extend(backing_indices(&reply.body));
        }
        for stream in streams {
            if !all.iter().any(|index| index.stream == *stream) {
                all.extend(self.indices_unless_missing(stream).await?);
            }
        }
        all.sort_by_key(|index| index.created_ms);
        Ok(all)
    }

    /// That there is no such data stream has to be said: what stands before Elasticsearch may answer with nothing, too.
    async fn indices_unless_missing(&self, stream: &str) -> Result<Vec<BackingIndex>, SendError> {
        let path = format!("{}/_settings", path_segment(stream));
        let query = [
            ("expand_wildcards", "all"),
            ("filter_path", "error.type,*.settings.index.creation_date"),
        ];
        let reply = self.get(&path, &query).await?;
        if reply.status == 404 && reply.body["error"]["type"] == "index_not_found_exception" {
            return Ok(Vec::new());
        }
        if !reply.is_success() {
            return Err(self.refused(&reply));
        }
        // It may have been made a moment ago.
        let indices: Vec<_> = backing_indices(&reply.body).collect();
        match indices.is_empty() {
            true => Err(SendError::Unreadable {
                host: self.hosts().join(", "),
                reason: format!("not the list of the indices of {stream}"),
            }),
            false => Ok(indices),
        }
    }

    /// Which of the ids an index holds, whether or not a search would find them yet. `Err` of 403: we may not know
    /// (privilege `read`).
    pub async fn held(&self, index: &str, ids: &[&str]) -> Result<HashSet<String>, SendError> {
        let path = format!("{}/_mget", path_segment(index));
        let query = [
            ("_source", "false"),
            ("filter_path", "docs._id,docs.found,docs.error.type"),
        ];
        let reply = self.post(&path, &query, Some(&json!({"ids": ids}))).await?;
        if !reply.is_success() {
            return Err(self.refused(&reply));
        }
        let host = self.hosts().join(", ");
        held(&reply.body, ids.len()).map_err(|kind| match kind {
            // The index is there and does not answer: closed, or without a shard.
            Some(kind) => SendError::Refused {
                host,
                status: reply.status,
                reason: format!("cannot look into {index}: {kind}"),
            },
            None => SendError::Unreadable {
                host,
                reason: format!("not the answer to a search for {} ids", ids.len()),
            },
        })
    }
}

fn backing_indices(body: &Value) -> impl Iterator<Item = BackingIndex> {
    let indices = body.as_object().into_iter().flatten();
    indices.filter_map(|(name, index)| {
        let created = index.pointer("/settings/index/creation_date")?;
        Some(BackingIndex {
            stream: stream_of(name)?.to_owned(),
            name: name.clone(),
            created_ms: created.as_str()?.parse().ok()?,
        })
    })
}

/// `logs-a-b` of `.ds-logs-a-b-2026.01.01-000001`, which lifecycle management may have given a further prefix.
fn stream_of(index: &str) -> Option<&str> {
    let (_, rest) = index.split_once(".ds-")?;
    rest.rsplitn(3, '-').nth(2)
}

/// `Err` unless every id has a verdict, with the type of the error where there is one. An index that was deleted
/// meanwhile holds nothing.
fn held(body: &Value, expected: usize) -> Result<HashSet<String>, Option<String>> {
    let documents = body["docs"].as_array().ok_or(None)?;
    let mut held = HashSet::new();
    for document in documents {
        match (
            document["found"].as_bool(),
            document["error"]["type"].as_str(),
        ) {
            (Some(true), _) => {
                let id = document["_id"].as_str().ok_or(None)?;
                held.insert(id.to_owned());
            }
            (Some(false), _) | (None, Some("index_not_found_exception")) => {}
            (None, kind) => return Err(kind.map(str::to_owned)),
        }
    }
    if documents.len() == expected {
        Ok(held)
    } else {
        Err(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_recognised_by_the_names_of_their_indices() {
        let body = json!({
            ".ds-logs-a.b-default-2026.01.01-000001": {"settings": {"index": {"creation_date": "17"}}},
            "shrink-x1-.ds-logs-a.b-default-2026.01.01-000002": {"settings": {"index": {"creation_date": "18"}}},
            "plain": {"settings": {"index": {"creation_date": "19"}}},
            ".ds-odd": {"settings": {"index": {"creation_date": "20"}}},
        });
        let found: Vec<_> = backing_indices(&body).collect();
        assert_eq!(found.len(), 2);
        assert!(found.iter().all(|index| index.stream == "logs-a.b-default"));
        assert_eq!(backing_indices(&json!({})).count(), 0);
        assert_eq!(backing_indices(&json!([1])).count(), 0);
    }

    #[test]
    fn an_answer_without_a_verdict_for_every_id_is_an_error() {
        let good = json!({"docs": [{"_id": "a", "found": true}, {"_id": "b", "found": false}]});
        assert_eq!(held(&good, 2), Ok(HashSet::from(["a".to_owned()])));
        assert_eq!(held(&good, 3), Err(None));
        let failed = json!({"docs": [{"_id": "a", "error": {"type": "x"}}]});
        assert_eq!(held(&failed, 1), Err(Some("x".to_owned())));
        let gone = json!({"docs": [{"_id": "a", "error": {"type": "index_not_found_exception"}}]});
        assert_eq!(held(&gone, 1), Ok(HashSet::new()));
        assert_eq!(held(&json!({"errors": false}), 0), Err(None));
    }
}
