//! Whose log it is, by how its records begin: for `client = "auto"`.

use super::client::Client;
use super::text::ansi;
use super::{
    grandine, lighthouse, lodestar, log4j, nethermind, nimbus, prysm, reth, terminal, transport,
};

/// The client that a single record looks like.
pub(super) fn client_of(record: &str) -> Option<Client> {
    vote(record).map(|(client, _)| client)
}

fn vote(record: &str) -> Option<(Client, u32)> {
    let line = record.lines().next()?;
    shape(line).or_else(|| shape(transport::payload(line)?))
}

/// Only one client writes this; more than one do, this one most likely.
const SURE: u32 = 10;
const LIKELY: u32 = 1;

type BeginsRecord = fn(&str) -> bool;

fn shape(line: &str) -> Option<(Client, u32)> {
    match line.as_bytes().first()? {
        b'{' => return json(line),
        b'[' if prysm::begins_record(line) && line.as_bytes().get(11) == Some(&b' ') => {
            return Some((Client::Prysm, SURE));
        }
        b'[' if grandine::begins_record(line) => return Some((Client::Grandine, SURE)),
        b't' if line.starts_with("time=\"") && line.contains(" level=") => {
            return Some((Client::Prysm, SURE));
        }
        b't' if line.starts_with("t=") && line.contains(" lvl=") => {
            return Some((Client::Geth, LIKELY));
        }
        b't' if line.starts_with("ts=") && line.contains(" target=") => {
            return Some((Client::Reth, SURE));
        }
        _ => {}
    }
    if let Some(prefix) = terminal::prefix(line) {
        // Geth pads levels to five letters; Erigon does not any more, or brackets them. Only it has stages.
        let is_padded = line.as_bytes().get(5) == Some(&b'[');
        return Some(match is_padded {
            _ if has_stage(prefix.text) => (Client::Erigon, SURE),
            true => (Client::Geth, LIKELY),
            false => (Client::Erigon, LIKELY),
        });
    }
    if log4j::begins_record(line) {
        return Some(log4j_client(line));
    }
    let others: [(Client, BeginsRecord); 5] = [
        (Client::Nimbus, nimbus::begins_record),
        (Client::Lodestar, lodestar::begins_record),
        (Client::Lighthouse, lighthouse::begins_record),
        (Client::Nethermind, nethermind::begins_record),
        (Client::Reth, reth::begins_record),
    ];
    let found = others
        .into_iter()
        .find(|(_, begins_record)| begins_record(line))?;
    // A line without a time, as Lighthouse may write it, says little.
    let has_digit = line.bytes().take(12).any(|byte| byte.is_ascii_digit());
    Some((found.0, if has_digit { SURE } else { LIKELY }))
}

/// ` [2/15 Headers] …`
fn has_stage(text: &str) -> bool {
    let stage = text.trim_start().strip_prefix('[');
    stage.is_some_and(|stage| {
        let rest = stage.trim_start_matches(|c: char| c.is_ascii_digit());
        rest.len() < stage.len() && rest.starts_with('/')
    })
}

/// Teku and Besu have one layout: threads and classes have other names.
fn log4j_client(line: &str) -> (Client, u32) {
    let has_any = |words: &[&str]| words.iter().any(|word| line.contains(word));
    if !line.contains(" | ") || has_any(&[" | teku-", "***", "-async-", "tech.pegasys"]) {
        (Client::Teku, SURE)
    } else if has_any(&[
        "| EthScheduler-",
        "| AbstractEngine",
        "| Besu |",
        "org.hyperledger",
    ]) {
        (Client::Besu, SURE)
    } else {
        (Client::Besu, LIKELY)
    }
}

