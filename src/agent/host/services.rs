//! Asks systemd about units, by its own program.
//!
//! `systemctl show` is made to be read by programs, finds the way to systemd itself, and works for every user. Its other
//! door, the private socket, opens for root alone, which the agent is not; the bus would take a library of some forty
//! packages, or a marshaller of ours, for what one short process a minute says.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, ensure};
use chrono::{DateTime, Utc};
use tokio::process::Command;
use tokio::time::Instant;
use tracing::{info, warn};

use super::origin::Origin;
use super::sampler::took;
use super::{MetricSet, service};
use crate::config;
use crate::event::Event;

/// Systemd that does not answer within this time is asked again at the next sample.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

pub(super) struct Services {
    origin: Origin,
    hostfs: PathBuf,
    program: PathBuf,
    patterns: Vec<String>,
    trouble: Trouble,
}

/// What was said last, so that it is said once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    None,
    /// The host was started by something else.
    NoSystemd,
    NoAnswer,
}

impl Services {
    pub(super) fn new(config: &config::Host, agent_id: &str) -> Self {
        Self {
            origin: Origin::new(agent_id),
            hostfs: config.hostfs.clone(),
            program: "systemctl".into(),
            patterns: config.services.clone(),
            trouble: Trouble::None,
        }
    }

    #[cfg(test)]
    pub(super) fn with_program(mut self, program: &Path) -> Self {
        self.program = program.to_owned();
        self
    }

    /// One document for each unit that matches; `period` is the time to the next call.
    pub(super) async fn sample(&mut self, at: DateTime<Utc>, period: Duration) -> Vec<Event> {
        // As `sd_booted` decides.
        if self.patterns.is_empty() || !self.hostfs.join("run/systemd/system").is_dir() {
            if self.trouble != Trouble::NoSystemd && !self.patterns.is_empty() {
                info!("this host does not run systemd: there are no metrics of services");
            }
            self.trouble = Trouble::NoSystemd;
            return Vec::new();
        }
        let started = Instant::now();
        let shown = match self.show().await {
            Ok(shown) => shown,
            Err(error) => {
                if self.trouble != Trouble::NoAnswer {
                    warn!(
                        error = format!("{error:#}"),
                        "cannot read the state of services"
                    );
                }
                self.trouble = Trouble::NoAnswer;
                return Vec::new();
            }
        };
        if self.trouble != Trouble::None {
            info!("the state of services is readable again");
        }
        self.trouble = Trouble::None;
        let units = service::parse(&shown);
        let named = units.iter().filter_map(|unit| Some((unit.name()?, unit)));
        let documents = named.map(|(name, unit)| {
            let event = self.origin.event(MetricSet::Service, name, at, period);
            service::document(event, name, unit)
        });
        let mut events: Vec<_> = documents.collect();
        took(&mut events, started);
        events
    }

    async fn show(&self) -> anyhow::Result<String> {
        let mut command = Command::new(&self.program);
        command
            .args(["show", "--no-pager", "--type=service"])
            .arg(format!("--property={}", service::PROPERTIES.join(",")))
            .arg("--")
            .args(&self.patterns)
            // Times as UTC, whatever the host's zone and language.
            .envs([("TZ", "UTC"), ("LC_ALL", "C")])
            .stdin(Stdio::null())
            .kill_on_drop(true);
        if self.hostfs != Path::new("/") {
            let socket = self.hostfs.join("run/dbus/system_bus_socket");
            command.env(
                "DBUS_SYSTEM_BUS_ADDRESS",
                format!("unix:path={}", socket.display()),
            );
        }
        let output = tokio::time::timeout(ANSWER_LIMIT, command.output())
            .await
            .with_context(|| format!("systemctl did not answer in {} s", ANSWER_LIMIT.as_secs()))?
            .with_context(|| format!("cannot run {}", self.program.display()))?;
        let complaint = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success(),
            "systemctl show failed, {}: {}",
            output.status,
            complaint.trim()
        );
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}
