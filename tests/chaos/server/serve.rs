//! One connection: request after request is judged, and answered or not.

use std::io::{BufReader, Read};
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::Duration;

use ethmon::slot;
use rand::Rng;
use serde_json::Value;

use super::cluster::{self, Action, Error, Manner};
use super::fault::{Fault, Storing};
use super::http::{self, Delivery, Head, Response};
use super::{Holding, Shared, State};

/// After the client's patience has ended.
const AFTERWARDS: Duration = Duration::from_millis(300);

pub(super) fn serve(mut stream: TcpStream, shared: &Shared) {
    let Ok(reading) = stream.try_clone() else {
        return;
    };
    let mut reader = BufReader::new(reading);
    while let Some(head) = http::read_head(&mut reader) {
        let fault = shared.draw(&head);
        match fault {
            Some(Fault::Reset) => {
                // Ending with bytes unread makes it a reset.
                reader.read_exact(&mut [0; 16]).ok();
                return;
            }
            Some(Fault::HalfClosed) => {
                stream.shutdown(Shutdown::Write).ok();
            }
            _ => {}
        }
        let Some(body) = http::read_body(&mut reader, &head) else {
            return;
        };
        let Some(response) = answer(shared, &head, &body, fault.as_ref()) else {
            stream.shutdown(Shutdown::Both).ok();
            return;
        };
        let delivery = fault.as_ref().map_or(Delivery::AtOnce, Fault::delivery);
        let is_chunked = head.is_bulk() && response.status == 200;
        if !http::deliver(&mut stream, &response, is_chunked, delivery) {
            return;
        }
    }
}

impl Shared {
    fn draw(&self, head: &Head) -> Option<Fault> {
        if !head.is_shipping() {
            return None;
        }
        let mut state = self.state.lock().unwrap();
        let State {
            weather,
            dice,
            tally,
            bulks,
            ..
        } = &mut *state;
        *bulks += u64::from(head.is_bulk());
        let fault = weather.draw(dice)?;
        *tally.entry(fault.name()).or_default() += 1;
        Some(fault)
    }
}

/// `None`: the connection ends without an answer.
fn answer(shared: &Shared, head: &Head, body: &[u8], fault: Option<&Fault>) -> Option<Response> {
    let serve_at = |fault: Option<&Fault>, is_late: bool| {
        let mut state = shared.state.lock().unwrap();
        state.cluster.now_ms = slot::now().timestamp_millis();
        state.cluster.is_late = is_late;
        let response = match head.is_bulk() {
            true => state.bulk(head, body, fault),
            false => {
                let path = &head.path;
                let (status, body) = cluster::respond(&mut state.cluster, &head.method, path, body);
                Response::json(status, &body)
            }
        };
        drop(state);
        shared.changed.notify_all();
        response
    };
    let serve = |fault| serve_at(fault, false);
    let hang = || thread::sleep(shared.patience + AFTERWARDS);
    match fault {
        Some(Fault::Whole(refusal)) => Some(refusal.response()),
        Some(Fault::Closed { stored }) => {
            if *stored {
                serve(None);
            }
            None
        }
        Some(Fault::Hang { storing }) => {
            if *storing == Storing::First {
                serve(None);
            }
            hang();
            if *storing == Storing::Late {
                serve_at(None, true);
            }
            None
        }
        Some(Fault::Foreign { stored, what }) => {
            let answer = match *stored {
                true => serde_json::from_slice(&serve(None).body).unwrap_or_default(),
                false => Value::Null,
            };
            Some(what.response(answer))
        }
        Some(Fault::HalfClosed) => {
            // The client heard the end before it was stored.
            serve_at(None, true);
            None
        }
        fault => {
            let response = serve(fault);
            if head.is_bulk() {
                shared.hold();
            }
            Some(response)
        }
    }
}

impl Shared {
    /// Waits where the test wants an answer held back.
    fn hold(&self) {
        let mut state = self.state.lock().unwrap();
        if state.holding == Holding::Next {
            state.holding = Holding::Held;
            self.changed.notify_all();
            let held = |state: &mut State| state.holding == Holding::Held;
            drop(self.changed.wait_while(state, held).unwrap());
        }
    }
}

impl State {
    fn bulk(&mut self, head: &Head, body: &[u8], fault: Option<&Fault>) -> Response {
        if body.len() > self.max_body_bytes {
            *self.tally.entry("413").or_default() += 1;
            // As recorded: not even the product's name.
            let response = Response {
                status: 413,
                headers: Vec::new(),
                body: Vec::new(),
            };
            return match head.is_compressed() {
                true => response.with("connection", "close"),
                false => response,
            };
        }
        let media = head.content_type.split(';').next().unwrap_or_default();
        if !matches!(media, "application/x-ndjson" | "application/json") {
            let reason = format!(
                "Content-Type header [{}] is not supported",
                head.content_type
            );
            return Response::json(406, &serde_json::json!({"error": reason, "status": 406}));
        }
        let Self {
            cluster,
            dice,
            poison,
            ..
        } = self;
        let mut trouble = |action: &Action<'_>| -> Option<Error> {
            if poison
                .as_ref()
                .is_some_and(|poison| holds(action.source, poison))
            {
                let reason = "failed to parse field [poison] of type [long]";
                return Some(Error::new(400, "document_parsing_exception", reason));
            }
            match fault {
                Some(Fault::Items { share, error }) if dice.random_bool(*share) => {
                    Some(error.clone())
                }
                _ => None,
            }
        };
        let manner = Manner {
            requires_data_stream: head.parameter("require_data_stream") == Some("true"),
            is_compressed: head.is_compressed(),
        };
        match cluster.bulk(body, manner, &mut trouble) {
            Ok(answer) => {
                let answer = match head.parameter("filter_path") {
                    Some(paths) => cluster::filter(answer, paths),
                    None => answer,
                };
                Response::json(200, &answer)
            }
            Err(error) => Response::json(error.status, &error.to_body()),
        }
    }
}

fn holds(source: &[u8], text: &str) -> bool {
    memchr::memmem::find(source, text.as_bytes()).is_some()
}
