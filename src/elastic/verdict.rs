//! The answer to a bulk request: one verdict per item. Pure.
//!
//! A status alone doesn't decide whose fault an error is. Pressure (429, 5xx), rights (401, 403), a missing template (404) and
//! the few 4xx that speak of the cluster's state are retried; only an error that lies in the document itself refuses it.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

/// 4xx errors that no change of the document would cure.
const CLUSTERS_FAULT: [&str; 3] = [
    "validation_exception", // "this action would add [1] shards, but this cluster has maximum …"
    "index_closed_exception",
    "cluster_block_exception",
];

/// Longer reasons are cut: they repeat the document.
pub(super) const LONGEST_REASON: usize = 500;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// In the index. `duplicate`: it was there before (409), which a repeated request is allowed to find.
    Stored { duplicate: bool },
    /// To be sent again under the same id.
    Retry { status: u16, reason: String },
    /// The document itself is at fault and will be refused for ever. `kind` is Elasticsearch's `error.type`.
    Refused {
        status: u16,
        kind: String,
        reason: String,
    },
}

impl Verdict {
    /// A retry that waits for a person (rights, templates, blocks, shard limit), not for less pressure: go slowly and say so.
    pub fn waits_for_operator(&self) -> bool {
        matches!(self, Self::Retry { status, .. } if *status != 429 && *status < 500)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BulkAnswer {
    /// In the order of the items sent.
    pub verdicts: Vec<Verdict>,
    /// Time spent inside Elasticsearch.
    pub took: Duration,
}

/// Reads the answer to a bulk of `expected` creates. `Err` says why it can't be one; then nothing is known about any item.
pub fn parse(body: &[u8], expected: usize) -> Result<BulkAnswer, String> {
    if let Some(answer) = all_created(body, expected) {
        return Ok(answer);
    }
    let answer: Answer<'_> = serde_json::from_slice(body).map_err(|error| {
        format!(
            "not a bulk answer ({error}): {}",
            super::answer::beginning(body)
        )
    })?;
    if answer.items.len() != expected {
        return Err(format!(
            "a bulk answer of {} items to {expected}",
            answer.items.len()
        ));
    }
    let verdicts: Vec<_> = answer
        .items
        .iter()
        .map(|item| judge(&item.create))
        .collect::<Result<_, _>>()?;
    let all_stored = verdicts
        .iter()
        .all(|verdict| *verdict == Verdict::Stored { duplicate: false });
    if all_stored == answer.errors {
        return Err(format!(
            "\"errors\":{} contradicts the items",
            answer.errors
        ));
    }
    Ok(BulkAnswer {
        verdicts,
        took: Duration::from_millis(answer.took),
    })
}

/// The answer that nearly all are, in the words that Elasticsearch has for it; `None` for every other.
fn all_created(body: &[u8], expected: usize) -> Option<BulkAnswer> {
    /// What stands before and behind the milliseconds it took.
    const HEADS: [(&[u8], &[u8]); 2] = [
        (br#"{"errors":false,"took":"#, br#","items":["#),
        (br#"{"took":"#, br#","errors":false,"items":["#),
    ];
    const CREATED: &[u8] = br#"{"create":{"status":201}},"#;
    let (took, items) = HEADS.iter().find_map(|(before, behind)| {
        let rest = body.strip_prefix(*before)?;
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit());
        let (took, rest) = rest.split_at(digits.count());
        Some((took, rest.strip_prefix(*behind)?))
    })?;
    let took = std::str::from_utf8(took).ok()?.parse().ok()?;
    let items = items.strip_suffix(b"]}")?;
    // The last has no comma.
    let mut items = items.chunks(CREATED.len());
    let all_but_one = items.by_ref().take(expected.checked_sub(1)?);
    let are_created = all_but_one.fold(true, |all, item| all & (item == CREATED));
    let is_last = items.next() == CREATED.strip_suffix(b",") && items.next().is_none();
    (are_created && is_last).then(|| BulkAnswer {
        verdicts: vec![Verdict::Stored { duplicate: false }; expected],
        took: Duration::from_millis(took),
    })
}

#[derive(Deserialize)]
struct Answer<'a> {
    took: u64,
    errors: bool,
    #[serde(borrow)]
    items: Vec<Item<'a>>,
}

#[derive(Deserialize)]
struct Item<'a> {
    #[serde(borrow)]
    create: Outcome<'a>,
}

#[derive(Deserialize)]
struct Outcome<'a> {
    status: u16,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

fn judge(outcome: &Outcome<'_>) -> Result<Verdict, String> {
    let status = outcome.status;
    let Some(error) = outcome.error else {
        return match status {
            200..=299 => Ok(Verdict::Stored { duplicate: false }),
            _ => Err(format!("an item with status {status} and no error")),
        };
    };
    let error: Value = serde_json::from_str(error.get()).unwrap_or_default();
    let kind = error
        .get("type")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let reason = || explain(&error).unwrap_or_else(|| "no reason given".into());
    match status {
        409 => Ok(Verdict::Stored { duplicate: true }),
        401 | 403 | 404 | 408 | 429 | 500..=599 => Ok(Verdict::Retry {
            status,
            reason: reason(),
        }),
        400..=499 if CLUSTERS_FAULT.contains(&kind) => Ok(Verdict::Retry {
            status,
            reason: reason(),
        }),
        400..=499 => Ok(Verdict::Refused {
            status,
            kind: kind.to_owned(),
            reason: reason(),
        }),
        _ => Err(format!("an item with status {status} and an error")),
    }
}

/// `type: reason: reason of the cause`, from Elasticsearch's `error` object, or the text it is in a few old places.
pub(super) fn explain(error: &Value) -> Option<String> {
    if let Some(text) = error.as_str() {
        return Some(cut(text));
    }
    let mut parts = vec![error.get("type")?.as_str()?];
    let mut cause = Some(error);
    // The chain is short; the limit is for a hostile answer.
    for _ in 0..5 {
        let Some(level) = cause else { break };
        let reason = level.get("reason").and_then(Value::as_str);
        if let Some(reason) = reason.filter(|reason| !parts.contains(reason)) {
            parts.push(reason);
        }
        cause = level.get("caused_by");
    }
    // Why an API key is refused.
    let why = error.get("additional_unsuccessful_credentials");
    parts.extend(why.and_then(Value::as_str));
    Some(cut(&parts.join(": ")))
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(LONGEST_REASON) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
