//! The real aggregator as a process of its own, and what it uses.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::Context;
use procfs::process::Process;

pub(crate) struct Aggregator {
    child: Child,
    process: Process,
}

impl Aggregator {
    /// All shipped rules, no mail. What it says goes to `aggregator.log` in the directory.
    pub(crate) fn start(
        program: &Path,
        directory: &Path,
        url: &str,
        namespace: &str,
    ) -> anyhow::Result<Self> {
        std::fs::create_dir_all(directory)?;
        let config = directory.join("aggregator.toml");
        let text = format!(
            "[elasticsearch]\nhosts = [{url:?}]\nnamespace = {namespace:?}\nrequest_timeout = \"60s\"\n[aggregator]\n"
        );
        std::fs::write(&config, text)?;
        let log = File::create(directory.join("aggregator.log"))?;
        let child = Command::new(program)
            .args(["aggregator", "--config"])
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .context("cannot start the aggregator")?;
        let process = Process::new(child.id() as i32)?;
        Ok(Self { child, process })
    }

    /// Of its whole life so far.
    pub(crate) fn cpu(&self) -> anyhow::Result<Duration> {
        let stat = self.process.stat()?;
        let ticks = stat.utime + stat.stime;
        Ok(Duration::from_millis(
            ticks * 1_000 / procfs::ticks_per_second(),
        ))
    }

    /// Resident memory now and at most, in bytes.
    pub(crate) fn memory(&self) -> anyhow::Result<(u64, u64)> {
        let status = self.process.status()?;
        let bytes = |kib: Option<u64>| kib.unwrap_or_default() * 1024;
        Ok((bytes(status.vmrss), bytes(status.vmhwm)))
    }
}

impl Drop for Aggregator {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
