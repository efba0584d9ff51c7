//! Placeholder of the outbox (a bounded channel) for the collectors of this branch: the lead's own replaces it.

use tokio::sync::mpsc;

use crate::event::Event;

#[derive(Debug, Clone)]
pub struct Outbox {
    agent_id: String,
    queue: mpsc::Sender<Event>,
}

impl Outbox {
    pub fn new(agent_id: impl Into<String>, capacity: usize) -> (Self, mpsc::Receiver<Event>) {
        let (queue, events) = mpsc::channel(capacity);
        let agent_id = agent_id.into();
        (Self { agent_id, queue }, events)
    }

    pub fn agent_id(&self) -> &str {
        &self.agent_id
    }

    pub async fn send(&self, event: Event) {
        if self.queue.send(event).await.is_err() {
            tracing::debug!("the outbox is closed");
        }
    }
}
