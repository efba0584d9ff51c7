//! DNS messages: bytes in, values out (RFC 1035, EDNS of RFC 6891).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub id: u16,
    pub flags: u16,
    pub question: Option<Question>,
    /// Questions, answers, authorities, additionals as the header counts them.
    pub counts: [u16; 4],
    /// As far as they could be read.
    pub answers: Vec<Record>,
    pub opt: Option<Opt>,
    /// Where reading ended early.
    pub is_cut: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Without the last dot, escaped.
    pub name: String,
    pub kind: u16,
    pub class: u16,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub name: String,
    pub kind: u16,
    pub class: u16,
    pub ttl: u32,
    pub data: Data,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Data {
    Ip(IpAddr),
    Text(String),
    Mail {
        preference: u16,
        exchange: String,
    },
    Service {
        numbers: [u16; 3],
        target: String,
    },
    Authority {
        master: String,
        mailbox: String,
        numbers: [u32; 5],
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opt {
    pub udp_size: u16,
    pub extended_code: u8,
    pub version: u8,
    pub dnssec_ok: bool,
}

impl Message {
    pub fn is_response(&self) -> bool {
        self.flags & 0x8000 != 0
    }

    pub fn op_code(&self) -> u8 {
        (self.flags >> 11 & 0xf) as u8
    }

    /// With the upper bits that EDNS adds.
    pub fn response_code(&self) -> u16 {
        let upper = self.opt.map_or(0, |opt| u16::from(opt.extended_code) << 4);
        upper | self.flags & 0xf
    }
}

impl Record {
    pub fn ip(&self) -> Option<String> {
        match self.data {
            Data::Ip(ip) => Some(ip.to_string()),
            _ => None,
        }
    }
}

const OPT: u16 = 41;
/// A record of a message of 64 KiB takes 11 bytes at least.
const MOST_RECORDS: usize = 256;
/// Pointers make long names of few bytes: all texts of a message together.
const MOST_TEXT_BYTES: usize = 16 << 10;

/// `None` for what is no DNS message: shorter than the header, or its question unreadable.
pub fn parse(bytes: &[u8]) -> Option<Message> {
    let mut reader = Reader {
        bytes,
        at: 0,
        text_left: MOST_TEXT_BYTES,
    };
    let (id, flags) = (reader.u16()?, reader.u16()?);
    let counts = [reader.u16()?, reader.u16()?, reader.u16()?, reader.u16()?];
    if flags >> 11 & 0xf > 6 || counts[0] > 1 {
        return None;
    }
    let question = match counts[0] {
        0 => None,
        _ => Some(Question {
            name: reader.name()?,
            kind: reader.u16()?,
            class: reader.u16()?,
        }),
    };
    let mut message = Message {
        id,
        flags,
        question,
        counts,
        answers: Vec::new(),
        opt: None,
        is_cut: false,
    };
    message.is_cut = reader.records(&mut message).is_none();
    Some(message)
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    text_left: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let taken = self.bytes.get(self.at..self.at.checked_add(length)?)?;
        self.at += length;
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

    fn u32(&mut self) -> Option<u32> {
        self.take(4)?
            .first_chunk()
            .map(|bytes| u32::from_be_bytes(*bytes))
    }

    /// All sections; answers and the OPT record are kept.
    fn records(&mut self, message: &mut Message) -> Option<()> {
        let [_, answers, authorities, additionals] = message.counts.map(usize::from);
        let total = answers + authorities + additionals;
        for number in 0..total.min(MOST_RECORDS) {
            let name = self.name()?;
            let (kind, class, ttl) = (self.u16()?, self.u16()?, self.u32()?);
            let length = usize::from(self.u16()?);
            let end = self.at + length;
            if end > self.bytes.len() {
                return None;
            }
            if kind == OPT && number >= answers {
                let [extended_code, version, flags, _] = ttl.to_be_bytes();
                message.opt = Some(Opt {
                    udp_size: class,
                    extended_code,
                    version,
                    dnssec_ok: flags & 0x80 != 0,
                });
            } else if number < answers {
                let data = self.data(kind, length)?;
                message.answers.push(Record {
                    name,
                    kind,
                    class,
                    ttl,
                    data,
                });
            }
            self.at = end;
        }
        (total <= MOST_RECORDS).then_some(())
    }

    fn data(&mut self, kind: u16, length: usize) -> Option<Data> {
        let end = self.at + length;
        Some(match (kind, length) {
            (1, 4) => Data::Ip(Ipv4Addr::from(*self.take(4)?.first_chunk::<4>()?).into()),
            (28, 16) => Data::Ip(Ipv6Addr::from(*self.take(16)?.first_chunk::<16>()?).into()),
            (2 | 5 | 12 | 39, _) => Data::Text(self.name()?),
            (6, _) => Data::Authority {
                master: self.name()?,
                mailbox: self.name()?,
                numbers: [
                    self.u32()?,
                    self.u32()?,
                    self.u32()?,
                    self.u32()?,
                    self.u32()?,
                ],
            },
            (15, _) => Data::Mail {
                preference: self.u16()?,
                exchange: self.name()?,
            },
            (33, _) => Data::Service {
                numbers: [self.u16()?, self.u16()?, self.u16()?],
                target: self.name()?,
            },
            (16 | 99, _) => {
                let mut text = String::new();
                while self.at < end {
                    let length = usize::from(self.u8()?).min(end - self.at);
                    escape(self.take(length)?, b'"', &mut text);
                }
                Data::Text(self.kept(text)?)
            }
            // The form RFC 3597 gives records that nobody knows.
            _ => {
                let bytes = self.take(length)?;
                let text = format!("\\# {length} {}", hex::encode(bytes));
                Data::Text(self.kept(text)?)
            }
        })
    }

    /// Follows compression pointers, backwards only, so that they cannot lead in circles.
    fn name(&mut self) -> Option<String> {
        let mut name = String::new();
        let mut at = self.at;
        let mut limit = self.at;
        let mut after = None;
        loop {
            let length = usize::from(*self.bytes.get(at)?);
            match length >> 6 {
                0 if length == 0 => {
                    at += 1;
                    break;
                }
                0 => {
                    let label = self.bytes.get(at + 1..at + 1 + length)?;
                    if !name.is_empty() {
                        name.push('.');
                    }
                    escape(label, b'.', &mut name);
                    at += 1 + length;
                    // 255 bytes on the wire; each may be written as four characters.
                    if name.len() > 1020 {
                        return None;
                    }
                }
                3 => {
                    let low = usize::from(*self.bytes.get(at + 1)?);
                    after.get_or_insert(at + 2);
                    at = (length & 0x3f) << 8 | low;
                    if at >= limit {
                        return None;
                    }
                    limit = at;
                }
                _ => return None,
            }
        }
        self.at = after.unwrap_or(at);
        self.kept(name)
    }

    /// `None` where a message says too much.
    fn kept(&mut self, text: String) -> Option<String> {
        self.text_left = self.text_left.checked_sub(text.len())?;
        Some(text)
    }
}

/// Printable ASCII as it is; `\DDD` for the rest, a backslash before what has a meaning.
fn escape(bytes: &[u8], special: u8, into: &mut String) {
    for byte in bytes {
        match *byte {
            byte if byte == special || byte == b'\\' => into.extend(['\\', char::from(byte)]),
            byte @ 0x20..=0x7e => into.push(char::from(byte)),
            byte => into.push_str(&format!("\\{byte:03}")),
        }
    }
}
