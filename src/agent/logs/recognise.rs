//! Whose log it is, by how its records begin: for `client = "auto"`.

use super::client::Client;
use super::text::ansi;
use super::{
    grandine, lighthouse, lodestar, log4j, nethermind, nimbus, prysm, reth, terminal, transport,
};

/// After so many records without an answer the log is some other program's.
pub(super) const MAX_RECORDS: usize = 200;

/// The client whose records most of these look like. Two clients share some forms: what only one of them writes counts
/// more.
pub(super) fn recognise<'a>(records: impl IntoIterator<Item = &'a str>) -> Option<Client> {
    let mut votes = [0_u32; Client::ALL.len()];
    for record in records {
        let record = ansi::strip(record);
        if let Some((client, weight)) = vote(&record) {
            votes[client as usize] += weight;
        }
    }
    let (winner, count) = Client::ALL
        .iter()
        .zip(votes)
        .max_by_key(|(_, votes)| *votes)?;
    (count > 0).then_some(*winner)
}

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
    if terminal::prefix(line).is_some() {
        // Geth pads levels to five letters; Erigon does not, or brackets them.
        let is_padded = line.as_bytes().get(5) == Some(&b'[');
        let client = if is_padded {
            Client::Geth
        } else {
            Client::Erigon
        };
        let is_stage = line.contains("] [") && line.contains('/');
        return Some((client, if is_stage { SURE } else { LIKELY }));
    }
    if log4j::begins_record(line) {
        let is_teku = line.contains(" | teku-") || line.contains("***") || !line.contains(" | ");
        return Some(if is_teku {
            (Client::Teku, SURE)
        } else {
            (Client::Besu, LIKELY)
        });
    }
    let others: [(Client, fn(&str) -> bool); 5] = [
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

/// By the names of the keys, or their order.
fn json(line: &str) -> Option<(Client, u32)> {
    let has = |key: &str| line.contains(key);
    Some(match () {
        () if has("\"lvl\":") && has("\"ts\":") => (Client::Nimbus, SURE),
        () if line.starts_with("{\"t\":") && has("\"lvl\":") => (Client::Geth, SURE),
        () if has("\"lvl\":") && has("\"t\":") => (Client::Erigon, SURE),
        () if has("\"fields\":{") && has("\"target\":\"lighthouse") => (Client::Lighthouse, SURE),
        () if has("\"fields\":{") => (Client::Reth, LIKELY),
        () if has("\"module\":") && has("\"timestamp\":") && has("\"message\":") => {
            (Client::Lodestar, SURE)
        }
        () if has("\"msg\":") && has("\"ts\":") && has("\"level\":") => (Client::Lighthouse, SURE),
        () if has("\"msg\":") && has("\"time\":") && has("\"level\":") => (Client::Prysm, SURE),
        () if has("\"severity\":") && has("\"message\":") => (Client::Prysm, LIKELY),
        () if has("tech.pegasys.teku") || has("teku-") => (Client::Teku, SURE),
        () if has("\"class\":") && has("\"message\":") => (Client::Besu, LIKELY),
        () if has("Nethermind") && has("\"message\":") => (Client::Nethermind, SURE),
        () => return None,
    })
}

/// Decides once for a file and remembers.
#[derive(Debug, Default)]
pub(super) struct Recogniser {
    client: Option<Client>,
    records: usize,
}

impl Recogniser {
    /// Looks at the beginning of a file, then at its records, until the client is known. Whether it became known now.
    pub(super) fn look_at<'a>(&mut self, records: impl IntoIterator<Item = &'a str>) -> bool {
        if self.client.is_some() {
            return false;
        }
        let mut count = 0;
        let records = records.into_iter().inspect(|_| count += 1);
        self.client = recognise(records);
        self.records += count;
        if self.records >= MAX_RECORDS {
            self.client.get_or_insert(Client::Generic);
        }
        self.client.is_some()
    }

    /// The client of a file that is configured as `configured`.
    pub(super) fn client(&self, configured: Client) -> Client {
        match configured {
            Client::Auto => self.client.unwrap_or(Client::Auto),
            named => named,
        }
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
            assert_eq!(recognise([line]), Some(client), "{line}");
        }
        assert_eq!(recognise(["hello", "", "{\"a\":1}"]), None);
    }

    #[test]
    fn the_answer_is_remembered_and_awaited_only_so_long() {
        let line = "INFO [12-04|22:40:27.798] Imported";
        let mut recogniser = Recogniser::default();
        assert!(!recogniser.look_at(["banner"]));
        assert_eq!(recogniser.client(Client::Auto), Client::Auto);
        assert!(recogniser.look_at([line]));
        assert!(!recogniser.look_at(["INF 2026-03-14 21:40:11.001+00:00 Slot start"]));
        assert_eq!(recogniser.client(Client::Auto), Client::Geth);
        assert_eq!(recogniser.client(Client::Teku), Client::Teku);
        let mut recogniser = Recogniser::default();
        assert!(recogniser.look_at(["banner"; MAX_RECORDS]));
        assert_eq!(recogniser.client(Client::Auto), Client::Generic);
    }
}
