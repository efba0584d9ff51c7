//! Whole answers that are none: refusals as Elasticsearch and what stands before it word them, and nonsense.

use serde_json::{Value, json};

use super::cluster::Error;
use super::http::Response;

/// The whole request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    Busy,
    BusyWithRetryAfter,
    Breaker,
    NoMaster,
    Unavailable,
    BadGateway,
    Unauthorized,
    Forbidden,
    ClusterBlock,
}

/// Answered 200, and no bulk answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Nonsense {
    Html,
    Empty,
    EmptyObject,
    HalfJson,
    FewerItems,
    WrongFlag,
    OtherAnswer,
}

impl Refusal {
    /// Those after which the agent comes back soon.
    pub(super) const PASSING: [Self; 7] = [
        Self::Busy,
        Self::BusyWithRetryAfter,
        Self::Breaker,
        Self::NoMaster,
        Self::Unavailable,
        Self::BadGateway,
        Self::ClusterBlock,
    ];

    pub(crate) fn response(self) -> Response {
        let error = |status, kind, reason: &str| {
            Response::json(status, &Error::new(status, kind, reason).to_body())
        };
        let busy = || {
            error(
                429,
                "es_rejected_execution_exception",
                "rejected execution of coordinating operation",
            )
        };
        match self {
            Self::Busy => busy(),
            Self::BusyWithRetryAfter => busy().with("Retry-After", "1"),
            Self::Breaker => {
                let mut body = Error::new(
                    429,
                    "circuit_breaking_exception",
                    "[parent] Data too large, data for [<http_request>]",
                )
                .to_body();
                body["error"]["durability"] = "TRANSIENT".into();
                Response::json(429, &body)
            }
            Self::NoMaster => error(
                503,
                "cluster_block_exception",
                "blocked by: [SERVICE_UNAVAILABLE/2/no master];",
            ),
            Self::Unavailable => Response::foreign(503, "text/plain", ""),
            Self::BadGateway => Response::foreign(
                502,
                "text/html",
                "<html><body><h1>502 Bad Gateway</h1></body></html>",
            ),
            Self::Unauthorized => error(
                401,
                "security_exception",
                "missing authentication credentials for REST request [/_bulk]",
            )
            .with(
                "WWW-Authenticate",
                "Basic realm=\"security\", charset=\"UTF-8\"",
            )
            .with("WWW-Authenticate", "Bearer realm=\"security\"")
            .with("WWW-Authenticate", "ApiKey"),
            Self::Forbidden => error(
                403,
                "security_exception",
                "action [indices:data/write/bulk] is unauthorized for API key id [chaos]",
            ),
            Self::ClusterBlock => error(
                403,
                "cluster_block_exception",
                "blocked by: [FORBIDDEN/6/cluster read-only (api)];",
            ),
        }
    }
}

impl Nonsense {
    pub(super) const ALL: [Self; 7] = [
        Self::Html,
        Self::Empty,
        Self::EmptyObject,
        Self::HalfJson,
        Self::FewerItems,
        Self::WrongFlag,
        Self::OtherAnswer,
    ];

    /// `answer` is what it ought to be.
    pub(crate) fn response(self, mut answer: Value) -> Response {
        let whole = answer.to_string();
        match self {
            Self::Html => Response::foreign(
                200,
                "text/html",
                "<html><body>Please sign in to the network</body></html>",
            ),
            Self::Empty => Response::foreign(200, "application/json", ""),
            Self::EmptyObject => Response::json(200, &json!({})),
            // Nothing but ASCII is in it.
            Self::HalfJson => Response::foreign(200, "application/json", &whole[..whole.len() / 2]),
            Self::FewerItems => {
                if let Some(items) = answer["items"].as_array_mut() {
                    items.pop();
                }
                Response::json(200, &answer)
            }
            Self::WrongFlag => {
                answer["errors"] = json!(answer["errors"] != true);
                Response::json(200, &answer)
            }
            Self::OtherAnswer => Response::json(
                200,
                &json!({"took": 1, "timed_out": false, "hits": {"hits": []}}),
            ),
        }
    }
}
