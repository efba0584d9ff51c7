//! SIP over UDP and TCP: one document per message, as Packetbeat writes them. What would prove a password is left out.

pub mod message;
#[cfg(test)]
mod tests;

use serde_json::{Map, Value, json};

use self::message::{MOST_HEAD_BYTES, Message, Start, head_end, parse, party, uri};
use super::address::Side;
use super::decode::TCP;
use super::stream::Piece;
use super::transaction::{Scene, Span};
use crate::event::{DataStream, Event};

/// Of a message on TCP, body included.
const MOST_BYTES: usize = 128 << 10;

/// One message that `from` sent. Returns whether it was one.
pub fn message(from: Side, bytes: &[u8], scene: &mut Scene<'_>) -> bool {
    // Telephones keep their way through a firewall open with empty lines.
    if bytes.iter().all(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
        return true;
    }
    let Some(message) = parse(bytes) else {
        scene.stats.undecoded += 1;
        return false;
    };
    scene.client = from;
    let event = document(&message, bytes.len() as u64, scene);
    scene.out.push(event);
    true
}

/// Messages on TCP follow each other by their lengths.
#[derive(Debug, Default)]
pub struct Frames {
    buffers: [Vec<u8>; 2],
    is_lost: [bool; 2],
}

impl Frames {
    pub fn data(&mut self, from: Side, piece: Piece<'_>, scene: &mut Scene<'_>) {
        let Piece::Data(bytes) = piece else {
            return self.lose(from);
        };
        if self.is_lost[from as usize] {
            return;
        }
        let buffer = &mut self.buffers[from as usize];
        buffer.extend_from_slice(bytes);
        let mut at = 0;
        let mut is_sip = true;
        loop {
            let rest = &buffer[at..];
            let blank = rest
                .iter()
                .take_while(|byte| matches!(byte, b'\r' | b'\n'))
                .count();
            let rest = &rest[blank..];
            let Some(head) = head_end(rest) else {
                is_sip &= rest.len() <= MOST_HEAD_BYTES;
                break;
            };
            let length = parse(rest).map(|message| message.number("content-length").unwrap_or(0));
            let length = length.and_then(|length| usize::try_from(length).ok());
            let Some(length) = length.filter(|length| *length <= MOST_BYTES) else {
                scene.stats.undecoded += 1;
                is_sip = false;
                break;
            };
            let Some(whole) = rest.get(..head + length) else {
                break;
            };
            message(from, whole, scene);
            at += blank + head + length;
        }
        buffer.drain(..at);
        if !is_sip {
            self.lose(from);
        }
    }

    pub fn is_done(&self) -> bool {
        self.is_lost == [true; 2]
    }

    pub fn memory(&self) -> usize {
        self.buffers.iter().map(Vec::capacity).sum()
    }

    fn lose(&mut self, from: Side) {
        self.is_lost[from as usize] = true;
        self.buffers[from as usize] = Vec::new();
    }
}

fn document(message: &Message<'_>, bytes: u64, scene: &Scene<'_>) -> Event {
    let span = Span {
        from: scene.at,
        to: scene.at,
        client_bytes: bytes,
        server_bytes: 0,
    };
    let mut sip = Map::new();
    sip.insert("version".into(), message.version.into());
    let mut users = Vec::new();
    let mut succeeded = true;
    let what = match message.start {
        Start::Request { method, uri } => {
            sip.insert("type".into(), "request".into());
            sip.insert("method".into(), method.into());
            sip.insert("uri".into(), uri_fields(uri));
            method.to_owned()
        }
        Start::Response { code, phrase } => {
            sip.insert("type".into(), "response".into());
            sip.insert("code".into(), code.into());
            sip.insert("status".into(), phrase.into());
            succeeded = code < 400;
            code.to_string()
        }
    };
    headers(message, &mut sip, &mut users);
    let call_id = message.first("call-id").unwrap_or_default();
    let mut event = scene.event(DataStream::Sip, "sip", span, &format!("{call_id} {what}"));
    let mut action = what.to_ascii_lowercase();
    if let Some((number, method)) = message.first("cseq").and_then(|cseq| cseq.split_once(' ')) {
        let number = number.trim().parse::<u32>().ok();
        sip.insert(
            "cseq".into(),
            json!({"code": number, "method": method.trim()}),
        );
        event.document.set_some("event.sequence", number);
        action = method.trim().to_ascii_lowercase();
    }
    if message
        .first("content-type")
        .is_some_and(|kind| kind.contains("sdp"))
    {
        sip.extend(sdp(message.body).map(|sdp| ("sdp".to_owned(), sdp)));
    }
    event.document.set("sip", Value::Object(sip));
    event.document.set("event.action", format!("sip-{action}"));
    event
        .document
        .set("event.category", json!(["network", "protocol"]));
    event.document.set("event.type", json!(["info"]));
    event.document.set("network.application", "sip");
    event
        .document
        .set("network.iana_number", scene.key.protocol.to_string());
    if let Start::Response { .. } = message.start {
        event.document.set(
            "event.outcome",
            if succeeded { "success" } else { "failure" },
        );
    }
    users.sort_unstable();
    users.dedup();
    if !users.is_empty() {
        event.document.set("related.user", json!(users));
    }
    debug_assert!(scene.key.protocol == TCP || bytes <= u64::from(u16::MAX));
    event.with("status", if succeeded { "OK" } else { "Error" })
}

