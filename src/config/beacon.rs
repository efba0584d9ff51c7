//! `[beacon]`: the beacon node this agent watches.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use url::Url;

use super::duration;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Beacon {
    /// The Beacon API. User and password may be part of it.
    pub url: Endpoint,
    /// How long one REST answer may take. The event stream has its own watchdog.
    #[serde(with = "duration")]
    pub timeout: Duration,
    /// Topics beside the usual ones, for clients that offer more.
    pub extra_topics: Vec<String>,
    /// Votes, single and aggregated, counted per slot. Like the sums below they come on a connection of their own, and
    /// are never stored one by one.
    pub attestations: bool,
    /// Contributions and sidecars, summed up per slot.
    pub summaries: bool,
    /// Participation, proposers and statuses of slots, from the blocks and the duties: a request per slot and epoch.
    pub participation: bool,
    /// A larger event is counted and skipped.
    pub max_event_bytes: usize,
    /// Blocks fetched over REST after a start or a gap; older ones are counted as cut.
    pub backfill_blocks: usize,
    /// `host` or `host:port` of time servers asked over SNTP, the first that answers. None answers, or there is
    /// none: the kernel's own account of its clock; a clock of which nothing is known is taken as right.
    pub ntp_servers: Vec<String>,
}

impl Default for Beacon {
    fn default() -> Self {
        Self {
            url: Endpoint::default(),
            timeout: Duration::from_secs(5),
            extra_topics: Vec::new(),
            attestations: true,
            summaries: true,
            participation: true,
            max_event_bytes: 4 << 20,
            backfill_blocks: 64,
            ntp_servers: Vec::new(),
        }
    }
}

/// A URL that may hold a password or a key in its path: shown as scheme, host and port only.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint(Url);

impl Endpoint {
    /// The address of `path`, which begins with `/`, below this one.
    pub fn join(&self, path: &str) -> Url {
        let mut url = self.0.clone();
        let (path, query) = path
            .split_once('?')
            .map_or((path, None), |(path, query)| (path, Some(query)));
        url.set_path(&format!("{}{path}", self.0.path().trim_end_matches('/')));
        url.set_query(query);
        url
    }
}

impl Default for Endpoint {
    fn default() -> Self {
        match Url::parse("http://127.0.0.1:5052") {
            Ok(url) => Self(url),
            Err(_) => unreachable!("the default address is a URL"),
        }
    }
}

impl std::str::FromStr for Endpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // What was given is not repeated in the message: it may hold a password.
        let url = Url::parse(text).map_err(|error| format!("not a URL: {error}"))?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err("not a URL: it must begin with http:// or https:// and name a host".into());
        }
        Ok(Self(url))
    }
}

impl<'de> Deserialize<'de> for Endpoint {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}://{}",
            self.0.scheme(),
            self.0.host_str().unwrap_or("?")
        )?;
        self.0.port().map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_joined_below_a_prefix_and_secrets_are_not_shown() {
        let endpoint: Endpoint = "https://me:hunter2@node:5052/key/".parse().unwrap();
        let url = endpoint.join("/eth/v1/events?topics=head&topics=block");
        assert_eq!(
            url.as_str(),
            "https://me:hunter2@node:5052/key/eth/v1/events?topics=head&topics=block"
        );
        assert_eq!(
            format!("{endpoint} {endpoint:?}"),
            "https://node:5052 https://node:5052"
        );
        assert!("ftp://node".parse::<Endpoint>().is_err());
    }

    #[test]
    fn a_section_without_keys_is_complete() {
        let beacon: Beacon = toml::from_str("").unwrap();
        assert_eq!(beacon.url.to_string(), "http://127.0.0.1:5052");
        assert!(toml::from_str::<Beacon>("timeout = \"2s\"\nurls = []").is_err());
    }
}
