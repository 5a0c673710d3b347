//! A raw event of the Segment spec, read by the rules' mapping.
//!
//! Only what the mapping names is looked at. `sentAt`, `receivedAt` and the library's context
//! change when an SDK sends an event again, so nothing may depend on them. What stands where
//! an identifier or trait could have been and cannot be used is listed, never an error, and
//! so is what an event has too much of: an SDK's caller cannot mend an event that is already
//! sent. The bounds of the core are looked at here for this alone.

use std::borrow::Cow;
use std::collections::HashSet;

use ipse_core::identifier::is_namespace_name;
use ipse_core::limits::{
    EVENT_IDENTIFIERS_MAX, EVENT_TRAITS_MAX, IDENTIFIER_VALUE_BYTES_MAX, TRAIT_NAME_BYTES_MAX,
    TRAIT_VALUE_BYTES_MAX,
};
use ipse_core::rules::{Condition, Literal, Mapping, NamespaceSources, Source};
use ipse_core::{SentIdentifier, SentTrait, Timestamp, TraitValue};

use crate::json::{Kind, Node, canonical};
use crate::limits::{IGNORED_FIELDS_MAX, JSON_DEPTH_MAX};
use crate::rfc3339;
use crate::status::{Reason, Status, cut};

/// What a raw event says.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Extracted<'a> {
    /// The namespaces' values, each pair once.
    pub(crate) identifiers: Vec<SentIdentifier<'a>>,
    /// By name, each once.
    pub(crate) traits: Vec<SentTrait<'a>>,
    /// What was there and not usable.
    pub(crate) ignored: Vec<Ignored>,
}

/// A place that was not usable, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ignored {
    pub(crate) path: String,
    pub(crate) reason: &'static str,
}

/// Checks that the bytes are one JSON object of UTF-8 text.
pub(crate) fn parse(raw_json: &[u8]) -> Result<Node<'_>, Status> {
    let malformed = |problem| Status::of_field(Reason::MalformedJson, "event.raw_json", problem);
    let text = std::str::from_utf8(raw_json)
        .map_err(|error| malformed(format!("not UTF-8 at byte {}", error.valid_up_to())))?;
    let node = Node::parse(text).map_err(|error| malformed(error.to_string()))?;
    match node.object() {
        Some(_) => Ok(node),
        None if node.kind() == Kind::Object => {
            Err(malformed("a name in the object is not text: half of a surrogate pair".to_owned()))
        }
        None => Err(malformed("not a JSON object".to_owned())),
    }
}

/// `messageId`, or nothing.
pub(crate) fn event_id<'a>(event: &Node<'a>) -> Result<Cow<'a, str>, Status> {
    text_field(event, "messageId")
}

/// `type`, or nothing.
pub(crate) fn kind<'a>(event: &Node<'a>) -> Result<Cow<'a, str>, Status> {
    text_field(event, "type")
}

/// `timestamp`, or `originalTimestamp`, or nothing.
pub(crate) fn timestamp(event: &Node<'_>) -> Result<Option<Timestamp>, Status> {
    let Some((name, node)) = ["timestamp", "originalTimestamp"]
        .into_iter()
        .find_map(|name| Some((name, present(event, name)?)))
    else {
        return Ok(None);
    };
    let time = node.string().and_then(|text| rfc3339::parse(&text));
    time.map(Some).ok_or_else(|| {
        Status::invalid_field(
            format!("event.raw_json.{name}"),
            "not an RFC 3339 time such as 2024-05-01T12:30:00.000Z",
        )
    })
}

/// The identifiers and traits of an event.
pub(crate) fn extract<'a>(event: &Node<'a>, mapping: &'a Mapping) -> Extracted<'a> {
    let mut extraction = Extraction::new(event);
    for sources in &mapping.identifiers {
        extraction.namespace(sources, &mapping.keys);
    }
    if let Some(source) = &mapping.external_ids {
        extraction.external_ids(source);
    }
    for source in &mapping.traits {
        extraction.traits(source);
    }
    extraction.found
}

struct Extraction<'n, 'a> {
    event: &'n Node<'a>,
    found: Extracted<'a>,
    /// Trait names that are settled, also those that cannot be used.
    seen_traits: HashSet<Cow<'a, str>>,
}

impl<'n, 'a> Extraction<'n, 'a> {
    fn new(event: &'n Node<'a>) -> Extraction<'n, 'a> {
        Extraction { event, found: Extracted::default(), seen_traits: HashSet::new() }
    }

