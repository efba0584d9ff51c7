//! The null sink: takes bulks as Elasticsearch does, keeps them as they came, and counts.
//!
//! While the shipper runs it only unpacks, counts lines and answers, so that one core is enough. Which lines came is
//! found out afterwards, from the bodies it kept.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::Context;
use flate2::read::GzDecoder;
use memchr::memmem;
use serde::{Deserialize, Serialize};

use crate::corpus::{DIGITS, MARK, scatter};

/// `shipping sink …`: how the sink answers.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Options {
    /// Lines that are shipped: their numbers lie below.
    #[arg(long)]
    pub(crate) lines: usize,
    /// Wait before every answer.
    #[arg(long, default_value_t = 0)]
    pub(crate) latency_ms: u64,
    /// Of the items of every request, so many are refused with 429.
    #[arg(long, default_value_t = 0)]
    pub(crate) refuse_percent: u64,
}

/// What `GET /_sink/count` answers.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct Count {
    /// Taken, not refused.
    pub(crate) items: usize,
    pub(crate) requests: usize,
    /// Bodies as they came.
    pub(crate) wire_bytes: usize,
    /// Bodies unpacked.
    pub(crate) body_bytes: usize,
}

/// What `GET /_sink/lines` answers.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct Lines {
    pub(crate) unique: usize,
    /// Lines that came more than once, each time beyond the first.
    pub(crate) repeated: usize,
}

/// A request that was answered.
struct Kept {
    number: usize,
    body: Vec<u8>,
    gzipped: bool,
}

#[derive(Default)]
struct State {
    count: Count,
    kept: Vec<Kept>,
}

/// Prints its URL, then serves until it is killed.
pub(crate) fn run(options: Options) -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").context("cannot listen")?;
    println!("http://{}", listener.local_addr()?);
    let state = Mutex::default();
    thread::scope(|scope| {
        for stream in listener.incoming() {
            let stream = stream?;
            let state = &state;
            // A connection that breaks is the shipper's to mend.
            scope.spawn(move || serve(stream, options, state).ok());
        }
        Ok(())
    })
}

fn serve(stream: TcpStream, options: Options, state: &Mutex<State>) -> anyhow::Result<()> {
    stream.set_nodelay(true)?;
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::with_capacity(1 << 18, stream);
    let mut unpacked = Vec::new();
    while let Some(request) = Request::read(&mut reader)? {
        let mut status = "200 OK";
        let answer = match request.path.as_str() {
            "/_sink/count" => serde_json::to_vec(&lock(state).count)?,
            "/_sink/lines" => serde_json::to_vec(&lines(&lock(state).kept, options)?)?,
            path if path.ends_with("/_bulk") => bulk(request, options, state, &mut unpacked)?,
            // What shippers ask before they begin.
            "/" => br#"{"name":"sink","cluster_name":"sink","version":{"number":"8.19.0","build_flavor":"default"},"tagline":"You Know, for Search"}"#.to_vec(),
            // On a first day there is no data stream yet, and nothing in it that may have been sent before.
            path if path.ends_with("/_settings") => {
                status = "404 Not Found";
                br#"{"error":{"type":"index_not_found_exception"},"status":404}"#.to_vec()
            }
            _ => b"{}".to_vec(),
        };
        let head = format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\nx-elastic-product: Elasticsearch\r\ncontent-length: {}\r\n\r\n",
            answer.len()
        );
        writer.write_all(&[head.as_bytes(), &answer].concat())?;
    }
    Ok(())
}

