//! How far this machine's clock is off, and how sure that is: by time servers, or else by the kernel. Every arrival is
//! corrected by it.

mod kernel;
mod sntp;

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::event::Document;
use crate::{slot, system};

pub(super) use self::sntp::measure_any;

/// The kernel's account changes while it slews the clock, and costs nothing to read.
const KERNEL_PERIOD: Duration = Duration::from_secs(8);
/// Servers are asked every so many of these.
const SERVERS_EVERY: u32 = 8;
/// A measurement counts no longer once no server has answered for so many questions.
const KEPT_MEASUREMENTS: u32 = 15;
/// Two clocks are not read at once: on a loaded machine some milliseconds lie between.
const LEAST_STEP: TimeDelta = TimeDelta::milliseconds(50);
/// What an old measurement loses per question: a clock that nobody steers goes wrong by 15 ppm (RFC 5905).
const DRIFT_MS: f64 = 15e-6 * KERNEL_PERIOD.as_millis() as f64 * SERVERS_EVERY as f64;

/// What is known of the clock.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Clock {
    /// `None`: not known, and taken as right.
    pub(super) estimate: Option<Estimate>,
    /// The kernel says that something keeps its clock right; `None` where it can't be asked.
    pub(super) is_synchronized: Option<bool>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Estimate {
    /// Local clock minus true time, milliseconds.
    pub(super) offset_ms: f64,
    /// The truth is within so much of it.
    pub(super) uncertainty_ms: f64,
    pub(super) source: Source,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    /// The server of this name.
    Ntp(String),
    Kernel,
}

impl Clock {
    /// By the kernel alone.
    pub(super) fn of_kernel() -> Self {
        let kernel = system::clock::read();
        Self {
            estimate: kernel.and_then(kernel::estimate),
            is_synchronized: kernel.map(|kernel| kernel.is_synchronized),
        }
    }

    /// What arrivals are corrected by.
    pub(super) fn offset_ms(&self) -> f64 {
        let estimate = self.estimate.as_ref();
        estimate.map_or(0.0, |estimate| estimate.offset_ms)
    }

    /// Writes what arrivals were corrected by, and how sure that is, onto a document.
    pub(super) fn stamp(&self, document: &mut Document) {
        document.set_word("ethereum.clock.source", self.source());
        if let Some(estimate) = &self.estimate {
            document.set("ethereum.clock_offset_ms", estimate.offset_ms);
            document.set("ethereum.clock.uncertainty_ms", estimate.uncertainty_ms);
        }
    }

    /// The rest of what is known, for the document about the node.
    pub(super) fn stamp_details(&self, document: &mut Document) {
        document.set_some("ethereum.clock.synchronized", self.is_synchronized);
        if let Some(Source::Ntp(server)) = self.estimate.as_ref().map(|known| &known.source) {
            document.set("ethereum.clock.server", server.clone());
        }
    }

    fn source(&self) -> &'static str {
        match self.estimate.as_ref().map(|estimate| &estimate.source) {
            Some(Source::Ntp(_)) => "ntp",
            Some(Source::Kernel) => "kernel",
            None => "none",
        }
    }
}

impl fmt::Display for Estimate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by = match &self.source {
            Source::Ntp(server) => server,
            Source::Kernel => "the kernel",
        };
        let (offset_ms, uncertainty_ms) = (self.offset_ms, self.uncertainty_ms);
        write!(f, "{offset_ms:+.1} ms ± {uncertainty_ms:.1} ms by {by}")
    }
}

/// Keeps the clock up to date until stopped.
pub(super) async fn run(
    servers: Vec<String>,
    clock: watch::Sender<Clock>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let mut measured = Measured::default();
    let mut last = Moment::now();
    let mut rounds_to_wait = 0;
    let mut is_first = true;
    loop {
        let now = Moment::now();
        if now.is_behind_a_step(&last) {
            info!("the clock was set, its offset is measured anew");
            measured = Measured::default();
            rounds_to_wait = 0;
        }
        last = now;
        if rounds_to_wait == 0 && !servers.is_empty() {
            rounds_to_wait = SERVERS_EVERY;
            let answer = tokio::select! {
                answer = measure_any(&servers) => answer,
                () = stop.cancelled() => return Ok(()),
            };
            measured.take(answer);
        }
        rounds_to_wait = rounds_to_wait.saturating_sub(1);
        let known = measured.over(Clock::of_kernel());
        say_what_changed(&clock.borrow(), &known, std::mem::take(&mut is_first));
        clock.send_replace(known);
        tokio::select! {
            () = tokio::time::sleep(KERNEL_PERIOD) => {}
            () = stop.cancelled() => return Ok(()),
        }
    }
}

/// One moment by two clocks, of which only the first can be set.
#[derive(Debug, Clone, Copy)]
struct Moment {
    wall: DateTime<Utc>,
    steady: Instant,
}

impl Moment {
    fn now() -> Self {
        Self {
            wall: slot::now(),
            steady: Instant::now(),
        }
    }

