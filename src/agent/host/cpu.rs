//! `system.cpu` from `/proc/stat`: time per state since boot in ticks, and its share since the sample before.
//!
//! `pct` is a fraction of one core (up to the number of cores), `norm.pct` of the whole machine.

use std::collections::BTreeMap;

use crate::agent::host::share;
use crate::event::Event;

/// The columns of `/proc/stat` in their order; guest time is part of `user` and `nice` and not counted again.
pub(super) const STATES: [&str; 8] = [
    "user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal",
];

/// Ticks per state, in the order of [`STATES`].
pub(super) type Ticks = [u64; STATES.len()];

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sample {
    all: Ticks,
    /// By the number the kernel gives them; a core that is offline is missing.
    cores: BTreeMap<u64, Ticks>,
}

impl Sample {
    pub(super) fn cores(&self) -> u64 {
        self.cores.len().max(1) as u64
    }

    pub(super) fn by_core(&self) -> &BTreeMap<u64, Ticks> {
        &self.cores
    }
}

pub(super) fn parse(stat: &str) -> Option<Sample> {
    let mut lines = stat.lines();
    let all = ticks(lines.next()?.strip_prefix("cpu ")?)?;
    let core = |line: &str| {
        let (number, columns) = line.strip_prefix("cpu")?.split_once(' ')?;
        Some((number.parse().ok()?, ticks(columns)?))
    };
    Some(Sample {
        all,
        cores: lines.map_while(core).collect(),
    })
}

fn ticks(columns: &str) -> Option<Ticks> {
    let mut columns = columns.split_whitespace();
    let mut ticks = [0; STATES.len()];
    for state in &mut ticks {
        // Old kernels print fewer columns.
        *state = columns
            .next()
            .map_or(Some(0), |column| column.parse().ok())?;
    }
    Some(ticks)
}

pub(super) fn document(event: Event, now: &Sample, before: Option<&Sample>) -> Event {
    let cores = now.cores() as f64;
    let mut event = event
        .with("system.cpu.cores", now.cores())
        .with("system.cpu.total.ticks", busy(&now.all));
    for (state, ticks) in STATES.iter().zip(now.all) {
        event
            .document
            .set(format!("system.cpu.{state}.ticks"), ticks);
    }
    let Some(spent) = before.map(|before| spent(&now.all, &before.all)) else {
        return event;
    };
    let all = sum(&spent);
    let mut put = |state: &str, ticks: u64| {
        let norm = share(ticks as f64, all)?;
        event
            .document
            .set(format!("system.cpu.{state}.norm.pct"), norm);
        let of_one_core = share(ticks as f64 * cores, all)?;
        event
            .document
            .set(format!("system.cpu.{state}.pct"), of_one_core);
        Some(norm)
    };
    for (state, ticks) in STATES.iter().zip(spent) {
        put(state, ticks);
    }
    let total = put("total", busy(&spent));
    event.with_some("host.cpu.usage", total)
}

/// `iowait` is known to run backwards now and then, and everything does when a core goes: then nothing was spent.
pub(super) fn spent(now: &Ticks, before: &Ticks) -> Ticks {
    std::array::from_fn(|i| now[i].saturating_sub(before[i]))
}

pub(super) fn sum(ticks: &Ticks) -> f64 {
    ticks.iter().map(|ticks| *ticks as f64).sum()
}

/// All but `idle` and `iowait`.
pub(super) fn busy(ticks: &Ticks) -> u64 {
    let is_busy = |state: &str| state != "idle" && state != "iowait";
    let states = STATES.iter().zip(ticks);
    states
        .filter(|(state, _)| is_busy(state))
        .fold(0, |sum, (_, ticks)| sum.saturating_add(*ticks))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::host::tests::blank;

    const BEFORE: &str = "cpu  100 0 50 800 10 0 40 0 0 0\ncpu0 50 0 25 400 5 0 20 0 0 0\ncpu1 50 0 25 400 5 0 20 0 0 0\nintr 5\n";
    const NOW: &str = "cpu  140 0 60 940 10 0 50 0 0 0\ncpu0 70 0 30 470 5 0 25 0 0 0\ncpu1 70 0 30 470 5 0 25 0 0 0\n";

    #[test]
    fn shares_need_two_samples() {
        let (before, now) = (parse(BEFORE).unwrap(), parse(NOW).unwrap());
        let first = document(blank(), &before, None).document;
        assert_eq!(first.get_u64("system.cpu.user.ticks"), Some(100));
        assert_eq!(first.get("system.cpu.user.pct"), None);
        assert_eq!(first.get("host.cpu.usage"), None);

        let second = document(blank(), &now, Some(&before)).document;
        assert_eq!(second.get_u64("system.cpu.cores"), Some(2));
        assert_eq!(second.get_f64("system.cpu.user.pct"), Some(0.4));
        assert_eq!(second.get_f64("system.cpu.user.norm.pct"), Some(0.2));
        assert_eq!(second.get_f64("system.cpu.total.norm.pct"), Some(0.3));
        assert_eq!(second.get_f64("host.cpu.usage"), Some(0.3));
    }

    #[test]
    fn counters_that_run_backwards_give_no_negative_share() {
        let (before, now) = (parse(NOW).unwrap(), parse(BEFORE).unwrap());
        let document = document(blank(), &now, Some(&before)).document;
        assert_eq!(document.get("system.cpu.user.pct"), None);
        assert_eq!(parse("garbage"), None);
        assert_eq!(parse("cpu  1 x 3\n"), None);
    }
}
