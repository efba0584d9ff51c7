//! What looks into packets beyond their headers. A decoder's bug costs one packet or conversation, never the agent.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::address::Side;
use super::decode::Transport;
use super::dns::Dns;
use super::flow::Flow;
use super::icmp::Pings;
use super::label::Label;
use super::sip;
use super::stats::Stats;
use super::talk::{Conversation, Look};
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
        let is_of_interest = match transport {
            Transport::Tcp(_) => !matches!(flow.look, Look::Away),
            Transport::Udp(_) => matches!(flow.label, Label::Dns | Label::Sip),
            Transport::Icmp(_) => true,
            Transport::Other => false,
        };
        if !is_of_interest {
            return;
        }
        let held = flow.look.counted();
        let looked = catch_unwind(AssertUnwindSafe(|| {
            self.decode(flow, from, transport, missing, scene);
        }));
        if looked.is_err() {
            scene.stats.decoder_panics += 1;
            flow.look = Look::Away;
        }
        let holds = flow.look.count();
        self.held_bytes = (self.held_bytes + holds).saturating_sub(held);
        if self.held_bytes > MOST_HELD_BYTES && holds > 0 {
            self.held_bytes -= holds;
            flow.look = Look::Away;
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
                let Some(conversation) = flow.look.at(flow.label, from, tcp, missing) else {
                    return;
                };
                conversation.segment(from, tcp, missing, &mut self.dns, scene);
                if conversation.is_done() {
                    flow.look = Look::Away;
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
    pub fn end(&mut self, conversation: &mut Conversation, scene: &mut Scene<'_>) {
        self.held_bytes = self.held_bytes.saturating_sub(conversation.counted());
        let dns = &mut self.dns;
        let looked = catch_unwind(AssertUnwindSafe(|| conversation.end(dns, scene)));
        scene.stats.decoder_panics += u64::from(looked.is_err());
    }

    /// Questions asked before the time given will not be answered. At most so many at once; whether there are more.
    pub fn expire(
        &mut self,
        before: i64,
        most: usize,
        setting: &Setting,
        now: i64,
        stats: &mut Stats,
        out: &mut Vec<Event>,
    ) -> bool {
        for _ in 0..most {
            let name = self.dns.expired(before);
            let ping = match name {
                Some(_) => None,
                None => self.pings.expired(before),
            };
            let keys = [
                name.as_ref().map(|(key, _)| *key),
                ping.as_ref().map(|(key, _)| *key),
            ];
            let Some(key) = keys.into_iter().flatten().next() else {
                return false;
            };
            let mut scene = Scene {
                setting,
                key,
                client: Side::Low,
                icmp: (0, 0),
                at: now,
                stats: &mut *stats,
                out: &mut *out,
            };
            if let Some((_, asked)) = name {
                asked.unanswered(&mut scene);
            }
            if let Some((_, asked)) = ping {
                asked.unanswered(&mut scene);
            }
        }
        true
    }
}
