//! `[execution]`: the local execution client.

use std::time::Duration;

use serde::Deserialize;
use url::Url;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Execution {
    /// JSON-RPC over HTTP; the Engine API is not needed.
    pub url: Url,
    /// One document per period.
    #[serde(with = "super::duration")]
    pub period: Duration,
}

impl Default for Execution {
    fn default() -> Self {
        Self {
            url: LOCAL_NODE.parse().expect("a constant URL"),
            period: Duration::from_secs(12),
        }
    }
}

/// Where every client listens unless told otherwise.
const LOCAL_NODE: &str = "http://127.0.0.1:8545";