/// By the names of the keys, or their order.
fn json(line: &str) -> Option<(Client, u32)> {
    let has = |key: &str| line.contains(key);
    let is_before = |first: &str, second: &str| line.find(first) < line.find(second);
    Some(match () {
        () if has("Nethermind.") && has("essage\":") => (Client::Nethermind, SURE),
        () if has("\"lvl\":") && has("\"ts\":") => (Client::Nimbus, SURE),
        () if line.starts_with("{\"t\":") && has("\"lvl\":") => (Client::Geth, SURE),
        () if has("\"lvl\":") && has("\"t\":") => (Client::Erigon, SURE),
        () if has("\"fields\":{") && has("\"target\":\"lighthouse") => (Client::Lighthouse, SURE),
        () if has("\"fields\":{") => (Client::Reth, LIKELY),
        () if has("\"module\":") && has("\"timestamp\":") && has("\"message\":") => {
            (Client::Lodestar, SURE)
        }
        () if has("\"msg\":") && has("\"ts\":") && has("\"level\":") => (Client::Lighthouse, SURE),
        // Logrus sorts its keys, the library that Geth has does not.
        () if has("\"msg\":") && has("\"time\":") && has("\"level\":") => {
            match is_before("\"msg\":", "\"time\":") {
                true => (Client::Prysm, SURE),
                false => (Client::Geth, LIKELY),
            }
        }
        () if has("\"severity\":") && has("\"message\":") => (Client::Prysm, LIKELY),
        () if has("tech.pegasys.teku") || has("teku-") => (Client::Teku, SURE),
        () if has("\"class\":") && has("\"message\":") => (Client::Besu, LIKELY),
        () => return None,
    })
}

/// Decides by the lines of a log whose it is, and remembers.
#[derive(Debug, Clone)]
pub(super) struct Recogniser {
    /// The best guess so far; [`Client::Auto`] before any.
    client: Client,
    votes: [u32; Client::ALL.len()],
    is_auto: bool,
    is_decided: bool,
    /// Records in a row that are not in the client's format.
    strangers: u32,
}

/// So many records in another format, and nothing else between them, are another client's.
const MAX_STRANGERS: u32 = 100;

impl Recogniser {
    /// `known` is what was found out earlier. It counts only where the configuration leaves the client open.
    pub(super) fn new(configured: Client, known: Option<Client>) -> Self {
        let is_auto = configured == Client::Auto;
        let client = known.filter(|_| is_auto).unwrap_or(configured);
        Self {
            client,
            votes: [0; Client::ALL.len()],
            is_auto,
            is_decided: client != Client::Auto,
            strangers: 0,
        }
    }

    /// Looks at a line while it is not sure. Whether the answer is another one now.
    pub(super) fn look_at(&mut self, line: &str) -> bool {
        if self.is_decided {
            return false;
        }
        let Some((client, weight)) = vote(&ansi::strip(line)) else {
            return false;
        };
        self.votes[client as usize] += weight;
        let votes = |client: Client| self.votes[client as usize];
        let is_other = votes(client) > votes(self.client);
        // Whoever has so many votes first, leads.
        self.is_decided = votes(client) >= SURE;
        if is_other {
            self.client = client;
        }
        is_other
    }

    /// Learns whether a record was in the client's format: a log may become another client's.
    pub(super) fn confirm(&mut self, is_known: bool) {
        if is_known || !self.is_auto || !self.is_decided {
            self.strangers = 0;
            return;
        }
        self.strangers += 1;
        if self.strangers >= MAX_STRANGERS {
            *self = Self {
                client: self.client,
                ..Self::new(Client::Auto, None)
            };
        }
    }

    /// Whose records these are, as far as is known.
    pub(super) fn client(&self) -> Client {
        self.client
    }

