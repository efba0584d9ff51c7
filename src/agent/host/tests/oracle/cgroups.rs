//! Control groups against their files and the `procfs` crate's reading of pressure.

use std::fs;
use std::path::Path;

use ::procfs::prelude::FromRead;
use ::procfs::{CpuPressure, PressureRecord};

use super::{assert_between, number, processes};

/// Where systemd runs, every process is in a group.
const ENOUGH: usize = 5;

fn value(stat: &str, name: &str) -> u64 {
    let lines = stat.lines();
    let value = lines
        .filter_map(|line| line.split_once(' '))
        .find(|(key, _)| *key == name);
    value.unwrap().1.parse().unwrap()
}

#[test]
fn time_and_pressure_of_groups() {
    let trees = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"].map(Path::new);
    let tree = trees
        .into_iter()
        .find(|tree| tree.join("cgroup.controllers").exists());
    let mut compared = 0;
    for process in processes() {
        let (Some(tree), Some(path)) = (tree, process.get_str("system.process.cgroup.path")) else {
            continue;
        };
        let folder = tree.join(path.trim_start_matches('/'));
        let Ok(before) = fs::read_to_string(folder.join("cpu.stat")) else {
            continue;
        };
        if path == "/" {
            assert_eq!(process.get("system.process.cgroup.cpu"), None);
            continue;
        }
        let pid = number(&process, "process.pid");
        let again = processes();
        let Some(ours) = again
            .iter()
            .find(|one| one.get_u64("process.pid") == Some(pid))
        else {
            continue;
        };
        let Ok(after) = fs::read_to_string(folder.join("cpu.stat")) else {
            continue;
        };
        for (name, field) in [
            ("usage_usec", "usage"),
            ("user_usec", "user"),
            ("system_usec", "system"),
        ] {
            let ours = number(ours, &format!("system.process.cgroup.cpu.stats.{field}.ns"));
            assert_between(
                (path, name),
                value(&before, name),
                ours / 1_000,
                value(&after, name),
            );
        }
        if let Ok(pressure) = CpuPressure::from_file(folder.join("cpu.pressure")) {
            compare_pressure(&ours.clone(), &pressure.some);
        }
        compared += 1;
        if compared == ENOUGH {
            break;
        }
    }
    if compared == 0 {
        println!("skipped: no process is in a control group of the second version here");
    }
}

fn compare_pressure(ours: &crate::event::Document, theirs: &PressureRecord) {
    let share = |seconds: u32| {
        let field = format!("system.process.cgroup.cpu.pressure.some.{seconds}.pct");
        ours.get_f64(&field).unwrap()
    };
    for (ours, theirs) in [
        (share(10), theirs.avg10),
        (share(60), theirs.avg60),
        (share(300), theirs.avg300),
    ] {
        // Percent there, a share here; the averages are renewed every two seconds.
        assert!(
            (ours * 100.0 - f64::from(theirs)).abs() < 40.0,
            "{ours} {theirs}"
        );
        assert!((0.0..=1.0).contains(&ours));
    }
    assert!(number(ours, "system.process.cgroup.cpu.pressure.some.total") <= theirs.total);
}
