//! Tells a dead stream from missed slots: after three slots of silence it asks REST where the node's head is.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use tokio::time::Instant;

use super::api::{Api, ApiError};
use super::backfill;
use crate::slot::{BlockRef, Root};

/// An event may be on its way while REST already shows its block.
const GRACE: Duration = Duration::from_secs(2);

type Question = Pin<Box<dyn Future<Output = Result<BlockRef, ApiError>> + Send>>;

pub(super) struct Watchdog {
    silence: Duration,
    asks_at: Instant,
    /// Kept while the stream is read on: a slow answer must not delay the time stamp of an event.
    question: Option<Question>,
    /// The head as the stream tells it, or as it was when the stream began.
    head: Option<Root>,
    /// A head the stream did not tell of, when it was asked for last.
    suspect: Option<Root>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Healthy,
    /// The node moved and the stream did not tell, twice in a row.
    Stale,
}

impl Watchdog {
    /// `head`: the node's head before the stream began, where it is known.
    pub(super) fn new(silence: Duration, head: Option<Root>) -> Self {
        Self {
            silence,
            asks_at: Instant::now() + silence,
            question: None,
            head,
            suspect: None,
        }
    }

    /// The stream told of a block, and of a new head where it is one.
    pub(super) fn alive(&mut self, head: Option<Root>) {
        self.asks_at = Instant::now() + self.silence;
        self.question = None;
        self.suspect = None;
        self.head = head.or(self.head);
    }

    /// Waits for a silence, then asks. May be dropped and called again.
    pub(super) async fn asked(&mut self, api: &Api) -> Result<BlockRef, ApiError> {
        tokio::time::sleep_until(self.asks_at).await;
        let question = self.question.get_or_insert_with(|| {
            let api = api.clone();
            Box::pin(async move { backfill::head(&api).await })
        });
        let answer = question.await;
        self.question = None;
        answer
    }

    /// What the node's head means after a silence. Missed slots leave it where it was.
    pub(super) fn judge(&mut self, head: Root) -> Verdict {
        let told = *self.head.get_or_insert(head);
        if told == head {
            self.alive(None);
            return Verdict::Healthy;
        }
        if self.suspect.replace(head) == Some(head) {
            return Verdict::Stale;
        }
        self.asks_at = Instant::now() + GRACE;
        Verdict::Healthy
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Root = Root([1; 32]);
    const B: Root = Root([2; 32]);
    const C: Root = Root([3; 32]);

    #[tokio::test(start_paused = true)]
    async fn only_a_head_that_moved_and_stays_untold_is_stale() {
        let mut watchdog = Watchdog::new(Duration::from_secs(15), Some(A));
        assert_eq!(watchdog.judge(A), Verdict::Healthy, "missed slots");
        assert_eq!(
            watchdog.judge(B),
            Verdict::Healthy,
            "its event may be on the way"
        );
        watchdog.alive(Some(B));
        assert_eq!(watchdog.judge(C), Verdict::Healthy);
        assert_eq!(watchdog.judge(C), Verdict::Stale);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_began_without_a_known_head_takes_the_first() {
        let mut watchdog = Watchdog::new(Duration::from_secs(15), None);
        assert_eq!(watchdog.judge(A), Verdict::Healthy);
        watchdog.judge(B);
        assert_eq!(watchdog.judge(B), Verdict::Stale);
    }
}
