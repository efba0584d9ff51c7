//! The client: any host that answers, and what its answer means.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use elasticsearch::http::Method;
use serde_json::Value;
use tokio::time::Instant;
use tracing::{info, warn};
use url::{Url, form_urlencoded};

use super::SendError;
use super::answer::Answer;
use super::connection::Request;
use super::gzip::gzip;
use super::hosts::{Hosts, Turn};
use super::session::Session;
use super::verdict::{self, BulkAnswer};
use super::version::{VERSIONS, Version};
use crate::config;
use crate::tasks;

/// Compressing less saves nothing.
const SMALLEST_COMPRESSED: usize = 1024;

/// Cheap to clone; the clones share connections and what is known about the hosts.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    names: Vec<String>,
    session: Arc<Session>,
    hosts: Mutex<Hosts>,
    timeout: Duration,
    compression: config::Compression,
    concurrency: usize,
}

/// What Elasticsearch answered: 2xx, or a 4xx that concerns the request itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    pub status: u16,
    /// `null` where the body was empty.
    pub body: Value,
}

impl Reply {
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// `error.type: error.reason: …`, for messages.
    pub fn reason(&self) -> String {
        let error = self.body.get("error").unwrap_or(&Value::Null);
        verdict::explain(error).unwrap_or_else(|| format!("status {}", self.status))
    }
}

impl Client {
    /// Reads the files the section names; connects at the first request.
    pub fn new(config: &config::Elasticsearch) -> anyhow::Result<Self> {
        config.check()?;
        let addresses = config.addresses()?;
        let hosts = Hosts::new(addresses.len(), rand::random_range(0..addresses.len()));
        let name = |host: &Url| host.origin().ascii_serialization();
        Ok(Self(Arc::new(Inner {
            names: addresses.iter().map(name).collect(),
            session: Arc::new(Session::new(config.clone(), addresses)?),
            hosts: Mutex::new(hosts),
            timeout: config.request_timeout,
            compression: config.compression,
            concurrency: config.concurrency,
        })))
    }

    /// Sends a body of [`super::BulkBody`] with `items` items. `Ok` holds exactly `items` verdicts, in their order; whatever else
    /// came back is an error and says nothing about any item.
    pub async fn bulk(&self, body: Bytes, items: usize) -> Result<BulkAnswer, SendError> {
        // Elasticsearch's own patience must end before ours does, or its answer has no reader.
        let patience_ms = self.0.timeout.as_millis() / 2;
        let target = format!(
            "_bulk?require_data_stream=true&timeout={patience_ms}ms\
             &filter_path=errors,took,items.*.status,items.*.error"
        );
        let answer = self
            .exchange(Method::Post, target, Some(body), true)
            .await?;
        if answer.status != 200 {
            return Err(answer.refused());
        }
        verdict::parse(&answer.body, items).map_err(|reason| answer.unreadable(reason))
    }

    pub async fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Reply, SendError> {
        self.request(Method::Get, path, query, None).await
    }

