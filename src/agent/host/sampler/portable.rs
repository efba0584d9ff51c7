//! Other systems than Linux: what `sysinfo` can tell, under the same names. The sets it lacks are left out there.

use chrono::{DateTime, Utc};
use sysinfo::{Disks, Networks, System};
use tokio::time::Instant;

use super::{Sampler, took};
use crate::agent::host::network::{Counters, Interface};
use crate::agent::host::{MetricSet, filesystem, fsstat, load, memory, network, rounded};
use crate::event::Event;

#[derive(Default)]
pub(super) struct Portable {
    /// Shares of CPU time are since its last look.
    system: Option<System>,
}

impl Portable {
    pub(super) fn sample(
        &mut self,
        sampler: &Sampler,
        sets: &[MetricSet],
        at: DateTime<Utc>,
        events: &mut Vec<Event>,
    ) {
        for set in sets {
            let started = Instant::now();
            let first = events.len();
            match set {
                MetricSet::Cpu => events.extend(self.cpu(sampler, at)),
                MetricSet::Load => events.extend(load_averages(sampler, at)),
                MetricSet::Memory => events.extend(memory_in_use(sampler, at)),
                MetricSet::Network => interfaces(sampler, at, events),
                MetricSet::Filesystem => file_systems(sampler, at, events),
                MetricSet::Fsstat => events.extend(all_file_systems(sampler, at)),
                MetricSet::Uptime => events.extend(sampler.uptime(at)),
                _ => {}
            }
            took(&mut events[first..], started);
        }
    }

    fn cpu(&mut self, sampler: &Sampler, at: DateTime<Utc>) -> Option<Event> {
        let is_first = self.system.is_none();
        let mut system = match self.system.take() {
            Some(system) => system,
            None => System::new().ok()?,
        };
        system.refresh_cpu_usage();
        let cores = system.cpus().len().max(1);
        let norm = f64::from(system.global_cpu_usage()) / 100.0;
        self.system = Some(system);
        let event = sampler.event(MetricSet::Cpu, "", at);
        let event = event.with("system.cpu.cores", cores);
        if is_first {
            return Some(event);
        }
        Some(
            event
                .with("system.cpu.total.pct", rounded(norm * cores as f64))
                .with("system.cpu.total.norm.pct", rounded(norm))
                .with("host.cpu.usage", rounded(norm)),
        )
    }
}

fn load_averages(sampler: &Sampler, at: DateTime<Utc>) -> Option<Event> {
    let load = System::load_average().ok()?;
    let cores = std::thread::available_parallelism().ok();
    let now = load::Sample([load.one, load.five, load.fifteen]);
    let event = sampler.event(MetricSet::Load, "", at);
    Some(load::document(
        event,
        &now,
        cores.map(|cores| cores.get() as u64),
    ))
}

fn memory_in_use(sampler: &Sampler, at: DateTime<Utc>) -> Option<Event> {
    let mut system = System::new().ok()?;
    system.refresh_memory();
    let now = memory::Sample {
        total: Some(system.total_memory()),
        free: Some(system.free_memory()),
        cached: None,
        available: Some(system.available_memory()),
        swap_total: Some(system.total_swap()),
        swap_free: Some(system.free_swap()),
    };
    Some(memory::document(
        sampler.event(MetricSet::Memory, "", at),
        &now,
    ))
}

fn interfaces(sampler: &Sampler, at: DateTime<Utc>, events: &mut Vec<Event>) {
    let Ok(networks) = Networks::new_with_refreshed_list() else {
        return;
    };
    let mut networks: Vec<_> = networks.iter().collect();
    networks.sort_unstable_by_key(|(name, _)| *name);
    for (name, data) in networks {
        let now = Interface {
            ingress: Counters {
                bytes: data.total_received(),
                packets: data.total_packets_received(),
                errors: data.total_errors_on_received(),
                dropped: None,
            },
            egress: Counters {
                bytes: data.total_transmitted(),
                packets: data.total_packets_transmitted(),
                errors: data.total_errors_on_transmitted(),
                dropped: None,
            },
        };
        if now.is_used() {
            let name = &name.to_string_lossy();
            let event = sampler.event(MetricSet::Network, name, at);
            events.push(network::document(event, name, &now));
        }
    }
}

fn file_systems(sampler: &Sampler, at: DateTime<Utc>, events: &mut Vec<Event>) {
    for disk in disks() {
        let mount_point = disk.mount_point().display().to_string();
        let event = sampler.event(MetricSet::Filesystem, &mount_point, at);
        let mount = filesystem::Mount {
            device: String::new(),
            mount_point,
            device_name: disk.name().to_string_lossy().into_owned(),
            kind: disk.file_system().to_string_lossy().into_owned(),
            options: if disk.is_read_only() { "ro" } else { "rw" }.to_owned(),
        };
        let usage = super::storage::usage(disk.mount_point());
        events.push(filesystem::document(event, &mount, usage));
    }
}

fn all_file_systems(sampler: &Sampler, at: DateTime<Utc>) -> Option<Event> {
    let disks = disks();
    let usages = disks
        .iter()
        .filter_map(|disk| super::storage::usage(disk.mount_point()));
    let usages: Vec<_> = usages.collect();
    let event = sampler.event(MetricSet::Fsstat, "", at);
    (!usages.is_empty()).then(|| fsstat::document(event, &usages))
}

fn disks() -> Vec<sysinfo::Disk> {
    let disks = Disks::new_with_refreshed_list();
    disks.map_or_else(|_| Vec::new(), Vec::from)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use chrono::TimeDelta;

    use super::*;
    use crate::agent::host::tests::sampler;
    use crate::setup::assert_accepted;

    fn sample(portable: &mut Portable, sets: &[MetricSet], seconds: i64) -> Vec<Event> {
        let at = DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds);
        let mut events = Vec::new();
        portable.sample(&sampler(Path::new("/")), sets, at, &mut events);
        assert_accepted(&events);
        events
    }

    /// Another reading of this machine: names, units and what does not move.
    #[test]
    fn other_systems_use_the_same_names_and_units() {
        let mut portable = Portable::default();
        let first = sample(&mut portable, &[MetricSet::Cpu], 0);
        assert_eq!(first[0].document.get("host.cpu.usage"), None, "one sample");
        let theirs = sample(&mut portable, &MetricSet::ALL, 10);
        let usage = theirs[0].document.get_f64("host.cpu.usage").unwrap();
        assert!((0.0..=1.0).contains(&usage), "{usage}");

        let ours = sampler(Path::new("/")).sample_sets(&MetricSet::ALL, DateTime::UNIX_EPOCH);
        for (set, field) in [
            (MetricSet::Cpu, "system.cpu.cores"),
            (MetricSet::Load, "system.load.cores"),
            (MetricSet::Memory, "system.memory.total"),
            (MetricSet::Memory, "system.memory.swap.total"),
        ] {
            let value = |events: &[Event]| {
                let mut of_set = events.iter().filter(|event| event.stream == set.stream());
                of_set.find_map(|event| event.document.get_u64(field))
            };
            assert_eq!(value(&theirs), value(&ours), "{field}");
            assert!(value(&ours).is_some(), "{field}");
        }
        // No field is made up, and no interface has another name.
        for event in &theirs {
            let same = |one: &&Event| {
                let name = |event: &Event| event.document.get("system.network.name").cloned();
                one.stream == event.stream && name(one) == name(event)
            };
            assert!(ours.iter().any(|one| same(&one)), "{:?}", event.stream);
        }
    }
}
