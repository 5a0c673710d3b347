//! A raw event, as a vendor's SDK sends or its export holds it, read by the rules' mapping.
//!
//! Only what the mapping names is looked at. Of a Segment event that leaves out `sentAt`,
//! `receivedAt` and the library's context, which change when an SDK sends an event again. What
//! stands where an identifier or trait could have been and cannot be used is listed, never an
//! error, and so is what an event has too much of: an SDK's caller cannot mend an event that is
//! already sent. The bounds of the core are looked at here for this alone.

mod fields;
mod value;

use std::borrow::Cow;
use std::collections::HashSet;

use ipse_core::change::Verb;
use ipse_core::limits::{
    EVENT_IDENTIFIERS_MAX, EVENT_TRAITS_MAX, EVENT_TYPE_BYTES_MAX, TRAIT_NAME_BYTES_MAX,
};
use ipse_core::rules::{
    Condition, Literal, Mapping, NameSource, NamespaceSources, PairSource, Path, Source, Step,
    ValueSource, VerbRule,
};
use ipse_core::{SentIdentifier, SentTrait, Timestamp};

use crate::json::{Document, Kind, Node, Reached};
use crate::limits::IGNORED_FIELDS_MAX;
use crate::status::{Reason, Status, cut};
use value::{
    NOT_TEXT, check_trait_name, external_id, identifier_value, kind_word, no_object,
    prefixed_value, trait_value,
};

/// What a raw event says.
#[derive(Debug, PartialEq)]
pub(crate) struct Extracted<'a> {
    /// The event's id, empty if it has none; or why what stands there is none. Whether that
    /// matters is the caller's to say: the request may name another.
    pub(crate) event_id: Result<Cow<'a, str>, Status>,
    /// The event's type, likewise.
    pub(crate) kind: Result<Cow<'a, str>, Status>,
    /// The event's time, likewise.
    pub(crate) timestamp: Result<Option<Timestamp>, Status>,
    /// `Observe`, `Login`, `Logout` or `Link`.
    pub(crate) verb: Verb,
    /// Whether it passes over the guards of the rules' commands.
    pub(crate) force: bool,
    /// The namespaces' values, each pair once.
    pub(crate) identifiers: Vec<SentIdentifier<'a>>,
    /// What a login or link joins, in order, each pair once.
    pub(crate) sources: Vec<SentIdentifier<'a>>,
    /// By name, each once.
    pub(crate) traits: Vec<SentTrait<'a>>,
    /// What was there and not usable.
    pub(crate) ignored: Vec<Ignored>,
    /// Why the rules want none of it.
    pub(crate) refused: Option<&'a str>,
}

/// A place that was not usable, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ignored {
    pub(crate) path: String,
    pub(crate) reason: &'static str,
}

/// Checks that the bytes are one JSON object of UTF-8 text.
pub(crate) fn parse(raw_json: &[u8]) -> Result<Document<'_>, Status> {
    let malformed = |problem| Status::of_field(Reason::MalformedJson, "event.raw_json", problem);
    let text = std::str::from_utf8(raw_json)
        .map_err(|error| malformed(format!("not UTF-8 at byte {}", error.valid_up_to())))?;
    let document = Document::parse(text).map_err(|error| malformed(error.to_string()))?;
    match document.root().object() {
        Some(_) => Ok(document),
        None if document.root().kind() == Kind::Object => {
            Err(malformed("a name in the object is not text: half of a surrogate pair".to_owned()))
        }
        None => Err(malformed("not a JSON object".to_owned())),
    }
}

/// Reads an event.
pub(crate) fn extract<'a>(event: Node<'_, 'a>, mapping: &'a Mapping) -> Extracted<'a> {
    let mut extraction = Extraction::new(event, mapping);
    match mapping.verbs.iter().find(|rule| is_meant(event, &rule.when, &rule.unless)) {
        Some(rule) => extraction.verb(rule, mapping),
        None => extraction.identifiers(mapping),
    }
    for names in &mapping.identifier_names {
        extraction.identifier_names(names);
    }
    extraction.all_traits(mapping);
    extraction.leave_out_long_type(mapping);
    extraction.found
}

