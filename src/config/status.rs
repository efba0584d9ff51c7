//! `[status]`: where the agent answers about itself, `/metrics` and `/health`.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Deserializer};

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Section")]
pub struct Status {
    pub listen: Listen,
}

/// `127.0.0.1:9610`, `[::1]:9610` or `unix:/run/ethmon/agent.sock`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listen {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// As it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Section {
    listen: Listen,
    /// Anybody who reaches the port may read: without this only loopback addresses are taken.
    allow_remote: bool,
}

impl Default for Section {
    fn default() -> Self {
        Self {
            listen: Listen::Tcp(([127, 0, 0, 1], 9610).into()),
            allow_remote: false,
        }
    }
}

impl TryFrom<Section> for Status {
    type Error = String;

    fn try_from(section: Section) -> Result<Self, String> {
        match &section.listen {
            Listen::Tcp(address) if !address.ip().is_loopback() && !section.allow_remote => {
                Err(format!(
                    "{address} is no loopback address: others could read the status; allow_remote = true allows it"
                ))
            }
            _ => Ok(Self {
                listen: section.listen,
            }),
        }
    }
}

impl<'de> Deserialize<'de> for Listen {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let listen = match text.strip_prefix("unix:") {
            Some(path) => path.starts_with('/').then(|| Self::Unix(path.into())),
            None => text.parse().ok().map(Self::Tcp),
        };
        listen.ok_or_else(|| {
            serde::de::Error::custom(format!(
                "cannot listen on {text:?}, expected an address and port as in \"127.0.0.1:9610\", or \"unix:\" and a whole path"
            ))
        })
    }
}

impl std::fmt::Display for Listen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "http://{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Agent, Problem, parse};

    fn status(section: &str) -> Result<Option<Status>, Problem> {
        let agent: Result<Agent, _> = parse("agent.toml", section, &|_| None);
        agent.map(|agent| agent.status)
    }

    #[test]
    fn loopback_and_sockets_are_taken_and_the_world_only_on_demand() {
        assert_eq!(status("").unwrap(), None);
        let default = status("[status]").unwrap().unwrap();
        assert_eq!(default.listen.to_string(), "http://127.0.0.1:9610");
        let unix = status("[status]\nlisten = \"unix:/run/a.sock\"").unwrap();
        assert_eq!(unix.unwrap().listen.to_string(), "unix:/run/a.sock");
        let world = "[status]\nlisten = \"0.0.0.0:9610\"\n";
        let problem = status(world).unwrap_err().to_string();
        assert!(
            problem.starts_with("agent.toml:1:1: 0.0.0.0:9610 is no loopback"),
            "{problem}"
        );
        assert!(status(&format!("{world}allow_remote = true")).is_ok());
        for wrong in ["9610", "unix:run/a.sock", "localhost:9610"] {
            let problem = status(&format!("[status]\nlisten = {wrong:?}")).unwrap_err();
            assert!(
                problem
                    .to_string()
                    .starts_with("agent.toml:2:10: cannot listen on"),
                "{problem}"
            );
        }
        assert!(status("[status]\nport = 1").is_err());
    }
}
