//! Stands between the aggregator and Elasticsearch, hands everything on as it is, and counts it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use chrono::{DateTime, Utc};
use flate2::read::GzDecoder;

/// What has passed since the start.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Count {
    pub(crate) requests: u64,
    pub(crate) searches: u64,
    /// Documents found by searches.
    pub(crate) hits: u64,
    /// Of answers, as they came over the wire.
    pub(crate) bytes: u64,
    /// The longest that one request took Elasticsearch.
    pub(crate) slowest: Duration,
}

#[derive(Default)]
struct State {
    count: Count,
    /// When bulk requests had been answered.
    writes: Vec<DateTime<Utc>>,
    /// Nothing is handed on until then.
    stalled_until: Option<DateTime<Utc>>,
}

#[derive(Clone, Default)]
pub(crate) struct Proxy(Arc<Mutex<State>>);

struct Message {
    /// First line and headers, as they came.
    head: Vec<u8>,
    first_line: String,
    gzipped: bool,
    /// As it came, chunk sizes included.
    raw: Vec<u8>,
    body: Vec<u8>,
}

impl Proxy {
    /// Returns its URL. It ends with the process.
    pub(crate) fn start(&self, server: &str) -> anyhow::Result<String> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let url = format!("http://{}", listener.local_addr()?);
        let (proxy, server) = (
            self.clone(),
            server
                .trim_start_matches("http://")
                .trim_end_matches('/')
                .to_owned(),
        );
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (proxy, server) = (proxy.clone(), server.clone());
                // A connection that breaks is the aggregator's to mend.
                thread::spawn(move || proxy.serve(client, &server).ok());
            }
        });
        Ok(url)
    }

    pub(crate) fn count(&self) -> Count {
        self.state().count
    }

    /// Elasticsearch does not answer from now on for so long.
    pub(crate) fn stall(&self, time: Duration) {
        self.state().stalled_until = Some(ethmon::slot::now() + time);
    }

    pub(crate) fn stalled_until(&self) -> Option<DateTime<Utc>> {
        self.state().stalled_until
    }

    pub(crate) fn take_slowest(&self) -> Duration {
        std::mem::take(&mut self.state().count.slowest)
    }

    /// When the first bulk request after `at` was answered: what was decided at `at` was stored then.
    pub(crate) fn written_after(&self, at: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.state()
            .writes
            .iter()
            .copied()
            .find(|write| *write >= at)
    }

    fn serve(&self, mut client: TcpStream, server: &str) -> anyhow::Result<()> {
        let mut server = TcpStream::connect(server)?;
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        let mut requests = BufReader::new(client.try_clone()?);
        let mut answers = BufReader::with_capacity(1 << 18, server.try_clone()?);
        while let Some(request) = Message::read(&mut requests)? {
            let wait = self.stalled_until().map(|end| end - ethmon::slot::now());
            thread::sleep(wait.and_then(|wait| wait.to_std().ok()).unwrap_or_default());
            let began = Instant::now();
            server.write_all(&[request.head, request.raw].concat())?;
            let answer = Message::read(&mut answers)?.context("no answer")?;
            let took = began.elapsed();
            client.write_all(&answer.head)?;
            client.write_all(&answer.raw)?;
            self.note(&request.first_line, answer, took)?;
        }
        Ok(())
    }

    fn note(&self, request: &str, answer: Message, took: Duration) -> anyhow::Result<()> {
        let is_search = request.contains("/_search");
        let hits = match is_search {
            true => memchr::memmem::find_iter(&answer.plain()?, br#""_index":""#).count(),
            false => 0,
        };
        let mut state = self.state();
        let count = &mut state.count;
        count.requests += 1;
        count.searches += u64::from(is_search);
        count.hits += hits as u64;
        count.bytes += (answer.head.len() + answer.raw.len()) as u64;
        count.slowest = count.slowest.max(took);
        if request.contains("_bulk") {
            state.writes.push(ethmon::slot::now());
        }
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Message {
    /// `None` where the other side has nothing more to say.
    fn read(reader: &mut impl BufRead) -> anyhow::Result<Option<Self>> {
        let mut message = Self {
            head: Vec::new(),
            first_line: String::new(),
            gzipped: false,
            raw: Vec::new(),
            body: Vec::new(),
        };
        if reader.read_line(&mut message.first_line)? == 0 {
            return Ok(None);
        }
        message
            .head
            .extend_from_slice(message.first_line.as_bytes());
        let (mut length, mut chunked) = (0, false);
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                bail!("cut within the headers");
            }
            message.head.extend_from_slice(line.as_bytes());
            let header = line.trim_end().to_ascii_lowercase();
            match header.split_once(": ") {
                Some(("content-length", value)) => length = value.parse()?,
                Some(("transfer-encoding", value)) => chunked = value == "chunked",
                Some(("content-encoding", value)) => message.gzipped = value == "gzip",
                _ if header.is_empty() => break,
                _ => {}
            }
        }
        match chunked {
            true => message.read_chunks(reader)?,
            false => {
                message.raw.resize(length, 0);
                reader.read_exact(&mut message.raw)?;
            }
        }
        Ok(Some(message))
    }

    fn read_chunks(&mut self, reader: &mut impl BufRead) -> anyhow::Result<()> {
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let size = usize::from_str_radix(line.trim_end(), 16).context("a chunk's size")?;
            self.raw.extend_from_slice(line.as_bytes());
            let begin = self.raw.len();
            self.raw.resize(begin + size + 2, 0);
            reader.read_exact(&mut self.raw[begin..])?;
            self.body.extend_from_slice(&self.raw[begin..begin + size]);
            if size == 0 {
                return Ok(());
            }
        }
    }

    fn plain(&self) -> anyhow::Result<Vec<u8>> {
        let body = if self.body.is_empty() {
            &self.raw
        } else {
            &self.body
        };
        let mut plain = Vec::new();
        match self.gzipped {
            true => {
                GzDecoder::new(body.as_slice()).read_to_end(&mut plain)?;
            }
            false => plain.extend_from_slice(body),
        }
        Ok(plain)
    }
}
