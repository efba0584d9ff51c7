//! DNS over UDP and TCP: questions with their answers.

pub mod message;
mod names;
#[cfg(test)]
mod tests;

use serde_json::{Map, Value, json};

use self::message::{Data, Message, Record};
use super::address::{FlowKey, Side};
use super::decode::TCP;
use super::pending::Pending;
use super::stream::Piece;
use super::transaction::{Scene, Span};
use crate::event::{DataStream, Event};

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
        let Some(message) = message::parse(bytes) else {
            scene.stats.undecoded += 1;
            return false;
        };
        let key = (scene.key, message.id);
        let framing = if scene.key.protocol == TCP { 2 } else { 0 };
        let length = bytes.len() as u64 + framing;
        if !message.is_response() {
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
    let op_code = names::op_code(message.op_code());
    let flag = |bit: u16| message.flags & bit != 0;
    let mut dns = json!({
        "id": message.id,
        "op_code": op_code,
        "type": if message.is_response() { "answer" } else { "query" },
        "header_flags": header_flags(message),
        "flags": {
            "authoritative": flag(0x0400),
            "truncated_response": flag(0x0200),
            "recursion_desired": flag(0x0100),
            "recursion_available": flag(0x0080),
            "authentic_data": flag(0x0020),
            "checking_disabled": flag(0x0010),
        },
        "answers_count": message.counts[1],
        "authorities_count": message.counts[2],
        // The OPT record is no record to Packetbeat.
        "additionals_count": message.counts[3].saturating_sub(u16::from(message.opt.is_some())),
    });
    let mut succeeded = true;
    if message.is_response() {
        dns["response_code"] = names::response_code(message.response_code()).into();
        succeeded = message.response_code() == 0;
    }
    if let Some(opt) = message.opt {
        dns["opt"] = json!({
            "version": opt.version.to_string(),
            "do": opt.dnssec_ok,
            "ext_rcode": names::response_code(message.response_code()),
            "udp_size": opt.udp_size,
        });
    }
    if !message.answers.is_empty() {
        dns["answers"] = message.answers.iter().map(answer).collect();
        let ips = message
            .answers
            .iter()
            .filter_map(|record| match record.data {
                Data::Ip(ip) => Some(Value::from(ip.to_string())),
                _ => None,
            });
        let ips: Vec<Value> = ips.collect();
        if !ips.is_empty() {
            dns["resolved_ip"] = ips.into();
        }
    }
    let mut event = scene.event(DataStream::Dns, "dns", span, &message.id.to_string());
    if let Some(asked) = &message.question {
        let (kind, class) = (names::kind(asked.kind), names::class(asked.class));
        let query = format!("class {class}, type {kind}, {}", asked.name);
        dns["question"] = question(&asked.name, kind, class);
        event.document.set("query", query);
        event.document.set("resource", asked.name.as_str());
    }
    event.document.set("dns", dns);
    event.document.set("method", op_code);
    event
        .document
        .set("status", if succeeded { "OK" } else { "Error" });
    if message.is_cut {
        event.document.set(
            "error.message",
            "the message ends early or holds too many records",
        );
    }
    event
}

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
fn question(name: &str, kind: String, class: String) -> Value {
    let mut question = json!({"name": name, "type": kind, "class": class});
    let lower = name.to_ascii_lowercase();
    let Some(suffix) = psl::suffix_str(&lower).filter(|suffix| *suffix != lower) else {
        return question;
    };
    question["top_level_domain"] = suffix.into();
    if let Some(domain) = psl::domain_str(&lower) {
        question["registered_domain"] = domain.into();
        question["etld_plus_one"] = domain.into();
        if let Some(subdomain) = lower
            .strip_suffix(domain)
            .and_then(|rest| rest.strip_suffix('.'))
        {
            question["subdomain"] = subdomain.into();
        }
    }
    question
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
