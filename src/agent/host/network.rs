//! `system.network` from `/proc/net/dev`: counters per interface, and what the host received and sent since the
//! sample before (`host.network.*`, a document of its own).

use std::collections::BTreeMap;

use super::counter::growth;
use crate::event::Event;

/// Counters since the interface came up, by its name.
pub(super) type Sample = BTreeMap<String, Interface>;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Interface {
    pub(super) ingress: Counters,
    pub(super) egress: Counters,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Counters {
    pub(super) bytes: u64,
    pub(super) packets: u64,
    pub(super) errors: u64,
    /// Not every system says.
    pub(super) dropped: Option<u64>,
}

impl Interface {
    /// Some were only ever made: they have nothing to tell.
    pub(super) fn is_used(&self) -> bool {
        self.ingress.packets > 0 || self.egress.packets > 0
    }
}

pub(super) fn parse(dev: &str) -> Sample {
    dev.lines().filter_map(parse_line).collect()
}

fn parse_line(line: &str) -> Option<(String, Interface)> {
    // The two heading lines hold no colon; an alias (`eth0:1`) holds one of its own.
    let (name, columns) = line.rsplit_once(':')?;
    let mut numbers = columns.split_whitespace().map(str::parse::<u64>);
    let mut counters = |columns: usize| {
        let mut next = || numbers.next()?.ok();
        let (bytes, packets, errors, dropped) = (next()?, next()?, next()?, next()?);
        for _ in 4..columns {
            next()?;
        }
        Some(Counters {
            bytes,
            packets,
            errors,
            dropped: Some(dropped),
        })
    };
    let interface = Interface {
        ingress: counters(8)?,
        egress: counters(4)?,
    };
    Some((name.trim().to_owned(), interface))
}

pub(super) fn document(event: Event, name: &str, now: &Interface) -> Event {
    let mut event = event.with("system.network.name", name);
    for (direction, counters) in [("in", &now.ingress), ("out", &now.egress)] {
        let mut put = |field: &str, value: Option<u64>| {
            let field = format!("system.network.{direction}.{field}");
            event.document.set_some(field, value);
        };
        put("bytes", Some(counters.bytes));
        put("packets", Some(counters.packets));
        put("errors", Some(counters.errors));
        put("dropped", counters.dropped);
    }
    event
}

/// The host's traffic over all interfaces between two samples. An interface that is new, or whose counters began
/// anew, counts from its next sample on.
pub(super) fn summary(event: Event, now: &Sample, before: &Sample) -> Event {
    let sum = |counter: fn(&Interface) -> u64| -> u64 {
        let known = now
            .iter()
            .filter_map(|(name, now)| Some((now, before.get(name)?)));
        known
            .filter_map(|(now, before)| growth(counter(now), counter(before)))
            .sum()
    };
    event
        .with(
            "host.network.ingress.bytes",
            sum(|interface| interface.ingress.bytes),
        )
        .with(
            "host.network.ingress.packets",
            sum(|interface| interface.ingress.packets),
        )
        .with(
            "host.network.egress.bytes",
            sum(|interface| interface.egress.bytes),
        )
        .with(
            "host.network.egress.packets",
            sum(|interface| interface.egress.packets),
        )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::host::tests::blank;

    const HEAD: &str = "Inter-|   Receive                                                |  Transmit\n face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n";

    fn sample(lines: &str) -> Sample {
        parse(&format!("{HEAD}{lines}"))
    }

    #[test]
    fn counters_per_interface() {
        let sample = sample(
            "    lo: 10 2 0 0 0 0 0 0 10 2 0 0 0 0 0 0\n  eth0:1000 20 1 3 0 0 0 0 500 10 4 5 0 0 0 0\n",
        );
        let document = document(blank(), "eth0", &sample["eth0"]).document;
        assert_eq!(document.get_u64("system.network.in.bytes"), Some(1000));
        assert_eq!(document.get_u64("system.network.in.dropped"), Some(3));
        assert_eq!(document.get_u64("system.network.out.errors"), Some(4));
        assert_eq!(sample.len(), 2);
    }

    #[test]
    fn an_interface_that_began_anew_does_not_count() {
        let before = sample(
            "eth0: 1000 20 0 0 0 0 0 0 500 10 0 0 0 0 0 0\neth1: 900 9 0 0 0 0 0 0 900 9 0 0 0 0 0 0\n",
        );
        let now = sample(
            "eth0: 1600 25 0 0 0 0 0 0 700 11 0 0 0 0 0 0\neth1: 100 1 0 0 0 0 0 0 100 1 0 0 0 0 0 0\neth2: 7 7 0 0 0 0 0 0 7 7 0 0 0 0 0 0\n",
        );
        let document = summary(blank(), &now, &before).document;
        assert_eq!(document.get_u64("host.network.ingress.bytes"), Some(600));
        assert_eq!(document.get_u64("host.network.egress.packets"), Some(1));
    }
}
