//! What can go wrong with one request, and how often it does.

use std::time::Duration;

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

use super::cluster::Error;
use super::http::Delivery;
use super::wrong::{Nonsense, Refusal};

/// What befalls one bulk request.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Fault {
    /// Some items get this error instead of being stored.
    Items { share: f64, error: Error },
    /// The whole request is answered so, and nothing is stored.
    Whole(Refusal),
    /// The connection ends without an answer.
    Closed { stored: bool },
    /// The connection ends before the request was read.
    Reset,
    /// The server stops sending at once, but goes on reading and stores.
    HalfClosed,
    /// Stored, and the answer breaks off.
    Cut { head: f64, body: f64 },
    /// Answered 200 with something that is no bulk answer.
    Foreign { stored: bool, what: Nonsense },
    /// Stored and answered, but slowly: perhaps too slowly for the client.
    Slow { pieces: usize, pause: Duration },
    /// No answer while the client waits; stored before, after it has gone, or never.
    Hang { storing: Storing },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Storing {
    First,
    Late,
    Never,
}

/// Kinds of faults, to choose from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    ItemsBusy,
    ItemsUnavailable,
    /// Waits for a person: the agent tries again after half a minute.
    ItemsBlocked,
    Refused,
    /// The agent tries again after ten seconds.
    Unauthorized,
    Closed,
    Reset,
    HalfClosed,
    Cut,
    Foreign,
    Slow,
    Hang,
}

/// How things stand for a while.
#[derive(Debug, Clone, Default)]
pub(crate) struct Weather {
    /// Of all requests.
    pub(crate) share: f64,
    pub(crate) kinds: Vec<Kind>,
}

impl Weather {
    /// What befalls the next request.
    pub(crate) fn draw(&self, dice: &mut StdRng) -> Option<Fault> {
        let kind = *self.kinds.choose(dice)?;
        dice.random_bool(self.share).then(|| kind.draw(dice))
    }
}

impl Kind {
    /// The tests of the agent's patience apart.
    pub(crate) const QUICK: [Self; 10] = [
        Self::ItemsBusy,
        Self::ItemsUnavailable,
        Self::Refused,
        Self::Closed,
        Self::Reset,
        Self::HalfClosed,
        Self::Cut,
        Self::Foreign,
        Self::Slow,
        Self::Hang,
    ];

    fn draw(self, dice: &mut StdRng) -> Fault {
        let share = *[0.02, 0.1, 0.5, 1.0].choose(dice).unwrap();
        match self {
            Self::ItemsBusy => Fault::Items {
                share,
                error: Error::new(
                    429,
                    "es_rejected_execution_exception",
                    "rejected execution of primary operation",
                ),
            },
            Self::ItemsUnavailable => Fault::Items {
                share,
                error: Error::new(
                    503,
                    "unavailable_shards_exception",
                    "primary shard is not active",
                ),
            },
            Self::ItemsBlocked => Fault::Items {
                share,
                error: Error::new(
                    403,
                    "cluster_block_exception",
                    "index blocked by: [FORBIDDEN/8/index write (api)];",
                ),
            },
            Self::Refused => Fault::Whole(*Refusal::PASSING.choose(dice).unwrap()),
            Self::Unauthorized => Fault::Whole(match dice.random() {
                true => Refusal::Unauthorized,
                false => Refusal::Forbidden,
            }),
            Self::Closed => Fault::Closed {
                stored: dice.random(),
            },
            Self::Reset => Fault::Reset,
            Self::HalfClosed => Fault::HalfClosed,
            Self::Cut => match dice.random() {
                true => Fault::Cut {
                    head: dice.random(),
                    body: 0.0,
                },
                false => Fault::Cut {
                    head: 1.0,
                    body: dice.random(),
                },
            },
            Self::Foreign => Fault::Foreign {
                stored: dice.random(),
                what: *Nonsense::ALL.choose(dice).unwrap(),
            },
            Self::Slow => Fault::Slow {
                pieces: dice.random_range(1..6),
                pause: Duration::from_millis(dice.random_range(1..250)),
            },
            Self::Hang => Fault::Hang {
                storing: *[Storing::First, Storing::Late, Storing::Never]
                    .choose(dice)
                    .unwrap(),
            },
        }
    }
}

impl Fault {
    /// For the tally.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Items { .. } => "items",
            Self::Whole(_) => "refused",
            Self::Closed { .. } => "closed",
            Self::Reset => "reset",
            Self::HalfClosed => "half-closed",
            Self::Cut { .. } => "cut",
            Self::Foreign { .. } => "foreign",
            Self::Slow { .. } => "slow",
            Self::Hang { .. } => "hang",
        }
    }

    pub(crate) fn delivery(&self) -> Delivery {
        match *self {
            Self::Slow { pieces, pause } => Delivery::Slow { pieces, pause },
            Self::Cut { head, body } => Delivery::Cut { head, body },
            _ => Delivery::AtOnce,
        }
    }
}
