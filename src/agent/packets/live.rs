//! An interface, followed until it is told to stop. Never waits for anybody but the kernel.

use std::time::Duration;

use anyhow::Context;
use pcap::{Active, Capture, Precision};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::analyzer::Analyzer;
use super::capture::{BATCH, BURST, frame, link};
use super::decode::Link;
use super::filter;
use crate::event::Event;
use crate::{config, slot};

pub(super) struct Live {
    pub(super) name: String,
    link: Link,
    capture: Capture<Active>,
    /// Snapshot length, buffer and promiscuity, which cannot be changed any more.
    opened_with: (u32, u32, bool),
    seen: KernelCounts,
}

/// The kernel's counters begin at the opening and wrap.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct KernelCounts {
    dropped: u32,
    interface_dropped: u32,
}

const READ_TIMEOUT_MS: i32 = 100;
/// After a failed read: the interface is down and may come up again.
const RETRY: Duration = Duration::from_secs(1);

pub(super) fn open(name: &str, config: &config::Packets) -> anyhow::Result<Live> {
    let number = |value: u32| i32::try_from(value).unwrap_or(i32::MAX);
    let capture = Capture::from_device(name)?
        .promisc(config.promiscuous)
        .snaplen(number(config.snaplen))
        .buffer_size(number(config.buffer_bytes))
        .timeout(READ_TIMEOUT_MS)
        .precision(Precision::Nano)
        .open()
        .context("it cannot be opened (this needs CAP_NET_RAW)")?
        // The library would wait for a packet without end; we wait ourselves.
        .setnonblock()?;
    let mut live = Live {
        name: name.to_owned(),
        link: link(&capture)?,
        capture,
        opened_with: settings(config),
        seen: KernelCounts::default(),
    };
    live.prepare(config)?;
    Ok(live)
}

fn settings(config: &config::Packets) -> (u32, u32, bool) {
    (config.snaplen, config.buffer_bytes, config.promiscuous)
}

impl Live {
    /// Sets the filter, which needs no privilege.
    pub(super) fn prepare(&mut self, config: &config::Packets) -> anyhow::Result<()> {
        if settings(config) != self.opened_with {
            warn!(
                interface = self.name,
                "snaplen, buffer_bytes and promiscuous stay as they were when the agent started"
            );
        }
        let filter = filter::filter(config);
        let tagged = match filter.as_str() {
            "" => String::new(),
            filter => filter::with_vlans(filter),
        };
        self.capture
            .filter(&tagged, true)
            .or_else(|_| self.capture.filter(&filter, true))
            .with_context(|| format!("the filter is not understood: {filter}"))
    }

    /// Reads until `stop`, on the thread of the caller.
    pub(super) fn follow(
        mut self,
        analyzer: &mut Analyzer,
        events: &mpsc::Sender<Vec<Event>>,
        stop: &CancellationToken,
        report: impl Fn(&Analyzer),
    ) -> Self {
        info!(interface = self.name, "capturing");
        let (mut out, link) = (Vec::new(), self.link);
        let mut is_well = true;
        let mut reported_at = 0;
        while !stop.is_cancelled() {
            let read = self.capture.dispatch(Some(BURST), |packet| {
                frame(analyzer, link, &packet, &mut out);
                hand_over(analyzer, events, &mut out, BATCH);
            });
            match read {
                Ok(0) => {
                    self.wait();
                    analyzer.advance(now(), &mut out);
                }
                Ok(_) => {}
                Err(ref error) => {
                    analyzer.stats_mut().read_failures += 1;
                    if std::mem::take(&mut is_well) {
                        warn!(interface = self.name, %error, "cannot capture, trying on");
                    }
                    analyzer.advance(now(), &mut out);
                    std::thread::sleep(RETRY);
                }
            }
            is_well |= read.is_ok();
            hand_over(analyzer, events, &mut out, 1);
            let second = now() / 1_000_000_000;
            if second != reported_at {
                reported_at = second;
                self.count(analyzer);
                report(analyzer);
            }
        }
        self.count(analyzer);
        // No packet waits any more: now the documents may.
        let mut has_more = true;
        while has_more {
            has_more = analyzer.finish(&mut out);
            let batch = std::mem::take(&mut out);
            let number = batch.len() as u64;
            if events.blocking_send(batch).is_err() {
                analyzer.stats_mut().events_dropped += number;
            }
        }
        report(analyzer);
        self
    }

    /// What the kernel dropped since the last time.
    fn count(&mut self, analyzer: &mut Analyzer) {
        let Ok(counted) = self.capture.stats() else {
            return;
        };
        let now = KernelCounts {
            dropped: counted.dropped,
            interface_dropped: counted.if_dropped,
        };
        let before = std::mem::replace(&mut self.seen, now);
        let stats = analyzer.stats_mut();
        stats.kernel_dropped += u64::from(now.dropped.wrapping_sub(before.dropped));
        let interface = now.interface_dropped.wrapping_sub(before.interface_dropped);
        stats.interface_dropped += u64::from(interface);
    }

    fn wait(&self) {
        let mut readable = [PollFd::new(&self.capture, PollFlags::IN)];
        let timeout = Timespec {
            tv_sec: 0,
            tv_nsec: i64::from(READ_TIMEOUT_MS) * 1_000_000,
        };
        if poll(&mut readable, Some(&timeout)).is_err() {
            // It shows itself at the next read.
        }
    }
}

/// If nobody takes documents in time they are dropped and counted, not the packets after them.
fn hand_over(
    analyzer: &mut Analyzer,
    events: &mpsc::Sender<Vec<Event>>,
    out: &mut Vec<Event>,
    at_least: usize,
) {
    while out.len() >= at_least && !out.is_empty() {
        let rest = out.split_off(out.len().min(BATCH));
        let batch = std::mem::replace(out, rest);
        let number = batch.len() as u64;
        if events.try_send(batch).is_err() {
            analyzer.stats_mut().events_dropped += number;
        }
    }
}

fn now() -> i64 {
    slot::now().timestamp_nanos_opt().unwrap_or(i64::MAX)
}
