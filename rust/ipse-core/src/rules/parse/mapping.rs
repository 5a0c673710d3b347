//! How raw events are read, from TOML: the `[mapping]` table and each namespace's `from` and
//! `key`.

use super::super::Rules;
use super::super::mapping::{
    Condition, Literal, Mapping, NameSource, NamespaceSources, PairSource, Path, RefuseRule,
    Source, TimeSource, TimeUnit, ValueSource, VerbRule, spellings,
};
use super::super::table::{Entry, TableReader};
use super::namespace::Taken;
use crate::change::Verb;
use crate::limits::{IDENTIFIER_VALUE_BYTES_MAX, TRAIT_NAME_BYTES_MAX};
use crate::time::DAY_MS;

const UNITS: &[(&str, TimeUnit)] = &[
    ("s", TimeUnit::Seconds),
    ("ms", TimeUnit::Milliseconds),
    ("s_or_ms", TimeUnit::SecondsOrMilliseconds),
];

const VERBS: &[(&str, Verb)] =
    &[("login", Verb::Login), ("logout", Verb::Logout), ("link", Verb::Link)];

const BECAUSE_BYTES_MAX: usize = 256;

/// Reads the `[mapping]` table. The places of identifiers stand with their namespaces, strongest
/// first; the rules' namespaces must be known already.
pub(super) fn mapping_rules(
    table: Option<TableReader<'_>>,
    identifiers: Vec<NamespaceSources>,
    rules: &Rules,
) -> Mapping {
    let mut mapping = Mapping::with_defaults();
    if let Some(table) = table {
        event_fields(&table, &mut mapping);
        trait_places(&table, &mut mapping);
        mapping.keys = sources(table.get("keys"));
        mapping.external_ids = table.get("external_ids").and_then(|entry| source(&entry));
        mapping.identifier_names = list(table.get("identifier_names"), name_source);
        mapping.verbs = list(table.get("verbs"), |entry| verb_rule(entry, rules));
        mapping.refuse = list(table.get("refuse"), refuse_rule);
        batches(table.get("batches"));
        table.finish();
    }
    mapping.set_identifiers(identifiers);
    mapping
}

/// Reads where a namespace's values are; `None` if its table does not say.
pub(super) fn namespace_sources(
    name: &str,
    table: &TableReader<'_>,
    taken: &mut Taken,
) -> Option<NamespaceSources> {
    let source = NamespaceSources {
        namespace: name.to_owned(),
        from: list(table.get("from"), value_source),
        key_spellings: table.get("key").map_or(Vec::new(), |entry| key(name, &entry, taken)),
    };
    let has_source = !source.from.is_empty() || !source.key_spellings.is_empty();
    has_source.then_some(source)
}

fn key(name: &str, entry: &Entry<'_>, taken: &mut Taken) -> Vec<String> {
    let Some(key) = entry.text() else {
        return Vec::new();
    };
    if key.is_empty() || key.len() > IDENTIFIER_VALUE_BYTES_MAX {
        entry.problem("is the name of a trait or property");
        return Vec::new();
    }
    let spellings = spellings(key);
    let other = spellings.iter().find_map(|s| Some((s, taken.keys.get(s)?)));
    if let Some((spelling, other)) = other {
        entry.problem(format!("{other} reads {spelling:?} already"));
    }
    taken.keys.extend(spellings.iter().map(|s| (s.clone(), name.to_owned())));
    spellings
}

/// What an event has one of: without the key, the place that Segment has for it.
fn event_fields(table: &TableReader<'_>, mapping: &mut Mapping) {
    if let Some(entry) = table.get("event_id") {
        mapping.event_id = list(Some(entry), single_source);
    }
    if let Some(entry) = table.get("type") {
        mapping.kind = list(Some(entry), single_source);
    }
    if let Some(entry) = table.get("timestamp") {
        mapping.timestamp = list(Some(entry), time_source);
    }
}

fn trait_places(table: &TableReader<'_>, mapping: &mut Mapping) {
    mapping.traits = sources(table.get("traits"));
    mapping.traits_once = sources(table.get("traits_once"));
    mapping.traits_unset = sources(table.get("traits_unset"));
    mapping.named_traits = table.get("named_traits").map_or(Vec::new(), |entry| named(&entry));
    mapping.trait_pairs = list(table.get("trait_pairs"), pair_source);
}

/// `{ first_name = "firstName" }`
fn named(entry: &Entry<'_>) -> Vec<(String, Source)> {
    let Some(table) = entry.table() else { return Vec::new() };
    let mut traits = Vec::new();
    for (name, entry) in table.entries() {
        if name.is_empty() || name.len() > TRAIT_NAME_BYTES_MAX {
            entry.problem(format!("a trait's name is 1 to {TRAIT_NAME_BYTES_MAX} bytes"));
        }
        traits.extend(single_source(&entry).map(|source| (name, source)));
    }
    traits
}

