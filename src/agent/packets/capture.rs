//! Where frames come from: interfaces and files. All that is not pure is here.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use caps::{CapSet, Capability};
use pcap::{Activated, Active, Capture, Device, Offline, Packet, Precision};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::analyzer::Analyzer;
use super::decode::Link;
use super::filter;
use crate::event::Event;
use crate::{config, slot};

/// Frames from one place.
pub struct Source {
    name: String,
    link: Link,
    kind: Kind,
}

enum Kind {
    Live(Capture<Active>),
    File(Capture<Offline>),
}

/// Opens what the section names, then gives the privilege up, for the whole process: so it must be called while there is
/// one thread, and what it opened cannot be opened again later.
pub fn open(config: Option<&config::Packets>) -> anyhow::Result<Vec<Source>> {
    let Some(config) = config else {
        return Ok(Vec::new());
    };
    let mut sources = Vec::new();
    match &config.file {
        Some(file) => sources.push(open_file(file)?),
        None if config.interfaces.is_empty() => {
            bail!("cannot capture: [packets] names neither interfaces nor a file");
        }
        None => {
            for name in &config.interfaces {
                let source = open_interface(name, config)
                    .with_context(|| format!("cannot capture on {name}"))?;
                sources.push(source);
            }
        }
    }
    drop_privilege().context("cannot drop CAP_NET_RAW")?;
    Ok(sources)
}

pub(super) fn open_file(file: &Path) -> anyhow::Result<Source> {
    let shown = file.display();
    let capture = Capture::from_file_with_precision(file, Precision::Nano)
        .with_context(|| format!("cannot read {shown} as a capture"))?;
    Ok(Source {
        name: file
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned(),
        link: link(&capture)?,
        kind: Kind::File(capture),
    })
}

fn open_interface(name: &str, config: &config::Packets) -> anyhow::Result<Source> {
    let number = |value: u32| i32::try_from(value).unwrap_or(i32::MAX);
    let mut capture = Capture::from_device(name)?
        .promisc(config.promiscuous)
        .snaplen(number(config.snaplen))
        .buffer_size(number(config.buffer_bytes))
        .timeout(READ_TIMEOUT_MS)
        .precision(Precision::Nano)
        .open()
        .context("it cannot be opened (this needs CAP_NET_RAW)")?
        // The library would wait for a packet without end; we wait ourselves.
        .setnonblock()?;
    let filter = filter::filter(config);
    if !filter.is_empty() {
        let tagged = capture.filter(&filter::with_vlans(&filter), true);
        tagged
            .or_else(|_| capture.filter(&filter, true))
            .with_context(|| format!("the filter is not understood: {filter}"))?;
    }
    info!(interface = name, "capturing");
    Ok(Source {
        name: name.to_owned(),
        link: link(&capture)?,
        kind: Kind::Live(capture),
    })
}

