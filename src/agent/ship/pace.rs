//! How fast, how much at once, and when not at all. Pure.

use std::time::Duration;

use tokio::time::Instant;

use crate::agent::counters::Output;
use crate::elastic;

/// Requests under way at once.
const CONCURRENCY: usize = 2;
const SHORTEST_BACKOFF: Duration = Duration::from_millis(500);
const LONGEST_BACKOFF: Duration = Duration::from_secs(30);
/// Between attempts with credentials that were refused, growing by itself up to the longest.
const UNAUTHORIZED_STEP: Duration = Duration::from_secs(10);
const UNAUTHORIZED_LONGEST: Duration = Duration::from_secs(60);
/// Between attempts for items that wait for a person: a template, a right, a lifted block.
const OPERATOR: Duration = Duration::from_secs(30);
/// A body is never asked to be smaller than this.
const SMALLEST_BODY: usize = 64 << 10;
/// Elasticsearch may say "not now" this often in a row before anybody is told.
const UNSAID_BUSY: u32 = 3;

#[derive(Debug)]
pub(super) struct Pace {
    output: Output,
    /// Whether the trouble was told.
    said: Option<Output>,
    failures: u32,
    until: Option<Instant>,
    /// Of a request, before compression.
    max_bytes: usize,
    now_bytes: usize,
    max_items: usize,
}

impl Pace {
    pub(super) fn new(limits: elastic::Limits) -> Self {
        Self {
            output: Output::Ok,
            said: None,
            failures: 0,
            until: None,
            max_bytes: limits.bytes,
            now_bytes: limits.bytes,
            max_items: limits.items,
        }
    }

    pub(super) fn output(&self) -> Output {
        self.output
    }

    pub(super) fn limits(&self) -> elastic::Limits {
        elastic::Limits {
            bytes: self.now_bytes,
            items: self.max_items,
        }
    }

    /// In trouble one request at a time finds out whether it is over.
    pub(super) fn may_send(&self, now: Instant, under_way: usize) -> bool {
        match self.until {
            None => under_way < CONCURRENCY,
            Some(until) => under_way == 0 && now >= until,
        }
    }

    pub(super) fn wake_at(&self) -> Option<Instant> {
        self.until
    }

    /// The whole request failed. `luck` is random in 0..1. `true`: this is news.
    pub(super) fn failed(
        &mut self,
        output: Output,
        retry_after: Option<Duration>,
        now: Instant,
        luck: f64,
    ) -> bool {
        // Several requests under way fail of one cause.
        if self.until.is_none_or(|until| until <= now) || self.output != output {
            self.failures += 1;
        }
        let wait = match (output, retry_after) {
            (_, Some(wait)) => wait.min(LONGEST_BACKOFF * 10),
            (Output::Unauthorized, None) => {
                (UNAUTHORIZED_STEP * self.failures).min(UNAUTHORIZED_LONGEST)
            }
            _ => backoff(self.failures, luck),
        };
        self.until = Some(now + wait);
        self.output = output;
        if output == Output::Busy {
            self.congested();
            if self.failures < UNSAID_BUSY {
                return false;
            }
        }
        // A server that restarts is now busy, now gone: one message for both.
        let told = match self.said {
            None | Some(Output::Ok) => false,
            Some(said) => (said == Output::Unauthorized) == (output == Output::Unauthorized),
        };
        self.said = Some(output);
        !told
    }

    /// The server answered. `true`: a trouble that was told is over.
    pub(super) fn succeeded(&mut self) -> bool {
        self.output = Output::Ok;
        self.failures = 0;
        self.until = None;
        self.now_bytes = self.max_bytes.min(self.now_bytes + self.max_bytes / 16);
        self.said.take().is_some()
    }

    /// It took less than was offered: offer less, and more again with every success.
    pub(super) fn congested(&mut self) {
        self.now_bytes = (self.now_bytes / 2).max(SMALLEST_BODY).min(self.max_bytes);
    }

    /// It never takes bodies of this size: learnt for good.
    pub(super) fn too_large(&mut self, bytes: usize) {
        self.max_bytes = self.max_bytes.min((bytes / 2).max(SMALLEST_BODY));
        self.now_bytes = self.now_bytes.min(self.max_bytes);
    }
}

