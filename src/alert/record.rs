//! Every transition as a document of `logs-ethmon.alert`: the history of what fired, when and why.

use chrono::{DateTime, Utc};

use super::incident::{Action, Transition};
use super::state::Phase;
use crate::event::{DataStream, DocumentId, Event, timestamp};
use crate::slot::ChainSpec;

/// The document of a transition. Its id follows from the transition, so that recording it again stores it once.
pub fn record(transition: &Transition, chain: &ChainSpec) -> Event {
    let settings = &transition.rule.settings;
    let incident = transition.incident.as_ref();
    let at = timestamp(transition.at);
    let identity = match incident {
        // Opened and resolved once per incident, whatever time a repeated evaluation happened to run at.
        Some(incident) if matches!(transition.action, Action::Opened | Action::Resolved) => {
            DocumentId::of(&["alert", &incident.id, transition.action.name()])
        }
        _ => DocumentId::of(&[
            "alert",
            &transition.rule.name,
            &transition.key.to_string(),
            transition.action.name(),
            &at,
        ]),
    };
    let facts = incident.map(|incident| &incident.facts);
    let time = |at: DateTime<Utc>| timestamp(at);
    let names = |facts: &crate::rules::Facts| -> Vec<String> {
        facts.nodes.iter().map(|node| node.name.clone()).collect()
    };
    let ended_at = incident.and_then(|incident| incident.ended_at);
    let duration_s = incident
        .and_then(|incident| Some((incident.ended_at? - incident.started_at).as_seconds_f64()));
    Event::new(DataStream::Alert, identity, transition.at)
        .with("event.kind", "alert")
        .with("event.action", transition.action.name())
        .with("rule.name", transition.rule.name.as_str())
        .with("rule.version", settings.version.to_string())
        .with("message", settings.title.as_str())
        .with("ethereum.network.name", chain.network.as_str())
        .with("ethmon.alert.key", transition.key.to_string())
        .with("ethmon.alert.state", transition.to.name())
        .with("ethmon.alert.previous_state", transition.from.name())
        .with("ethmon.alert.severity", settings.severity.name())
        .with_some("ethmon.alert.value", transition.value)
        .with_some("ethmon.alert.threshold", transition.limit)
        .with_some("ethmon.alert.reason", transition.reason)
        .with_some(
            "ethmon.alert.incident_id",
            incident.map(|incident| incident.id.as_str()),
        )
        .with_some(
            "ethmon.alert.started_at",
            incident.map(|incident| time(incident.started_at)),
        )
        .with_some("ethmon.alert.ended_at", ended_at.map(time))
        .with_some("ethmon.alert.duration_s", duration_s)
        .with_some(
            "ethmon.alert.peak",
            incident.and_then(|incident| incident.peak),
        )
        .with_some(
            "ethmon.alert.summary",
            facts.map(|facts| facts.line.as_str()),
        )
        .with_some("ethereum.nodes", facts.map(names))
        .with_some("ethereum.clients", facts.map(|facts| facts.clients.clone()))
        .with_some("ethereum.slot", facts.and_then(|facts| facts.slot))
}

impl Action {
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Cancelled => "cancelled",
            Self::Opened => "opened",
            Self::Reminded => "reminded",
            Self::Cleared => "cleared",
            Self::Refired => "refired",
            Self::Resolved => "resolved",
        }
    }
}

impl Phase {
    pub fn name(self) -> &'static str {
        match self {
            Self::Inactive => "inactive",
            Self::Pending => "pending",
            Self::Firing => "firing",
            Self::Recovering => "recovering",
        }
    }
}
