//! Feeds the history with blocks, asks for committees and duties, and tells what can be said.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use tokio::sync::mpsc;
use tracing::{debug, warn};

use super::duties::{Committees, Proposers};
use super::{Block, History, Moment, Sizes, documents};
use crate::agent::beacon::api::{Api, ApiError};
use crate::agent::beacon::context::Context;
use crate::slot::{self, ChainSpec, Root};

/// How often it is looked whether something can be said; at most one question is asked each time.
const PERIOD: Duration = Duration::from_secs(1);
/// A question that gets no answer so often is given up: its slot goes uncounted, its epoch without duties.
const ATTEMPTS: u32 = 4;

/// What the blocks' task tells.
#[derive(Debug)]
pub(in crate::agent::beacon) enum Input {
    Block(Box<Block>),
    Head(Root),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Question {
    /// Of a slot.
    Committees(u64),
    /// Of an epoch.
    Duties(u64),
}

enum Answer {
    Committees(Option<Sizes>),
    Duties(Vec<(u64, u64)>),
}

type Asked = Pin<Box<dyn Future<Output = (Question, Result<Answer, ApiError>)> + Send>>;

/// Runs until the blocks have ended or `stop`.
pub(in crate::agent::beacon) async fn run(
    context: Context,
    mut inbox: mpsc::Receiver<Input>,
) -> anyhow::Result<()> {
    let mut task = Task {
        history: History::new(context.spec().slots_per_epoch),
        asked: None,
        failed: None,
        no_duties_of: None,
        context,
    };
    let mut period = tokio::time::interval(PERIOD);
    period.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            input = inbox.recv() => match input {
                Some(input) => task.take(input).await,
                None => return Ok(()),
            },
            (question, answer) = answered(&mut task.asked) => {
                task.asked = None;
                task.learn(question, answer);
            }
            _ = period.tick() => {
                task.tell().await;
                task.ask();
            }
            () = task.context.stop.cancelled() => return Ok(()),
        }
    }
}

/// Waits for ever while nothing is asked.
async fn answered(asked: &mut Option<Asked>) -> (Question, Result<Answer, ApiError>) {
    match asked {
        Some(asked) => asked.await,
        None => std::future::pending().await,
    }
}

struct Task {
    context: Context,
    history: History,
    asked: Option<Asked>,
    /// What was asked last in vain, and how often.
    failed: Option<(Question, u32)>,
    no_duties_of: Option<u64>,
}

impl Task {
    async fn take(&mut self, input: Input) {
        match input {
            Input::Head(root) => self.history.head(root),
            Input::Block(block) => {
                let Some(found) = self.history.block(*block) else {
                    return;
                };
                warn!(
                    slot = found.slot,
                    proposer = ?found.validators,
                    "a proposer made two blocks for one slot"
                );
                let event = self
                    .context
                    .with_setting(|setting| documents::equivocation(setting, &found, slot::now()));
                self.context.outbox.send(event).await;
            }
        }
    }

    async fn tell(&mut self) {
        let Some(running_slot) = self.context.spec().slot_at(slot::now()) else {
            return;
        };
        let state = self.context.state();
        let stream = &state.stream;
        let moment = Moment {
            running_slot,
            is_well: stream.connected && !stream.stale && state.syncing == Some(false),
            finalized_epoch: state.finalized_epoch,
        };
        for statement in self.history.advance(moment) {
            let event = self
                .context
                .with_setting(|setting| documents::statement(setting, &statement, slot::now()));
            self.context.outbox.send(event).await;
        }
        let skipped = self.history.take_skipped();
        if skipped > 0 {
            self.context.outbox.count("beacon_slot_unknown", skipped);
        }
    }

    fn ask(&mut self) {
        let spec = self.context.spec();
        let Some(running) = spec.slot_at(slot::now()).filter(|_| self.asked.is_none()) else {
            return;
        };
        let epoch = spec.epoch_of(running);
        let wants_duties = self.history.wants_duties_of(epoch) && self.no_duties_of != Some(epoch);
        let committees_of = self.history.wants_committees_of(running);
        let question = match (wants_duties, committees_of) {
            (true, _) => Question::Duties(epoch),
            (false, Some(slot)) => Question::Committees(slot),
            (false, None) => return,
        };
        let api = self.context.api.clone();
        self.asked = Some(Box::pin(async move {
            (question, ask(&api, &spec, question).await)
        }));
    }

    fn learn(&mut self, question: Question, answer: Result<Answer, ApiError>) {
        match answer {
            Ok(Answer::Committees(sizes)) => {
                if let Question::Committees(slot) = question {
                    self.history.committees(slot, sizes);
                }
            }
            Ok(Answer::Duties(duties)) if !duties.is_empty() => self.history.duties(duties),
            Ok(Answer::Duties(_)) => self.gave_nothing(question, "an empty answer"),
            Err(error) => {
                self.context.count(&error);
                self.gave_nothing(question, &error.to_string());
            }
        }
    }

    fn gave_nothing(&mut self, question: Question, reason: &str) {
        let before = self.failed.filter(|(failed, _)| *failed == question);
        let attempts = before.map_or(1, |(_, attempts)| attempts + 1);
        self.failed = Some((question, attempts));
        if attempts < ATTEMPTS {
            return;
        }
        debug!(?question, reason, "the node does not say, going on without");
        match question {
            Question::Committees(slot) => {
                self.context.outbox.count("beacon_committees_unknown", 1);
                self.history.committees(slot, None);
            }
            Question::Duties(epoch) => {
                self.context.outbox.count("beacon_duties_unknown", 1);
                self.no_duties_of = Some(epoch);
            }
        }
    }
}

async fn ask(api: &Api, spec: &ChainSpec, question: Question) -> Result<Answer, ApiError> {
    match question {
        Question::Committees(slot) => committees(api, spec, slot).await.map(Answer::Committees),
        Question::Duties(epoch) => proposers(api, epoch).await.map(Answer::Duties),
    }
}

/// The sizes of a slot's committees by the head's state; `None` where the answer does not have them.
pub(in crate::agent::beacon) async fn committees(
    api: &Api,
    spec: &ChainSpec,
    slot: u64,
) -> Result<Option<Sizes>, ApiError> {
    let epoch = spec.epoch_of(slot);
    let path = format!("/eth/v1/beacon/states/head/committees?epoch={epoch}&slot={slot}");
    let committees: Committees = api.read(&path).await?;
    Ok(committees.of_slot(slot, spec.slots_per_epoch))
}

/// Slots of an epoch and who proposes there.
pub(in crate::agent::beacon) async fn proposers(
    api: &Api,
    epoch: u64,
) -> Result<Vec<(u64, u64)>, ApiError> {
    let path = format!("/eth/v1/validator/duties/proposer/{epoch}");
    let proposers: Proposers = api.read(&path).await?;
    Ok(proposers.by_slot().collect())
}
