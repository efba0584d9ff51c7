//! The program as an operator has it: reloaded, run once, asked how it is, on a full disk, with a damaged store.

mod damage;
mod disk;
mod golden;
mod once;
mod reload;
mod status;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle, sleep};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::time::Instant;

use crate::bulk_server::BulkServer;

/// What must come, comes within this.
pub(crate) const LIMIT: Duration = Duration::from_secs(40);

/// A directory with a configuration, logs and the agent's data.
pub(crate) struct Site {
    dir: tempfile::TempDir,
}

impl Site {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { dir }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Everything but the data directory and where Elasticsearch is.
    pub(crate) fn configure(&self, server: &str, rest: &str) {
        let text = format!(
            "data_dir = {:?}\n[elasticsearch]\nhosts = [\"{server}\"]\n{rest}",
            self.path("data")
        );
        fs::write(self.path("agent.toml"), text).unwrap();
    }

    /// A `[[logs]]` section of one file.
    fn logs(&self, name: &str) -> String {
        format!("[[logs]]\npaths = [{:?}]\n", self.path(name))
    }

    fn append(&self, name: &str, text: &str) {
        let mut options = fs::OpenOptions::new();
        let mut file = options
            .create(true)
            .append(true)
            .open(self.path(name))
            .unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    pub(crate) fn start(&self) -> Agent {
        let mut child = ethmon(&["agent", "--config"])
            .arg(self.path("agent.toml"))
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let (shared, stderr) = (Arc::clone(&log), child.stderr.take().unwrap());
        let reader = thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let mut log = shared.lock().unwrap();
                log.push_str(&line);
                log.push('\n');
            }
        });
        Agent {
            child,
            log,
            reader: Some(reader),
        }
    }

    fn once(&self) -> Output {
        self.once_with_patience("60s")
    }

    fn once_with_patience(&self, patience: &str) -> Output {
        ethmon(&["agent", "--once", "--patience", patience, "--config"])
            .arg(self.path("agent.toml"))
            .output()
            .unwrap()
    }
}

fn ethmon(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ethmon"));
    command.args(arguments).env_remove("RUST_LOG");
    command
}

/// A running agent; killed with the test.
pub(crate) struct Agent {
    child: Child,
    log: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
}

impl Agent {
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    #[track_caller]
    fn wait_for_log(&self, text: &str) {
        self.wait_for_logs(text, 1);
    }

    /// Until the text was logged so often.
    #[track_caller]
    fn wait_for_logs(&self, text: &str, times: usize) {
        wait_until(
            || self.log().matches(text).count() >= times,
            || format!("{text:?} was not logged {times} times:\n{}", self.log()),
        );
    }

    /// As systemd would stop it.
    pub(crate) fn stop(mut self) -> (ExitStatus, String) {
        self.signal(Signal::TERM);
        let status = self.child.wait().unwrap();
        self.reader.take().unwrap().join().unwrap();
        (status, self.log())
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[track_caller]
pub(crate) fn wait_until(condition: impl Fn() -> bool, otherwise: impl Fn() -> String) {
    let limit = Instant::now() + LIMIT;
    while !condition() {
        assert!(Instant::now() < limit, "{}", otherwise());
        sleep(Duration::from_millis(20));
    }
}

/// The messages of all log lines that are stored, sorted.
fn messages(server: &BulkServer) -> Vec<String> {
    let documents = server
        .stored()
        .into_iter()
        .filter_map(|id| server.document(&id));
    let is_log =
        |document: &serde_json::Value| document["data_stream"]["dataset"] == "ethereum.client";
    let message = |document: serde_json::Value| document["message"].as_str().unwrap().to_owned();
    let mut messages: Vec<String> = documents.filter(is_log).map(message).collect();
    messages.sort();
    messages
}

#[track_caller]
fn wait_for_messages(server: &BulkServer, expected: &[&str]) {
    wait_until(
        || messages(server) == expected,
        || format!("stored: {:?}", messages(server)),
    );
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn store_of(site: &Site) -> PathBuf {
    Path::new(&site.path("data")).join("agent.redb")
}