    fn namespace(&mut self, sources: &'a NamespaceSources, keys: &'a [Source]) {
        for source in &sources.from {
            if let Some(node) = self.at(source) {
                self.value(&sources.namespace, node, || source.path.join("."));
            }
        }
        if sources.key_spellings.is_empty() {
            return;
        }
        for source in keys {
            let Some(object) = self.at(source).and_then(Node::object) else {
                continue;
            };
            for spelling in &sources.key_spellings {
                if let Some(node) = object.get(spelling) {
                    self.value(&sources.namespace, node, || {
                        format!("{}.{spelling}", source.path.join("."))
                    });
                }
            }
        }
    }

    /// A place that may hold an identifier's value.
    fn value(&mut self, namespace: &'a str, node: &Node<'a>, path: impl FnOnce() -> String) {
        match identifier_value(node) {
            Ok(value) => self.identifier(Cow::Borrowed(namespace), value, path),
            Err(reason) => self.ignore(path, reason),
        }
    }

    fn identifier(
        &mut self,
        namespace: Cow<'a, str>,
        value: Cow<'a, str>,
        path: impl FnOnce() -> String,
    ) {
        let identifiers = &mut self.found.identifiers;
        let identifier = SentIdentifier { namespace, value };
        if identifiers.contains(&identifier) {
            return;
        }
        if identifiers.len() == EVENT_IDENTIFIERS_MAX {
            return self.ignore(path, "more than 64 identifiers");
        }
        identifiers.push(identifier);
    }

    fn external_ids(&mut self, source: &'a Source) {
        let Some(node) = self.at(source) else { return };
        let Some(elements) = node.array() else {
            return self.ignore(|| source.path.join("."), kind_word(node.kind()));
        };
        for (index, element) in elements.iter().enumerate() {
            let path = |field: &str| format!("{}[{index}]{field}", source.path.join("."));
            match external_id(element) {
                Ok((namespace, value)) => self.identifier(namespace, value, || path(".id")),
                Err((field, reason)) => self.ignore(|| path(field), reason),
            }
        }
    }

    fn traits(&mut self, source: &'a Source) {
        let Some(node) = self.at(source) else { return };
        let Some(object) = node.object() else {
            return self.ignore(|| source.path.join("."), no_object(node));
        };
        let mut usable = Vec::new();
        for (name, node) in object.fields_from_last() {
            if !self.seen_traits.insert(name.clone()) {
                continue;
            }
            match trait_value(name, node) {
                Ok(value) => usable.push(SentTrait { name: name.clone(), value }),
                Err(reason) => self.ignore(|| trait_path(source, name), reason),
            }
        }
        for surplus in beyond(EVENT_TRAITS_MAX - self.found.traits.len(), &mut usable) {
            self.ignore(|| trait_path(source, &surplus.name), "more than 300 traits");
        }
        self.found.traits.append(&mut usable);
    }

    /// What stands at a source's path, if its conditions hold.
    fn at(&self, source: &Source) -> Option<&'n Node<'a>> {
        let holds = |condition: &Condition| holds(self.event, condition);
        let is_meant = source.when.iter().all(holds) && !source.unless.iter().any(holds);
        is_meant.then(|| self.event.at(&source.path)).flatten()
    }

    /// Lists a place once; several namespaces may look at the same one.
    fn ignore(&mut self, path: impl FnOnce() -> String, reason: &'static str) {
        let ignored = &mut self.found.ignored;
        if ignored.len() < IGNORED_FIELDS_MAX {
            let ignore = Ignored { path: path(), reason };
            if !ignored.contains(&ignore) {
                ignored.push(ignore);
            }
        }
    }
}

fn holds(event: &Node<'_>, condition: &Condition) -> bool {
    let Some(node) = event.at(&condition.path) else {
        return false;
    };
    condition.values.iter().any(|value| match value {
        Literal::Text(text) => node.string().is_some_and(|found| found == *text),
        Literal::Bool(flag) => node.kind() == Kind::Bool(*flag),
        Literal::Integer(number) => {
            node.kind() == Kind::Integer && node.text().parse() == Ok(*number)
        }
    })
}

/// A value of an identifier. White space around one that is short enough is let through, as
/// the core does: normalising takes it off.
fn identifier_value<'a>(node: &Node<'a>) -> Result<Cow<'a, str>, &'static str> {
    let value = identifier_text(node)?;
    let is_short = value.trim().len() <= IDENTIFIER_VALUE_BYTES_MAX
        && value.len() <= 2 * IDENTIFIER_VALUE_BYTES_MAX;
    if is_short { Ok(value) } else { Err("value is longer than 1024 bytes") }
}

/// Text as it is and whole numbers as decimal text; nothing else names anybody.
fn identifier_text<'a>(node: &Node<'a>) -> Result<Cow<'a, str>, &'static str> {
    match node.kind() {
        Kind::Integer if node.text() == "-0" => Ok(Cow::Borrowed("0")),
        Kind::Integer => Ok(Cow::Borrowed(node.text())),
        Kind::String => match node.string() {
            Some(text) if text.is_empty() => Err("empty string"),
            Some(text) => Ok(text),
            None => Err(NOT_TEXT),
        },
        kind => Err(kind_word(kind)),
    }
}

