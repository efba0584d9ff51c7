//! The sets of the network.

use chrono::{DateTime, Utc};

use super::Sampler;
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
        let path = |file: &str| self.files.host_process(file);
        let tcp = self
            .files
            .each_line(&path("net/tcp"), |line| now.add_tcp(line));
        // A host without IPv6 has no tables of it.
        let tcp6 = self
            .files
            .each_line(&path("net/tcp6"), |line| now.add_tcp(line));
        let read_udp = |now: &mut socket_summary::Sample, file| {
            self.files
                .each_line(&path(file), |line| now.add_udp(line))
                .is_ok()
        };
        let udp = ["net/udp", "net/udp6"].map(|file| read_udp(&mut now, file));
        if tcp.is_err() && tcp6.is_err() && udp == [false, false] {
            return None;
        }
        let path = self.files.host_process("net/sockstat");
        let memory = socket_summary::parse_memory(&self.files.read(&path).unwrap_or_default());
        let page_bytes = rustix::param::page_size() as u64;
        let event = self.event(MetricSet::SocketSummary, "", at);
        Some(socket_summary::document(event, &now, memory, page_bytes))
    }
}
