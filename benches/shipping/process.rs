//! A process on a core of its own, and what it used.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::Context;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::signal::{Signal, kill};
use nix::time::ClockId;
use nix::unistd::Pid;

pub(crate) struct Process(Child);

impl Process {
    /// Starts the command on this core. What a thread may run on is inherited by what it starts.
    pub(crate) fn start(mut command: Command, core: usize) -> anyhow::Result<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        let start = move || {
            pin(core)?;
            command.stdin(Stdio::null());
            command
                .spawn()
                .with_context(|| format!("cannot start {name}"))
        };
        let child = std::thread::scope(|scope| scope.spawn(start).join());
        Ok(Self(child.map_err(|_| anyhow::anyhow!("cannot start"))??))
    }

    /// The first line it prints. Its output must be piped.
    pub(crate) fn first_line(&mut self) -> anyhow::Result<String> {
        let out = self.0.stdout.as_mut().context("no output")?;
        let mut line = String::new();
        BufReader::new(out).read_line(&mut line)?;
        Ok(line.trim().to_owned())
    }

    /// CPU time of all its threads so far, those that ended included.
    pub(crate) fn cpu(&self) -> anyhow::Result<Duration> {
        let clock = ClockId::pid_cpu_clock_id(self.pid())?;
        Ok(clock.now()?.into())
    }

    /// Resident memory in bytes: the most it ever had, and what it has now. 0 once it has ended.
    pub(crate) fn memory(&self) -> (u64, u64) {
        let status = Path::new("/proc")
            .join(self.0.id().to_string())
            .join("status");
        let status = std::fs::read_to_string(status).unwrap_or_default();
        let value = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
            kib.unwrap_or_default() * 1024
        };
        (value("VmHWM:"), value("VmRSS:"))
    }

    pub(crate) fn has_ended(&mut self) -> anyhow::Result<bool> {
        // Not reaped here: what it used is told to who waits for it.
        let status = std::fs::read_to_string(format!("/proc/{}/stat", self.0.id()))?;
        Ok(status
            .rsplit(") ")
            .next()
            .is_some_and(|rest| rest.starts_with('Z')))
    }

    pub(crate) fn terminate(&self) {
        kill(self.pid(), Signal::SIGTERM).ok();
    }

    /// Waits for its end; returns its CPU time, that of the processes it waited for included.
    pub(crate) fn wait(mut self) -> anyhow::Result<Duration> {
        let before = children_cpu()?;
        self.0.wait()?;
        Ok(children_cpu()?.saturating_sub(before))
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.0.id() as i32)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// This thread, and what it starts, runs on this core alone.
pub(crate) fn pin(core: usize) -> anyhow::Result<()> {
    let mut set = CpuSet::new();
    set.set(core)?;
    sched_setaffinity(Pid::from_raw(0), &set)
        .with_context(|| format!("cannot use core {core} alone"))
}

fn children_cpu() -> anyhow::Result<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let duration = |time: nix::sys::time::TimeVal| {
        Duration::new(time.tv_sec() as u64, time.tv_usec() as u32 * 1000)
    };
    Ok(duration(usage.user_time()) + duration(usage.system_time()))
}
