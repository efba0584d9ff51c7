//! What every document of a set begins with.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::MetricSet;
use crate::event::{DocumentId, Event, timestamp};

#[derive(Debug, Clone)]
pub(super) struct Origin {
    agent_id: String,
}

impl Origin {
    pub(super) fn new(agent_id: &str) -> Self {
        Self {
            agent_id: agent_id.to_owned(),
        }
    }

    /// `entity` tells the documents of one set and sample apart: a disk, an interface, a mount point.
    pub(super) fn event(
        &self,
        set: MetricSet,
        entity: &str,
        at: DateTime<Utc>,
        period: Duration,
    ) -> Event {
        let stream = set.stream();
        let id = DocumentId::of(&[&self.agent_id, stream.dataset(), entity, &timestamp(at)]);
        let period_ms = u64::try_from(period.as_millis()).unwrap_or(u64::MAX);
        Event::new(stream, id, at)
            .with("event.kind", "metric")
            .with("event.module", stream.module())
            .with("event.dataset", stream.dataset())
            .with("metricset.name", set.name())
            .with("metricset.period", period_ms)
            .with("service.type", "system")
    }
}
