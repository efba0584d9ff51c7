//! How fast, how much at once, and when not at all. Pure.

use std::time::Duration;

use tokio::time::Instant;

use super::concurrency::Concurrency;
use crate::agent::counters::Output;
use crate::elastic;

const SHORTEST_BACKOFF: Duration = Duration::from_millis(500);
const LONGEST_BACKOFF: Duration = Duration::from_secs(30);
/// For items that were refused beside others that were not: a full queue in the server empties in milliseconds.
const SHORTEST_ITEM_BACKOFF: Duration = Duration::from_millis(50);
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
    concurrency: Concurrency,
}

impl Pace {
    /// `concurrency`: requests under way at most.
    pub(super) fn new(limits: elastic::Limits, concurrency: usize) -> Self {
        Self {
            output: Output::Ok,
            said: None,
            failures: 0,
            until: None,
            max_bytes: limits.bytes,
            now_bytes: limits.bytes,
            max_items: limits.items,
            concurrency: Concurrency::new(concurrency),
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
            None => under_way < self.concurrency.limit(),
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
            if output != Output::Unauthorized {
                self.concurrency.refused(1.0);
                // What gives no answer in time to much may give one to less.
                self.congested();
            }
        }
        let wait = match output {
            Output::Unauthorized => (UNAUTHORIZED_STEP * self.failures).min(UNAUTHORIZED_LONGEST),
            _ => backoff(self.failures, luck),
        };
        // Some proxies ask for no time at all, again and again.
        self.until = Some(now + wait.max(retry_after.unwrap_or_default()));
        self.output = output;
        if output == Output::Busy && self.failures < UNSAID_BUSY {
            return false;
        }
        // A server that restarts is now busy, now gone: one message for both.
        let told = match self.said {
            None | Some(Output::Ok) => false,
            Some(said) => (said == Output::Unauthorized) == (output == Output::Unauthorized),
        };
        self.said = Some(output);
        !told
    }

    /// There is news that makes another attempt worth while at once.
    pub(super) fn try_now(&mut self, now: Instant) {
        self.until = self.until.map(|until| until.min(now));
    }

    /// Whether so many requests are all that may be under way.
    pub(super) fn is_full(&self, under_way: usize) -> bool {
        self.until.is_none() && under_way >= self.concurrency.limit()
    }

    /// How long an answer took, to a request that was sent when [`Pace::is_full`] and others waited.
    pub(super) fn measured(&mut self, took: Duration) {
        self.concurrency.answered(took);
    }

    /// It took this share of what was offered, 0 to 1, not now.
    pub(super) fn refused(&mut self, share: f64) {
        self.concurrency.refused(share);
        if share > 0.5 {
            self.congested();
        }
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
    fn congested(&mut self) {
        self.now_bytes = (self.now_bytes / 2).max(SMALLEST_BODY).min(self.max_bytes);
    }

    /// It never takes bodies of this size: learnt for good.
    pub(super) fn too_large(&mut self, bytes: usize) {
        self.max_bytes = self.max_bytes.min((bytes / 2).max(SMALLEST_BODY));
        self.now_bytes = self.now_bytes.min(self.max_bytes);
    }
}

/// Full jitter: anything up to a bound that doubles with every failure, so that many agents don't come back at once.
fn backoff(failures: u32, luck: f64) -> Duration {
    jittered(SHORTEST_BACKOFF, failures, luck)
}

/// The same for items that were refused for now, by how often they were.
pub(super) fn item_backoff(attempts: u32, luck: f64) -> Duration {
    jittered(SHORTEST_ITEM_BACKOFF, attempts, luck)
}

fn jittered(shortest: Duration, failures: u32, luck: f64) -> Duration {
    let doubled = shortest.saturating_mul(1 << failures.clamp(1, 16).saturating_sub(1));
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
        let limits = elastic::Limits {
            bytes: 1 << 20,
            items: 100,
        };
        Pace::new(limits, 4)
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
        assert!(
            pace.may_send(now, 0) && !pace.may_send(now, 1),
            "slowly at first"
        );
        pace.measured(Duration::from_millis(1));
        assert!(pace.may_send(now, 1) && pace.is_full(2));
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
        let later = until + Duration::from_secs(7);
        pace.failed(Output::Busy, Some(Duration::ZERO), later, 0.5);
        assert_eq!(pace.wake_at(), Some(later + Duration::from_secs(1)));
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
    async fn new_credentials_are_tried_at_once_and_by_one_request() {
        let (mut pace, now) = (pace(), Instant::now());
        pace.failed(Output::Unauthorized, None, now, 0.5);
        assert!(!pace.may_send(now, 0));
        pace.try_now(now);
        assert!(pace.may_send(now, 0) && !pace.may_send(now, 1));
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
    async fn what_gets_no_answer_in_time_is_tried_smaller() {
        let (mut pace, mut now) = (pace(), Instant::now());
        let mut kib = Vec::new();
        for _ in 0..5 {
            pace.failed(Output::Lost, None, now, 0.5);
            pace.failed(Output::Lost, None, now, 0.5);
            kib.push(pace.limits().bytes >> 10);
            now += LONGEST_BACKOFF;
        }
        assert_eq!(kib, [512, 256, 128, 64, 64], "each cause counts once");
        pace.failed(Output::Unauthorized, None, now, 0.5);
        pace.succeeded();
        assert_eq!(pace.limits().bytes >> 10, 128);
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
