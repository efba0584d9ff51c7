//! One sample of every set: reads the files, keeps what the next sample is compared with.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::time::Instant;

use super::files::Files;
use super::{MetricSet, cpu, diskio, filesystem, load, memory, network, process_summary};
use crate::config;
use crate::event::{DocumentId, Event, timestamp};

pub(super) struct Sampler {
    files: Files,
    agent_id: String,
    period: Duration,
    /// File systems are looked at in every n-th sample.
    filesystem_every: u32,
    filesystem_due_in: u32,
    cpu: Option<cpu::Sample>,
    network: Option<network::Sample>,
    diskio: Option<diskio::Sample>,
    /// By device; `None` is remembered too.
    serial_numbers: HashMap<String, Option<String>>,
}

impl Sampler {
    pub(super) fn new(config: &config::Host, period: Duration, agent_id: &str) -> Self {
        let per_filesystem = config
            .filesystem_period
            .as_millis()
            .div_ceil(period.as_millis().max(1));
        Self {
            files: Files::new(&config.hostfs),
            agent_id: agent_id.to_owned(),
            period,
            filesystem_every: u32::try_from(per_filesystem).unwrap_or(u32::MAX).max(1),
            filesystem_due_in: 0,
            cpu: None,
            network: None,
            diskio: None,
            serial_numbers: HashMap::new(),
        }
    }

