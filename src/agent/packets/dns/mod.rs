//! DNS over UDP and TCP: questions with their answers.

pub mod message;
mod names;
#[cfg(test)]
mod tests;

use serde_json::{Map, Value};

use self::message::{Data, Message, Question, Record};
use super::address::{FlowKey, Side};
use super::decode::TCP;
use super::pending::Pending;
use super::stream::Piece;
use super::transaction::{Scene, Span};
use crate::event::{DataStream, Document, Event};

/// Questions that wait at most.
const MOST_PENDING: usize = 10_000;

/// Question and answer have flow and number in common.
pub struct Dns {
    pending: Pending<(FlowKey, u16), Asked>,
}

/// A question that waits.
pub struct Asked {
    at: i64,
    client: Side,
    bytes: u64,
    message: Message,
}

impl Default for Dns {
    fn default() -> Self {
        Self {
            pending: Pending::new(MOST_PENDING),
        }
    }
}

impl Dns {
    /// One message that `from` sent. Returns whether it was one.
    pub fn message(&mut self, from: Side, bytes: &[u8], scene: &mut Scene<'_>) -> bool {
        let Some(mut message) = message::parse(bytes) else {
            scene.stats.undecoded += 1;
            return false;
        };
        let key = (scene.key, message.id);
        let framing = if scene.key.protocol == TCP { 2 } else { 0 };
        let length = bytes.len() as u64 + framing;
        if !message.is_response() {
            // A question has none; what waits has to be small.
            message.answers = Vec::new();
            let asked = Asked {
                at: scene.at,
                client: from,
                bytes: length,
                message,
            };
            if let Some(((key, _), asked)) = self.pending.ask(scene.at, key, asked) {
                scene.stats.pending_dropped += u64::from(key != scene.key);
                asked.unanswered(&mut scene.of(key));
            }
            return true;
        }
        let question = self.pending.answer(&key);
        scene.client = from.other();
        scene.stats.unasked += u64::from(question.is_none());
        let span = Span {
            from: question.as_ref().map_or(scene.at, |asked| asked.at),
            to: scene.at,
            client_bytes: question.as_ref().map_or(0, |asked| asked.bytes),
            server_bytes: length,
        };
        let event = document(scene, span, &message);
        scene.out.push(match question {
            Some(_) => event,
            None => event.with("error.message", "no question to this answer was seen"),
        });
        true
    }

    /// The next question that was asked before the time given.
    pub fn expired(&mut self, before: i64) -> Option<(FlowKey, Asked)> {
        let ((key, _), asked) = self.pending.oldest(before)?;
        Some((key, asked))
    }
}

impl Asked {
    pub fn unanswered(&self, scene: &mut Scene<'_>) {
        scene.stats.unanswered += 1;
        scene.client = self.client;
        let span = Span {
            from: self.at,
            to: self.at,
            client_bytes: self.bytes,
            server_bytes: 0,
        };
        let event = document(scene, span, &self.message);
        let event = event.with("error.message", "no answer was seen");
        scene.out.push(event.with("status", "Error"));
    }
}

/// The two-byte length before each message on TCP.
#[derive(Debug, Default)]
pub struct Frames {
    buffers: [Vec<u8>; 2],
    is_lost: [bool; 2],
}

impl Frames {
    pub fn data(&mut self, from: Side, piece: Piece<'_>, dns: &mut Dns, scene: &mut Scene<'_>) {
        let buffer = &mut self.buffers[from as usize];
        match piece {
            // Where the next message begins is not known any more.
            Piece::Gap(_) => {
                self.is_lost[from as usize] = true;
                *buffer = Vec::new();
            }
            Piece::Data(_) if self.is_lost[from as usize] => {}
            Piece::Data(bytes) => {
                buffer.extend_from_slice(bytes);
                let mut at = 0;
                while let Some(length) = buffer[at..].first_chunk::<2>() {
                    let end = at + 2 + usize::from(u16::from_be_bytes(*length));
                    let Some(message) = buffer.get(at + 2..end) else {
                        break;
                    };
                    if !dns.message(from, message, scene) {
                        self.is_lost[from as usize] = true;
                        break;
                    }
                    at = end;
                }
                buffer.drain(..at);
            }
        }
    }

    pub fn is_done(&self) -> bool {
        self.is_lost == [true; 2]
    }

    pub fn memory(&self) -> usize {
        self.buffers.iter().map(Vec::capacity).sum()
    }
}