fn verb_rule(entry: &Entry<'_>, rules: &Rules) -> Option<VerbRule> {
    let table = entry.table()?;
    let (when, unless) = (table.get("when"), table.get("unless"));
    let (verb, sources) = (table.get("verb"), table.get("sources"));
    if when.is_none() {
        entry.problem("needs `when`: without it every event would be this verb");
    }
    if verb.is_none() {
        entry.problem("needs `verb`: login, logout or link");
    }
    let verb = verb.and_then(|verb| verb.word(VERBS)).unwrap_or_default();
    match (verb, &sources) {
        (Verb::Link, None) => entry.problem("needs `sources`: what a link joins"),
        (Verb::Logout, Some(sources)) => sources.problem("a logout joins nothing"),
        _ => {}
    }
    let rule = VerbRule {
        when: when.map_or(Vec::new(), |entry| conditions(&entry)),
        unless: unless.map_or(Vec::new(), |entry| conditions(&entry)),
        verb,
        force: table.get("force").and_then(|entry| entry.boolean()).unwrap_or(false),
        identifiers: list(table.get("identifiers"), |entry| verb_source(entry, rules)),
        sources: list(sources, |entry| verb_source(entry, rules)),
    };
    table.finish();
    Some(rule)
}

fn refuse_rule(entry: &Entry<'_>) -> Option<RefuseRule> {
    let table = entry.table()?;
    let (when, unless) = (table.get("when"), table.get("unless"));
    let because = table.get("because");
    if when.is_none() {
        entry.problem("needs `when`: without it every event would be refused");
    }
    if because.is_none() {
        entry.problem("needs `because`: what the refusal says");
    }
    let because = because.and_then(|because| {
        let text = because.text()?;
        if text.is_empty() || text.len() > BECAUSE_BYTES_MAX {
            because.problem(format!("is a text of 1 to {BECAUSE_BYTES_MAX} bytes"));
        }
        Some(text.to_owned())
    });
    table.finish();
    Some(RefuseRule {
        when: when.map_or(Vec::new(), |entry| conditions(&entry)),
        unless: unless.map_or(Vec::new(), |entry| conditions(&entry)),
        because: because.unwrap_or_default(),
    })
}

/// Only looked at: who reads files takes the names from the text. An event never holds others.
fn batches(entry: Option<Entry<'_>>) {
    for entry in entry.iter().flat_map(Entry::items) {
        if entry.text().is_some_and(str::is_empty) {
            entry.problem("is the name of a field");
        }
    }
}

/// `{ namespace = "email", from = "traits.email" }`
fn verb_source(entry: &Entry<'_>, rules: &Rules) -> Option<NamespaceSources> {
    let table = entry.table()?;
    let (namespace, from) = (table.get("namespace"), table.get("from"));
    if namespace.is_none() || from.is_none() {
        entry.problem("needs `namespace` and `from`");
    }
    let namespace = namespace.and_then(|entry| known_namespace(&entry, rules));
    let from = list(from, value_source);
    table.finish();
    Some(NamespaceSources { namespace: namespace?, from, key_spellings: Vec::new() })
}

fn known_namespace(entry: &Entry<'_>, rules: &Rules) -> Option<String> {
    let name = entry.text()?;
    if rules.namespace(name).is_none() {
        entry.problem(format!("{name:?} is not one of the namespaces of these rules"));
    }
    Some(name.to_owned())
}

/// What stands under a key, one or a list of it.
fn list<T>(entry: Option<Entry<'_>>, read: impl Fn(&Entry<'_>) -> Option<T>) -> Vec<T> {
    entry.map_or(Vec::new(), |entry| entry.items().iter().filter_map(read).collect())
}

fn sources(entry: Option<Entry<'_>>) -> Vec<Source> {
    list(entry, source)
}

fn source(entry: &Entry<'_>) -> Option<Source> {
    if !entry.value.is_table() {
        return Some(Source::of(path(entry)?));
    }
    let table = entry.table()?;
    let source = place(entry, &table);
    table.finish();
    source
}

/// A place of something that an event has one of.
fn single_source(entry: &Entry<'_>) -> Option<Source> {
    let source = source(entry)?;
    refuse_plural(entry, &source);
    Some(source)
}

fn value_source(entry: &Entry<'_>) -> Option<ValueSource> {
    if !entry.value.is_table() {
        let (only_prefix, unless_prefix, strip_prefix) = (None, None, None);
        return Some(ValueSource {
            source: source(entry)?,
            only_prefix,
            unless_prefix,
            strip_prefix,
        });
    }
    let table = entry.table()?;
    let source = place(entry, &table);
    let prefix = |entry: Option<Entry<'_>>| entry.and_then(|entry| prefix(&entry));
    let only_prefix = prefix(table.get("only_prefix"));
    let unless_prefix = prefix(table.get("unless_prefix"));
    let strip_prefix = prefix(table.get("strip_prefix"));
    table.finish();
    Some(ValueSource { source: source?, only_prefix, unless_prefix, strip_prefix })
}

fn prefix(entry: &Entry<'_>) -> Option<String> {
    let text = entry.text()?;
    if text.is_empty() {
        entry.problem("is empty: every value begins so");
    }
    Some(text.to_owned())
}

