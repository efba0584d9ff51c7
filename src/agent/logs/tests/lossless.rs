//! Whatever stands in a log: no parser panics, every word of it is in the document, and the template takes the document.

use chrono::{DateTime, Utc};
use proptest::prelude::*;

use crate::agent::logs::client::Client;
use crate::agent::logs::lines::{LANES, Lines, Shape};
use crate::agent::logs::record::{Origin, Place, Reading, event};
use crate::agent::logs::text::ansi;
use crate::agent::logs::text::time::Zone;
use crate::config;
use crate::event::IdOf;
use crate::setup::template_accepts;

/// Pieces of which all formats are made, so that every branch of the parsers is entered now and then.
const PIECES: [&str; 75] = [
    "Mar 14 21:40:11.006 ",
    "INFO ",
    "WARN  ",
    "ERRO ",
    "CRIT ",
    "Synced ",
    "  ",
    " ",
    "slot: ",
    "slot=",
    "1234",
    "13,742,440",
    ", ",
    "block: ",
    "0x5ab3924c33f7f232be580c5bf0e30ff4b1321eab5e5773355cad2f5374f94d91",
    "0xb439…d150",
    "7fb0b.....80ce5",
    "error: ",
    "ServerMessage { code: -1, message: \"",
    "\"",
    " }",
    "Some(",
    ")",
    "5.1s",
    "467us953ns",
    "None",
    "time=\"",
    "2026-03-14 21:40:14",
    "\" level=info msg=\"",
    "prefix=",
    "peers=",
    "[",
    "]",
    "2026-03-14T21:40:13.100Z",
    ".600+00:00",
    " | ",
    "|",
    "teku-event-log",
    "Slot Event  *** Slot: ",
    "Late Block Import *** Block: ",
    " Timings: arrival 1379ms, processed +191ms",
    " - ",
    "Reorg Event *** New Head: ",
    "Chain reorg at slot ",
    "INF ",
    "Slot start",
    "head=",
    "finalized=",
    ":",
    "imported beacon block ",
    " (slot: ",
    " peers=[97/100]",
    "INFO [03-14|21:40:11.876] ",
    "[INFO] [03-14|21:40:11.876] ",
    "number=",
    "Chain reorg detected",
    "t=2026-03-14T21:40:13+0000 lvl=info msg=",
    "14 Mar 21:40:13 | ",
    "Processed ",
    " MGas",
    "Peers | all: ",
    "Imported #",
    " / ",
    "Chain Reorganization +3 new / -2 old",
    "\nOld - hash: ",
    "\n",
    "\n\tat x.Y(Z)",
    "{\"",
    "\":",
    "}",
    "\u{1b}[32m",
    "é…🔥",
    "\\\"",
    "%",
    "node1 geth[1]: ",
];

fn any_record() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        8 => prop::sample::select(PIECES.as_slice()).prop_map(|piece| piece.as_bytes().to_vec()),
        1 => "[a-zA-Z0-9 .:=,]{1,12}".prop_map(String::into_bytes),
        1 => prop::collection::vec(any::<u8>(), 1..6),
    ];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

/// Records of JSON whose values are words, some too long or too many to be kept as fields.
fn any_object() -> impl Strategy<Value = String> {
    let key = prop_oneof![
        prop::sample::select(
            [
                "msg", "message", "level", "lvl", "time", "t", "error", "err", "slot", "hash",
                "thread", "stack"
            ]
            .as_slice()
        )
        .prop_map(str::to_owned),
        "[a-z]{1,6}",
    ];
    let value = "[a-z]{1,9}( [a-zA-Z]{3,9}){0,60}";
    prop::collection::vec((key, value), 1..50).prop_map(|fields| {
        let fields = fields
            .into_iter()
            .map(|(key, value)| format!("\"{key}\":\"{value}\""));
        format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
    })
}

/// Cuts and parses as the tailer does, and checks every document.
fn check(client: Client, bytes: &[u8]) -> Result<(), TestCaseError> {
    let at: DateTime<Utc> = "2026-11-21T12:00:00Z".parse().unwrap();
    let reading = Reading {
        at,
        written_at: at,
        zone: Zone::Utc,
    };
    let section = config::Logs {
        client,
        ..config::Logs::default()
    };
    let mut lines = Lines::new(Shape::of(&section), 0, [0; LANES]);
    let mut records = lines.push(bytes);
    records.extend(lines.finish());
    for record in records {
        let parsed = client.parse(&record.text, &reading);
        let place = Place::File {
            ids: &IdOf::new(&["a", "f"]),
            path: "p",
        };
        let origin = Origin {
            agent_id: "a",
            place,
            client,
        };
        let event = event(&record, parsed, origin, &reading);
        prop_assert_eq!(template_accepts(event.stream, &event.document), Ok(()));
        let message = event.document.get_str("message").unwrap();
        prop_assert!(!message.is_empty());
        let has_colour = message.contains('\u{1b}');
        prop_assert!(!has_colour);
        let document = serde_json::to_string(&event.document)
            .unwrap()
            .to_lowercase();
        for word in words(&ansi::strip(&record.text)) {
            prop_assert!(
                document.contains(&word),
                "{word:?} of {:?} is not in {document}",
                record.text
            );
        }
    }
    Ok(())
}

/// Words of at least three letters that are neither a level, a month, nor the name of what has a field of its own.
fn words(text: &str) -> Vec<String> {
    const READ: &str = "mar|info|inf|warn|erro|error|err|crit|time|level|msg|message|lvl|thread|stack|slot|hash|prefix|peers";
    let words = text
        .split(|c: char| !c.is_alphabetic())
        .map(str::to_lowercase);
    words
        .filter(|word| word.len() >= 3 && !READ.split('|').any(|read| read == word))
        .collect()
}

proptest! {
    #[test]
    fn any_bytes(bytes in any_record(), client in prop::sample::select(Client::ALL.as_slice())) {
        check(client, &bytes)?;
    }

    #[test]
    fn any_json(object in any_object(), client in prop::sample::select(Client::ALL.as_slice())) {
        check(client, object.as_bytes())?;
    }
}

#[test]
fn a_time_that_is_none_is_not_lost() {
    for (client, line) in [
        (Client::Prysm, "time=\"teku event\" level=info msg=\"a b\""),
        (Client::Prysm, "time=\"teku-event-log\" level=info msg=\""),
        (Client::Geth, "t=tomorrow lvl=loud msg=\"a b\""),
        (Client::Reth, "ts=tomorrow level=loud msg=\"a b\""),
    ] {
        check(client, line.as_bytes()).unwrap();
    }
}
