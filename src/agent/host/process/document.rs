//! The document of a process.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::{Cgroup, Command, CpuTime, Details, Membership, Stat};
use crate::agent::host::process::cgroup::{Pressure, Stall};
use crate::agent::host::share;
use crate::event::{Event, timestamp};

/// What shares are of.
#[derive(Debug, Clone, Copy)]
pub(in crate::agent::host) struct Machine {
    /// `None` where `/proc/stat` can't be read.
    pub(in crate::agent::host) cores: Option<u64>,
    pub(in crate::agent::host) memory_bytes: Option<u64>,
    pub(in crate::agent::host) page_bytes: u64,
    pub(in crate::agent::host) ticks_per_second: u64,
    /// Between the two samples.
    pub(in crate::agent::host) elapsed: Option<Duration>,
}

pub(in crate::agent::host) struct Process<'a> {
    pub(in crate::agent::host) pid: u64,
    pub(in crate::agent::host) stat: &'a Stat,
    /// Since the sample before.
    pub(in crate::agent::host) spent_ticks: Option<u64>,
    pub(in crate::agent::host) started_at: Option<DateTime<Utc>>,
    pub(in crate::agent::host) command: &'a Command,
    pub(in crate::agent::host) details: &'a Details,
    pub(in crate::agent::host) membership: Option<&'a Membership>,
    /// The group's values, and its CPU time at the sample before.
    pub(in crate::agent::host) cgroup: Option<&'a (Cgroup, Option<CpuTime>)>,
}

pub(in crate::agent::host) fn document(
    event: Event,
    process: &Process<'_>,
    machine: Machine,
) -> Event {
    let (stat, command) = (process.stat, process.command);
    let name = command.name.as_deref().unwrap_or(&stat.name);
    let line = Some(command.line.as_str()).filter(|line| !line.is_empty());
    let args: Vec<Value> = command.args.iter().map(|arg| arg.as_str().into()).collect();
    let args = Some(args).filter(|args| !args.is_empty());
    let client = command.client.map(|client| client.name());
    let details = process.details;
    let event = event
        .with("process.pid", process.pid)
        .with("process.parent.pid", stat.parent)
        .with("process.pgid", stat.group)
        .with("process.name", name)
        .with("process.state", stat.state_name())
        .with_some("process.args", args)
        .with_some("process.command_line", line)
        .with_some("process.executable", details.executable.as_deref())
        .with_some(
            "process.working_directory",
            details.working_directory.as_deref(),
        )
        .with_some("user.name", details.user.as_deref())
        .with_some("ethereum.node.client", client)
        .with("system.process.state", stat.state_name())
        .with_some("system.process.cmdline", line)
        .with("system.process.num_threads", stat.threads);
    let event = cpu(event, process, machine);
    let event = memory(event, stat, details, machine);
    let event = files(event, details);
    match process.membership {
        Some(membership) => groups(event, membership, process.cgroup, machine),
        None => event,
    }
}

fn cpu(event: Event, process: &Process<'_>, machine: Machine) -> Event {
    let stat = process.stat;
    let ms = |ticks: u64| ticks.saturating_mul(1_000) / machine.ticks_per_second.max(1);
    let spent_s = process
        .spent_ticks
        .map(|ticks| ticks as f64 / machine.ticks_per_second as f64);
    let (pct, norm) = shares(spent_s, machine);
    let started_at = process.started_at.map(timestamp);
    event
        .with("system.process.cpu.total.value", ms(stat.ticks()))
        .with("system.process.cpu.total.ticks", ms(stat.ticks()))
        .with("system.process.cpu.user.ticks", ms(stat.user_ticks))
        .with("system.process.cpu.system.ticks", ms(stat.system_ticks))
        .with_some("system.process.cpu.total.pct", pct)
        .with_some("system.process.cpu.total.norm.pct", norm)
        .with_some("process.cpu.pct", norm)
        .with_some("system.process.cpu.start_time", started_at.clone())
        .with_some("process.cpu.start_time", started_at)
}

/// Of one core, and of the machine.
fn shares(spent_s: Option<f64>, machine: Machine) -> (Option<f64>, Option<f64>) {
    let elapsed_s = machine.elapsed.map(|elapsed| elapsed.as_secs_f64());
    let (Some(spent_s), Some(elapsed_s)) = (spent_s, elapsed_s) else {
        return (None, None);
    };
    let norm = machine
        .cores
        .and_then(|cores| share(spent_s, elapsed_s * cores as f64));
    (share(spent_s, elapsed_s), norm)
}

