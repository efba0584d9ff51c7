//! TLS before a real Elasticsearch: whom the client trusts, who it says it is, and the way through a proxy.

use std::sync::Arc;

use ethmon::config::{Elasticsearch, Fingerprint, Secret};
use ethmon::elastic::{Client, SendError, Verdict};
use ethmon::event::DataStream;
use ethmon::setup;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use serde_json::json;
use url::Url;

use super::certificates::Authority;
use super::relay::{Relay, Role};
use crate::support::{self, bulk, until};

/// Of a server that shows its chain and, where asked to, wants a certificate of the same authority.
fn server(authority: &Authority, wants_certificate: bool) -> Arc<ServerConfig> {
    let pem = authority.read("server.pem");
    let chain = CertificateDer::pem_slice_iter(&pem)
        .map(Result::unwrap)
        .collect();
    let key = PrivateKeyDer::from_pem_slice(&authority.read("server.key")).unwrap();
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = if wants_certificate {
        let mut roots = RootCertStore::empty();
        let ca = CertificateDer::from_pem_slice(&authority.read("ca.pem")).unwrap();
        roots.add(ca).unwrap();
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        builder.with_client_cert_verifier(verifier.build().unwrap())
    } else {
        builder.with_no_client_auth()
    };
    Arc::new(builder.with_single_cert(chain, key).unwrap())
}

async fn store_one(config: &Elasticsearch) -> Result<Vec<Verdict>, SendError> {
    let document = json!({"@timestamp": "2026-01-01T00:00:00Z", "ethereum": {"slot": 1}});
    let id = uuid::Uuid::new_v4().to_string();
    let (body, count) = bulk(&[(&DataStream::Block.name(&config.namespace), &id, document)]);
    let answer = Client::new(config).unwrap().bulk(body, count).await?;
    Ok(answer.verdicts)
}

const STORED: Verdict = Verdict::Stored { duplicate: false };

#[track_caller]
fn refused(outcome: Result<Vec<Verdict>, SendError>, why: &str) {
    let error = outcome.unwrap_err();
    assert!(
        matches!(&error, SendError::Unreachable { reason, sent: false, .. } if reason.contains(why)),
        "{error:?}"
    );
}

async fn check(config: &Elasticsearch) -> (bool, String) {
    let mut report = Vec::new();
    let good = setup::check_output(config, &mut report).await.unwrap();
    (good, String::from_utf8(report).unwrap())
}

#[tokio::test]
async fn a_server_is_trusted_by_ca_file_or_by_fingerprint_alone() {
    let Some(url) = support::elasticsearch("a_server_is_trusted_by_ca_file_or_by_fingerprint")
    else {
        return;
    };
    support::ready(&url).await;
    let authority = Authority::new();
    let relay = Relay::start(Role::Tls(url, server(&authority, false))).await;
    let stranger = support::config(&[&relay.url()]);
    refused(store_one(&stranger).await, "UnknownIssuer");
    let (good, report) = check(&stranger).await;
    let fingerprint = authority.fingerprint();
    assert!(
        !good && report.contains("failed  TLS") && report.contains(&fingerprint.to_string()),
        "{report}"
    );

    let by_file = Elasticsearch {
        ca_file: Some(authority.path("ca.pem")),
        ..stranger.clone()
    };
    assert_eq!(store_one(&by_file).await.unwrap(), [STORED]);
    let pinned = |fingerprint| Elasticsearch {
        ca_fingerprint: Some(fingerprint),
        ..stranger.clone()
    };
    assert_eq!(store_one(&pinned(fingerprint)).await.unwrap(), [STORED]);
    let (good, report) = check(&pinned(fingerprint)).await;
    assert!(good && report.contains("ok      TLS"), "{report}");

    let other = Fingerprint::of(b"another certificate");
    refused(
        store_one(&pinned(other)).await,
        "no certificate it presents has the ca_fingerprint",
    );
}

#[tokio::test]
async fn the_name_must_fit_whatever_the_fingerprint_says() {
    let Some(url) = support::elasticsearch("the_name_must_fit") else {
        return;
    };
    let authority = Authority::new();
    authority.issue("server", "subjectAltName=DNS:elsewhere.example");
    let relay = Relay::start(Role::Tls(url, server(&authority, false))).await;
    let config = Elasticsearch {
        ca_file: Some(authority.path("ca.pem")),
        ..support::config(&[&relay.url()])
    };
    refused(store_one(&config).await, "not valid for name");
}

#[tokio::test]
async fn a_client_certificate_is_shown_and_read_again_when_it_is_renewed() {
    let Some(url) = support::elasticsearch("a_client_certificate_is_shown") else {
        return;
    };
    support::ready(&url).await;
    let (authority, other) = (Authority::new(), Authority::new());
    let relay = Relay::start(Role::Tls(url, server(&authority, true))).await;
    let nobody = Elasticsearch {
        ca_file: Some(authority.path("ca.pem")),
        ..support::config(&[&relay.url()])
    };
    let error = store_one(&nobody).await.unwrap_err();
    assert!(error.is_temporary(), "{error}");

    // A certificate that the server does not take, and then, in its place, one that it does.
    let files = tempfile::tempdir().unwrap();
    let (certificate, key) = (files.path().join("c.pem"), files.path().join("c.key"));
    let copy = |from: &Authority| {
        std::fs::copy(from.path("client.key"), &key).unwrap();
        std::fs::copy(from.path("client.pem"), &certificate).unwrap();
    };
    copy(&other);
    let config = Elasticsearch {
        client_certificate_file: Some(certificate.clone()),
        client_key_file: Some(key.clone()),
        ..nobody
    };
    let client = Client::new(&config).unwrap();
    let document = json!({"@timestamp": "2026-01-01T00:00:00Z", "ethereum": {"slot": 1}});
    let stream = DataStream::Block.name(&config.namespace);
    let (body, count) = bulk(&[(&stream, "1", document)]);
    client.bulk(body.clone(), count).await.unwrap_err();
    copy(&authority);
    until("the renewed certificate counts", async || {
        client.bulk(body.clone(), count).await.is_ok()
    })
    .await;
}

#[tokio::test]
async fn a_proxy_that_wants_a_password_gets_it_from_the_file() {
    let Some(url) = support::elasticsearch("a_proxy_that_wants_a_password") else {
        return;
    };
    support::ready(&url).await;
    let authority = Authority::new();
    let relay = Relay::start(Role::Tls(url, server(&authority, false))).await;
    // user:p4ss
    let proxy = Relay::start(Role::Proxy("Proxy-Authorization: Basic dXNlcjpwNHNz")).await;
    let password = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(password.path(), "p4ss\n").unwrap();
    let without = through(&relay.url(), &proxy, &authority);
    assert!(store_one(&without).await.is_err());
    assert_eq!(proxy.connections(), 0);
    let with = Elasticsearch {
        proxy_username: Some("user".into()),
        proxy_password_file: Some(password.path().to_owned()),
        ..without.clone()
    };
    assert_eq!(store_one(&with).await.unwrap(), [STORED]);
    let by_value = Elasticsearch {
        proxy_password: Some(Secret::new("p4ss")),
        proxy_password_file: None,
        ..with
    };
    assert_eq!(store_one(&by_value).await.unwrap(), [STORED]);
    assert!(
        proxy.connections() >= 4,
        "the fingerprint was looked up through it, too"
    );
}

fn through(host: &Url, proxy: &Relay, authority: &Authority) -> Elasticsearch {
    Elasticsearch {
        proxy: Some(proxy.url()),
        ca_fingerprint: Some(authority.fingerprint()),
        ..support::config(&[host])
    }
}
