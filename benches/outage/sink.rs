//! A server that takes everything and counts it: a process of its own, so that it is no part of what is measured.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

/// Nothing more within this time means that nothing more comes.
const STUCK: Duration = Duration::from_secs(60);

/// What the agent says of itself is none of the events that are counted.
const OWN_REPORT: &[u8] = br#"{"create":{"_index":"metrics-ethmon.agent-"#;

/// The process. Killed at the end.
pub(crate) struct Sink {
    process: Child,
    address: SocketAddr,
}

impl Sink {
    /// An address where nobody listens yet.
    pub(crate) fn reserve() -> SocketAddr {
        TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
    }

    pub(crate) fn start(address: SocketAddr) -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["sink", &address.to_string()])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let out = process.stdout.take().unwrap();
        BufReader::new(out).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        Self { process, address }
    }

    /// Events taken so far.
    pub(crate) fn count(&self) -> u64 {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.write_all(b"GET /count HTTP/1.1\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.parse().unwrap()
    }

    /// Until it has so many. How many it has when it gets no more.
    pub(crate) fn wait_for(&self, items: u64) -> u64 {
        let (mut count, mut grew) = (self.count(), Instant::now());
        while count < items && grew.elapsed() < STUCK {
            thread::sleep(Duration::from_millis(50));
            let now = self.count();
            if now > count {
                (count, grew) = (now, Instant::now());
            }
        }
        count
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

/// `outage sink ADDRESS`: until it is killed.
pub(crate) fn run(address: &str) {
    let listener = TcpListener::bind(address).unwrap();
    println!("ready");
    let taken = AtomicU64::new(0);
    thread::scope(|scope| {
        for stream in listener.incoming().flatten() {
            let taken = &taken;
            scope.spawn(move || serve(stream, taken));
        }
    });
}

fn serve(stream: TcpStream, taken: &AtomicU64) {
    let mut writer = stream.try_clone().unwrap();
    let mut reader = BufReader::new(stream);
    let mut body = Vec::new();
    while let Some((target, length)) = read_head(&mut reader) {
        body.resize(length, 0);
        if reader.read_exact(&mut body).is_err() {
            return;
        }
        if target == "/count" {
            write!(writer, "{}", taken.load(Relaxed)).ok();
            return;
        }
        let (status, answer) = if target.starts_with("/_bulk") {
            let items = memchr::memchr_iter(b'\n', &body).count() / 2;
            let own = memchr::memmem::find_iter(&body, OWN_REPORT).count();
            taken.fetch_add((items - own) as u64, Relaxed);
            let items = vec![r#"{"create":{"status":201}}"#; items].join(",");
            let answer = format!("{{\"errors\":false,\"took\":1,\"items\":[{items}]}}");
            (200, answer)
        } else if target.contains("/_settings?") {
            let missing = r#"{"error":{"type":"index_not_found_exception"}}"#;
            (404, missing.to_owned())
        } else {
            (200, r#"{"nodes":{"a":{"version":"9.3.2"}}}"#.to_owned())
        };
        let head = format!(
            "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\nx-elastic-product: Elasticsearch\r\ncontent-length: {}\r\n\r\n",
            answer.len()
        );
        if writer.write_all((head + &answer).as_bytes()).is_err() {
            return;
        }
    }
}

/// The target and the body's length; `None` at the end.
fn read_head(reader: &mut impl BufRead) -> Option<(String, usize)> {
    let (mut target, mut length) = (None, 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return None;
        }
        let line = line.trim();
        match &target {
            _ if line.is_empty() => return target.map(|target| (target, length)),
            None => target = Some(line.split(' ').nth(1)?.to_owned()),
            Some(_) => {
                if let Some(value) = line.to_lowercase().strip_prefix("content-length: ") {
                    length = value.parse().unwrap();
                }
            }
        }
    }
}