fn headers<'a>(message: &Message<'a>, sip: &mut Map<String, Value>, users: &mut Vec<&'a str>) {
    for (field, header) in [
        ("accept", "accept"),
        ("call_id", "call-id"),
        ("content_type", "content-type"),
        ("user_agent", "user-agent"),
    ] {
        if let Some(value) = message.first(header) {
            sip.insert(field.into(), value.into());
        }
    }
    for field in ["allow", "supported"] {
        let lists = message.all(field).flat_map(|line| line.split(','));
        let values: Vec<&str> = lists
            .map(str::trim)
            .filter(|value| !value.is_empty())
            .collect();
        if !values.is_empty() {
            sip.insert(field.into(), values.into());
        }
    }
    for (field, header) in [
        ("content_length", "content-length"),
        ("max_forwards", "max-forwards"),
    ] {
        if let Some(number) = message.number(header) {
            sip.insert(field.into(), number.into());
        }
    }
    let ways: Vec<&str> = message.all("via").collect();
    if !ways.is_empty() {
        sip.insert("via".into(), json!({"original": ways}));
    }
    for field in ["from", "to", "contact"] {
        let Some(party) = message.first(field).and_then(party) else {
            continue;
        };
        let mut value = json!({"uri": uri_fields(party.uri)});
        users.extend(uri(party.uri).and_then(|uri| uri.username));
        if let Some(display) = party.display {
            value["display_info"] = display.into();
        }
        let texts = match field {
            "contact" => &["transport", "line", "q"][..],
            _ => &["tag"],
        };
        for name in texts {
            if let Some(text) = party.parameter(name) {
                value[*name] = text.into();
            }
        }
        let expires = party.parameter("expires").filter(|_| field == "contact");
        if let Some(expires) = expires.and_then(|text| text.parse::<u64>().ok()) {
            value["expires"] = expires.into();
        }
        sip.insert(field.into(), value);
    }
    if let Some((scheme, rest)) = message
        .first("authorization")
        .and_then(|text| text.split_once(' '))
    {
        let mut auth = json!({"scheme": scheme});
        let parts = rest.split(',').filter_map(|part| part.split_once('='));
        for (name, value) in
            parts.map(|(name, value)| (name.trim(), value.trim().trim_matches('"')))
        {
            match name.to_ascii_lowercase().as_str() {
                "realm" => auth["realm"] = value.into(),
                "uri" => auth["uri"] = uri_fields(value),
                "username" => users.push(value),
                _ => {}
            }
        }
        sip.insert("auth".into(), auth);
    }
}

fn uri_fields(text: &str) -> Value {
    let Some(uri) = uri(text) else {
        return json!({"original": text});
    };
    // A password in it is a secret.
    let original = match text.split_once('@') {
        Some((user, rest)) if user.matches(':').count() > 1 => {
            let name_end = user.rfind(':').unwrap_or(user.len());
            format!("{}@{rest}", &user[..name_end])
        }
        _ => text.to_owned(),
    };
    let mut fields = json!({"original": original, "scheme": uri.scheme, "host": uri.host});
    if let Some(username) = uri.username {
        fields["username"] = username.into();
    }
    if let Some(port) = uri.port {
        fields["port"] = port.into();
    }
    fields
}

/// Session descriptions: who, where, under which name.
fn sdp(body: &[u8]) -> Option<Value> {
    let text = std::str::from_utf8(body).ok()?;
    let mut sdp = Map::new();
    for line in text.lines() {
        let Some((kind, value)) = line.split_once('=') else {
            continue;
        };
        let parts: Vec<&str> = value.split(' ').collect();
        match (kind, parts.as_slice()) {
            ("v", _) => drop(sdp.insert("version".into(), value.into())),
            ("o", [user, session, version, _, _, address, ..]) => {
                let mut owner =
                    json!({"username": user, "session_id": session, "version": version});
                if address.parse::<std::net::IpAddr>().is_ok() {
                    owner["ip"] = (*address).into();
                }
                sdp.insert("owner".into(), owner);
            }
            ("s", _) => drop(sdp.insert("session".into(), json!({"name": value}))),
            ("c", [_, _, address, ..]) => {
                let mut connection = json!({"info": value});
                if address.parse::<std::net::IpAddr>().is_ok() {
                    connection["address"] = (*address).into();
                }
                sdp.insert("connection".into(), connection);
            }
            _ => {}
        }
    }
    sdp.contains_key("version").then_some(Value::Object(sdp))
}
