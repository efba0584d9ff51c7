//! A bulk endpoint on loopback that keeps what it stores and fails as a script says. It judges per item as Elasticsearch does: `create` of
//! an id that is there is answered 409.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

/// What happens to one request.
pub(crate) enum Act {
    Serve,
    /// Serve, but answer an item with this status and error type instead of storing it where the function says so.
    Items(fn(&Item) -> Option<(u16, &'static str)>),
    /// Serve, but refuse the items of which this is true for now, with 429.
    Refuse(Box<dyn Fn(&Item) -> bool + Send>),
    /// Serve, and answer after so long.
    Slowly(Duration),
    /// Answer the whole request with this status, headers and body, storing nothing.
    Whole(u16, &'static str, &'static str),
    /// Close the connection; store before, or not.
    Close {
        store: bool,
    },
    /// Store; answer only once something is received.
    StoreThenWait(Receiver<()>),
}

pub(crate) struct Item {
    pub(crate) id: String,
    pub(crate) document: Value,
}

/// Called with the number of the request (from 0) and its items.
type Script = Box<dyn FnMut(usize, &[Item]) -> Act + Send>;

pub(crate) struct BulkServer {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    script: Option<Script>,
    requests: Vec<usize>,
    /// What came as `authorization`, in lower case, per request.
    authorizations: Vec<String>,
    /// By id.
    stored: BTreeMap<String, Item>,
    /// Ids in the order in which they were stored.
    order: Vec<String>,
    duplicates: usize,
    /// Requests under way.
    now: usize,
    most_at_once: usize,
}

impl BulkServer {
    pub(crate) fn start(script: impl FnMut(usize, &[Item]) -> Act + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = State {
            script: Some(Box::new(script)),
            ..State::default()
        };
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            changed: Condvar::new(),
        });
        let server = Self {
            address,
            shared: Arc::clone(&shared),
        };
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&shared);
                thread::spawn(move || serve(stream, &shared));
            }
        });
        server
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Items per request, so far.
    pub(crate) fn requests(&self) -> Vec<usize> {
        self.shared.state.lock().unwrap().requests.clone()
    }

    /// Ids in the order in which they were stored.
    pub(crate) fn order(&self) -> Vec<String> {
        self.shared.state.lock().unwrap().order.clone()
    }

    /// The most requests that were under way at the same time.
    pub(crate) fn most_at_once(&self) -> usize {
        self.shared.state.lock().unwrap().most_at_once
    }

    pub(crate) fn authorizations(&self) -> Vec<String> {
        self.shared.state.lock().unwrap().authorizations.clone()
    }

    /// How often an item was there already.
    pub(crate) fn duplicates(&self) -> usize {
        self.shared.state.lock().unwrap().duplicates
    }

    pub(crate) fn stored(&self) -> Vec<String> {
        self.shared
            .state
            .lock()
            .unwrap()
            .stored
            .keys()
            .cloned()
            .collect()
    }

    pub(crate) fn document(&self, id: &str) -> Option<Value> {
        Some(
            self.shared
                .state
                .lock()
                .unwrap()
                .stored
                .get(id)?
                .document
                .clone(),
        )
    }

    /// Waits until so many documents are stored; fails after 30 s.
    pub(crate) fn wait_for(&self, documents: usize) {
        self.wait_until(|state| state.stored.len() >= documents);
    }

    pub(crate) fn wait_for_requests(&self, requests: usize) {
        self.wait_until(|state| state.requests.len() >= requests);
    }

    #[track_caller]
    fn wait_until(&self, enough: impl Fn(&State) -> bool) {
        let state = self.shared.state.lock().unwrap();
        let limit = Duration::from_secs(30);
        let (state, waited) = self
            .shared
            .changed
            .wait_timeout_while(state, limit, |state| !enough(state))
            .unwrap();
        let (stored, requests) = (state.stored.len(), &state.requests);
        assert!(
            !waited.timed_out(),
            "{stored} documents stored by {} requests",
            requests.len()
        );
    }
}

