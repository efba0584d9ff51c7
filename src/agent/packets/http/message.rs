//! HTTP/1.x messages cut out of a stream: heads read, bodies counted and passed over. Bytes in, values out.

use memchr::memmem;

use super::super::stream::Piece;
use super::head::{Head, Start, is_beginning, may_begin, parse};

/// A head that is longer is none.
const MOST_HEAD_BYTES: usize = 64 << 10;
/// A line of a chunk's length, extensions and all.
const MOST_LINE_BYTES: usize = 4 << 10;

/// A message that is over, or as much of it as came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub head: Head,
    pub head_bytes: usize,
    /// Of the first byte and the last, in nanoseconds since 1970.
    pub from: i64,
    pub to: i64,
    /// On the wire, head and framing included.
    pub bytes: u64,
    /// Without the framing of chunks.
    pub body_bytes: u64,
    pub is_cut: bool,
}

/// One direction of a connection.
#[derive(Debug, Default)]
pub struct Reader {
    state: State,
    /// The beginning of a head or of a chunk's line.
    buffer: Vec<u8>,
    began: i64,
    last: i64,
    current: Option<Message>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Head,
    /// So many bytes of a body, or of a chunk, are to come.
    Body {
        left: u64,
        is_chunk: bool,
    },
    ChunkLine,
    /// Lines after the last chunk, until an empty one.
    Trailer,
    UntilEnd,
    /// No HTTP, or its place is lost until a segment begins as a message does.
    Lost,
    /// Another protocol has taken over.
    Over,
}

/// What the reader of responses has to know of the request: a response to HEAD has no body, whatever it says.
pub trait Expect {
    fn has_no_body(&mut self, head: &Head) -> bool;
}

impl Reader {
    pub fn is_lost(&self) -> bool {
        matches!(self.state, State::Lost | State::Over)
    }

    pub fn is_over(&self) -> bool {
        self.state == State::Over
    }

    pub fn memory(&self) -> usize {
        let head = self
            .current
            .as_ref()
            .map_or(0, |message| message.head_bytes);
        self.buffer.capacity() + head
    }

    /// Takes the next piece; messages that end in it go to `done`. Returns false where it is no HTTP.
    pub fn take(
        &mut self,
        at: i64,
        piece: Piece<'_>,
        expect: &mut dyn Expect,
        done: &mut dyn FnMut(Message),
    ) -> bool {
        match piece {
            Piece::Data(bytes) => self.data(at, bytes, expect, done),
            Piece::Gap(bytes) => self.gap(u64::from(bytes), done),
        }
        !self.is_lost()
    }

    /// The connection is over: a body without length ends here, another is cut.
    pub fn end(&mut self, done: &mut dyn FnMut(Message)) {
        let is_cut = !matches!(self.state, State::UntilEnd | State::Head);
        self.finish(is_cut, done);
        self.leave();
    }

    /// What follows is another protocol.
    pub fn leave(&mut self) {
        self.give_up();
        self.state = State::Over;
    }

    fn give_up(&mut self) {
        self.state = State::Lost;
        self.buffer = Vec::new();
    }

    fn data(
        &mut self,
        at: i64,
        mut bytes: &[u8],
        expect: &mut dyn Expect,
        done: &mut dyn FnMut(Message),
    ) {
        if self.state == State::Lost && is_beginning(bytes) {
            self.state = State::Head;
        }
        while !bytes.is_empty() {
            self.last = at;
            match self.state {
                State::Head => bytes = self.head(at, bytes, expect, done),
                State::Body { left, is_chunk } => {
                    let now = left.min(bytes.len() as u64);
                    bytes = &bytes[now as usize..];
                    self.body(now, is_chunk, left - now, done);
                }
                State::ChunkLine => bytes = self.chunk_line(bytes),
                State::Trailer => bytes = self.trailer(bytes, done),
                State::UntilEnd => {
                    self.body(bytes.len() as u64, false, u64::MAX, done);
                    return;
                }
                State::Lost | State::Over => return,
            }
        }
    }

    /// A hole within a body of known length costs nothing; anywhere else the place is lost.
    fn gap(&mut self, bytes: u64, done: &mut dyn FnMut(Message)) {
        match self.state {
            State::Body { left, is_chunk } if bytes <= left => {
                self.body(bytes, is_chunk, left - bytes, done);
            }
            State::UntilEnd => self.body(bytes, false, u64::MAX, done),
            State::Over => {}
            _ => {
                self.finish(true, done);
                self.give_up();
            }
        }
    }

