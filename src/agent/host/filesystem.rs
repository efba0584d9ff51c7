//! `system.filesystem`: mounted block file systems of `mountinfo`, and how full they are.

use std::collections::{BTreeMap, HashSet};

use crate::agent::host::share;
use crate::event::Event;

/// A mounted file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mount {
    /// `major:minor`: the same file system mounted twice has one.
    pub(super) device: String,
    pub(super) mount_point: String,
    pub(super) device_name: String,
    pub(super) kind: String,
    pub(super) options: String,
}

/// What `statvfs` says, in bytes and inodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Usage {
    pub(super) total: u64,
    pub(super) free: u64,
    pub(super) available: u64,
    pub(super) files: u64,
    pub(super) free_files: u64,
}

/// File systems that keep their disks to themselves and are `nodev` therefore.
const POOLED: [&str; 1] = ["zfs"];

/// Mounts of `mountinfo` whose type `/proc/filesystems` does not call `nodev`, one per device: the shortest mount
/// point, since bind mounts lie deeper.
pub(super) fn parse(mountinfo: &str, filesystems: &str) -> Vec<Mount> {
    let virtual_kinds: HashSet<&str> = filesystems
        .lines()
        .filter_map(|line| Some(line.strip_prefix("nodev")?.trim()))
        .filter(|kind| !POOLED.contains(kind))
        .collect();
    let mut by_device = BTreeMap::<String, Mount>::new();
    let mounts = mountinfo.lines().filter_map(parse_line);
    for mount in mounts.filter(|mount| !virtual_kinds.contains(mount.kind.as_str())) {
        match by_device.get(&mount.device) {
            Some(known) if known.mount_point.len() <= mount.mount_point.len() => {}
            _ => {
                by_device.insert(mount.device.clone(), mount);
            }
        }
    }
    by_device.into_values().collect()
}

/// `36 35 98:0 /root /mount/point rw,noatime shared:1 - ext4 /dev/sda1 rw,errors=continue`
fn parse_line(line: &str) -> Option<Mount> {
    // The optional fields before the dash vary in number.
    let (place, source) = line.split_once(" - ")?;
    let mut place = place.split(' ').skip(2);
    let device = place.next()?.to_owned();
    let mount_point = unescape(place.nth(1)?);
    let options = place.next()?.to_owned();
    let mut source = source.split(' ');
    let kind = source.next()?.to_owned();
    let device_name = unescape(source.next()?);
    Some(Mount {
        device,
        mount_point,
        device_name,
        kind,
        options,
    })
}

/// The kernel writes blank, tab, newline and backslash as three octal digits.
fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        plain.push_str(&rest[..at]);
        let code = rest
            .get(at + 1..at + 4)
            .and_then(|octal| u8::from_str_radix(octal, 8).ok());
        match code.filter(u8::is_ascii) {
            Some(code) => {
                plain.push(char::from(code));
                rest = &rest[at + 4..];
            }
            None => {
                plain.push('\\');
                rest = &rest[at + 1..];
            }
        }
    }
    plain + rest
}

/// Without `usage` (the file system does not answer) the mount is still named.
pub(super) fn document(event: Event, mount: &Mount, usage: Option<Usage>) -> Event {
    let event = event
        .with("system.filesystem.device_name", mount.device_name.as_str())
        .with("system.filesystem.mount_point", mount.mount_point.as_str())
        .with("system.filesystem.type", mount.kind.as_str())
        .with("system.filesystem.options", mount.options.as_str());
    let Some(usage) = usage else { return event };
    let used = usage.total.saturating_sub(usage.free);
    // As `df` counts: what only root may fill is neither used nor available.
    let fillable = used.saturating_add(usage.available);
    event
        .with("system.filesystem.total", usage.total)
        .with("system.filesystem.free", usage.free)
        .with("system.filesystem.available", usage.available)
        .with("system.filesystem.files", usage.files)
        .with("system.filesystem.free_files", usage.free_files)
        .with("system.filesystem.used.bytes", used)
        .with_some(
            "system.filesystem.used.pct",
            share(used as f64, fillable as f64),
        )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::host::tests::blank;

    const MOUNTINFO: &str = "22 27 0:21 / /proc rw,relatime - proc proc rw\n27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,discard\n30 27 254:0 /var/x /mnt/bind rw - ext4 /dev/vda rw\n31 27 254:16 / /mnt/my\\040disk ro,noatime - xfs /dev/vdb rw\n32 27 0:50 / /tank rw - zfs tank rw\nnonsense\n";

    #[test]
    fn one_per_device_and_none_that_is_virtual() {
        let mounts = parse(MOUNTINFO, "nodev\tproc\nnodev\ttmpfs\nnodev\tzfs\n\text4\n");
        let points: Vec<&str> = mounts
            .iter()
            .map(|mount| mount.mount_point.as_str())
            .collect();
        assert_eq!(points, ["/tank", "/", "/mnt/my disk"]);
        assert_eq!(mounts[1].options, "rw,relatime");
        assert_eq!(mounts[2].device_name, "/dev/vdb");
        assert_eq!(unescape("a\\q\\134"), "a\\q\\");
    }

    #[test]
    fn share_of_what_may_be_filled() {
        let mount = parse(MOUNTINFO, "nodev\tproc").remove(0);
        let usage = Usage {
            total: 100,
            free: 40,
            available: 20,
            files: 10,
            free_files: 3,
        };
        let full = document(blank(), &mount, Some(usage)).document;
        assert_eq!(full.get_u64("system.filesystem.used.bytes"), Some(60));
        assert_eq!(full.get_f64("system.filesystem.used.pct"), Some(0.75));
        let silent = document(blank(), &mount, None).document;
        assert_eq!(silent.get("system.filesystem.used"), None);
    }
}
