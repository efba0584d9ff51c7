//! Named tasks with one owner and one end: the only place that spawns.
//!
//! The first task that fails, panics or ends while it is still needed stops the others; the owner learns its name.

use std::collections::HashMap;
use std::future::Future;
use std::time::Duration;

use anyhow::{Context, anyhow};
use tokio::task::{Id, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

/// How long tasks may take to drain after a stop was asked for.
pub const DRAIN_LIMIT: Duration = Duration::from_secs(10);

/// The tasks of one process (or of one part of it), ended together.
pub struct Tasks {
    set: JoinSet<anyhow::Result<()>>,
    names: HashMap<Id, String>,
    stop: CancellationToken,
}

impl Tasks {
    /// `stop` is what the tasks listen to; it is cancelled when one of them fails.
    pub fn new(stop: CancellationToken) -> Self {
        Self {
            set: JoinSet::new(),
            names: HashMap::new(),
            stop,
        }
    }

    /// Starts a task. The name appears in every message about its end.
    pub fn spawn(
        &mut self,
        name: impl Into<String>,
        task: impl Future<Output = anyhow::Result<()>> + Send + 'static,
    ) {
        let handle = self.set.spawn(task);
        self.names.insert(handle.id(), name.into());
    }

    /// Waits for all tasks. The first failure cancels `stop`; whatever has not ended [`DRAIN_LIMIT`] after that is
    /// named and aborted. Returns the first failure.
    pub async fn join(mut self) -> anyhow::Result<()> {
        let mut first_failure = None;
        let mut deadline: Option<tokio::time::Instant> = None;
        loop {
            let next = tokio::select! {
                next = self.set.join_next_with_id() => next,
                () = self.stop.cancelled(), if deadline.is_none() => {
                    deadline = Some(tokio::time::Instant::now() + DRAIN_LIMIT);
                    continue;
                }
                () = sleep_until(deadline), if deadline.is_some() => {
                    let mut late: Vec<_> = self.names.values().map(String::as_str).collect();
                    late.sort_unstable();
                    error!(tasks = late.join(", "), "tasks did not end in {} s and are aborted", DRAIN_LIMIT.as_secs());
                    let late = anyhow!("tasks did not end in time: {}", late.join(", "));
                    self.set.shutdown().await;
                    return Err(first_failure.unwrap_or(late));
                }
            };
            let Some(ended) = next else { break };
            let (id, outcome) = match ended {
                Ok((id, outcome)) => (id, outcome),
                Err(panic) => (panic.id(), Err(anyhow!("task panicked: {panic}"))),
            };
            let name = self.names.remove(&id).unwrap_or_default();
            if let Err(error) = outcome.with_context(|| format!("{name} failed")) {
                self.stop.cancel();
                first_failure.get_or_insert(error);
            }
        }
        first_failure.map_or(Ok(()), Err)
    }
}

/// Runs a closure that blocks (file system, store) on the threads kept for that. A panic in it is passed on.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(value) => value,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// Runs a closure that blocks for as long as the process lives on a thread of its own, whose name the system shows. A panic
/// in it is passed on.
pub async fn thread<T: Send + 'static>(
    name: String,
    work: impl FnOnce() -> anyhow::Result<T> + Send + 'static,
) -> anyhow::Result<T> {
    let (sender, ended) = tokio::sync::oneshot::channel();
    let thread = std::thread::Builder::new()
        .name(name)
        .spawn(move || {
            // The other end may be gone: nobody waits any more.
            drop(sender.send(work()));
        })
        .context("cannot start a thread")?;
    match ended.await {
        Ok(result) => result,
        Err(_) => match blocking(|| thread.join()).await {
            Err(panic) => std::panic::resume_unwind(panic),
            Ok(()) => Err(anyhow!("a thread ended without a result")),
        },
    }
}

/// Cancels `stop` at the first SIGINT or SIGTERM; ends when `stop` is cancelled by anybody.
pub async fn stop_on_signal(stop: CancellationToken) -> anyhow::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let name = tokio::select! {
        _ = interrupt.recv() => "SIGINT",
        _ = terminate.recv() => "SIGTERM",
        () = stop.cancelled() => return Ok(()),
    };
    info!(signal = name, "stopping");
    stop.cancel();
    Ok(())
}

/// Hears SIGHUP from now on; until then it would end the process.
pub fn hangups() -> anyhow::Result<tokio::signal::unix::Signal> {
    use tokio::signal::unix::{SignalKind, signal};
    signal(SignalKind::hangup()).context("cannot listen for SIGHUP")
}

async fn sleep_until(deadline: Option<tokio::time::Instant>) {
    match deadline {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn first_failure_stops_the_rest_and_is_named() {
        let stop = CancellationToken::new();
        let mut tasks = Tasks::new(stop.clone());
        let waiting = stop.clone();
        tasks.spawn("waits", async move {
            waiting.cancelled().await;
            Ok(())
        });
        tasks.spawn("breaks", async { Err(anyhow!("no disk")) });
        let error = tasks.join().await.unwrap_err();
        assert_eq!(format!("{error:#}"), "breaks failed: no disk");
    }

    #[tokio::test]
    async fn a_panic_is_a_named_failure() {
        let mut tasks = Tasks::new(CancellationToken::new());
        tasks.spawn("panics", async { panic!("boom") });
        assert!(
            format!("{:#}", tasks.join().await.unwrap_err())
                .starts_with("panics failed: task panicked")
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_does_not_end_is_aborted_after_the_limit() {
        let stop = CancellationToken::new();
        let mut tasks = Tasks::new(stop.clone());
        tasks.spawn("hangs", std::future::pending());
        stop.cancel();
        let error = tasks.join().await.unwrap_err();
        assert_eq!(format!("{error:#}"), "tasks did not end in time: hangs");
    }
}
