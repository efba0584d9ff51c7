//! The connection to the event stream: subscribe, read, notice silence, come back.

use std::time::Duration;

use reqwest::{Response, StatusCode, header};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::api::{ApiError, next_chunk};
use super::backfill;
use super::context::Context;
use super::event::{self, BeaconEvent};
use super::sse::FrameCutter;
use super::topics::{self, Negotiation, Refusals, Topic};
use super::watchdog::{Verdict, Watchdog};
use crate::slot::{self, BlockRef};

/// A question that only narrows the topics down counts as taken when it is not refused within this.
const PROBE_WAIT: Duration = Duration::from_secs(3);
/// Lodestar sends the head of its answer with the first event, and healthy streams were silent for 28 s.
const MIN_SILENCE: Duration = Duration::from_secs(15);
const SILENT_SLOTS: u32 = 3;
const MAX_BACKOFF: Duration = Duration::from_secs(30);
/// The second connection has no head to compare with: after so many slots without a byte it is made anew.
const SUMMARY_SILENT_SLOTS: u32 = 16;

/// Which of the two connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Heads, blocks and rare events: watched for silence.
    Main,
    /// The heavy topics. That it breaks costs only sums.
    Summaries,
}

impl Kind {
    fn wanted(self, extra: &[String]) -> Vec<Topic> {
        match self {
            Self::Main => topics::light(extra),
            Self::Summaries => topics::heavy(),
        }
    }

    fn note(self) -> &'static str {
        match self {
            Self::Main => "beacon.refused_topics",
            Self::Summaries => "beacon.refused_summaries",
        }
    }
}

/// What a stream hands on.
#[derive(Debug)]
pub(super) enum Received {
    Event(Box<BeaconEvent>),
    /// Events may have been missed before this point.
    Gap,
}

/// Why a connection ended.
enum End {
    Stopped,
    Lost(String),
    /// The node moved and the stream did not tell.
    Stale,
    /// The node refused the topics asked for.
    Refused(String),
    /// Not refused: ask the next question.
    Taken,
}

/// Keeps one stream until `stop`.
pub(super) async fn run(
    context: Context,
    kind: Kind,
    sink: mpsc::Sender<Received>,
) -> anyhow::Result<()> {
    let stop = context.stop.clone();
    let mut stream = Stream {
        kind,
        sink,
        negotiation: None,
        attempts: 0,
        is_lost: false,
        has_told: false,
        context,
    };
    loop {
        let end = tokio::select! {
            end = stream.connect() => end,
            () = stop.cancelled() => return Ok(()),
        };
        let Some(wait) = stream.ended(end).await else {
            return Ok(());
        };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = stream.context.is_back.notified() => {}
            () = stop.cancelled() => return Ok(()),
        }
    }
}

struct Stream {
    context: Context,
    kind: Kind,
    sink: mpsc::Sender<Received>,
    /// With the client's version it was begun for.
    negotiation: Option<(String, Negotiation)>,
    /// Since the last event.
    attempts: u32,
    is_lost: bool,
    /// Whether this connection told anything.
    has_told: bool,
}

