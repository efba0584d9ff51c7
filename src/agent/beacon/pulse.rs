//! Notices that the agent itself stood still: it was stopped, starved of the processor, waited for a full queue, or the
//! machine slept. What it reads then came at a time that nobody knows. Pure.

use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::time::Instant;

/// How often a healthy reader has to look.
pub(super) const BEAT: Duration = Duration::from_millis(250);
/// Not having looked for so long is a pause. A loaded machine takes less, a stop that matters more.
const LIMIT: Duration = Duration::from_secs(1);
/// After a pause the kernel and the node hand on what they kept; after so long it is read.
const DRAIN: Duration = Duration::from_secs(2);

/// When a reader looked last.
#[derive(Debug)]
pub(super) struct Pulse {
    steady: Instant,
    wall: DateTime<Utc>,
    doubtful_until: Option<Instant>,
}

impl Pulse {
    pub(super) fn new(steady: Instant, wall: DateTime<Utc>) -> Self {
        Self {
            steady,
            wall,
            doubtful_until: None,
        }
    }

    /// The reader looks. Says how long it had not, if that was a pause. The steady clock runs on while a process is
    /// stopped; while a machine sleeps only the other one does.
    pub(super) fn beat(&mut self, steady: Instant, wall: DateTime<Utc>) -> Option<Duration> {
        let by_steady = steady.saturating_duration_since(self.steady);
        let by_wall = (wall - self.wall).to_std().unwrap_or_default();
        (self.steady, self.wall) = (steady, wall);
        let pause = by_steady.max(by_wall);
        if pause < LIMIT {
            return None;
        }
        self.doubtful_until = Some(steady + DRAIN);
        Some(pause)
    }

    /// Whether what is read now may have waited.
    pub(super) fn is_doubtful(&self) -> bool {
        self.doubtful_until.is_some_and(|until| self.steady < until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeDelta;

    #[tokio::test(start_paused = true)]
    async fn a_pause_is_seen_by_either_clock_and_makes_what_follows_doubtful() {
        let (steady, wall) = (Instant::now(), DateTime::UNIX_EPOCH);
        let mut pulse = Pulse::new(steady, wall);
        let mut beat = |steady_ms: i64, wall_ms: i64| {
            let pause = pulse.beat(
                steady + Duration::from_millis(steady_ms as u64),
                wall + TimeDelta::milliseconds(wall_ms),
            );
            (pause.map(|pause| pause.as_millis()), pulse.is_doubtful())
        };
        assert_eq!(beat(250, 250), (None, false));
        assert_eq!(beat(8_250, 8_250), (Some(8_000), true), "stopped");
        assert_eq!(beat(8_500, 8_500), (None, true), "still draining");
        assert_eq!(beat(9_300, 9_300), (None, true));
        assert_eq!(beat(10_250, 10_250), (None, false));
        assert_eq!(beat(10_500, 70_500), (Some(60_250), true), "slept");
        assert_eq!(beat(11_400, 71_400), (None, true));
        assert_eq!(beat(12_300, 72_300), (None, true));
        assert_eq!(beat(12_600, 12_600), (None, false), "set back is no pause");
    }
}
