//! A process on a core of its own, and what it used.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::Context;
use rustix::process::{Pid, Signal, kill_process};

/// Linux counts CPU time of a process in these, whatever the clock of the machine.
const TICK: Duration = Duration::from_millis(10);
const POLL: Duration = Duration::from_millis(5);

pub(crate) struct Process(Child);

/// Resident, in bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Memory {
    /// At any time.
    pub(crate) most: u64,
    pub(crate) now: u64,
    /// Of that what the kernel maps of the program and its libraries, and can take back.
    pub(crate) file: u64,
}

impl Process {
    /// Starts the command on this core.
    pub(crate) fn start(
        command: &Command,
        core: usize,
        stdout: Stdio,
        stderr: Stdio,
    ) -> anyhow::Result<Self> {
        let mut pinned = Command::new("taskset");
        pinned
            .args(["--cpu-list", &core.to_string()])
            .arg(command.get_program())
            .args(command.get_args())
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(stderr);
        let child = pinned.spawn().context("cannot start taskset")?;
        Ok(Self(child))
    }

    /// The first line it prints. Its output must be piped.
    pub(crate) fn first_line(&mut self) -> anyhow::Result<String> {
        let out = self.0.stdout.take().context("its output was read")?;
        let mut line = String::new();
        BufReader::new(out).read_line(&mut line)?;
        Ok(line.trim().to_owned())
    }

    /// CPU time so far: of all its threads, those that ended included, and of the processes it waited for.
    pub(crate) fn cpu(&self) -> anyhow::Result<Duration> {
        let stat = fs::read_to_string(self.proc("stat"))?;
        let (_, fields) = stat.rsplit_once(") ").context("no /proc/PID/stat")?;
        // utime, stime, cutime, cstime are fields 14 to 17; the state is the third.
        let ticks = fields.split(' ').skip(11).take(4).map(str::parse::<u32>);
        Ok(TICK * ticks.sum::<Result<u32, _>>()?)
    }

    /// Resident memory. None once it has ended.
    pub(crate) fn memory(&self) -> Memory {
        let status = fs::read_to_string(self.proc("status")).unwrap_or_default();
        let value = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
            kib.unwrap_or_default() * 1024
        };
        Memory {
            most: value("VmHWM:"),
            now: value("VmRSS:"),
            file: value("RssFile:"),
        }
    }

    /// CPU time within this time, to the nanosecond: ticks are too long for a process that does next to nothing.
    pub(crate) fn cpu_during(&self, time: Duration) -> anyhow::Result<Duration> {
        let before = self.threads()?;
        let mut after = before.clone();
        let step = time / 60;
        for _ in 0..60 {
            std::thread::sleep(step);
            // A thread that ends keeps what it had at the last look.
            after.extend(self.threads()?);
        }
        let used_ns = after
            .iter()
            .map(|(thread, ns)| ns - before.get(thread).copied().unwrap_or_default());
        Ok(Duration::from_nanos(used_ns.sum()))
    }

    /// Not reaped here: what it used is asked for afterwards.
    pub(crate) fn has_ended(&self) -> anyhow::Result<bool> {
        let stat = fs::read_to_string(self.proc("stat"))?;
        Ok(stat
            .rsplit(") ")
            .next()
            .is_some_and(|rest| rest.starts_with('Z')))
    }

    pub(crate) fn terminate(&self) {
        if let Some(pid) = Pid::from_raw(self.0.id() as i32) {
            kill_process(pid, Signal::TERM).ok();
        }
    }

    /// Waits for its end; the CPU time of its whole life.
    pub(crate) fn wait(mut self) -> anyhow::Result<Duration> {
        while !self.has_ended()? {
            std::thread::sleep(POLL);
        }
        let cpu = self.cpu()?;
        self.0.wait()?;
        Ok(cpu)
    }

    /// CPU time of each thread in nanoseconds.
    fn threads(&self) -> anyhow::Result<HashMap<PathBuf, u64>> {
        let mut threads = HashMap::new();
        for thread in fs::read_dir(self.proc("task"))? {
            let path = thread?.path();
            // It may have ended since it was listed.
            let stat = fs::read_to_string(path.join("schedstat")).unwrap_or_default();
            if let Some(ns) = stat.split(' ').next().and_then(|ns| ns.parse().ok()) {
                threads.insert(path, ns);
            }
        }
        Ok(threads)
    }

    fn proc(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/{name}", self.0.id()))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}