fn link<T: Activated>(capture: &Capture<T>) -> anyhow::Result<Link> {
    let number = capture.get_datalink();
    Link::from_number(number.0).with_context(|| format!("link type {} is not known", number.0))
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

/// Addresses of this host, which are inside whatever the networks say.
pub(super) fn own_addresses() -> Vec<std::net::IpAddr> {
    let devices = Device::list().unwrap_or_default();
    let addresses = devices.into_iter().flat_map(|device| device.addresses);
    addresses.map(|address| address.addr).collect()
}

const READ_TIMEOUT_MS: i32 = 100;
/// Packets taken from the kernel between two looks at anything else.
const BURST: usize = 4_096;
/// Documents that travel together.
const BATCH: usize = 256;
/// After a failed read: the interface is down and may come up again.
const RETRY: Duration = Duration::from_secs(1);

impl Source {
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Reads until the file's end or `stop`, on the thread of the caller.
    pub(super) fn follow(
        self,
        analyzer: &mut Analyzer,
        events: &mpsc::Sender<Vec<Event>>,
        stop: &CancellationToken,
        report: impl Fn(&Analyzer),
    ) -> anyhow::Result<()> {
        match self.kind {
            Kind::Live(capture) => {
                follow_live(
                    capture, self.link, &self.name, analyzer, events, stop, report,
                );
                Ok(())
            }
            Kind::File(capture) => follow_file(capture, self.link, analyzer, |batch| {
                // A file waits for whoever takes the documents.
                events.blocking_send(batch).is_ok() && !stop.is_cancelled()
            })
            .map(|()| report(analyzer)),
        }
    }

    /// Reads a whole file; `take` gets documents in batches and returns whether it wants more.
    pub(super) fn read(
        self,
        analyzer: &mut Analyzer,
        take: impl FnMut(Vec<Event>) -> bool,
    ) -> anyhow::Result<()> {
        match self.kind {
            Kind::File(capture) => follow_file(capture, self.link, analyzer, take),
            Kind::Live(_) => bail!("cannot read {} to its end: it is an interface", self.name),
        }
    }
}

fn follow_file(
    mut capture: Capture<Offline>,
    link: Link,
    analyzer: &mut Analyzer,
    mut take: impl FnMut(Vec<Event>) -> bool,
) -> anyhow::Result<()> {
    let mut out = Vec::new();
    loop {
        let read = capture.dispatch(Some(BURST), |packet| {
            frame(analyzer, link, &packet, &mut out);
        });
        // A file that breaks off in the middle of a packet has been read as far as it goes.
        let is_over = !matches!(read, Ok(packets) if packets > 0);
        if is_over {
            analyzer.finish(&mut out);
        }
        while !out.is_empty() {
            let batch = out.split_off(out.len().saturating_sub(BATCH));
            if !take(batch) {
                return Ok(());
            }
        }
        if is_over {
            read.context("cannot read the capture to its end")?;
            return Ok(());
        }
    }
}

fn follow_live(
    mut capture: Capture<Active>,
    link: Link,
    name: &str,
    analyzer: &mut Analyzer,
    events: &mpsc::Sender<Vec<Event>>,
    stop: &CancellationToken,
    report: impl Fn(&Analyzer),
) {
    let mut out = Vec::new();
    let mut is_well = true;
    let mut reported_at = 0;
    while !stop.is_cancelled() {
        let read = capture.dispatch(Some(BURST), |packet| {
            frame(analyzer, link, &packet, &mut out);
            hand_over(analyzer, events, &mut out, BATCH);
        });
        match read {
            Ok(0) => {
                wait(&capture);
                analyzer.advance(now(), &mut out);
            }
            Ok(_) => {}
            Err(ref error) => {
                if std::mem::take(&mut is_well) {
                    warn!(interface = name, %error, "cannot capture, trying on");
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
            if let Ok(counted) = capture.stats() {
                let stats = analyzer.stats_mut();
                stats.kernel_dropped = u64::from(counted.dropped);
                stats.interface_dropped = u64::from(counted.if_dropped);
            }
            report(analyzer);
        }
    }
    analyzer.finish(&mut out);
    hand_over(analyzer, events, &mut out, 1);
    report(analyzer);
}

/// Never waits: if nobody takes documents in time they are dropped and counted, not the packets after them.
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

fn frame(analyzer: &mut Analyzer, link: Link, packet: &Packet<'_>, out: &mut Vec<Event>) {
    let time = packet.header.ts;
    // With the precision asked for, the field of microseconds holds nanoseconds.
    let at = time
        .tv_sec
        .saturating_mul(1_000_000_000)
        .saturating_add(time.tv_usec);
    analyzer.frame(link, at, packet.header.len, packet.data, out);
}

fn wait(capture: &Capture<Active>) {
    let mut readable = [PollFd::new(capture, PollFlags::IN)];
    let timeout = Timespec {
        tv_sec: 0,
        tv_nsec: i64::from(READ_TIMEOUT_MS) * 1_000_000,
    };
    if poll(&mut readable, Some(&timeout)).is_err() {
        // It shows itself at the next read.
    }
}

fn now() -> i64 {
    slot::now().timestamp_nanos_opt().unwrap_or(i64::MAX)
}
