//! One request to one host, and what its status means.

use std::error::Error as _;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use elasticsearch::auth::Credentials as Login;
use elasticsearch::cert::{Certificate, CertificateValidation};
use elasticsearch::http::Method;
use elasticsearch::http::headers::{
    ACCEPT, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER, USER_AGENT,
};
use elasticsearch::http::transport::{SingleNodeConnectionPool, Transport, TransportBuilder};
use serde_json::Value;
use url::Url;

use super::SendError;
use crate::config;

/// No answer of Elasticsearch to our requests comes near: a larger one is a mistake or an attack.
const LARGEST_ANSWER: u64 = 256 * 1024 * 1024;

/// `Retry-After` beyond this is not believed.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(600);

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const NDJSON: HeaderValue = HeaderValue::from_static("application/x-ndjson");
const GZIP: HeaderValue = HeaderValue::from_static("gzip");
const AGENT: HeaderValue = HeaderValue::from_static(concat!("ethmon/", env!("CARGO_PKG_VERSION")));

pub(super) struct Connection {
    /// `http://host:port`, without path and credentials.
    name: String,
    transport: Transport,
}

pub(super) struct Request {
    pub(super) method: Method,
    /// Path and query.
    pub(super) target: String,
    pub(super) body: Option<Bytes>,
    pub(super) ndjson: bool,
    /// The body is compressed already.
    pub(super) gzipped: bool,
    pub(super) timeout: Duration,
}

pub(super) struct Answer {
    pub(super) host: String,
    pub(super) status: u16,
    pub(super) body: Bytes,
    retry_after: Option<Duration>,
}

/// Why there is no answer.
pub(super) enum NoAnswer {
    /// The request surely never arrived: another host may have it at once.
    NotSent(SendError),
    /// It may have arrived: repeating it is the caller's decision.
    Unknown(SendError),
}

impl Connection {
    /// Reads the CA file; does not connect.
    pub(super) fn new(host: &Url, config: &config::Elasticsearch) -> anyhow::Result<Self> {
        let mut builder = TransportBuilder::new(SingleNodeConnectionPool::new(host.clone()))
            .enable_meta_header(false)
            .disable_proxy();
        if let Some(proxy) = &config.proxy {
            // `disable_proxy` wins over `proxy`, and without either the environment's variables count.
            builder = TransportBuilder::new(SingleNodeConnectionPool::new(host.clone()))
                .enable_meta_header(false)
                .proxy(proxy.clone(), None, None);
        }
        if let Some(login) = login(config.credentials()?) {
            builder = builder.auth(login);
        }
        if let Some(path) = &config.ca_file {
            let pem = std::fs::read(path)
                .with_context(|| format!("cannot read elasticsearch.ca_file {}", path.display()))?;
            let certificate = Certificate::from_pem(&pem)
                .with_context(|| format!("cannot use elasticsearch.ca_file {}", path.display()))?;
            builder = builder.cert_validation(CertificateValidation::Full(certificate));
        }
        Ok(Self {
            name: host.origin().ascii_serialization(),
            transport: builder.build().context("cannot build an HTTP client")?,
        })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) async fn send(&self, request: &Request) -> Result<Answer, NoAnswer> {
        let response = self
            .transport
            .send(
                request.method,
                &request.target,
                headers(request),
                None::<&()>,
                request.body.clone(),
                Some(request.timeout),
            )
            .await
            .map_err(|error| self.no_answer(&error, request.timeout))?;
        if response
            .content_length()
            .is_some_and(|length| length > LARGEST_ANSWER)
        {
            return Err(NoAnswer::Unknown(SendError::Unreadable {
                host: self.name.clone(),
                reason: format!("it is larger than {LARGEST_ANSWER} bytes"),
            }));
        }
        let status = response.status_code().as_u16();
        let retry_after = response
            .headers()
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok()?.trim().parse().ok())
            .map(|seconds| Duration::from_secs(seconds).min(LONGEST_RETRY_AFTER));
        let body = response
            .bytes()
            .await
            .map_err(|error| self.no_answer(&error, request.timeout))?;
        Ok(Answer {
            host: self.name.clone(),
            status,
            body,
            retry_after,
        })
    }

    fn no_answer(&self, error: &elasticsearch::Error, timeout: Duration) -> NoAnswer {
        let not_sent = error
            .source()
            .and_then(|source| source.downcast_ref::<reqwest::Error>())
            .is_some_and(reqwest::Error::is_connect);
        let reason = if error.is_timeout() {
            format!("no answer within {} s", timeout.as_secs_f64())
        } else {
            innermost(error)
        };
        let error = SendError::Unreachable {
            host: self.name.clone(),
            reason,
        };
        if not_sent {
            NoAnswer::NotSent(error)
        } else {
            NoAnswer::Unknown(error)
        }
    }
}

