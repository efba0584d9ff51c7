//! `system.process.summary`: how many processes are in which state, from `/proc/PID/stat`, and the running and blocked
//! threads of `/proc/stat`.

use crate::event::Event;

/// Processes by state.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Sample {
    running: u64,
    idle: u64,
    sleeping: u64,
    stopped: u64,
    zombie: u64,
    dead: u64,
    parked: u64,
    unknown: u64,
}

impl Sample {
    /// Counts a process by the letter of its state; `None` where its `/proc/PID/stat` can't be understood.
    pub(super) fn add(&mut self, state: Option<u8>) {
        let counter = match state {
            Some(b'R') => &mut self.running,
            Some(b'I') => &mut self.idle,
            // Uninterruptible sleep has no name of its own in Metricbeat's summary.
            Some(b'S' | b'D') => &mut self.sleeping,
            Some(b'T' | b't') => &mut self.stopped,
            Some(b'Z') => &mut self.zombie,
            Some(b'X' | b'x') => &mut self.dead,
            Some(b'P') => &mut self.parked,
            _ => &mut self.unknown,
        };
        *counter += 1;
    }

    fn by_name(&self) -> [(&'static str, u64); 8] {
        [
            ("running", self.running),
            ("idle", self.idle),
            ("sleeping", self.sleeping),
            ("stopped", self.stopped),
            ("zombie", self.zombie),
            ("dead", self.dead),
            ("parked", self.parked),
            ("unknown", self.unknown),
        ]
    }
}

/// `procs_running` and `procs_blocked` of `/proc/stat`.
pub(super) fn threads(stat: &str) -> (Option<u64>, Option<u64>) {
    let value = |name: &str| {
        let line = stat.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().parse().ok()
    };
    (value("procs_running "), value("procs_blocked "))
}

pub(super) fn document(
    event: Event,
    now: &Sample,
    (running, blocked): (Option<u64>, Option<u64>),
) -> Event {
    let total: u64 = now.by_name().iter().map(|(_, count)| count).sum();
    let mut event = event.with("system.process.summary.total", total);
    for (state, count) in now.by_name() {
        event
            .document
            .set(format!("system.process.summary.{state}"), count);
    }
    event
        .with_some("system.process.summary.threads.running", running)
        .with_some("system.process.summary.threads.blocked", blocked)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::host::tests::blank;

    #[test]
    fn states_are_counted() {
        let mut sample = Sample::default();
        for state in [b'S', b'Z', b'D', b'I', b'?'] {
            sample.add(Some(state));
        }
        sample.add(None);
        let threads = threads("cpu 1\nprocs_running 3\nprocs_blocked 0\n");
        let document = document(blank(), &sample, threads).document;
        let count = |state: &str| document.get_u64(&format!("system.process.summary.{state}"));
        assert_eq!(count("total"), Some(6));
        assert_eq!(count("sleeping"), Some(2));
        assert_eq!(count("zombie"), Some(1));
        assert_eq!(count("idle"), Some(1));
        assert_eq!(count("unknown"), Some(2));
        assert_eq!(count("threads.running"), Some(3));
    }
}
