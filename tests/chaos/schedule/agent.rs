//! The real agent as a process, with a clock that can be set.

use std::fs::{self, File, OpenOptions};
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::plan::Plan;
use crate::environment;

/// Debian's package `libfaketime` has it in one of these.
const CLOCKS: [&str; 4] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/faketime/libfaketimeMT.so.1",
    "/usr/lib64/faketime/libfaketimeMT.so.1",
];

pub(super) struct Agent {
    folder: PathBuf,
    child: Option<Child>,
    pub(super) starts: usize,
    /// Where what it said since its last start begins.
    log_begins_at: usize,
}

impl Agent {
    /// Writes its configuration into `folder`, which holds the logs and shall hold the store.
    pub(super) fn configure(folder: &Path, plan: &Plan, addresses: &[SocketAddr]) -> Self {
        let hosts: Vec<String> = addresses
            .iter()
            .map(|address| format!("\"http://{address}\""))
            .collect();
        let compression = if plan.is_compressed { "gzip" } else { "none" };
        let config = format!(
            r#"data_dir = "{folder}/data"
[node]
name = "chaos"
[elasticsearch]
hosts = [{hosts}]
request_timeout = "{timeout}s"
compression = "{compression}"
[[logs]]
paths = ["{folder}/logs/*.log*", "{folder}/logs/old/*.log*"]
client = "generic"
timezone = "UTC"
"#,
            folder = folder.display(),
            hosts = hosts.join(", "),
            timeout = plan.request_timeout.as_secs(),
        );
        fs::write(folder.join("agent.toml"), config).unwrap();
        fs::write(folder.join("clock"), "+0").unwrap();
        Self {
            folder: folder.to_owned(),
            child: None,
            starts: 0,
            log_begins_at: 0,
        }
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whether its clock can be set.
    pub(super) fn has_clock() -> bool {
        clock_library().is_some()
    }

    pub(super) fn start(&mut self) {
        let log = log(&self.folder);
        self.log_begins_at = self.log().len();
        let mut command = Command::new(environment::program());
        command
            .arg("agent")
            .arg("--config")
            .arg(self.folder.join("agent.toml"))
            .env("ETHMON_LOG", "info")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        if let Some(library) = clock_library() {
            command
                .env("LD_PRELOAD", library)
                .env("FAKETIME_TIMESTAMP_FILE", self.folder.join("clock"))
                .env("FAKETIME_CACHE_DURATION", "1")
                .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
                .env("FAKETIME_DISABLE_SHM", "1")
                .env("NO_FAKE_STAT", "1");
        }
        self.child = Some(command.spawn().unwrap());
        self.starts += 1;
    }

    /// All it said in all its lives.
    pub(super) fn log(&self) -> Vec<u8> {
        fs::read(self.folder.join("agent.out")).unwrap()
    }

    pub(super) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have died by itself, which `check_alive` tells.
            child.kill().ok();
            child.wait().unwrap();
        }
    }

    /// As the service manager does; how it ended.
    pub(super) fn stop(&mut self) -> Result<(), String> {
        self.signal(Signal::TERM);
        let Some(mut child) = self.child.take() else {
            return Err("the agent was not running".into());
        };
        // It gives up what it can't flush after some seconds.
        for _ in 0..600 {
            if let Some(status) = child.try_wait().unwrap() {
                // Asked before it listens to signals, it ends by the signal.
                let is_asked = status.success() || status.signal() == Some(Signal::TERM.as_raw());
                return is_asked
                    .then_some(())
                    .ok_or_else(|| format!("the agent ended with {status}"));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        child.kill().ok();
        child.wait().unwrap();
        Err("the agent did not end within a minute".into())
    }

    pub(super) fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    pub(super) fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    /// Nothing where it does not listen to signals yet.
    pub(super) fn reload(&self) {
        let said = &self.log()[self.log_begins_at..];
        if memchr::memmem::find(said, b"agent starts").is_some() {
            self.signal(Signal::HUP);
        }
    }

    /// Without the library the clock stays as it is.
    pub(super) fn set_clock(&self, seconds: i64) {
        fs::write(self.folder.join("clock"), format!("{seconds:+}")).unwrap();
    }

    /// Says how it ended where it should be running.
    pub(super) fn check_alive(&mut self) -> Result<(), String> {
        match self.child.as_mut().map(Child::try_wait) {
            Some(Ok(None)) => Ok(()),
            other => Err(format!("the agent ended by itself: {other:?}")),
        }
    }

    fn signal(&self, signal: Signal) {
        let Some(child) = &self.child else { return };
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        // A process that has ended takes no signal.
        pid.map(|pid| kill_process(pid, signal).ok());
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.kill();
    }
}

fn clock_library() -> Option<&'static str> {
    CLOCKS.into_iter().find(|path| Path::new(path).exists())
}

fn log(folder: &Path) -> File {
    let path = folder.join("agent.out");
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .unwrap()
}
