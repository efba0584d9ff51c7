//! A node's traffic: thousands of conversations at once, each saying its next word in turn, sizes from 60 to 1514 bytes.

use std::collections::VecDeque;
use std::net::Ipv4Addr;

use crate::frames::{self, ACK, End, FIN, SYN};
use crate::messages;

/// What was put in, to be found again.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) not_ip: u64,
    pub(crate) dns: u64,
    pub(crate) http: u64,
    pub(crate) tls: u64,
    pub(crate) icmp: u64,
}

impl Known {
    pub(crate) fn line(&self) -> String {
        let Self {
            not_ip,
            dns,
            http,
            tls,
            icmp,
        } = self;
        format!("{not_ip} {dns} {http} {tls} {icmp}")
    }

    pub(crate) fn parse(line: &str) -> Self {
        let mut numbers = line.split_whitespace().map(|text| text.parse().unwrap());
        let mut next = || numbers.next().unwrap();
        Self {
            not_ip: next(),
            dns: next(),
            http: next(),
            tls: next(),
            icmp: next(),
        }
    }
}

pub(crate) struct Traffic {
    dice: u64,
    /// Frames that each conversation still has to say.
    conversations: Vec<VecDeque<Vec<u8>>>,
    began: u32,
    certificate: &'static [u8],
    pub(crate) known: Known,
}

const HOST: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
/// Of a conversation's payload in one segment.
const SEGMENT: usize = 1_460;

impl Traffic {
    pub(crate) fn new(at_once: usize) -> Self {
        Self {
            dice: 0x9e37_79b9_7f4a_7c15,
            conversations: vec![VecDeque::new(); at_once],
            began: 0,
            certificate: include_bytes!("server.der"),
            known: Known::default(),
        }
    }

    pub(crate) fn frame(&mut self) -> Vec<u8> {
        let place = self.below(self.conversations.len());
        if self.conversations[place].is_empty() {
            self.conversations[place] = self.begin().into();
        }
        self.conversations[place]
            .pop_front()
            .unwrap_or_else(frames::arp)
    }

    fn below(&mut self, limit: usize) -> usize {
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        (self.dice >> 11) as usize % limit
    }

    /// An address and a port that were not there yet.
    fn peer(&mut self) -> End {
        self.began += 1;
        let [_, a, b, c] = self.began.to_be_bytes();
        End {
            ip: Ipv4Addr::new(100 + (self.began % 40) as u8, a, b, c),
            port: 20_000 + (self.began % 40_000) as u16,
        }
    }

    /// By conversations; by packets about half is libp2p, a quarter QUIC and discv5, and a quarter the rest.
    fn begin(&mut self) -> Vec<Vec<u8>> {
        let peer = self.peer();
        let ours = |port| End { ip: HOST, port };
        match self.below(100) {
            0..25 => self.gossip(peer, ours(9_000)),
            25..35 => self.quic(peer, ours(9_001)),
            35..60 => self.question(peer, ours(9_000)),
            60..78 => self.name(ours(peer.port), End { port: 53, ..peer }),
            78..88 => self.requests(peer, ours(5_052)),
            88..95 => self.secured(ours(peer.port), End { port: 443, ..peer }),
            95..98 => self.pings(peer),
            98 => vec![frames::tcp(peer, ours(30_303), 1, SYN, &[])],
            _ => {
                self.known.not_ip += 1;
                vec![frames::arp()]
            }
        }
    }

    fn gossip(&mut self, peer: End, ours: End) -> Vec<Vec<u8>> {
        let mut dialogue = Dialogue::open(peer, ours);
        for _ in 0..20 + self.below(60) {
            let is_theirs = self.below(2) == 0;
            let bytes = match self.below(3) {
                0 => 0,
                1 => 60 + self.below(300),
                _ => 500 + self.below(SEGMENT - 500),
            };
            dialogue.say(is_theirs, &vec![0x5a; bytes]);
        }
        dialogue.close()
    }

