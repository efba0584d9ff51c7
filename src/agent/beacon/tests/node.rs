//! A beacon node on a real socket that does what a test scripts: the chain it has, and how its stream misbehaves.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use crate::agent::beacon;
use crate::agent::outbox::Outbox;
use crate::config::Beacon;
use crate::event::{DataStream, Event};
use crate::setup::assert_accepted;
use crate::slot::{self, Root};
use crate::tasks::Tasks;

/// What the node sends on its stream, in order.
#[derive(Clone)]
pub(super) enum Act {
    /// The answer's head with status 200.
    Head,
    Send(String),
    Wait(u64),
    /// Ends the connection; the next one goes on with the rest of the script.
    Close,
}

#[derive(Default)]
pub(super) struct Script {
    pub(super) acts: Vec<Act>,
    /// The same for the connection with votes.
    pub(super) heavy: Vec<Act>,
    /// Topics refused with 400, and how the answer puts it (`{}` is the topic).
    pub(super) refuses: Vec<&'static str>,
    pub(super) refusal: &'static str,
    /// Answers given as they are instead of JSON, by path.
    pub(super) raw: HashMap<String, String>,
    pub(super) is_down: bool,
}

/// The node. Blocks are added by `block`; the last one added is its head.
#[derive(Clone)]
pub(super) struct Node {
    state: Arc<Mutex<State>>,
    pub(super) url: String,
    genesis_time: i64,
}

struct State {
    script: Script,
    answers: HashMap<String, Value>,
    head: Option<(u64, Root)>,
    asked: Vec<String>,
}

pub(super) const SLOT_SECONDS: i64 = 2;

impl Node {
    /// Listens, and serves until `stop`.
    pub(super) async fn start(tasks: &mut Tasks, stop: &CancellationToken, script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let genesis_time = slot::now().timestamp() - 100 * SLOT_SECONDS;
        let spec = json!({"data": {"CONFIG_NAME": "scripted", "SECONDS_PER_SLOT": SLOT_SECONDS.to_string(), "SLOTS_PER_EPOCH": "32"}});
        let genesis = json!({"data": {"genesis_time": genesis_time.to_string(), "genesis_validators_root": root(99)}});
        let version = json!({"data": {"version": "Scripted/v1/x"}});
        let node = Self {
            url: format!("http://{}", listener.local_addr().unwrap()),
            genesis_time,
            state: Arc::new(Mutex::new(State {
                script,
                answers: HashMap::from([
                    ("/eth/v1/config/spec".into(), spec),
                    ("/eth/v1/beacon/genesis".into(), genesis),
                    ("/eth/v1/node/version".into(), version),
                ]),
                head: None,
                asked: Vec::new(),
            })),
        };
        let served = node.clone();
        let stop = stop.clone();
        tasks.spawn("scripted node", async move {
            let mut connections = tokio::task::JoinSet::new();
            loop {
                tokio::select! {
                    accepted = listener.accept() => {
                        connections.spawn(served.clone().serve(accepted?.0));
                    }
                    () = stop.cancelled() => return Ok(()),
                }
            }
        });
        node
    }

    /// Adds a block and makes it the head.
    pub(super) fn block(&self, slot: u64, number: u8, parent: u8) {
        let block = json!({"version": "capella", "data": {"message": {"slot": slot.to_string(), "proposer_index": "7", "parent_root": root(parent),
            "body": {"attestations": [], "graffiti": "0x41"}}, "signature": "0x"}});
        let mut state = self.state.lock().unwrap();
        state
            .answers
            .insert(format!("/eth/v2/beacon/blocks/{}", root(number)), block);
        state.head = Some((slot, root(number)));
    }

    pub(super) fn is_down(&self, is_down: bool) {
        self.state.lock().unwrap().script.is_down = is_down;
    }

    /// The stream requests made, as their query.
    pub(super) fn subscriptions(&self) -> Vec<String> {
        let state = self.state.lock().unwrap();
        let streams = state
            .asked
            .iter()
            .filter_map(|path| path.strip_prefix("/eth/v1/events?"));
        streams.map(str::to_owned).collect()
    }

    pub(super) fn asked(&self, part: &str) -> usize {
        self.state
            .lock()
            .unwrap()
            .asked
            .iter()
            .filter(|path| path.contains(part))
            .count()
    }

    pub(super) fn slot(&self) -> u64 {
        ((slot::now().timestamp() - self.genesis_time) / SLOT_SECONDS) as u64
    }

    async fn serve(self, mut socket: TcpStream) {
        let mut request = Vec::new();
        let mut buffer = [0; 4096];
        // One connection may carry several requests; each is answered in turn.
        while let Ok(length @ 1..) = socket.read(&mut buffer).await {
            request.extend_from_slice(&buffer[..length]);
            while let Some(end) = request.windows(4).position(|window| window == b"\r\n\r\n") {
                let head = String::from_utf8_lossy(&request[..end]).into_owned();
                request.drain(..end + 4);
                let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
                if self.answer(&mut socket, path).await.is_none() {
                    return;
                }
            }
        }
    }

