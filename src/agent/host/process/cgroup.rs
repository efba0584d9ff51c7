//! The control group of a process: what its unit or container as a whole takes, and waits for.

use serde_json::{Map, Value};

use crate::agent::host::rounded;

/// Which group a process is in, from `/proc/PID/cgroup`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::agent::host) struct Membership {
    /// Of the second version's tree; of the first's where all controllers agree.
    pub(super) path: Option<String>,
    pub(super) version: u64,
}

impl Membership {
    /// `None` where the file says nothing.
    pub(in crate::agent::host) fn parse(cgroup: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(cgroup);
        let mut firsts = Vec::new();
        for line in text.lines() {
            let (_, line) = line.split_once(':')?;
            let (controllers, path) = line.split_once(':')?;
            if controllers.is_empty() {
                let path = Some(path.to_owned());
                return Some(Self { path, version: 2 });
            }
            firsts.push(path);
        }
        let first = *firsts.first()?;
        let agree = firsts.iter().all(|path| *path == first);
        Some(Self {
            path: agree.then(|| first.to_owned()),
            version: 1,
        })
    }

    /// Where the group's files lie below the tree of the second version. A container sees groups outside its own as
    /// `/../..`, and nothing outside the tree is read. The tree's root has no values of its own.
    pub(in crate::agent::host) fn folder(&self) -> Option<String> {
        let path = self.path.as_deref().filter(|_| self.version == 2)?;
        let parts = path.split('/');
        let parts: Vec<&str> = parts
            .filter(|part| !matches!(*part, "" | "." | ".."))
            .collect();
        (!parts.is_empty()).then(|| parts.join("/"))
    }
}

/// The values of a group; a missing file costs its own.
#[derive(Debug, Clone, PartialEq, Default)]
pub(in crate::agent::host) struct Cgroup {
    pub(in crate::agent::host) cpu: CpuTime,
    pub(super) cpu_pressure: Pressure,
    pub(super) io_pressure: Pressure,
    pub(super) memory_bytes: Option<u64>,
    pub(super) memory_low_bytes: Option<u64>,
    pub(super) memory_high_bytes: Option<u64>,
    pub(super) memory_max_bytes: Option<u64>,
    pub(super) memory_events: Vec<(&'static str, u64)>,
    /// By device, as `system.process.cgroup.io.stats` holds it.
    pub(super) io: Option<Value>,
}

impl Cgroup {
    /// `text` gives what stands in a file of the group; nothing for one that is not there.
    pub(in crate::agent::host) fn read(text: impl Fn(&str) -> String) -> Self {
        Self {
            cpu: CpuTime::parse(&text("cpu.stat")),
            cpu_pressure: Pressure::parse(&text("cpu.pressure")),
            io_pressure: Pressure::parse(&text("io.pressure")),
            memory_bytes: parse_number(&text("memory.current")),
            memory_low_bytes: parse_number(&text("memory.low")),
            memory_high_bytes: parse_number(&text("memory.high")),
            memory_max_bytes: parse_number(&text("memory.max")),
            memory_events: parse_memory_events(&text("memory.events")),
            io: parse_io(&text("io.stat")),
        }
    }
}

/// `cpu.stat`, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::agent::host) struct CpuTime {
    pub(super) usage_us: Option<u64>,
    pub(super) user_us: Option<u64>,
    pub(super) system_us: Option<u64>,
    pub(super) periods: Option<u64>,
    pub(super) throttled_periods: Option<u64>,
    pub(super) throttled_us: Option<u64>,
}

/// Shares of the time in which some or all of the group's tasks waited, by the seconds looked back on; and in all, in
/// microseconds.
#[derive(Debug, Clone, PartialEq, Default)]
pub(in crate::agent::host) struct Pressure {
    pub(super) some: Option<Stall>,
    pub(super) full: Option<Stall>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::agent::host) struct Stall {
    pub(super) share_10s: f64,
    pub(super) share_60s: f64,
    pub(super) share_300s: f64,
    pub(super) total_us: u64,
}

const MEMORY_EVENTS: [&str; 6] = ["low", "high", "max", "oom", "oom_kill", "fail"];

impl CpuTime {
    pub(in crate::agent::host) fn parse(stat: &str) -> Self {
        let mut time = Self::default();
        for (name, value) in words(stat) {
            let field = match name {
                "usage_usec" => &mut time.usage_us,
                "user_usec" => &mut time.user_us,
                "system_usec" => &mut time.system_us,
                "nr_periods" => &mut time.periods,
                "nr_throttled" => &mut time.throttled_periods,
                "throttled_usec" => &mut time.throttled_us,
                _ => continue,
            };
            *field = value.parse().ok();
        }
        time
    }
}

