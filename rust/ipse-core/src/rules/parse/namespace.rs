//! The `[namespaces]` tables, but for where raw events hold their values.

use hashbrown::HashMap;
use phonenumber::country;

use super::super::mapping::NamespaceSources;
use super::super::table::{Entry, TableReader};
use super::super::{Blocked, Kind, Limit, NamespaceRules, Rules, Window};
use super::blocked::{blocked, one_pattern};
use super::mapping::namespace_sources;
use super::workspace::set;
use crate::identifier::{FORMER_ID, Normaliser, is_namespace_name};
use crate::limits::{EXPIRY_DAYS_MAX, NAMESPACE_BYTES_MAX, NAMESPACES_MAX};
use crate::time::DAY_MS;

/// Segment's default for every namespace but `user_id`.
const DEFAULT_LIMIT: Limit = Limit { values: 5, window: Window::Ever };

const WINDOWS: &[(&str, Window)] = &[
    ("ever", Window::Ever),
    ("daily", Window::Millis(DAY_MS)),
    ("weekly", Window::Millis(7 * DAY_MS)),
    ("monthly", Window::Millis(30 * DAY_MS)),
    ("annually", Window::Millis(365 * DAY_MS)),
];

/// The kinds of identifiers, by name.
pub(super) const KINDS: &[(&str, Kind)] = &[
    ("person", Kind::Person),
    ("email", Kind::Email),
    ("phone", Kind::Phone),
    ("device", Kind::Device),
    ("cookie", Kind::Cookie),
    ("token", Kind::Token),
    ("partner", Kind::Partner),
];

/// What only one namespace may have, and what all share a bound on.
#[derive(Default)]
pub(super) struct Taken {
    pub(super) priorities: HashMap<u32, String, foldhash::fast::FixedState>,
    pub(super) keys: HashMap<String, String, foldhash::fast::FixedState>,
    /// Patterns so far.
    pub(super) patterns: usize,
}

/// Reads all of them into the rules, strongest first, and the places of their values.
pub(super) fn namespace_tables(
    tables: &TableReader<'_>,
    rules: &mut Rules,
    sources: &mut Vec<NamespaceSources>,
    taken: &mut Taken,
) {
    let entries = tables.entries();
    if entries.len() > NAMESPACES_MAX {
        entries[NAMESPACES_MAX].1.problem(format!("more than {NAMESPACES_MAX} namespaces"));
    }
    for (name, entry) in &entries {
        check_name(name, entry);
        let Some(table) = entry.table() else { continue };
        rules.namespaces.push(namespace_rules(name, &table, taken));
        sources.extend(namespace_sources(name, &table, taken));
        table.finish();
    }
    let order = |n: &NamespaceRules| (n.priority.unwrap_or(u32::MAX), n.name.clone());
    rules.namespaces.sort_by_key(order);
    let names = rules.namespaces.iter().enumerate();
    rules.by_name = names.map(|(at, namespace)| (namespace.name.clone(), at)).collect();
}

/// What holds of a namespace of which nothing is said.
pub(super) fn default_namespace(name: &str) -> NamespaceRules {
    NamespaceRules {
        name: name.into(),
        priority: None,
        kind: None,
        limit: DEFAULT_LIMIT,
        login: false,
        immutable: false,
        exclusive: false,
        shared: false,
        pair_limits: Vec::new(),
        sha256_of: None,
        canonical_prefix: "".into(),
        normaliser: Normaliser::None,
        pattern: None,
        blocked: Blocked::default(),
        expires_after_days: None,
    }
}

fn check_name(name: &str, entry: &Entry<'_>) {
    if !is_namespace_name(name) {
        entry.problem("a namespace is 1 to 64 of a-z 0-9 _ . -, a letter first");
    }
    if name == FORMER_ID {
        entry.problem("is reserved: ids that profiles had in another system stand there");
    }
}

