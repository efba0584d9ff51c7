//! Against the programs that people look with: `df`, `ss`, `nstat`, `vmstat`, `who`.

use std::collections::HashMap;
use std::net::{TcpListener, TcpStream};

use super::{assert_between, assert_meet, document, documents, number, output};
use crate::agent::host::MetricSet;
use crate::event::Document;

/// Numbers of `df` by mount point: size, used, available, inodes, free inodes, percent used.
fn df() -> Option<HashMap<String, Vec<u64>>> {
    let columns = "--output=size,used,avail,itotal,iavail,pcent,target";
    let text = output("df", &["-B1", "--all", columns])?;
    let row = |line: &str| {
        let mut columns = line.split_whitespace();
        let numbers: Vec<u64> = columns
            .by_ref()
            .take(6)
            .filter_map(|number| number.trim_end_matches('%').parse().ok())
            .collect();
        let target = columns.collect::<Vec<_>>().join(" ");
        (numbers.len() == 6).then_some((target, numbers))
    };
    Some(text.lines().skip(1).filter_map(row).collect())
}

#[test]
fn space_of_file_systems() {
    if df().is_none() {
        return;
    }
    let fields = ["total", "used.bytes", "available", "files", "free_files"];
    let ours = || -> HashMap<String, Document> {
        let ours = documents(MetricSet::Filesystem).into_iter();
        let point = |one: &Document| {
            one.get_str("system.filesystem.mount_point")
                .unwrap()
                .to_owned()
        };
        ours.map(|one| (point(&one), one)).collect()
    };
    for point in ours().keys() {
        assert_meet(
            || df().unwrap()[point][..5].to_vec(),
            || {
                let ours = &ours()[point];
                fields
                    .map(|field| number(ours, &format!("system.filesystem.{field}")))
                    .to_vec()
            },
        );
        let theirs = df().unwrap()[point][5] as f64;
        let ours = ours()[point].get_f64("system.filesystem.used.pct").unwrap() * 100.0;
        // It rounds up to the next percent.
        assert!((ours - theirs).abs() <= 1.1, "{point}: {ours} {theirs}");
    }
    let points: Vec<String> = ours().into_keys().collect();
    assert_meet(
        || {
            let df = df().unwrap();
            let sum = |column: usize| points.iter().map(|point| df[point][column]).sum::<u64>();
            [points.len() as u64, sum(0), sum(1), sum(3)]
        },
        || {
            let ours = documents(MetricSet::Fsstat);
            let number = |field: &str| {
                ours.iter()
                    .map(|one| number(one, &format!("system.fsstat.{field}")))
                    .sum()
            };
            [
                "count",
                "total_size.total",
                "total_size.used",
                "total_files",
            ]
            .map(number)
        },
    );
}

/// Sockets by the state that `ss` prints. It asks the kernel over netlink, not its text tables.
fn ss() -> Option<HashMap<String, u64>> {
    let mut states = HashMap::new();
    for line in output("ss", &["-tanH"])?.lines() {
        let state = line.split_whitespace().next().unwrap_or_default();
        *states.entry(state.to_owned()).or_default() += 1;
    }
    let udp = output("ss", &["-uanH"])?.lines().count() as u64;
    states.insert("UDP".to_owned(), udp);
    Some(states)
}

#[test]
fn sockets_by_state() {
    if ss().is_none() {
        return;
    }
    // Something to count that nobody else ends: two of each.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (server, _) = listener.accept().unwrap();
    client.shutdown(std::net::Shutdown::Write).unwrap();
    let states = [
        ("LISTEN", "tcp.all.listening"),
        ("ESTAB", "tcp.all.established"),
        ("CLOSE-WAIT", "tcp.all.close_wait"),
        ("FIN-WAIT-2", "tcp.all.fin_wait2"),
        ("SYN-SENT", "tcp.all.syn_sent"),
        ("UDP", "udp.all.count"),
    ];
    for (theirs, ours) in states {
        // State by state: on a busy machine they seldom stand still together.
        assert_meet(
            || ss().unwrap().get(theirs).copied().unwrap_or_default(),
            || {
                number(
                    &document(MetricSet::SocketSummary),
                    &format!("system.socket.summary.{ours}"),
                )
            },
        );
    }
    let ours = document(MetricSet::SocketSummary);
    let count = |field: &str| number(&ours, &format!("system.socket.summary.{field}"));
    assert!(count("tcp.all.close_wait") >= 1 && count("tcp.all.fin_wait2") >= 1);
    assert_eq!(
        count("all.count"),
        count("tcp.all.count") + count("udp.all.count")
    );
    assert_eq!(count("all.listening"), count("tcp.all.listening"));
    drop((client, server));
}