    /// What is worth remembering.
    pub(super) fn found(&self) -> Option<Client> {
        (self.is_auto && self.is_decided).then_some(self.client)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_client_by_one_of_its_lines() {
        for (line, client) in [
            (
                "Mar 14 21:40:11.006 INFO Syncing    est_time: --",
                Client::Lighthouse,
            ),
            (
                "time=\"2026-03-14 21:40:14\" level=info msg=\"Synced new block\"",
                Client::Prysm,
            ),
            ("[2026-03-14 21:40:14]  INFO p2p: Connected", Client::Prysm),
            ("21:40:15.000 INFO  - Slot Event  *** Slot: 1", Client::Teku),
            (
                "2026-03-14 21:40:15.000+00:00 | t | INFO  | teku-event-log | Slot Event",
                Client::Teku,
            ),
            (
                "INF 2026-03-14 21:40:11.001+00:00 Slot start  slot=1",
                Client::Nimbus,
            ),
            (
                "Nov-21 09:12:57.113[chain]         verbose: New chain head",
                Client::Lodestar,
            ),
            (
                "[2026-03-14T21:40:13.100Z]  INFO a::b:2: imported",
                Client::Grandine,
            ),
            ("INFO [12-04|22:40:27.798] Imported", Client::Geth),
            ("14 Mar 21:40:13 | Received New Block:", Client::Nethermind),
            (
                "2023-04-19 23:58:23.6411|INFO|119|Syncing",
                Client::Nethermind,
            ),
            (
                "2026-03-14 21:40:13.600+00:00 | t | INFO  | C | Imported",
                Client::Besu,
            ),
            (
                "[INFO] [03-14|21:40:11.694] [2/15 Headers] Handling",
                Client::Erigon,
            ),
            ("INFO[02-03|02:08:39.225] P2P   app=caplin", Client::Erigon),
            (
                "2026-03-14T21:40:11.196065Z  INFO reth::cli: Status",
                Client::Reth,
            ),
            ("geth-1  | WARN [03-27|20:26:16.368] Beacon", Client::Geth),
            (
                r#"{"t":"2026-11-21T09:43:16Z","lvl":"info","msg":"x"}"#,
                Client::Geth,
            ),
            (
                r#"{"lvl":"INF","ts":"2026-06-22 15:59:28.995+00:00","msg":"x"}"#,
                Client::Nimbus,
            ),
        ] {
            assert_eq!(recognise([line]), client, "{line}");
        }
        assert_eq!(recognise(["hello", "", "{\"a\":1}"]), Client::Auto);
    }

    #[test]
    fn what_only_one_client_writes_decides_at_once() {
        let shared = "INFO[02-03|02:08:39.225] P2P   app=caplin";
        let sure = "[INFO] [03-14|21:40:11.694] [2/15 Headers] Handling";
        let geth = "INFO [12-04|22:40:27.798] Imported";
        assert_eq!(recognise([geth, geth, sure]), Client::Erigon);
        assert_eq!(recognise([shared, geth, geth]), Client::Geth);
        let mut recogniser = Recogniser::new(Client::Auto, None);
        recogniser.look_at(geth);
        assert_eq!(recogniser.found(), None, "others write such lines too");
        for _ in 0..SURE {
            recogniser.look_at(geth);
        }
        assert_eq!(recogniser.found(), Some(Client::Geth));
        assert!(!recogniser.look_at(sure), "it is decided");
    }

    #[test]
    fn what_is_configured_or_known_needs_no_lines() {
        let line = "INFO [12-04|22:40:27.798] Imported";
        let mut named = Recogniser::new(Client::Teku, Some(Client::Geth));
        assert!(!named.look_at(line));
        assert_eq!((named.client(), named.found()), (Client::Teku, None));
        let known = Recogniser::new(Client::Auto, Some(Client::Geth));
        assert_eq!(known.found(), Some(Client::Geth));
    }

    #[test]
    fn a_log_may_become_another_clients() {
        let line = "INF 2026-03-14 21:40:11.001+00:00 Slot start";
        let mut recogniser = Recogniser::new(Client::Auto, Some(Client::Geth));
        for _ in 1..MAX_STRANGERS {
            recogniser.confirm(false);
        }
        assert!(!recogniser.look_at(line));
        recogniser.confirm(true);
        for _ in 0..MAX_STRANGERS {
            recogniser.confirm(false);
        }
        assert_eq!(recogniser.client(), Client::Geth, "until one knows better");
        assert!(recogniser.look_at(line));
        assert_eq!(recogniser.found(), Some(Client::Nimbus));
    }

    fn recognise<'a>(lines: impl IntoIterator<Item = &'a str>) -> Client {
        let mut recogniser = Recogniser::new(Client::Auto, None);
        for line in lines {
            recogniser.look_at(line);
        }
        recogniser.client()
    }
}