impl Pressure {
    /// `some avg10=1.50 avg60=0.75 avg300=0.00 total=12345`, and a line of `full`. The kernel writes percent.
    pub(in crate::agent::host) fn parse(text: &str) -> Self {
        let mut pressure = Self::default();
        for (name, values) in words(text) {
            let value = |key: &str| {
                let mut values = values.split_whitespace().filter_map(|v| v.split_once('='));
                values
                    .find(|(name, _)| *name == key)
                    .map(|(_, value)| value)
            };
            let share = |key: &str| {
                let percent: f64 = value(key)?.parse().ok()?;
                percent.is_finite().then(|| rounded(percent / 100.0))
            };
            let stall = || {
                Some(Stall {
                    share_10s: share("avg10")?,
                    share_60s: share("avg60")?,
                    share_300s: share("avg300")?,
                    total_us: value("total")?.parse().ok()?,
                })
            };
            match name {
                "some" => pressure.some = stall(),
                "full" => pressure.full = stall(),
                _ => {}
            }
        }
        pressure
    }
}

/// One number; `max` stands for none.
fn parse_number(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

/// `memory.events`
fn parse_memory_events(text: &str) -> Vec<(&'static str, u64)> {
    let known = |(name, value): (&str, &str)| {
        let name = MEMORY_EVENTS.iter().find(|known| **known == name)?;
        Some((*name, value.parse().ok()?))
    };
    words(text).filter_map(known).collect()
}

/// `io.stat`: `254:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6`, a line per device.
fn parse_io(text: &str) -> Option<Value> {
    let mut devices = Map::new();
    for (device, values) in words(text) {
        let mut operations = Map::new();
        for (name, value) in values.split_whitespace().filter_map(|v| v.split_once('=')) {
            let operation = match name.as_bytes().first() {
                Some(b'r') => "read",
                Some(b'w') => "write",
                Some(b'd') => "discarded",
                _ => continue,
            };
            let (Some(unit @ ("bytes" | "ios")), Ok(value)) = (name.get(1..), value.parse::<u64>())
            else {
                continue;
            };
            let operation = operations
                .entry(operation)
                .or_insert_with(|| Map::new().into());
            if let Value::Object(units) = operation {
                units.insert(unit.to_owned(), value.into());
            }
        }
        if !operations.is_empty() {
            devices.insert(device.to_owned(), operations.into());
        }
    }
    (!devices.is_empty()).then(|| devices.into())
}

fn words(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.lines()
        .filter_map(|line| line.trim_end().split_once(' '))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn the_group_of_either_version() {
        let of = |text: &str| Membership::parse(text.as_bytes()).unwrap();
        let unit = of("1:name=systemd:/x\n0::/system.slice/lighthouse.service\n");
        assert_eq!(unit.version, 2);
        assert_eq!(
            unit.folder().as_deref(),
            Some("system.slice/lighthouse.service")
        );
        assert_eq!(of("0::/\n").folder(), None);
        assert_eq!(
            of("0::/../../../etc/./x").folder().as_deref(),
            Some("etc/x")
        );
        let first = of("2:cpu:/docker/a\n1:memory:/docker/a\n");
        assert_eq!(
            (first.version, first.path.as_deref()),
            (1, Some("/docker/a"))
        );
        assert_eq!(first.folder(), None);
        assert_eq!(of("2:cpu:/a\n1:memory:/b\n").path, None);
        assert_eq!(Membership::parse(b"nonsense"), None);
        assert_eq!(Membership::parse(b""), None);
    }

    #[test]
    fn files_as_the_kernel_writes_them() {
        let cpu = CpuTime::parse("usage_usec 300\nuser_usec 200\nsystem_usec x\nnr_periods 7\n");
        assert_eq!(
            (cpu.usage_us, cpu.user_us, cpu.system_us),
            (Some(300), Some(200), None)
        );
        assert_eq!((cpu.periods, cpu.throttled_us), (Some(7), None));
        let pressure = Pressure::parse(
            "some avg10=91.12 avg60=75.62 avg300=0.50 total=15312\nfull avg10=0.00 avg60=0.00 total=0\n",
        );
        let some = pressure.some.unwrap();
        assert_eq!((some.share_10s, some.share_300s), (0.9112, 0.005));
        assert_eq!(some.total_us, 15_312);
        assert_eq!(pressure.full, None, "a value is missing");
        assert_eq!(parse_number("4096\n"), Some(4_096));
        assert_eq!(parse_number("max\n"), None);
        let events = parse_memory_events("low 0\nhigh 3\nmax 1\noom_kill 2\noom_group_kill 9\n");
        assert_eq!(
            events,
            [("low", 0), ("high", 3), ("max", 1), ("oom_kill", 2)]
        );
        let io =
            parse_io("254:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6 cost.usage=7\n8:0 \n");
        let stats = json!({"254:0": {
            "read": {"bytes": 1, "ios": 3}, "write": {"bytes": 2, "ios": 4}, "discarded": {"bytes": 5, "ios": 6},
        }});
        assert_eq!(io, Some(stats));
        assert_eq!(parse_io(""), None);
    }

    proptest! {
        #[test]
        fn garbage_never_panics(text in "((some|usage_usec|low|8:0|0::|)[ =:/.a-z0-9-]{0,30}\n?){0,4}") {
            Membership::parse(text.as_bytes()).map(|membership| membership.folder());
            CpuTime::parse(&text);
            Pressure::parse(&text);
            parse_memory_events(&text);
            parse_io(&text);
        }
    }
}