impl Stream {
    async fn connect(&mut self) -> End {
        let (asked, is_last) = self.question().await;
        if asked.is_empty() {
            return End::Lost("the node refuses every topic".into());
        }
        let path = topics::path(&asked);
        let api = self.context.api.clone();
        let head = match self.kind {
            Kind::Main if is_last => backfill::head(&api).await.ok(),
            _ => None,
        };
        self.has_told = false;
        let mut watchdog = Watchdog::new(self.silence(), head.map(|head| head.root));
        let answer = api.stream(&path);
        tokio::pin!(answer);
        let probe_ends = Instant::now() + PROBE_WAIT;
        let mut response = loop {
            tokio::select! {
                answer = &mut answer => match answer {
                    Ok(response) => break response,
                    Err(ApiError::Refused { status, text }) if is_about_topics(status) => return End::Refused(text),
                    Err(error) => return End::Lost(error.to_string()),
                },
                () = tokio::time::sleep_until(probe_ends), if !is_last => return End::Taken,
                head = watchdog.asked(&api) => if let Some(end) = self.judge(&mut watchdog, head) {
                    return end;
                },
            }
        };
        if let Some(form) = other_form(&response) {
            self.context.outbox.count("beacon_stream_not_events", 1);
            return End::Lost(format!("the answer is {form:?}, not an event stream"));
        }
        if !is_last {
            return End::Taken;
        }
        if !self.began(&asked).await {
            return End::Stopped;
        }
        let mut cutter = FrameCutter::new(self.context.config.max_event_bytes);
        loop {
            tokio::select! {
                chunk = next_chunk(&mut response) => {
                    // Before anything else: every arrival is this time.
                    let received_at = slot::now();
                    match chunk {
                        Ok(Some(chunk)) => {
                            if self.kind == Kind::Summaries {
                                watchdog.alive(None);
                            }
                            cutter.push(&chunk, received_at);
                        }
                        Ok(None) => return self.cut(&cutter, "the node closed the stream".into()),
                        Err(error) => return self.cut(&cutter, error.to_string()),
                    }
                    while let Some(frame) = cutter.pop() {
                        let event = event::read(frame);
                        match event.topic {
                            Topic::Head | Topic::HeadV2 => watchdog.alive(event.block),
                            Topic::Block | Topic::BlockGossip => watchdog.alive(None),
                            _ => {}
                        }
                        if !self.received(event).await {
                            return End::Stopped;
                        }
                    }
                }
                head = watchdog.asked(&api) => if let Some(end) = self.judge(&mut watchdog, head) {
                    return end;
                },
            }
        }
    }

    /// The topics to ask for, and whether the answer is the stream itself.
    async fn question(&mut self) -> (Vec<Topic>, bool) {
        let version = self.context.state().version;
        if self
            .negotiation
            .as_ref()
            .is_none_or(|(begun_for, _)| *begun_for != version)
        {
            let note = self.context.outbox.recall(self.kind.note()).await;
            let known: Option<Refusals> = note.and_then(|note| serde_json::from_slice(&note).ok());
            let known = known.filter(|known| known.version == version && !version.is_empty());
            let mut wanted = self.kind.wanted(&self.context.config.extra_topics);
            wanted.retain(|topic| !topics::is_harmful(topic, &version));
            let negotiation = Negotiation::new(wanted, &known.unwrap_or_default().topics);
            self.negotiation = Some((version, negotiation));
        }
        let negotiation = self
            .negotiation
            .as_ref()
            .map(|(_, negotiation)| negotiation);
        negotiation.map_or((Vec::new(), true), |negotiation| {
            (negotiation.ask().to_vec(), negotiation.is_last_question())
        })
    }

    /// The node sends. `false`: nobody listens any more.
    async fn began(&mut self, asked: &[Topic]) -> bool {
        let names: Vec<String> = asked.iter().map(Topic::to_string).collect();
        let mut refused = Vec::new();
        if let Some((_, negotiation)) = &mut self.negotiation {
            negotiation.accept();
            refused = negotiation.refused().iter().cloned().collect();
        }
        if self.kind == Kind::Main {
            let is_back = std::mem::take(&mut self.is_lost);
            if is_back {
                info!(node = %self.context.api.endpoint(), "event stream is back");
            } else {
                info!(node = %self.context.api.endpoint(), topics = names.join(" "), refused = refused.join(" "), "event stream is open");
            }
            self.context.change(|state| {
                state.stream.connected = true;
                state.stream.reconnects += u64::from(is_back);
                state.stream.topics = names;
                state.stream.refused = refused;
            });
            return self.sink.send(Received::Gap).await.is_ok();
        }
        debug!(topics = names.join(" "), "summary stream is open");
        true
    }

    async fn received(&mut self, event: BeaconEvent) -> bool {
        if event.fault.is_none() {
            self.attempts = 0;
            self.has_told = true;
        }
        if self.kind == Kind::Main {
            self.context.change(|state| {
                state.stream.events += 1;
                state.stream.stale = false;
            });
        }
        self.sink
            .send(Received::Event(Box::new(event)))
            .await
            .is_ok()
    }

