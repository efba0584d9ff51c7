//! The sets of the machine as a whole.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::Sampler;
use crate::agent::host::{MetricSet, core, cpu, load, memory, uptime, users};
use crate::event::Event;

impl Sampler {
    pub(super) fn read_stat(&mut self) {
        self.stat = self.files.read("proc/stat");
        self.cpu_before = self.cpu.take();
        self.cpu = self.stat.as_deref().and_then(cpu::parse);
    }

    pub(super) fn cores(&self) -> Option<u64> {
        self.cpu.as_ref().map(cpu::Sample::cores)
    }

    pub(super) fn cpu(&self, at: DateTime<Utc>) -> Option<Event> {
        let event = self.event(MetricSet::Cpu, "", at);
        Some(cpu::document(
            event,
            self.cpu.as_ref()?,
            self.cpu_before.as_ref(),
        ))
    }

    pub(super) fn core(&mut self, at: DateTime<Utc>, events: &mut Vec<Event>) {
        let models = core::parse(&self.files.read("proc/cpuinfo").unwrap_or_default());
        let Some(now) = &self.cpu else { return };
        for (number, ticks) in now.by_core() {
            let event = self.event(MetricSet::Core, &number.to_string(), at);
            let before = self.cpu_before.as_ref();
            let before = before.and_then(|before| before.by_core().get(number));
            events.push(core::document(
                event,
                *number,
                ticks,
                before,
                models.get(number),
            ));
        }
    }

    pub(super) fn load(&mut self, at: DateTime<Utc>) -> Option<Event> {
        let now = load::parse(&self.files.read("proc/loadavg")?)?;
        let event = self.event(MetricSet::Load, "", at);
        Some(load::document(event, &now, self.cores()))
    }

    pub(super) fn memory(&mut self, at: DateTime<Utc>) -> Option<Event> {
        let now = memory::parse(&self.files.read("proc/meminfo")?);
        Some(memory::document(
            self.event(MetricSet::Memory, "", at),
            &now,
        ))
    }

    /// A container has no clock of its own: this is the host's.
    pub(super) fn uptime(&self, at: DateTime<Utc>) -> Option<Event> {
        let uptime = Duration::from_secs(sysinfo::System::uptime().ok()?);
        let event = self.event(MetricSet::Uptime, "", at);
        Some(uptime::document(event, uptime))
    }

    pub(super) fn users(&self, at: DateTime<Utc>, events: &mut Vec<Event>) {
        let mut file = Vec::new();
        let mut ids = self.files.volatile_names(SESSIONS);
        // Beside each session lies a pipe that its end is waited for on.
        ids.retain(|id| !id.contains('.'));
        ids.sort_unstable();
        for id in ids {
            let path = format!("{SESSIONS}/{id}");
            if self.files.read_volatile(&path, &mut file).is_err() {
                continue;
            }
            if let Some(session) = users::parse(&String::from_utf8_lossy(&file)) {
                let event = self.event(MetricSet::Users, &id, at);
                events.push(users::document(event, &id, &session));
            }
        }
    }
}

const SESSIONS: &str = "run/systemd/sessions";
