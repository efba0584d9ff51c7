//! `system.service`: what systemd says of the units that match the configured patterns.

use std::collections::HashMap;

use chrono::{DateTime, NaiveDateTime, Utc};

use crate::event::{Event, timestamp};

/// What `systemctl show` is asked for. A property that this systemd does not know costs its field.
pub(super) const PROPERTIES: [&str; 22] = [
    "Id",
    "LoadState",
    "ActiveState",
    "SubState",
    "UnitFileState",
    "UnitFilePreset",
    "FragmentPath",
    "ExecMainPID",
    "ExecMainCode",
    "ExecMainStatus",
    "CPUUsageNSec",
    "MemoryCurrent",
    "TasksCurrent",
    "IPIngressBytes",
    "IPIngressPackets",
    "IPEgressBytes",
    "IPEgressPackets",
    "ActiveEnterTimestamp",
    "ActiveExitTimestamp",
    "InactiveEnterTimestamp",
    "InactiveExitTimestamp",
    "WorkingDirectory",
];

/// One unit's properties by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unit(HashMap<String, String>);

/// What `systemctl show` printed: `Name=value` lines, an empty line between units. Units of the same name, which
/// several patterns matched, are one.
pub(super) fn parse(text: &str) -> Vec<Unit> {
    let mut units = Vec::<Unit>::new();
    let mut properties = HashMap::new();
    for line in text.lines().chain([""]) {
        if let Some((name, value)) = line.split_once('=') {
            properties.insert(name.to_owned(), value.to_owned());
        } else if line.is_empty() {
            let unit = Unit(std::mem::take(&mut properties));
            let is_new = |known: &Unit| known.name() != unit.name();
            if unit.name().is_some() && units.iter().all(is_new) {
                units.push(unit);
            }
        }
    }
    units
}

impl Unit {
    pub(super) fn name(&self) -> Option<&str> {
        self.text("Id")
    }

    fn text(&self, property: &str) -> Option<&str> {
        self.0
            .get(property)
            .map(String::as_str)
            .filter(|text| !text.is_empty())
    }

    /// Led by marks where it need not be there, or is the user's home.
    fn folder(&self) -> Option<&str> {
        let folder = self.text("WorkingDirectory")?;
        Some(folder.trim_start_matches(['!', '-']))
    }

    /// Accounting that is off is `[not set]`, or the largest number in older versions.
    fn number(&self, property: &str) -> Option<u64> {
        let number = self.text(property)?.parse().ok()?;
        (number != u64::MAX).then_some(number)
    }

    /// Since when the unit is in its state.
    fn state_since(&self) -> Option<DateTime<Utc>> {
        let property = match self.text("ActiveState")? {
            "active" | "reloading" | "refreshing" => "ActiveEnterTimestamp",
            "inactive" | "failed" => "InactiveEnterTimestamp",
            "activating" => "InactiveExitTimestamp",
            _ => "ActiveExitTimestamp",
        };
        utc(self.text(property)?)
    }
}

/// `Sat 2026-11-21 09:10:38 UTC`: so every version writes times where the time zone is UTC. What never happened is empty.
fn utc(text: &str) -> Option<DateTime<Utc>> {
    let (_day, time) = text.strip_suffix(" UTC")?.split_once(' ')?;
    let time = NaiveDateTime::parse_from_str(time, "%Y-%m-%d %H:%M:%S").ok()?;
    Some(time.and_utc())
}

/// Why the main process ended, by its `SIGCHLD` code.
fn exit_cause(code: u64) -> &'static str {
    match code {
        1 => "exited",
        2 => "killed",
        3 => "dumped",
        4 => "trapped",
        5 => "stopped",
        6 => "continued",
        _ => "unknown",
    }
}

