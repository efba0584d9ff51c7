//! The sets of the network.

use chrono::{DateTime, Utc};

use super::Sampler;
#[cfg(target_os = "linux")]
use crate::agent::host::sock_diag;
use crate::agent::host::{MetricSet, network, network_summary, socket_summary};
use crate::event::Event;

impl Sampler {
    pub(super) fn network(&mut self, at: DateTime<Utc>, events: &mut Vec<Event>) {
        let path = self.files.host_process("net/dev");
        let Some(text) = self.files.read(&path) else {
            return;
        };
        let now = network::parse(&text);
        let used = now.iter().filter(|(_, interface)| interface.is_used());
        events.extend(used.map(|(name, interface)| {
            network::document(self.event(MetricSet::Network, name, at), name, interface)
        }));
        if let Some(before) = &self.network {
            let event = self.event(MetricSet::Network, "", at);
            events.push(network::summary(event, &now, before));
        }
        self.network = Some(now);
    }

    pub(super) fn network_summary(&mut self, at: DateTime<Utc>) -> Option<Event> {
        let mut counters = Vec::new();
        for file in ["net/snmp", "net/netstat"] {
            let path = self.files.host_process(file);
            if let Some(text) = self.files.read(&path) {
                counters.extend(network_summary::parse(&text));
            }
        }
        let event = self.event(MetricSet::NetworkSummary, "", at);
        (!counters.is_empty()).then(|| network_summary::document(event, counters))
    }

    pub(super) fn socket_summary(&mut self, at: DateTime<Utc>) -> Option<Event> {
        let mut now = socket_summary::Sample::default();
        // Netlink speaks of the namespace it is asked in: in a container, not the host's.
        let is_asked = self.files.is_own() && ask(&mut now);
        let mut is_known = is_asked;
        let path = |file: &str| self.files.host_process(file);
        // A host without IPv6 has no tables of it.
        for file in ["net/tcp", "net/tcp6"].iter().filter(|_| !is_asked) {
            let read = self.files.each_line(&path(file), |line| now.add_tcp(line));
            is_known |= read.is_ok();
        }
        for file in ["net/udp", "net/udp6"] {
            let read = self.files.each_line(&path(file), |line| now.add_udp(line));
            is_known |= read.is_ok();
        }
        if !is_known {
            return None;
        }
        let path = self.files.host_process("net/sockstat");
        let memory = socket_summary::parse_memory(&self.files.read(&path).unwrap_or_default());
        let page_bytes = rustix::param::page_size() as u64;
        let event = self.event(MetricSet::SocketSummary, "", at);
        Some(socket_summary::document(event, &now, memory, page_bytes))
    }
}

#[cfg(target_os = "linux")]
fn ask(sample: &mut socket_summary::Sample) -> bool {
    sock_diag::add_tcp(sample).is_ok()
}

#[cfg(not(target_os = "linux"))]
fn ask(_: &mut socket_summary::Sample) -> bool {
    false
}
