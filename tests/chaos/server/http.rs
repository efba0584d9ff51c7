//! As much HTTP/1.1 as the agent's client speaks, and ways to speak it badly.

use std::io::{BufRead, Read, Write};
use std::net::Shutdown;
use std::net::TcpStream;
use std::thread::sleep;
use std::time::Duration;

use flate2::read::GzDecoder;

#[derive(Debug, Default)]
pub(crate) struct Head {
    pub(crate) method: String,
    /// Without its leading slash.
    pub(crate) path: String,
    /// Not decoded: nothing that is asked for needs it.
    query: Vec<(String, String)>,
    pub(crate) content_type: String,
    length: usize,
    is_gzipped: bool,
}

impl Head {
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        let found = self.query.iter().find(|(key, _)| key == name)?;
        Some(&found.1)
    }

    pub(crate) fn is_compressed(&self) -> bool {
        self.is_gzipped
    }

    pub(crate) fn is_bulk(&self) -> bool {
        self.path.ends_with("_bulk")
    }

    /// Part of what an agent does all the time.
    pub(crate) fn is_shipping(&self) -> bool {
        let apis = [
            "_bulk",
            "_mget",
            "_settings",
            "_settings/index.creation_date",
        ];
        apis.iter().any(|api| self.path.ends_with(api))
    }
}

/// `None` once the connection has ended.
pub(crate) fn read_head(reader: &mut impl BufRead) -> Option<Head> {
    let mut head = Head::default();
    for number in 0.. {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim();
        if number == 0 {
            let mut words = line.split(' ');
            head.method = words.next()?.to_owned();
            let (path, query) = split(words.next()?, '?');
            head.path = path.trim_start_matches('/').to_owned();
            let pairs = query.split('&').filter(|pair| !pair.is_empty());
            head.query = pairs
                .map(|pair| split(pair, '='))
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect();
        } else if line.is_empty() {
            return Some(head);
        } else {
            let (name, value) = split(line, ':');
            let value = value.trim();
            match name.to_ascii_lowercase().as_str() {
                "content-length" => head.length = value.parse().ok()?,
                "content-encoding" => head.is_gzipped = value == "gzip",
                "content-type" => head.content_type = value.to_owned(),
                _ => {}
            }
        }
    }
    None
}

fn split(text: &str, at: char) -> (&str, &str) {
    text.split_once(at).unwrap_or((text, ""))
}

/// The body, unpacked; `None` once the connection has ended. What can't be unpacked is as good as no body.
pub(crate) fn read_body(reader: &mut impl BufRead, head: &Head) -> Option<Vec<u8>> {
    let mut body = vec![0; head.length];
    reader.read_exact(&mut body).ok()?;
    if !head.is_gzipped {
        return Some(body);
    }
    let mut plain = Vec::new();
    let unpacked = GzDecoder::new(&body[..]).read_to_end(&mut plain);
    Some(if unpacked.is_ok() { plain } else { Vec::new() })
}

#[derive(Debug, Clone)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
}

impl Response {
    /// As Elasticsearch answers.
    pub(crate) fn json(status: u16, body: &serde_json::Value) -> Self {
        Self {
            status,
            headers: vec![
                ("X-elastic-product", "Elasticsearch".into()),
                ("content-type", "application/json".into()),
            ],
            body: body.to_string().into_bytes(),
        }
    }

    /// As whatever stands before it answers.
    pub(crate) fn foreign(status: u16, content_type: &str, body: &str) -> Self {
        Self {
            status,
            headers: vec![("content-type", content_type.into())],
            body: body.as_bytes().to_vec(),
        }
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Head and body, in pieces or with the length before.
    fn encode(&self, is_chunked: bool) -> (Vec<u8>, Vec<u8>) {
        let mut head = format!("HTTP/1.1 {} X\r\n", self.status);
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        let mut body = Vec::new();
        if is_chunked {
            head += "Transfer-Encoding: chunked\r\n\r\n";
            for chunk in self.body.chunks(4096) {
                body.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                body.extend_from_slice(chunk);
                body.extend_from_slice(b"\r\n");
            }
            body.extend_from_slice(b"0\r\n\r\n");
        } else {
            head += &format!("content-length: {}\r\n\r\n", self.body.len());
            body.extend_from_slice(&self.body);
        }
        (head.into_bytes(), body)
    }
}

/// How an answer reaches the client.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Delivery {
    AtOnce,
    /// In this many pieces each of head and body, with a pause before each.
    Slow {
        pieces: usize,
        pause: Duration,
    },
    /// Up to this share of head and body, then the connection ends.
    Cut {
        head: f64,
        body: f64,
    },
}

/// Whether the connection can go on.
pub(crate) fn deliver(
    stream: &mut TcpStream,
    response: &Response,
    is_chunked: bool,
    delivery: Delivery,
) -> bool {
    let (head, body) = response.encode(is_chunked);
    match delivery {
        Delivery::AtOnce => stream.write_all(&[head, body].concat()).is_ok(),
        Delivery::Slow { pieces, pause } => [head, body].iter().all(|part| {
            let size = part.len().div_ceil(pieces).max(1);
            part.chunks(size).all(|piece| {
                sleep(pause);
                stream.write_all(piece).is_ok()
            })
        }),
        Delivery::Cut {
            head: share_of_head,
            body: share_of_body,
        } => {
            let share = |part: &[u8], share: f64| (part.len() as f64 * share) as usize;
            let head = &head[..share(&head, share_of_head)];
            let body = &body[..share(&body, share_of_body)];
            // The client may have gone.
            stream.write_all(&[head, body].concat()).ok();
            stream.shutdown(Shutdown::Both).ok();
            false
        }
    }
}
