//! `system.raid`: Linux software arrays, from `/sys/block/NAME/md`.

use std::collections::BTreeMap;

use crate::event::Event;

/// The kernel's flags of a disk in an array; the template has a field for each.
const FLAGS: [&str; 11] = [
    "blocked",
    "external_bbl",
    "failfast",
    "faulty",
    "in_sync",
    "journal",
    "replacement",
    "spare",
    "want_replacement",
    "write_error",
    "writemostly",
];

const SECTORS_PER_KIB: u64 = 2;

/// The texts of an array's files, as they are; what is missing is `None`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Array {
    /// `md/array_state`: `clean`, `active`, `degraded`, …
    pub(super) state: Option<String>,
    /// `md/level`: `raid1`, …
    pub(super) level: Option<String>,
    /// `md/sync_action`: `idle`, `resync`, `recover`, …; only of levels that can be put right
    pub(super) sync_action: Option<String>,
    /// `md/sync_completed`: `none`, or `done / all` in sectors
    pub(super) sync_completed: Option<String>,
    /// `md/raid_disks`
    pub(super) disks: Option<String>,
    /// `size`, in sectors
    pub(super) size: Option<String>,
    /// `md/dev-*/state`: flags with commas between
    pub(super) disk_states: Vec<String>,
}

pub(super) fn document(event: Event, name: &str, array: &Array) -> Event {
    let mut event = event.with("system.raid.name", name);
    let text = |text: &Option<String>| {
        let text = text.as_deref()?.trim();
        (!text.is_empty()).then(|| text.to_owned())
    };
    let number = |text: &str| text.trim().parse::<u64>().ok();
    let kib = |sectors: u64| sectors / SECTORS_PER_KIB;

    let document = &mut event.document;
    document.set_some("system.raid.status", text(&array.state));
    document.set_some("system.raid.level", text(&array.level));
    document.set_some("system.raid.sync_action", text(&array.sync_action));
    let total = array.disks.as_deref().and_then(number);
    document.set_some("system.raid.disks.total", total);

    let mut flags = BTreeMap::<&str, u64>::new();
    for flag in array.disk_states.iter().flat_map(|flags| flags.split(',')) {
        *flags.entry(flag.trim()).or_default() += 1;
    }
    let count = |flag: &str| flags.get(flag).copied().unwrap_or_default();
    document.set("system.raid.disks.active", count("in_sync"));
    document.set("system.raid.disks.spare", count("spare"));
    document.set("system.raid.disks.failed", count("faulty"));
    for (flag, disks) in flags.iter().filter(|(flag, _)| FLAGS.contains(flag)) {
        document.set(format!("system.raid.disks.states.{flag}"), *disks);
    }

    let progress = array.sync_completed.as_deref().and_then(|text| {
        let (done, all) = text.split_once('/')?;
        Some((number(done)?, number(all)?))
    });
    let size = array.size.as_deref().and_then(number);
    // Without a synchronisation under way everything is in step.
    let blocks = progress.or(size.map(|size| (size, size)));
    document.set_some(
        "system.raid.blocks.synced",
        blocks.map(|(done, _)| kib(done)),
    );
    document.set_some("system.raid.blocks.total", blocks.map(|(_, all)| kib(all)));
    event
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::host::tests::blank;

    fn array() -> Array {
        let text = |text: &str| Some(text.to_owned());
        Array {
            state: text("clean\n"),
            level: text("raid1\n"),
            sync_action: text("recover\n"),
            sync_completed: text("1000 / 4000\n"),
            disks: text("2\n"),
            size: text("4000\n"),
            disk_states: vec![
                "in_sync,writemostly\n".into(),
                "spare\n".into(),
                "faulty,odd\n".into(),
            ],
        }
    }

    #[test]
    fn an_array_that_recovers() {
        let document = document(blank(), "md0", &array()).document;
        let get = |field: &str| document.get_u64(&format!("system.raid.{field}"));
        assert_eq!(document.get_str("system.raid.name"), Some("md0"));
        assert_eq!(document.get_str("system.raid.status"), Some("clean"));
        assert_eq!(document.get_str("system.raid.sync_action"), Some("recover"));
        assert_eq!(get("disks.total"), Some(2));
        assert_eq!(get("disks.active"), Some(1));
        assert_eq!(get("disks.spare"), Some(1));
        assert_eq!(get("disks.failed"), Some(1));
        assert_eq!(get("disks.states.writemostly"), Some(1));
        assert_eq!(get("disks.states.odd"), None);
        assert_eq!(get("blocks.synced"), Some(500));
        assert_eq!(get("blocks.total"), Some(2_000));
    }

    #[test]
    fn a_missing_file_costs_its_field() {
        let idle = Array {
            sync_completed: Some("none\n".into()),
            level: None,
            sync_action: Some("\n".into()),
            disks: Some("two".into()),
            ..array()
        };
        let document = document(blank(), "md0", &idle).document;
        assert_eq!(document.get_u64("system.raid.blocks.synced"), Some(2_000));
        assert_eq!(document.get("system.raid.level"), None);
        assert_eq!(document.get("system.raid.sync_action"), None);
        assert_eq!(document.get("system.raid.disks.total"), None);
    }
}