    fn quic(&mut self, peer: End, ours: End) -> Vec<Vec<u8>> {
        let packets = 10 + self.below(30);
        let packets = (0..packets).map(|number| {
            let payload = vec![0x40; 40 + self.below(1_200)];
            match number % 2 {
                0 => frames::udp(peer, ours, &payload),
                _ => frames::udp(ours, peer, &payload),
            }
        });
        packets.collect()
    }

    fn question(&mut self, peer: End, ours: End) -> Vec<Vec<u8>> {
        let asked = frames::udp(peer, ours, &vec![1; 63 + self.below(200)]);
        let answer = frames::udp(ours, peer, &vec![2; 63 + self.below(1_100)]);
        vec![asked.clone(), answer.clone(), asked, answer]
    }

    fn name(&mut self, ours: End, server: End) -> Vec<Vec<u8>> {
        self.known.dns += 1;
        let name = format!("node-{}.example.org", self.began);
        let question = messages::dns_question(self.began as u16, &name);
        let answer = messages::dns_answer(&question);
        vec![
            frames::udp(ours, server, &question),
            frames::udp(server, ours, &answer),
        ]
    }

    fn requests(&mut self, peer: End, ours: End) -> Vec<Vec<u8>> {
        let mut dialogue = Dialogue::open(peer, ours);
        for number in 0..1 + self.below(8) {
            self.known.http += 1;
            dialogue.say(true, &messages::http_request(number));
            let body = self.below(12_000);
            dialogue.say(false, &messages::http_response(body));
        }
        dialogue.close()
    }

    fn secured(&mut self, ours: End, server: End) -> Vec<Vec<u8>> {
        self.known.tls += 1;
        let mut dialogue = Dialogue::open(ours, server);
        dialogue.say(true, &messages::client_hello());
        dialogue.say(false, &messages::server_flight(self.certificate));
        dialogue.say(true, &messages::finished());
        dialogue.say(false, &messages::finished());
        for _ in 0..self.below(10) {
            dialogue.say(true, &messages::application_data(200));
            let bytes = self.below(8_000);
            dialogue.say(false, &messages::application_data(bytes));
        }
        dialogue.close()
    }

    fn pings(&mut self, peer: End) -> Vec<Vec<u8>> {
        self.known.icmp += 2;
        let echo = |kind, sequence| match kind {
            8 => frames::echo(peer.ip, HOST, kind, peer.port, sequence),
            _ => frames::echo(HOST, peer.ip, kind, peer.port, sequence),
        };
        vec![echo(8, 1), echo(0, 1), echo(8, 2), echo(0, 2)]
    }
}

/// A TCP connection in the making.
struct Dialogue {
    ends: [End; 2],
    sequences: [u32; 2],
    frames: Vec<Vec<u8>>,
}

impl Dialogue {
    fn open(client: End, server: End) -> Self {
        Self {
            ends: [client, server],
            sequences: [1, 1],
            frames: vec![
                frames::tcp(client, server, 0, SYN, &[]),
                frames::tcp(server, client, 0, SYN | ACK, &[]),
                frames::tcp(client, server, 1, ACK, &[]),
            ],
        }
    }

    /// In segments; every second one is acknowledged.
    fn say(&mut self, is_client: bool, payload: &[u8]) {
        let (from, to) = if is_client { (0, 1) } else { (1, 0) };
        let empty = payload.is_empty().then_some(&[][..]);
        for (number, part) in payload.chunks(SEGMENT).chain(empty).enumerate() {
            self.send(from, ACK, part);
            if number % 2 == 1 {
                self.send(to, ACK, &[]);
            }
        }
    }

    fn close(mut self) -> Vec<Vec<u8>> {
        self.send(0, FIN | ACK, &[]);
        self.send(1, FIN | ACK, &[]);
        self.frames
    }

    fn send(&mut self, from: usize, flags: u8, payload: &[u8]) {
        let sequence = self.sequences[from];
        let (sender, receiver) = (self.ends[from], self.ends[1 - from]);
        let frame = frames::tcp(sender, receiver, sequence, flags, payload);
        self.frames.push(frame);
        self.sequences[from] = sequence.wrapping_add(payload.len() as u32);
    }
}