struct Extraction<'n, 'a> {
    event: Node<'n, 'a>,
    found: Extracted<'a>,
    /// Trait names that are settled, also those that cannot be used.
    seen_traits: HashSet<Cow<'a, str>>,
}

/// Which of an event's identifiers a place holds.
#[derive(Clone, Copy)]
enum Side {
    Own,
    Sources,
}

impl<'n, 'a> Extraction<'n, 'a> {
    fn new(event: Node<'n, 'a>, mapping: &'a Mapping) -> Extraction<'n, 'a> {
        let found = Extracted {
            event_id: fields::id(event, &mapping.event_id),
            kind: fields::text(event, &mapping.kind),
            timestamp: fields::timestamp(event, &mapping.timestamp),
            verb: Verb::Observe,
            force: false,
            identifiers: Vec::new(),
            sources: Vec::new(),
            traits: Vec::new(),
            ignored: Vec::new(),
            refused: mapping
                .refuse
                .iter()
                .find(|rule| is_meant(event, &rule.when, &rule.unless))
                .map(|rule| &*rule.because),
        };
        Extraction { event, found, seen_traits: HashSet::new() }
    }

    fn identifiers(&mut self, mapping: &'a Mapping) {
        for sources in &mapping.identifiers {
            self.namespace(sources, Side::Own);
            self.namespace_key(sources, &mapping.keys);
        }
        if let Some(source) = &mapping.external_ids {
            self.external_ids(source);
        }
    }

    fn verb(&mut self, rule: &'a VerbRule, mapping: &'a Mapping) {
        if rule.identifiers.is_empty() {
            self.identifiers(mapping);
        }
        for sources in &rule.identifiers {
            self.namespace(sources, Side::Own);
        }
        for sources in &rule.sources {
            self.namespace(sources, Side::Sources);
        }
        if rule.verb == Verb::Link && self.found.sources.is_empty() {
            let place = rule.sources.first().and_then(|sources| sources.from.first());
            let path = || place.map_or(String::new(), |place| place.source.path.to_string());
            return self.ignore(path, "nothing here to link: the event is only seen");
        }
        self.found.verb = rule.verb;
        self.found.force = rule.force;
    }

    fn namespace(&mut self, sources: &'a NamespaceSources, side: Side) {
        for from in &sources.from {
            self.each(&from.source, |this, reached| {
                this.value(sources, from, &reached, side);
            });
        }
    }

    /// What stands at a place of an identifier's value, or on the way there.
    fn value(
        &mut self,
        sources: &'a NamespaceSources,
        from: &'a ValueSource,
        reached: &Reached<'_, 'a>,
        side: Side,
    ) {
        let path = &from.source.path;
        if is_read_otherwise(sources, path, reached) {
            return;
        }
        if reached.taken < path.0.len() {
            return self.in_the_way(path, reached);
        }
        match prefixed_value(reached.node, from) {
            Ok(Some(value)) => {
                let namespace = Cow::Borrowed(&*sources.namespace);
                self.identifier(SentIdentifier::new(namespace, value), side, || {
                    place(path, reached)
                });
            }
            Ok(None) => {}
            Err(reason) => self.ignore(|| place(path, reached), reason),
        }
    }

    fn namespace_key(&mut self, sources: &'a NamespaceSources, keys: &'a [Source]) {
        if sources.key_spellings.is_empty() {
            return;
        }
        for source in keys {
            self.each(source, |this, reached| this.keyed_value(sources, &source.path, &reached));
        }
    }

