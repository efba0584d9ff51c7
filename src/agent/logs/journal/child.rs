//! The `journalctl` that reads the journal.

use std::io;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::process::{self, ChildStderr, ChildStdout, Command};

use super::Position;
use crate::agent::logs::frame::{Framer, Line};
use crate::config::Journald;

/// An entry is one line of JSON. What is longer is counted and left out.
const MAX_ENTRY_BYTES: usize = 4 << 20;

const READ_BYTES: usize = 32 * 1024;

/// Of what it complains about, the end is kept.
const COMPLAINT_BYTES: usize = 1024;

/// Once it has ended.
const LAST_WORDS: Duration = Duration::from_secs(1);

pub(super) struct Child {
    child: process::Child,
    stdout: ChildStdout,
    stderr: Option<ChildStderr>,
    complaint: Vec<u8>,
    framer: Framer,
    out: Vec<u8>,
    err: Vec<u8>,
}

pub(super) enum StartError {
    /// There is no such program.
    Missing,
    Failed(String),
}

pub(super) enum Output {
    Lines(Vec<Line>),
    /// Whether it succeeded, or why not.
    Ended(Result<(), String>),
}

impl Child {
    /// It ends with this value.
    pub(super) fn start(
        journald: &Journald,
        unit: &str,
        position: &Position,
        is_following: bool,
    ) -> Result<Self, StartError> {
        let mut command = Command::new(&journald.journalctl);
        command
            .args(arguments(journald, unit, position, is_following))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command.spawn().map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => StartError::Missing,
            _ => StartError::Failed(format!("cannot start it: {error}")),
        })?;
        let (Some(stdout), stderr) = (child.stdout.take(), child.stderr.take()) else {
            return Err(StartError::Failed("it has no output".into()));
        };
        Ok(Self {
            child,
            stdout,
            stderr,
            complaint: Vec::new(),
            framer: Framer::new(0, MAX_ENTRY_BYTES),
            out: vec![0; READ_BYTES],
            err: vec![0; COMPLAINT_BYTES],
        })
    }

    /// Safe to drop before it is done: nothing that was read is lost.
    pub(super) async fn next(&mut self) -> Output {
        loop {
            let read = tokio::select! {
                read = self.stdout.read(&mut self.out) => read,
                read = read_some(&mut self.stderr, &mut self.err) => {
                    match read {
                        Ok(bytes) if bytes > 0 => self.complain(bytes),
                        _ => self.stderr = None,
                    }
                    continue;
                }
            };
            match read {
                Ok(0) => return Output::Ended(self.end().await),
                Ok(bytes) => {
                    let mut lines = Vec::new();
                    self.framer
                        .push(&self.out[..bytes], |line| lines.push(line));
                    if !lines.is_empty() {
                        return Output::Lines(lines);
                    }
                }
                Err(error) => return Output::Ended(Err(format!("cannot read from it: {error}"))),
            }
        }
    }

    fn complain(&mut self, bytes: usize) {
        self.complaint.extend_from_slice(&self.err[..bytes]);
        let surplus = self.complaint.len().saturating_sub(COMPLAINT_BYTES);
        self.complaint.drain(..surplus);
    }

    async fn end(&mut self) -> Result<(), String> {
        let status = self.child.wait().await;
        let status = status.map_err(|error| format!("cannot wait for it: {error}"))?;
        // What it said last may still be in the pipe, which somebody else may hold open.
        let last_words = async {
            while self.stderr.is_some()
                && let Ok(bytes) = read_some(&mut self.stderr, &mut self.err).await
                && bytes > 0
            {
                self.complain(bytes);
            }
        };
        tokio::time::timeout(LAST_WORDS, last_words).await.ok();
        let complaint = String::from_utf8_lossy(&self.complaint);
        match status.success() {
            true => Ok(()),
            false => Err(format!("{status}: {}", complaint.trim())),
        }
    }
}

/// Never, once there is nothing to read from; 0 at its end.
async fn read_some(stderr: &mut Option<ChildStderr>, buffer: &mut [u8]) -> io::Result<usize> {
    match stderr {
        Some(stderr) => stderr.read(buffer).await,
        None => std::future::pending().await,
    }
}

fn arguments(
    journald: &Journald,
    unit: &str,
    position: &Position,
    is_following: bool,
) -> Vec<String> {
    // Fields longer than 4 KiB come whole only with `--all`.
    let mut arguments: Vec<String> = [
        "--output=json",
        "--output-fields=MESSAGE",
        "--all",
        "--quiet",
    ]
    .map(str::to_owned)
    .to_vec();
    arguments.push(format!("--unit={unit}"));
    if let Some(directory) = &journald.directory {
        arguments.push(format!("--directory={}", directory.display()));
    }
    match position {
        Position::Beginning => {}
        Position::SinceUs(us) => {
            let (seconds, us) = (us.div_euclid(1_000_000), us.rem_euclid(1_000_000));
            arguments.push(format!("--since=@{seconds}.{us:06}"));
        }
        Position::Cursor(cursor) => arguments.push(format!("--after-cursor={cursor}")),
    }
    if is_following {
        arguments.extend(["--follow".to_owned(), "--no-tail".to_owned()]);
    }
    arguments
}
