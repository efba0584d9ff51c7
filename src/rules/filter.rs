//! Which documents a rule counts: one small filter that is evaluated in memory and rendered for Elasticsearch.
//!
//! ```toml
//! [query]
//! stream = "logs-ethereum.reorg"
//! where = [
//!   { field = "ethereum.reorg.sync_artefact", not = true },
//!   { any = [{ field = "a", gte = 2 }, { field = "b", in = ["x", "y"] }] },
//! ]
//! ```
//! As in Elasticsearch, a field with several values matches if one of them does; `not` holds where none does,
//! a missing field included.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value, json};

use crate::event::{DataStream, Document};

/// The documents of one data stream that match every clause.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Query {
    #[serde(deserialize_with = "stream")]
    pub stream: DataStream,
    #[serde(default, rename = "where")]
    pub clauses: Vec<Clause>,
}

impl Query {
    pub fn matches(&self, document: &Document) -> bool {
        self.clauses.iter().all(|clause| clause.matches(document))
    }

    /// The clauses as the content of `bool.filter`.
    pub fn dsl(&self) -> Vec<Value> {
        self.clauses.iter().map(Clause::dsl).collect()
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "RawClause")]
pub enum Clause {
    Field { field: String, tests: Vec<Test> },
    Any(Vec<Clause>),
}

#[derive(Debug, Clone)]
pub enum Test {
    In(Vec<Scalar>),
    NotIn(Vec<Scalar>),
    Range(Bound, f64),
    Exists(bool),
}

#[derive(Debug, Clone, Copy)]
pub enum Bound {
    Gt,
    Gte,
    Lt,
    Lte,
}

#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(untagged)]
pub enum Scalar {
    Bool(bool),
    Integer(i64),
    Number(f64),
    Text(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawClause {
    field: Option<String>,
    any: Option<Vec<Clause>>,
    is: Option<Scalar>,
    r#in: Option<Vec<Scalar>>,
    not: Option<Scalar>,
    not_in: Option<Vec<Scalar>>,
    gt: Option<f64>,
    gte: Option<f64>,
    lt: Option<f64>,
    lte: Option<f64>,
    exists: Option<bool>,
}

impl TryFrom<RawClause> for Clause {
    type Error = &'static str;

    fn try_from(raw: RawClause) -> Result<Self, Self::Error> {
        let ranges = [
            (Bound::Gt, raw.gt),
            (Bound::Gte, raw.gte),
            (Bound::Lt, raw.lt),
            (Bound::Lte, raw.lte),
        ];
        let range = |(bound, limit): (Bound, Option<f64>)| Some(Test::Range(bound, limit?));
        let tests: Vec<Test> = [
            raw.is.map(|value| Test::In(vec![value])),
            raw.r#in.map(Test::In),
            raw.not.map(|value| Test::NotIn(vec![value])),
            raw.not_in.map(Test::NotIn),
            raw.exists.map(Test::Exists),
        ]
        .into_iter()
        .flatten()
        .chain(ranges.into_iter().filter_map(range))
        .collect();
        match (raw.field, raw.any) {
            (Some(field), None) if !tests.is_empty() => Ok(Self::Field { field, tests }),
            (Some(_), None) => {
                Err("a clause needs a test: is, in, not, not_in, gt, gte, lt, lte or exists")
            }
            (None, Some(any)) if tests.is_empty() && !any.is_empty() => Ok(Self::Any(any)),
            _ => Err("a clause has either a field with tests or a list any = [ … ]"),
        }
    }
}

impl Clause {
    pub(super) fn matches(&self, document: &Document) -> bool {
        match self {
            Self::Any(clauses) => clauses.iter().any(|clause| clause.matches(document)),
            Self::Field { field, tests } => {
                let values = values(document, field);
                tests.iter().all(|test| test.holds(&values))
            }
        }
    }

    fn dsl(&self) -> Value {
        let (field, tests) = match self {
            Self::Any(clauses) => {
                let should: Vec<Value> = clauses.iter().map(Self::dsl).collect();
                return json!({"bool": {"should": should, "minimum_should_match": 1}});
            }
            Self::Field { field, tests } => (field, tests),
        };
        let mut all: Vec<Value> = tests.iter().map(|test| test.dsl(field)).collect();
        match all.len() {
            1 => all.remove(0),
            _ => json!({"bool": {"filter": all}}),
        }
    }
}

impl Test {
    fn holds(&self, values: &[&Value]) -> bool {
        let any_of = |list: &[Scalar]| {
            let equal = |value: &&Value| list.iter().any(|scalar| scalar.equals(value));
            values.iter().any(equal)
        };
        match self {
            Self::In(list) => any_of(list),
            Self::NotIn(list) => !any_of(list),
            Self::Exists(expected) => values.is_empty() != *expected,
            Self::Range(bound, limit) => {
                let mut numbers = values.iter().filter_map(|value| value.as_f64());
                numbers.any(|number| bound.holds(number, *limit))
            }
        }
    }

    fn dsl(&self, field: &str) -> Value {
        let not = |query: Value| json!({"bool": {"must_not": [query]}});
        match self {
            Self::In(list) => json!({"terms": {field: list}}),
            Self::NotIn(list) => not(json!({"terms": {field: list}})),
            Self::Exists(true) => json!({"exists": {"field": field}}),
            Self::Exists(false) => not(json!({"exists": {"field": field}})),
            Self::Range(bound, limit) => json!({"range": {field: {bound.name(): limit}}}),
        }
    }
}

impl Bound {
    fn holds(self, number: f64, limit: f64) -> bool {
        match self {
            Self::Gt => number > limit,
            Self::Gte => number >= limit,
            Self::Lt => number < limit,
            Self::Lte => number <= limit,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Gt => "gt",
            Self::Gte => "gte",
            Self::Lt => "lt",
            Self::Lte => "lte",
        }
    }
}

impl Scalar {
    fn equals(&self, value: &Value) -> bool {
        match self {
            Self::Bool(expected) => value.as_bool() == Some(*expected),
            Self::Integer(expected) => value.as_f64() == Some(*expected as f64),
            Self::Number(expected) => value.as_f64() == Some(*expected),
            Self::Text(expected) => value.as_str() == Some(expected),
        }
    }
}

/// Every value of a field: through arrays of values and arrays of objects, null left out.
pub(super) fn values<'a>(document: &'a Document, path: &str) -> Vec<&'a Value> {
    let mut found = Vec::new();
    match document.get(path) {
        Some(value) => flatten(value, &mut found),
        None => descend(document.as_map(), path, &mut found),
    }
    found
}

