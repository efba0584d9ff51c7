//! A beacon node on loopback whose chain grows by itself: what an agent asks at the start, blocks by root, and the event stream.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use ethmon::slot;
use serde_json::{Value, json};

pub(crate) struct BeaconNode {
    address: SocketAddr,
    chain: Arc<Chain>,
}

struct Chain {
    genesis_time: i64,
    /// The head; blocks are 1..=head, each the child of the one before, one per slot.
    head: Mutex<u64>,
    grown: Condvar,
}

impl BeaconNode {
    /// Grows by a block per `period`, up to `blocks`.
    pub(crate) fn start(period: Duration, blocks: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let chain = Arc::new(Chain {
            genesis_time: slot::now().timestamp(),
            head: Mutex::new(1),
            grown: Condvar::new(),
        });
        let growing = Arc::clone(&chain);
        thread::spawn(move || {
            for head in 2..=blocks {
                thread::sleep(period);
                *growing.head.lock().unwrap() = head;
                growing.grown.notify_all();
            }
        });
        let served = Arc::clone(&chain);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let chain = Arc::clone(&served);
                // An agent that is killed ends its connections in the middle.
                thread::spawn(move || chain.serve(stream).ok());
            }
        });
        Self { address, chain }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn head(&self) -> u64 {
        *self.chain.head.lock().unwrap()
    }
}

pub(crate) fn root(number: u64) -> String {
    format!("0x{number:064x}")
}

impl Chain {
    fn serve(&self, stream: TcpStream) -> std::io::Result<()> {
        let mut writer = stream.try_clone()?;
        let mut lines = BufReader::new(stream).lines();
        loop {
            let mut path = String::new();
            for line in lines.by_ref() {
                let line = line?;
                if line.is_empty() {
                    break;
                }
                if path.is_empty() {
                    path = line.split(' ').nth(1).unwrap_or_default().to_owned();
                }
            }
            match path.as_str() {
                "" => return Ok(()),
                path if path.starts_with("/eth/v1/events") => return self.stream(writer),
                path => {
                    let answer = self.answer(path);
                    let (status, body) =
                        answer.map_or((404, "{}".into()), |body| (200, body.to_string()));
                    let length = body.len();
                    write!(
                        writer,
                        "HTTP/1.1 {status} x\r\ncontent-length: {length}\r\n\r\n{body}"
                    )?;
                }
            }
        }
    }

    fn answer(&self, path: &str) -> Option<Value> {
        let head = *self.head.lock().unwrap();
        Some(match path {
            "/eth/v1/config/spec" => {
                json!({"data": {"CONFIG_NAME": "scripted", "SECONDS_PER_SLOT": "1", "SLOTS_PER_EPOCH": "32"}})
            }
            "/eth/v1/beacon/genesis" => {
                json!({"data": {"genesis_time": self.genesis_time.to_string(), "genesis_validators_root": root(u64::MAX)}})
            }
            "/eth/v1/node/version" => json!({"data": {"version": "Scripted/v1/x"}}),
            "/eth/v1/node/syncing" => {
                json!({"data": {"head_slot": head.to_string(), "sync_distance": "0", "is_syncing": false}})
            }
            "/eth/v1/beacon/headers/head" => {
                json!({"data": {"root": root(head), "header": {"message": {"slot": head.to_string()}}}})
            }
            _ => {
                let asked = path.strip_prefix("/eth/v2/beacon/blocks/")?;
                let number = (1..=head).find(|number| root(*number) == asked)?;
                json!({"version": "capella", "data": {"signature": "0x", "message": {
                    "slot": number.to_string(), "proposer_index": "7", "parent_root": root(number - 1),
                    "body": {"attestations": [], "graffiti": "0x41"},
                }}})
            }
        })
    }

    fn stream(&self, mut writer: TcpStream) -> std::io::Result<()> {
        writer.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n")?;
        let mut told = *self.head.lock().unwrap();
        loop {
            let head = self.head.lock().unwrap();
            let (head, waited) = self
                .grown
                .wait_timeout_while(head, Duration::from_secs(1), |head| *head == told)
                .unwrap();
            let head = *head;
            if waited.timed_out() {
                // A comment, as nodes send: it also finds out whether the reader is gone.
                writer.write_all(b":\n\n")?;
            }
            while told < head {
                told += 1;
                for topic in ["block", "head"] {
                    let data = json!({"slot": told.to_string(), "block": root(told)});
                    write!(writer, "event: {topic}\ndata: {data}\n\n")?;
                }
            }
        }
    }
}
