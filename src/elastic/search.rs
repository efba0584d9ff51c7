//! Searches that are whole or fail: a missing shard is never a smaller result.

use elasticsearch::http::Method;
use serde_json::Value;

use super::{Client, SendError};

impl Client {
    /// Runs a search in `target` (names or patterns, joined by commas; names that don't exist are no error). An empty target is for
    /// a body with a point in time, which names its own.
    pub async fn search(&self, target: &str, body: &Value) -> Result<Value, SendError> {
        let (path, query): (_, &[_]) = if target.is_empty() {
            (
                "_search".to_owned(),
                &[("allow_partial_search_results", "false")],
            )
        } else {
            (
                format!("{}/_search", path_segment(target)),
                &[
                    ("allow_partial_search_results", "false"),
                    ("ignore_unavailable", "true"),
                ],
            )
        };
        let reply = self.request(Method::Post, &path, query, Some(body)).await?;
        let host = || self.hosts().join(", ");
        if !reply.is_success() {
            return Err(SendError::Refused {
                host: host(),
                status: reply.status,
                reason: reply.reason(),
            });
        }
        whole(&reply.body).map_err(|reason| SendError::Unreadable {
            host: host(),
            reason,
        })?;
        Ok(reply.body)
    }
}

/// `Err` unless every shard answered in time.
fn whole(answer: &Value) -> Result<(), String> {
    let failed = answer.pointer("/_shards/failed").and_then(Value::as_u64);
    let timed_out = answer.get("timed_out").and_then(Value::as_bool);
    match (failed, timed_out) {
        (Some(0), Some(false)) => Ok(()),
        (Some(0), Some(true)) => Err("the search ran out of time and is not whole".into()),
        (Some(failed), Some(_)) => Err(format!("{failed} shards failed, the search is not whole")),
        _ => Err("not the answer to a search".into()),
    }
}

/// A name as one segment of a path. Commas and stars keep their meaning.
pub(super) fn path_segment(name: &str) -> String {
    let mut segment = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~,*".contains(&byte) {
            segment.push(char::from(byte));
        } else {
            segment.push_str(&format!("%{byte:02X}"));
        }
    }
    segment
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn partial_results_and_foreign_answers_are_errors() {
        let answer = |failed: u64, timed_out: bool| json!({"timed_out": timed_out, "_shards": {"total": 2, "failed": failed}});
        assert_eq!(whole(&answer(0, false)), Ok(()));
        assert!(
            whole(&answer(1, false))
                .unwrap_err()
                .contains("1 shards failed")
        );
        assert!(whole(&answer(0, true)).unwrap_err().contains("out of time"));
        assert!(whole(&json!({"hits": []})).is_err());
        assert!(whole(&Value::Null).is_err());
    }

    #[test]
    fn names_stay_one_segment() {
        assert_eq!(path_segment("logs-*,ethmon-x"), "logs-*,ethmon-x");
        assert_eq!(path_segment("a/b?c d#é%"), "a%2Fb%3Fc%20d%23%C3%A9%25");
    }
}
