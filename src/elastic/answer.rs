//! What the status of an answer means, before anybody reads its body.

use std::time::Duration;

use bytes::Bytes;
use chrono::DateTime;
use elasticsearch::http::headers::{DATE, HeaderMap, RETRY_AFTER};
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
        Self {
            host: host.to_owned(),
            status,
            body,
            retry_after: retry_after(headers).map(|wait| wait.min(LONGEST_RETRY_AFTER)),
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
                is_its_own: self.error_kind().as_deref() == Some("security_exception"),
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

/// In seconds, or as a date, which is taken against the date of the answer itself: no two clocks agree.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let wait = text(RETRY_AFTER)?.trim();
    if let Ok(seconds) = wait.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = |text| DateTime::parse_from_rfc2822(text).ok();
    (date(wait)? - date(text(DATE)?)?).to_std().ok()
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

#[cfg(test)]
mod tests {
    use elasticsearch::http::headers::HeaderValue;

    use super::*;

    #[test]
    fn only_elasticsearch_itself_can_say_what_we_may_not_do() {
        let is_certain = |status, body: &'static str| {
            let body = Bytes::from_static(body.as_bytes());
            let answer = Answer::new("host", status, &HeaderMap::new(), body);
            match answer.sound() {
                Err(error @ SendError::Unauthorized { .. }) => error.is_lack_of_rights(),
                other => panic!("{:?}", other.err()),
            }
        };
        let own = r#"{"error":{"type":"security_exception","reason":"not allowed"},"status":403}"#;
        assert!(is_certain(403, own));
        assert!(!is_certain(401, own), "we are not known yet");
        for foreign in [
            r#"{"error":{"type":"rate_limited"}}"#,
            r#"{"error":"denied"}"#,
            "<html>403 Forbidden</html>",
            "",
        ] {
            assert!(!is_certain(403, foreign), "{foreign}");
        }
    }

    #[test]
    fn when_to_come_again_is_read_as_seconds_and_as_a_date() {
        let wait = |text: &'static str| {
            let mut headers = HeaderMap::new();
            let now = HeaderValue::from_static("Sat, 21 Nov 2026 17:25:51 GMT");
            headers.insert(DATE, now);
            headers.insert(RETRY_AFTER, HeaderValue::from_static(text));
            retry_after(&headers).map(|wait| wait.as_secs())
        };
        assert_eq!(wait(" 7 "), Some(7));
        assert_eq!(wait("Sat, 21 Nov 2026 17:27:51 GMT"), Some(120));
        assert_eq!(wait("Sat, 21 Nov 2026 17:20:00 GMT"), None, "it is past");
        assert_eq!(wait("soon"), None);
        assert_eq!(retry_after(&HeaderMap::new()), None);
    }
}
