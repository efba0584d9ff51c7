//! Frames in, documents out: flows, transactions, summaries. Pure: time comes with the frames, so a live capture, a file and
//! a test are the same code.

use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::address::{FlowKey, Side};
use super::decode::{self, Link, Packet, SYN, TCP, Transport, Undecodable};
use super::decoders::Decoders;
use super::flow::{Counts, End, Flow, Phase};
use super::fragments::Fragments;
use super::label::Labels;
use super::stats::Stats;
use super::summary::Summary;
use super::table::{Slot, Table};
use super::talk::Look;
use super::transaction::{Scene, Setting};
use crate::config;
use crate::event::Event;

/// How often what depends on time alone is looked after.
const HOUSEKEEPING: i64 = 10_000_000;
/// Documents of flows, or of questions, that are made between two packets: more would pile up.
const AT_ONCE: usize = 1_024;
/// A clock that is set back further than this begins a new time.
const STEP_BACK: i64 = 60_000_000_000;
/// A closed connection's late packets still belong to it.
const LINGER: i64 = 2_000_000_000;

pub struct Analyzer {
    setting: Setting,
    labels: Labels,
    table: Table,
    summary: Summary,
    fragments: Fragments,
    decoders: Decoders,
    stats: Stats,
    now: i64,
    tidied_at: i64,
    period: i64,
}

impl Analyzer {
    /// `own` are the host's addresses, `most_flows` this capture's part of the configured number.
    pub fn new(
        config: &config::Packets,
        agent_id: &str,
        interface: &str,
        own: &[IpAddr],
        most_flows: usize,
    ) -> Self {
        let mut networks = config.internal_networks.clone();
        own.iter().for_each(|address| networks.add(*address));
        Self {
            labels: Labels::new(&config.ports),
            table: Table::new(most_flows),
            summary: Summary::default(),
            fragments: Fragments::default(),
            decoders: Decoders::default(),
            stats: Stats::default(),
            now: i64::MIN,
            tidied_at: i64::MIN,
            period: nanoseconds(config.period).max(1_000_000_000),
            setting: Setting {
                agent_id: agent_id.to_owned(),
                interface: interface.to_owned(),
                networks,
                config: config.clone(),
            },
        }
    }

    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// For what the capture itself counts.
    pub fn stats_mut(&mut self) -> &mut Stats {
        &mut self.stats
    }

    pub fn flows(&self) -> usize {
        self.table.flows()
    }

    /// One frame. `at` is in nanoseconds since 1970, `wire_bytes` its length before the capture cut it.
    pub fn frame(
        &mut self,
        link: Link,
        at: i64,
        wire_bytes: u32,
        bytes: &[u8],
        out: &mut Vec<Event>,
    ) {
        self.stats.packets += 1;
        let looked_at = catch_unwind(AssertUnwindSafe(|| {
            self.advance(at, out);
            self.look_at(link, at, wire_bytes, bytes, out);
        }));
        self.stats.decoder_panics += u64::from(looked_at.is_err());
    }

    fn look_at(
        &mut self,
        link: Link,
        at: i64,
        wire_bytes: u32,
        bytes: &[u8],
        out: &mut Vec<Event>,
    ) {
        let packet = match decode::packet(link, bytes) {
            Ok(packet) => packet,
            Err(Undecodable::NotIp) => return self.stats.not_ip += 1,
            Err(Undecodable::Malformed) => return self.stats.malformed += 1,
        };
        if packet.fragment.is_some() {
            self.fragment(at, &packet, wire_bytes, out);
        } else {
            let counts = Counts {
                packets: 1,
                bytes: u64::from(wire_bytes),
            };
            self.datagram(at, &packet, packet.body, counts, true, out);
        }
    }

