//! Short texts of every document, written without memory of their own.

use std::fmt::{self, Write};

use super::decode::Mac;

/// Room for two addresses of IPv6.
const ROOM: usize = 96;

pub(super) struct Short {
    bytes: [u8; ROOM],
    length: usize,
}

impl Short {
    /// What does not fit is left out: an address, a number, a name that is made of some of them fits.
    pub(super) fn of(value: impl fmt::Display) -> Self {
        let mut text = Self {
            bytes: [0; ROOM],
            length: 0,
        };
        let fits = write!(text, "{value}").is_ok();
        debug_assert!(fits);
        text
    }

    /// A hardware address as ECS writes it.
    pub(super) fn of_mac(mac: Mac) -> Self {
        const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
        let mut bytes = [b'-'; ROOM];
        for (place, byte) in mac.iter().enumerate() {
            bytes[place * 3] = DIGITS[usize::from(byte >> 4)];
            bytes[place * 3 + 1] = DIGITS[usize::from(byte & 15)];
        }
        let length = mac.len() * 3 - 1;
        Self { bytes, length }
    }

    pub(super) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.length]).unwrap_or_default()
    }
}

impl Write for Short {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.length + text.len();
        let place = self.bytes.get_mut(self.length..end).ok_or(fmt::Error)?;
        place.copy_from_slice(text.as_bytes());
        self.length = end;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_written_whole() {
        let mac = Short::of_mac([0, 0x1a, 0xff, 9, 0x90, 2]);
        assert_eq!(mac.as_str(), "00-1A-FF-09-90-02");
        let ip: std::net::IpAddr = "fd00:1234:5678:9abc:def0:1234:5678:9abc".parse().unwrap();
        assert_eq!(Short::of(ip).as_str(), ip.to_string());
    }
}