    pub async fn put(
        &self,
        path: &str,
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Reply, SendError> {
        self.request(Method::Put, path, query, body).await
    }

    pub async fn post(
        &self,
        path: &str,
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Reply, SendError> {
        self.request(Method::Post, path, query, body).await
    }

    pub async fn delete(&self, path: &str, query: &[(&str, &str)]) -> Result<Reply, SendError> {
        self.request(Method::Delete, path, query, None).await
    }

    /// What the server runs; `None` where it does not tell us (privilege `monitor`).
    pub async fn version(&self) -> Result<Option<Version>, SendError> {
        match self
            .exchange(Method::Get, VERSIONS.to_owned(), None, false)
            .await
        {
            Ok(answer) if answer.status == 200 => serde_json::from_slice(&answer.body)
                .map(|body| Version::of(&body))
                .map_err(|error| answer.unreadable(error.to_string())),
            Ok(_) | Err(SendError::Unauthorized { status: 403, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The hosts as configured, for messages.
    pub fn hosts(&self) -> Vec<&str> {
        self.0.names.iter().map(String::as_str).collect()
    }

    /// Bulk requests that may be under way at once.
    pub fn concurrency(&self) -> usize {
        self.0.concurrency
    }

    /// Ends when the files of the section hold something new, which from then on counts. For somebody who was refused and
    /// sends nothing meanwhile: every request looks by itself.
    pub async fn renewed(&self) {
        self.0.session.renewed().await;
    }

    pub(super) async fn request(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Reply, SendError> {
        let mut target = path.to_owned();
        if !query.is_empty() {
            let query = form_urlencoded::Serializer::new(String::new())
                .extend_pairs(query)
                .finish();
            target = format!("{path}?{query}");
        }
        let body = body.map(|body| Bytes::from(body.to_string()));
        let answer = self.exchange(method, target, body, false).await?;
        let body = if answer.body.is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(&answer.body).map_err(|_| {
                answer.unreadable(format!(
                    "not JSON: {}",
                    super::answer::beginning(&answer.body)
                ))
            })?
        };
        Ok(Reply {
            status: answer.status,
            body,
        })
    }

    /// With the files as they are now; what they held before is not held against us.
    async fn exchange(
        &self,
        method: Method,
        target: String,
        body: Option<Bytes>,
        ndjson: bool,
    ) -> Result<Answer, SendError> {
        let (body, gzipped) = self.compressed(body).await;
        let request = Request {
            method,
            target,
            body,
            ndjson,
            gzipped,
            timeout: self.0.timeout,
        };
        self.0.session.look(false).await;
        let answer = self.any_host(&request).await;
        let refused = matches!(answer, Err(SendError::Unauthorized { .. }));
        if refused && self.0.session.look(true).await {
            return self.any_host(&request).await;
        }
        answer
    }

    /// Tries the hosts in turn until one takes the request. Only a request that surely never arrived is handed to the next.
    async fn any_host(&self, request: &Request) -> Result<Answer, SendError> {
        let current = self.0.session.current();
        let order = lock(&self.0.hosts).order(Instant::now());
        let mut last = None;
        for Turn { host, is_probe } in order {
            let connection = &current.connections[host];
            if is_probe {
                lock(&self.0.hosts).probing(host, Instant::now(), request.timeout);
            }
            if (is_probe || !connection.is_known())
                && let Err(error) = connection.greet(request.timeout).await
            {
                self.note(host, false);
                last = Some(error);
                continue;
            }
            let answer = connection.send(request).await;
            // A node that cannot serve (no master, a proxy without its node) should not get the next request as well.
            let healthy = match &answer {
                Ok(answer) => !matches!(answer.status, 502..=504),
                Err(_) => false,
            };
            self.note(host, healthy);
            match answer {
                Err(error @ SendError::Unreachable { sent: false, .. }) => last = Some(error),
                answer => return answer.and_then(Answer::sound),
            }
        }
        Err(last.unwrap_or_else(|| SendError::Unreachable {
            host: "elasticsearch".into(),
            reason: "no host is configured".into(),
            sent: false,
        }))
    }

    /// Away from the threads that stamp arrivals: five megabytes take milliseconds.
    async fn compressed(&self, body: Option<Bytes>) -> (Option<Bytes>, bool) {
        match body {
            Some(body)
                if self.0.compression == config::Compression::Gzip
                    && body.len() >= SMALLEST_COMPRESSED =>
            {
                let packed = tasks::blocking(move || gzip(&body)).await;
                (Some(packed.into()), true)
            }
            body => (body, false),
        }
    }

    fn note(&self, host: usize, healthy: bool) {
        let changed = match healthy {
            true => lock(&self.0.hosts).succeeded(host),
            false => lock(&self.0.hosts).failed(host, Instant::now(), rand::random()),
        };
        // With one host its failures are the caller's to tell.
        if changed && self.0.names.len() > 1 {
            let name = &self.0.names[host];
            if healthy {
                info!(host = name, "elasticsearch host is back");
            } else {
                warn!(host = name, "elasticsearch host fails and is passed over");
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
