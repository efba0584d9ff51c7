//! Answers requests, few at a time and each within its time: a status page must not become the node's burden.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{FuturesUnordered, StreamExt};
use hyper::body::Incoming;
use hyper::header::{ALLOW, CONTENT_TYPE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::listener::Stream;
use super::{Listener, Source, State, health, metrics};
use crate::agent::usage::Usage;
use crate::slot;

/// Connections at once; further ones wait in the listener's queue.
const CONNECTIONS: usize = 16;
/// What a request's head may take in memory and number of lines.
const HEAD_BYTES: usize = 16 << 10;
const HEADERS: usize = 64;
/// For the head of a request, and for a connection from its beginning to its end.
const HEAD_TIME: Duration = Duration::from_secs(5);
const CONNECTION_TIME: Duration = Duration::from_secs(10);
/// How long the store may take to say how old its oldest record is.
const STORE_TIME: Duration = Duration::from_secs(1);
/// Before accepting again after it failed: no descriptors, no memory.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

pub async fn serve(
    listener: Arc<Listener>,
    source: Source,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let mut connections = FuturesUnordered::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            accepted = listener.accept(), if connections.len() < CONNECTIONS => match accepted {
                Ok(stream) => connections.push(connection(stream, source.clone())),
                Err(error) => {
                    warn!(%error, "cannot accept a connection to the status page");
                    sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(()) = connections.next() => {}
        }
    }
}

async fn connection(stream: Stream, source: Source) {
    let answer = service_fn(|request: Request<Incoming>| {
        let source = source.clone();
        async move { Ok::<_, Infallible>(answer(request.method(), request.uri().path(), &source).await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(HEAD_BYTES)
        .max_headers(HEADERS)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), answer);
    match timeout(CONNECTION_TIME, served).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => debug!(%error, "a request to the status page failed"),
        Err(_) => debug!("a request to the status page took too long"),
    }
}

async fn answer(method: &Method, path: &str, source: &Source) -> Response<String> {
    if !matches!(*method, Method::GET | Method::HEAD) {
        let mut refusal = text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
        let allowed = hyper::header::HeaderValue::from_static("GET, HEAD");
        refusal.headers_mut().insert(ALLOW, allowed);
        return refusal;
    }
    match path {
        "/metrics" => {
            let lag_ms = spool_lag_ms(source).await;
            let page = metrics::render(&State {
                spool_lag_ms: lag_ms,
                usage: Usage::read(&source.data_dir),
                ..state(source)
            });
            response(StatusCode::OK, metrics::CONTENT_TYPE, page)
        }
        "/health" | "/health/ready" => {
            let (is_ready, answer) = health::ready(&state(source));
            let status = match is_ready {
                true => StatusCode::OK,
                false => StatusCode::SERVICE_UNAVAILABLE,
            };
            response(status, "application/json", format!("{answer}\n"))
        }
        "/health/live" => response(
            StatusCode::OK,
            "application/json",
            format!("{}\n", health::live()),
        ),
        _ => text(
            StatusCode::NOT_FOUND,
            "there are /metrics, /health/live and /health/ready\n",
        ),
    }
}

/// Without what takes time to find out.
fn state(source: &Source) -> State<'_> {
    State {
        counters: &source.counters,
        totals: *source.store.totals().borrow(),
        spool_max_bytes: source.spool_max_bytes,
        spool_lag_ms: 0,
        usage: Usage::default(),
        started_at_s: source.started_at_s,
    }
}

/// 0 for an empty spool, and while the store does not answer: `store_usable` says so.
async fn spool_lag_ms(source: &Source) -> u64 {
    let oldest = timeout(STORE_TIME, source.store.oldest_ms()).await;
    let oldest_ms = oldest.ok().and_then(Result::ok).flatten();
    let now_ms = u64::try_from(slot::now().timestamp_millis()).unwrap_or_default();
    oldest_ms.map_or(0, |oldest_ms| now_ms.saturating_sub(oldest_ms))
}

fn text(status: StatusCode, body: &str) -> Response<String> {
    response(status, "text/plain; charset=utf-8", body.to_owned())
}

fn response(status: StatusCode, kind: &'static str, body: String) -> Response<String> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let kind = hyper::header::HeaderValue::from_static(kind);
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}