const NOT_TEXT: &str = "half of a surrogate pair";

/// Namespace and value of an element of `context.externalIds`, or the field at fault and why.
#[expect(clippy::type_complexity, reason = "a pair of pairs, used once")]
fn external_id<'a>(
    element: &Node<'a>,
) -> Result<(Cow<'a, str>, Cow<'a, str>), (&'static str, &'static str)> {
    let object = element.object().ok_or(("", "not an object with `id` and `type`"))?;
    let field = |name| object.get(name).filter(|node| node.kind() != Kind::Null);
    let text = |name| field(name).and_then(Node::string);
    let id = field("id").ok_or(("", "`id` is missing"))?;
    let namespace = text("type").ok_or(("", "`type` is missing"))?;
    let collection = text("collection").ok_or(("", "`collection` is missing"))?;
    let encoding = text("encoding").ok_or(("", "`encoding` is missing"))?;
    if collection != "users" {
        return Err((".collection", "collection is not users"));
    }
    if encoding != "none" {
        return Err((".encoding", "encoding is not none"));
    }
    if namespace.chars().any(char::is_uppercase) {
        return Err((".type", "type is not lower-case"));
    }
    if !is_namespace_name(&namespace) {
        return Err((".type", "type is not a namespace name"));
    }
    if namespace == "group_id" {
        return Err((".type", "a group is not a person"));
    }
    let value = identifier_value(id).map_err(|reason| (".id", reason))?;
    Ok((namespace, value))
}

/// A trait's value; `None` removes the trait.
fn trait_value<'a>(name: &str, node: &Node<'a>) -> Result<Option<TraitValue<'a>>, &'static str> {
    if name.is_empty() {
        return Err("empty name");
    }
    if name.len() > TRAIT_NAME_BYTES_MAX {
        return Err("name is longer than 128 bytes");
    }
    let value = match node.kind() {
        Kind::Null => return Ok(None),
        Kind::Bool(flag) => TraitValue::Bool(flag),
        Kind::Integer | Kind::Fraction => number(node.text())?,
        Kind::String => TraitValue::Text(node.string().ok_or(NOT_TEXT)?),
        Kind::Array | Kind::Object => TraitValue::Json(Cow::Owned(
            canonical(node, JSON_DEPTH_MAX).ok_or("nested too deeply or not text")?,
        )),
    };
    match &value {
        TraitValue::Text(text) | TraitValue::Json(text) if text.len() > TRAIT_VALUE_BYTES_MAX => {
            Err("value is longer than 8192 bytes")
        }
        _ => Ok(Some(value)),
    }
}

fn number(text: &str) -> Result<TraitValue<'static>, &'static str> {
    if let Ok(integer) = text.parse() {
        return Ok(TraitValue::Integer(integer));
    }
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() => Ok(TraitValue::Number(number)),
        _ => Err("number out of range"),
    }
}

/// The place of a trait in the event.
fn trait_path(source: &Source, name: &str) -> String {
    format!("{}.{}", source.path.join("."), cut(name, TRAIT_NAME_BYTES_MAX))
}

/// Takes off the traits for which there is no room: those whose names sort last, so that the
/// same ones stay when the event comes again in another order.
fn beyond<'a>(room: usize, traits: &mut Vec<SentTrait<'a>>) -> Vec<SentTrait<'a>> {
    if traits.len() <= room {
        return Vec::new();
    }
    traits.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    traits.split_off(room)
}

fn text_field<'a>(event: &Node<'a>, name: &'static str) -> Result<Cow<'a, str>, Status> {
    let Some(node) = present(event, name) else {
        return Ok(Cow::Borrowed(""));
    };
    let problem = "not a string of text";
    node.string().ok_or_else(|| Status::invalid_field(format!("event.raw_json.{name}"), problem))
}

/// A field at the top that is there and not null.
fn present<'n, 'a>(event: &'n Node<'a>, name: &str) -> Option<&'n Node<'a>> {
    event.object()?.get(name).filter(|node| node.kind() != Kind::Null)
}

fn kind_word(kind: Kind) -> &'static str {
    match kind {
        Kind::Null => "null",
        Kind::Bool(_) => "boolean",
        Kind::Integer => "number",
        Kind::Fraction => "number with a fraction or exponent",
        Kind::String => "string",
        Kind::Array => "array",
        Kind::Object => "object",
    }
}

fn no_object(node: &Node<'_>) -> &'static str {
    match node.kind() {
        Kind::Object => NOT_TEXT,
        kind => kind_word(kind),
    }
}

#[cfg(test)]
#[path = "extract_tests.rs"]
mod tests;