    fn head<'a>(
        &mut self,
        at: i64,
        bytes: &'a [u8],
        expect: &mut dyn Expect,
        done: &mut dyn FnMut(Message),
    ) -> &'a [u8] {
        if self.buffer.is_empty() {
            self.began = at;
        }
        let known = self.buffer.len();
        // Most heads come in one segment: no copy.
        let (length, head) = if known == 0 {
            match memmem::find(bytes, b"\r\n\r\n") {
                Some(end) => (end + 4, parse(&bytes[..end + 4])),
                None => return self.keep(bytes, MOST_HEAD_BYTES),
            }
        } else {
            self.buffer.extend_from_slice(bytes);
            let from = known.saturating_sub(3);
            match memmem::find(&self.buffer[from..], b"\r\n\r\n") {
                Some(end) => (from + end + 4, parse(&self.buffer[..from + end + 4])),
                None => {
                    self.buffer.truncate(known);
                    return self.keep(bytes, MOST_HEAD_BYTES);
                }
            }
        };
        self.buffer.clear();
        let Some(head) = head else {
            self.give_up();
            return &[];
        };
        self.state = framing(&head, expect);
        self.current = Some(Message {
            head,
            head_bytes: length,
            from: self.began,
            to: at,
            bytes: length as u64,
            body_bytes: 0,
            is_cut: false,
        });
        if self.state == State::Head {
            self.finish(false, done);
        }
        bytes.get(length - known..).unwrap_or_default()
    }

    fn body(&mut self, now: u64, is_chunk: bool, left: u64, done: &mut dyn FnMut(Message)) {
        if let Some(message) = &mut self.current {
            message.bytes += now;
            message.body_bytes += now;
        }
        self.state = match (left, is_chunk) {
            (u64::MAX, _) => State::UntilEnd,
            (0, true) => State::ChunkLine,
            (0, false) => return self.finish(false, done),
            _ => State::Body { left, is_chunk },
        };
    }

    /// The length of the next chunk; before it stands the end of the one before.
    fn chunk_line<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let Some((line, rest)) = self.line(bytes) else {
            return &[];
        };
        let text = line.split(|byte| *byte == b';').next().unwrap_or_default();
        let text = text.trim_ascii();
        if text.is_empty() {
            return rest;
        }
        let length = std::str::from_utf8(text)
            .ok()
            .map(|text| u64::from_str_radix(text, 16));
        match length {
            Some(Ok(0)) => self.state = State::Trailer,
            Some(Ok(left)) if left < u64::MAX => {
                self.state = State::Body {
                    left,
                    is_chunk: true,
                };
            }
            _ => self.give_up(),
        }
        rest
    }

    fn trailer<'a>(&mut self, bytes: &'a [u8], done: &mut dyn FnMut(Message)) -> &'a [u8] {
        match self.line(bytes) {
            Some((line, rest)) => {
                if line.trim_ascii().is_empty() {
                    self.finish(false, done);
                }
                rest
            }
            None => &[],
        }
    }

    /// A whole line, and what follows it; what has no end yet is kept.
    fn line<'a>(&mut self, bytes: &'a [u8]) -> Option<(Vec<u8>, &'a [u8])> {
        let Some(end) = memchr::memchr(b'\n', bytes) else {
            self.keep(bytes, MOST_LINE_BYTES);
            return None;
        };
        let mut line = std::mem::take(&mut self.buffer);
        line.extend_from_slice(&bytes[..=end]);
        if let Some(message) = &mut self.current {
            message.bytes += line.len() as u64;
        }
        Some((line, &bytes[end + 1..]))
    }

    fn keep<'a>(&mut self, bytes: &[u8], most: usize) -> &'a [u8] {
        self.buffer.extend_from_slice(bytes);
        let is_http = self.state != State::Head || may_begin(&self.buffer);
        if self.buffer.len() > most || !is_http {
            self.give_up();
        }
        &[]
    }

    fn finish(&mut self, is_cut: bool, done: &mut dyn FnMut(Message)) {
        self.state = State::Head;
        if let Some(mut message) = self.current.take() {
            message.to = self.last;
            message.is_cut = is_cut;
            done(message);
        }
    }
}

/// What comes after a head (RFC 9112, section 6.3).
fn framing(head: &Head, expect: &mut dyn Expect) -> State {
    let has_no_body = match &head.start {
        Start::Response { code, .. } => {
            expect.has_no_body(head) || matches!(code, 100..=199 | 204 | 304)
        }
        Start::Request { .. } => false,
    };
    let chunked = head
        .header("transfer-encoding")
        .is_some_and(|value| value.to_ascii_lowercase().ends_with("chunked"));
    let length = head
        .header("content-length")
        .map(|value| value.trim().parse());
    match (has_no_body, chunked, length, &head.start) {
        (true, ..) => State::Head,
        (_, true, ..) => State::ChunkLine,
        (_, _, Some(Ok(0)), _) => State::Head,
        (_, _, Some(Ok(left)), _) if left < u64::MAX => State::Body {
            left,
            is_chunk: false,
        },
        (_, _, Some(_), _) => State::Lost,
        (_, _, None, Start::Request { .. }) => State::Head,
        (_, _, None, Start::Response { .. }) => State::UntilEnd,
    }
}
