//! Documents of one shape — the same fields set in the same order — differ in their values alone: everything between
//! the values, the envelope's own fields included, is encoded once.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::{Arc, PoisonError, RwLock};

use serde_json::{Map, Value};

use super::json::{write_field, write_name, write_value};
use crate::event::Path;

/// More shapes than this of one stream are not met; if they are, the known ones are forgotten.
const MAX_SHAPES: usize = 1_000;

/// The templates of one stream.
#[derive(Debug, Default)]
pub(super) struct Templates(RwLock<HashMap<u64, Arc<Template>>>);

/// How the documents of a shape are written.
#[derive(Debug)]
pub(super) struct Template {
    shape: Vec<(Path, bool)>,
    /// `None` where the values decide about the result's structure.
    plan: Option<Plan>,
}

/// What stands before each value, the number of the value, and what stands at the end.
#[derive(Debug, Default)]
struct Plan {
    text: Vec<u8>,
    values: Vec<(Range<usize>, usize)>,
    end: Range<usize>,
}

impl Templates {
    /// The template for documents with these fields, where `base` is what the envelope adds. Made when first needed.
    pub(super) fn of(&self, fields: &[(Path, Value)], base: &Map<String, Value>) -> Arc<Template> {
        let key = fingerprint(fields);
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let found = known.get(&key).filter(|template| template.fits(fields));
        if let Some(template) = found {
            return Arc::clone(template);
        }
        drop(known);
        let template = Arc::new(Template::new(fields, base));
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_SHAPES {
            known.clear();
        }
        known.insert(key, Arc::clone(&template));
        template
    }
}

impl Template {
    fn new(fields: &[(Path, Value)], base: &Map<String, Value>) -> Self {
        let shape = fields
            .iter()
            .map(|(path, value)| (path.clone(), value.is_object()));
        Self {
            shape: shape.collect(),
            plan: plan(fields, base),
        }
    }

    fn fits(&self, fields: &[(Path, Value)]) -> bool {
        self.shape.len() == fields.len()
            && self
                .shape
                .iter()
                .zip(fields)
                .all(|((path, is_object), (other, value))| {
                    let is_same_place = path.place().is_some() && path.place() == other.place();
                    *is_object == value.is_object()
                        && (is_same_place && path.as_str().len() == other.as_str().len()
                            || path == other)
                })
    }

    /// Writes a document of the shape; `false` and nothing where the values must be looked at.
    pub(super) fn write(&self, out: &mut Vec<u8>, fields: &[(Path, Value)]) -> bool {
        let Some(plan) = &self.plan else {
            return false;
        };
        for (before, value) in &plan.values {
            out.extend_from_slice(&plan.text[before.clone()]);
            write_value(out, &fields[*value].1);
        }
        out.extend_from_slice(&plan.text[plan.end.clone()]);
        true
    }
}

/// Cheap; two shapes with the same fingerprint push each other out, and are told apart by [`Template::fits`].
fn fingerprint(fields: &[(Path, Value)]) -> u64 {
    let mix =
        |hash: u64, part: u64| (hash.rotate_left(5) ^ part).wrapping_mul(0x517c_c1b7_2722_0a95);
    fields.iter().fold(0, |hash, (path, value)| {
        let hash = match path.place() {
            Some(place) => mix(hash, place as u64),
            None => path
                .as_str()
                .bytes()
                .fold(hash, |hash, byte| mix(hash, u64::from(byte))),
        };
        mix(
            hash,
            (path.as_str().len() as u64) << 1 | u64::from(value.is_object()),
        )
    })
}

/// A document in the making: the numbers of its values, and the envelope's.
enum Node<'a> {
    Own(usize),
    Base(&'a Value),
    Object(BTreeMap<&'a str, Node<'a>>),
}

/// `None` where an object among the values meets further fields.
fn plan(fields: &[(Path, Value)], base: &Map<String, Value>) -> Option<Plan> {
    let mut document = BTreeMap::new();
    for (number, (path, _)) in fields.iter().enumerate() {
        set(&mut document, path.as_str(), number, fields)?;
    }
    merge(&mut document, base, fields)?;
    let mut plan = Plan::default();
    let begin = plan.write(&document, 0);
    plan.end = begin..plan.text.len();
    Some(plan)
}

/// As [`crate::event::Document::set`] does.
fn set<'a>(
    mut object: &mut BTreeMap<&'a str, Node<'a>>,
    path: &'a str,
    number: usize,
    fields: &[(Path, Value)],
) -> Option<()> {
    let mut rest = path;
    while let Some((head, tail)) = rest.split_once('.') {
        let child = object
            .entry(head)
            .or_insert_with(|| Node::Object(BTreeMap::new()));
        match child {
            Node::Object(_) => {}
            Node::Own(own) if fields[*own].1.is_object() => return None,
            Node::Own(_) | Node::Base(_) => *child = Node::Object(BTreeMap::new()),
        }
        let Node::Object(inner) = child else {
            return None;
        };
        object = inner;
        rest = tail;
    }
    object.insert(rest, Node::Own(number));
    Some(())
}

/// As [`crate::event::Document::merge_missing`] does.
fn merge<'a>(
    into: &mut BTreeMap<&'a str, Node<'a>>,
    base: &'a Map<String, Value>,
    fields: &[(Path, Value)],
) -> Option<()> {
    for (name, value) in base {
        match (into.get_mut(name.as_str()), value) {
            (Some(Node::Object(into)), Value::Object(base)) => merge(into, base, fields)?,
            (Some(Node::Own(own)), Value::Object(_)) if fields[*own].1.is_object() => return None,
            (Some(_), _) => {}
            (None, value) => {
                into.insert(name, Node::Base(value));
            }
        }
    }
    Some(())
}

impl Plan {
    /// Returns where the text begins that belongs to no value yet.
    fn write(&mut self, object: &BTreeMap<&str, Node<'_>>, mut begin: usize) -> usize {
        self.text.push(b'{');
        for (position, (name, node)) in object.iter().enumerate() {
            if position > 0 {
                self.text.push(b',');
            }
            match node {
                Node::Base(value) => write_field(&mut self.text, name, value),
                Node::Own(number) => {
                    write_name(&mut self.text, name);
                    self.values.push((begin..self.text.len(), *number));
                    begin = self.text.len();
                }
                Node::Object(inner) => {
                    write_name(&mut self.text, name);
                    begin = self.write(inner, begin);
                }
            }
        }
        self.text.push(b'}');
        begin
    }
}