fn memory(event: Event, stat: &Stat, details: &Details, machine: Machine) -> Event {
    let bytes = |pages: u64| pages.saturating_mul(machine.page_bytes);
    // The kernel's quick count is the next best.
    let rss = bytes(details.memory.rss_pages.unwrap_or(stat.rss_pages));
    let rss_share = machine
        .memory_bytes
        .and_then(|all| share(rss as f64, all as f64));
    event
        .with("system.process.memory.size", stat.size_bytes)
        .with("system.process.memory.rss.bytes", rss)
        .with_some("system.process.memory.rss.pct", rss_share)
        .with_some("process.memory.pct", rss_share)
        .with_some(
            "system.process.memory.share",
            details.memory.shared_pages.map(bytes),
        )
        .with_some("system.process.memory.swap", details.status.swap_bytes)
}

fn files(event: Event, details: &Details) -> Event {
    let (io, limits) = (&details.io, &details.limits);
    event
        .with_some("system.process.fd.open", details.open_files)
        .with_some("system.process.fd.limit.soft", limits.soft)
        .with_some("system.process.fd.limit.hard", limits.hard)
        .with_some("system.process.io.read_bytes", io.read_bytes)
        .with_some("system.process.io.write_bytes", io.write_bytes)
        .with_some("system.process.io.read_char", io.read_char)
        .with_some("system.process.io.write_char", io.write_char)
        .with_some("system.process.io.read_ops", io.read_ops)
        .with_some("system.process.io.write_ops", io.write_ops)
        .with_some(
            "system.process.io.cancelled_write_bytes",
            io.cancelled_write_bytes,
        )
}

fn groups(
    event: Event,
    membership: &Membership,
    cgroup: Option<&(Cgroup, Option<CpuTime>)>,
    machine: Machine,
) -> Event {
    let path = membership.path.as_deref();
    // Metricbeat calls the last part of the path the id; the root is its own.
    let id = path.map(|path| match path.rsplit('/').next() {
        Some(id) if !id.is_empty() => id,
        _ => path,
    });
    let event = event
        .with("system.process.cgroup.cgroups_version", membership.version)
        .with_some("system.process.cgroup.id", id)
        .with_some("system.process.cgroup.path", path);
    let Some((now, before)) = cgroup else {
        return event;
    };
    let event = group_cpu(event, &now.cpu, before.as_ref(), machine);
    let event = pressures(event, "cpu", &now.cpu_pressure);
    let mut event = pressures(event, "io", &now.io_pressure)
        .with_some(
            "system.process.cgroup.memory.mem.usage.bytes",
            now.memory_bytes,
        )
        .with_some(
            "system.process.cgroup.memory.mem.low.bytes",
            now.memory_low_bytes,
        )
        .with_some(
            "system.process.cgroup.memory.mem.high.bytes",
            now.memory_high_bytes,
        )
        .with_some(
            "system.process.cgroup.memory.mem.max.bytes",
            now.memory_max_bytes,
        )
        .with_some("system.process.cgroup.io.stats", now.io.clone());
    for (name, count) in &now.memory_events {
        let field = format!("system.process.cgroup.memory.mem.events.{name}");
        event.document.set(field, *count);
    }
    event
}

fn group_cpu(mut event: Event, now: &CpuTime, before: Option<&CpuTime>, machine: Machine) -> Event {
    let document = &mut event.document;
    let times = |time: &CpuTime| [time.usage_us, time.user_us, time.system_us];
    let before = before.map_or([None; 3], times);
    for ((part, us), before) in ["usage", "user", "system"]
        .iter()
        .zip(times(now))
        .zip(before)
    {
        let Some(us) = us else { continue };
        let field = |name: &str| format!("system.process.cgroup.cpu.stats.{part}.{name}");
        document.set(field("ns"), us.saturating_mul(1_000));
        let spent_us = before.and_then(|before| us.checked_sub(before));
        let (pct, norm) = shares(spent_us.map(|us| us as f64 / 1e6), machine);
        document.set_some(field("pct"), pct);
        document.set_some(field("norm.pct"), norm);
    }
    event
        .with_some("system.process.cgroup.cpu.stats.periods", now.periods)
        .with_some(
            "system.process.cgroup.cpu.stats.throttled.periods",
            now.throttled_periods,
        )
        .with_some(
            "system.process.cgroup.cpu.stats.throttled.us",
            now.throttled_us,
        )
}

