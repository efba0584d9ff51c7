//! A TCP connection that is looked into: both directions in order, and the decoder of its protocol.

use super::address::Side;
use super::decode::{RST, SYN, TCP, Tcp};
use super::dns::{self, Dns};
use super::http::Http;
use super::label::Label;
use super::sip;
use super::stream::{Piece, Stream};
use super::tls::Tls;
use super::transaction::Scene;

pub struct Conversation {
    streams: [Stream; 2],
    talk: Talk,
    /// Bytes that it held when they were last counted.
    counted: usize,
}

/// One variant per protocol on TCP.
enum Talk {
    Dns(dns::Frames),
    Http(Box<Http>),
    Sip(sip::Frames),
    Tls(Box<Tls>),
}

/// How far a TCP connection is looked into.
pub enum Look {
    /// Nothing was said yet; the sequence numbers that come next, where they are known.
    Waits([Option<u32>; 2]),
    Into(Box<Conversation>),
    /// Its protocol is not looked into, or no more.
    Away,
}

impl Look {
    pub fn begin(protocol: u8, label: Label) -> Self {
        match protocol == TCP && Talk::is_of(label) {
            true => Self::Waits([None; 2]),
            false => Self::Away,
        }
    }

    /// Bytes held now, about.
    pub fn count(&mut self) -> usize {
        if let Self::Into(conversation) = self {
            conversation.counted = conversation.memory();
        }
        self.counted()
    }

    /// Bytes held when they were last counted.
    pub fn counted(&self) -> usize {
        match self {
            Self::Into(conversation) => conversation.counted,
            Self::Waits(_) | Self::Away => 0,
        }
    }

    /// The conversation that a segment belongs to. Until something is said a connection costs nothing, so that a flood
    /// of them costs little.
    pub fn at(
        &mut self,
        label: Label,
        from: Side,
        tcp: &Tcp<'_>,
        missing: u32,
    ) -> Option<&mut Conversation> {
        if let Self::Waits(next) = self {
            if tcp.flags & SYN != 0 {
                next[from as usize] = Some(tcp.sequence.wrapping_add(1));
            }
            if tcp.payload.is_empty() && missing == 0 {
                return None;
            }
            *self = match Conversation::new(label, *next) {
                Some(conversation) => Self::Into(Box::new(conversation)),
                None => Self::Away,
            };
        }
        match self {
            Self::Into(conversation) => Some(conversation),
            Self::Waits(_) | Self::Away => None,
        }
    }
}

impl Conversation {
    /// `None` where a protocol is not looked into.
    pub fn new(label: Label, next: [Option<u32>; 2]) -> Option<Self> {
        Some(Self {
            streams: next.map(Stream::new),
            talk: Talk::new(label)?,
            counted: 0,
        })
    }
    pub fn segment(
        &mut self,
        from: Side,
        tcp: &Tcp<'_>,
        missing: u32,
        dns: &mut Dns,
        scene: &mut Scene<'_>,
    ) {
        let Self { streams, talk, .. } = self;
        let stream = &mut streams[from as usize];
        let mut sequence = tcp.sequence;
        if tcp.flags & SYN != 0 {
            stream.begin(sequence);
            sequence = sequence.wrapping_add(1);
        }
        if tcp.flags & RST != 0 {
            return;
        }
        if !tcp.payload.is_empty() || missing > 0 || stream.held_bytes() > 0 {
            let at = scene.at;
            stream.segment(at, sequence, tcp.payload, missing, &mut |piece| {
                talk.take(from, piece, dns, scene);
            });
        }
    }

    /// No more will come: what is held is delivered, what is unfinished is reported.
    pub fn end(&mut self, dns: &mut Dns, scene: &mut Scene<'_>) {
        let Self { streams, talk, .. } = self;
        for from in Side::BOTH {
            let stream = &mut streams[from as usize];
            while stream.held_bytes() > 0 {
                stream.give_up_hole(&mut |piece| talk.take(from, piece, dns, scene));
            }
        }
        talk.end(scene);
    }

    /// Nothing of interest will come: the rest need not be put in order.
    pub fn is_done(&self) -> bool {
        match &self.talk {
            Talk::Dns(frames) => frames.is_done(),
            Talk::Http(http) => http.is_done(),
            Talk::Sip(frames) => frames.is_done(),
            Talk::Tls(tls) => tls.is_done(),
        }
    }

    pub fn counted(&self) -> usize {
        self.counted
    }

    /// Bytes held, about.
    pub fn memory(&self) -> usize {
        let held: usize = self.streams.iter().map(Stream::held_bytes).sum();
        held + match &self.talk {
            Talk::Dns(frames) => frames.memory(),
            Talk::Http(http) => http.memory(),
            Talk::Sip(frames) => frames.memory(),
            Talk::Tls(tls) => tls.memory(),
        }
    }
}

impl Talk {
    fn is_of(label: Label) -> bool {
        use Label::{BeaconApi, Dns, EngineApi, Http, Sip, Tls};
        matches!(label, Dns | Http | BeaconApi | EngineApi | Sip | Tls)
    }

    fn new(label: Label) -> Option<Self> {
        Some(match label {
            Label::Dns => Self::Dns(dns::Frames::default()),
            Label::Http | Label::BeaconApi | Label::EngineApi => Self::Http(Box::default()),
            Label::Sip => Self::Sip(sip::Frames::default()),
            Label::Tls => Self::Tls(Box::default()),
            _ => return None,
        })
    }

    fn take(&mut self, from: Side, piece: Piece<'_>, dns: &mut Dns, scene: &mut Scene<'_>) {
        if let Piece::Gap(bytes) = piece {
            scene.stats.tcp_gap_bytes += u64::from(bytes);
        }
        match self {
            Self::Dns(frames) => frames.data(from, piece, dns, scene),
            Self::Http(http) => http.data(from, piece, scene),
            Self::Sip(frames) => frames.data(from, piece, scene),
            Self::Tls(tls) => tls.data(from, piece, scene),
        }
    }

    fn end(&mut self, scene: &mut Scene<'_>) {
        match self {
            Self::Dns(_) | Self::Sip(_) => {}
            Self::Http(http) => http.end(scene),
            Self::Tls(tls) => tls.end(scene),
        }
    }
}
