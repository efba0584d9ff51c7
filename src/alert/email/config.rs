//! `[mail]`: where mails go and how.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::ensure;
use lettre::message::Mailbox;
use serde::{Deserialize, Deserializer};

use crate::config::{Secret, duration};
use crate::rules::Severity;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub host: String,
    /// 587 with `starttls`, 465 with `tls`, 25 with `none`.
    pub port: Option<u16>,
    #[serde(default)]
    pub tls: Tls,
    /// Trusted beside the system's certificates, for a server with its own authority.
    pub ca_file: Option<PathBuf>,
    /// Allows `tls = "none"` to a host that is not this one.
    #[serde(default)]
    pub allow_insecure: bool,
    pub username: Option<String>,
    pub password: Option<Secret>,
    pub password_file: Option<PathBuf>,
    #[serde(deserialize_with = "mailbox")]
    pub from: Mailbox,
    #[serde(deserialize_with = "mailboxes")]
    pub to: Vec<Mailbox>,
    /// What is less severe is recorded and not mailed.
    #[serde(default = "warning")]
    pub min_severity: Severity,
    /// For connecting and for each answer.
    #[serde(default = "ten_seconds", with = "duration")]
    pub timeout: Duration,
    /// After so many failures a notice is kept and no longer tried.
    #[serde(default = "attempts")]
    pub max_attempts: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tls {
    /// Plain, then upgraded; without the upgrade nothing is sent.
    #[default]
    Starttls,
    /// Encrypted from the first byte.
    Tls,
    None,
}

impl Config {
    pub fn port(&self) -> u16 {
        self.port.unwrap_or(match self.tls {
            Tls::Starttls => 587,
            Tls::Tls => 465,
            Tls::None => 25,
        })
    }

    /// What the types cannot say.
    pub fn check(&self) -> anyhow::Result<()> {
        ensure!(
            !self.to.is_empty(),
            "mail.to is empty: nobody would read the alerts"
        );
        ensure!(
            self.tls != Tls::None || self.allow_insecure || is_loopback(&self.host),
            "mail.tls = \"none\" would send alerts readable through the network to {}: use starttls or tls, or say allow_insecure = true",
            self.host
        );
        let password = self.password.is_some() || self.password_file.is_some();
        ensure!(
            self.username.is_some() == password,
            "mail.username and mail.password (or password_file) go together"
        );
        Ok(())
    }

    /// The bare addresses, as notices name their recipients.
    pub fn recipients(&self) -> Vec<String> {
        self.to
            .iter()
            .map(|mailbox| mailbox.email.to_string())
            .collect()
    }
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

fn mailbox<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Mailbox, D::Error> {
    parse_mailbox(&String::deserialize(deserializer)?)
}

fn mailboxes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Mailbox>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    texts.iter().map(|text| parse_mailbox(text)).collect()
}

fn parse_mailbox<E: serde::de::Error>(text: &str) -> Result<Mailbox, E> {
    text.parse().map_err(|_| {
        E::custom(format!(
            "not a mail address: {text:?}, expected one as in \"ops@example.org\" or \"Ops <ops@example.org>\""
        ))
    })
}

fn warning() -> Severity {
    Severity::Warning
}

fn ten_seconds() -> Duration {
    Duration::from_secs(10)
}

fn attempts() -> u32 {
    50
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(rest: &str) -> Result<Config, crate::config::Problem> {
        let text =
            format!("from = \"ethmon@example.org\"\nto = [\"Ops <ops@example.org>\"]\n{rest}");
        crate::config::parse("a.toml", &text, &|_| None)
    }

    #[test]
    fn plain_text_stays_on_this_machine() {
        let check = |rest: &str| {
            config(rest)
                .unwrap()
                .check()
                .map_err(|error| error.to_string())
        };
        assert_eq!(check("host = \"127.0.0.1\"\ntls = \"none\""), Ok(()));
        assert_eq!(check("host = \"::1\"\ntls = \"none\""), Ok(()));
        assert!(check("host = \"mail.example.org\"\ntls = \"none\"").is_err());
        assert_eq!(
            check("host = \"mail\"\ntls = \"none\"\nallow_insecure = true"),
            Ok(())
        );
        assert!(check("host = \"mail\"\nusername = \"u\"").is_err());
    }

    #[test]
    fn the_port_follows_the_encryption() {
        let port = |rest: &str| config(rest).unwrap().port();
        assert_eq!(port("host = \"mail\""), 587);
        assert_eq!(port("host = \"mail\"\ntls = \"tls\""), 465);
        assert_eq!(port("host = \"mail\"\nport = 2525"), 2525);
    }

    #[test]
    fn a_wrong_address_names_its_place() {
        let text = "host = \"mail\"\nfrom = \"nobody\"\nto = []";
        let problem = crate::config::parse::<Config>("a.toml", text, &|_| None).unwrap_err();
        assert!(
            problem
                .to_string()
                .starts_with("a.toml:2:8: not a mail address: \"nobody\"")
        );
        assert!(
            config("host = \"mail\"\ntls = \"ssl\"")
                .unwrap_err()
                .to_string()
                .contains("a.toml:4:7")
        );
    }
}
