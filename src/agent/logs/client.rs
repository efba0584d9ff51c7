//! The list of clients, and which parser reads their logs.

use std::borrow::Cow;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::record::{Parsed, Reading};
use super::text::ansi;
use super::{
    besu, erigon, generic, geth, grandine, lighthouse, lodestar, nethermind, nimbus, prysm,
    recognise, reth, teku, trace, transport,
};

/// Whose log a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Client {
    Lighthouse,
    Prysm,
    Teku,
    Nimbus,
    Lodestar,
    Grandine,
    Geth,
    Nethermind,
    Besu,
    Erigon,
    Reth,
    /// Any other program.
    Generic,
    /// Whichever of them the first records show.
    Auto,
}

impl Client {
    pub const ALL: [Self; 13] = [
        Self::Lighthouse,
        Self::Prysm,
        Self::Teku,
        Self::Nimbus,
        Self::Lodestar,
        Self::Grandine,
        Self::Geth,
        Self::Nethermind,
        Self::Besu,
        Self::Erigon,
        Self::Reth,
        Self::Generic,
        Self::Auto,
    ];

    /// `service.name`, and the name in configuration and arguments.
    pub fn name(self) -> &'static str {
        match self {
            Self::Lighthouse => "lighthouse",
            Self::Prysm => "prysm",
            Self::Teku => "teku",
            Self::Nimbus => "nimbus",
            Self::Lodestar => "lodestar",
            Self::Grandine => "grandine",
            Self::Geth => "geth",
            Self::Nethermind => "nethermind",
            Self::Besu => "besu",
            Self::Erigon => "erigon",
            Self::Reth => "reth",
            Self::Generic => "generic",
            Self::Auto => "auto",
        }
    }

    /// `ethereum.layer`
    pub(super) fn layer(self) -> Option<&'static str> {
        match self {
            Self::Lighthouse
            | Self::Prysm
            | Self::Teku
            | Self::Nimbus
            | Self::Lodestar
            | Self::Grandine => Some("consensus"),
            Self::Geth | Self::Nethermind | Self::Besu | Self::Erigon | Self::Reth => {
                Some("execution")
            }
            Self::Generic | Self::Auto => None,
        }
    }

    /// Whether a line begins a record of its own; if not, it belongs to the record before it.
    pub fn begins_record(self, line: &str) -> bool {
        let line = ansi::strip(line);
        self.begins_own_record(&line)
            || trace::begins_death(&line)
            || transport::payload(&line).is_some_and(|payload| self.begins_own_record(payload))
    }

    /// Reads a record of one or more lines that may have colours in it. A record that the client's own format does not explain is read by the
    /// generic one: nothing is refused, nothing is lost.
    pub fn parse<'a>(self, record: &'a str, reading: &Reading) -> Parsed<'a> {
        match ansi::strip(record) {
            Cow::Borrowed(record) => self.parse_plain(record, reading),
            Cow::Owned(record) => self.parse_plain(&record, reading).into_owned(),
        }
    }

    /// As [`Client::parse`], of text that has none.
    pub(super) fn parse_plain<'a>(self, record: &'a str, reading: &Reading) -> Parsed<'a> {
        let own = self.parse_own(record, reading);
        let own = own.or_else(|| {
            let (prefix, payload) = transport::split(record)?;
            let reading = Reading {
                written_at: transport::written_at(prefix, reading).unwrap_or(reading.written_at),
                ..*reading
            };
            let mut parsed = self.parse_own(payload, &reading)?;
            parsed.keep("transport", prefix);
            Some(parsed)
        });
        match own {
            Some(mut parsed) => {
                parsed.is_known = true;
                parsed
            }
            None => trace::parse_death(record).unwrap_or_else(|| {
                let mut parsed = generic::parse(record, reading);
                // Of a program of which nothing is expected.
                parsed.is_known = self == Self::Generic;
                parsed
            }),
        }
    }

    fn begins_own_record(self, line: &str) -> bool {
        match self {
            Self::Lighthouse => lighthouse::begins_record(line),
            Self::Prysm => prysm::begins_record(line),
            Self::Teku => teku::begins_record(line),
            Self::Nimbus => nimbus::begins_record(line),
            Self::Lodestar => lodestar::begins_record(line),
            Self::Grandine => grandine::begins_record(line),
            Self::Geth => geth::begins_record(line),
            Self::Nethermind => nethermind::begins_record(line),
            Self::Besu => besu::begins_record(line),
            Self::Erigon => erigon::begins_record(line),
            Self::Reth => reth::begins_record(line),
            Self::Generic => generic::begins_record(line),
            Self::Auto => recognise::client_of(line).is_some() || generic::begins_record(line),
        }
    }

    /// `None` where the record is not in the client's format.
    fn parse_own<'a>(self, record: &'a str, reading: &Reading) -> Option<Parsed<'a>> {
        match self {
            Self::Lighthouse => lighthouse::parse(record, reading),
            Self::Prysm => prysm::parse(record, reading),
            Self::Teku => teku::parse(record, reading),
            Self::Nimbus => nimbus::parse(record, reading),
            Self::Lodestar => lodestar::parse(record, reading),
            Self::Grandine => grandine::parse(record, reading),
            Self::Geth => geth::parse(record, reading),
            Self::Nethermind => nethermind::parse(record, reading),
            Self::Besu => besu::parse(record, reading),
            Self::Erigon => erigon::parse(record, reading),
            Self::Reth => reth::parse(record, reading),
            Self::Generic => None,
            Self::Auto => recognise::client_of(record)?.parse_own(record, reading),
        }
    }
}

/// No client has this name.
#[derive(Debug, thiserror::Error)]
#[error(
    "no client is called {0:?}: lighthouse, prysm, teku, nimbus, lodestar, grandine, geth, nethermind, besu, erigon, reth, generic, auto"
)]
pub struct UnknownClient(String);

impl FromStr for Client {
    type Err = UnknownClient;

    fn from_str(name: &str) -> Result<Self, UnknownClient> {
        let found = Self::ALL.into_iter().find(|client| client.name() == name);
        found.ok_or_else(|| UnknownClient(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_read_back() {
        for client in Client::ALL {
            assert_eq!(client.name().parse::<Client>().unwrap(), client);
            let quoted = format!("{:?}", client.name());
            assert_eq!(serde_json::from_str::<Client>(&quoted).unwrap(), client);
        }
        let error = "prism".parse::<Client>().unwrap_err().to_string();
        assert!(
            Client::ALL
                .iter()
                .all(|client| error.contains(client.name())),
            "{error}"
        );
    }
}
