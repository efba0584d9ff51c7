//! ICMP: requests with their answers, and messages that stand alone.

use super::address::{FlowKey, Side};
use super::decode::{ICMP, Icmp};
use super::pending::Pending;
use super::transaction::{Scene, Span};
use crate::event::{DataStream, Document, Event};

/// Requests that wait at most.
const MOST_PENDING: usize = 10_000;

pub struct Pings {
    /// By flow, sequence number and type of the request.
    pending: Pending<(FlowKey, u16, u8), Asked>,
}

/// A request that waits.
pub struct Asked {
    at: i64,
    client: Side,
    message: Message,
}

#[derive(Clone, Copy)]
struct Message {
    kind: u8,
    code: u8,
    /// Behind type, code and checksum.
    bytes: u64,
}

impl Default for Pings {
    fn default() -> Self {
        Self {
            pending: Pending::new(MOST_PENDING),
        }
    }
}

impl Pings {
    pub fn message(&mut self, from: Side, icmp: &Icmp<'_>, scene: &mut Scene<'_>) {
        let message = Message {
            kind: icmp.kind,
            code: icmp.code,
            bytes: icmp.payload.len() as u64,
        };
        let is_v4 = scene.key.protocol == ICMP;
        let asked = Asked {
            at: scene.at,
            client: from,
            message,
        };
        match role(is_v4, icmp.kind) {
            Role::Request => {
                let key = (scene.key, icmp.sequence, icmp.kind);
                if let Some(((key, ..), asked)) = self.pending.ask(scene.at, key, asked) {
                    scene.stats.pending_dropped += u64::from(key != scene.key);
                    asked.unanswered(&mut scene.of(key));
                }
            }
            Role::Answer(request) => {
                let key = (scene.key, icmp.sequence, request);
                match self.pending.answer(&key) {
                    Some(asked) => asked.answered(message, scene),
                    None => {
                        scene.stats.unasked += 1;
                        scene.client = from.other();
                        let span = asked.span(scene.at, 0, message.bytes);
                        let event = document(scene, span, None, Some(message), icmp.sequence);
                        scene.out.push(
                            event.with("error.message", "no request to this response was seen"),
                        );
                    }
                }
            }
            Role::Alone => {
                scene.client = from;
                let span = asked.span(scene.at, message.bytes, 0);
                let event = document(scene, span, Some(message), None, icmp.sequence);
                scene.out.push(event);
            }
        }
    }

    /// The next request that was sent before the time given.
    pub fn expired(&mut self, before: i64) -> Option<(FlowKey, Asked)> {
        let ((key, ..), asked) = self.pending.oldest(before)?;
        Some((key, asked))
    }
}

impl Asked {
    pub fn unanswered(&self, scene: &mut Scene<'_>) {
        scene.stats.unanswered += 1;
        scene.client = self.client;
        scene.icmp = (self.message.kind, self.message.code);
        let span = self.span(self.at, self.message.bytes, 0);
        let event = document(scene, span, Some(self.message), None, 0);
        let event = event.with("error.message", "no response was seen");
        scene.out.push(event.with("status", "Error"));
    }

    fn answered(&self, response: Message, scene: &mut Scene<'_>) {
        scene.client = self.client;
        let span = self.span(scene.at, self.message.bytes, response.bytes);
        let event = document(scene, span, Some(self.message), Some(response), 0);
        scene.out.push(event);
    }

    fn span(&self, to: i64, client_bytes: u64, server_bytes: u64) -> Span {
        Span {
            from: self.at,
            to,
            client_bytes,
            server_bytes,
        }
    }
}

fn document(
    scene: &Scene<'_>,
    span: Span,
    request: Option<Message>,
    response: Option<Message>,
    number: u16,
) -> Event {
    let is_v4 = scene.key.protocol == ICMP;
    let kind = request.or(response).map_or(0, |message| message.kind);
    let what = format!("{number} {kind}");
    let mut event = scene.event(DataStream::Icmp, "icmp", span, &what);
    let document = &mut event.document;
    document.set("icmp.version", if is_v4 { 4 } else { 6 });
    let names = [
        "icmp.request.type",
        "icmp.request.code",
        "icmp.request.message",
    ];
    message(document, names, is_v4, request);
    let names = [
        "icmp.response.type",
        "icmp.response.code",
        "icmp.response.message",
    ];
    message(document, names, is_v4, response);
    let path = scene.server_end().address.ip().to_string();
    document.set_text("path", &path);
    let failed = request.is_some_and(|message| is_error(is_v4, message.kind));
    document.set_word("status", if failed { "Error" } else { "OK" });
    event
}

fn message(
    document: &mut Document,
    names: [&'static str; 3],
    is_v4: bool,
    message: Option<Message>,
) {
    if let Some(Message { kind, code, .. }) = message {
        document.set(names[0], kind);
        document.set(names[1], code);
        document.set(names[2], format!("{}({code})", kind_name(is_v4, kind)));
    }
}

enum Role {
    Request,
    /// To this type.
    Answer(u8),
    Alone,
}

fn role(is_v4: bool, kind: u8) -> Role {
    let pairs: &[(u8, u8)] = match is_v4 {
        true => &[(8, 0), (13, 14), (15, 16), (17, 18)],
        false => &[(128, 129)],
    };
    let mut found = pairs.iter().filter_map(|(ask, answer)| match kind {
        kind if kind == *ask => Some(Role::Request),
        kind if kind == *answer => Some(Role::Answer(*ask)),
        _ => None,
    });
    found.next().unwrap_or(Role::Alone)
}

/// Unreachable, quench, exceeded, parameter problem and the like.
fn is_error(is_v4: bool, kind: u8) -> bool {
    match is_v4 {
        true => matches!(kind, 3 | 4 | 5 | 11 | 12),
        false => kind < 128,
    }
}

fn kind_name(is_v4: bool, kind: u8) -> String {
    let name = match (is_v4, kind) {
        (true, 0) | (false, 129) => "EchoReply",
        (true, 3) | (false, 1) => "DestinationUnreachable",
        (true, 4) => "SourceQuench",
        (true, 5) | (false, 137) => "Redirect",
        (true, 8) | (false, 128) => "EchoRequest",
        (true, 9) | (false, 134) => "RouterAdvertisement",
        (true, 10) | (false, 133) => "RouterSolicitation",
        (true, 11) | (false, 3) => "TimeExceeded",
        (true, 12) | (false, 4) => "ParameterProblem",
        (true, 13) => "TimestampRequest",
        (true, 14) => "TimestampReply",
        (true, 15) => "InfoRequest",
        (true, 16) => "InfoReply",
        (true, 17) => "AddressMaskRequest",
        (true, 18) => "AddressMaskReply",
        (false, 2) => "PacketTooBig",
        (false, 130) => "MLDQuery",
        (false, 131) => "MLDReport",
        (false, 132) => "MLDDone",
        (false, 135) => "NeighborSolicitation",
        (false, 136) => "NeighborAdvertisement",
        (false, 143) => "MLDv2Report",
        (_, other) => return other.to_string(),
    };
    name.to_owned()
}