    fn keyed_value(
        &mut self,
        sources: &'a NamespaceSources,
        path: &Path,
        reached: &Reached<'_, 'a>,
    ) {
        let Some(object) = reached.node.object().filter(|_| reached.taken == path.0.len()) else {
            return self.in_the_way(path, reached);
        };
        for spelling in &sources.key_spellings {
            let Some(node) = object.get(spelling) else { continue };
            let path = || format!("{}.{spelling}", place(path, reached));
            let namespace = Cow::Borrowed(&*sources.namespace);
            match identifier_value(node) {
                Ok(value) => {
                    self.identifier(SentIdentifier::new(namespace, value), Side::Own, path)
                }
                Err(reason) => self.ignore(path, reason),
            }
        }
    }

    fn identifier(
        &mut self,
        identifier: SentIdentifier<'a>,
        side: Side,
        path: impl FnOnce() -> String,
    ) {
        // What a command joins is bounded together with what it joins it to.
        let found = &mut self.found;
        let is_full = found.identifiers.len() + found.sources.len() == EVENT_IDENTIFIERS_MAX;
        let list = match side {
            Side::Own => &mut found.identifiers,
            Side::Sources => &mut found.sources,
        };
        if list.contains(&identifier) {
            return;
        }
        if is_full {
            return self.ignore(path, "more than 64 identifiers");
        }
        list.push(identifier);
    }

    fn external_ids(&mut self, source: &'a Source) {
        self.elements(source, |this, element, path| match external_id(element) {
            Ok((namespace, value)) => {
                let identifier = SentIdentifier::new(namespace, value);
                this.identifier(identifier, Side::Own, || path() + ".id");
            }
            Err((field, reason)) => this.ignore(|| path() + field, reason),
        });
    }

    /// Reports the kinds of identifiers that no namespace reads.
    fn identifier_names(&mut self, names: &'a NameSource) {
        let path = &names.source.path;
        let is_known = |name: &str| names.known.iter().any(|known| known == name);
        let unread = "no namespace of the rules reads it";
        self.each(&names.source, |this, reached| {
            if reached.taken < path.0.len() {
                return;
            }
            if let Some(object) = reached.node.object() {
                for (name, _) in object.fields_from_last().filter(|(name, _)| !is_known(name)) {
                    this.ignore(|| field_place(&place(path, &reached), &name), unread);
                }
            } else if let Some(name) = reached.node.string().filter(|name| !is_known(name)) {
                let name = cut(&name, TRAIT_NAME_BYTES_MAX);
                this.ignore(|| format!("{}={name}", place(path, &reached)), unread);
            }
        });
    }

    /// An event's name may be anything; that is no reason not to learn whose it is.
    fn leave_out_long_type(&mut self, mapping: &'a Mapping) {
        if self.found.kind.as_ref().is_ok_and(|kind| kind.len() > EVENT_TYPE_BYTES_MAX) {
            self.found.kind = Ok(Cow::Borrowed(""));
            let path = mapping.kind.first().map(|source| source.path.to_string());
            self.ignore(|| path.unwrap_or_default(), "type is longer than 64 bytes");
        }
    }

    fn all_traits(&mut self, mapping: &'a Mapping) {
        for source in &mapping.traits_unset {
            self.traits_unset(source);
        }
        for source in &mapping.traits {
            self.traits(source, false);
        }
        for (name, source) in &mapping.named_traits {
            self.named_trait(name, source);
        }
        for pairs in &mapping.trait_pairs {
            self.trait_pairs(pairs);
        }
        for source in &mapping.traits_once {
            self.traits(source, true);
        }
    }

    fn traits_unset(&mut self, source: &'a Source) {
        self.elements(source, |this, element, path| {
            let name = element.string().ok_or_else(|| match element.kind() {
                Kind::String => NOT_TEXT,
                _ => kind_word(element),
            });
            match name.and_then(|name| check_trait_name(&name).map(|()| name)) {
                Ok(name) if this.seen_traits.contains(&name) => {}
                Ok(name) => {
                    this.seen_traits.insert(name.clone());
                    this.keep_traits(
                        vec![SentTrait { name, value: None, set_once: false }],
                        |_| path(),
                    );
                }
                Err(reason) => this.ignore(path, reason),
            }
        });
    }

