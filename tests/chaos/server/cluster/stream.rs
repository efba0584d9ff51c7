//! A data stream: backing indices, of which the last is written to and alone knows whether an id is there. Pure.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde_json::{Map, Value, json};

use super::error::Error;
use super::mapping::Mapping;

pub(crate) struct Stream {
    mapping: Mapping,
    backing: Vec<Backing>,
    /// Where each message is, as often as it was stored.
    messages: HashMap<String, Vec<Place>>,
    failures: u64,
}

struct Backing {
    name: String,
    created_ms: i64,
    /// Sequence numbers by id.
    ids: BTreeMap<String, u64>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// Which backing index.
    pub(crate) generation: usize,
    pub(crate) id: String,
    /// Stored when the client had given up waiting.
    pub(crate) is_late: bool,
    /// Somebody had been told before that it is not there.
    pub(crate) was_missed: bool,
    /// Where the agent says it read it, and when.
    pub(crate) origin: String,
}

impl Stream {
    pub(super) fn new(name: &str, mapping: Mapping, now_ms: i64) -> Self {
        let mut stream = Self {
            mapping: Mapping::default(),
            backing: Vec::new(),
            messages: HashMap::new(),
            failures: 0,
        };
        stream.roll_over(name, mapping, now_ms);
        stream
    }

    pub(super) fn roll_over(&mut self, name: &str, mapping: Mapping, now_ms: i64) {
        let number = self.backing.len() + 1;
        self.mapping = mapping;
        self.backing.push(Backing {
            name: format!(".ds-{name}-2026.11.21-{number:06}"),
            created_ms: now_ms,
            ids: BTreeMap::new(),
        });
    }

    /// The backing index that is written to.
    pub(crate) fn written_to(&self) -> &str {
        self.backing.last().map_or("", |backing| &backing.name)
    }

    /// The document is looked at first: a bad one is refused even where its id is taken.
    pub(super) fn create(
        &mut self,
        id: &str,
        source: &[u8],
        is_late: bool,
        was_missed: bool,
    ) -> Result<Value, Error> {
        let document = self.mapping.judge(source)?;
        let generation = self.backing.len() - 1;
        let backing = &mut self.backing[generation];
        if backing.ids.contains_key(id) {
            let reason =
                format!("[{id}]: version conflict, document already exists (current version [1])");
            return Err(Error::new(409, "version_conflict_engine_exception", reason));
        }
        let sequence = backing.ids.len() as u64;
        backing.ids.insert(id.to_owned(), sequence);
        if let Some(Value::String(message)) = document.get("message") {
            let place = Place {
                generation,
                id: id.to_owned(),
                is_late,
                was_missed,
                origin: origin(&document),
            };
            self.messages
                .entry(message.clone())
                .or_default()
                .push(place);
        }
        Ok(json!({
            "_index": backing.name, "_id": id, "_version": 1, "result": "created",
            "_shards": {"total": 1, "successful": 1, "failed": 0},
            "_seq_no": sequence, "_primary_term": 1, "status": 201
        }))
    }

    /// As documented, not recorded: the server that the tests have lacks the module.
    pub(super) fn keep_failure(&mut self, name: &str, id: &str) -> Value {
        self.failures += 1;
        json!({
            "_index": format!(".fs-{name}-2026.11.21-000001"), "_id": id, "_version": 1,
            "result": "created", "failure_store": "used", "status": 201
        })
    }

    /// Names and times of making, oldest first.
    pub(super) fn backing_indices(&self) -> impl Iterator<Item = (&str, i64)> {
        let indices = self.backing.iter();
        indices.map(|backing| (backing.name.as_str(), backing.created_ms))
    }

    /// `None`: it has no such backing index.
    pub(super) fn holds(&self, index: &str, id: &str) -> Option<bool> {
        let backing = self.backing.iter().find(|backing| backing.name == index)?;
        Some(backing.ids.contains_key(id))
    }

    pub(crate) fn failures(&self) -> u64 {
        self.failures
    }

    /// How many there are with this message, one that is in several backing indices counted once.
    pub(crate) fn documents(&self, message: &str) -> usize {
        match self.messages.get(message).map(Vec::as_slice) {
            None => 0,
            Some([_]) => 1,
            Some(places) => {
                let ids: HashSet<&str> = places.iter().map(|place| place.id.as_str()).collect();
                ids.len()
            }
        }
    }

    /// Every message with the places it is stored at.
    pub(crate) fn messages(&self) -> &HashMap<String, Vec<Place>> {
        &self.messages
    }
}

fn origin(document: &Map<String, Value>) -> String {
    let field = |dotted: &str| {
        let mut value = document.get(dotted);
        if value.is_none() {
            let mut parts = dotted.split('.');
            value = parts.next().and_then(|part| document.get(part));
            for part in parts {
                value = value.and_then(|value| value.get(part));
            }
        }
        value.cloned().unwrap_or_default()
    };
    format!(
        "{} at {}, {}",
        field("log.file.path"),
        field("log.offset"),
        field("event.created")
    )
}
