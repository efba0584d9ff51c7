//! Documents of one shape — the same fields set in the same order — differ in their values alone: everything between
//! the values, the envelope's own fields included, is encoded once.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, PoisonError, RwLock};

use serde_json::{Map, Value};

use super::json::{write_field, write_name, write_scalar};
use crate::event::{Fields, Path, Scalar};

/// More shapes than this of one stream are not met; if they are, the known ones are forgotten.
const MAX_SHAPES: usize = 1_000;

/// Set on every document that has none.
pub(super) const CREATED: &str = "event.created";

/// The templates of one stream.
#[derive(Debug, Default)]
pub(super) struct Templates(RwLock<BTreeMap<u64, Arc<Template>>>);

/// How the documents of a shape are written.
#[derive(Debug)]
pub(super) struct Template {
    shape: Vec<(Path, Kind)>,
    /// `None` where the values decide about the result's structure.
    plan: Option<Plan>,
}

/// What a shape says of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Any,
    Object,
    /// The same in every document of the shape: where it lies in the program.
    Word(usize, usize),
}

/// What stands before each value, which value it is, and what stands at the end.
#[derive(Debug, Default)]
struct Plan {
    text: Vec<u8>,
    values: Vec<(Range<usize>, Place)>,
    end: Range<usize>,
}

#[derive(Debug, Clone, Copy)]
enum Place {
    Field(usize),
    Created,
}

impl Kind {
    fn of(value: Scalar<'_>) -> Self {
        match value {
            Scalar::Word(word) => Self::Word(word.as_ptr().addr(), word.len()),
            value if value.is_object() => Self::Object,
            _ => Self::Any,
        }
    }
}

impl Templates {
    /// The template for documents with these fields, where `base` is what the envelope adds. Made when first needed.
    pub(super) fn of(&self, fields: &Fields, base: &Map<String, Value>) -> Arc<Template> {
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
    fn new(fields: &Fields, base: &Map<String, Value>) -> Self {
        let shape = fields
            .iter()
            .map(|(path, value)| (path.clone(), Kind::of(value)));
        Self {
            shape: shape.collect(),
            plan: plan(fields, base),
        }
    }

    fn fits(&self, fields: &Fields) -> bool {
        self.shape.len() == fields.len()
            && self
                .shape
                .iter()
                .zip(fields.iter())
                .all(|((path, kind), (other, value))| {
                    let is_same_place = path.place().is_some() && path.place() == other.place();
                    *kind == Kind::of(value)
                        && (is_same_place && path.as_str().len() == other.as_str().len()
                            || path == other)
                })
    }

    /// Writes a document of the shape; `false` and nothing where the values must be looked at.
    pub(super) fn write(&self, out: &mut Vec<u8>, fields: &Fields, created: &str) -> bool {
        let Some(plan) = &self.plan else {
            return false;
        };
        for (before, place) in &plan.values {
            out.extend_from_slice(&plan.text[before.clone()]);
            let value = match place {
                Place::Field(number) => fields.value(*number),
                Place::Created => Scalar::Text(created),
            };
            write_scalar(out, value);
        }
        out.extend_from_slice(&plan.text[plan.end.clone()]);
        true
    }
}

/// Cheap; two shapes with the same fingerprint push each other out, and are told apart by [`Template::fits`].
fn fingerprint(fields: &Fields) -> u64 {
    let mix =
        |hash: u64, part: u64| (hash.rotate_left(5) ^ part).wrapping_mul(0x517c_c1b7_2722_0a95);
    fields.iter().fold(0, |hash, (path, value)| {
        let (hash, place) = match path.place() {
            Some(place) => (hash, place as u64),
            None => {
                let bytes = path.as_str().bytes();
                (bytes.fold(hash, |hash, byte| mix(hash, byte.into())), 0)
            }
        };
        let kind = match Kind::of(value) {
            Kind::Any => 0,
            Kind::Object => 1,
            Kind::Word(place, _) => place as u64,
        };
        let length = (path.as_str().len() as u64) << 48;
        // One step for each field: every step waits for the one before.
        mix(hash, place ^ length ^ kind.rotate_left(24))
    })
}

/// A document in the making: the places of its values, and the envelope's.
enum Node<'a> {
    Own(Place),
    Word(&'static str),
    Base(&'a Value),
    Object(BTreeMap<&'a str, Node<'a>>),
}

/// `None` where an object among the values meets further fields.
fn plan(fields: &Fields, base: &Map<String, Value>) -> Option<Plan> {
    let mut document = BTreeMap::new();
    for (number, (path, value)) in fields.iter().enumerate() {
        let node = match value {
            Scalar::Word(word) => Node::Word(word),
            _ => Node::Own(Place::Field(number)),
        };
        set(&mut document, path.as_str(), node, fields)?;
    }
    if !has(&document, CREATED) {
        set(&mut document, CREATED, Node::Own(Place::Created), fields)?;
    }
    merge(&mut document, base, fields)?;
    let mut plan = Plan::default();
    let begin = plan.write(&document, 0);
    plan.end = begin..plan.text.len();
    Some(plan)
}

fn has(object: &BTreeMap<&str, Node<'_>>, path: &str) -> bool {
    match path.split_once('.') {
        None => object.contains_key(path),
        Some((head, tail)) => {
            matches!(object.get(head), Some(Node::Object(inner)) if has(inner, tail))
        }
    }
}

/// As [`crate::event::Document::set`] does.
fn set<'a>(
    mut object: &mut BTreeMap<&'a str, Node<'a>>,
    path: &'a str,
    node: Node<'a>,
    fields: &Fields,
) -> Option<()> {
    let mut rest = path;
    while let Some((head, tail)) = rest.split_once('.') {
        let child = object
            .entry(head)
            .or_insert_with(|| Node::Object(BTreeMap::new()));
        match child {
            Node::Object(_) => {}
            node if node.is_object_of(fields) => return None,
            _ => *child = Node::Object(BTreeMap::new()),
        }
        let Node::Object(inner) = child else {
            return None;
        };
        object = inner;
        rest = tail;
    }
    object.insert(rest, node);
    Some(())
}

/// As [`crate::event::Document::merge_missing`] does.
fn merge<'a>(
    into: &mut BTreeMap<&'a str, Node<'a>>,
    base: &'a Map<String, Value>,
    fields: &Fields,
) -> Option<()> {
    for (name, value) in base {
        match (into.get_mut(name.as_str()), value) {
            (Some(Node::Object(into)), Value::Object(base)) => merge(into, base, fields)?,
            (Some(node), Value::Object(_)) if node.is_object_of(fields) => return None,
            (Some(_), _) => {}
            (None, value) => {
                into.insert(name, Node::Base(value));
            }
        }
    }
    Some(())
}

impl Node<'_> {
    /// It is a value, and an object.
    fn is_object_of(&self, fields: &Fields) -> bool {
        matches!(self, Self::Own(Place::Field(number)) if fields.value(*number).is_object())
    }
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
                Node::Word(word) => {
                    write_name(&mut self.text, name);
                    write_scalar(&mut self.text, Scalar::Word(word));
                }
                Node::Own(place) => {
                    write_name(&mut self.text, name);
                    self.values.push((begin..self.text.len(), *place));
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