    fn traits(&mut self, source: &'a Source, set_once: bool) {
        let path = &source.path;
        self.each(source, |this, reached| {
            if reached.taken < path.0.len() {
                return this.in_the_way(path, &reached);
            }
            let Some(object) = reached.node.object() else {
                return this.ignore(|| place(path, &reached), no_object(reached.node));
            };
            this.settle_traits(object.fields_from_last(), set_once, |name| {
                field_place(&place(path, &reached), name)
            });
        });
    }

    fn named_trait(&mut self, name: &'a str, source: &'a Source) {
        let path = &source.path;
        self.each(source, |this, reached| {
            if reached.taken < path.0.len() {
                return this.in_the_way(path, &reached);
            }
            let field = (Cow::Borrowed(name), reached.node);
            this.settle_traits([field].into_iter(), false, |_| place(path, &reached));
        });
    }

    fn trait_pairs(&mut self, pairs: &'a PairSource) {
        let path = &pairs.source.path;
        self.each(&pairs.source, |this, reached| {
            if reached.taken < path.0.len() {
                return this.in_the_way(path, &reached);
            }
            let Some(elements) = reached.node.array() else {
                return this.ignore(|| place(path, &reached), kind_word(reached.node));
            };
            let mut named = Vec::new();
            // Of two of one name the last counts, as in an object.
            for (position, element) in elements.into_iter().enumerate().rev() {
                match named_value(element, pairs) {
                    Ok(pair) => named.push(pair),
                    Err(reason) => {
                        this.ignore(|| format!("{}[{position}]", place(path, &reached)), reason);
                    }
                }
            }
            this.settle_traits(named.into_iter(), false, |name| {
                let name = cut(name, TRAIT_NAME_BYTES_MAX);
                format!("{}[{}={name}]", place(path, &reached), pairs.name)
            });
        });
    }

    /// Takes the traits whose names are not settled yet.
    fn settle_traits<'f>(
        &mut self,
        fields: impl Iterator<Item = (Cow<'a, str>, Node<'f, 'a>)>,
        set_once: bool,
        path: impl Fn(&str) -> String,
    ) where
        'a: 'f,
    {
        let mut usable = Vec::new();
        for (name, node) in fields {
            if !self.seen_traits.insert(name.clone()) {
                continue;
            }
            match trait_value(&name, node) {
                Ok(None) if set_once => self.ignore(|| path(&name), "null"),
                Ok(value) => usable.push(SentTrait { name, value, set_once }),
                Err(reason) => self.ignore(|| path(&name), reason),
            }
        }
        self.keep_traits(usable, path);
    }

    /// Keeps the traits for which there is room.
    fn keep_traits(&mut self, mut usable: Vec<SentTrait<'a>>, path: impl Fn(&str) -> String) {
        for surplus in beyond(EVENT_TRAITS_MAX - self.found.traits.len(), &mut usable) {
            self.ignore(|| path(&surplus.name), "more than 300 traits");
        }
        self.found.traits.append(&mut usable);
    }

    /// Calls `read` for whatever stands at a source's path or in its way, if its conditions
    /// hold.
    fn each(&mut self, source: &'a Source, mut read: impl FnMut(&mut Self, Reached<'_, 'a>)) {
        let event = self.event;
        if holds_all(event, source) {
            event.follow(&source.path.0, &mut |reached| read(self, reached));
        }
    }

    /// Calls `read` for each element of the array at a source's path, with its place.
    fn elements(
        &mut self,
        source: &'a Source,
        mut read: impl FnMut(&mut Self, Node<'_, 'a>, &dyn Fn() -> String),
    ) {
        let path = &source.path;
        self.each(source, |this, reached| {
            if reached.taken < path.0.len() {
                return this.in_the_way(path, &reached);
            }
            let Some(elements) = reached.node.array() else {
                return this.ignore(|| place(path, &reached), kind_word(reached.node));
            };
            for (position, element) in elements.into_iter().enumerate() {
                read(this, element, &|| format!("{}[{position}]", place(path, &reached)));
            }
        });
    }

