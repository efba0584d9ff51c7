//! What the status of an answer means, before anybody reads its body.

use std::time::Duration;

use bytes::Bytes;
use elasticsearch::http::headers::{HeaderMap, RETRY_AFTER};
use serde_json::Value;

use super::SendError;

/// `Retry-After` beyond this is not believed.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(600);

/// Every successful answer of Elasticsearch since 7.14 carries it.
const PRODUCT: (&str, &str) = ("x-elastic-product", "Elasticsearch");

pub(super) struct Answer {
    pub(super) host: String,
    pub(super) status: u16,
    pub(super) body: Bytes,
    retry_after: Option<Duration>,
    /// It says that it comes from Elasticsearch.
    is_elasticsearch: bool,
}

impl Answer {
    pub(super) fn new(host: &str, status: u16, headers: &HeaderMap, body: Bytes) -> Self {
        let (name, product) = PRODUCT;
        let retry_after = headers
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok()?.trim().parse().ok())
            .map(|seconds| Duration::from_secs(seconds).min(LONGEST_RETRY_AFTER));
        Self {
            host: host.to_owned(),
            status,
            body,
            retry_after,
            is_elasticsearch: headers.get(name).is_some_and(|value| value == product),
        }
    }

    /// Sorts out what concerns the host or the caller's rights rather than the request. Leaves 2xx and the other 4xx.
    pub(super) fn sound(self) -> Result<Self, SendError> {
        let host = self.host.clone();
        let status = self.status;
        let busy = |answer: &Self| SendError::Busy {
            host: host.clone(),
            status,
            retry_after: answer.retry_after,
            reason: answer.reason(),
        };
        match status {
            // A block on the whole cluster is its operator's doing and says nothing about us.
            403 if self.error_kind().as_deref() == Some("cluster_block_exception") => {
                Err(busy(&self))
            }
            401 | 403 => Err(SendError::Unauthorized {
                host,
                status,
                reason: self.reason(),
            }),
            413 => Err(SendError::TooLarge { host }),
            408 | 429 | 500.. => Err(busy(&self)),
            200..=299 if !self.is_elasticsearch => Err(SendError::Unreadable {
                host,
                reason: format!(
                    "it is not Elasticsearch, which says so in the header {}: {}",
                    PRODUCT.0,
                    beginning(&self.body)
                ),
            }),
            200..=299 | 400..=499 => Ok(self),
            _ => Err(SendError::Unreadable {
                host,
                reason: format!("status {status}"),
            }),
        }
    }

    /// The request was refused, by Elasticsearch itself as far as the body tells.
    pub(super) fn refused(&self) -> SendError {
        let host = self.host.clone();
        if self.error_kind().is_some() {
            SendError::Refused {
                host,
                status: self.status,
                reason: self.reason(),
            }
        } else {
            SendError::Unreadable {
                host,
                reason: format!("status {}: {}", self.status, self.reason()),
            }
        }
    }

    pub(super) fn unreadable(&self, reason: impl Into<String>) -> SendError {
        SendError::Unreadable {
            host: self.host.clone(),
            reason: reason.into(),
        }
    }

    fn error_kind(&self) -> Option<String> {
        let body: Value = serde_json::from_slice(&self.body).ok()?;
        Some(body.pointer("/error/type")?.as_str()?.to_owned())
    }

    /// Elasticsearch's own words, else the beginning of whatever came.
    fn reason(&self) -> String {
        serde_json::from_slice::<Value>(&self.body)
            .ok()
            .and_then(|body| super::verdict::explain(body.get("error")?))
            .unwrap_or_else(|| beginning(&self.body))
    }
}

/// The first characters of a foreign body, on one line.
pub(super) fn beginning(body: &[u8]) -> String {
    const LONGEST: usize = 120;
    let text = String::from_utf8_lossy(&body[..body.len().min(4 * LONGEST)]);
    let words: Vec<_> = text.split_whitespace().collect();
    match words.join(" ") {
        text if text.is_empty() => "empty body".into(),
        text if text.chars().count() > LONGEST => text.chars().take(LONGEST).chain(['…']).collect(),
        text => text,
    }
}
