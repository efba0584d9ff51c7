//! The client: any host that answers, and what its answer means.

use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use elasticsearch::http::Method;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;
use tokio::time::Instant;
use tracing::{info, warn};
use url::form_urlencoded;

use super::SendError;
use super::connection::{Answer, Connection, NoAnswer, Request};
use super::hosts::Hosts;
use super::verdict::{self, BulkAnswer};
use crate::config;
use crate::tasks;

/// Compressing less saves nothing.
const SMALLEST_COMPRESSED: usize = 1024;

/// Cheap to clone; the clones share connections and what is known about the hosts.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    connections: Vec<Connection>,
    hosts: Mutex<Hosts>,
    timeout: Duration,
    compression: config::Compression,
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
        let connections = config
            .hosts
            .iter()
            .map(|host| Connection::new(host, config))
            .collect::<anyhow::Result<Vec<_>>>()?;
        let hosts = Hosts::new(connections.len(), rand::random_range(0..connections.len()));
        Ok(Self(Arc::new(Inner {
            connections,
            hosts: Mutex::new(hosts),
            timeout: config.request_timeout,
            compression: config.compression,
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

    /// The hosts as configured, for messages.
    pub fn hosts(&self) -> Vec<&str> {
        self.0.connections.iter().map(Connection::name).collect()
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
                    super::connection::beginning(&answer.body)
                ))
            })?
        };
        Ok(Reply {
            status: answer.status,
            body,
        })
    }

    /// Tries the hosts in turn until one takes the request. Only a request that surely never arrived is handed to the next host.
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
        let order = self.hosts_state(|hosts| hosts.order(Instant::now()));
        let mut last = None;
        for host in order {
            match self.0.connections[host].send(&request).await {
                Ok(answer) => {
                    // A node that cannot serve (no master, a proxy without its node) should not get the next request as well.
                    let healthy = !matches!(answer.status, 502..=504);
                    self.note(host, healthy);
                    return answer.sound();
                }
                Err(NoAnswer::NotSent(error)) => {
                    self.note(host, false);
                    last = Some(error);
                }
                Err(NoAnswer::Unknown(error)) => {
                    self.note(host, false);
                    return Err(error);
                }
            }
        }
        Err(last.unwrap_or_else(|| SendError::Unreachable {
            host: "elasticsearch".into(),
            reason: "no host is configured".into(),
        }))
    }

    /// Away from the threads that stamp arrivals: five megabytes take milliseconds.
    async fn compressed(&self, body: Option<Bytes>) -> (Option<Bytes>, bool) {
        match body {
            Some(body)
                if self.0.compression == config::Compression::Gzip
                    && body.len() >= SMALLEST_COMPRESSED =>
            {
                let packed = tasks::blocking({
                    let body = body.clone();
                    move || gzip(&body)
                })
                .await;
                match packed {
                    Ok(packed) => (Some(packed.into()), true),
                    Err(_) => (Some(body), false),
                }
            }
            body => (body, false),
        }
    }

    fn note(&self, host: usize, healthy: bool) {
        let changed = self.hosts_state(|hosts| {
            if healthy {
                hosts.succeeded(host)
            } else {
                hosts.failed(host, Instant::now(), rand::random())
            }
        });
        // With one host its failures are the caller's to tell.
        if changed && self.0.connections.len() > 1 {
            let name = self.0.connections[host].name();
            if healthy {
                info!(host = name, "elasticsearch host is back");
            } else {
                warn!(host = name, "elasticsearch host fails and is passed over");
            }
        }
    }

    fn hosts_state<T>(&self, with: impl FnOnce(&mut Hosts) -> T) -> T {
        with(&mut self.0.hosts.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn gzip(body: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), Compression::new(1));
    encoder.write_all(body)?;
    encoder.finish()
}
