//! What an Elasticsearch keeps and answers, without the network and its failures. Pure.
//!
//! Answers were recorded from 9.3.2 and are compared with a real server by the differential test.

mod action;
mod api;
mod error;
mod filter;
mod mapping;
mod stream;

use std::collections::BTreeMap;

use serde_json::{Value, json};

pub(crate) use self::action::{Action, Manner, Op};
pub(crate) use self::api::respond;
pub(crate) use self::error::Error;
use self::error::illegal_argument;
pub(crate) use self::filter::filter;
use self::mapping::Mapping;
pub(crate) use self::stream::{Place, Stream};

#[derive(Default)]
pub(crate) struct Cluster {
    component_templates: BTreeMap<String, Value>,
    index_templates: BTreeMap<String, Value>,
    indices: BTreeMap<String, Value>,
    streams: BTreeMap<String, Stream>,
    generated_ids: u64,
    /// Its clock, in milliseconds since 1970.
    pub(crate) now_ms: i64,
    /// The client of this request has given up waiting for its answer.
    pub(crate) is_late: bool,
    /// Creates of an id that was there: answered 409.
    pub(crate) duplicates: u64,
    /// Documents that do not fit their mapping are kept apart and answered 201, as with a failure store.
    pub(crate) has_failure_store: bool,
}

/// Says of an item that it fails though nothing is wrong with it.
pub(crate) type Trouble<'a> = &'a mut dyn FnMut(&Action<'_>) -> Option<Error>;

impl Cluster {
    /// The answer to a bulk request, or why all of it is refused; then nothing was stored.
    pub(crate) fn bulk(
        &mut self,
        body: &[u8],
        manner: Manner,
        trouble: Trouble,
    ) -> Result<Value, Error> {
        let actions = action::parse(body, manner)?;
        let mut errors = false;
        let mut items = Vec::with_capacity(actions.len());
        for action in &actions {
            let outcome = match trouble(action) {
                Some(error) => self.failed(action, error),
                None => self.carry_out(action),
            };
            errors |= outcome.get("error").is_some();
            items.push(json!({action.op.name(): outcome}));
        }
        Ok(json!({"errors": errors, "took": 1, "items": items}))
    }

    pub(crate) fn stream(&self, name: &str) -> Option<&Stream> {
        self.streams.get(name)
    }

    /// A new backing index, which knows no id. `None`: there is no such stream.
    pub(crate) fn rollover(&mut self, name: &str) -> Option<(String, String)> {
        let mapping = self.mapping_of(name)?;
        let stream = self.streams.get_mut(name)?;
        let old = stream.written_to().to_owned();
        stream.roll_over(name, mapping, self.now_ms);
        Some((old, stream.written_to().to_owned()))
    }

    fn carry_out(&mut self, action: &Action<'_>) -> Value {
        let name = action.index.clone().unwrap_or_default();
        if let Err(error) = self.admit(&name, action) {
            return self.failed(action, error);
        }
        let Some(stream) = self.streams.get_mut(&name) else {
            return Value::Null;
        };
        let id = action.id.clone().unwrap_or_else(|| {
            self.generated_ids += 1;
            format!("generated-{}", self.generated_ids)
        });
        match stream.create(&id, action.source, self.is_late) {
            Ok(answer) => answer,
            Err(error) => {
                self.duplicates += u64::from(error.status == 409);
                if self.has_failure_store && error.status == 400 {
                    return stream.keep_failure(&name, &id);
                }
                let index = stream.written_to();
                json!({"_index": index, "_id": id, "status": error.status, "error": error.to_json()})
            }
        }
    }

    /// What is checked before an item reaches its index; makes the data stream.
    fn admit(&mut self, name: &str, action: &Action<'_>) -> Result<(), Error> {
        if let Some(pipeline) = action.pipeline.as_ref().filter(|name| *name != "_none") {
            let reason = format!("pipeline with id [{pipeline}] does not exist");
            return Err(illegal_argument(reason));
        }
        let only_create = "only write ops with an op_type of create are allowed in data streams";
        if !self.streams.contains_key(name) {
            let Some(mapping) = self.mapping_of(name) else {
                let reason = format!(
                    "no such index [{name}] and the index creation request requires a data stream, but no matching index template with data stream template was found for it"
                );
                return Err(Error::new(404, "index_not_found_exception", reason));
            };
            if action.op == Op::Delete {
                let reason = format!("no such index [{name}]");
                return Err(Error::new(404, "index_not_found_exception", reason));
            }
            self.streams
                .insert(name.to_owned(), Stream::new(name, mapping, self.now_ms));
        }
        if action.op != Op::Create {
            return Err(illegal_argument(only_create));
        }
        if action.has_routing {
            return Err(illegal_argument(format!(
                "index request targeting data stream [{name}] specifies a custom routing but the [allow_custom_routing] setting was not enabled in the data stream's template."
            )));
        }
        match action.id.as_deref() {
            Some("") => Err(illegal_argument("if _id is specified it must not be empty")),
            _ => Ok(()),
        }
    }

    fn failed(&self, action: &Action<'_>, error: Error) -> Value {
        json!({"_index": action.index, "_id": action.id, "status": error.status, "error": error.to_json()})
    }

    /// Composed of the templates; `None` where none of them makes a data stream of this name.
    fn mapping_of(&self, name: &str) -> Option<Mapping> {
        let matches = |template: &&Value| {
            let patterns = template["index_patterns"].as_array().into_iter().flatten();
            let mut prefixes = patterns.filter_map(|pattern| pattern.as_str()?.strip_suffix('*'));
            template.get("data_stream").is_some() && prefixes.any(|prefix| name.starts_with(prefix))
        };
        let template = self
            .index_templates
            .values()
            .filter(matches)
            .max_by_key(|template| template["priority"].as_u64())?;
        let mut mapping = Mapping::default();
        for component in template["composed_of"].as_array().into_iter().flatten() {
            let component = component.as_str()?;
            if let Some(component) = self.component_templates.get(component) {
                mapping.add(&component["template"]["mappings"]);
            }
        }
        mapping.add(&template["template"]["mappings"]);
        Some(mapping)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_store_takes_what_the_mapping_refuses() {
        let template = json!({"index_patterns": ["logs-*"], "data_stream": {}, "template": {"mappings":
            {"dynamic": "strict", "properties": {"@timestamp": {"type": "date"}}}}});
        let mut cluster = Cluster::default();
        cluster.index_templates.insert("t".into(), template);
        let body = b"{\"create\":{\"_index\":\"logs-a\",\"_id\":\"1\"}}\n{\"x\":1}\n";
        let mut status = |has_failure_store| {
            cluster.has_failure_store = has_failure_store;
            let answer = cluster
                .bulk(body, Manner::default(), &mut |_| None)
                .unwrap();
            answer["items"][0]["create"]["status"].clone()
        };
        assert_eq!((status(false), status(true)), (json!(400), json!(201)));
        assert_eq!(cluster.stream("logs-a").unwrap().failures(), 1);
    }
}