fn serve(stream: TcpStream, shared: &Shared) {
    let mut writer = stream.try_clone().unwrap();
    let mut reader = BufReader::new(stream);
    while let Some((target, authorization, body)) = read_request(&mut reader) {
        if !target.starts_with("/_bulk") {
            if writer.write_all(other(&target).as_bytes()).is_err() {
                return;
            }
            continue;
        }
        let items = parse(&body);
        let mut state = shared.state.lock().unwrap();
        let number = state.requests.len();
        state.requests.push(items.len());
        state.now += 1;
        state.most_at_once = state.most_at_once.max(state.now);
        state.authorizations.push(authorization);
        let mut script = state.script.take().unwrap();
        let act = script(number, &items);
        state.script = Some(script);
        let (mut hold, mut delay) = (None, Duration::ZERO);
        let answer = match act {
            Act::Serve => Some((200, "", state.store(items, |_| None))),
            Act::Items(fault) => Some((200, "", state.store(items, fault))),
            Act::Refuse(refused) => {
                let busy = (429, "es_rejected_execution_exception");
                let fault = |item: &Item| refused(item).then_some(busy);
                Some((200, "", state.store(items, fault)))
            }
            Act::Slowly(after) => {
                delay = after;
                Some((200, "", state.store(items, |_| None)))
            }
            Act::StoreThenWait(until) => {
                hold = Some(until);
                Some((200, "", state.store(items, |_| None)))
            }
            Act::Whole(status, headers, body) => Some((status, headers, body.to_owned())),
            Act::Close { store } => {
                if store {
                    state.store(items, |_| None);
                }
                None
            }
        };
        drop(state);
        shared.changed.notify_all();
        if let Some(until) = hold {
            until.recv().ok();
        }
        thread::sleep(delay);
        shared.state.lock().unwrap().now -= 1;
        let Some((status, headers, body)) = answer else {
            return;
        };
        let head = format!(
            "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\nx-elastic-product: Elasticsearch\r\n{headers}content-length: {}\r\n\r\n",
            body.len()
        );
        if writer
            .write_all(&[head.as_bytes(), body.as_bytes()].concat())
            .is_err()
        {
            return;
        }
    }
}

impl State {
    fn store(
        &mut self,
        items: Vec<Item>,
        fault: impl Fn(&Item) -> Option<(u16, &'static str)>,
    ) -> String {
        let mut errors = false;
        let mut answers = Vec::with_capacity(items.len());
        for item in items {
            let (status, kind) = match fault(&item) {
                Some((status, kind)) => (status, Some(kind)),
                None if self.stored.contains_key(&item.id) => {
                    self.duplicates += 1;
                    (409, Some("version_conflict_engine_exception"))
                }
                None => {
                    self.order.push(item.id.clone());
                    self.stored.insert(item.id.clone(), item);
                    (201, None)
                }
            };
            errors |= kind.is_some();
            answers.push(match kind {
                Some(kind) => json!({"create": {"status": status, "error": {"type": kind, "reason": "as scripted"}}}),
                None => json!({"create": {"status": status}}),
            });
        }
        json!({"errors": errors, "took": 1, "items": answers}).to_string()
    }
}

/// What the client asks besides: the version, and since when a stream has its backing indices. It keeps documents in
/// nothing of the kind, and says so as the real server does.
fn other(target: &str) -> String {
    let (status, body) = if target.starts_with("/_nodes/") {
        (200, r#"{"nodes":{"a":{"version":"9.3.2"}}}"#)
    } else if target.contains("/_settings?") {
        (404, r#"{"error":{"type":"index_not_found_exception"}}"#)
    } else {
        (200, "{}")
    };
    format!(
        "HTTP/1.1 {status} X\r\nx-elastic-product: Elasticsearch\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// The path, the credentials, and the body.
fn read_request(reader: &mut impl BufRead) -> Option<(String, String, Vec<u8>)> {
    let (mut target, mut length, mut gzipped) = (String::new(), 0, false);
    let mut authorization = String::new();
    for line in 0.. {
        let mut header = String::new();
        if reader.read_line(&mut header).ok()? == 0 {
            return None;
        }
        if line == 0 {
            target = header.split(' ').nth(1)?.to_owned();
        }
        let header = header.trim().to_ascii_lowercase();
        match header.split_once(": ") {
            _ if line > 0 && header.is_empty() => break,
            Some(("content-length", value)) => length = value.parse().ok()?,
            Some(("authorization", value)) => value.clone_into(&mut authorization),
            Some(("content-encoding", "gzip")) => gzipped = true,
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    if gzipped {
        let mut plain = Vec::new();
        flate2::read::GzDecoder::new(&body[..])
            .read_to_end(&mut plain)
            .ok()?;
        body = plain;
    }
    Some((target, authorization, body))
}

fn parse(body: &[u8]) -> Vec<Item> {
    assert_eq!(body.last(), Some(&b'\n'), "a bulk body ends with a newline");
    let lines: Vec<Value> = body[..body.len() - 1]
        .split(|byte| *byte == b'\n')
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect();
    let items = lines.chunks(2).map(|pair| {
        let text = |field: &str| pair[0]["create"][field].as_str().unwrap().to_owned();
        Item {
            id: text("_id"),
            document: pair[1].clone(),
        }
    });
    items.collect()
}