fn descend<'a>(object: &'a Map<String, Value>, path: &str, found: &mut Vec<&'a Value>) {
    if let Some(value) = object.get(path) {
        return flatten(value, found);
    }
    for (dot, _) in path.match_indices('.') {
        let objects: Vec<&Value> = match object.get(&path[..dot]) {
            Some(Value::Array(items)) => items.iter().collect(),
            Some(value) => vec![value],
            None => continue,
        };
        for object in objects.into_iter().filter_map(Value::as_object) {
            descend(object, &path[dot + 1..], found);
        }
    }
}

fn flatten<'a>(value: &'a Value, found: &mut Vec<&'a Value>) {
    match value {
        Value::Null => {}
        Value::Array(items) => items.iter().for_each(|item| flatten(item, found)),
        value => found.push(value),
    }
}

fn stream<'de, D: Deserializer<'de>>(deserializer: D) -> Result<DataStream, D::Error> {
    let prefix = String::deserialize(deserializer)?;
    DataStream::from_prefix(&prefix).ok_or_else(|| {
        let known: Vec<String> = DataStream::ALL.map(DataStream::prefix).to_vec();
        let known = known.join(", ");
        serde::de::Error::custom(format!(
            "no data stream {prefix:?}, expected one of {known}"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(value: Value) -> Document {
        let Value::Object(map) = value else {
            unreachable!()
        };
        Document::from(map)
    }

    fn query(clauses: &str) -> Query {
        toml::from_str(&format!(
            "stream = \"logs-ethereum.reorg\"\nwhere = [{clauses}]"
        ))
        .unwrap()
    }

    #[track_caller]
    fn check(clause: &str, yes: &[Value], no: &[Value]) {
        let query = query(clause);
        for value in yes {
            assert!(query.matches(&document(value.clone())), "{clause} {value}");
        }
        for value in no {
            assert!(!query.matches(&document(value.clone())), "{clause} {value}");
        }
    }

    #[test]
    fn values_are_compared_as_elasticsearch_does() {
        check(
            r#"{ field = "a.b", is = 2 }"#,
            &[
                json!({"a": {"b": 2}}),
                json!({"a.b": 2.0}),
                json!({"a": {"b": [1, 2]}}),
                json!({"a": [{"b": 1}, {"b": 2}]}),
            ],
            &[
                json!({}),
                json!({"a": {"b": "2"}}),
                json!({"a": {"b": null}}),
            ],
        );
        check(
            r#"{ field = "ok", not = true }"#,
            &[json!({}), json!({"ok": false}), json!({"ok": []})],
            &[json!({"ok": true}), json!({"ok": [false, true]})],
        );
        check(
            r#"{ field = "n", gte = 2, lt = 5 }"#,
            &[json!({"n": 2}), json!({"n": 4.9})],
            &[
                json!({"n": 5}),
                json!({"n": 1}),
                json!({"n": "3"}),
                json!({}),
            ],
        );
        check(
            r#"{ any = [{ field = "x", exists = false }, { field = "x", in = ["p", "q"] }] }"#,
            &[json!({}), json!({"x": "q"}), json!({"x": null})],
            &[json!({"x": "r"})],
        );
    }

    #[test]
    fn the_same_filter_goes_to_elasticsearch() {
        let query = query(
            r#"{ field = "a", not = true }, { field = "n", gte = 2 }, { any = [{ field = "x", in = ["p"] }, { field = "y", exists = false }] }"#,
        );
        assert_eq!(
            Value::Array(query.dsl()),
            json!([
                {"bool": {"must_not": [{"terms": {"a": [true]}}]}},
                {"range": {"n": {"gte": 2.0}}},
                {"bool": {"minimum_should_match": 1, "should": [
                    {"terms": {"x": ["p"]}},
                    {"bool": {"must_not": [{"exists": {"field": "y"}}]}},
                ]}},
            ])
        );
    }

    #[test]
    fn half_clauses_are_refused() {
        for clause in [
            "{ field = \"a\" }",
            "{ is = 1 }",
            "{ any = [] }",
            "{ field = \"a\", equals = 1 }",
        ] {
            let text = format!("stream = \"logs-ethereum.reorg\"\nwhere = [{clause}]");
            assert!(toml::from_str::<Query>(&text).is_err(), "{clause}");
        }
    }
}