pub(super) fn document(event: Event, name: &str, unit: &Unit) -> Event {
    let exit = unit.number("ExecMainCode").filter(|code| *code > 0);
    let exit_code = exit.and_then(|_| unit.number("ExecMainStatus"));
    let mut event = event
        .with("system.service.name", name)
        .with("systemd.unit", name)
        .with_some("systemd.fragment_path", unit.text("FragmentPath"))
        .with_some("system.service.load_state", unit.text("LoadState"))
        .with_some("system.service.state", unit.text("ActiveState"))
        .with_some("system.service.sub_state", unit.text("SubState"))
        .with_some(
            "system.service.state_since",
            unit.state_since().map(timestamp),
        )
        .with_some("system.service.unit_file.state", unit.text("UnitFileState"))
        .with_some(
            "system.service.unit_file.vendor_preset",
            unit.text("UnitFilePreset"),
        )
        .with_some("system.service.exec_code", exit.map(exit_cause))
        .with_some("process.exit_code", exit_code)
        .with_some(
            "process.pid",
            unit.number("ExecMainPID").filter(|pid| *pid > 0),
        )
        .with_some("process.working_directory", unit.folder());
    // A unit whose process has ended still shows what was counted last, or nought.
    let is_running =
        unit.text("ActiveState") == Some("active") && unit.text("SubState") != Some("exited");
    if is_running {
        for (field, property) in [
            ("cpu.usage.ns", "CPUUsageNSec"),
            ("memory.usage.bytes", "MemoryCurrent"),
            ("tasks.count", "TasksCurrent"),
            ("network.in.bytes", "IPIngressBytes"),
            ("network.in.packets", "IPIngressPackets"),
            ("network.out.bytes", "IPEgressBytes"),
            ("network.out.packets", "IPEgressPackets"),
        ] {
            let field = format!("system.service.resources.{field}");
            event.document.set_some(field, unit.number(property));
        }
    }
    event
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    use crate::agent::host::tests::blank;

    const SHOWN: &str = "Id=lighthouse.service\nLoadState=loaded\nActiveState=active\nSubState=running\nUnitFileState=enabled\nUnitFilePreset=enabled\nFragmentPath=/etc/systemd/system/lighthouse.service\nExecMainPID=811\nExecMainCode=0\nExecMainStatus=0\nCPUUsageNSec=27704100000\nMemoryCurrent=15646720\nTasksCurrent=40\nIPIngressBytes=[no data]\nIPEgressBytes=18446744073709551615\nActiveEnterTimestamp=Sat 2026-11-21 09:10:38 UTC\nInactiveEnterTimestamp=\nWorkingDirectory=\n\nId=geth.service\nLoadState=loaded\nActiveState=failed\nSubState=failed\nExecMainPID=900\nExecMainCode=2\nExecMainStatus=9\nCPUUsageNSec=5\nInactiveEnterTimestamp=Sat 2026-11-21 10:00:00 UTC\n\nId=geth.service\nActiveState=active\n\nLoadState=error\n";

    #[test]
    fn a_unit_that_runs_and_one_that_was_killed() {
        let units = parse(SHOWN);
        let names: Vec<_> = units.iter().filter_map(Unit::name).collect();
        assert_eq!(names, ["lighthouse.service", "geth.service"]);
        let of = |at: usize| document(blank(), names[at], &units[at]).document;

        let runs = of(0);
        let service = |field: &str| runs.get(&format!("system.service.{field}"));
        assert_eq!(service("state").unwrap(), "active");
        assert_eq!(service("state_since").unwrap(), "2026-11-21T09:10:38.000Z");
        assert_eq!(service("unit_file.vendor_preset").unwrap(), "enabled");
        assert_eq!(
            service("resources.cpu.usage.ns").unwrap(),
            27_704_100_000_u64
        );
        assert_eq!(service("resources.tasks.count").unwrap(), 40);
        assert_eq!(service("resources.network"), None, "no accounting");
        assert_eq!(service("exec_code"), None);
        assert_eq!(runs.get_u64("process.pid"), Some(811));
        assert_eq!(runs.get_str("systemd.unit"), Some("lighthouse.service"));

        let killed = of(1);
        assert_eq!(killed.get_str("system.service.exec_code"), Some("killed"));
        assert_eq!(killed.get_u64("process.exit_code"), Some(9));
        assert_eq!(
            killed.get_str("system.service.state_since"),
            Some("2026-11-21T10:00:00.000Z")
        );
        assert_eq!(killed.get("system.service.resources"), None);
    }

    /// Word for word from systemd 252.
    const RECORDED: &str = "ExecMainPID=0\nExecMainCode=0\nExecMainStatus=0\nMemoryCurrent=[not set]\nCPUUsageNSec=[not set]\nTasksCurrent=[not set]\nIPIngressBytes=[no data]\nWorkingDirectory=\nId=none.service\nLoadState=not-found\nActiveState=inactive\nSubState=dead\nFragmentPath=\nUnitFileState=\nUnitFilePreset=\nActiveEnterTimestamp=\nActiveExitTimestamp=\nInactiveEnterTimestamp=\n\nExecMainPID=24470\nExecMainCode=0\nExecMainStatus=0\nMemoryCurrent=290816\nCPUUsageNSec=[not set]\nTasksCurrent=1\nIPIngressBytes=[no data]\nWorkingDirectory=!/root\nId=lighthouse.service\nLoadState=loaded\nActiveState=active\nSubState=running\nFragmentPath=/etc/systemd/user/lighthouse.service\nUnitFileState=static\nUnitFilePreset=enabled\nActiveEnterTimestamp=Sat 2026-11-21 21:45:36 UTC\nActiveExitTimestamp=\nInactiveEnterTimestamp=\n";

    #[test]
    fn a_recorded_answer() {
        let units = parse(RECORDED);
        let of = |at: usize| document(blank(), units[at].name().unwrap(), &units[at]).document;
        assert_eq!(units.len(), 2);
        let none = of(0);
        assert_eq!(none.get_str("system.service.load_state"), Some("not-found"));
        for absent in [
            "process",
            "system.service.state_since",
            "system.service.resources",
            "systemd.fragment_path",
        ] {
            assert_eq!(none.get(absent), None, "{absent}");
        }
        let runs = of(1);
        assert_eq!(runs.get_u64("process.pid"), Some(24_470));
        assert_eq!(runs.get_str("process.working_directory"), Some("/root"));
        assert_eq!(
            runs.get_str("system.service.state_since"),
            Some("2026-11-21T21:45:36.000Z")
        );
        let resources = runs.get("system.service.resources").unwrap();
        assert_eq!(
            *resources,
            json!({"memory": {"usage": {"bytes": 290_816}}, "tasks": {"count": 1}})
        );
    }

    #[test]
    fn times_that_are_none() {
        for text in [
            "",
            "n/a",
            "Sat 2026-11-21 09:10:38 CET",
            "2026-11-21 UTC",
            "Sat 2026-13-21 09:10:38 UTC",
        ] {
            assert_eq!(utc(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn garbage_never_panics(text in "((Id|ActiveState|ActiveEnterTimestamp)?=?[a-z0-9 UTC:-]{0,20}\n{0,2}){0,8}") {
            for unit in parse(&text) {
                document(blank(), unit.name().unwrap(), &unit);
            }
        }
    }
}
