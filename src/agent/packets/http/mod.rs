//! HTTP/1.x: requests with their responses, headers by allow-list, secrets never.

pub mod message;
mod redact;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use serde_json::{Map, Value, json};

use self::message::{Expect, Head, Message, Reader, Start};
use super::address::Side;
use super::stream::Piece;
use super::transaction::{Scene, Span};
use crate::event::{DataStream, Event};

/// Requests sent ahead of their responses.
const MOST_PIPELINED: usize = 64;

/// One connection.
#[derive(Debug, Default)]
pub struct Http {
    readers: [Reader; 2],
    waiting: VecDeque<Message>,
    responses: u64,
}

/// Answers for the reader of responses.
struct Waiting<'a>(Option<&'a Message>);

impl Expect for Waiting<'_> {
    fn has_no_body(&mut self, head: &Head) -> bool {
        let Some(Message {
            head:
                Head {
                    start: Start::Request { method, .. },
                    ..
                },
            ..
        }) = self.0
        else {
            return false;
        };
        let succeeded = matches!(
            head.start,
            Start::Response {
                code: 200..=299,
                ..
            }
        );
        method == "HEAD" || (method == "CONNECT" && succeeded)
    }
}

impl Http {
    pub fn data(&mut self, from: Side, piece: Piece<'_>, scene: &mut Scene<'_>) {
        let was_lost = self.readers[from as usize].is_lost();
        let mut done = Vec::new();
        let mut expect = Waiting(self.waiting.front());
        let is_http =
            self.readers[from as usize].take(scene.at, piece, &mut expect, &mut |message| {
                done.push(message);
            });
        if !is_http && !was_lost {
            scene.stats.undecoded += u64::from(matches!(piece, Piece::Data(_)));
        }
        for message in done {
            self.message(from, message, scene);
        }
    }

    pub fn end(&mut self, scene: &mut Scene<'_>) {
        for side in [scene.client, scene.client.other()] {
            let mut done = Vec::new();
            self.readers[side as usize].end(&mut |message| done.push(message));
            for message in done {
                self.message(side, message, scene);
            }
        }
        while let Some(request) = self.waiting.pop_front() {
            scene.stats.unanswered += 1;
            self.publish(Some(request), None, scene);
        }
    }

    pub fn is_done(&self) -> bool {
        self.readers.iter().all(Reader::is_lost) && self.waiting.is_empty()
    }

    pub fn memory(&self) -> usize {
        let buffers: usize = self.readers.iter().map(Reader::memory).sum();
        buffers + self.waiting.len() * 512
    }

    fn message(&mut self, from: Side, message: Message, scene: &mut Scene<'_>) {
        let code = match message.head.start {
            Start::Request { .. } => {
                scene.client = from;
                self.waiting.push_back(message);
                if self.waiting.len() > MOST_PIPELINED {
                    scene.stats.pending_dropped += 1;
                    let request = self.waiting.pop_front();
                    self.publish(request, None, scene);
                }
                return;
            }
            Start::Response { code, .. } => code,
        };
        scene.client = from.other();
        // "Continue" and its like announce the response, they are none.
        if matches!(code, 100 | 102..=199) {
            return;
        }
        let request = self.waiting.pop_front();
        scene.stats.unasked += u64::from(request.is_none());
        let is_tunnel = code == 101
            || matches!(&request, Some(Message { head: Head { start: Start::Request { method, .. }, .. }, .. }) if method == "CONNECT" && code / 100 == 2);
        self.publish(request, Some(message), scene);
        if is_tunnel {
            // What follows is another protocol.
            self.readers.iter_mut().for_each(Reader::give_up);
        }
    }

    fn publish(
        &mut self,
        request: Option<Message>,
        response: Option<Message>,
        scene: &mut Scene<'_>,
    ) {
        self.responses += 1;
        let event = document(scene, request.as_ref(), response.as_ref(), self.responses);
        scene.out.push(event);
    }
}