/// Counts and keeps the body, and answers for every item as `filter_path=errors,took,items.*.status,items.*.error` has it.
fn bulk(
    request: Request,
    options: Options,
    state: &Mutex<State>,
    unpacked: &mut Vec<u8>,
) -> anyhow::Result<Vec<u8>> {
    let Request { body, gzipped, .. } = request;
    let plain = unpack(&body, gzipped, unpacked)?;
    let items = memchr::memchr_iter(b'\n', plain).count() / 2;
    let action: &[u8] = if plain.starts_with(br#"{"index""#) {
        b"index"
    } else {
        b"create"
    };
    let number = {
        let mut state = lock(state);
        state.count.requests += 1;
        state.count.wire_bytes += body.len();
        state.count.body_bytes += plain.len();
        state.count.requests
    };
    let refused = |item: usize| is_refused(number, item, options);
    let mut taken = 0;
    let mut answer = Vec::with_capacity(64 + items * 26);
    let errors = (0..items).any(refused);
    write!(answer, r#"{{"took":1,"errors":{errors},"items":["#)?;
    for item in 0..items {
        answer.extend_from_slice(if item > 0 { b",{\"" } else { b"{\"" });
        answer.extend_from_slice(action);
        if errors && refused(item) {
            answer.extend_from_slice(br#"":{"status":429,"error":{"type":"es_rejected_execution_exception","reason":"rejected execution of coordinating operation"}}}"#);
        } else {
            answer.extend_from_slice(br#"":{"status":201}}"#);
            taken += 1;
        }
    }
    answer.extend_from_slice(b"]}");
    {
        let mut state = lock(state);
        state.count.items += taken;
        state.kept.push(Kept {
            number,
            body,
            gzipped,
        });
    }
    thread::sleep(Duration::from_millis(options.latency_ms));
    Ok(answer)
}

/// Spread evenly, and known again afterwards.
fn is_refused(request: usize, item: usize, options: Options) -> bool {
    options.refuse_percent > 0
        && scatter((request as u64) << 32 | item as u64) % 100 < options.refuse_percent
}

/// Which lines the kept bodies hold.
fn lines(kept: &[Kept], options: Options) -> anyhow::Result<Lines> {
    let mut seen = vec![false; options.lines];
    let mut found = Lines::default();
    let mark = memmem::Finder::new(MARK);
    let mut unpacked = Vec::new();
    for Kept {
        number,
        body,
        gzipped,
    } in kept
    {
        let plain = unpack(body, *gzipped, &mut unpacked)?;
        let documents = plain.split(|byte| *byte == b'\n').skip(1).step_by(2);
        for (item, document) in documents.enumerate() {
            // A document without a mark is the shipper's own (its self-report).
            let Some(at) = mark.find(document).map(|at| at + MARK.len()) else {
                continue;
            };
            if is_refused(*number, item, options) {
                continue;
            }
            let digits = document.get(at..at + DIGITS).unwrap_or_default();
            let number: usize = std::str::from_utf8(digits)?
                .parse()
                .context("a line's number")?;
            match seen.get_mut(number).context("a line beyond the last")? {
                true => found.repeated += 1,
                first => {
                    *first = true;
                    found.unique += 1;
                }
            }
        }
    }
    Ok(found)
}

fn unpack<'a>(body: &'a [u8], gzipped: bool, into: &'a mut Vec<u8>) -> anyhow::Result<&'a [u8]> {
    if !gzipped {
        return Ok(body);
    }
    into.clear();
    GzDecoder::new(body)
        .read_to_end(into)
        .context("cannot unpack a body")?;
    Ok(into)
}

fn lock(state: &Mutex<State>) -> std::sync::MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Request {
    path: String,
    body: Vec<u8>,
    gzipped: bool,
}

impl Request {
    /// `None` once the connection is closed.
    fn read(reader: &mut impl BufRead) -> anyhow::Result<Option<Self>> {
        let (mut path, mut length, mut gzipped) = (String::new(), 0, false);
        for number in 0.. {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Ok(None);
            }
            let line = line.trim_end();
            if number == 0 {
                let target = line.split(' ').nth(1).unwrap_or_default();
                path = target.split('?').next().unwrap_or_default().to_owned();
            } else if line.is_empty() {
                break;
            } else if let Some((name, value)) = line.split_once(':') {
                match name.to_ascii_lowercase().as_str() {
                    "content-length" => length = value.trim().parse()?,
                    "content-encoding" => gzipped = value.trim() == "gzip",
                    "transfer-encoding" => anyhow::bail!("the sink reads no chunked bodies"),
                    _ => {}
                }
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        Ok(Some(Self {
            path,
            body,
            gzipped,
        }))
    }
}
