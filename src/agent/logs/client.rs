//! The list of clients, and which parser reads their logs.

use std::str::FromStr;

use serde::Deserialize;

use super::record::{Parsed, Reading};
use super::{generic, lodestar};

/// Whose log a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
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
}

impl Client {
    pub const ALL: [Self; 12] = [
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
            Self::Generic => None,
        }
    }

    /// Whether a line begins a record of its own; if not, it belongs to the record before it.
    pub(super) fn begins_record(self, line: &str) -> bool {
        match self.parser() {
            Parser::Lodestar => lodestar::begins_record(line),
            Parser::Generic => generic::begins_record(line),
        }
    }

    /// Reads a record of one or more lines. A record that the client's own format does not explain is read by the
    /// generic one: nothing is refused.
    pub(super) fn parse(self, record: &str, reading: &Reading) -> Parsed {
        let own = match self.parser() {
            Parser::Lodestar => lodestar::parse(record, reading),
            Parser::Generic => None,
        };
        own.unwrap_or_else(|| generic::parse(record, reading))
    }

    fn parser(self) -> Parser {
        match self {
            Self::Lodestar => Parser::Lodestar,
            Self::Lighthouse
            | Self::Prysm
            | Self::Teku
            | Self::Nimbus
            | Self::Grandine
            | Self::Geth
            | Self::Nethermind
            | Self::Besu
            | Self::Erigon
            | Self::Reth
            | Self::Generic => Parser::Generic,
        }
    }
}

/// The formats that are understood.
enum Parser {
    Lodestar,
    Generic,
}

/// No client has this name.
#[derive(Debug, thiserror::Error)]
#[error(
    "no client is called {0:?}: lighthouse, prysm, teku, nimbus, lodestar, grandine, geth, nethermind, besu, erigon, reth, generic"
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
