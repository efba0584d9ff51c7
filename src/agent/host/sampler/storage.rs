//! The sets of disks and what lies on them.

use std::path::Path;

use chrono::{DateTime, Utc};

use super::Sampler;
use crate::agent::host::{MetricSet, diskio, filesystem, fsstat, raid};
use crate::event::Event;

impl Sampler {
    pub(super) fn filesystem(&mut self, at: DateTime<Utc>, events: &mut Vec<Event>) {
        for (mount, usage) in self.mounts() {
            let event = self.event(MetricSet::Filesystem, &mount.mount_point, at);
            events.push(filesystem::document(event, &mount, usage));
        }
    }

    pub(super) fn fsstat(&mut self, at: DateTime<Utc>) -> Option<Event> {
        let mounts = self.mounts();
        let usages: Vec<_> = mounts.iter().filter_map(|(_, usage)| *usage).collect();
        let event = self.event(MetricSet::Fsstat, "", at);
        (!usages.is_empty()).then(|| fsstat::document(event, &usages))
    }

    /// File systems with room for something. Without capacity there is nothing to watch: namespaces and other pseudo
    /// file systems.
    fn mounts(&mut self) -> Vec<(filesystem::Mount, Option<filesystem::Usage>)> {
        let path = self.files.host_process("mountinfo");
        let Some(mountinfo) = self.files.read(&path) else {
            return Vec::new();
        };
        let kinds = self.files.read("proc/filesystems").unwrap_or_default();
        let mounts = filesystem::parse(&mountinfo, &kinds).into_iter();
        let with_usage = mounts.map(|mount| {
            let usage = usage(&self.files.full(&mount.mount_point));
            (mount, usage)
        });
        with_usage
            .filter(|(_, usage)| usage.is_none_or(|usage| usage.total > 0))
            .collect()
    }

    pub(super) fn diskio(&mut self, at: DateTime<Utc>, events: &mut Vec<Event>) {
        let Some(text) = self.files.read("proc/diskstats") else {
            return;
        };
        let mut now = diskio::parse(&text);
        if self.files.exists("sys/block") {
            // A disk's own counters hold those of its partitions.
            now.retain(|name, _| self.files.exists(&format!("sys/block/{name}")));
        }
        for (name, device) in &now {
            let event = self.event(MetricSet::Diskio, name, at);
            let serial_number = self.serial_number(name);
            let serial_number = serial_number.as_deref();
            events.push(diskio::document(event, name, device, serial_number));
        }
        if let Some(before) = &self.diskio {
            let event = self.event(MetricSet::Diskio, "", at);
            let any_is_physical = now.keys().any(|name| self.is_physical(name));
            let is_physical = |name: &str| !any_is_physical || self.is_physical(name);
            events.push(diskio::summary(event, &now, before, is_physical));
        }
        self.diskio = Some(now);
    }

    pub(super) fn raid(&self, at: DateTime<Utc>, events: &mut Vec<Event>) {
        let mut disks = self.files.volatile_names("sys/block");
        disks.sort_unstable();
        for name in disks {
            let folder = format!("sys/block/{name}/md");
            if !self.files.exists(&folder) {
                continue;
            }
            let parts = self.files.volatile_names(&folder);
            let parts = parts.iter().filter(|part| part.starts_with("dev-"));
            let array = raid::Array {
                state: self.text(&format!("{folder}/array_state")),
                level: self.text(&format!("{folder}/level")),
                sync_action: self.text(&format!("{folder}/sync_action")),
                sync_completed: self.text(&format!("{folder}/sync_completed")),
                disks: self.text(&format!("{folder}/raid_disks")),
                size: self.text(&format!("sys/block/{name}/size")),
                disk_states: parts
                    .filter_map(|part| self.text(&format!("{folder}/{part}/state")))
                    .collect(),
            };
            events.push(raid::document(
                self.event(MetricSet::Raid, &name, at),
                &name,
                &array,
            ));
        }
    }

    /// The text of a file that need not be there.
    pub(super) fn text(&self, path: &str) -> Option<String> {
        let mut bytes = Vec::new();
        self.files.read_volatile(path, &mut bytes).ok()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Mapped devices and arrays have no hardware behind them of their own.
    fn is_physical(&self, disk: &str) -> bool {
        self.files.exists(&format!("sys/block/{disk}/device"))
    }

    fn serial_number(&mut self, disk: &str) -> Option<String> {
        if let Some(known) = self.serial_numbers.get(disk) {
            return known.clone();
        }
        let places = ["serial", "device/serial"];
        let found = places
            .iter()
            .find_map(|place| self.text(&format!("sys/block/{disk}/{place}")));
        let serial_number = found
            .map(|text| text.trim().to_owned())
            .filter(|text| !text.is_empty());
        self.serial_numbers
            .insert(disk.to_owned(), serial_number.clone());
        serial_number
    }
}

pub(super) fn usage(mount_point: &Path) -> Option<filesystem::Usage> {
    let stat = rustix::fs::statvfs(mount_point).ok()?;
    let bytes = |blocks: u64| blocks.saturating_mul(stat.f_frsize);
    Some(filesystem::Usage {
        total: bytes(stat.f_blocks),
        free: bytes(stat.f_bfree),
        available: bytes(stat.f_bavail),
        files: stat.f_files,
        free_files: stat.f_ffree,
    })
}
