//! Against the `procfs` crate.

use std::collections::HashMap;

use ::procfs::process::{LimitValue, Process};
use ::procfs::{Current, CurrentSI, KernelStats, LoadAverage, Meminfo, net};

use super::{assert_between, assert_meet, document, documents, number, processes};
use crate::agent::host::MetricSet;
use crate::agent::host::tests::sampler;
use crate::event::Document;

#[test]
fn ticks_of_the_machine_and_of_its_cores() {
    let before = KernelStats::current().unwrap();
    let (all, cores) = (document(MetricSet::Cpu), documents(MetricSet::Core));
    let after = KernelStats::current().unwrap();
    assert_eq!(
        number(&all, "system.cpu.cores"),
        after.cpu_time.len() as u64
    );
    assert_eq!(cores.len(), after.cpu_time.len());
    let check =
        |of: &str, ours: &Document, before: &::procfs::CpuTime, after: &::procfs::CpuTime| {
            // Idle times are estimates that may run backwards.
            for (state, before, after) in [
                ("user", before.user, after.user),
                ("nice", before.nice, after.nice),
                ("system", before.system, after.system),
                ("irq", before.irq.unwrap(), after.irq.unwrap()),
                ("softirq", before.softirq.unwrap(), after.softirq.unwrap()),
                ("steal", before.steal.unwrap(), after.steal.unwrap()),
            ] {
                let ours = number(ours, &format!("system.{of}.{state}.ticks"));
                assert_between((of, state), before, ours, after);
            }
        };
    check("cpu", &all, &before.total, &after.total);
    for ((core, before), after) in cores.iter().zip(&before.cpu_time).zip(&after.cpu_time) {
        check("core", core, before, after);
    }
}

#[test]
fn load_and_memory() {
    assert_meet(
        || {
            LoadAverage::current()
                .map(|load| [load.one, load.five, load.fifteen].map(|load| f64::from(load) as f32))
                .unwrap()
        },
        || {
            let ours = document(MetricSet::Load);
            ["1", "5", "15"]
                .map(|minutes| ours.get_f64(&format!("system.load.{minutes}")).unwrap() as f32)
        },
    );
    assert_meet(
        || {
            let theirs = Meminfo::current().unwrap();
            let available = theirs.mem_available.unwrap();
            [
                theirs.mem_total,
                theirs.mem_free,
                theirs.cached,
                available,
                theirs.mem_total - available,
                theirs.swap_total,
                theirs.swap_free,
            ]
        },
        || {
            let ours = document(MetricSet::Memory);
            [
                "total",
                "free",
                "cached",
                "actual.free",
                "actual.used.bytes",
                "swap.total",
                "swap.free",
            ]
            .map(|field| number(&ours, &format!("system.memory.{field}")))
        },
    );
}

#[test]
fn bytes_and_packets_of_interfaces() {
    let before = net::dev_status().unwrap();
    let ours = documents(MetricSet::Network);
    let after = net::dev_status().unwrap();
    let used = before
        .values()
        .filter(|one| one.recv_packets + one.sent_packets > 0);
    assert!(ours.len() >= used.count());
    for ours in ours {
        let name = ours.get_str("system.network.name").unwrap();
        let (before, after) = (&before[name], &after[name]);
        for (field, before, after) in [
            ("in.bytes", before.recv_bytes, after.recv_bytes),
            ("in.packets", before.recv_packets, after.recv_packets),
            ("in.errors", before.recv_errs, after.recv_errs),
            ("in.dropped", before.recv_drop, after.recv_drop),
            ("out.bytes", before.sent_bytes, after.sent_bytes),
            ("out.packets", before.sent_packets, after.sent_packets),
            ("out.errors", before.sent_errs, after.sent_errs),
            ("out.dropped", before.sent_drop, after.sent_drop),
        ] {
            let ours = number(&ours, &format!("system.network.{field}"));
            assert_between((name, field), before, ours, after);
        }
    }
}

#[test]
fn counters_of_disks() {
    let read = || -> HashMap<String, ::procfs::DiskStat> {
        let disks = ::procfs::diskstats().unwrap().into_iter();
        disks.map(|disk| (disk.name.clone(), disk)).collect()
    };
    let before = read();
    let ours = documents(MetricSet::Diskio);
    let after = read();
    for ours in ours {
        let name = ours.get_str("system.diskio.name").unwrap();
        let (before, after) = (&before[name], &after[name]);
        for (field, before, after) in [
            ("read.count", before.reads, after.reads),
            (
                "read.bytes",
                before.sectors_read * 512,
                after.sectors_read * 512,
            ),
            ("read.time", before.time_reading, after.time_reading),
            ("write.count", before.writes, after.writes),
            (
                "write.bytes",
                before.sectors_written * 512,
                after.sectors_written * 512,
            ),
            ("write.time", before.time_writing, after.time_writing),
            ("io.time", before.time_in_progress, after.time_in_progress),
        ] {
            let ours = number(&ours, &format!("system.diskio.{field}"));
            assert_between((name, field), before, ours, after);
        }
    }
}

/// This process is among them, whatever else runs.
fn myself() -> Document {
    let pid = u64::from(std::process::id());
    let is_me = |one: &Document| one.get_u64("process.pid") == Some(pid);
    processes().into_iter().find(is_me).unwrap()
}

