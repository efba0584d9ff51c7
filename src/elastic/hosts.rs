//! Which host to ask next. Pure: the clock and the dice are arguments.

use std::time::Duration;

use tokio::time::Instant;

/// How long a host is passed over after its first failure; doubled with every further one.
const FIRST_REST: Duration = Duration::from_secs(2);
const LONGEST_REST: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(super) struct Hosts {
    states: Vec<State>,
    next: usize,
}

#[derive(Debug, Clone, Default)]
struct State {
    failures_in_a_row: u32,
    rests_until: Option<Instant>,
}

impl Hosts {
    /// `first` is asked first: agents that start together should not all start with the same host.
    pub(super) fn new(count: usize, first: usize) -> Self {
        Self {
            states: vec![State::default(); count],
            next: first % count.max(1),
        }
    }

    /// All hosts in the order to try them: those in health in turn, then those at rest, soonest first. A host at rest is
    /// still tried when there is no other: waiting is the caller's decision.
    pub(super) fn order(&mut self, now: Instant) -> Vec<usize> {
        let count = self.states.len();
        let mut order: Vec<usize> = (0..count).map(|step| (self.next + step) % count).collect();
        self.next = (self.next + 1) % count.max(1);
        order.sort_by_key(|&host| self.states[host].rests_until.filter(|until| *until > now));
        order
    }

    /// Whether it had failed before.
    pub(super) fn succeeded(&mut self, host: usize) -> bool {
        std::mem::take(&mut self.states[host]).failures_in_a_row > 0
    }

    /// `jitter` in 0..1 spreads the rest over half to one and a half times its length, lest many agents return at once.
    /// Whether this is its first failure in a row.
    pub(super) fn failed(&mut self, host: usize, now: Instant, jitter: f64) -> bool {
        let state = &mut self.states[host];
        let doubled = FIRST_REST.saturating_mul(1 << state.failures_in_a_row.min(16));
        state.failures_in_a_row = state.failures_in_a_row.saturating_add(1);
        state.rests_until = Some(now + doubled.min(LONGEST_REST).mul_f64(0.5 + jitter));
        state.failures_in_a_row == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn hosts_take_turns_and_a_failed_one_rests() {
        let now = Instant::now();
        let mut hosts = Hosts::new(3, 4);
        assert_eq!(hosts.order(now), [1, 2, 0]);
        assert_eq!(hosts.order(now), [2, 0, 1]);
        hosts.failed(0, now, 0.5);
        assert_eq!(hosts.order(now), [1, 2, 0]);
        assert_eq!(hosts.order(now), [1, 2, 0], "0 would be first but rests");
        let later = now + Duration::from_secs(2);
        assert_eq!(hosts.order(later), [2, 0, 1], "the rest is over");
    }

    #[tokio::test(start_paused = true)]
    async fn rests_grow_to_a_limit_and_end_with_success() {
        let now = Instant::now();
        let mut hosts = Hosts::new(2, 0);
        for _ in 0..40 {
            hosts.failed(0, now, 0.5);
        }
        assert_eq!(hosts.order(now + Duration::from_secs(59)), [1, 0]);
        hosts.next = 0;
        assert_eq!(hosts.order(now + Duration::from_secs(60)), [0, 1]);
        hosts.failed(0, now, 0.0);
        hosts.succeeded(0);
        hosts.next = 0;
        assert_eq!(hosts.order(now), [0, 1]);
    }

    #[tokio::test(start_paused = true)]
    async fn when_all_rest_the_one_that_rested_longest_is_tried_first() {
        let now = Instant::now();
        let mut hosts = Hosts::new(2, 0);
        hosts.failed(0, now, 0.9);
        hosts.failed(1, now, 0.1);
        assert_eq!(hosts.order(now), [1, 0]);
    }
}