    /// `None` closes the connection.
    async fn answer(&self, socket: &mut TcpStream, path: String) -> Option<()> {
        let (status, body) = {
            let mut state = self.state.lock().unwrap();
            state.asked.push(path.clone());
            if state.script.is_down {
                return None;
            }
            let refused = state.script.refuses.iter().find(|topic| {
                path.split(['?', '&'])
                    .any(|part| part == format!("topics={topic}"))
            });
            if let Some(topic) = refused {
                (400, state.script.refusal.replace("{}", topic))
            } else if path.starts_with("/eth/v1/events") {
                (200, String::new())
            } else if let Some(raw) = state.script.raw.get(&path) {
                (200, raw.clone())
            } else if path == "/eth/v1/beacon/headers/head"
                && let Some((slot, root)) = state.head
            {
                (200, json!({"data": {"root": root, "header": {"message": {"slot": slot.to_string()}}}}).to_string())
            } else if let Some(answer) = state.answers.get(&path) {
                (200, answer.to_string())
            } else {
                (404, "{}".into())
            }
        };
        if status == 200 && path.starts_with("/eth/v1/events") {
            return self.stream(socket, path.contains("attestation")).await;
        }
        let answer = format!(
            "HTTP/1.1 {status} x\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        socket.write_all(answer.as_bytes()).await.ok()
    }

    async fn stream(&self, socket: &mut TcpStream, is_heavy: bool) -> Option<()> {
        loop {
            let act = {
                let mut state = self.state.lock().unwrap();
                let acts = match is_heavy {
                    true => &mut state.script.heavy,
                    false => &mut state.script.acts,
                };
                (!acts.is_empty()).then(|| acts.remove(0))
            };
            match act {
                Some(Act::Head) => socket
                    .write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n")
                    .await
                    .ok()?,
                Some(Act::Send(text)) => socket.write_all(text.as_bytes()).await.ok()?,
                Some(Act::Wait(ms)) => {
                    tokio::time::sleep(std::time::Duration::from_millis(ms)).await
                }
                Some(Act::Close) => return None,
                None => std::future::pending().await,
            }
        }
    }
}

pub(super) fn root(number: u8) -> Root {
    Root([number; 32])
}

pub(super) fn told(topic: &str, slot: u64, number: u8) -> Act {
    Act::Send(format!(
        "event: {topic}\ndata: {{\"slot\":\"{slot}\",\"block\":\"{}\"}}\n\n",
        root(number)
    ))
}

/// The collector against a node, until `enough` holds of what it told (or 40 s).
pub(super) struct Run {
    pub(super) outbox: Outbox,
    pub(super) events: Vec<Event>,
}

impl Run {
    pub(super) async fn until(
        script: Script,
        prepare: impl AsyncFnOnce(&Node),
        change: impl Fn(&mut Beacon),
        mut enough: impl FnMut(&Node, &Run) -> bool,
    ) -> (Node, Self) {
        let stop = CancellationToken::new();
        let mut tasks = Tasks::new(stop.clone());
        let node = Node::start(&mut tasks, &stop, script).await;
        prepare(&node).await;
        let (outbox, mut events) = Outbox::in_memory("agent", 10_000);
        let mut config = Beacon {
            url: node.url.parse().unwrap(),
            summaries: false,
            attestations: false,
            participation: false,
            ..Beacon::default()
        };
        change(&mut config);
        tasks.spawn("beacon", beacon::run(config, outbox.clone(), stop.clone()));
        let mut run = Self {
            outbox,
            events: Vec::new(),
        };
        let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(40);
        while !enough(&node, &run) {
            let wait = tokio::time::Instant::now() + std::time::Duration::from_millis(50);
            assert!(
                wait < deadline,
                "not reached; told: {:#?}",
                run.events
                    .iter()
                    .map(|event| event.document.as_map())
                    .collect::<Vec<_>>()
            );
            if let Ok(Some(event)) = tokio::time::timeout_at(wait, events.recv()).await {
                run.events.push(event);
            }
        }
        stop.cancel();
        tasks.join().await.unwrap();
        while let Ok(event) = events.try_recv() {
            run.events.push(event);
        }
        assert_accepted(&run.events);
        (node, run)
    }

    pub(super) fn of(&self, stream: DataStream) -> impl Iterator<Item = &Event> {
        self.events
            .iter()
            .filter(move |event| event.stream == stream)
    }

    pub(super) fn blocks(&self) -> Vec<u64> {
        let blocks = self.of(DataStream::Block);
        blocks
            .filter_map(|event| event.document.get_u64("ethereum.block.slot"))
            .collect()
    }

    pub(super) fn block(&self, number: u8) -> &Event {
        let root = root(number).to_string();
        let mut blocks = self
            .of(DataStream::Block)
            .filter(|event| event.document.get_str("ethereum.block.root") == Some(&root));
        let block = blocks
            .next()
            .unwrap_or_else(|| panic!("block {number} is not told"));
        assert!(blocks.next().is_none(), "block {number} is told twice");
        block
    }
}
