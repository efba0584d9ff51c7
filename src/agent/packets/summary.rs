//! Each period's sums by protocol and port, and by peer: enough to see a flood begin.

use std::collections::HashMap;

use serde_json::json;

use super::address::Address;
use super::flow::{Counts, Flow, Phase};
use super::label::Label;
use super::stats::Stats;
use super::transaction::{Setting, nanos, transport_name};
use crate::event::{DataStream, DocumentId, Event, timestamp};

/// Peers remembered within one period.
const MOST_PEERS: usize = 20_000;

pub struct Summary {
    lines: Vec<Line>,
    by_port: HashMap<(Label, u8, Option<u16>), u16>,
    peers: HashMap<Address, Peer>,
    since: i64,
    before: Stats,
}

/// One protocol on one port.
#[derive(Debug)]
struct Line {
    label: Label,
    protocol: u8,
    port: Option<u16>,
    /// New flows, by who began.
    inbound: u64,
    outbound: u64,
    /// First SYNs that got RST, and those that got nothing.
    refused: u64,
    unanswered: u64,
    /// Now: first SYNs that wait for an answer, and answered ones that wait for the last ACK.
    waiting: u64,
    half_open: u64,
    from_peers: Counts,
    to_peers: Counts,
}

#[derive(Debug, Default, Clone, Copy)]
struct Peer {
    opened: u64,
    from: Counts,
    to: Counts,
}

impl Peer {
    fn packets(&self) -> u64 {
        self.from.packets + self.to.packets
    }
}

impl Default for Summary {
    fn default() -> Self {
        Self {
            lines: Vec::new(),
            by_port: HashMap::new(),
            peers: HashMap::new(),
            since: i64::MIN,
            before: Stats::default(),
        }
    }
}

impl Summary {
    /// The line of a protocol and port; as many as ports are configured, and one per protocol for the rest.
    pub fn line(&mut self, label: Label, protocol: u8, port: Option<u16>) -> u16 {
        let lines = &mut self.lines;
        *self
            .by_port
            .entry((label, protocol, port))
            .or_insert_with(|| {
                lines.push(Line {
                    label,
                    protocol,
                    port,
                    inbound: 0,
                    outbound: 0,
                    refused: 0,
                    unanswered: 0,
                    waiting: 0,
                    half_open: 0,
                    from_peers: Counts::default(),
                    to_peers: Counts::default(),
                });
                (lines.len() - 1) as u16
            })
    }

    pub fn opened(&mut self, flow: &Flow) {
        let Some(line) = self.lines.get_mut(usize::from(flow.line)) else {
            return;
        };
        match flow.opener == flow.peer {
            true => line.inbound += 1,
            false => line.outbound += 1,
        }
        enter(line, flow.phase, 1);
    }

    pub fn packet(&mut self, line: u16, is_from_peer: bool, counts: Counts) {
        if let Some(line) = self.lines.get_mut(usize::from(line)) {
            let sum = match is_from_peer {
                true => &mut line.from_peers,
                false => &mut line.to_peers,
            };
            add(sum, counts);
        }
    }

    pub fn moved(&mut self, line: u16, from: Phase, to: Phase) {
        if let Some(line) = self.lines.get_mut(usize::from(line)) {
            enter(line, from, -1);
            enter(line, to, 1);
            line.refused += u64::from(to == Phase::Refused);
        }
    }

    pub fn ended(&mut self, flow: &Flow) {
        if let Some(line) = self.lines.get_mut(usize::from(flow.line)) {
            enter(line, flow.phase, -1);
            line.unanswered += u64::from(flow.phase == Phase::Asked);
        }
    }

    /// Adds what a flow is about to report to its peer.
    pub fn reported(&mut self, flow: &Flow, stats: &mut Stats) {
        let address = flow.key.end(flow.peer).address;
        if self.peers.len() >= MOST_PEERS && !self.peers.contains_key(&address) {
            stats.peers_dropped += 1;
            return;
        }
        let peer = self.peers.entry(address).or_default();
        peer.opened += u64::from(flow.reports == 0 && flow.opener == flow.peer);
        add(&mut peer.from, flow.counts[flow.peer as usize]);
        add(&mut peer.to, flow.counts[flow.peer.other() as usize]);
    }

    /// The sums of a period that is over, which begin anew.
    pub fn take(
        &mut self,
        now: i64,
        period: i64,
        setting: &Setting,
        stats: &Stats,
        flows: usize,
        out: &mut Vec<Event>,
    ) {
        if self.since == i64::MIN {
            self.since = now;
        }
        if now.saturating_sub(self.since) < period {
            return;
        }
        self.force(now, setting, stats, flows, out);
    }

