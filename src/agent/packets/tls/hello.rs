//! The readable messages of a TLS handshake. Bytes in, values out.

/// What both hellos have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hello {
    /// As the message says; TLS 1.3 says 1.2 here.
    pub legacy_version: u16,
    pub session_id: Vec<u8>,
    /// Offered by a client, chosen by a server.
    pub ciphers: Vec<u16>,
    pub compressions: Vec<u8>,
    /// Types, in the order of the message.
    pub extensions: Vec<u16>,
    pub server_name: Option<String>,
    pub protocols: Vec<String>,
    pub groups: Vec<u16>,
    pub point_formats: Vec<u8>,
    pub signatures: Vec<u16>,
    pub versions: Vec<u16>,
    pub has_ticket: bool,
}

pub const SERVER_NAME: u16 = 0;
pub const GROUPS: u16 = 10;
pub const POINT_FORMATS: u16 = 11;
pub const SIGNATURES: u16 = 13;
pub const PROTOCOLS: u16 = 16;
pub const TICKET: u16 = 35;
pub const PRE_SHARED_KEY: u16 = 41;
pub const VERSIONS: u16 = 43;

/// A list longer than this is cut: a hello of 64 KiB may hold 30,000 ciphers.
const MOST_ITEMS: usize = 256;

/// `body` is the message behind its type and length.
pub fn client_hello(body: &[u8]) -> Option<Hello> {
    let mut reader = Reader(body);
    let legacy_version = reader.u16()?;
    reader.take(32)?;
    let session_id = reader.vec8()?.to_vec();
    let ciphers = numbers(reader.vec16()?);
    let compressions = bounded(reader.vec8()?);
    let mut hello = Hello {
        legacy_version,
        session_id,
        ciphers,
        compressions,
        ..Hello::default()
    };
    extensions(&mut reader, &mut hello, true);
    Some(hello)
}

pub fn server_hello(body: &[u8]) -> Option<Hello> {
    let mut reader = Reader(body);
    let legacy_version = reader.u16()?;
    reader.take(32)?;
    let session_id = reader.vec8()?.to_vec();
    let ciphers = vec![reader.u16()?];
    let compressions = vec![reader.u8()?];
    let mut hello = Hello {
        legacy_version,
        session_id,
        ciphers,
        compressions,
        ..Hello::default()
    };
    extensions(&mut reader, &mut hello, false);
    Some(hello)
}

/// The chain, the server's own first. TLS up to 1.2: later ones are encrypted.
pub fn certificates(body: &[u8]) -> Option<Vec<&[u8]>> {
    let mut list = Reader(Reader(body).vec24()?);
    let mut chain = Vec::new();
    while !list.0.is_empty() && chain.len() < 16 {
        chain.push(list.vec24()?);
    }
    Some(chain)
}

/// The version that was agreed on.
pub fn version(server: &Hello) -> u16 {
    server
        .versions
        .first()
        .copied()
        .unwrap_or(server.legacy_version)
}

/// Values that browsers put in to keep servers from choking on the unknown (RFC 8701).
pub fn is_grease(number: u16) -> bool {
    let [high, low] = number.to_be_bytes();
    high == low && low & 0x0f == 0x0a
}

/// What is cut short is left out: an older hello has none at all.
fn extensions(reader: &mut Reader<'_>, hello: &mut Hello, is_client: bool) {
    let Some(list) = reader.vec16() else { return };
    let mut list = Reader(list);
    while let (Some(kind), Some(data)) = (list.u16(), list.vec16()) {
        if hello.extensions.len() >= MOST_ITEMS {
            return;
        }
        hello.extensions.push(kind);
        // One that cannot be read says no more than that it is there.
        let _unread = extension(kind, Reader(data), hello, is_client);
    }
}

fn extension(kind: u16, mut data: Reader<'_>, hello: &mut Hello, is_client: bool) -> Option<()> {
    match kind {
        SERVER_NAME if is_client => {
            let mut names = Reader(data.vec16()?);
            if names.u8()? == 0 {
                hello.server_name = Some(text(names.vec16()?));
            }
        }
        GROUPS => hello.groups = numbers(data.vec16()?),
        POINT_FORMATS => hello.point_formats = bounded(data.vec8()?),
        SIGNATURES => hello.signatures = numbers(data.vec16()?),
        PROTOCOLS => {
            let mut names = Reader(data.vec16()?);
            while let Some(name) = names.vec8() {
                if hello.protocols.len() < MOST_ITEMS {
                    hello.protocols.push(text(name));
                }
            }
        }
        VERSIONS if is_client => hello.versions = numbers(data.vec8()?),
        VERSIONS => hello.versions = vec![data.u16()?],
        TICKET => hello.has_ticket = !data.0.is_empty(),
        _ => {}
    }
    Some(())
}

fn numbers(bytes: &[u8]) -> Vec<u16> {
    let pairs = bytes.chunks_exact(2).take(MOST_ITEMS);
    pairs
        .map(|pair| u16::from_be_bytes([pair[0], pair[1]]))
        .collect()
}

fn bounded(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().copied().take(MOST_ITEMS).collect()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn u16(&mut self) -> Option<u16> {
        self.take(2)?
            .first_chunk()
            .map(|bytes| u16::from_be_bytes(*bytes))
    }

    fn vec8(&mut self) -> Option<&'a [u8]> {
        let length = usize::from(self.u8()?);
        self.take(length)
    }

    fn vec16(&mut self) -> Option<&'a [u8]> {
        let length = usize::from(self.u16()?);
        self.take(length)
    }

    fn vec24(&mut self) -> Option<&'a [u8]> {
        let length = usize::from(self.u8()?) << 16 | usize::from(self.u16()?);
        self.take(length)
    }
}
