//! `system.uptime`: how long the machine has been running. A value that falls is a restart.

use std::time::Duration;

use crate::event::Event;

pub(super) fn document(event: Event, uptime: Duration) -> Event {
    let ms = u64::try_from(uptime.as_millis()).unwrap_or(u64::MAX);
    event.with("system.uptime.duration.ms", ms)
}