    /// The wall clock was set since: no older offset is its own. What slews it slews the other one as well.
    fn is_behind_a_step(&self, earlier: &Self) -> bool {
        let steady = TimeDelta::from_std(self.steady - earlier.steady).unwrap_or(TimeDelta::MAX);
        (self.wall - earlier.wall - steady).abs() >= LEAST_STEP
    }
}

/// What the servers said last.
#[derive(Debug, Default)]
struct Measured {
    estimate: Option<Estimate>,
    failures: u32,
}

impl Measured {
    fn take(&mut self, answer: anyhow::Result<Estimate>) {
        match answer {
            Ok(estimate) => {
                self.estimate = Some(estimate);
                self.failures = 0;
            }
            Err(error) => {
                if self.failures == 0 {
                    let error = format!("{error:#}");
                    warn!(error, "no time server answers");
                }
                self.failures = self.failures.saturating_add(1);
                if self.failures > KEPT_MEASUREMENTS {
                    self.estimate = None;
                }
                if let Some(estimate) = &mut self.estimate {
                    estimate.uncertainty_ms += DRIFT_MS;
                }
            }
        }
    }

    /// Servers are asked by our own hand; the kernel repeats what another program told it.
    fn over(&self, kernel: Clock) -> Clock {
        Clock {
            estimate: self.estimate.clone().or(kernel.estimate),
            ..kernel
        }
    }
}

fn say_what_changed(old: &Clock, new: &Clock, is_first: bool) {
    if is_first || old.source() != new.source() {
        match &new.estimate {
            Some(estimate) => info!(
                source = new.source(),
                offset_ms = estimate.offset_ms,
                uncertainty_ms = estimate.uncertainty_ms,
                "clock offset is known"
            ),
            None => warn!(
                "clock offset is not known, the clock is taken as right: name time servers in beacon.ntp_servers"
            ),
        }
    }
    if new.is_synchronized == Some(false) && (is_first || old.is_synchronized != Some(false)) {
        warn!("the kernel says that nothing keeps this machine's clock right");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::clock::KernelClock;

    fn by_server(offset_ms: f64) -> Estimate {
        Estimate {
            offset_ms,
            uncertainty_ms: 1.0,
            source: Source::Ntp("a".into()),
        }
    }

    fn by_kernel(is_synchronized: bool) -> Clock {
        let kernel = KernelClock {
            is_synchronized,
            remaining_ns: 250_000,
            max_error_us: 12_500,
        };
        Clock {
            estimate: kernel::estimate(kernel),
            is_synchronized: Some(is_synchronized),
        }
    }

    fn stamped(clock: &Clock) -> serde_json::Value {
        let mut document = Document::default();
        clock.stamp(&mut document);
        clock.stamp_details(&mut document);
        document.into_value()
    }

    #[test]
    fn a_kernel_that_nobody_steers_says_so_and_not_0() {
        let expected = serde_json::json!({"ethereum": {
            "clock": {"source": "kernel", "uncertainty_ms": 12.5, "synchronized": true},
            "clock_offset_ms": -0.25,
        }});
        assert_eq!(stamped(&by_kernel(true)), expected);
        let expected = serde_json::json!({"ethereum": {
            "clock": {"source": "none", "synchronized": false},
        }});
        assert_eq!(stamped(&by_kernel(false)), expected);
        assert_eq!(by_kernel(false).offset_ms(), 0.0);
    }

    #[test]
    fn a_clock_that_was_set_is_noticed() {
        let before = Moment::now();
        let after = |wall_ms: i64, steady_ms: u64| Moment {
            wall: before.wall + TimeDelta::milliseconds(wall_ms),
            steady: before.steady + Duration::from_millis(steady_ms),
        };
        for (wall_ms, steady_ms, expected) in [
            (8_000, 8_000, false),
            (8_030, 8_000, false),
            (8_100, 8_000, true),
            (-3_600_000, 8_000, true),
        ] {
            let moment = after(wall_ms, steady_ms);
            assert_eq!(moment.is_behind_a_step(&before), expected, "{wall_ms}");
        }
    }

    #[test]
    fn servers_come_before_the_kernel_as_long_as_they_answer() {
        let mut measured = Measured::default();
        let now = |measured: &Measured| measured.over(by_kernel(true));
        measured.take(Err(anyhow::anyhow!("silent")));
        assert_eq!(now(&measured).source(), "kernel");
        measured.take(Ok(by_server(120.0)));
        let clock = now(&measured);
        assert_eq!((clock.source(), clock.offset_ms()), ("ntp", 120.0));
        assert_eq!(stamped(&clock)["ethereum"]["clock"]["server"], "a");
        for _ in 0..KEPT_MEASUREMENTS {
            measured.take(Err(anyhow::anyhow!("silent")));
        }
        let kept = now(&measured).estimate.unwrap();
        assert_eq!(kept.offset_ms, 120.0);
        let grown = 1.0 + f64::from(KEPT_MEASUREMENTS) * DRIFT_MS;
        assert!((kept.uncertainty_ms - grown).abs() < 1e-6, "{kept:?}");
        measured.take(Err(anyhow::anyhow!("silent")));
        assert_eq!(now(&measured).source(), "kernel");
    }
}
