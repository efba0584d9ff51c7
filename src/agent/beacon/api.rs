//! The Beacon API over REST: bounded answers, typed outcomes.

use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use reqwest::{Client, Response, StatusCode, header};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::event::prefix;
use crate::config::{Beacon, Endpoint};
use crate::tasks;

/// No answer of the calls made here is near it: a block of 10 MB of transactions is 20 MB in hexadecimal.
const MAX_ANSWER_BYTES: usize = 32 << 20;
/// Larger answers are parsed beside the threads that stamp arrivals.
const LARGE_BYTES: usize = 256 << 10;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Why a call gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The node does not have it, or does not know the endpoint.
    #[error("not found")]
    NotFound,
    /// Refused, timed out or cut: the node may be down.
    #[error("{0}")]
    Unreachable(String),
    /// Another status; the text is the beginning of what it said.
    #[error("status {status}: {text}")]
    Refused { status: StatusCode, text: String },
    /// HTML, half JSON, or too much.
    #[error("unreadable answer: {0}")]
    Unreadable(String),
}

impl ApiError {
    /// The counter of that failure; what is merely not there is no fault.
    pub fn counter(&self) -> Option<&'static str> {
        match self {
            Self::NotFound => None,
            Self::Unreachable(_) => Some("beacon_api_unreachable"),
            Self::Refused { .. } => Some("beacon_api_refused"),
            Self::Unreadable(_) => Some("beacon_api_unreadable"),
        }
    }
}

/// One node's Beacon API.
#[derive(Clone)]
pub struct Api {
    client: Client,
    endpoint: Endpoint,
    timeout: Duration,
}

impl Api {
    pub fn new(config: &Beacon) -> anyhow::Result<Self> {
        let client = Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_nodelay(true)
            .user_agent(concat!("ethmon/", env!("CARGO_PKG_VERSION")))
            .build()
            .context("cannot build the HTTP client")?;
        Ok(Self {
            client,
            endpoint: config.url.clone(),
            timeout: config.timeout,
        })
    }

    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// A JSON object from `path`, which begins with `/eth`.
    pub async fn get(&self, path: &str) -> Result<Value, ApiError> {
        self.read(path).await
    }

    /// The same, read into what is needed of it.
    pub async fn read<T>(&self, path: &str) -> Result<T, ApiError>
    where
        T: DeserializeOwned + Send + 'static,
    {
        let asked = self.client.get(self.endpoint.join(path));
        let answer = async {
            let response = asked
                .header(header::ACCEPT, "application/json")
                .send()
                .await
                .map_err(unreachable)?;
            body(response).await
        };
        let body = tokio::time::timeout(self.timeout, answer)
            .await
            .map_err(|_| {
                ApiError::Unreachable(format!("no answer in {} ms", self.timeout.as_millis()))
            })??;
        if body.len() < LARGE_BYTES {
            return parse(&body);
        }
        tasks::blocking(move || parse(&body)).await
    }

    /// The event stream. Ends when the node sends its answer's head, which may be with the first event: the caller
    /// decides how long that may take.
    pub async fn stream(&self, path: &str) -> Result<Response, ApiError> {
        let response = self
            .client
            .get(self.endpoint.join(path))
            .header(header::ACCEPT, "text/event-stream")
            .header(header::CACHE_CONTROL, "no-cache")
            .send()
            .await
            .map_err(unreachable)?;
        if response.status().is_success() {
            return Ok(response);
        }
        let body = tokio::time::timeout(self.timeout, body(response)).await;
        Err(body
            .unwrap_or_else(|_| Err(ApiError::Unreachable("the refusal was cut".into())))
            .err()
            .unwrap_or(ApiError::NotFound))
    }
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(body).map_err(|error| {
        let text = String::from_utf8_lossy(&body[..body.len().min(80)]).into_owned();
        ApiError::Unreadable(format!("{error}, begins {text:?}"))
    })
}

async fn body(mut response: Response) -> Result<Vec<u8>, ApiError> {
    let status = response.status();
    let mut body = Vec::new();
    while let Some(chunk) = next_chunk(&mut response).await? {
        if body.len() + chunk.len() > MAX_ANSWER_BYTES {
            return Err(ApiError::Unreadable(format!(
                "answer is over {MAX_ANSWER_BYTES} bytes"
            )));
        }
        body.extend_from_slice(&chunk);
    }
    match status {
        status if status.is_success() => Ok(body),
        StatusCode::NOT_FOUND => Err(ApiError::NotFound),
        status => Err(ApiError::Refused {
            status,
            text: prefix(&String::from_utf8_lossy(&body)),
        }),
    }
}

/// The next bytes of an answer; `None` at its end.
pub async fn next_chunk(response: &mut Response) -> Result<Option<Bytes>, ApiError> {
    response.chunk().await.map_err(unreachable)
}

fn unreachable(error: reqwest::Error) -> ApiError {
    // The address may hold a password; the cause says more anyway.
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    ApiError::Unreachable(text)
}