    /// A stream that ended in the middle of an event lost it; the walk after the next start brings its block.
    fn cut(&self, cutter: &FrameCutter, reason: String) -> End {
        if cutter.unfinished_bytes() > 0 {
            self.context.outbox.count("beacon_event_cut", 1);
        }
        End::Lost(reason)
    }

    /// What the node says after a silence.
    fn judge(&self, watchdog: &mut Watchdog, answer: Result<BlockRef, ApiError>) -> Option<End> {
        if self.kind == Kind::Summaries {
            return Some(End::Lost("silent".into()));
        }
        match answer {
            Ok(head) => (watchdog.judge(head.root) == Verdict::Stale).then_some(End::Stale),
            Err(error) => {
                self.context.count(&error);
                Some(End::Lost(format!(
                    "silent, and the node does not answer: {error}"
                )))
            }
        }
    }

    /// How long to wait before the next attempt; `None` to end.
    async fn ended(&mut self, end: End) -> Option<Duration> {
        let reason = match end {
            End::Stopped => return None,
            End::Taken => {
                if let Some((_, negotiation)) = &mut self.negotiation {
                    negotiation.accept();
                }
                return Some(Duration::ZERO);
            }
            End::Refused(answer) => {
                self.refused(&answer).await;
                return Some(Duration::ZERO);
            }
            End::Lost(reason) => reason,
            End::Stale => {
                self.context.outbox.count("beacon_stream_stale", 1);
                self.context.change(|state| state.stream.stale = true);
                // Some clients are silent where others refuse.
                if !self.has_told
                    && let Some((_, negotiation)) = &mut self.negotiation
                {
                    negotiation.silent();
                }
                "silent while the node's head moved".to_owned()
            }
        };
        if self.kind == Kind::Main {
            self.context.change(|state| state.stream.connected = false);
            if !std::mem::replace(&mut self.is_lost, true) {
                warn!(node = %self.context.api.endpoint(), reason, "event stream is lost, trying again");
            }
            if self.sink.send(Received::Gap).await.is_err() {
                return None;
            }
        }
        self.attempts = self.attempts.saturating_add(1);
        if self
            .negotiation
            .as_ref()
            .is_some_and(|(_, negotiation)| negotiation.ask().is_empty())
        {
            // All was refused, perhaps by a proxy on a bad day: begin anew, slowly.
            self.negotiation = None;
            return Some(MAX_BACKOFF);
        }
        Some(backoff(self.attempts))
    }

    /// Narrows the topics down, and remembers what is known by now.
    async fn refused(&mut self, answer: &str) {
        let Some((version, negotiation)) = &mut self.negotiation else {
            return;
        };
        let before = negotiation.refused().len();
        negotiation.refuse(answer);
        debug!(answer, refused = ?negotiation.refused(), "the node refuses topics");
        let more = negotiation.refused().len() - before;
        if more > 0 {
            let known = Refusals {
                version: version.clone(),
                topics: negotiation.refused().clone(),
            };
            self.context
                .outbox
                .count("beacon_topic_refused", more as u64);
            if let Ok(note) = serde_json::to_vec(&known) {
                self.context.outbox.remember(self.kind.note(), note).await;
            }
        }
    }

    fn silence(&self) -> Duration {
        let slot = Duration::from_millis(self.context.spec().slot_duration_ms);
        let slots = if self.kind == Kind::Main {
            SILENT_SLOTS
        } else {
            SUMMARY_SILENT_SLOTS
        };
        (slot * slots).max(MIN_SILENCE)
    }
}

/// A refusal of the topics, unlike one of the caller or of a busy node.
pub(super) fn is_about_topics(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY
    )
}

/// The form of an answer that is no event stream: a proxy's page, most often.
fn other_form(response: &Response) -> Option<String> {
    let form = response.headers().get(header::CONTENT_TYPE)?;
    let form = String::from_utf8_lossy(form.as_bytes());
    (!form.trim_start().starts_with("text/event-stream")).then(|| form.into_owned())
}

/// Full jitter: between nothing and 1 s, 2 s, 4 s, … up to 30 s.
fn backoff(attempt: u32) -> Duration {
    let ceiling = Duration::from_secs(1 << attempt.saturating_sub(1).min(5)).min(MAX_BACKOFF);
    ceiling.mul_f64(rand::random::<f64>())
}
