//! What looks into packets beyond their headers. A decoder's bug costs one packet or conversation, never the agent.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::address::{FlowKey, Side};
use super::decode::Transport;
use super::dns::Dns;
use super::flow::Flow;
use super::icmp::Pings;
use super::label::Label;
use super::sip;
use super::stats::Stats;
use super::talk::Conversation;
use super::transaction::{Scene, Setting};
use crate::event::Event;

/// What all conversations may hold together.
const MOST_HELD_BYTES: usize = 32 << 20;

/// What they remember between packets; the rest is in each flow's conversation.
#[derive(Default)]
pub struct Decoders {
    dns: Dns,
    pings: Pings,
    held_bytes: usize,
}

impl Decoders {
    /// `missing` bytes at the packet's end were not captured.
    pub fn look_into(
        &mut self,
        flow: &mut Flow,
        from: Side,
        transport: &Transport<'_>,
        missing: u32,
        scene: &mut Scene<'_>,
    ) {
        let held = memory(flow);
        let looked = catch_unwind(AssertUnwindSafe(|| {
            self.decode(flow, from, transport, missing, scene);
        }));
        if looked.is_err() {
            scene.stats.decoder_panics += 1;
            flow.conversation = None;
        }
        let holds = memory(flow);
        self.held_bytes = (self.held_bytes + holds).saturating_sub(held);
        if self.held_bytes > MOST_HELD_BYTES && holds > 0 {
            self.held_bytes -= holds;
            flow.conversation = None;
            scene.stats.conversations_dropped += 1;
        }
    }

    fn decode(
        &mut self,
        flow: &mut Flow,
        from: Side,
        transport: &Transport<'_>,
        missing: u32,
        scene: &mut Scene<'_>,
    ) {
        match transport {
            Transport::Tcp(tcp) => {
                let Some(conversation) = &mut flow.conversation else {
                    return;
                };
                conversation.segment(from, tcp, missing, &mut self.dns, scene);
                if conversation.is_done() {
                    flow.conversation = None;
                }
            }
            Transport::Udp(udp) if flow.label == Label::Dns => {
                self.dns.message(from, udp.payload, scene);
            }
            Transport::Udp(udp) if flow.label == Label::Sip => {
                sip::message(from, udp.payload, scene);
            }
            Transport::Icmp(icmp) => self.pings.message(from, icmp, scene),
            Transport::Udp(_) | Transport::Other => {}
        }
    }

    /// A flow is over.
    pub fn end(&mut self, mut conversation: Box<Conversation>, scene: &mut Scene<'_>) {
        self.held_bytes = self.held_bytes.saturating_sub(conversation.memory());
        let dns = &mut self.dns;
        let looked = catch_unwind(AssertUnwindSafe(|| conversation.end(dns, scene)));
        scene.stats.decoder_panics += u64::from(looked.is_err());
    }

    /// Questions asked before the time given will not be answered.
    pub fn expire(
        &mut self,
        before: i64,
        now: i64,
        setting: &Setting,
        stats: &mut Stats,
        out: &mut Vec<Event>,
    ) {
        let mut with_scene = |key: FlowKey, report: &dyn Fn(&mut Scene<'_>)| {
            report(&mut Scene {
                setting,
                key,
                client: Side::Low,
                icmp: (0, 0),
                at: now,
                stats: &mut *stats,
                out: &mut *out,
            });
        };
        while let Some((key, asked)) = self.dns.expired(before) {
            with_scene(key, &|scene| asked.unanswered(scene));
        }
        while let Some((key, asked)) = self.pings.expired(before) {
            with_scene(key, &|scene| asked.unanswered(scene));
        }
    }
}

fn memory(flow: &Flow) -> usize {
    flow.conversation.as_ref().map_or(0, |held| held.memory())
}
