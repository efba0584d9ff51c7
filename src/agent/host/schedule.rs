//! Which sets are due at a tick. Pure.

use std::time::Duration;

use super::MetricSet;
use super::set::Pace;
use crate::config;

/// Shorter periods measure mostly the measuring.
const MIN_PERIOD: Duration = Duration::from_secs(1);

#[derive(Debug, Clone)]
pub(super) struct Schedule {
    period: Duration,
    filesystem_every: u32,
    slow_every: u32,
    sets: Vec<MetricSet>,
    tick: u64,
}

impl Schedule {
    pub(super) fn new(config: &config::Host) -> Self {
        let period = config.period.max(MIN_PERIOD);
        let every = |longer: Duration| {
            let ticks = longer.as_millis().div_ceil(period.as_millis());
            u32::try_from(ticks).unwrap_or(u32::MAX).max(1)
        };
        let is_wanted = |set: &MetricSet| match &config.sets {
            Some(sets) => sets.contains(set),
            None => set.is_default(),
        };
        Self {
            period,
            filesystem_every: every(config.filesystem_period),
            slow_every: every(config.slow_period),
            sets: MetricSet::ALL.into_iter().filter(is_wanted).collect(),
            tick: 0,
        }
    }

    pub(super) fn period(&self) -> Duration {
        self.period
    }

    /// How long it is from one sample of the set to the next.
    pub(super) fn period_of(&self, set: MetricSet) -> Duration {
        self.period.saturating_mul(self.every(set))
    }

    /// The sets of the present tick, each once, in the order of the list.
    pub(super) fn due(&mut self) -> Vec<MetricSet> {
        let tick = self.tick;
        self.tick += 1;
        let is_due = |set: &MetricSet| tick.is_multiple_of(u64::from(self.every(*set)));
        self.sets.iter().copied().filter(is_due).collect()
    }

    fn every(&self, set: MetricSet) -> u32 {
        match set.pace() {
            Pace::Fast => 1,
            Pace::Filesystem => self.filesystem_every,
            Pace::Slow => self.slow_every,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_sets_are_due_in_every_nth_tick() {
        let config = config::Host {
            sets: Some(vec![
                MetricSet::Uptime,
                MetricSet::Filesystem,
                MetricSet::Cpu,
            ]),
            filesystem_period: Duration::from_secs(25),
            slow_period: Duration::from_secs(40),
            ..config::Host::default()
        };
        let mut schedule = Schedule::new(&config);
        let (cpu, files, slow) = (MetricSet::Cpu, MetricSet::Filesystem, MetricSet::Uptime);
        let due: Vec<Vec<_>> = (0..5).map(|_| schedule.due()).collect();
        assert_eq!(
            due,
            [
                vec![cpu, files, slow],
                vec![cpu],
                vec![cpu],
                vec![cpu, files],
                vec![cpu, slow]
            ]
        );
        assert_eq!(
            schedule.period_of(files),
            Duration::from_secs(30),
            "rounded up"
        );
        assert_eq!(schedule.period_of(cpu), Duration::from_secs(10));
    }

    #[test]
    fn odd_periods_do_not_divide_by_nothing() {
        let config = config::Host {
            period: Duration::ZERO,
            filesystem_period: Duration::ZERO,
            slow_period: Duration::MAX,
            ..config::Host::default()
        };
        let mut schedule = Schedule::new(&config);
        assert_eq!(schedule.period(), MIN_PERIOD);
        assert_eq!(schedule.period_of(MetricSet::Fsstat), MIN_PERIOD);
        assert!(schedule.due().contains(&MetricSet::Raid));
        assert!(!schedule.due().contains(&MetricSet::Raid));
    }
}