fn document(
    scene: &Scene<'_>,
    request: Option<&Message>,
    response: Option<&Message>,
    number: u64,
) -> Event {
    let first = request.or(response);
    let last = response.or(request);
    let span = Span {
        from: first.map_or(scene.at, |message| message.from),
        to: last.map_or(scene.at, |message| message.to),
        client_bytes: request.map_or(0, |message| message.bytes),
        server_bytes: response.map_or(0, |message| message.bytes),
    };
    let mut event = scene.event(DataStream::Http, "http", span, &number.to_string());
    let mut http = Map::new();
    let minor_version = first.map_or(1, |message| message.head.minor_version);
    http.insert("version".into(), format!("1.{minor_version}").into());
    if let Some(request) = request {
        http.insert("request".into(), self::request(&mut event, request, scene));
    }
    let mut status = "Error";
    if let Some(message) = response
        && let Start::Response { code, phrase } = &message.head.start
    {
        let mut value = side(message, scene);
        value["status_code"] = (*code).into();
        value["status_phrase"] = phrase.to_ascii_lowercase().into();
        http.insert("response".into(), value);
        if *code < 400 {
            status = "OK";
        }
    }
    event.document.set("http", Value::Object(http));
    event.document.set("status", status);
    let problem = match (request, response) {
        (Some(_), None) => Some("no response was seen"),
        (None, _) => Some("no request to this response was seen"),
        (Some(request), Some(response)) if request.is_cut || response.is_cut => {
            Some("a message was cut")
        }
        _ => None,
    };
    event.with_some("error.message", problem)
}

/// Sets what follows from the request outside of `http.request`, which it returns.
fn request(event: &mut Event, request: &Message, scene: &Scene<'_>) -> Value {
    let Start::Request { method, target } = &request.head.start else {
        return Value::Null;
    };
    let server = scene.server_end();
    let host = request.head.header("host").unwrap_or_default();
    let (domain, port) = match host.rsplit_once(':') {
        Some((domain, port)) if !domain.is_empty() && !domain.ends_with(':') => {
            (domain, port.parse().ok())
        }
        _ => (host, None),
    };
    let domain = match domain.trim_matches(['[', ']']) {
        "" => server.address.ip().to_string(),
        domain => domain.to_owned(),
    };
    let port = port.unwrap_or(server.port);
    let target = redact::target(target, &scene.setting.config.http.redact);
    // A proxy is asked for the whole address.
    let path_and_query = match target.split_once("://") {
        Some((_, rest)) => rest.find('/').map_or("/", |slash| &rest[slash..]),
        None => target.as_str(),
    };
    let (path, query) = match path_and_query.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (path_and_query, None),
    };
    let shown = if domain.contains(':') {
        format!("[{domain}]")
    } else {
        domain.clone()
    };
    let full = match port {
        80 => format!("http://{shown}{path_and_query}"),
        port => format!("http://{shown}:{port}{path_and_query}"),
    };
    let mut url = json!({
        "scheme": "http",
        "domain": domain,
        "port": port,
        "path": path,
        "full": full,
    });
    if let Some(query) = query {
        url["query"] = query.into();
    }
    event.document.set("url", url);
    event.document.set("method", method.to_ascii_lowercase());
    event.document.set("query", format!("{method} {path}"));
    if !host.is_empty() {
        event.document.set("server.domain", domain.as_str());
        event.document.set("destination.domain", domain.as_str());
        event.document.set("related.hosts", json!([domain]));
    }
    event
        .document
        .set_some("user_agent.original", request.head.header("user-agent"));
    let mut value = side(request, scene);
    value["method"] = method.to_ascii_lowercase().into();
    value
}

/// What request and response have in common.
fn side(message: &Message, scene: &Scene<'_>) -> Value {
    let mut value = json!({"bytes": message.bytes});
    if message.body_bytes > 0 {
        value["body"] = json!({"bytes": message.body_bytes});
    }
    let kept = &scene.setting.config.http.headers;
    let mut headers = Map::new();
    for (name, text) in &message.head.headers {
        if !kept.iter().any(|kept| kept.eq_ignore_ascii_case(name)) {
            continue;
        }
        let text = redact::header(name, text);
        match headers.get_mut(name) {
            Some(Value::String(before)) => *before = format!("{before}, {text}"),
            _ => drop(headers.insert(name.clone(), text.into())),
        }
    }
    if !headers.is_empty() {
        value["headers"] = headers.into();
    }
    value
}
