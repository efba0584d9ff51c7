//! `system.load` from `/proc/loadavg`.

use crate::agent::host::rounded;
use crate::event::Event;

/// Runnable and uninterruptible tasks, averaged over 1, 5 and 15 minutes.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sample(pub(super) [f64; 3]);

const MINUTES: [&str; 3] = ["1", "5", "15"];

pub(super) fn parse(loadavg: &str) -> Option<Sample> {
    let mut columns = loadavg.split_whitespace();
    let mut next = || {
        columns
            .next()?
            .parse()
            .ok()
            .filter(|load: &f64| load.is_finite())
    };
    Some(Sample([next()?, next()?, next()?]))
}

/// `cores` is absent where `/proc/stat` can't be read: the loads remain.
pub(super) fn document(event: Event, now: &Sample, cores: Option<u64>) -> Event {
    let mut event = event.with_some("system.load.cores", cores);
    for (minutes, load) in MINUTES.iter().zip(now.0) {
        event.document.set(format!("system.load.{minutes}"), load);
        let norm = cores.map(|cores| rounded(load / cores as f64));
        event
            .document
            .set_some(format!("system.load.norm.{minutes}"), norm);
    }
    event
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::host::tests::blank;

    #[test]
    fn loads_and_their_share_per_core() {
        let sample = parse("1.50 1.46 1.52 2/116 21448\n").unwrap();
        let document = document(blank(), &sample, Some(2)).document;
        assert_eq!(document.get_f64("system.load.1"), Some(1.5));
        assert_eq!(document.get_f64("system.load.norm.15"), Some(0.76));
        assert_eq!(parse("1.5 nan 2"), None);
        assert_eq!(parse(""), None);
    }

    #[test]
    fn without_the_number_of_cores_the_loads_remain() {
        let document = document(blank(), &Sample([1.0, 2.0, 3.0]), None).document;
        assert_eq!(document.get_f64("system.load.5"), Some(2.0));
        assert_eq!(document.get("system.load.norm"), None);
    }
}