fn pressures(mut event: Event, of: &str, pressure: &Pressure) -> Event {
    let mut put = |who: &str, stall: &Stall| {
        let field = |name: &str| format!("system.process.cgroup.{of}.pressure.{who}.{name}");
        let document = &mut event.document;
        document.set(field("10.pct"), stall.share_10s);
        document.set(field("60.pct"), stall.share_60s);
        document.set(field("300.pct"), stall.share_300s);
        document.set(field("total"), stall.total_us);
    };
    if let Some(stall) = &pressure.some {
        put("some", stall);
    }
    if let Some(stall) = &pressure.full {
        put("full", stall);
    }
    event
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::host::tests::blank;

    const MACHINE: Machine = Machine {
        cores: Some(4),
        memory_bytes: Some(1_000 * 4_096),
        page_bytes: 4_096,
        ticks_per_second: 100,
        elapsed: Some(Duration::from_secs(10)),
    };

    fn with(
        machine: Machine,
        spent_ticks: Option<u64>,
        before: Option<&str>,
    ) -> crate::event::Document {
        let stat = "7 (reth) S 1 7 0 0 -1 0 0 0 0 0 300 200 0 0 20 0 3 0 50 9999 100 0";
        let stat = Stat::parse(stat.as_bytes()).unwrap();
        let cgroup = Cgroup {
            cpu: CpuTime::parse("usage_usec 9000000\nuser_usec 5\nnr_throttled 2\n"),
            io_pressure: Pressure::parse("some avg10=50 avg60=0 avg300=0 total=9\n"),
            memory_bytes: Some(77),
            memory_events: vec![("oom_kill", 1)],
            ..Cgroup::default()
        };
        let membership = Membership::parse(b"0::/a/reth.service\n");
        let process = Process {
            pid: 7,
            stat: &stat,
            spent_ticks,
            started_at: None,
            command: &Command::parse(b"/usr/bin/reth\0node\0", "reth"),
            details: &Details::default(),
            membership: membership.as_ref(),
            cgroup: Some(&(cgroup, before.map(CpuTime::parse))),
        };
        document(blank(), &process, machine).document
    }

    #[test]
    fn shares_of_a_core_and_of_the_machine() {
        let reth = with(
            MACHINE,
            Some(500),
            Some("usage_usec 4000000\nuser_usec 6\n"),
        );
        assert_eq!(reth.get_f64("system.process.cpu.total.pct"), Some(0.5));
        assert_eq!(reth.get_f64("process.cpu.pct"), Some(0.125));
        assert_eq!(reth.get_u64("system.process.cpu.total.value"), Some(5_000));
        assert_eq!(reth.get_u64("system.process.cpu.user.ticks"), Some(3_000));
        assert_eq!(reth.get_f64("process.memory.pct"), Some(0.1));
        assert_eq!(reth.get_str("ethereum.node.client"), Some("reth"));
        let group = |field: &str| reth.get(&format!("system.process.cgroup.{field}"));
        assert_eq!(group("id").unwrap(), "reth.service");
        assert_eq!(group("cpu.stats.usage.ns").unwrap(), 9_000_000_000_u64);
        assert_eq!(group("cpu.stats.usage.pct").unwrap(), 0.5);
        assert_eq!(group("cpu.stats.usage.norm.pct").unwrap(), 0.125);
        assert_eq!(group("cpu.stats.user.pct"), None, "it ran backwards");
        assert_eq!(group("cpu.stats.throttled.periods").unwrap(), 2);
        assert_eq!(group("io.pressure.some.10.pct").unwrap(), 0.5);
        assert_eq!(group("io.pressure.full"), None);
        assert_eq!(group("memory.mem.events.oom_kill").unwrap(), 1);
    }

    #[test]
    fn shares_need_two_samples_and_a_machine() {
        for document in [
            with(MACHINE, None, None),
            with(
                Machine {
                    elapsed: None,
                    ..MACHINE
                },
                Some(5),
                Some("usage_usec 1\n"),
            ),
        ] {
            assert_eq!(document.get("system.process.cpu.total.pct"), None);
            assert_eq!(document.get("process.cpu.pct"), None);
            assert_eq!(
                document.get("system.process.cgroup.cpu.stats.usage.pct"),
                None
            );
        }
        let bare = Machine {
            cores: None,
            memory_bytes: None,
            ..MACHINE
        };
        let document = with(bare, Some(500), None);
        assert_eq!(document.get_f64("system.process.cpu.total.pct"), Some(0.5));
        assert_eq!(document.get("system.process.cpu.total.norm.pct"), None);
        assert_eq!(document.get("process.memory.pct"), None);
    }
}
