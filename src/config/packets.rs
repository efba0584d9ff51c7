//! `[packets]`: what goes over the wire.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::bail;
use serde::Deserialize;

use crate::agent::packets::{BpfFilter, Networks};

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Packets {
    /// One capture each.
    pub interfaces: Vec<String>,
    /// A capture that is read instead, once, as fast as it goes.
    pub file: Option<PathBuf>,
    /// What the kernel hands over.
    pub traffic: Traffic,
    /// A filter in libpcap's language, in the place of the one that follows from `traffic`.
    pub bpf_filter: Option<BpfFilter>,
    /// Also what is not addressed to this host.
    pub promiscuous: bool,
    /// The rest of a longer packet is not looked at, only counted.
    pub snaplen: u32,
    /// What the kernel keeps while we are busy; beyond it packets are lost, and counted.
    pub buffer_bytes: u32,
    /// What is "inside"; the host's own addresses are always.
    pub internal_networks: Networks,
    /// A flow with traffic is reported once per period, with what came since.
    #[serde(with = "super::duration")]
    pub period: Duration,
    /// A flow without traffic for so long is over.
    #[serde(with = "super::duration")]
    pub flow_timeout: Duration,
    /// A question without an answer for so long has none.
    #[serde(with = "super::duration")]
    pub transaction_timeout: Duration,
    /// Over all interfaces. Beyond it the longest silent of a few is reported early, and counted.
    pub max_flows: usize,
    /// Peers in each period's summary, the busiest first.
    pub top_peers: usize,
    pub ports: Ports,
    pub http: Http,
}

impl Default for Packets {
    fn default() -> Self {
        Self {
            interfaces: Vec::new(),
            file: None,
            traffic: Traffic::Ports,
            bpf_filter: None,
            promiscuous: false,
            snaplen: 65_535,
            buffer_bytes: 32 << 20,
            internal_networks: Networks::default(),
            period: Duration::from_secs(10),
            flow_timeout: Duration::from_secs(30),
            transaction_timeout: Duration::from_secs(10),
            max_flows: 100_000,
            top_peers: 10,
            ports: Ports::default(),
            http: Http::default(),
        }
    }
}

impl Packets {
    /// What no field says alone.
    pub fn check(&self) -> anyhow::Result<()> {
        match (self.interfaces.is_empty(), &self.file) {
            (true, None) => bail!("cannot capture: [packets] names neither interfaces nor a file"),
            (false, Some(_)) => bail!("cannot capture: [packets] names interfaces and a file"),
            _ => {}
        }
        if self.period < Duration::from_secs(1) {
            bail!("cannot report packets more often than once a second: [packets] period");
        }
        Ok(())
    }
}

/// What the kernel's filter lets through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Traffic {
    /// The configured ports, ICMP, and fragments.
    Ports,
    All,
}

/// Who listens where. An empty list switches a protocol off.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Ports {
    pub dns: Vec<u16>,
    pub http: Vec<u16>,
    pub tls: Vec<u16>,
    pub sip: Vec<u16>,
    /// Looked into as HTTP, and labelled.
    pub beacon_api: Vec<u16>,
    pub engine_api: Vec<u16>,
    /// Labelled, not looked into.
    pub libp2p_tcp: Vec<u16>,
    pub libp2p_quic: Vec<u16>,
    pub discv5: Vec<u16>,
    pub devp2p: Vec<u16>,
    pub discv4: Vec<u16>,
}

impl Default for Ports {
    fn default() -> Self {
        Self {
            dns: vec![53],
            http: vec![80, 8080, 8545],
            tls: vec![443, 8443, 9200],
            sip: vec![5060],
            beacon_api: vec![5052],
            engine_api: vec![8551],
            libp2p_tcp: vec![9000],
            libp2p_quic: vec![9001],
            discv5: vec![9000],
            devp2p: vec![30303],
            discv4: vec![30303],
        }
    }
}

/// What of HTTP is kept.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Http {
    /// Headers that are kept, by name; those that hold secrets are kept as `REDACTED`.
    pub headers: Vec<String>,
    /// Parameters of the query whose values are kept as `REDACTED`, beside the usual names of secrets.
    pub redact: Vec<String>,
}

impl Default for Http {
    fn default() -> Self {
        let headers = [
            "host",
            "user-agent",
            "accept",
            "content-type",
            "content-length",
            "server",
        ];
        Self {
            headers: headers.map(str::to_owned).into(),
            redact: Vec::new(),
        }
    }
}