fn namespace_rules(name: &str, table: &TableReader<'_>, taken: &mut Taken) -> NamespaceRules {
    let mut namespace = default_namespace(name);
    if let Some(entry) = table.get("priority") {
        namespace.priority = entry.number(1..=u32::MAX - 1);
        take_priority(name, &entry, namespace.priority, taken);
    }
    namespace.kind = table.get("kind").and_then(|entry| entry.word(KINDS));
    set(&mut namespace.limit, table.get("limit").and_then(|entry| limit(&entry)));
    let flag = |name| table.get(name).and_then(|entry| entry.boolean()).unwrap_or(false);
    namespace.login = flag("login");
    namespace.immutable = flag("immutable");
    namespace.exclusive = flag("exclusive");
    namespace.shared = flag("shared");
    relations(table, &mut namespace);
    namespace.normaliser = normaliser(table.get("normalise"), table.get("region"));
    let pattern = table.get("pattern");
    namespace.pattern = pattern.and_then(|entry| one_pattern(&entry, &mut taken.patterns));
    let values = table.get("blocked").map(|entry| blocked(&entry, &mut taken.patterns));
    set(&mut namespace.blocked, values);
    let expiry = table.get("expires_after_days");
    namespace.expires_after_days = expiry.and_then(|entry| entry.number(1..=EXPIRY_DAYS_MAX));
    namespace
}

fn take_priority(name: &str, entry: &Entry<'_>, priority: Option<u32>, taken: &mut Taken) {
    let Some(priority) = priority else { return };
    if let Some(other) = taken.priorities.insert(priority, name.to_owned()) {
        entry.problem(format!(
            "{other} has priority {priority} already; two namespaces cannot be equally strong"
        ));
    }
}

/// What a namespace has to do with others. Whether those exist is known once all are read.
fn relations(table: &TableReader<'_>, namespace: &mut NamespaceRules) {
    if let Some(per) = table.get("per").and_then(|entry| entry.table()) {
        let limit =
            |(name, entry): (String, Entry<'_>)| Some((name.into(), entry.number(1..=u32::MAX)?));
        namespace.pair_limits = per.entries().into_iter().filter_map(limit).collect();
    }
    namespace.sha256_of = table.get("sha256_of").and_then(|entry| entry.text()).map(Into::into);
    let Some(entry) = table.get("canonical_prefix") else { return };
    let Some(prefix) = entry.text() else { return };
    if prefix.is_empty() || prefix.len() > NAMESPACE_BYTES_MAX {
        entry.problem(format!("is 1 to {NAMESPACE_BYTES_MAX} bytes, such as \"device:\""));
    }
    namespace.canonical_prefix = prefix.into();
}

fn limit(entry: &Entry<'_>) -> Option<Limit> {
    if entry.value.is_str() {
        let unlimited = Limit { values: u32::MAX, window: Window::Ever };
        return entry.word(&[("none", unlimited)]);
    }
    if !entry.value.is_table() {
        return Some(Limit { values: entry.number(1..=u32::MAX)?, window: Window::Ever });
    }
    let table = entry.table()?;
    let values = table.get("values").and_then(|values| values.number(1..=u32::MAX));
    let window = match table.get("window") {
        Some(window) => window.word(WINDOWS),
        None => Some(Window::Ever),
    };
    if values.is_none() {
        entry.problem("needs `values`, a whole number from 1");
    }
    table.finish();
    Some(Limit { values: values?, window: window? })
}

fn normaliser(entry: Option<Entry<'_>>, region: Option<Entry<'_>>) -> Normaliser {
    #[derive(Clone, Copy, PartialEq)]
    enum Form {
        Plain(Normaliser),
        Phone,
    }
    let forms = [
        ("none", Form::Plain(Normaliser::None)),
        ("trim", Form::Plain(Normaliser::Trim)),
        ("lowercase", Form::Plain(Normaliser::Lowercase)),
        ("email", Form::Plain(Normaliser::Email)),
        ("phone", Form::Phone),
    ];
    let form = entry.as_ref().and_then(|entry| entry.word(&forms));
    match (form, region) {
        (Some(Form::Phone), Some(region)) => {
            phone_region(&region).map_or(Normaliser::None, Normaliser::Phone)
        }
        (Some(Form::Phone), None) => {
            if let Some(entry) = entry {
                entry.problem(
                    "phone needs `region`, two letters such as \"UA\", to read national numbers",
                );
            }
            Normaliser::None
        }
        (form, region) => {
            if let Some(region) = region {
                region.problem("is used with normalise = \"phone\" only");
            }
            match form {
                Some(Form::Plain(normaliser)) => normaliser,
                _ => Normaliser::None,
            }
        }
    }
}

fn phone_region(entry: &Entry<'_>) -> Option<country::Id> {
    let region = entry.text()?.parse().ok();
    if region.is_none() {
        entry.problem("is not a region of ISO 3166 in two capital letters, such as \"UA\"");
    }
    region
}
