//! Which host to ask next: a circuit breaker for each. Pure: the clock and the dice are arguments.
//!
//! A host that fails is passed over for a while (open). Then one request at a time finds out, by a small question first,
//! whether it is back (half-open); until that is known the others go on passing it over.

use std::time::Duration;

use tokio::time::Instant;

/// How long a host is passed over at most after its first failure; doubled with every further one.
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

/// A host to try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Turn {
    pub(super) host: usize,
    /// It failed the last time: ask it something small first.
    pub(super) is_probe: bool,
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
    pub(super) fn order(&mut self, now: Instant) -> Vec<Turn> {
        let count = self.states.len();
        let mut order: Vec<usize> = (0..count).map(|step| (self.next + step) % count).collect();
        self.next = (self.next + 1) % count.max(1);
        order.sort_by_key(|&host| self.states[host].rests_until.filter(|until| *until > now));
        let turn = |host: usize| Turn {
            host,
            // Whether the only host is back the request itself finds out.
            is_probe: count > 1 && self.states[host].failures_in_a_row > 0,
        };
        order.into_iter().map(turn).collect()
    }

    /// Somebody asks whether the host is back, for so long at most. The others need not.
    pub(super) fn probing(&mut self, host: usize, now: Instant, patience: Duration) {
        self.states[host].rests_until = Some(now + patience);
    }

    /// Whether it had failed before.
    pub(super) fn succeeded(&mut self, host: usize) -> bool {
        std::mem::take(&mut self.states[host]).failures_in_a_row > 0
    }

    /// `luck` in 0..1 spreads the rest over all of its length (full jitter), lest many agents return at once.
    /// Whether this is its first failure in a row.
    pub(super) fn failed(&mut self, host: usize, now: Instant, luck: f64) -> bool {
        let state = &mut self.states[host];
        let doubled = FIRST_REST.saturating_mul(1 << state.failures_in_a_row.min(16));
        state.failures_in_a_row = state.failures_in_a_row.saturating_add(1);
        state.rests_until = Some(now + doubled.min(LONGEST_REST).mul_f64(luck));
        state.failures_in_a_row == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(hosts: &mut Hosts, now: Instant) -> Vec<usize> {
        hosts.order(now).iter().map(|turn| turn.host).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn hosts_take_turns_and_a_failed_one_rests() {
        let now = Instant::now();
        let mut hosts = Hosts::new(3, 4);
        assert_eq!(order(&mut hosts, now), [1, 2, 0]);
        assert_eq!(order(&mut hosts, now), [2, 0, 1]);
        hosts.failed(0, now, 1.0);
        assert_eq!(order(&mut hosts, now), [1, 2, 0]);
        assert_eq!(
            order(&mut hosts, now),
            [1, 2, 0],
            "0 would be first but rests"
        );
        let later = now + Duration::from_secs(2);
        assert_eq!(order(&mut hosts, later), [2, 0, 1], "the rest is over");
    }

    #[tokio::test(start_paused = true)]
    async fn a_rested_host_is_probed_by_one_and_passed_over_by_the_others() {
        let now = Instant::now();
        let mut hosts = Hosts::new(2, 0);
        hosts.failed(0, now, 1.0);
        let later = now + Duration::from_secs(2);
        let probe = Turn {
            host: 0,
            is_probe: true,
        };
        assert_eq!(hosts.order(later)[0], probe);
        hosts.probing(0, later, Duration::from_secs(30));
        for _ in 0..3 {
            assert_eq!(order(&mut hosts, later), [1, 0], "one probe is enough");
        }
        hosts.next = 0;
        hosts.succeeded(0);
        let healthy = Turn {
            host: 0,
            is_probe: false,
        };
        assert_eq!(hosts.order(later)[0], healthy);
    }

    #[tokio::test(start_paused = true)]
    async fn rests_grow_to_a_limit_and_end_with_success() {
        let now = Instant::now();
        let mut hosts = Hosts::new(2, 0);
        for _ in 0..40 {
            hosts.failed(0, now, 1.0);
        }
        assert_eq!(order(&mut hosts, now + Duration::from_secs(59)), [1, 0]);
        hosts.next = 0;
        assert_eq!(order(&mut hosts, now + Duration::from_secs(60)), [0, 1]);
        hosts.failed(0, now, 0.0);
        hosts.succeeded(0);
        hosts.next = 0;
        assert_eq!(order(&mut hosts, now), [0, 1]);
    }

    #[tokio::test(start_paused = true)]
    async fn when_all_rest_the_one_that_rested_longest_is_tried_first() {
        let now = Instant::now();
        let mut hosts = Hosts::new(2, 0);
        hosts.failed(0, now, 0.9);
        hosts.failed(1, now, 0.1);
        assert_eq!(order(&mut hosts, now), [1, 0]);
    }

    #[tokio::test]
    async fn the_only_host_is_never_probed() {
        let now = Instant::now();
        let mut hosts = Hosts::new(1, 0);
        hosts.failed(0, now, 0.5);
        assert!(!hosts.order(now)[0].is_probe);
    }
}
