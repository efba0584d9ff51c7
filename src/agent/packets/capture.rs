//! Where frames come from: interfaces (in `live`) and files.

use std::path::{Path, PathBuf};

use anyhow::Context;
use pcap::{Activated, Capture, Offline, Packet, Precision};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::analyzer::Analyzer;
use super::decode::Link;
use super::live::Live;
use crate::event::Event;

/// Frames from one place.
pub(super) enum Source {
    Live(Live),
    File(Replay),
}

pub(super) struct Replay {
    path: PathBuf,
    link: Link,
    capture: Capture<Offline>,
}

/// How following a source ended.
pub(super) enum Ended {
    Stopped(Live),
    /// A file, to its end.
    Read(PathBuf),
    /// A file, before its end: what was open is not reported, so that reading it again makes the same documents.
    CutShort,
}

/// Packets taken between two looks at anything else.
pub(super) const BURST: usize = 512;
/// Documents that travel together.
pub(super) const BATCH: usize = 256;

/// Reads pcap and pcapng.
pub(super) fn open_file(path: &Path) -> anyhow::Result<Source> {
    let shown = path.display();
    let capture = Capture::from_file_with_precision(path, Precision::Nano)
        .with_context(|| format!("cannot read {shown} as a capture"))?;
    Ok(Source::File(Replay {
        path: path.to_owned(),
        link: link(&capture)?,
        capture,
    }))
}

pub(super) fn link<T: Activated + ?Sized>(capture: &Capture<T>) -> anyhow::Result<Link> {
    let number = capture.get_datalink();
    Link::from_number(number.0).with_context(|| format!("link type {} is not known", number.0))
}

impl Source {
    pub(super) fn name(&self) -> String {
        match self {
            Self::Live(live) => live.name.clone(),
            Self::File(replay) => {
                let name = replay.path.file_name().unwrap_or_default();
                name.to_string_lossy().into_owned()
            }
        }
    }

    /// Reads until the file's end or `stop`, on the thread of the caller.
    pub(super) fn follow(
        self,
        analyzer: &mut Analyzer,
        events: &mpsc::Sender<Vec<Event>>,
        stop: &CancellationToken,
        report: impl Fn(&Analyzer),
    ) -> anyhow::Result<Ended> {
        match self {
            Self::Live(live) => {
                let live = live.follow(analyzer, events, stop, report);
                Ok(Ended::Stopped(live))
            }
            Self::File(replay) => {
                let path = replay.path.clone();
                // A file waits for whoever takes the documents.
                let take = |batch| events.blocking_send(batch).is_ok() && !stop.is_cancelled();
                let is_whole = replay.read(analyzer, take)?;
                report(analyzer);
                Ok(match is_whole {
                    true => Ended::Read(path),
                    false => Ended::CutShort,
                })
            }
        }
    }
}

impl Replay {
    /// Reads the whole file; `take` gets documents in batches and returns whether it wants more. `false` where it did not.
    pub(super) fn read(
        mut self,
        analyzer: &mut Analyzer,
        mut take: impl FnMut(Vec<Event>) -> bool,
    ) -> anyhow::Result<bool> {
        let mut out = Vec::new();
        let mut is_whole = |out: &mut Vec<Event>| -> bool {
            while !out.is_empty() {
                let rest = out.split_off(out.len().min(BATCH));
                if !take(std::mem::replace(out, rest)) {
                    return false;
                }
            }
            true
        };
        let link = self.link;
        let read = loop {
            let read = self.capture.dispatch(Some(BURST), |packet| {
                frame(analyzer, link, &packet, &mut out);
            });
            if !is_whole(&mut out) {
                return Ok(false);
            }
            if !matches!(read, Ok(packets) if packets > 0) {
                break read;
            }
        };
        // A file that breaks off in the middle of a packet has been read as far as it goes.
        loop {
            let has_more = analyzer.finish(&mut out);
            if !is_whole(&mut out) {
                return Ok(false);
            }
            if !has_more {
                break;
            }
        }
        let shown = self.path.display();
        read.with_context(|| format!("cannot read {shown} to its end"))?;
        Ok(true)
    }
}

pub(super) fn frame(
    analyzer: &mut Analyzer,
    link: Link,
    packet: &Packet<'_>,
    out: &mut Vec<Event>,
) {
    let time = packet.header.ts;
    // With the precision asked for, the field of microseconds holds nanoseconds.
    let at = time
        .tv_sec
        .saturating_mul(1_000_000_000)
        .saturating_add(time.tv_usec);
    analyzer.frame(link, at, packet.header.len, packet.data, out);
}
