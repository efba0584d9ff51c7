//! Finds the certificate that `ca_fingerprint` names: one handshake that ends as soon as the host has shown its chain.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, anyhow, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use url::Url;

use super::access::Proxy;
use crate::config::{self, Fingerprint};

/// A proxy's yes or no is a few lines.
const LONGEST_PROXY_ANSWER: usize = 16 << 10;

/// The certificate with this fingerprint in the chain that `host` presents, in its binary form. Nothing is sent to the host
/// but the beginning of a handshake; whether it holds the keys shows at the first real connection.
pub(super) async fn find(
    host: &Url,
    proxy: Option<&Proxy>,
    wanted: &Fingerprint,
) -> anyhow::Result<Vec<u8>> {
    let chain = presented(host, proxy).await?;
    let shown: Vec<_> = chain.iter().map(|one| Fingerprint::of(one)).collect();
    match shown.iter().position(|one| one == wanted) {
        Some(at) => Ok(chain[at].to_vec()),
        None => bail!(
            "no certificate it presents has the ca_fingerprint {wanted}; it presents {}",
            shown
                .iter()
                .map(Fingerprint::to_string)
                .collect::<Vec<_>>()
                .join(", ")
        ),
    }
}

/// The fingerprints of the certificates that a host presents, its own first. For people: nothing was verified.
pub async fn shown_certificates(
    config: &config::Elasticsearch,
    host: &Url,
) -> anyhow::Result<Vec<Fingerprint>> {
    let login = config.proxy_credentials()?;
    let proxy = config.proxy.clone().map(|url| Proxy { url, login });
    let chain = presented(host, proxy.as_ref()).await?;
    Ok(chain.iter().map(|one| Fingerprint::of(one)).collect())
}

async fn presented(
    host: &Url,
    proxy: Option<&Proxy>,
) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let name = host.host_str().context("an address without a host")?;
    let name = name.trim_matches(['[', ']']).to_owned();
    let port = host.port_or_known_default().unwrap_or(443);
    let stream = match proxy {
        None => TcpStream::connect((name.as_str(), port)).await?,
        Some(proxy) => tunnel(proxy, &name, port).await?,
    };
    chain(stream, name).await
}

async fn chain(stream: TcpStream, name: String) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let provider = Arc::new(ring::default_provider());
    let witness = Arc::new(Witness {
        provider: Arc::clone(&provider),
        chain: Mutex::default(),
    });
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::clone(&witness) as Arc<dyn ServerCertVerifier>)
        .with_no_client_auth();
    let name = ServerName::try_from(name)?;
    let connector = TlsConnector::from(Arc::new(config));
    let ended = connector.connect(name, stream).await.err();
    let mut seen = witness.chain.lock().unwrap_or_else(PoisonError::into_inner);
    match ended {
        Some(error) if seen.is_empty() => Err(error).context("cannot begin TLS"),
        _ => Ok(std::mem::take(&mut *seen)),
    }
}

/// Takes note of the chain and trusts nobody.
#[derive(Debug)]
struct Witness {
    provider: Arc<CryptoProvider>,
    chain: Mutex<Vec<CertificateDer<'static>>>,
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let all = std::iter::once(end_entity).chain(intermediates);
        *self.chain.lock().unwrap_or_else(PoisonError::into_inner) =
            all.map(|one| one.clone().into_owned()).collect();
        Err(rustls::Error::General("seen".into()))
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("nobody is trusted here".into()))
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("nobody is trusted here".into()))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

async fn tunnel(proxy: &Proxy, name: &str, port: u16) -> anyhow::Result<TcpStream> {
    let at = proxy.url.host_str().context("a proxy without a host")?;
    let at = at.trim_matches(['[', ']']);
    let mut stream = TcpStream::connect((at, proxy.url.port_or_known_default().unwrap_or(80)))
        .await
        .context("cannot reach the proxy")?;
    let authority = if name.contains(':') {
        format!("[{name}]:{port}")
    } else {
        format!("{name}:{port}")
    };
    let mut request = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n");
    if let Some((user, password)) = &proxy.login {
        let login = BASE64.encode(format!("{user}:{}", password.expose()));
        request.push_str(&format!("Proxy-Authorization: Basic {login}\r\n"));
    }
    request.push_str("\r\n");
    stream.write_all(request.as_bytes()).await?;
    // Byte by byte: what comes after the empty line is the host's.
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        ensure!(
            answer.len() < LONGEST_PROXY_ANSWER,
            "the proxy's answer does not end"
        );
        answer.push(stream.read_u8().await.context("the proxy hung up")?);
    }
    let first = String::from_utf8_lossy(&answer);
    let first = first.lines().next().unwrap_or_default();
    match first.split(' ').nth(1) {
        Some("200") => Ok(stream),
        _ => Err(anyhow!("the proxy refuses: {first}")),
    }
}
