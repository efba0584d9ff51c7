//! TLS: the handshake of a connection as far as it is readable.

mod certificate;
mod ciphers;
mod document;
mod fingerprint;
pub mod hello;
mod names;
#[cfg(test)]
mod tests;

use self::hello::Hello;
use super::address::Side;
use super::stream::Piece;
use super::transaction::Scene;

/// Of one record, by the standard.
const MOST_RECORD_BYTES: usize = (1 << 14) + 2048;
/// Of handshake messages in one direction: chains are long, but not that long.
const MOST_HANDSHAKE_BYTES: usize = 128 << 10;

/// One connection, until the handshake is over or failed.
#[derive(Debug, Default)]
pub struct Tls {
    halves: [Half; 2],
    client: Option<Hello>,
    server: Option<Hello>,
    hello_bytes: usize,
    /// As they were sent: the server's first, then the client's.
    server_chain: Vec<Vec<u8>>,
    client_chain: Vec<Vec<u8>>,
    client_certificate_requested: bool,
    alerts: Vec<u8>,
    has_fatal_alert: bool,
    /// In nanoseconds since 1970, of the client's hello.
    began: i64,
    is_over: bool,
}

/// One direction.
#[derive(Debug, Default)]
struct Half {
    /// The beginning of a record.
    record: Vec<u8>,
    /// The beginning of a message, which may go on in the next record.
    handshake: Vec<u8>,
    bytes: u64,
    /// From here on nothing is readable: keys are in use.
    is_encrypted: bool,
    has_data: bool,
}

impl Tls {
    pub fn data(&mut self, from: Side, piece: Piece<'_>, scene: &mut Scene<'_>) {
        if self.is_over {
            return;
        }
        let Piece::Data(mut bytes) = piece else {
            // Where the next record begins is not known any more.
            return self.publish(scene, Some("a part of the handshake was not captured"));
        };
        self.halves[from as usize].bytes += bytes.len() as u64;
        // Most records come whole within a segment, or several in one: no copy.
        if self.halves[from as usize].record.is_empty() {
            while let Some((kind, body, rest)) = record(bytes) {
                self.record(from, kind, body, scene);
                bytes = rest;
                if self.is_over {
                    return;
                }
            }
        }
        let half = &mut self.halves[from as usize];
        half.record.extend_from_slice(bytes);
        let mut buffer = std::mem::take(&mut half.record);
        let mut at = 0;
        while let Some((kind, body, _)) = record(&buffer[at..]) {
            self.record(from, kind, body, scene);
            at += 5 + body.len();
            if self.is_over {
                return;
            }
        }
        buffer.drain(..at);
        if !buffer.is_empty() && !may_be_record(&buffer) {
            scene.stats.undecoded += 1;
            return self.publish(scene, Some("the connection is not TLS"));
        }
        self.halves[from as usize].record = buffer;
    }

    pub fn end(&mut self, scene: &mut Scene<'_>) {
        if !self.is_over {
            self.publish(scene, None);
        }
    }

    pub fn is_done(&self) -> bool {
        self.is_over
    }

    pub fn memory(&self) -> usize {
        let halves = self.halves.iter();
        let buffers: usize = halves
            .map(|half| half.record.capacity() + half.handshake.capacity())
            .sum();
        let chains = self.server_chain.iter().chain(&self.client_chain);
        self.hello_bytes + buffers + chains.map(Vec::len).sum::<usize>()
    }

    fn record(&mut self, from: Side, kind: u8, body: &[u8], scene: &mut Scene<'_>) {
        let half = &mut self.halves[from as usize];
        match kind {
            CHANGE_CIPHER_SPEC => half.is_encrypted = true,
            ALERT if !half.is_encrypted => {
                if let [level, description] = *body {
                    self.alerts.push(description);
                    self.has_fatal_alert |= level == 2;
                }
            }
            HANDSHAKE if !half.is_encrypted => {
                half.handshake.extend_from_slice(body);
                if half.handshake.len() > MOST_HANDSHAKE_BYTES {
                    return self.publish(scene, Some("the handshake is too long"));
                }
                self.messages(from, scene);
            }
            APPLICATION_DATA => half.has_data = true,
            _ => {}
        }
        let is_established = self.is_established();
        if is_established || self.has_fatal_alert {
            self.publish(scene, None);
        }
    }

    fn messages(&mut self, from: Side, scene: &mut Scene<'_>) {
        let mut handshake = std::mem::take(&mut self.halves[from as usize].handshake);
        let mut at = 0;
        while let Some([kind, a, b, c]) = handshake[at..].first_chunk::<4>() {
            let length = usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c);
            let Some(body) = handshake.get(at + 4..at + 4 + length) else {
                break;
            };
            self.message(from, *kind, body, scene);
            at += 4 + length;
        }
        handshake.drain(..at);
        self.halves[from as usize].handshake = handshake;
    }

    fn message(&mut self, from: Side, kind: u8, body: &[u8], scene: &mut Scene<'_>) {
        match kind {
            1 if self.client.is_none() => {
                scene.client = from;
                self.began = scene.at;
                self.hello_bytes += body.len();
                self.client = hello::client_hello(body);
            }
            2 => {
                scene.client = from.other();
                // After a request to try again there is a second one, which counts.
                self.server = hello::server_hello(body).or(self.server.take());
                self.hello_bytes += body.len();
            }
            11 => {
                let chain = hello::certificates(body).unwrap_or_default();
                let chain = chain.into_iter().map(<[u8]>::to_vec).collect();
                match from == scene.client {
                    true => self.client_chain = chain,
                    false => self.server_chain = chain,
                }
            }
            13 => self.client_certificate_requested = true,
            _ => {}
        }
    }

    fn is_established(&self) -> bool {
        let Some(server) = &self.server else {
            return false;
        };
        match hello::version(server) {
            // Its middle boxes are fooled by a change of ciphers that means nothing.
            0x0304.. => self.halves.iter().all(|half| half.has_data),
            _ => self.halves.iter().all(|half| half.is_encrypted),
        }
    }

    fn publish(&mut self, scene: &mut Scene<'_>, problem: Option<&str>) {
        self.is_over = true;
        if self.client.is_none() && self.server.is_none() && self.alerts.is_empty() {
            return;
        }
        let event = self.document(scene);
        scene.out.push(event.with_some("error.message", problem));
    }
}

const CHANGE_CIPHER_SPEC: u8 = 20;
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const APPLICATION_DATA: u8 = 23;

/// A whole record: its type, its body, and what follows.
fn record(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (header, rest) = bytes.split_first_chunk::<5>()?;
    if !may_be_record(bytes) {
        return None;
    }
    let length = usize::from(u16::from_be_bytes([header[3], header[4]]));
    let (body, rest) = rest.split_at_checked(length)?;
    Some((header[0], body, rest))
}

fn may_be_record(bytes: &[u8]) -> bool {
    let kind = bytes.first().is_none_or(|kind| (20..=24).contains(kind));
    let version = bytes.get(1).is_none_or(|major| *major == 3);
    let length = match bytes.get(3..5) {
        Some(&[high, low]) => usize::from(u16::from_be_bytes([high, low])),
        _ => 0,
    };
    kind && version && length <= MOST_RECORD_BYTES
}
