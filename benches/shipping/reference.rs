//! The reference loop: the same job with nothing around it. It reads the files once, cuts lines, writes each document by
//! template, packs, sends, and sends again what was refused. It follows nothing, keeps nothing, and a crash loses all.
//!
//! What a shipper costs beyond it is what following, durability and typing by rules cost.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, ensure};
use ethmon::agent::ship::LIMITS;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde::Deserialize;

use crate::corpus::Kind;

/// What our agent writes on every document beside the line, as it is on a small host.
const CONSTANT: &str = concat!(
    r#","ecs":{"version":"8.17.0"},"data_stream":{"type":"logs","dataset":"ethereum.client","namespace":"default"},"#,
    r#""agent":{"id":"0f1a2b3c-4d5e-4f60-8172-839405a6b7c8","ephemeral_id":"1f1a2b3c-4d5e-4f60-8172-839405a6b7c8","name":"bench","type":"ethmon","version":"0.1.0"},"#,
    r#""host":{"name":"bench","hostname":"bench","id":"0f1a2b3c4d5e4f608172839405a6b7c8","architecture":"x86_64","ip":["10.0.0.2"],"mac":["02-00-00-00-00-01"],"#,
    r#""os":{"kernel":"6.1.0","type":"linux","name":"Debian GNU/Linux","version":"12 (bookworm)","codename":"bookworm","platform":"debian","family":"debian"}}"#,
);
const READ_BYTES: usize = 64 * 1024;

/// `shipping reference …`
pub(crate) fn run(dir: &Path, kind: Kind, url: &str) -> anyhow::Result<()> {
    let mut files: Vec<PathBuf> = fs::read_dir(dir)?
        .map(|entry| Ok(entry?.path()))
        .collect::<std::io::Result<_>>()?;
    files.sort();
    let mut sender = Sender::connect(url)?;
    let mut buffer = vec![0; READ_BYTES];
    for path in files {
        let mut file = File::open(&path)?;
        let path = path.to_string_lossy();
        let (mut filled, mut offset) = (0, 0);
        loop {
            let bytes = file.read(&mut buffer[filled..])?;
            if bytes == 0 {
                break;
            }
            filled += bytes;
            let mut begin = 0;
            while let Some(length) = memchr::memchr(b'\n', &buffer[begin..filled]) {
                let line = std::str::from_utf8(&buffer[begin..begin + length])?;
                sender.push(kind, line, &path, offset + begin as u64)?;
                begin += length + 1;
            }
            ensure!(begin > 0, "a line longer than {READ_BYTES} bytes");
            buffer.copy_within(begin..filled, 0);
            filled -= begin;
            offset += begin as u64;
        }
    }
    while sender.items > 0 {
        sender.send()?;
    }
    Ok(())
}

/// Idle: looks once a second whether a file has grown.
pub(crate) fn stay(dir: &Path) -> anyhow::Result<()> {
    loop {
        for entry in fs::read_dir(dir)? {
            std::hint::black_box(entry?.metadata()?.len());
        }
        std::thread::sleep(Duration::from_secs(1));
    }
}

struct Sender {
    host: String,
    reader: BufReader<TcpStream>,
    body: Vec<u8>,
    /// Where the items of the body begin.
    items: usize,
    begins: Vec<usize>,
    packed: Vec<u8>,
}

impl Sender {
    fn connect(url: &str) -> anyhow::Result<Self> {
        let host = url.trim_start_matches("http://").to_owned();
        let stream = TcpStream::connect(&host).with_context(|| format!("cannot reach {url}"))?;
        stream.set_nodelay(true)?;
        Ok(Self {
            host,
            reader: BufReader::new(stream),
            body: Vec::with_capacity(LIMITS.bytes + READ_BYTES),
            items: 0,
            begins: Vec::new(),
            packed: Vec::new(),
        })
    }

    fn push(&mut self, kind: Kind, line: &str, path: &str, offset: u64) -> anyhow::Result<()> {
        self.begins.push(self.body.len());
        self.items += 1;
        write!(
            self.body,
            r#"{{"create":{{"_index":"logs-ethereum.client-default","_id":"{:016x}{offset:016x}"}}}}"#,
            hash(path)
        )?;
        self.body.push(b'\n');
        write_document(&mut self.body, kind, line, path, offset)?;
        self.body.push(b'\n');
        if self.items >= LIMITS.items || self.body.len() >= LIMITS.bytes {
            self.send()?;
        }
        Ok(())
    }

