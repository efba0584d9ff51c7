//! The connections, and the files that say who we are on them: read again when they change.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use tracing::{info, warn};
use url::Url;

use super::access::{Access, Stamps};
use super::connection::Connection;
use crate::config;
use crate::tasks;

/// Files are looked at this often at most.
const LOOK_EVERY: Duration = Duration::from_secs(1);

pub(super) struct Session {
    config: config::Elasticsearch,
    hosts: Vec<Url>,
    current: RwLock<Arc<Current>>,
    looked: Mutex<Looked>,
}

/// Replaced as a whole: requests under way end with what they began with.
pub(super) struct Current {
    access: Arc<Access>,
    /// In the order of the hosts.
    pub(super) connections: Vec<Connection>,
}

struct Looked {
    next: Instant,
    stamps: Stamps,
}

impl Session {
    /// Reads the files; does not connect.
    pub(super) fn new(config: config::Elasticsearch, hosts: Vec<Url>) -> anyhow::Result<Self> {
        let looked = Looked {
            next: Instant::now() + LOOK_EVERY,
            stamps: Stamps::of(&config),
        };
        let current = Current::new(&config, &hosts, Access::read(&config)?)?;
        Ok(Self {
            config,
            hosts,
            current: RwLock::new(Arc::new(current)),
            looked: Mutex::new(looked),
        })
    }

    pub(super) fn current(&self) -> Arc<Current> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether the files hold something new; then it counts from now on. `again`: they are read even where they look
    /// unchanged. What cannot be read or used is told once and changes nothing.
    pub(super) async fn look(self: &Arc<Self>, again: bool) -> bool {
        let now = Instant::now();
        let due = {
            let mut looked = self.looked();
            let due = !looked.stamps.is_empty() && (again || now >= looked.next);
            if due {
                looked.next = now + LOOK_EVERY;
            }
            due
        };
        let session = Arc::clone(self);
        due && tasks::blocking(move || session.read(again)).await
    }

    /// Ends once the files hold something new; never where there is no file.
    pub(super) async fn renewed(self: &Arc<Self>) {
        if self.looked().stamps.is_empty() {
            return std::future::pending().await;
        }
        loop {
            let next = self.looked().next;
            sleep_until(next).await;
            if self.look(false).await {
                return;
            }
        }
    }

    fn read(&self, again: bool) -> bool {
        // Before the files themselves: a change in between is seen the next time.
        let stamps = Stamps::of(&self.config);
        let changed = {
            let mut looked = self.looked();
            std::mem::replace(&mut looked.stamps, stamps.clone()) != stamps
        };
        if !changed && !again {
            return false;
        }
        let renewed = Access::read(&self.config).and_then(|access| {
            if access == *self.current().access {
                return Ok(None);
            }
            Current::new(&self.config, &self.hosts, access).map(Some)
        });
        match renewed {
            Ok(Some(renewed)) => {
                let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
                *current = Arc::new(renewed);
                info!("elasticsearch credentials or certificates were read again from their files");
                true
            }
            Ok(None) => false,
            Err(error) => {
                if changed {
                    let error = format!("{error:#}");
                    warn!(
                        error,
                        "elasticsearch credentials and certificates stay as they were"
                    );
                }
                false
            }
        }
    }

    fn looked(&self) -> MutexGuard<'_, Looked> {
        self.looked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Current {
    fn new(config: &config::Elasticsearch, hosts: &[Url], access: Access) -> anyhow::Result<Self> {
        let access = Arc::new(access);
        let connect = |host| Connection::new(host, Arc::clone(&access), config.ca_fingerprint);
        let connections = hosts.iter().map(connect).collect::<anyhow::Result<_>>()?;
        Ok(Self {
            access,
            connections,
        })
    }
}