/// Full jitter: anything up to a bound that doubles with every failure, so that many agents don't come back at once.
pub(super) fn backoff(failures: u32, luck: f64) -> Duration {
    let doubled = SHORTEST_BACKOFF.saturating_mul(1 << failures.clamp(1, 16).saturating_sub(1));
    doubled.min(LONGEST_BACKOFF).mul_f64(luck)
}

/// For items that wait for a person rather than for less pressure.
pub(super) fn operator_wait(luck: f64) -> Duration {
    OPERATOR.mul_f64(0.5 + luck)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace() -> Pace {
        Pace::new(elastic::Limits {
            bytes: 1 << 20,
            items: 100,
        })
    }

    #[tokio::test]
    async fn trouble_is_told_once_and_its_end_once() {
        let (mut pace, now) = (pace(), Instant::now());
        assert!(pace.failed(Output::Lost, None, now, 0.5));
        assert!(!pace.failed(Output::Lost, None, now, 0.5));
        assert!(
            !pace.failed(Output::Busy, None, now, 0.5),
            "a server that restarts is no further news"
        );
        assert!(
            pace.failed(Output::Unauthorized, None, now, 0.5),
            "other trouble is"
        );
        assert!(!pace.failed(Output::Unauthorized, None, now, 0.5));
        assert!(pace.succeeded());
        assert!(!pace.succeeded());
        assert_eq!(pace.output(), Output::Ok);
    }

    #[tokio::test]
    async fn a_moment_of_pressure_is_not_told() {
        let (mut pace, mut now) = (pace(), Instant::now());
        for _ in 0..2 {
            assert!(!pace.failed(Output::Busy, None, now, 0.5));
            now += LONGEST_BACKOFF;
        }
        assert!(pace.failed(Output::Busy, None, now, 0.5));
        assert!(pace.succeeded());
    }

    #[tokio::test]
    async fn one_request_probes_after_the_wait() {
        let (mut pace, now) = (pace(), Instant::now());
        assert!(pace.may_send(now, 1) && !pace.may_send(now, CONCURRENCY));
        pace.failed(Output::Lost, None, now, 0.5);
        let until = now + Duration::from_millis(250);
        assert_eq!(pace.wake_at(), Some(until));
        assert!(!pace.may_send(now, 0) && pace.may_send(until, 0) && !pace.may_send(until, 1));
        pace.failed(Output::Busy, Some(Duration::from_secs(7)), until, 0.5);
        assert_eq!(
            pace.wake_at(),
            Some(until + Duration::from_secs(7)),
            "Retry-After is kept"
        );
    }

    #[test]
    fn waits_double_up_to_their_bound() {
        let seconds: Vec<_> = (1..9)
            .map(|failures| backoff(failures, 1.0).as_secs_f64())
            .collect();
        assert_eq!(seconds, [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]);
        assert_eq!(backoff(u32::MAX, 0.0), Duration::ZERO);
    }

    #[tokio::test]
    async fn refused_credentials_are_tried_slowly() {
        let (mut pace, mut now) = (pace(), Instant::now());
        let mut waits = Vec::new();
        for _ in 0..8 {
            pace.failed(Output::Unauthorized, None, now, 0.5);
            let until = pace.wake_at().unwrap();
            waits.push((until - now).as_secs());
            now = until;
        }
        assert_eq!(waits, [10, 20, 30, 40, 50, 60, 60, 60]);
    }

    #[tokio::test]
    async fn bodies_shrink_under_pressure_and_grow_back_to_what_was_learnt() {
        let mut pace = pace();
        pace.congested();
        assert_eq!(pace.limits().bytes, 1 << 19);
        pace.too_large(1 << 19);
        assert_eq!(pace.limits().bytes, 1 << 18);
        for _ in 0..100 {
            pace.succeeded();
        }
        assert_eq!(pace.limits().bytes, 1 << 18);
        pace.too_large(10);
        assert_eq!(pace.limits().bytes, SMALLEST_BODY);
    }
}
