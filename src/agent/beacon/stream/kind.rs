//! The two connections: what each asks for, and what it hands on.

use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::{Response, StatusCode, header};

use crate::agent::beacon::event::BeaconEvent;
use crate::agent::beacon::heavy::Heavy;
use crate::agent::beacon::topics::{self, Topic};
use crate::config::Beacon;

/// Lodestar sends the head of its answer with the first event, and healthy streams were silent for 28 s.
const MIN_SILENCE: Duration = Duration::from_secs(15);
const SILENT_SLOTS: u32 = 3;
/// The second connection has no head to compare with: after so many slots without a byte it is made anew.
const HEAVY_SILENT_SLOTS: u32 = 16;
const MAX_BACKOFF: Duration = Duration::from_secs(30);

/// Which of the two connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::agent::beacon) enum Kind {
    /// Heads, blocks and rare events: watched for silence.
    Main,
    /// The heavy topics. That it breaks costs only sums.
    Heavy,
}

impl Kind {
    pub(super) fn wanted(self, config: &Beacon) -> Vec<Topic> {
        match self {
            Self::Main => topics::light(&config.extra_topics),
            Self::Heavy => topics::heavy(config.attestations, config.summaries),
        }
    }

    /// Where refusals are remembered.
    pub(super) fn note(self) -> &'static str {
        match self {
            Self::Main => "beacon.refused_topics",
            Self::Heavy => "beacon.refused_summaries",
        }
    }

    /// How long it may tell nothing.
    pub(super) fn silence(self, slot: Duration) -> Duration {
        let slots = match self {
            Self::Main => SILENT_SLOTS,
            Self::Heavy => HEAVY_SILENT_SLOTS,
        };
        (slot * slots).max(MIN_SILENCE)
    }
}

/// What a stream hands on.
#[derive(Debug)]
pub(in crate::agent::beacon) enum Received {
    Event(Box<BeaconEvent>),
    Heavy {
        told: Heavy,
        at: DateTime<Utc>,
        /// It may have waited while the agent stood still.
        is_doubtful: bool,
    },
    /// From now on all is read; of the heavy connection, whether votes are among it.
    Began {
        at: DateTime<Utc>,
        has_votes: bool,
    },
    /// Events may have been missed before this point.
    Gap,
}

/// Why a connection ended.
pub(super) enum End {
    Stopped,
    Lost(String),
    /// The node moved and the stream did not tell.
    Stale,
    /// The node refused the topics asked for.
    Refused(String),
    /// Not refused: ask the next question.
    Taken,
}

/// A refusal of the topics, unlike one of the caller or of a busy node.
pub(in crate::agent::beacon) fn is_about_topics(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY
    )
}

/// The form of an answer that is no event stream: a proxy's page, most often.
pub(super) fn other_form(response: &Response) -> Option<String> {
    let form = response.headers().get(header::CONTENT_TYPE)?;
    let form = String::from_utf8_lossy(form.as_bytes());
    (!form.trim_start().starts_with("text/event-stream")).then(|| form.into_owned())
}

/// Full jitter: between nothing and 1 s, 2 s, 4 s, … up to 30 s.
pub(super) fn backoff(attempt: u32) -> Duration {
    let ceiling = Duration::from_secs(1 << attempt.saturating_sub(1).min(5)).min(MAX_BACKOFF);
    ceiling.mul_f64(rand::random::<f64>())
}

/// After a refusal of everything.
pub(super) fn longest_backoff() -> Duration {
    MAX_BACKOFF
}