fn time_source(entry: &Entry<'_>) -> Option<TimeSource> {
    if !entry.value.is_table() {
        return Some(TimeSource { source: single_source(entry)?, unit: None, utc_offset_ms: None });
    }
    let table = entry.table()?;
    let source = place(entry, &table);
    let unit = table.get("unit").and_then(|entry| entry.word(UNITS));
    let utc_offset_ms = table.get("utc_offset").and_then(|entry| utc_offset_ms(&entry));
    table.finish();
    let source = source?;
    refuse_plural(entry, &source);
    Some(TimeSource { source, unit, utc_offset_ms })
}

/// `+02:00`, in milliseconds.
fn utc_offset_ms(entry: &Entry<'_>) -> Option<i64> {
    let text = entry.text()?;
    let read = || {
        let (sign, digits) = text.split_at_checked(1)?;
        let sign = [("+", 1), ("-", -1)].iter().find(|(known, _)| *known == sign)?.1;
        let (hours, minutes) = digits.split_once(':')?;
        let number = |digits: &str| {
            let is_pair = digits.len() == 2 && digits.bytes().all(|b| b.is_ascii_digit());
            is_pair.then(|| digits.parse::<i64>().ok()).flatten()
        };
        let (hours, minutes) = (number(hours)?, number(minutes)?);
        (hours < 24 && minutes < 60).then_some(sign * (hours * 60 + minutes) * (DAY_MS / 1_440))
    };
    let offset = read();
    if offset.is_none() {
        entry.problem("is not an offset such as \"+02:00\"");
    }
    offset
}

fn pair_source(entry: &Entry<'_>) -> Option<PairSource> {
    let pair = |source, name: Option<&str>, value: Option<&str>| PairSource {
        source,
        name: name.unwrap_or("name").to_owned(),
        value: value.unwrap_or("value").to_owned(),
    };
    if !entry.value.is_table() {
        return Some(pair(source(entry)?, None, None));
    }
    let table = entry.table()?;
    let source = place(entry, &table);
    let (name, value) = (table.get("name"), table.get("value"));
    table.finish();
    let text = |entry: Option<Entry<'_>>| entry.and_then(|entry| entry.text().map(str::to_owned));
    Some(pair(source?, text(name).as_deref(), text(value).as_deref()))
}

fn name_source(entry: &Entry<'_>) -> Option<NameSource> {
    Some(NameSource { source: source(entry)?, known: Vec::new() })
}

/// The path and conditions of a table that may say more.
fn place(entry: &Entry<'_>, table: &TableReader<'_>) -> Option<Source> {
    let place = table.get("path").map(|entry| path(&entry));
    if place.is_none() {
        entry.problem("needs `path`, such as \"context.device.id\"");
    }
    let list = |entry: Option<Entry<'_>>| entry.map_or(Vec::new(), |entry| conditions(&entry));
    let (when, unless) = (list(table.get("when")), list(table.get("unless")));
    Some(Source { path: place??, when, unless })
}

fn refuse_plural(entry: &Entry<'_>, source: &Source) {
    if source.path.is_plural() {
        entry.problem("leads to several places: name one element, such as \"events[0].id\"");
    }
}

fn path(entry: &Entry<'_>) -> Option<Path> {
    let path = Path::parse(entry.text()?);
    if path.is_none() {
        entry.problem(
            "is not a path of keys joined by dots, such as \"context.device.id\", \
             \"ids[].value\" or \"ids[type=email].value\"",
        );
    }
    path
}

fn conditions(entry: &Entry<'_>) -> Vec<Condition> {
    let Some(table) = entry.table() else {
        return Vec::new();
    };
    let mut conditions = Vec::new();
    for (name, value) in table.entries() {
        let Some(path) = Path::parse(&name) else {
            value.problem("its key is not a path such as \"context.device.type\"");
            continue;
        };
        let items = value.items();
        if items.is_empty() {
            value.problem("needs a value to compare with");
        }
        let values = items.iter().filter_map(literal).collect();
        conditions.push(Condition { path, values });
    }
    conditions
}

/// A text, a whole number, true, false or, for anything but null, `{ present = true }`.
fn literal(entry: &Entry<'_>) -> Option<Literal> {
    if entry.value.is_table() {
        return present(entry);
    }
    if let Some(value) = entry.value.as_bool() {
        return Some(Literal::Bool(value));
    }
    if entry.value.is_integer() {
        return entry.integer().map(Literal::Integer);
    }
    entry.text().map(|text| Literal::Text(text.to_owned()))
}

fn present(entry: &Entry<'_>) -> Option<Literal> {
    let table = entry.table()?;
    let is_present = table.get("present").and_then(|entry| entry.boolean());
    table.finish();
    if is_present != Some(true) {
        entry.problem("is a value to compare with, or { present = true }");
    }
    Some(Literal::Present)
}

#[cfg(test)]
#[path = "mapping_tests.rs"]
mod tests;