    /// Time goes on, with or without packets.
    pub fn advance(&mut self, at: i64, out: &mut Vec<Event>) {
        if at >= self.now || self.now.saturating_sub(at) > STEP_BACK {
            self.now = at;
        }
        if self.tidied_at.saturating_add(HOUSEKEEPING) > self.now && self.tidied_at <= self.now {
            return;
        }
        self.give_up_fragments(self.now, out);
        let patience = nanoseconds(self.setting.config.transaction_timeout);
        let before = self.now.saturating_sub(patience);
        let is_behind = self.expire(before, out) | self.sweep(out);
        // What is left is for the next time, which then comes with the next packet.
        self.tidied_at = if is_behind { i64::MIN } else { self.now };
        let (setting, stats, flows) = (&self.setting, &self.stats, self.table.flows());
        self.summary
            .take(self.now, self.period, setting, stats, flows, out);
    }

    /// The capture ends: everything that is open is reported, some at a time. `false` once that was all.
    pub fn finish(&mut self, out: &mut Vec<Event>) -> bool {
        self.give_up_fragments(i64::MAX, out);
        for _ in 0..AT_ONCE {
            match self.table.take_any() {
                Some(flow) => self.ended(flow, End::Stopped, out),
                None if self.expire(i64::MAX, out) => return true,
                None => {
                    if self.now != i64::MIN {
                        let (setting, stats) = (&self.setting, &self.stats);
                        self.summary.force(self.now, setting, stats, 0, out);
                    }
                    return false;
                }
            }
        }
        true
    }

    fn expire(&mut self, before: i64, out: &mut Vec<Event>) -> bool {
        let (setting, stats) = (&self.setting, &mut self.stats);
        self.decoders
            .expire(before, AT_ONCE, setting, self.now, stats, out)
    }

    fn fragment(&mut self, at: i64, packet: &Packet<'_>, wire_bytes: u32, out: &mut Vec<Event>) {
        if let Some((body, counts)) = self.fragments.add(at, packet, wire_bytes) {
            self.datagram(at, packet, &body, counts, true, out);
        } else if self.fragments.is_full() {
            self.give_up_fragments(at, out);
        }
    }

    fn give_up_fragments(&mut self, now: i64, out: &mut Vec<Event>) {
        while let Some(rest) = self.fragments.give_up(now) {
            self.stats.fragments_lost += rest.counts.packets;
            let at = self.now;
            self.datagram(at, &rest.packet, &rest.first, rest.counts, false, out);
        }
    }

    /// A datagram, or with `is_whole` false the beginning of one, which counts as traffic and is not looked into.
    fn datagram(
        &mut self,
        at: i64,
        packet: &Packet<'_>,
        body: &[u8],
        counts: Counts,
        is_whole: bool,
        out: &mut Vec<Event>,
    ) {
        let transport = decode::transport(packet.protocol, body);
        let (ports, flags) = match &transport {
            Transport::Tcp(tcp) => (tcp.ports, tcp.flags),
            Transport::Udp(udp) => (udp.ports, 0),
            Transport::Icmp(icmp) => ([icmp.id; 2], 0),
            Transport::Other => {
                let known = [decode::TCP, decode::UDP, decode::ICMP, decode::ICMPV6];
                self.stats.transport_malformed += u64::from(known.contains(&packet.protocol));
                ([0, 0], 0)
            }
        };
        let (key, side) = FlowKey::new(packet, ports);
        let known = match self.table.find(&key) {
            // The same ports, another connection.
            Some(slot) if flags & SYN != 0 && self.is_over(slot) => {
                self.end(&key, End::Closed, out);
                None
            }
            known => known,
        };
        let is_new = known.is_none();
        let slot = known.unwrap_or_else(|| {
            let flow = self.open(at, key, side, packet, &transport, flags);
            self.summary.opened(&flow);
            let (slot, evicted) = self.table.insert(flow);
            if let Some(evicted) = evicted {
                self.stats.evicted_flows += 1;
                self.ended(evicted, End::Evicted, out);
            }
            slot
        });
        let Some(flow) = self.table.flow(slot) else {
            return;
        };
        flow.last = flow.last.max(at);
        flow.counts[side as usize].packets += counts.packets;
        flow.counts[side as usize].bytes += counts.bytes;
        self.summary.packet(flow.line, side == flow.peer, counts);
        if packet.protocol == TCP && !is_new {
            let after = flow.phase.after(flags, side, flow.opener);
            if after != flow.phase {
                self.summary.moved(flow.line, flow.phase, after);
                flow.phase = after;
            }
        }
        if is_whole {
            let mut scene = Scene {
                setting: &self.setting,
                key,
                client: flow.opener,
                icmp: flow.icmp,
                at,
                stats: &mut self.stats,
                out,
            };
            self.decoders
                .look_into(flow, side, &transport, packet.missing, &mut scene);
        }
    }

