//! One request to one host.

use std::error::Error as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use elasticsearch::http::Method;
use elasticsearch::http::headers::{
    ACCEPT, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue, USER_AGENT,
};
use elasticsearch::http::transport::Transport;
use tokio::sync::OnceCell;
use tokio::time::timeout;
use tracing::warn;
use url::Url;

use super::SendError;
use super::access::Access;
use super::answer::Answer;
use super::authority;
use super::version::{VERSIONS, Version};
use crate::config::Fingerprint;

/// No answer of Elasticsearch to our requests comes near: a larger one is a mistake or an attack.
const LARGEST_ANSWER: u64 = 256 * 1024 * 1024;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const NDJSON: HeaderValue = HeaderValue::from_static("application/x-ndjson");
const GZIP: HeaderValue = HeaderValue::from_static("gzip");
const AGENT: HeaderValue = HeaderValue::from_static(concat!("ethmon/", env!("CARGO_PKG_VERSION")));

pub(super) struct Connection {
    /// `http://host:port`, without path and credentials.
    name: String,
    host: Url,
    access: Arc<Access>,
    fingerprint: Option<Fingerprint>,
    /// Made at once, or once the authority that the fingerprint names has been found.
    transport: OnceCell<Transport>,
    /// It was asked what it runs.
    is_known: AtomicBool,
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

impl Connection {
    /// Does not connect.
    pub(super) fn new(
        host: &Url,
        access: Arc<Access>,
        fingerprint: Option<Fingerprint>,
    ) -> anyhow::Result<Self> {
        // Files that can't be used are an error now, not at the first request.
        let transport = access.transport(host, None)?;
        Ok(Self {
            name: host.origin().ascii_serialization(),
            host: host.clone(),
            access,
            fingerprint,
            transport: match fingerprint {
                None => OnceCell::new_with(Some(transport)),
                Some(_) => OnceCell::new(),
            },
            is_known: AtomicBool::new(false),
        })
    }

    pub(super) fn is_known(&self) -> bool {
        self.is_known.load(Relaxed)
    }

    /// A small question before a host is given documents, for the first time or after it failed: is it there, is it
    /// Elasticsearch, of which version? An error says nothing about any other request.
    pub(super) async fn greet(&self, timeout: Duration) -> Result<(), SendError> {
        let request = Request {
            method: Method::Get,
            target: VERSIONS.to_owned(),
            body: None,
            ndjson: false,
            gzipped: false,
            timeout,
        };
        let answer = match self.send(&request).await.and_then(Answer::sound) {
            Ok(answer) => answer,
            // The request that follows tells about credentials, and whether the server's version matters is for later.
            Err(SendError::Unauthorized { status, .. }) => {
                self.is_known.store(status == 403, Relaxed);
                return Ok(());
            }
            Err(SendError::Unreachable { host, reason, .. }) => {
                return Err(SendError::Unreachable {
                    host,
                    reason,
                    sent: false,
                });
            }
            Err(SendError::TooLarge { .. }) => return Ok(()),
            Err(error) => return Err(error),
        };
        if answer.status == 200 {
            let body = serde_json::from_slice(&answer.body)
                .map_err(|error| answer.unreadable(error.to_string()))?;
            match Version::of(&body) {
                Some(Version::TooOld(version)) => {
                    let host = self.name.clone();
                    return Err(SendError::Unsupported { host, version });
                }
                Some(Version::Newer(version)) if !self.is_known() => {
                    let (host, wanted) = (&self.name, Version::wanted());
                    warn!(host, version, wanted, "a version that nobody has tried");
                }
                _ => {}
            }
        }
        self.is_known.store(true, Relaxed);
        Ok(())
    }

    pub(super) async fn send(&self, request: &Request) -> Result<Answer, SendError> {
        let transport = self
            .transport
            .get_or_try_init(|| self.find_authority(request.timeout))
            .await?;
        let response = transport
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
            return Err(SendError::Unreadable {
                host: self.name.clone(),
                reason: format!("it is larger than {LARGEST_ANSWER} bytes"),
            });
        }
        let status = response.status_code().as_u16();
        let headers = response.headers().clone();
        let body = response
            .bytes()
            .await
            .map_err(|error| self.no_answer(&error, request.timeout))?;
        Ok(Answer::new(&self.name, status, &headers, body))
    }

    async fn find_authority(&self, patience: Duration) -> Result<Transport, SendError> {
        let found = async {
            let pinned = match &self.fingerprint {
                None => None,
                Some(wanted) => {
                    let proxy = self.access.proxy.as_ref();
                    Some(authority::find(&self.host, proxy, wanted).await?)
                }
            };
            self.access.transport(&self.host, pinned.as_deref())
        };
        let reason = match timeout(patience, found).await {
            Ok(Ok(transport)) => return Ok(transport),
            Ok(Err(error)) => format!("{error:#}"),
            Err(_) => format!("no answer within {} s", patience.as_secs_f64()),
        };
        Err(SendError::Unreachable {
            host: self.name.clone(),
            reason,
            sent: false,
        })
    }

    fn no_answer(&self, error: &elasticsearch::Error, timeout: Duration) -> SendError {
        let not_sent = error
            .source()
            .and_then(|source| source.downcast_ref::<reqwest::Error>())
            .is_some_and(reqwest::Error::is_connect);
        let reason = if error.is_timeout() {
            format!("no answer within {} s", timeout.as_secs_f64())
        } else {
            innermost(error)
        };
        SendError::Unreachable {
            host: self.name.clone(),
            reason,
            sent: !not_sent,
        }
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

/// "connection refused", without the layers of the HTTP library around it and without the URL they repeat.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut inner = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}