fn document(scene: &Scene<'_>, span: Span, message: &Message) -> Event {
    let mut event = scene.event(DataStream::Dns, "dns", span, &message.id.to_string());
    let document = &mut event.document;
    let op_code = names::op_code(message.op_code());
    document.set("dns.id", message.id);
    document.set_text("dns.op_code", &op_code);
    document.set_text("method", &op_code);
    let kind = match message.is_response() {
        true => "answer",
        false => "query",
    };
    document.set_word("dns.type", kind);
    document.set("dns.header_flags", header_flags(message));
    for (name, bit) in FLAGS {
        document.set(name, message.flags & bit != 0);
    }
    document.set("dns.answers_count", message.counts[1]);
    document.set("dns.authorities_count", message.counts[2]);
    // The OPT record is no record to Packetbeat.
    let additionals = message.counts[3].saturating_sub(u16::from(message.opt.is_some()));
    document.set("dns.additionals_count", additionals);
    let code = message.response_code();
    if message.is_response() {
        document.set_text("dns.response_code", &names::response_code(code));
    }
    if let Some(opt) = message.opt {
        document.set("dns.opt.version", opt.version.to_string());
        document.set("dns.opt.do", opt.dnssec_ok);
        document.set_text("dns.opt.ext_rcode", &names::response_code(code));
        document.set("dns.opt.udp_size", opt.udp_size);
    }
    if !message.answers.is_empty() {
        let answers: Value = message.answers.iter().map(answer).collect();
        document.set("dns.answers", answers);
        let ips: Vec<String> = message.answers.iter().filter_map(Record::ip).collect();
        if !ips.is_empty() {
            document.set("dns.resolved_ip", ips);
        }
    }
    if let Some(asked) = &message.question {
        question(document, asked);
    }
    let succeeded = !message.is_response() || code == 0;
    document.set_word("status", if succeeded { "OK" } else { "Error" });
    if message.is_cut {
        document.set_word(
            "error.message",
            "the message ends early or holds too many records",
        );
    }
    event
}

const FLAGS: [(&str, u16); 6] = [
    ("dns.flags.authoritative", 0x0400),
    ("dns.flags.truncated_response", 0x0200),
    ("dns.flags.recursion_desired", 0x0100),
    ("dns.flags.recursion_available", 0x0080),
    ("dns.flags.authentic_data", 0x0020),
    ("dns.flags.checking_disabled", 0x0010),
];

fn header_flags(message: &Message) -> Vec<&'static str> {
    let names = [
        (0x0400, "AA"),
        (0x0200, "TC"),
        (0x0100, "RD"),
        (0x0080, "RA"),
        (0x0020, "AD"),
        (0x0010, "CD"),
    ];
    let set = names.iter().filter(|(bit, _)| message.flags & bit != 0);
    let mut flags: Vec<_> = set.map(|(_, name)| *name).collect();
    if message.opt.is_some_and(|opt| opt.dnssec_ok) {
        flags.push("DO");
    }
    flags
}

/// With the parts of the name, where the list of public suffixes knows them.
fn question(document: &mut Document, asked: &Question) {
    let (kind, class) = (names::kind(asked.kind), names::class(asked.class));
    let name = asked.name.as_str();
    document.set("query", format!("class {class}, type {kind}, {name}"));
    document.set_text("resource", name);
    document.set_text("dns.question.name", name);
    document.set_text("dns.question.type", &kind);
    document.set_text("dns.question.class", &class);
    let lower = name.to_ascii_lowercase();
    let Some(suffix) = psl::suffix_str(&lower).filter(|suffix| *suffix != lower) else {
        return;
    };
    document.set_text("dns.question.top_level_domain", suffix);
    let Some(domain) = psl::domain_str(&lower) else {
        return;
    };
    document.set_text("dns.question.registered_domain", domain);
    document.set_text("dns.question.etld_plus_one", domain);
    let rest = lower.strip_suffix(domain);
    if let Some(subdomain) = rest.and_then(|rest| rest.strip_suffix('.')) {
        document.set_text("dns.question.subdomain", subdomain);
    }
}

fn answer(record: &Record) -> Value {
    let mut answer = Map::new();
    let mut set = |name: &str, value: Value| answer.insert(name.to_owned(), value);
    set("name", record.name.as_str().into());
    set("type", names::kind(record.kind).into());
    set("class", names::class(record.class).into());
    set("ttl", record.ttl.into());
    match &record.data {
        Data::Ip(ip) => set("data", ip.to_string().into()),
        Data::Text(text) => set("data", text.as_str().into()),
        Data::Mail {
            preference,
            exchange,
        } => {
            set("preference", (*preference).into());
            set("data", exchange.as_str().into())
        }
        Data::Service {
            numbers: [priority, weight, port],
            target,
        } => {
            set("priority", (*priority).into());
            set("weight", (*weight).into());
            set("port", (*port).into());
            set("data", target.as_str().into())
        }
        Data::Authority {
            master,
            mailbox,
            numbers: [serial, refresh, retry, expire, minimum],
        } => {
            set("rname", mailbox.as_str().into());
            set("serial", (*serial).into());
            set("refresh", (*refresh).into());
            set("retry", (*retry).into());
            set("expire", (*expire).into());
            set("minimum", (*minimum).into());
            set("data", master.as_str().into())
        }
    };
    answer.into()
}
