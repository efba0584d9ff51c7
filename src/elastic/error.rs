//! Why a request as a whole failed.

use std::time::Duration;

/// The caller decides by the kind; the text names the host and never a credential.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// No connection, or one that ended or timed out before the answer. `sent`: the request may have been carried out.
    #[error("cannot reach {host}: {reason}")]
    Unreachable {
        host: String,
        reason: String,
        sent: bool,
    },
    /// 408, 429, 5xx or a block on the whole cluster: the same request may pass later.
    #[error("{host} cannot serve the request now ({status}): {reason}")]
    Busy {
        host: String,
        status: u16,
        retry_after: Option<Duration>,
        reason: String,
    },
    /// 401 or 403: nothing gets better until a person acts, and nothing may be dropped meanwhile. `is_its_own`: it is
    /// Elasticsearch that says so, as far as the body tells, and nothing that stands before it.
    #[error("{host} refuses our credentials or privileges ({status}): {reason}")]
    Unauthorized {
        host: String,
        status: u16,
        reason: String,
        is_its_own: bool,
    },
    /// 413, which counts bytes before compression.
    #[error("{host} refuses a body of this size")]
    TooLarge { host: String },
    /// Another 4xx from Elasticsearch itself: the request is wrong and stays wrong.
    #[error("{host} refuses the request ({status}): {reason}")]
    Refused {
        host: String,
        status: u16,
        reason: String,
    },
    /// An Elasticsearch that we don't talk to.
    #[error(
        "{host} runs Elasticsearch {version}; needed is {}",
        super::Version::wanted()
    )]
    Unsupported { host: String, version: String },
    /// Something answered, and it was not what Elasticsearch answers. Never success.
    #[error("cannot read the answer of {host}: {reason}")]
    Unreadable { host: String, reason: String },
}

impl SendError {
    /// The request may have been carried out all the same, whatever came back. A proxy's 5xx says nothing about what the
    /// server behind it did.
    pub fn leaves_doubt(&self) -> bool {
        match self {
            Self::Unreachable { sent, .. } => *sent,
            Self::Unreadable { .. } => true,
            Self::Busy { status, .. } => matches!(status, 408 | 500..),
            _ => false,
        }
    }

    /// Elasticsearch knows who we are, and we may not do this.
    pub fn is_lack_of_rights(&self) -> bool {
        matches!(
            self,
            Self::Unauthorized {
                status: 403,
                is_its_own: true,
                ..
            }
        )
    }

    /// The same request may succeed later without anybody changing it or the cluster's set-up.
    pub fn is_temporary(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. } | Self::Busy { .. } | Self::Unreadable { .. }
        )
    }
}