impl Answer {
    /// Sorts out what concerns the host or the caller's rights rather than the request. Leaves 2xx and the other 4xx.
    pub(super) fn sound(self) -> Result<Self, SendError> {
        let host = self.host.clone();
        let status = self.status;
        let busy = |answer: &Self| SendError::Busy {
            host: host.clone(),
            status,
            retry_after: answer.retry_after,
            reason: answer.reason(),
        };
        match status {
            // A block on the whole cluster is its operator's doing and says nothing about us.
            403 if self.error_kind().as_deref() == Some("cluster_block_exception") => {
                Err(busy(&self))
            }
            401 | 403 => Err(SendError::Unauthorized {
                host,
                status,
                reason: self.reason(),
            }),
            413 => Err(SendError::TooLarge { host }),
            408 | 429 | 500.. => Err(busy(&self)),
            200..=299 | 400..=499 => Ok(self),
            _ => Err(SendError::Unreadable {
                host,
                reason: format!("status {status}"),
            }),
        }
    }

    /// The request was refused, by Elasticsearch itself as far as the body tells.
    pub(super) fn refused(&self) -> SendError {
        let host = self.host.clone();
        if self.error_kind().is_some() {
            SendError::Refused {
                host,
                status: self.status,
                reason: self.reason(),
            }
        } else {
            SendError::Unreadable {
                host,
                reason: format!("status {}: {}", self.status, self.reason()),
            }
        }
    }

    pub(super) fn unreadable(&self, reason: impl Into<String>) -> SendError {
        SendError::Unreadable {
            host: self.host.clone(),
            reason: reason.into(),
        }
    }

    fn error_kind(&self) -> Option<String> {
        let body: Value = serde_json::from_slice(&self.body).ok()?;
        Some(body.pointer("/error/type")?.as_str()?.to_owned())
    }

    /// Elasticsearch's own words, else the beginning of whatever came.
    fn reason(&self) -> String {
        serde_json::from_slice::<Value>(&self.body)
            .ok()
            .and_then(|body| super::verdict::explain(body.get("error")?))
            .unwrap_or_else(|| beginning(&self.body))
    }
}

fn headers(request: &Request) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(4);
    headers.insert(ACCEPT, JSON);
    headers.insert(USER_AGENT, AGENT);
    headers.insert(CONTENT_TYPE, if request.ndjson { NDJSON } else { JSON });
    if request.gzipped {
        headers.insert(CONTENT_ENCODING, GZIP);
    }
    headers
}

fn login(credentials: Option<config::Credentials>) -> Option<Login> {
    Some(match credentials? {
        config::Credentials::Basic { username, password } => {
            Login::Basic(username, password.expose().to_owned())
        }
        config::Credentials::ApiKey(key) => match key.expose().split_once(':') {
            Some((id, key)) => Login::ApiKey(id.to_owned(), key.to_owned()),
            None => Login::EncodedApiKey(key.expose().to_owned()),
        },
    })
}

/// "connection refused", without the layers of the HTTP library around it and without the URL they repeat.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut inner = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}

/// The first characters of a foreign body, on one line.
pub(super) fn beginning(body: &[u8]) -> String {
    const LONGEST: usize = 120;
    let text = String::from_utf8_lossy(&body[..body.len().min(4 * LONGEST)]);
    let words: Vec<_> = text.split_whitespace().collect();
    match words.join(" ") {
        text if text.is_empty() => "empty body".into(),
        text if text.chars().count() > LONGEST => text.chars().take(LONGEST).chain(['…']).collect(),
        text => text,
    }
}