    /// Reports what stands in the way of a path, or at its end where it cannot be used. Null
    /// and an empty array, which some languages write for an empty object, hide nothing.
    fn in_the_way(&mut self, path: &Path, reached: &Reached<'_, 'a>) {
        let is_empty = || reached.node.array().is_some_and(|elements| elements.is_empty());
        if reached.node.kind() != Kind::Null && !is_empty() {
            self.ignore(|| place(path, reached), no_object(reached.node));
        }
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

/// Whether a source's conditions hold.
fn holds_all(event: Node<'_, '_>, source: &Source) -> bool {
    is_meant(event, &source.when, &source.unless)
}

fn is_meant(event: Node<'_, '_>, when: &[Condition], unless: &[Condition]) -> bool {
    let holds = |condition: &Condition| holds(event, condition);
    when.iter().all(holds) && !unless.iter().any(holds)
}

fn holds(event: Node<'_, '_>, condition: &Condition) -> bool {
    let is_one = |node: Node<'_, '_>| condition.values.iter().any(|value| is_equal(node, value));
    event.find(&condition.path.0, |node| is_one(node).then_some(())).is_some()
}

fn is_equal(node: Node<'_, '_>, value: &Literal) -> bool {
    match value {
        Literal::Text(text) => node.string().is_some_and(|found| found == *text),
        Literal::Bool(flag) => node.kind() == Kind::Bool(*flag),
        Literal::Integer(number) => {
            node.kind() == Kind::Integer && node.text().parse() == Ok(*number)
        }
        Literal::Present => node.kind() != Kind::Null,
    }
}

/// Whether what a source cannot use is what another source of the same namespace expects: some
/// systems write the same thing now as an object, now as an array.
fn is_read_otherwise(sources: &NamespaceSources, path: &Path, reached: &Reached<'_, '_>) -> bool {
    let kind = reached.node.kind();
    let is_container = matches!(kind, Kind::Array | Kind::Object);
    let is_end = reached.taken == path.0.len();
    if is_end && !is_container {
        return false;
    }
    sources.from.iter().any(|other| {
        let other = &other.source.path.0;
        other.starts_with(&path.0[..reached.taken])
            && match other.get(reached.taken) {
                None => !is_end && !is_container,
                Some(Step::Field(_)) => kind == Kind::Object,
                Some(_) => kind == Kind::Array,
            }
    })
}

/// Name and value of a trait that stands as an object of its own, or why there is none.
fn named_value<'n, 'a>(
    element: Node<'n, 'a>,
    pairs: &PairSource,
) -> Result<(Cow<'a, str>, Node<'n, 'a>), &'static str> {
    let object = element.object().ok_or_else(|| no_object(element))?;
    let name = object.get(&pairs.name).ok_or("has no name")?;
    let name = match name.kind() {
        Kind::Integer => Cow::Borrowed(name.text()),
        _ => name.string().ok_or("its name is not text")?,
    };
    Ok((name, object.get(&pairs.value).ok_or("has no value")?))
}

/// Where in the event something is: as the path says, with the positions in arrays.
fn place(path: &Path, reached: &Reached<'_, '_>) -> String {
    let mut positions = reached.positions.iter();
    let mut place = String::new();
    for step in &path.0[..reached.taken] {
        match step {
            Step::Field(name) => place = field_place(&place, name),
            Step::Each | Step::At(_) | Step::Where { .. } => {
                let position = positions.next().map_or(0, |position| *position);
                place.push_str(&format!("[{position}]"));
            }
        }
    }
    place
}

fn field_place(object: &str, name: &str) -> String {
    let name = cut(name, TRAIT_NAME_BYTES_MAX);
    if object.is_empty() { name.to_owned() } else { format!("{object}.{name}") }
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

#[cfg(test)]
#[path = "extract_tests.rs"]
mod tests;
#[cfg(test)]
mod vendor_tests;
