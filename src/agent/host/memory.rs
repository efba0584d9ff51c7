//! `system.memory` from `/proc/meminfo`, in bytes.
//!
//! `used` counts caches as used, `actual` does not: it is the kernel's own estimate (`MemAvailable`).

use crate::agent::host::share;
use crate::event::Event;

/// Bytes; a line that is missing costs its field.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Sample {
    pub(super) total: Option<u64>,
    pub(super) free: Option<u64>,
    pub(super) cached: Option<u64>,
    pub(super) available: Option<u64>,
    pub(super) swap_total: Option<u64>,
    pub(super) swap_free: Option<u64>,
}

impl Sample {
    pub(super) fn total_bytes(&self) -> Option<u64> {
        self.total
    }
}

pub(super) fn parse(meminfo: &str) -> Sample {
    let mut sample = Sample::default();
    for line in meminfo.lines() {
        let Some((name, value)) = line.split_once(':') else {
            continue;
        };
        let field = match name {
            "MemTotal" => &mut sample.total,
            "MemFree" => &mut sample.free,
            "Cached" => &mut sample.cached,
            "MemAvailable" => &mut sample.available,
            "SwapTotal" => &mut sample.swap_total,
            "SwapFree" => &mut sample.swap_free,
            _ => continue,
        };
        let kib = value.trim().trim_end_matches("kB").trim_end();
        *field = kib.parse().ok().and_then(|kib: u64| kib.checked_mul(1024));
    }
    sample
}

pub(super) fn document(event: Event, now: &Sample) -> Event {
    let event = event
        .with_some("system.memory.total", now.total)
        .with_some("system.memory.free", now.free)
        .with_some("system.memory.cached", now.cached)
        .with_some("system.memory.actual.free", now.available)
        .with_some("system.memory.swap.total", now.swap_total)
        .with_some("system.memory.swap.free", now.swap_free);
    let event = with_used(event, "system.memory", now.total, now.free);
    let event = with_used(event, "system.memory.actual", now.total, now.available);
    with_used(event, "system.memory.swap", now.swap_total, now.swap_free)
}

fn with_used(event: Event, prefix: &str, total: Option<u64>, free: Option<u64>) -> Event {
    let (Some(total), Some(free)) = (total, free) else {
        return event;
    };
    let used = total.saturating_sub(free);
    event.with(format!("{prefix}.used.bytes"), used).with_some(
        format!("{prefix}.used.pct"),
        share(used as f64, total as f64),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::host::tests::blank;

    const MEMINFO: &str = "MemTotal:       1000 kB\nMemFree:         250 kB\nMemAvailable:    600 kB\nCached:          300 kB\nSwapTotal:         0 kB\nSwapFree:          0 kB\nHugePages_Total:   0\n";

    #[test]
    fn used_and_actually_used() {
        let document = document(blank(), &parse(MEMINFO)).document;
        assert_eq!(document.get_u64("system.memory.total"), Some(1_024_000));
        assert_eq!(document.get_f64("system.memory.used.pct"), Some(0.75));
        assert_eq!(
            document.get_u64("system.memory.actual.used.bytes"),
            Some(409_600)
        );
        assert_eq!(document.get_f64("system.memory.actual.used.pct"), Some(0.4));
        assert_eq!(document.get("system.memory.swap.used.pct"), None, "no swap");
    }

    #[test]
    fn a_missing_line_costs_its_field() {
        let document = document(
            blank(),
            &parse("MemTotal: 10 kB\nMemFree: x kB\nnonsense\n"),
        )
        .document;
        assert_eq!(document.get_u64("system.memory.total"), Some(10_240));
        assert_eq!(document.get("system.memory.free"), None);
        assert_eq!(document.get("system.memory.used"), None);
    }
}
