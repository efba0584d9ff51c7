//! `system.diskio` from `/proc/diskstats`: counters per block device, and what the host read and wrote since the
//! sample before (`host.disk.*`, a document of its own).

use std::collections::BTreeMap;

use super::counter::growth;
use crate::event::Event;

/// Counters since boot by device name (`vda`, `dm-0`, `vda1`).
pub(super) type Sample = BTreeMap<String, Device>;

/// `/proc/diskstats` counts in sectors of this many bytes, whatever the device's own sector.
const SECTOR_BYTES: u64 = 512;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Device {
    reads: u64,
    read_bytes: u64,
    read_ms: u64,
    writes: u64,
    write_bytes: u64,
    write_ms: u64,
    in_flight: u64,
    busy_ms: u64,
}

/// Devices that were never used (`loop7`, `ram0`) are left out.
pub(super) fn parse(diskstats: &str) -> Sample {
    let devices = diskstats.lines().filter_map(parse_line);
    devices
        .filter(|(_, device)| *device != Device::default())
        .collect()
}

fn parse_line(line: &str) -> Option<(String, Device)> {
    let mut columns = line.split_whitespace().skip(2);
    let name = columns.next()?.to_owned();
    let numbers: Vec<u64> = columns.map_while(|column| column.parse().ok()).collect();
    let [
        reads,
        _,
        read_sectors,
        read_ms,
        writes,
        _,
        write_sectors,
        write_ms,
        in_flight,
        busy_ms,
        ..,
    ] = numbers[..]
    else {
        return None;
    };
    let device = Device {
        reads,
        read_bytes: read_sectors.saturating_mul(SECTOR_BYTES),
        read_ms,
        writes,
        write_bytes: write_sectors.saturating_mul(SECTOR_BYTES),
        write_ms,
        in_flight,
        busy_ms,
    };
    Some((name, device))
}

pub(super) fn document(
    event: Event,
    name: &str,
    now: &Device,
    serial_number: Option<&str>,
) -> Event {
    event
        .with("system.diskio.name", name)
        .with_some("system.diskio.serial_number", serial_number)
        .with("system.diskio.read.count", now.reads)
        .with("system.diskio.read.bytes", now.read_bytes)
        .with("system.diskio.read.time", now.read_ms)
        .with("system.diskio.write.count", now.writes)
        .with("system.diskio.write.bytes", now.write_bytes)
        .with("system.diskio.write.time", now.write_ms)
        .with("system.diskio.io.time", now.busy_ms)
        .with("system.diskio.io.ops", now.in_flight)
}

/// What the host read and wrote between two samples on the devices that `is_physical`: a mapped device or an array
/// would count the same bytes again.
pub(super) fn summary(
    event: Event,
    now: &Sample,
    before: &Sample,
    is_physical: impl Fn(&str) -> bool,
) -> Event {
    let sum = |counter: fn(&Device) -> u64| -> u64 {
        let disks = now.iter().filter(|(name, _)| is_physical(name));
        let known = disks.filter_map(|(name, now)| Some((now, before.get(name)?)));
        known
            .filter_map(|(now, before)| growth(counter(now), counter(before)))
            .sum()
    };
    event
        .with("host.disk.read.bytes", sum(|device| device.read_bytes))
        .with("host.disk.write.bytes", sum(|device| device.write_bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::host::tests::blank;

    const BEFORE: &str = "   7       0 loop0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n 254       0 vda 100 1 2000 30 40 5 600 70 0 80 90\n 252       0 dm-0 100 1 2000 30 40 5 600 70 0 80 90\n";
    const NOW: &str = " 254       0 vda 110 1 2010 30 40 5 700 70 2 80 90 1 2 3 4 5 6\n 252       0 dm-0 110 1 2010 30 40 5 700 70 0 80 90\n";

    #[test]
    fn counters_per_device() {
        let sample = parse(NOW);
        let document = document(blank(), "vda", &sample["vda"], Some("s1")).document;
        assert_eq!(
            document.get_u64("system.diskio.read.bytes"),
            Some(1_029_120)
        );
        assert_eq!(document.get_u64("system.diskio.write.time"), Some(70));
        assert_eq!(document.get_u64("system.diskio.io.ops"), Some(2));
        assert_eq!(document.get_str("system.diskio.serial_number"), Some("s1"));
        assert_eq!(parse(BEFORE).len(), 2, "unused devices are left out");
        assert!(parse(" 254 0 vda 1 2 x\nnonsense\n").is_empty());
    }

    #[test]
    fn the_same_bytes_count_once_and_never_backwards() {
        let is_physical = |name: &str| name == "vda";
        let document = summary(blank(), &parse(NOW), &parse(BEFORE), is_physical).document;
        assert_eq!(document.get_u64("host.disk.read.bytes"), Some(5_120));
        let document = summary(blank(), &parse(BEFORE), &parse(NOW), is_physical).document;
        assert_eq!(document.get_u64("host.disk.read.bytes"), Some(0));
    }
}
