//! One run: a fresh sink, one shipper, all lines of a case.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde::de::DeserializeOwned;

use crate::case::Case;
use crate::process::Process;
use crate::sink::{Count, Lines};

pub(crate) const SHIPPER_CORE: usize = 0;
pub(crate) const SINK_CORE: usize = 1;

const POLL: Duration = Duration::from_millis(20);
/// A shipper that brings nothing new for so long brings nothing more.
const STUCK: Duration = Duration::from_secs(60);
/// Between the last line and the beginning of the idle time.
const SETTLE: Duration = Duration::from_secs(5);

#[derive(Debug, Clone)]
pub(crate) enum Shipper {
    Ethmon,
    Reference,
    /// A command line for `sh`.
    Peer(String),
}

/// What a run came to.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub(crate) struct Outcome {
    /// Of the process's whole life; when idle, of the idle time.
    pub(crate) cpu: Duration,
    /// From the start to the last line; when idle, the idle time.
    pub(crate) wall: Duration,
    /// The most of the whole life; when idle, what there is then.
    pub(crate) memory_bytes: u64,
    /// Of that the pages of the program itself and its libraries.
    pub(crate) file_bytes: u64,
    pub(crate) sink_cpu: Duration,
    #[serde(flatten)]
    pub(crate) count: Count,
    #[serde(flatten)]
    pub(crate) lines: Lines,
}

/// Where a case's files lie, and where a shipper may keep its state.
pub(crate) struct Place<'a> {
    pub(crate) corpus: &'a Path,
    pub(crate) scratch: &'a Path,
    pub(crate) idle: Duration,
}

pub(crate) fn run(shipper: &Shipper, case: &Case, place: &Place) -> anyhow::Result<Outcome> {
    let state = place.scratch.join("state");
    if state.exists() {
        std::fs::remove_dir_all(&state)?;
    }
    std::fs::create_dir_all(&state)?;
    let mut sink = Process::start(&sink(case)?, SINK_CORE, Stdio::piped(), Stdio::inherit())?;
    let url = sink.first_line()?;
    let command = command(shipper, case, place.corpus, &state, &url)?;
    let (began, sink_began) = (Instant::now(), sink.cpu()?);
    let log = File::create(state.join("stderr.log"))?;
    let process = Process::start(&command, SHIPPER_CORE, Stdio::null(), log.into())?;

    let (mut memory_bytes, mut file_bytes) = (0, 0);
    let mut grew = (began, 0);
    let (count, lines) = loop {
        std::thread::sleep(POLL);
        let memory = process.memory();
        memory_bytes = memory_bytes.max(memory.most);
        file_bytes = file_bytes.max(memory.file);
        let count: Count = ask(&url, "/_sink/count")?;
        if count.items >= case.lines {
            let lines: Lines = ask(&url, "/_sink/lines")?;
            if lines.unique >= case.lines {
                break (count, lines);
            }
        }
        if count.items > grew.1 {
            grew = (Instant::now(), count.items);
        }
        let is_over = process.has_ended()? && began.elapsed() > POLL * 5;
        if grew.0.elapsed() > STUCK || is_over && grew.0.elapsed() > POLL * 5 {
            break (count, ask(&url, "/_sink/lines")?);
        }
    };
    let mut wall = began.elapsed();
    let sink_cpu = sink.cpu()?.saturating_sub(sink_began);
    memory_bytes = memory_bytes.max(process.memory().most);

    let mut idle_cpu = None;
    if case.idle {
        std::thread::sleep(SETTLE);
        let began = Instant::now();
        idle_cpu = Some(process.cpu_during(place.idle)?);
        wall = began.elapsed();
        let memory = process.memory();
        (memory_bytes, file_bytes) = (memory.now, memory.file);
    }
    if matches!(shipper, Shipper::Reference) && !case.idle {
        // It ends by itself.
    } else {
        process.terminate();
    }
    let life = process.wait()?;
    Ok(Outcome {
        cpu: idle_cpu.unwrap_or(life),
        wall,
        memory_bytes,
        file_bytes,
        sink_cpu,
        count,
        lines,
    })
}

fn sink(case: &Case) -> anyhow::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command
        .arg("sink")
        .args(["--lines", &case.lines.to_string()])
        .args(["--latency-ms", &case.latency_ms.to_string()])
        .args(["--refuse-percent", &case.refuse_percent.to_string()]);
    Ok(command)
}

fn command(
    shipper: &Shipper,
    case: &Case,
    corpus: &Path,
    state: &Path,
    url: &str,
) -> anyhow::Result<Command> {
    let command = match shipper {
        Shipper::Ethmon => {
            let mut command = Command::new(env!("CARGO_BIN_EXE_ethmon"));
            command
                .args(["agent", "--config"])
                .arg(configuration(case, corpus, state, url)?);
            command
        }
        Shipper::Reference => {
            let mut command = Command::new(std::env::current_exe()?);
            command
                .args(["reference", "--url", url, "--client", case.kind.client()])
                .args(case.idle.then_some("--stay"))
                .arg(corpus);
            command
        }
        Shipper::Peer(line) => {
            let line = line
                .replace("{input}", &corpus.join("*.log").to_string_lossy())
                .replace("{url}", url)
                .replace("{host}", url.trim_start_matches("http://"))
                .replace("{state}", &state.to_string_lossy());
            let mut command = Command::new("sh");
            command.args(["-c", &format!("exec {line}")]);
            command
        }
    };
    Ok(command)
}

fn configuration(case: &Case, corpus: &Path, state: &Path, url: &str) -> anyhow::Result<PathBuf> {
    let path = state.join("agent.toml");
    let text = format!(
        "data_dir = {:?}\n[node]\nname = \"bench\"\n[elasticsearch]\nhosts = [{url:?}]\n[[logs]]\npaths = [{:?}]\nclient = {:?}\ntimezone = \"UTC\"\n",
        state.join("data"),
        corpus.join("*.log"),
        case.kind.client(),
    );
    std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

fn ask<T: DeserializeOwned>(url: &str, path: &str) -> anyhow::Result<T> {
    let host = url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(host)?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {host}\r\n\r\n")?;
    let mut reader = BufReader::new(stream);
    let mut length = None;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            bail!("the sink does not answer");
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = Some(value.trim().parse::<usize>()?);
        } else if line.trim_end().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length.context("an answer without a length")?];
    reader.read_exact(&mut body)?;
    Ok(serde_json::from_slice(&body)?)
}