    pub(super) fn sample(&mut self, at: DateTime<Utc>) -> Vec<Event> {
        let mut events = Vec::new();
        for set in MetricSet::ALL {
            let started = Instant::now();
            let first = events.len();
            match set {
                MetricSet::Cpu => events.extend(self.cpu(at)),
                MetricSet::Load => events.extend(self.load(at)),
                MetricSet::Memory => events.extend(self.memory(at)),
                MetricSet::Network => self.network(at, &mut events),
                MetricSet::Filesystem => self.filesystem(at, &mut events),
                MetricSet::Diskio => self.diskio(at, &mut events),
                MetricSet::ProcessSummary => events.extend(self.process_summary(at)),
            }
            let spent_ns = u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX);
            for event in &mut events[first..] {
                event.document.set("event.duration", spent_ns);
            }
        }
        events
    }

    fn cpu(&mut self, at: DateTime<Utc>) -> Option<Event> {
        let now = cpu::parse(&self.files.read("proc/stat")?)?;
        let event = cpu::document(self.event(MetricSet::Cpu, "", at), &now, self.cpu.as_ref());
        self.cpu = Some(now);
        Some(event)
    }

    fn load(&mut self, at: DateTime<Utc>) -> Option<Event> {
        let now = load::parse(&self.files.read("proc/loadavg")?)?;
        let cores = self.cpu.as_ref().map(cpu::Sample::cores);
        Some(load::document(
            self.event(MetricSet::Load, "", at),
            &now,
            cores,
        ))
    }

    fn memory(&mut self, at: DateTime<Utc>) -> Option<Event> {
        let now = memory::parse(&self.files.read("proc/meminfo")?);
        Some(memory::document(
            self.event(MetricSet::Memory, "", at),
            &now,
        ))
    }

    fn network(&mut self, at: DateTime<Utc>, events: &mut Vec<Event>) {
        let path = self.files.host_process("net/dev");
        let Some(text) = self.files.read(&path) else {
            return;
        };
        let now = network::parse(&text);
        events.extend(now.iter().map(|(name, interface)| {
            network::document(self.event(MetricSet::Network, name, at), name, interface)
        }));
        if let Some(before) = &self.network {
            events.push(network::summary(
                self.event(MetricSet::Network, "", at),
                &now,
                before,
            ));
        }
        self.network = Some(now);
    }

    fn filesystem(&mut self, at: DateTime<Utc>, events: &mut Vec<Event>) {
        if self.filesystem_due_in > 0 {
            self.filesystem_due_in -= 1;
            return;
        }
        self.filesystem_due_in = self.filesystem_every - 1;
        let path = self.files.host_process("mountinfo");
        let Some(mountinfo) = self.files.read(&path) else {
            return;
        };
        let kinds = self.files.read("proc/filesystems").unwrap_or_default();
        for mount in filesystem::parse(&mountinfo, &kinds) {
            let usage = usage(&self.files.full(&mount.mount_point));
            // Without capacity there is nothing to watch: namespaces and other pseudo file systems.
            if usage.is_some_and(|usage| usage.total == 0) {
                continue;
            }
            let mut event = self.event(MetricSet::Filesystem, &mount.mount_point, at);
            let period_ms = self
                .period_ms()
                .saturating_mul(u64::from(self.filesystem_every));
            event.document.set("metricset.period", period_ms);
            events.push(filesystem::document(event, &mount, usage));
        }
    }

    fn diskio(&mut self, at: DateTime<Utc>, events: &mut Vec<Event>) {
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
            events.push(diskio::document(
                event,
                name,
                device,
                serial_number.as_deref(),
            ));
        }
        if let Some(before) = &self.diskio {
            let event = self.event(MetricSet::Diskio, "", at);
            let any_is_physical = now.keys().any(|name| self.is_physical(name));
            let is_physical = |name: &str| !any_is_physical || self.is_physical(name);
            events.push(diskio::summary(event, &now, before, is_physical));
        }
        self.diskio = Some(now);
    }

    fn process_summary(&mut self, at: DateTime<Utc>) -> Option<Event> {
        let names = self.files.names("proc")?;
        let mut summary = process_summary::Sample::default();
        let mut stat = Vec::with_capacity(512);
        for pid in names
            .iter()
            .filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
        {
            // A process that has ended since the listing is not counted.
            if self
                .files
                .read_volatile(&format!("proc/{pid}/stat"), &mut stat)
                .is_ok()
            {
                summary.add(&stat);
            }
        }
        let threads = process_summary::threads(&self.files.read("proc/stat").unwrap_or_default());
        let event = self.event(MetricSet::ProcessSummary, "", at);
        Some(process_summary::document(event, &summary, threads))
    }

    /// `entity` tells the documents of one set and sample apart: a disk, an interface, a mount point.
    fn event(&self, set: MetricSet, entity: &str, at: DateTime<Utc>) -> Event {
        let stream = set.stream();
        let id = DocumentId::of(&[&self.agent_id, stream.dataset(), entity, &timestamp(at)]);
        Event::new(stream, id, at)
            .with("event.kind", "metric")
            .with("event.module", stream.module())
            .with("event.dataset", stream.dataset())
            .with("metricset.name", set.name())
            .with("metricset.period", self.period_ms())
            .with("service.type", "system")
    }

    fn period_ms(&self) -> u64 {
        u64::try_from(self.period.as_millis()).unwrap_or(u64::MAX)
    }

    /// Mapped devices and arrays have no hardware behind them of their own.
    fn is_physical(&self, disk: &str) -> bool {
        self.files.exists(&format!("sys/block/{disk}/device"))
    }

    fn serial_number(&mut self, disk: &str) -> Option<String> {
        if let Some(known) = self.serial_numbers.get(disk) {
            return known.clone();
        }
        let mut text = Vec::new();
        let places = [
            format!("sys/block/{disk}/serial"),
            format!("sys/block/{disk}/device/serial"),
        ];
        let found = places
            .iter()
            .find(|place| self.files.read_volatile(place, &mut text).is_ok());
        let serial_number = String::from_utf8_lossy(&text).trim().to_owned();
        let serial_number = Some(serial_number).filter(|text| found.is_some() && !text.is_empty());
        self.serial_numbers
            .insert(disk.to_owned(), serial_number.clone());
        serial_number
    }
}

fn usage(mount_point: &Path) -> Option<filesystem::Usage> {
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
