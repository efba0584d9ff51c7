//! What must hold for any bytes a log file may contain. See [`crate::fuzz`].

use chrono::{DateTime, TimeDelta, Utc};

use super::client::Client;
use super::frame::{Framer, Line};
use super::multiline::{Joiner, Joining, Record};
use super::record::{Origin, Place, Reading, event};
use super::text::time::Zone;
use crate::config;
use crate::event::{Event, IdOf};
use crate::fuzz;

/// Bytes of the input that say how it is used: the limit of a line, the client, the places where reads end.
const HEAD: usize = 10;

/// Lines are the same however the bytes come, follow each other without a gap, and cover every byte.
pub fn framing(input: &[u8]) {
    let Some(case) = Case::of(input) else { return };
    let whole = case.lines(&[case.bytes]);
    assert_eq!(case.lines(&case.chunks()), whole, "a split changes lines");
    let mut position = 0;
    for line in &whole {
        assert_eq!(line.offset, position, "a gap before a line");
        // A byte that is no UTF-8 becomes three.
        assert!(
            line.text.len() <= 3 * case.max_line_bytes,
            "a line too long"
        );
        assert!(!line.text.contains('\n'), "a line of two");
        position = line.end;
    }
    // A hole at the end is in no line yet.
    let hole = case.bytes.iter().rev().take_while(|byte| **byte == 0);
    let least = (case.bytes.len() - hole.count()) as u64;
    let most = case.bytes.len() as u64;
    assert!((least..=most).contains(&position), "bytes in no line");
}

/// Records are the same however the bytes come, lie in order, and end where the next begins.
pub fn multiline(input: &[u8]) {
    let Some(case) = Case::of(input) else { return };
    let whole = case.records(&[case.bytes]);
    assert_eq!(
        case.records(&case.chunks()),
        whole,
        "a split changes records"
    );
    let mut position = None;
    for record in &whole {
        assert!(!record.text.trim().is_empty(), "a record of blanks");
        assert!(record.offset < record.end, "a record of nothing");
        assert!(
            position.is_none_or(|position| record.offset == position),
            "a gap before a record"
        );
        position = Some(record.end);
    }
}

/// Every record becomes one document with a message, and is read the same way twice.
pub fn records(input: &[u8]) {
    let Some(case) = Case::of(input) else { return };
    for record in case.records(&[case.bytes]) {
        let event = case.event(&record);
        let message = event.document.get_str("message").unwrap_or_default();
        assert!(
            !message
                .chars()
                .any(|c| c.is_control() && c != '\n' && c != '\t'),
            "control characters in {message:?}"
        );
        assert!(event.document.timestamp().is_some(), "no time");
        let json = serde_json::to_string(&event.document).unwrap_or_default();
        assert!(json.starts_with('{') && !json.contains('\n'), "{json}");
        assert_eq!(
            case.event(&record),
            event,
            "read another way the second time"
        );
    }
}

struct Case<'a> {
    max_line_bytes: usize,
    client: Client,
    cuts: &'a [u8],
    bytes: &'a [u8],
}

impl<'a> Case<'a> {
    fn of(input: &'a [u8]) -> Option<Self> {
        let (head, bytes) = input.split_at_checked(HEAD)?;
        Some(Self {
            // Small limits, where the ends of lines and of characters meet, and one that no line reaches.
            max_line_bytes: if head[0] == u8::MAX {
                1 << 20
            } else {
                usize::from(head[0]) + 1
            },
            client: Client::ALL[usize::from(head[1]) % Client::ALL.len()],
            cuts: &head[2..],
            bytes,
        })
    }

    fn chunks(&self) -> Vec<&'a [u8]> {
        fuzz::chunks(self.bytes, self.cuts)
    }

    fn lines(&self, chunks: &[&[u8]]) -> Vec<Line> {
        let mut framer = Framer::new(0, self.max_line_bytes);
        let mut lines = Vec::new();
        for chunk in chunks {
            framer.push(chunk, |line| lines.push(line));
        }
        lines.extend(framer.finish());
        lines
    }

    fn records(&self, chunks: &[&[u8]]) -> Vec<Record> {
        let joining = Joining::of(&config::Multiline::default(), self.client);
        let mut joiner = Joiner::default();
        let mut records = Vec::new();
        for line in self.lines(chunks) {
            joiner.push(line, &joining, |record| records.push(record));
        }
        records.extend(joiner.flush());
        records
    }

    fn event(&self, record: &Record) -> Event {
        let at = DateTime::<Utc>::UNIX_EPOCH + TimeDelta::days(20_000);
        let reading = Reading {
            at,
            written_at: at - TimeDelta::hours(1),
            zone: Zone::Utc,
        };
        let ids = IdOf::new(&["fuzz", "key"]);
        let origin = Origin {
            agent_id: "fuzz",
            place: Place::File {
                ids: &ids,
                path: "/log",
            },
            client: self.client,
        };
        event(
            record,
            self.client.parse(&record.text, &reading),
            origin,
            &reading,
        )
    }
}
