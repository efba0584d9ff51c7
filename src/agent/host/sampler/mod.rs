//! One sample of every set that is due: reads the files, keeps what the next sample is compared with.

mod machine;
mod portable;
mod processes;
mod storage;
mod traffic;

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use tokio::time::Instant;

use self::portable::Portable;
use self::processes::Processes;
use super::files::Files;
use super::origin::Origin;
use super::schedule::Schedule;
use super::{MetricSet, cpu, diskio, network};
use crate::config;
use crate::event::Event;

pub struct Sampler {
    files: Files,
    origin: Origin,
    schedule: Schedule,
    /// `/proc/stat` of this sample: several sets look into it.
    stat: Option<String>,
    cpu: Option<cpu::Sample>,
    cpu_before: Option<cpu::Sample>,
    network: Option<network::Sample>,
    diskio: Option<diskio::Sample>,
    /// By device; `None` is remembered too.
    serial_numbers: HashMap<String, Option<String>>,
    processes: Processes,
    /// In place of the kernel's files where there are none.
    portable: Option<Portable>,
}

impl Sampler {
    pub fn new(config: &config::Host, agent_id: &str) -> Self {
        Self {
            files: Files::new(&config.hostfs),
            origin: Origin::new(agent_id),
            schedule: Schedule::new(config),
            stat: None,
            cpu: None,
            cpu_before: None,
            network: None,
            diskio: None,
            serial_numbers: HashMap::new(),
            processes: Processes::new(config),
            portable: (!cfg!(target_os = "linux")).then(Portable::default),
        }
    }

    /// The documents of all sets that are due but `service`, which is asked for and not read.
    pub fn sample(&mut self, at: DateTime<Utc>) -> Vec<Event> {
        let due = self.schedule.due();
        self.sample_sets(&due, at)
    }

    pub(super) fn schedule(&mut self) -> &mut Schedule {
        &mut self.schedule
    }

    pub(super) fn sample_sets(&mut self, sets: &[MetricSet], at: DateTime<Utc>) -> Vec<Event> {
        let mut events = Vec::new();
        if let Some(mut portable) = self.portable.take() {
            portable.sample(self, sets, at, &mut events);
            self.portable = Some(portable);
            return events;
        }
        self.read_stat();
        for set in sets {
            let started = Instant::now();
            let first = events.len();
            match set {
                MetricSet::Cpu => events.extend(self.cpu(at)),
                MetricSet::Core => self.core(at, &mut events),
                MetricSet::Load => events.extend(self.load(at)),
                MetricSet::Memory => events.extend(self.memory(at)),
                MetricSet::Network => self.network(at, &mut events),
                MetricSet::NetworkSummary => events.extend(self.network_summary(at)),
                MetricSet::Filesystem => self.filesystem(at, &mut events),
                MetricSet::Fsstat => events.extend(self.fsstat(at)),
                MetricSet::Diskio => self.diskio(at, &mut events),
                MetricSet::Process => self.process(at, &mut events),
                MetricSet::ProcessSummary => events.extend(self.process_summary(at)),
                MetricSet::SocketSummary => events.extend(self.socket_summary(at)),
                MetricSet::Uptime => events.extend(self.uptime(at)),
                MetricSet::Users => self.users(at, &mut events),
                MetricSet::Service => {}
                MetricSet::Raid => self.raid(at, &mut events),
            }
            took(&mut events[first..], started);
        }
        self.processes.forget_scan();
        events
    }

    fn event(&self, set: MetricSet, entity: &str, at: DateTime<Utc>) -> Event {
        let period = self.schedule.period_of(set);
        self.origin.event(set, entity, at, period)
    }
}

/// Notes on each document of a set how long the set took.
pub(super) fn took(events: &mut [Event], started: Instant) {
    let spent_ns = u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX);
    for event in events {
        event.document.set("event.duration", spent_ns);
    }
}