    pub fn force(
        &mut self,
        now: i64,
        setting: &Setting,
        stats: &Stats,
        flows: usize,
        out: &mut Vec<Event>,
    ) {
        let passed = now.saturating_sub(self.since).max(1);
        let event = |action: &str, what: &str| {
            let at = nanos(now);
            let id = [
                &setting.agent_id,
                &setting.interface,
                action,
                what,
                &timestamp(at),
            ];
            Event::new(DataStream::Traffic, DocumentId::of(&id), at)
                .with("event.kind", "metric")
                .with("event.action", action)
                .with("event.duration", passed)
                .with("ethereum.traffic.interface", setting.interface.as_str())
        };
        for line in self.lines.iter_mut().filter(|line| !line.is_quiet()) {
            let transport = match transport_name(line.protocol) {
                Some(name) => name.to_owned(),
                None => line.protocol.to_string(),
            };
            let what = format!("{} {transport} {:?}", line.label.name(), line.port);
            let mut traffic = line.figures(passed);
            traffic["interface"] = setting.interface.as_str().into();
            out.push(
                event("protocol", &what)
                    .with("network.application", line.label.name())
                    .with("network.transport", transport)
                    .with("ethereum.traffic", traffic),
            );
            line.begin_anew();
        }
        let mut peers: Vec<_> = self.peers.drain().collect();
        let busiest = setting.config.top_peers.min(peers.len());
        let order = |(address, peer): &(Address, Peer)| (u64::MAX - peer.packets(), *address);
        if busiest > 0 {
            peers.select_nth_unstable_by_key(busiest - 1, order);
        }
        for (address, peer) in &peers[..busiest] {
            let ip = address.ip().to_string();
            let traffic = json!({
                "interface": setting.interface,
                "peer": {"ip": ip},
                "peers": peers.len(),
                "inbound": {"opened": peer.opened},
                "in": {"packets": peer.from.packets, "bytes": peer.from.bytes},
                "out": {"packets": peer.to.packets, "bytes": peer.to.bytes},
            });
            out.push(event("peer", &ip).with("ethereum.traffic", traffic));
        }
        let since = |count: fn(&Stats) -> u64| count(stats) - count(&self.before);
        let capture = json!({
            "packets": since(|stats| stats.packets),
            "kernel_dropped": since(|stats| stats.kernel_dropped),
            "interface_dropped": since(|stats| stats.interface_dropped),
            "malformed": since(|stats| stats.malformed + stats.transport_malformed),
            "undecoded": since(|stats| stats.undecoded),
            "evicted_flows": since(|stats| stats.evicted_flows),
            "events_dropped": since(|stats| stats.events_dropped),
            "tcp_gap_bytes": since(|stats| stats.tcp_gap_bytes),
            "flows": flows,
        });
        out.push(event("capture", "").with("ethereum.traffic.capture", capture));
        self.before = *stats;
        self.since = now;
    }
}

impl Line {
    fn is_quiet(&self) -> bool {
        let sums = [
            self.from_peers.packets,
            self.to_peers.packets,
            self.unanswered,
        ];
        sums == [0; 3] && self.waiting == 0 && self.half_open == 0
    }

    fn figures(&self, passed: i64) -> serde_json::Value {
        let seconds = passed as f64 / 1e9;
        let per_second = (self.inbound as f64 / seconds * 1000.0).round() / 1000.0;
        let mut figures = json!({
            "inbound": {"opened": self.inbound, "opened_per_s": per_second},
            "outbound": {"opened": self.outbound},
            "refused": self.refused,
            "unanswered": self.unanswered,
            "waiting": self.waiting,
            "half_open": self.half_open,
            "in": {"packets": self.from_peers.packets, "bytes": self.from_peers.bytes},
            "out": {"packets": self.to_peers.packets, "bytes": self.to_peers.bytes},
        });
        if let Some(port) = self.port {
            figures["port"] = port.into();
        }
        figures
    }

    /// What is so now stays.
    fn begin_anew(&mut self) {
        (self.inbound, self.outbound, self.refused, self.unanswered) = (0, 0, 0, 0);
        (self.from_peers, self.to_peers) = Default::default();
    }
}

fn enter(line: &mut Line, phase: Phase, step: i64) {
    let gauge = match phase {
        Phase::Asked => &mut line.waiting,
        Phase::Answered => &mut line.half_open,
        _ => return,
    };
    *gauge = gauge.saturating_add_signed(step);
}

fn add(sum: &mut Counts, counts: Counts) {
    sum.packets += counts.packets;
    sum.bytes += counts.bytes;
}
