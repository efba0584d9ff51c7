//! Lines of a file, and the agent as it is shipped: it waits at the window's end, and the file is the queue.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::memory::{forget_highest, highest_mib};
use crate::sink::Sink;
use crate::{MAX_RSS_MIB, SECONDS};

/// After the last line, so that an agent that would read on does.
const SETTLE: Duration = Duration::from_secs(10);

struct Agent(Child);

impl Drop for Agent {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

pub(crate) fn run(events: u64) {
    let dir = tempfile::tempdir().unwrap();
    let (log, address) = (dir.path().join("node.log"), Sink::reserve());
    let config = dir.path().join("agent.toml");
    let text = format!(
        "data_dir = {:?}\n[elasticsearch]\nhosts = [\"http://{address}\"]\ncompression = \"none\"\n[[logs]]\npaths = [{log:?}]\n",
        dir.path().join("data")
    );
    std::fs::write(&config, text).unwrap();
    let agent = Command::new(env!("CARGO_BIN_EXE_ethmon"))
        .args(["agent", "--config"])
        .arg(&config)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let agent = Agent(agent);

    let began = Instant::now();
    let mut file = BufWriter::with_capacity(1 << 20, File::create(&log).unwrap());
    let filler = "x".repeat(100);
    for number in 0..events {
        writeln!(file, "INFO imported a block number={number:012} {filler}").unwrap();
    }
    file.flush().unwrap();
    thread::sleep(SETTLE);
    let mib = highest_mib(agent.0.id());
    println!(
        "files: outage: {events} lines written in {:.0} s, {} MiB; RSS of the agent at most {mib:.1} MiB",
        began.elapsed().as_secs_f64(),
        log.metadata().unwrap().len() >> 20,
    );
    assert!(mib <= MAX_RSS_MIB, "RSS above {MAX_RSS_MIB} MiB");

    forget_highest(agent.0.id());
    let sink = Sink::start(address);
    let began = Instant::now();
    let stored = sink.wait_for(events);
    let (seconds, mib) = (began.elapsed().as_secs_f64(), highest_mib(agent.0.id()));
    println!(
        "files: return: {stored} lines shipped in {seconds:.0} s, {:.0} times as fast as they came in {SECONDS} s; \
         RSS of the agent at most {mib:.1} MiB",
        SECONDS as f64 / seconds
    );
    assert_eq!(stored, events);
    assert!(mib <= MAX_RSS_MIB, "RSS above {MAX_RSS_MIB} MiB");
}