#[test]
fn a_process() {
    let me = Process::myself().unwrap();
    let (before, io_before) = (me.stat().unwrap(), me.io().unwrap());
    let ours = myself();
    let (after, io_after) = (me.stat().unwrap(), me.io().unwrap());

    let text = |field: &str| ours.get_str(field).unwrap().to_owned();
    let own = |field: &str| number(&ours, &format!("system.process.{field}"));
    assert!(text("process.name").starts_with(&after.comm));
    assert_eq!(
        text("process.command_line"),
        me.cmdline().unwrap().join(" ")
    );
    assert_eq!(
        text("process.executable"),
        me.exe().unwrap().to_str().unwrap()
    );
    assert_eq!(
        text("process.working_directory"),
        me.cwd().unwrap().to_str().unwrap()
    );
    assert_eq!(number(&ours, "process.parent.pid"), after.ppid as u64);
    assert_eq!(number(&ours, "process.pgid"), after.pgrp as u64);
    let limit = me.limits().unwrap().max_open_files.soft_limit;
    let LimitValue::Value(limit) = limit else {
        panic!("no limit")
    };
    assert_eq!(own("fd.limit.soft"), limit);
    let ms = |ticks: u64| ticks * 1_000 / ::procfs::ticks_per_second();
    for (field, before, after) in [
        ("cpu.user.ticks", ms(before.utime), ms(after.utime)),
        ("cpu.system.ticks", ms(before.stime), ms(after.stime)),
        ("io.read_char", io_before.rchar, io_after.rchar),
        ("io.write_char", io_before.wchar, io_after.wchar),
        ("io.read_ops", io_before.syscr, io_after.syscr),
        ("io.read_bytes", io_before.read_bytes, io_after.read_bytes),
    ] {
        assert_between(field, before, own(field), after);
    }
    assert_eq!(own("cpu.total.value"), own("cpu.total.ticks"));
    let started_s =
        after.starttime / ::procfs::ticks_per_second() + ::procfs::boot_time_secs().unwrap();
    let ours_s = text("process.cpu.start_time")
        .parse::<chrono::DateTime<chrono::Utc>>()
        .unwrap();
    assert_eq!(ours_s.timestamp() as u64, started_s);
    let group = me
        .cgroups()
        .unwrap()
        .into_iter()
        .find(|group| group.controllers == [""] || group.controllers.is_empty());
    if let Some(group) = group {
        assert_eq!(text("system.process.cgroup.path"), group.pathname);
    }
}

/// Memory, files and threads: other tests run in this process.
#[test]
fn a_process_at_one_moment() {
    let me = Process::myself().unwrap();
    assert_meet(
        || {
            (
                me.stat().unwrap().vsize,
                me.stat().unwrap().num_threads as u64,
            )
        },
        || {
            let ours = myself();
            (
                number(&ours, "system.process.memory.size"),
                number(&ours, "system.process.num_threads"),
            )
        },
    );
    let page = ::procfs::page_size();
    assert_meet(
        || me.statm().unwrap().shared * page,
        || number(&myself(), "system.process.memory.share"),
    );
    // It moves all the time; a wrong unit would be far off.
    let rss = |statm: ::procfs::process::StatM| statm.resident * page;
    let (before, ours, after) = (rss(me.statm().unwrap()), myself(), rss(me.statm().unwrap()));
    let ours = number(&ours, "system.process.memory.rss.bytes");
    assert!(
        (before.min(after) / 2..=before.max(after) * 2).contains(&ours),
        "{before} {ours} {after}"
    );
    let (before, ours, after) = (me.fd_count().unwrap(), myself(), me.fd_count().unwrap());
    let ours = number(&ours, "system.process.fd.open") as usize;
    assert!(
        (before.min(after).saturating_sub(50)..=before.max(after) + 50).contains(&ours),
        "{before} {ours} {after}"
    );
}

#[test]
fn processes_by_state() {
    assert_meet(
        || {
            let stats = ::procfs::process::all_processes().unwrap();
            let states: Vec<char> = stats
                .filter_map(|one| Some(one.ok()?.stat().ok()?.state))
                .collect();
            let count = |letters: &str| {
                states
                    .iter()
                    .filter(|state| letters.contains(**state))
                    .count() as u64
            };
            [
                states.len() as u64,
                count("SD"),
                count("I"),
                count("Z"),
                count("Tt"),
            ]
        },
        || {
            let ours = document(MetricSet::ProcessSummary);
            ["total", "sleeping", "idle", "zombie", "stopped"]
                .map(|state| number(&ours, &format!("system.process.summary.{state}")))
        },
    );
}

#[test]
fn time_since_boot() {
    let before = ::procfs::Uptime::current().unwrap().uptime;
    let ours = number(&document(MetricSet::Uptime), "system.uptime.duration.ms");
    let after = ::procfs::Uptime::current().unwrap().uptime;
    assert_between("uptime", before as u64, ours / 1_000, after as u64);
    assert_eq!(ours % 1_000, 0, "milliseconds, of whole seconds");
}

/// Ours come over netlink, or in a container from the text tables; theirs from the tables.
#[test]
fn sockets_by_state() {
    use ::procfs::net::TcpState;
    let fields = [
        (TcpState::Established, "established"),
        (TcpState::Listen, "listening"),
        (TcpState::TimeWait, "time_wait"),
        (TcpState::CloseWait, "close_wait"),
    ];
    for root in ["/", "/proc/.."].map(std::path::Path::new) {
        for (state, field) in &fields {
            assert_meet(
                || {
                    let tables = [net::tcp().unwrap(), net::tcp6().unwrap_or_default()];
                    let sockets = tables.iter().flatten();
                    sockets.filter(|socket| socket.state == *state).count() as u64
                },
                || {
                    let mut sampler = sampler(root);
                    let events = sampler
                        .sample_sets(&[MetricSet::SocketSummary], chrono::DateTime::UNIX_EPOCH);
                    number(
                        &events[0].document,
                        &format!("system.socket.summary.tcp.all.{field}"),
                    )
                },
            );
        }
    }
}
