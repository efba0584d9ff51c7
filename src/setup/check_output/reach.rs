//! The way to one host: its name, a connection, TLS, and who answers.

use std::io::Write;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use url::Url;

use super::{Found, Trouble, step};
use crate::config;
use crate::elastic::{Client, SendError, Version, shown_certificates};

/// Whether everything on the way works.
pub(super) async fn check(
    config: &config::Elasticsearch,
    host: &Url,
    out: &mut (dyn Write + Send),
) -> anyhow::Result<bool> {
    let shown = host.origin().ascii_serialization();
    // A proxy resolves and connects for us.
    let (first, by) = match &config.proxy {
        Some(proxy) => (proxy, format!(" (proxy for {shown})")),
        None => (host, String::new()),
    };
    let name = first
        .host_str()
        .unwrap_or_default()
        .trim_matches(['[', ']']);
    let port = first.port_or_known_default().unwrap_or(9200);
    let patience = config.request_timeout;

    let addresses = match resolve(name, port, patience).await {
        Ok(addresses) => addresses,
        Err(trouble) => return step(out, &format!("DNS {name}{by}"), Err(trouble)),
    };
    let list: Vec<_> = addresses.iter().map(|one| one.ip().to_string()).collect();
    step(out, &format!("DNS {name}{by}"), Ok(list.join(", ")))?;

    let connected = connect(&addresses, patience).await;
    if !step(out, &format!("TCP {name}:{port}{by}"), connected)? {
        return Ok(false);
    }

    let alone = config::Elasticsearch {
        hosts: vec![host.clone()],
        cloud_id: None,
        ..config.clone()
    };
    let answer = Client::new(&alone)?.version().await;
    if host.scheme() == "https" {
        let tls = match &answer {
            Err(SendError::Unreachable { reason, .. }) => {
                Err(untrusted(&alone, host, reason).await)
            }
            _ => Ok(match &config.ca_fingerprint {
                Some(pinned) => format!("by the authority {pinned}"),
                None => "its certificate is trusted".into(),
            }),
        };
        if !step(out, &format!("TLS {shown}"), tls)? {
            return Ok(false);
        }
    } else {
        let plain = "none: the address is http://, anybody on the way can read along";
        step(out, &format!("TLS {shown}"), Ok(plain.into()))?;
    }
    step(out, &format!("Elasticsearch {shown}"), server(answer))
}

async fn resolve(name: &str, port: u16, patience: Duration) -> Result<Vec<SocketAddr>, Trouble> {
    let advice = "check the name in elasticsearch.hosts (or proxy) and this machine's DNS";
    let found = match timeout(patience, lookup_host((name, port))).await {
        Err(_) => Err("no answer in time".to_owned()),
        Ok(Err(error)) => Err(error.to_string()),
        Ok(Ok(found)) => Ok(found.collect::<Vec<_>>()),
    };
    match found {
        Ok(addresses) if !addresses.is_empty() => Ok(addresses),
        Ok(_) => Err(Trouble::new("the name has no address", advice)),
        Err(reason) => Err(Trouble::new(reason, advice)),
    }
}

async fn connect(addresses: &[SocketAddr], patience: Duration) -> Found {
    let mut failures = Vec::new();
    for address in addresses {
        match timeout(patience, TcpStream::connect(address)).await {
            Ok(Ok(_)) => return Ok(address.to_string()),
            Ok(Err(error)) => failures.push(format!("{address}: {error}")),
            Err(_) => failures.push(format!("{address}: no connection in time")),
        }
    }
    let advice = "see that the server runs, listens on this address and port, and that no firewall is in between";
    Err(Trouble::new(failures.join(", "), advice))
}

/// With the fingerprints of what the host presents, for `ca_fingerprint`.
async fn untrusted(config: &config::Elasticsearch, host: &Url, reason: &str) -> Trouble {
    let shown = timeout(config.request_timeout, shown_certificates(config, host)).await;
    match shown {
        Ok(Ok(shown)) if !shown.is_empty() => {
            let list: Vec<_> = shown.iter().map(ToString::to_string).collect();
            let reason = format!(
                "{reason}; it presents, the server's first: {}",
                list.join(", ")
            );
            let advice = "name its authority by ca_file, or by ca_fingerprint once you have compared it on the server \
                          (openssl x509 -fingerprint -sha256); a server that asks for one needs client_certificate_file";
            Trouble::new(reason, advice)
        }
        _ => Trouble::new(
            reason,
            "does the server speak TLS on this port? if not, write http://",
        ),
    }
}

fn server(answer: Result<Option<Version>, SendError>) -> Found {
    let wanted = Version::wanted();
    match answer {
        Ok(Some(Version::Supported(version))) => Ok(version),
        Ok(Some(Version::Newer(version))) => Ok(format!(
            "{version}, which nobody has tried (known is {wanted})"
        )),
        Ok(Some(Version::TooOld(version))) => Err(Trouble::new(
            format!("{version}, needed is {wanted}"),
            "upgrade the server",
        )),
        Ok(None) => Ok("which does not tell us its version".into()),
        // The next step is about that.
        Err(SendError::Unauthorized { .. }) => Ok("which wants to know who we are".into()),
        Err(error) => Err(error.into()),
    }
}
