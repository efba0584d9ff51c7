//! Dead letters: what Elasticsearch refused for good, with the reason, until somebody replays or purges it.

use chrono::{DateTime, Utc};
use redb::{ReadableTable, Table};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::sealed::{self, Table::DeadLetters as DEAD_LETTERS};
use super::totals::Totals;
use super::{Dropped, Record};

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DeadLetter {
    /// When it was refused.
    #[serde(rename = "@timestamp")]
    pub at: DateTime<Utc>,
    /// Elasticsearch's status for the item or the request; absent where the agent itself gave up on it.
    pub status: Option<u16>,
    /// `document_parsing_exception`, `too_large`, …
    pub kind: String,
    pub reason: String,
    /// `spool`, or the file it came from.
    pub origin: String,
    pub index: String,
    pub id: String,
    pub document: Box<RawValue>,
}

impl DeadLetter {
    /// Why it is dead is set by the caller, field by field.
    pub fn of(record: &Record, at: DateTime<Utc>, origin: &str) -> Self {
        let text = String::from_utf8_lossy(record.document()).into_owned();
        // A document that is not JSON may be why it was refused: kept as the text it is.
        let document = RawValue::from_string(text.clone())
            .or_else(|_| serde_json::value::to_raw_value(&text))
            .unwrap_or_else(|_| RawValue::NULL.to_owned());
        Self {
            at,
            status: None,
            kind: String::new(),
            reason: String::new(),
            origin: origin.to_owned(),
            index: record.index().to_owned(),
            id: record.id().to_owned(),
            document,
        }
    }

    /// As it was before it was refused.
    pub fn to_record(&self, taken_at_ms: u64) -> Record {
        Record::new(taken_at_ms, &self.index, &self.id, |out| {
            out.extend_from_slice(self.document.get().as_bytes());
        })
    }
}

type Dead<'txn> = Table<'txn, u64, &'static [u8]>;

pub(super) fn append(
    table: &mut Dead<'_>,
    letters: &[DeadLetter],
    limit: u64,
    totals: &mut Totals,
    drops: &mut Vec<Dropped>,
) -> anyhow::Result<()> {
    let mut sealed = Vec::new();
    for letter in letters {
        let bytes = serde_json::to_vec(letter)?;
        let key = table.last()?.map_or(0, |(key, _)| key.value() + 1);
        let value = sealed::seal(DEAD_LETTERS, &key.to_le_bytes(), &bytes, &mut sealed);
        table.insert(key, value)?;
        totals.dead_letters_mut().add(bytes.len());
        while totals.dead_letters().bytes > limit {
            let Some((key, oldest)) = table.pop_first()? else {
                break;
            };
            let stored = oldest.value();
            totals
                .dead_letters_mut()
                .subtract(sealed::value_len(stored));
            let dropped = read(key.value(), stored);
            let dataset =
                dropped.and_then(|letter| Some(letter.index.split('-').nth(1)?.to_owned()));
            drops.push(Dropped {
                reason: "dead_letters_full",
                dataset: dataset.unwrap_or_else(|| "unreadable".into()),
            });
        }
    }
    Ok(())
}

pub(super) fn remove(
    table: &mut Dead<'_>,
    keys: &[u64],
    totals: &mut Totals,
) -> anyhow::Result<()> {
    for key in keys {
        if let Some(letter) = table.remove(key)? {
            totals
                .dead_letters_mut()
                .subtract(sealed::value_len(letter.value()));
        }
    }
    Ok(())
}

/// `None` for what is damaged.
pub(super) fn read(key: u64, stored: &[u8]) -> Option<DeadLetter> {
    let value = sealed::open(DEAD_LETTERS, &key.to_le_bytes(), stored)?;
    serde_json::from_slice(value).ok()
}
