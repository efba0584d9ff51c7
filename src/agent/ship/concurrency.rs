//! How many requests may be under way at once. Pure.
//!
//! As TCP Vegas does it: the shortest time a request took tells what it takes when nothing waits in front of it; what is
//! above that is a queue in the server, and feeding a queue makes nothing faster. So the number grows by one a round while
//! there is hardly a queue, shrinks by one a round when there is, and is cut in proportion to what was refused.

use std::time::Duration;

/// Requests that may wait inside the server: with fewer it may be idle, more of them are only delay.
const QUEUE: std::ops::RangeInclusive<f64> = 1.0..=2.0;
/// After so many answers the shortest time is measured anew, since documents and servers change, with half as many requests
/// under way: behind a queue of our own making every time is long.
const MEASURE_AGAIN: u32 = 500;

#[derive(Debug)]
pub(super) struct Concurrency {
    most: f64,
    now: f64,
    /// Seconds a request takes without a queue before it.
    shortest: Option<f64>,
    answers: u32,
}

impl Concurrency {
    pub(super) fn new(most: usize) -> Self {
        Self {
            most: most.max(1) as f64,
            now: 1.0,
            shortest: None,
            answers: 0,
        }
    }

    pub(super) fn limit(&self) -> usize {
        self.now as usize
    }

    /// An answer, when as many as allowed were under way. Otherwise it tells nothing: nobody waited for a place.
    pub(super) fn answered(&mut self, took: Duration) {
        self.answers += 1;
        if self.answers.is_multiple_of(MEASURE_AGAIN) {
            self.shortest = None;
            self.now = (self.now / 2.0).max(1.0);
            return;
        }
        let took = took.as_secs_f64().max(1e-6);
        let shortest = self.shortest.map_or(took, |shortest| shortest.min(took));
        self.shortest = Some(shortest);
        let waiting = self.now * (1.0 - shortest / took);
        if waiting < *QUEUE.start() {
            self.now += 1.0 / self.now;
        } else if waiting > *QUEUE.end() {
            self.now -= 1.0 / self.now;
        }
        self.now = self.now.clamp(1.0, self.most);
    }

    /// It refused for now this share, 0 to 1, of what was offered.
    pub(super) fn refused(&mut self, share: f64) {
        self.now = (self.now * (1.0 - share.clamp(0.0, 1.0) / 2.0)).max(1.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that works on so many requests at once, each taking a second.
    fn settle(parallel: f64, most: usize) -> Vec<usize> {
        let mut concurrency = Concurrency::new(most);
        let mut seen = Vec::new();
        for _ in 0..2_400 {
            let queued = (concurrency.now / parallel).max(1.0);
            concurrency.answered(Duration::from_secs_f64(queued));
            seen.push(concurrency.limit());
        }
        seen
    }

    #[test]
    fn it_grows_to_the_limit_while_answers_take_no_longer() {
        let seen = settle(100.0, 8);
        assert_eq!(seen.last(), Some(&8));
        assert!(seen.windows(2).all(|pair| pair[1] <= pair[0] + 1));
    }

    #[test]
    fn it_stops_where_requests_only_wait_in_the_server() {
        let last = &settle(3.0, 64)[2_300..2_400];
        assert!(last.iter().all(|limit| (4..=5).contains(limit)), "{last:?}");
    }

    #[test]
    fn what_was_refused_cuts_it_in_proportion() {
        let mut concurrency = Concurrency::new(8);
        concurrency.now = 8.0;
        concurrency.refused(1.0);
        assert_eq!(concurrency.limit(), 4);
        concurrency.refused(0.1);
        assert_eq!(concurrency.limit(), 3);
        (0..9).for_each(|_| concurrency.refused(1.0));
        assert_eq!(concurrency.limit(), 1, "never none");
    }

    #[test]
    fn a_tenth_refused_each_time_leaves_it_wide() {
        let mut concurrency = Concurrency::new(8);
        for _ in 0..200 {
            concurrency.refused(0.1);
            concurrency.answered(Duration::from_millis(50));
        }
        assert!(concurrency.limit() >= 4, "{concurrency:?}");
    }
}