    fn send(&mut self) -> anyhow::Result<()> {
        self.packed.clear();
        let mut encoder = GzEncoder::new(&mut self.packed, Compression::new(1));
        encoder.write_all(&self.body)?;
        encoder.finish()?;
        let head = format!(
            "POST /_bulk?require_data_stream=true&filter_path=errors,took,items.*.status,items.*.error HTTP/1.1\r\nhost: {}\r\n\
             content-type: application/x-ndjson\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n",
            self.host,
            self.packed.len()
        );
        let stream = self.reader.get_mut();
        stream.write_all(head.as_bytes())?;
        stream.write_all(&self.packed)?;
        let answer = self.answer()?;
        let mut refused = Vec::new();
        if memchr::memmem::find(&answer, br#""errors":false"#).is_none() {
            let answer: Answer = serde_json::from_slice(&answer)?;
            let failed = answer
                .items
                .iter()
                .enumerate()
                .filter(|(_, item)| item.create.status >= 300);
            refused.extend(failed.map(|(index, _)| index));
            // Lest it be a loop that does nothing else.
            std::thread::sleep(Duration::from_millis(1));
        }
        self.keep(&refused);
        Ok(())
    }

    /// The refused items are the beginning of the next body.
    fn keep(&mut self, refused: &[usize]) {
        let (mut end, mut begins) = (0, Vec::with_capacity(LIMITS.items));
        for item in refused {
            let begin = self.begins[*item];
            let until = self
                .begins
                .get(item + 1)
                .copied()
                .unwrap_or(self.body.len());
            self.body.copy_within(begin..until, end);
            begins.push(end);
            end += until - begin;
        }
        self.body.truncate(end);
        self.items = refused.len();
        self.begins = begins;
    }

    fn answer(&mut self) -> anyhow::Result<Vec<u8>> {
        let mut length = 0;
        loop {
            let mut line = String::new();
            ensure!(
                self.reader.read_line(&mut line)? > 0,
                "the sink closed the connection"
            );
            if line.trim_end().is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse()?;
            }
        }
        let mut body = vec![0; length];
        self.reader.read_exact(&mut body)?;
        Ok(body)
    }
}

#[derive(Deserialize)]
struct Answer {
    items: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    create: Outcome,
}

#[derive(Deserialize)]
struct Outcome {
    status: u16,
}

/// Time, level and logger by their places; of Lodestar's lines the pairs behind the message too, under their own names.
fn write_document(
    out: &mut Vec<u8>,
    kind: Kind,
    line: &str,
    path: &str,
    offset: u64,
) -> anyhow::Result<()> {
    let (time, rest) = match kind {
        Kind::Plain => line
            .split_at_checked(24)
            .context("a line without its time")?,
        Kind::Lodestar => line
            .split_at_checked(19)
            .context("a line without its time")?,
    };
    let (level, logger, message) = match kind {
        Kind::Plain => (rest[1..].split(' ').next().unwrap_or_default(), "", line),
        Kind::Lodestar => {
            let (logger, rest) = rest[1..]
                .split_once(']')
                .context("a line without its logger")?;
            let (level, message) = rest.split_once(": ").context("a line without its level")?;
            let level = level.trim_start();
            (&level[5..level.len() - 5], logger, message)
        }
    };
    match kind {
        Kind::Plain => write!(out, r#"{{"@timestamp":"{time}","#)?,
        Kind::Lodestar => write!(
            out,
            r#"{{"@timestamp":"2025-11-{}T{}Z","#,
            &time[4..6],
            &time[7..]
        )?,
    }
    out.extend_from_slice(br#""message":"#);
    write_string(out, message)?;
    write!(
        out,
        r#","event":{{"kind":"event","module":"ethereum","dataset":"ethereum.client","action":"generic","created":"2025-11-21T09:09:52.099Z"}},"log":{{"file":{{"path":"{path}"}},"offset":{offset},"level":"{level}","logger":"{logger}"}},"service":{{"name":"{}"}},"ethereum":{{"node":{{"name":"bench"}}"#,
        kind.client()
    )?;
    if kind == Kind::Lodestar {
        out.extend_from_slice(br#","layer":"consensus""#);
        for (name, value) in message
            .split([' ', ','])
            .filter_map(|word| word.split_once('='))
        {
            write!(out, r#","{name}":"{value}""#)?;
        }
    }
    out.push(b'}');
    out.extend_from_slice(CONSTANT.as_bytes());
    out.push(b'}');
    Ok(())
}

fn write_string(out: &mut Vec<u8>, text: &str) -> anyhow::Result<()> {
    let is_plain = |byte: u8| byte >= 0x20 && byte != b'"' && byte != b'\\';
    if text.bytes().all(is_plain) {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
        return Ok(());
    }
    Ok(serde_json::to_writer(out, text)?)
}

/// FNV-1a.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    })
}
