//! The interfaces that are listened on: opened while the process may, kept over rounds of configuration.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, bail};
use caps::{CapSet, Capability};
use pcap::Device;

use super::capture::{self, Source};
use super::live::{self, Live};
use crate::config;

/// What was opened at the start. A handle: whoever follows an interface takes it and gives it back.
#[derive(Clone, Default)]
pub struct Captures(Arc<Shared>);

#[derive(Default)]
struct Shared {
    opened: BTreeSet<String>,
    /// Those that nobody follows now.
    idle: Mutex<BTreeMap<String, Live>>,
    /// Files that were read to their ends: a new configuration is no reason to read them again.
    read: Mutex<BTreeSet<PathBuf>>,
}

impl Captures {
    /// Opens the interfaces that the section names, then gives the privilege up, for the whole process: so it must be
    /// called while there is one thread, and no other interface can be opened later.
    pub fn open(config: Option<&config::Packets>) -> anyhow::Result<Self> {
        let captures = match config {
            Some(config) => {
                config.check()?;
                Self::open_keeping_privilege(config)?
            }
            None => Self::default(),
        };
        drop_privilege().context("cannot drop CAP_NET_RAW")?;
        Ok(captures)
    }

    /// As [`Captures::open`], for a program that opens more afterwards.
    pub fn open_keeping_privilege(config: &config::Packets) -> anyhow::Result<Self> {
        let mut idle = BTreeMap::new();
        if config.file.is_none() {
            for name in &config.interfaces {
                let opened = live::open(name, config)
                    .with_context(|| format!("cannot capture on {name}"))?;
                idle.insert(name.clone(), opened);
            }
        }
        Ok(Self(Arc::new(Shared {
            opened: idle.keys().cloned().collect(),
            idle: Mutex::new(idle),
            read: Mutex::default(),
        })))
    }

    /// Whether the section can be followed with what is open.
    pub fn check(&self, config: Option<&config::Packets>) -> anyhow::Result<()> {
        let Some(config) = config else { return Ok(()) };
        config.check()?;
        if let Some(file) = &config.file {
            return capture::open_file(file).map(drop);
        }
        let opened = &self.0.opened;
        match config
            .interfaces
            .iter()
            .find(|name| !opened.contains(*name))
        {
            Some(name) => bail!(
                "cannot capture on {name}: it was not opened at the start, and the privilege is given up; start the agent again"
            ),
            None => Ok(()),
        }
    }

    pub(super) fn sources(&self, config: &config::Packets) -> anyhow::Result<Vec<Source>> {
        if let Some(file) = &config.file {
            let is_read = lock(&self.0.read).contains(file);
            let source = (!is_read).then(|| capture::open_file(file)).transpose()?;
            return Ok(source.into_iter().collect());
        }
        let mut idle = lock(&self.0.idle);
        let mut sources = Vec::new();
        for name in &config.interfaces {
            // One that is named twice is followed once.
            if let Some(mut live) = idle.remove(name) {
                live.prepare(config)?;
                sources.push(Source::Live(live));
            }
        }
        Ok(sources)
    }

    pub(super) fn give_back(&self, live: Live) {
        lock(&self.0.idle).insert(live.name.clone(), live);
    }

    pub(super) fn has_read(&self, file: &Path) {
        lock(&self.0.read).insert(file.to_owned());
    }
}

/// Addresses of this host, which are inside whatever the networks say.
pub(super) fn own_addresses() -> Vec<IpAddr> {
    let devices = Device::list().unwrap_or_default();
    let addresses = devices.into_iter().flat_map(|device| device.addresses);
    addresses.map(|address| address.addr).collect()
}

fn drop_privilege() -> anyhow::Result<()> {
    for set in [
        CapSet::Ambient,
        CapSet::Inheritable,
        CapSet::Effective,
        CapSet::Permitted,
    ] {
        if caps::has_cap(None, set, Capability::CAP_NET_RAW)? {
            caps::drop(None, set, Capability::CAP_NET_RAW)?;
        }
    }
    Ok(())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