/// Counters by the names of `nstat`: the table and the counter in one word.
fn nstat() -> Option<HashMap<String, i64>> {
    let text = output("nstat", &["-a", "-s", "-z"])?;
    let row = |line: &str| {
        let mut columns = line.split_whitespace();
        Some((columns.next()?.to_owned(), columns.next()?.parse().ok()?))
    };
    Some(text.lines().filter_map(row).collect())
}

#[test]
fn counters_of_protocols() {
    let Some(before) = nstat() else { return };
    let ours = document(MetricSet::NetworkSummary);
    let after = nstat().unwrap();
    let tables = [
        ("ip", ["Ip", "IpExt"]),
        ("tcp", ["Tcp", "TcpExt"]),
        ("udp", ["Udp", "Udp"]),
        ("udp_lite", ["UdpLite", "UdpLite"]),
        ("icmp", ["Icmp", "IcmpMsg"]),
    ];
    let mut compared = 0;
    for (object, tables) in tables {
        let ours = ours
            .get(&format!("system.network_summary.{object}"))
            .unwrap();
        for (name, ours) in ours.as_object().unwrap() {
            // The only one that falls.
            if name == "CurrEstab" {
                continue;
            }
            let theirs = tables.iter().find_map(|table| {
                let name = format!("{table}{name}");
                Some((before.get(&name)?, after.get(&name)?))
            });
            // Settings of the protocols are no counters to `nstat`.
            let Some((before, after)) = theirs else {
                continue;
            };
            let ours = ours.as_i64().unwrap();
            assert!(
                (*before..=*after).contains(&ours),
                "{object}.{name}: {before} {ours} {after}"
            );
            compared += 1;
        }
    }
    assert!(compared > 100, "{compared} counters compared");
}

#[test]
fn ticks_and_memory_as_vmstat_has_them() {
    let vmstat = || -> Option<HashMap<String, u64>> {
        let text = output("vmstat", &["-s"])?;
        let row = |line: &str| {
            let (number, name) = line.trim().split_once(' ')?;
            Some((name.trim().to_owned(), number.parse().ok()?))
        };
        Some(text.lines().filter_map(row).collect())
    };
    let Some(before) = vmstat() else { return };
    let ours = document(MetricSet::Cpu);
    let after = vmstat().unwrap();
    for (theirs, state) in [
        ("non-nice user cpu ticks", "user"),
        ("nice user cpu ticks", "nice"),
        ("system cpu ticks", "system"),
        ("softirq cpu ticks", "softirq"),
    ] {
        let ours = number(&ours, &format!("system.cpu.{state}.ticks"));
        assert_between(state, before[theirs], ours, after[theirs]);
    }
    let total = number(&document(MetricSet::Memory), "system.memory.total");
    assert_eq!(total, before["K total memory"] * 1_024);
}

/// Users whom `who` knows of have a session, where sessions are kept.
#[test]
fn users_who_are_logged_in() {
    let is_kept = std::path::Path::new("/run/systemd/sessions").is_dir();
    let Some(who) = output("who", &[]).filter(|_| is_kept) else {
        return;
    };
    let sessions = documents(MetricSet::Users);
    for line in who.lines() {
        let name = line.split_whitespace().next().unwrap();
        let is_it = |one: &Document| one.get_str("user.name") == Some(name);
        assert!(sessions.iter().any(is_it), "{name} has no session");
    }
}
