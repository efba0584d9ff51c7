//! Wakes the tailer when something happened in a folder it watches. A hint only: scanning finds everything without it.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher, event::ModifyKind};
use tracing::warn;

/// More files that grew since they were asked for are not told apart.
const MAX_PATHS: usize = 4_096;

pub(super) struct Hints {
    /// Absent where the system gives no watcher: then only time wakes.
    watcher: Option<RecommendedWatcher>,
    /// Capacity one: a hint that was not yet heard stands for all after it.
    wakes: Receiver<()>,
    news: Arc<Mutex<News>>,
    watched: HashSet<PathBuf>,
}

/// What happened since this was asked last.
#[derive(Debug, Default)]
pub(super) struct News {
    /// Files that grew.
    pub(super) grown: HashSet<PathBuf>,
    /// Any file may have grown.
    pub(super) is_unclear: bool,
    /// Files came, went or were renamed.
    pub(super) names_changed: bool,
}

impl News {
    fn add(&mut self, event: notify::Result<notify::Event>) {
        let Ok(event) = event else {
            self.is_unclear = true;
            self.names_changed = true;
            return;
        };
        let is_growth = matches!(
            event.kind,
            EventKind::Modify(ModifyKind::Data(_) | ModifyKind::Metadata(_))
        );
        if event.need_rescan() || self.grown.len() + event.paths.len() > MAX_PATHS {
            self.is_unclear = true;
            self.names_changed |= event.need_rescan();
        } else {
            self.grown.extend(event.paths);
        }
        self.names_changed |= !is_growth;
    }
}

impl Hints {
    pub(super) fn new() -> Self {
        let (wake, wakes) = sync_channel(1);
        let news = Arc::new(Mutex::new(News::default()));
        let heard = news.clone();
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // Our own reading is no news.
            if matches!(&event, Ok(event) if event.kind.is_access()) {
                return;
            }
            lock(&heard).add(event);
            // Full: the tailer is about to wake anyway.
            wake.try_send(()).ok();
        });
        if let Err(error) = &watcher {
            warn!(%error, "cannot watch folders, new log lines are found by looking");
        }
        Self {
            watcher: watcher.ok(),
            wakes,
            news,
            watched: HashSet::new(),
        }
    }

    /// Hears nothing.
    #[cfg(test)]
    pub(super) fn deaf() -> Self {
        Self {
            watcher: None,
            wakes: sync_channel(1).1,
            news: Arc::default(),
            watched: HashSet::new(),
        }
    }

    /// Watches the folder of a file; a folder that can't be watched is tried once.
    pub(super) fn watch_folder_of(&mut self, path: &str) {
        let Some(folder) = Path::new(path).parent() else {
            return;
        };
        let Some(watcher) = &mut self.watcher else {
            return;
        };
        if self.watched.contains(folder) {
            return;
        }
        self.watched.insert(folder.to_owned());
        if let Err(error) = watcher.watch(folder, RecursiveMode::NonRecursive) {
            let folder = folder.display();
            warn!(%folder, %error, "cannot watch folder, its new log lines are found by looking");
        }
    }

    /// Whether there is a hint.
    pub(super) fn wait(&self, at_most: Duration) -> bool {
        match self.wakes.recv_timeout(at_most) {
            Ok(()) => true,
            Err(RecvTimeoutError::Timeout) => false,
            Err(RecvTimeoutError::Disconnected) => {
                std::thread::sleep(at_most);
                false
            }
        }
    }

    pub(super) fn take(&self) -> News {
        std::mem::take(&mut lock(&self.news))
    }
}

/// A panic in the watcher's thread leaves at worst a hint behind.
fn lock(news: &Mutex<News>) -> MutexGuard<'_, News> {
    news.lock().unwrap_or_else(PoisonError::into_inner)
}
