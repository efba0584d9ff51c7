//! Wakes the tailer when something happened in a folder it watches. A hint only: scanning finds everything without it.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher, event::ModifyKind};
use tracing::warn;

pub(super) struct Hints {
    /// Absent where the system gives no watcher: then only time wakes.
    watcher: Option<RecommendedWatcher>,
    /// Capacity one: a hint that was not yet heard stands for all after it.
    wakes: Receiver<()>,
    names_changed: Arc<AtomicBool>,
    watched: HashSet<PathBuf>,
}

impl Hints {
    pub(super) fn new() -> Self {
        let (wake, wakes) = sync_channel(1);
        let names_changed = Arc::new(AtomicBool::new(false));
        let noticed = names_changed.clone();
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            let is_access = matches!(&event, Ok(event) if event.kind.is_access());
            // Our own reading is no news.
            if is_access {
                return;
            }
            let is_growth = matches!(
                &event,
                Ok(event) if matches!(event.kind, EventKind::Modify(ModifyKind::Data(_) | ModifyKind::Metadata(_)))
            );
            if !is_growth {
                noticed.store(true, Ordering::Relaxed);
            }
            // Full: the tailer is about to wake anyway.
            wake.try_send(()).ok();
        });
        if let Err(error) = &watcher {
            warn!(%error, "cannot watch folders, new log lines are found by looking once a second");
        }
        Self {
            watcher: watcher.ok(),
            wakes,
            names_changed,
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
            warn!(%folder, %error, "cannot watch folder, its new log lines are found by looking once a second");
        }
    }

    pub(super) fn wait(&self, at_most: Duration) {
        if let Err(RecvTimeoutError::Disconnected) = self.wakes.recv_timeout(at_most) {
            std::thread::sleep(at_most);
        }
    }

    /// Whether files came, went or were renamed since this was asked last.
    pub(super) fn take_names_changed(&self) -> bool {
        self.names_changed.swap(false, Ordering::Relaxed)
    }
}