    fn is_over(&mut self, slot: Slot) -> bool {
        let flow = self.table.flow(slot);
        flow.is_some_and(|flow| flow.phase.is_over())
    }

    fn open(
        &mut self,
        at: i64,
        key: FlowKey,
        side: Side,
        packet: &Packet<'_>,
        transport: &Transport<'_>,
        flags: u8,
    ) -> Flow {
        let ports = [key.end(Side::Low).port, key.end(Side::High).port];
        let by_sender = match side {
            Side::Low => ports,
            Side::High => [ports[1], ports[0]],
        };
        let (label, listener) = self.labels.find(key.protocol, by_sender);
        let listener = listener.map(|place| if place == 0 { side } else { side.other() });
        let phase = match key.protocol {
            TCP => Phase::first(flags),
            _ => Phase::Unknown,
        };
        let opener = match phase {
            Phase::Asked => side,
            Phase::Answered => side.other(),
            // Its beginning was not seen: who listens has not dialled.
            _ => listener.map_or(side, Side::other),
        };
        let networks = &self.setting.networks;
        let is_inside = |side: Side| networks.contains(key.end(side).address.ip());
        let peer = match (is_inside(Side::Low), is_inside(Side::High)) {
            (true, false) => Side::High,
            (false, true) => Side::Low,
            _ => opener,
        };
        let port = listener.map(|side| key.end(side).port);
        let macs = packet.macs.map(|[from, to]| match side {
            Side::Low => [from, to],
            Side::High => [to, from],
        });
        Flow {
            key,
            opener,
            peer,
            label,
            line: self.summary.line(label, key.protocol, port),
            phase,
            icmp: match transport {
                Transport::Icmp(icmp) => (icmp.kind, icmp.code),
                _ => (0, 0),
            },
            macs,
            started: at,
            last: at,
            counts: Default::default(),
            reports: 0,
            look: Look::begin(key.protocol, label),
        }
    }

    /// Reports and ends flows as their time comes. Whether some have to wait.
    fn sweep(&mut self, out: &mut Vec<Event>) -> bool {
        let timeout = nanoseconds(self.setting.config.flow_timeout);
        let (now, period) = (self.now, self.period);
        let mut ended = Vec::new();
        let Self {
            table,
            summary,
            setting,
            stats,
            ..
        } = self;
        let is_behind = table.sweep(now, period, AT_ONCE, |flow| {
            let silent = now.saturating_sub(flow.last);
            let end = match flow.phase.is_over() {
                true if silent > LINGER => Some(End::Closed),
                _ if silent > timeout => Some(End::Timeout),
                _ => None,
            };
            if let Some(end) = end {
                ended.push((flow.key, end));
            } else if flow.total().packets > 0 {
                summary.reported(flow, stats);
                out.push(flow.report(setting, None));
            }
        });
        for (key, end) in ended {
            self.end(&key, end, out);
        }
        is_behind
    }

    fn end(&mut self, key: &FlowKey, end: End, out: &mut Vec<Event>) {
        if let Some(flow) = self.table.remove(key) {
            self.ended(flow, end, out);
        }
    }

    fn ended(&mut self, mut flow: Flow, end: End, out: &mut Vec<Event>) {
        if let Look::Into(mut conversation) = std::mem::replace(&mut flow.look, Look::Away) {
            let mut scene = Scene {
                setting: &self.setting,
                key: flow.key,
                client: flow.opener,
                icmp: flow.icmp,
                at: flow.last,
                stats: &mut self.stats,
                out,
            };
            self.decoders.end(&mut conversation, &mut scene);
        }
        self.summary.ended(&flow);
        self.summary.reported(&flow, &mut self.stats);
        out.push(flow.report(&self.setting, Some(end)));
    }
}

fn nanoseconds(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}
