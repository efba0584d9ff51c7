//! Which addresses are ours, and what direction that gives a conversation.

use std::net::{IpAddr, Ipv6Addr};

use anyhow::{Context, bail};
use serde::Deserialize;

/// Networks as ranges of addresses; IPv4 as IPv6 maps it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Vec<String>")]
pub struct Networks(Vec<(u128, u128)>);

/// What is not routed on the Internet.
const PRIVATE: [&str; 8] = [
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "fc00::/7",
    "fe80::/10",
    "::1/128",
];

impl Default for Networks {
    fn default() -> Self {
        let ranges = PRIVATE.iter().filter_map(|network| range(network).ok());
        Self(ranges.collect())
    }
}

impl TryFrom<Vec<String>> for Networks {
    type Error = anyhow::Error;

    /// Each is `10.0.0.0/8`, an address, or `private`.
    fn try_from(names: Vec<String>) -> anyhow::Result<Self> {
        let mut ranges = Vec::new();
        for name in names {
            match name.as_str() {
                "private" => ranges.extend(Self::default().0),
                network => ranges.push(range(network)?),
            }
        }
        Ok(Self(ranges))
    }
}

impl Networks {
    pub fn add(&mut self, address: IpAddr) {
        let address = number(address);
        self.0.push((address, address));
    }

    pub fn contains(&self, address: IpAddr) -> bool {
        let address = number(address);
        self.0
            .iter()
            .any(|(first, last)| (*first..=*last).contains(&address))
    }

    /// `network.direction` as Packetbeat gives it where it knows the internal networks.
    pub fn direction(&self, source: IpAddr, destination: IpAddr) -> &'static str {
        match (self.contains(source), self.contains(destination)) {
            (true, true) => "internal",
            (true, false) => "outbound",
            (false, true) => "inbound",
            (false, false) => "external",
        }
    }
}

fn range(network: &str) -> anyhow::Result<(u128, u128)> {
    let (address, bits) = match network.split_once('/') {
        Some((address, bits)) => (address, Some(bits)),
        None => (network, None),
    };
    let address: IpAddr = address
        .parse()
        .with_context(|| format!("cannot read {network:?} as a network"))?;
    let whole = if address.is_ipv4() { 32 } else { 128 };
    let bits = match bits {
        Some(bits) => bits
            .parse()
            .with_context(|| format!("cannot read {network:?} as a network"))?,
        None => whole,
    };
    if bits > whole {
        bail!("cannot read {network:?} as a network: it has {whole} bits at most");
    }
    let host_bits = u128::MAX.checked_shr(128 - (whole - bits)).unwrap_or(0);
    let first = number(address) & !host_bits;
    Ok((first, first | host_bits))
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().into(),
        IpAddr::V6(address) => Ipv6Addr::into(address),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn networks(names: &[&str]) -> anyhow::Result<Networks> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        names.try_into()
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn direction_follows_from_the_two_ends() {
        let networks = networks(&["private", "203.0.113.7"]).unwrap();
        let direction = |from, to| networks.direction(ip(from), ip(to));
        assert_eq!(direction("10.1.2.3", "8.8.8.8"), "outbound");
        assert_eq!(direction("8.8.8.8", "203.0.113.7"), "inbound");
        assert_eq!(direction("8.8.8.8", "203.0.113.8"), "external");
        assert_eq!(direction("fe80::1", "172.31.255.255"), "internal");
        assert_eq!(direction("172.32.0.0", "fec0::"), "external");
    }

    #[test]
    fn all_and_nothing_are_networks() {
        let all = networks(&["0.0.0.0/0", "::/0"]).unwrap();
        assert_eq!(all.direction(ip("1.1.1.1"), ip("2000::")), "internal");
        assert_eq!(
            networks(&[]).unwrap().direction(ip("::1"), ip("::1")),
            "external"
        );
        for wrong in ["10.0.0.0/33", "10.0.0/8", "eth0", "::/129", "10.0.0.0/"] {
            assert!(networks(&[wrong]).is_err(), "{wrong}");
        }
    }
}
