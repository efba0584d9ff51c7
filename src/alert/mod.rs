//! From evaluations to mails: the ledger decides what fires, the outbox what is still to be sent.
//!
//! Everything but the mailer is pure. The aggregator calls [`step`], stores the notices and then the changed states,
//! and only then sends: a crash at any point loses no mail and opens no incident twice.

pub mod email;
mod incident;
mod ledger;
mod notice;
mod record;
mod scenario;
mod simulate;
mod state;

pub use self::incident::{Action, Incident, Transition};
pub use self::ledger::{Change, Ledger};
pub use self::notice::{Delivery, Notice, due, notices};
pub use self::record::record;
pub use self::scenario::test;
pub use self::simulate::{Alert, Arrival, Simulation, alerts, simulate};
pub use self::state::{Phase, State};

use chrono::{DateTime, Utc};

use crate::rules::Engine;
use crate::slot::ChainSpec;

/// Evaluates all rules at `now` and moves the ledger. The only way the two meet, live and in every test.
pub fn step(
    engine: &mut Engine,
    ledger: &mut Ledger,
    now: DateTime<Utc>,
    chain: &ChainSpec,
) -> Vec<Transition> {
    let evaluations = engine.evaluate(now, chain, |rule| ledger.keys(rule));
    evaluations
        .into_iter()
        .filter_map(|evaluation| ledger.apply(evaluation, now, chain))
        .collect()
}

#[cfg(test)]
mod tests;
