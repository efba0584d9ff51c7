//! HTTP/1.x: requests with their responses, headers by allow-list, secrets never.

pub mod head;
pub mod message;
mod redact;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use self::head::{Head, Start};
use self::message::{Expect, Message, Reader};
use super::address::Side;
use super::stream::Piece;
use super::transaction::{Scene, Span};
use crate::event::{DataStream, Document, Event, Pairs};

/// Requests sent ahead of their responses.
const MOST_PIPELINED: usize = 64;

/// One connection.
#[derive(Debug, Default)]
pub struct Http {
    readers: [Reader; 2],
    waiting: VecDeque<Message>,
    waiting_bytes: usize,
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
        for message in done {
            self.message(from, message, scene);
        }
        if !is_http && !was_lost {
            scene.stats.undecoded += u64::from(matches!(piece, Piece::Data(_)));
            // The response may have been in what is lost; the next one must not be taken for it.
            if from != scene.client {
                self.forget_waiting(scene);
            }
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
        self.forget_waiting(scene);
    }

    fn forget_waiting(&mut self, scene: &mut Scene<'_>) {
        while let Some(request) = self.next_waiting() {
            scene.stats.unanswered += 1;
            self.publish(Some(request), None, scene);
        }
    }

    pub fn is_done(&self) -> bool {
        self.readers.iter().all(Reader::is_over) && self.waiting.is_empty()
    }

    pub fn memory(&self) -> usize {
        let buffers: usize = self.readers.iter().map(Reader::memory).sum();
        buffers + self.waiting_bytes
    }

    fn message(&mut self, from: Side, message: Message, scene: &mut Scene<'_>) {
        let code = match message.head.start {
            Start::Request { .. } => {
                scene.client = from;
                self.waiting_bytes += message.head_bytes;
                self.waiting.push_back(message);
                if self.waiting.len() > MOST_PIPELINED {
                    scene.stats.pending_dropped += 1;
                    let request = self.next_waiting();
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
        let request = self.next_waiting();
        scene.stats.unasked += u64::from(request.is_none());
        let is_tunnel = code == 101
            || matches!(&request, Some(Message { head: Head { start: Start::Request { method, .. }, .. }, .. }) if method == "CONNECT" && code / 100 == 2);
        self.publish(request, Some(message), scene);
        if is_tunnel {
            // What follows is another protocol.
            self.readers.iter_mut().for_each(Reader::leave);
        }
    }

    fn next_waiting(&mut self) -> Option<Message> {
        let request = self.waiting.pop_front()?;
        self.waiting_bytes -= request.head_bytes;
        Some(request)
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
    let document = &mut event.document;
    let version = match first.map_or(1, |message| message.head.minor_version) {
        0 => "1.0",
        _ => "1.1",
    };
    document.set_word("http.version", version);
    if let Some(message) = request
        && let Start::Request { method, target } = &message.head.start
    {
        asked(document, message, method, target, scene);
        side(document, &REQUEST, message, scene);
    }
    let mut status = "Error";
    if let Some(message) = response
        && let Start::Response { code, phrase } = &message.head.start
    {
        side(document, &RESPONSE, message, scene);
        document.set("http.response.status_code", *code);
        document.set("http.response.status_phrase", phrase.to_ascii_lowercase());
        if *code < 400 {
            status = "OK";
        }
    }
    document.set_word("status", status);
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

/// What the first line of a request and its host say.
fn asked(
    document: &mut Document,
    request: &Message,
    method: &str,
    target: &str,
    scene: &Scene<'_>,
) {
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
    let shown = match domain.contains(':') {
        true => format!("[{domain}]"),
        false => domain.clone(),
    };
    let full = match port {
        80 => format!("http://{shown}{path_and_query}"),
        port => format!("http://{shown}:{port}{path_and_query}"),
    };
    document.set_word("url.scheme", "http");
    document.set_text("url.domain", &domain);
    document.set("url.port", port);
    document.set_text("url.path", path);
    document.set_text("url.full", &full);
    if let Some(query) = query {
        document.set_text("url.query", query);
    }
    let lower = method.to_ascii_lowercase();
    document.set_text("method", &lower);
    document.set_text("http.request.method", &lower);
    document.set("query", format!("{method} {path}"));
    if !host.is_empty() {
        document.set_text("server.domain", &domain);
        document.set_text("destination.domain", &domain);
        document.set("related.hosts", vec![domain]);
    }
    if let Some(agent) = request.head.header("user-agent") {
        document.set_text("user_agent.original", agent);
    }
}

/// What request and response have in common: bytes, bytes of the body, headers.
const REQUEST: [&str; 3] = [
    "http.request.bytes",
    "http.request.body.bytes",
    "http.request.headers",
];
const RESPONSE: [&str; 3] = [
    "http.response.bytes",
    "http.response.body.bytes",
    "http.response.headers",
];

fn side(
    document: &mut Document,
    names: &'static [&'static str; 3],
    message: &Message,
    scene: &Scene<'_>,
) {
    let [bytes, body_bytes, headers] = *names;
    document.set(bytes, message.bytes);
    if message.body_bytes > 0 {
        document.set(body_bytes, message.body_bytes);
    }
    let kept = &scene.setting.config.http.headers;
    let mut pairs = Pairs::default();
    for (name, text) in &message.head.headers {
        if !kept.iter().any(|kept| kept.eq_ignore_ascii_case(name)) {
            continue;
        }
        let text = redact::header(name, text);
        match pairs.get(name).map(|before| format!("{before}, {text}")) {
            Some(both) => pairs.set(name, &both),
            None => pairs.set(name, text),
        }
    }
    if !pairs.is_empty() {
        document.set_pairs(headers, pairs);
    }
}
