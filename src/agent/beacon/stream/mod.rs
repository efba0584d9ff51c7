//! The connection to the event stream: subscribe, read, notice silence, come back.

mod kind;

use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior};
use tracing::{debug, info, warn};

use self::kind::{End, backoff, longest_backoff, other_form};
pub(super) use self::kind::{Kind, Received, is_about_topics};
use super::api::{ApiError, next_chunk};
use super::backfill;
use super::context::Context;
use super::event;
use super::heavy;
use super::pulse::{BEAT, Pulse};
use super::sse::{Frame, FrameCutter};
use super::topics::{self, Negotiation, Refusals, Topic};
use super::watchdog::{Verdict, Watchdog};
use crate::agent::counters::BeaconStream;
use crate::slot::{self, BlockRef};

/// A question that only narrows the topics down counts as taken when it is not refused within this.
const PROBE_WAIT: Duration = Duration::from_secs(3);
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
        let mut pulse = Pulse::new(Instant::now(), slot::now());
        let mut beat = tokio::time::interval(BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                chunk = next_chunk(&mut response) => {
                    // Before anything else: every arrival is this time.
                    let received_at = slot::now();
                    if !self.beat(&mut pulse, received_at).await {
                        return End::Stopped;
                    }
                    match chunk {
                        Ok(Some(chunk)) => {
                            if self.kind == Kind::Heavy {
                                watchdog.alive(None);
                            }
                            cutter.push(&chunk, received_at);
                        }
                        Ok(None) => return self.cut(&cutter, "the node closed the stream".into()),
                        Err(error) => return self.cut(&cutter, error.to_string()),
                    }
                    while let Some(frame) = cutter.pop() {
                        if !self.received(frame, pulse.is_doubtful(), &mut watchdog).await {
                            return End::Stopped;
                        }
                    }
                }
                _ = beat.tick() => if !self.beat(&mut pulse, slot::now()).await {
                    return End::Stopped;
                },
                head = watchdog.asked(&api) => if let Some(end) = self.judge(&mut watchdog, head) {
                    return end;
                },
            }
        }
    }

    /// Notes a pause of this agent. `false`: nobody listens any more.
    async fn beat(&self, pulse: &mut Pulse, now: DateTime<Utc>) -> bool {
        let Some(pause) = pulse.beat(Instant::now(), now) else {
            return true;
        };
        if self.kind == Kind::Main {
            let pause_ms = pause.as_millis();
            warn!(
                pause_ms,
                "the agent stood still, what it reads now came at a time it does not know"
            );
            self.context.outbox.count("beacon_stream_paused", 1);
            self.context.change(|state| state.paused(pause));
            return true;
        }
        // Nothing is lost by it, but the times of what came meanwhile.
        let has_votes = self.asks_for_votes();
        let began = Received::Began { at: now, has_votes };
        self.sink.send(began).await.is_ok()
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
            let mut wanted = self.kind.wanted(&self.context.config);
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
            let is_stale = self.context.state().stream.stale;
            if !is_stale {
                self.context.outbox.set_beacon_stream(BeaconStream::Open);
            }
            self.context.change(|state| {
                state.stream.connected = true;
                state.stream.reconnects += u64::from(is_back);
                state.stream.topics = names;
                state.stream.refused = refused;
            });
            return self.sink.send(Received::Gap).await.is_ok();
        }
        debug!(topics = names.join(" "), "heavy stream is open");
        let has_votes = self.asks_for_votes();
        let began = Received::Began {
            at: slot::now(),
            has_votes,
        };
        self.sink.send(began).await.is_ok()
    }

    fn asks_for_votes(&self) -> bool {
        let negotiation = self.negotiation.as_ref();
        negotiation.is_some_and(|(_, negotiation)| {
            let asked = negotiation.ask();
            asked.contains(&Topic::Attestation) || asked.contains(&Topic::SingleAttestation)
        })
    }

    /// `false`: nobody listens any more.
    async fn received(&mut self, frame: Frame, is_doubtful: bool, watchdog: &mut Watchdog) -> bool {
        if self.kind == Kind::Heavy {
            let told = heavy::read(&frame);
            let at = frame.received_at;
            self.attempts = 0;
            let heavy = Received::Heavy {
                told,
                at,
                is_doubtful,
            };
            return self.sink.send(heavy).await.is_ok();
        }
        let mut event = event::read(frame);
        event.is_doubtful = is_doubtful;
        match event.topic {
            Topic::Head | Topic::HeadV2 => watchdog.alive(event.block),
            Topic::Block | Topic::BlockGossip => watchdog.alive(None),
            _ => {}
        }
        if event.fault.is_none() {
            self.attempts = 0;
            self.has_told = true;
        }
        self.context.change(|state| {
            state.stream.events += 1;
            state.stream.stale = false;
            state.stream.last_event = Some(Instant::now());
        });
        self.context.outbox.set_beacon_stream(BeaconStream::Open);
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
        if self.kind == Kind::Heavy {
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
                self.context.change(|state| {
                    state.stream.stale = true;
                    state.stream.was_stale = true;
                });
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
            let is_stale = self.context.state().stream.stale;
            let health = if is_stale {
                BeaconStream::Stale
            } else {
                BeaconStream::Lost
            };
            self.context.outbox.set_beacon_stream(health);
            self.context.change(|state| state.stream.connected = false);
            if !std::mem::replace(&mut self.is_lost, true) {
                warn!(node = %self.context.api.endpoint(), reason, "event stream is lost, trying again");
            }
        }
        if self.sink.send(Received::Gap).await.is_err() {
            return None;
        }
        self.attempts = self.attempts.saturating_add(1);
        if self
            .negotiation
            .as_ref()
            .is_some_and(|(_, negotiation)| negotiation.ask().is_empty())
        {
            // All was refused, perhaps by a proxy on a bad day: begin anew, slowly.
            self.negotiation = None;
            return Some(longest_backoff());
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
        self.kind.silence(slot)
    }
}
