//! The agent on an interface: a namespace of its own, in which this test calls itself again, has a loopback where nobody
//! else speaks.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::time::Instant;

use super::{number, text};
use crate::bulk_server::{Act, BulkServer};

/// What must come, comes within this.
pub(super) const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn the_agent_watches_an_interface_without_privilege() {
    let myself = std::env::current_exe().unwrap();
    let mut command = Command::new("unshare");
    if !rustix::process::geteuid().is_root() {
        command.arg("--map-root-user");
    }
    let output = command
        .args(["--net", "--"])
        .arg(myself)
        .args(["--ignored", "--exact", "--nocapture"])
        .arg("packets::live::inside_the_namespace")
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}\n{errors}");
    assert!(told.contains("1 passed"), "{told}");
}

/// A running agent, and what it logs.
pub(super) struct Agent {
    child: Child,
    log: mpsc::Receiver<String>,
}

impl Agent {
    pub(super) fn start(config: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_ethmon"))
            .args(["agent", "--config"])
            .arg(config)
            .env_remove("RUST_LOG")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, log) = mpsc::sync_channel(10_000);
        let stderr = child.stderr.take().unwrap();
        thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self { child, log }
    }

    pub(super) fn wait_for_log(&self, wanted: &str) {
        let mut before = String::new();
        loop {
            let line = self.log.recv_timeout(LIMIT);
            let line = line.unwrap_or_else(|_| panic!("{wanted:?} was not logged:\n{before}"));
            if line.contains(wanted) {
                return;
            }
            before.push_str(&line);
            before.push('\n');
        }
    }

    pub(super) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Of the process and of all its threads.
    fn capabilities(&self) -> Vec<u64> {
        let tasks = format!("/proc/{}/task", self.child.id());
        let of_thread = |path: &Path| {
            let status = fs::read_to_string(path.join("status")).unwrap_or_default();
            let lines = status.lines();
            let sets = lines.filter_map(|line| {
                let (name, set) = line.split_once(':')?;
                let is_used = ["CapInh", "CapPrm", "CapEff", "CapAmb"].contains(&name);
                is_used.then(|| u64::from_str_radix(set.trim(), 16).unwrap())
            });
            sets.fold(0, |all, set| all | set)
        };
        let threads = fs::read_dir(tasks).unwrap();
        threads
            .map(|entry| of_thread(&entry.unwrap().path()))
            .collect()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn configure(path: &Path, server: &BulkServer, packets: &str) {
    let text = format!(
        "data_dir = {:?}\n[elasticsearch]\nhosts = [\"{}\"]\n[packets]\nperiod = \"1s\"\nflow_timeout = \"2s\"\n{packets}\n",
        path.with_file_name("data"),
        server.url()
    );
    fs::write(path, text).unwrap();
}

/// Until a document of the dataset is so.
fn wait_for(server: &BulkServer, dataset: &str, is_it: impl Fn(&Value) -> bool) -> Value {
    let began = Instant::now();
    loop {
        let ids = server.stored();
        let stored: Vec<Value> = ids.iter().filter_map(|id| server.document(id)).collect();
        let of_dataset = |document: &&Value| text(document, "data_stream.dataset") == dataset;
        if let Some(found) = stored
            .iter()
            .filter(of_dataset)
            .find(|document| is_it(document))
        {
            return found.clone();
        }
        assert!(began.elapsed() < LIMIT, "no such {dataset} in {stored:#?}");
        thread::sleep(Duration::from_millis(50));
    }
}

/// A server that answers one request in its way, and a client that asks for a path of its own.
fn ask(listener: &TcpListener, path: &str) {
    let place = listener.local_addr().unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            let (mut stream, _) = listener.accept().unwrap();
            // To its end: a connection closed before everything is read is reset, and the answer is lost.
            let mut lines = BufReader::new(&stream).lines();
            assert!(lines.any(|line| line.unwrap().is_empty()));
            stream
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                .unwrap();
        });
        let mut stream = TcpStream::connect(place).unwrap();
        // In one packet: formatted into the stream, each piece would be one.
        let request = format!("GET {path} HTTP/1.1\r\nHost: beacon\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.ends_with("ok"));
    });
}

#[test]
#[ignore = "called by the test above, in a namespace of its own"]
fn inside_the_namespace() {
    let up = Command::new("ip")
        .args(["link", "set", "lo", "up"])
        .status();
    assert!(up.unwrap().success());
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("agent.toml");
    let server = BulkServer::start(|_, _| Act::Serve);
    configure(&config, &server, "interfaces = [\"lo\"]");
    let agent = Agent::start(&config);
    agent.wait_for_log("capturing");
    let raw = 1 << 13;
    let capabilities = agent.capabilities();
    assert!(!capabilities.is_empty());
    assert!(
        capabilities.iter().all(|set| set & raw == 0),
        "{capabilities:x?}"
    );

    let beacon = TcpListener::bind("127.0.0.1:5052").unwrap();
    ask(&beacon, "/eth/v1/node/version?token=secret");
    let of_path = |path: &'static str| move |document: &Value| text(document, "url.path") == path;
    let document = wait_for(
        &server,
        "network_traffic.http",
        of_path("/eth/v1/node/version"),
    );
    assert_eq!(text(&document, "url.query"), "token=REDACTED");
    assert_eq!(number(&document, "http.response.body.bytes"), Some(2));

    // Nobody listens there.
    let refused = TcpStream::connect("127.0.0.1:9000");
    assert!(refused.is_err());
    let discv5 = UdpSocket::bind("127.0.0.1:9000").unwrap();
    for _ in 0..3 {
        discv5.send_to(&[0; 100], "127.0.0.1:9000").unwrap();
    }
    let is_discv5 = |document: &Value| text(document, "network.application") == "discv5";
    let flow = wait_for(&server, "network_traffic.flow", is_discv5);
    assert_eq!(number(&flow, "network.bytes"), Some(3 * 142));
    let is_refused = |document: &Value| number(document, "ethereum.traffic.refused") == Some(1);
    let sums = wait_for(&server, "ethereum.traffic", is_refused);
    assert_eq!(text(&sums, "network.application"), "libp2p");
    assert_eq!(number(&sums, "ethereum.traffic.inbound.opened"), Some(1));

    // Another interface would need the privilege; another filter does not.
    configure(&config, &server, "interfaces = [\"lo\", \"other\"]");
    agent.signal(Signal::HUP);
    agent.wait_for_log("cannot capture on other");
    let beacon = TcpListener::bind("127.0.0.1:5099").unwrap();
    configure(
        &config,
        &server,
        "interfaces = [\"lo\"]\nports.beacon_api = [5099]",
    );
    agent.signal(Signal::HUP);
    agent.wait_for_log("taking over the new configuration");
    agent.wait_for_log("capturing");
    ask(&beacon, "/after/the/reload");
    wait_for(
        &server,
        "network_traffic.http",
        of_path("/after/the/reload"),
    );
    let capture = |document: &Value| {
        number(document, "ethereum.traffic.capture.kernel_dropped") == Some(0)
            && number(document, "ethereum.traffic.capture.packets") > Some(0)
    };
    wait_for(&server, "ethereum.traffic", capture);
}
