//! The work: log files in which every line has a number of its own.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::Context;
use chrono::{DateTime, TimeDelta, Utc};

/// Stands before the nine digits of a line's number, in every line.
pub(crate) const MARK: &[u8] = b"line=";
pub(crate) const DIGITS: usize = 9;

/// When the first line was written: the same in every run.
const BEGIN: DateTime<Utc> = DateTime::from_timestamp_millis(1_763_716_152_099).expect("a time");

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Any program's log: about 200 bytes, read by the generic parser.
    Plain,
    /// A beacon node's debug log with its colours: read by Lodestar's parser, most lines with typed fields.
    Lodestar,
}

impl Kind {
    /// `client` of the configuration.
    pub(crate) fn client(self) -> &'static str {
        match self {
            Self::Plain => "generic",
            Self::Lodestar => "lodestar",
        }
    }
}

/// Writes `files` files with `lines` lines in all, numbered from 0; returns their bytes.
pub(crate) fn write(dir: &Path, kind: Kind, files: usize, lines: usize) -> anyhow::Result<u64> {
    fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
    let mut bytes = 0;
    for file in 0..files {
        let path = dir.join(format!("{file:05}.log"));
        let opened =
            File::create(&path).with_context(|| format!("cannot create {}", path.display()))?;
        let mut out = BufWriter::new(opened);
        for number in lines * file / files..lines * (file + 1) / files {
            write_line(&mut out, kind, number)?;
        }
        bytes += out.into_inner()?.metadata()?.len();
    }
    Ok(bytes)
}

fn write_line(out: &mut impl Write, kind: Kind, number: usize) -> std::io::Result<()> {
    let at = BEGIN + TimeDelta::milliseconds(number as i64 * 7);
    match kind {
        Kind::Plain => plain(out, number, at),
        Kind::Lodestar => lodestar(out, number, at),
    }
}

fn plain(out: &mut impl Write, number: usize, at: DateTime<Utc>) -> std::io::Result<()> {
    let luck = scatter(number as u64);
    let level = ["DEBUG", "INFO", "INFO", "WARN"][luck as usize % 4];
    writeln!(
        out,
        "{} {level} [http-worker-{}] api request served method=GET path=/eth/v1/beacon/headers/{} \
         status=200 bytes={} took_us={} peer=10.{}.{}.{}:{} agent=\"validator/5.1\" line={number:09}",
        at.format("%Y-%m-%dT%H:%M:%S%.3fZ"),
        luck % 16,
        8_000_000 + number / 50,
        luck % 90_000,
        luck >> 20 & 0xffff,
        luck >> 8 & 0xff,
        luck >> 16 & 0xff,
        luck >> 24 & 0xff,
        1024 + (luck >> 32 & 0xfff),
    )
}

/// What a node writes in a slot, over and over.
fn lodestar(out: &mut impl Write, number: usize, at: DateTime<Utc>) -> std::io::Result<()> {
    const KINDS: usize = 14;
    let slot = 8_000_000 + number / KINDS;
    let root = |seed: usize| Root(scatter((slot + seed) as u64));
    let short = |seed: usize| {
        let luck = scatter((slot + seed) as u64);
        (luck & 0xffff, luck >> 16 & 0xffff)
    };
    let ((a, b), (c, d)) = (short(0), short(1));
    let luck = scatter(number as u64);
    // As JavaScript prints the difference of two floats.
    let seconds = (luck % 4_000_000) as f64 / 1_000_000.0 + 1.192_092_895e-7;
    let peers = 40 + luck % 20;
    write!(out, "{}", at.format("%b-%d %H:%M:%S%.3f"))?;
    match number % KINDS {
        0 => write!(
            out,
            "[chain]         \x1b[36mverbose\x1b[39m: Clock slot slot={slot}"
        ),
        1 => write!(
            out,
            "[network]       \x1b[36mverbose\x1b[39m: Received gossip block slot={slot}, root=0x{a:04x}…{b:04x}, \
             curentSlot={slot}, peerId=16Uiu2HAmPJUC4VHzambyFPmyz3LtnYrvXt2Z3cR4q4QAEBEQSvuE, delaySec={seconds}, recvToVal=0"
        ),
        2 => write!(
            out,
            "[chain]         \x1b[36mverbose\x1b[39m: Verified block signatures slot={slot}, recvToSigVer={seconds}"
        ),
        3 => write!(
            out,
            "[chain]         \x1b[36mverbose\x1b[39m: Verified execution payload slot={slot}, recvToVerifiedExecPayload={seconds}"
        ),
        4 => write!(
            out,
            "[chain]         \x1b[36mverbose\x1b[39m: Transitioned gossip block slot={slot}, recvToTransition={seconds}"
        ),
        5 => write!(
            out,
            "[chain]           \x1b[34mdebug\x1b[39m: Persisted block to hot DB slot={slot}, root=0x{}",
            root(0)
        ),
        6 => write!(
            out,
            "[chain]         \x1b[36mverbose\x1b[39m: Added block to forkchoice slot={slot}, root=0x{}",
            root(0)
        ),
        7 => write!(
            out,
            "[chain]         \x1b[36mverbose\x1b[39m: New chain head slot={slot}, root=0x{}, delaySec={seconds}",
            root(0)
        ),
        8 => write!(
            out,
            "[chain]         \x1b[36mverbose\x1b[39m: Imported block slot={slot}, recvToImportedBlock={seconds}"
        ),
        9 => write!(
            out,
            "[chain]         \x1b[36mverbose\x1b[39m: Block processed slot={slot}, root=0x{}, delaySec={seconds}",
            root(0)
        ),
        10 => write!(
            out,
            "[network]       \x1b[36mverbose\x1b[39m: Publish to topic topic=/eth2/9373b3eb/sync_committee_{}/ssz_snappy, sentPeers={}",
            luck % 4,
            luck % 9
        ),
        11 => write!(
            out,
            "[rest]            \x1b[34mdebug\x1b[39m: Res req-{:x} getBlockHeader - 200",
            luck & 0xffff
        ),
        12 => write!(
            out,
            "[]                 \x1b[32minfo\x1b[39m: Synced - slot: {slot} - head: {slot} 0x{a:04x}…{b:04x} - \
             execution: valid(0x{c:04x}…{d:04x}) - finalized: 0x{c:04x}…{a:04x}:{} - peers: {peers}",
            slot / 32 - 2
        ),
        _ => write!(
            out,
            "[chain]         \x1b[36mverbose\x1b[39m: Running prepareForNextSlot nextEpoch={}, prepareSlot={}, headSlot={slot}, \
             headRoot=0x{}, isEpochTransition=false",
            slot / 32 + 1,
            slot + 1,
            root(0)
        ),
    }?;
    // After a pair the client separates by a comma, after a text by a blank.
    let separator = if matches!(number % KINDS, 11 | 12) {
        " "
    } else {
        ", "
    };
    writeln!(out, "{separator}line={number:09}")
}

/// 32 bytes as hexadecimal.
struct Root(u64);

impl std::fmt::Display for Root {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        (0..4).try_for_each(|part| write!(f, "{:016x}", scatter(self.0 ^ part)))
    }
}

/// Evenly spread and always the same: splitmix64.
pub(crate) fn scatter(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
