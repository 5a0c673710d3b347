//! From a TOML text to rules. Every key that exists is read here, and nowhere else.

use hashbrown::HashMap;
use phonenumber::country;
use toml::de::DeTable;

use super::mapping::{
    Condition, Literal, Mapping, NamespaceSources, Source, parse_path, spellings,
};
use super::table::{Entry, Problems, TableReader};
use super::{
    AmbiguousEvent, AnonymousHistory, Blocked, Conflict, Guards, Limit, Logout, NamespaceRules,
    NewKnown, OverLimit, Rules, RulesProblem, Survivor, Survivorship, Trigger, Window,
};
use crate::identifier::{Normaliser, is_namespace_name};
use crate::limits::{
    BLOCKED_VALUES_MAX, IDENTIFIER_VALUE_BYTES_MAX, NAMESPACES_MAX, PATTERN_BYTES_MAX,
    PATTERNS_MAX, RULES_BYTES_MAX,
};

use crate::time::DAY_MS;

/// Segment's default for every namespace but `user_id`.
const DEFAULT_LIMIT: Limit = Limit { values: 5, window: Window::Ever };
/// Segment's caps on one profile.
const DEFAULT_MERGES_MAX: u32 = 100;
const DEFAULT_IDENTIFIERS_MAX: u32 = 1_000;
/// On how many profiles a shared identifier may be: more is no shared device but a default value.
const DEFAULT_HOLDERS_MAX: u32 = 1_000;
/// Bounds on what rules may allow: beyond them a profile is no person.
const CAP_MAX: u32 = 10_000_000;

const WINDOWS: &[(&str, Window)] = &[
    ("ever", Window::Ever),
    ("daily", Window::Millis(DAY_MS)),
    ("weekly", Window::Millis(7 * DAY_MS)),
    ("monthly", Window::Millis(30 * DAY_MS)),
    ("annually", Window::Millis(365 * DAY_MS)),
];

pub(super) fn parse(text: &str) -> Result<Rules, Vec<RulesProblem>> {
    let problems = Problems::new(text);
    if text.len() > RULES_BYTES_MAX {
        let message = format!("{} bytes; at most {RULES_BYTES_MAX} are allowed", text.len());
        problems.add(None, "", message);
        return Err(problems.into_found());
    }
    let rules = match DeTable::parse(text) {
        Ok(table) => document(&TableReader::new("", table.get_ref(), &problems), &problems),
        Err(error) => {
            problems.add(error.span(), "", error.message());
            None
        }
    };
    match rules {
        Some(rules) if problems.is_empty() => Ok(rules),
        _ => Err(problems.into_found()),
    }
}

fn document(top: &TableReader<'_>, problems: &Problems<'_>) -> Option<Rules> {
    let workspace = top.get("workspace").and_then(|entry| entry.table());
    let namespaces = top.get("namespaces").and_then(|entry| entry.table());
    let mapping = top.get("mapping").and_then(|entry| entry.table());
    report_unknown_tables(top);

    let mut rules = workspace_rules(workspace);
    let mut sources = Vec::new();
    match namespaces {
        Some(table) => namespace_tables(&table, &mut rules, &mut sources),
        None => problems.add(None, "namespaces", "is missing: rules name at least one namespace"),
    }
    rules.mapping = mapping_rules(mapping);
    sources.sort_by_key(|source| rules.by_name.get(source.namespace.as_str()).copied());
    rules.mapping.identifiers = sources;
    Some(rules)
}

fn report_unknown_tables(top: &TableReader<'_>) {
    for (name, entry) in top.entries() {
        if !["workspace", "namespaces", "mapping"].contains(&name.as_str()) {
            entry.problem("unknown table; known: workspace, namespaces, mapping");
        }
    }
}

fn workspace_rules(table: Option<TableReader<'_>>) -> Rules {
    let mut rules = Rules {
        trigger: Trigger::SeenTogether,
        key: None,
        conflict: Conflict::DropLowest,
        survivor: Survivor::Oldest,
        merges_max: DEFAULT_MERGES_MAX,
        identifiers_max: DEFAULT_IDENTIFIERS_MAX,
        over_limit: OverLimit::Refuse,
        moved_max: CAP_MAX,
        holders_max: DEFAULT_HOLDERS_MAX,
        ambiguous_event: AmbiguousEvent::Judge,
        anonymous_history: AnonymousHistory::Retroactive,
        canonical_id: Vec::new(),
        new_known: NewKnown::Convert,
        logout: Logout::Stay,
        login_guards: Guards::default(),
        link_guards: Guards::default(),
        merge_guards: Guards::default(),
        attributes_history: true,
        survivorship: Survivorship::Newest,
        trait_survivorship: HashMap::default(),
        auto_add: None,
        namespaces: Vec::new(),
        by_name: HashMap::default(),
        mapping: Mapping::default(),
    };
    let Some(table) = table else {
        return rules;
    };
    let policies = [("drop_lowest", Conflict::DropLowest), ("legacy_2020", Conflict::Legacy2020)];
    if let Some(policy) = table.get("conflict").and_then(|entry| entry.word(&policies)) {
        rules.conflict = policy;
    }
    if let Some(survivor) =
        table.get("survivor").and_then(|entry| entry.word(&[("oldest", Survivor::Oldest)]))
    {
        rules.survivor = survivor;
    }
    if let Some(cap) = table.get("merges_max").and_then(|entry| entry.number(0..=CAP_MAX)) {
        rules.merges_max = cap;
    }
    if let Some(cap) = table.get("identifiers_max").and_then(|entry| entry.number(1..=CAP_MAX)) {
        rules.identifiers_max = cap;
    }
    if table.get("auto_add").and_then(|entry| entry.boolean()) == Some(true) {
        rules.auto_add = Some(default_namespace(""));
    }
    table.finish();
    rules
}

fn default_namespace(name: &str) -> NamespaceRules {
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
    }
}

fn namespace_tables(
    tables: &TableReader<'_>,
    rules: &mut Rules,
    sources: &mut Vec<NamespaceSources>,
) {
    let entries = tables.entries();
    let mut taken = Taken::default();
    if entries.len() > NAMESPACES_MAX {
        entries[NAMESPACES_MAX].1.problem(format!("more than {NAMESPACES_MAX} namespaces"));
    }
    for (name, entry) in &entries {
        if !is_namespace_name(name) {
            entry.problem("a namespace is 1 to 64 of a-z 0-9 _ . -, a letter first");
        }
        let Some(table) = entry.table() else { continue };
        let (namespace, source) = namespace_rules(name, &table, &mut taken);
        table.finish();
        rules.namespaces.push(namespace);
        sources.extend(source);
    }
    let order = |n: &NamespaceRules| (n.priority.unwrap_or(u32::MAX), n.name.clone());
    rules.namespaces.sort_by_key(order);
    let names = rules.namespaces.iter().enumerate();
    rules.by_name = names.map(|(at, namespace)| (namespace.name.clone(), at)).collect();
}

/// What only one namespace may have.
#[derive(Default)]
struct Taken {
    priorities: HashMap<u32, String, foldhash::fast::FixedState>,
    keys: HashMap<String, String, foldhash::fast::FixedState>,
    /// Patterns so far, which all namespaces share a bound on.
    patterns: usize,
}

fn namespace_rules(
    name: &str,
    table: &TableReader<'_>,
    taken: &mut Taken,
) -> (NamespaceRules, Option<NamespaceSources>) {
    let mut namespace = default_namespace(name);
    if let Some(entry) = table.get("priority") {
        namespace.priority = entry.number(1..=u32::MAX - 1);
        take_priority(name, &entry, namespace.priority, taken);
    }
    if let Some(limit) = table.get("limit").and_then(|entry| limit(&entry)) {
        namespace.limit = limit;
    }
    namespace.login = table.get("login").and_then(|entry| entry.boolean()).unwrap_or(false);
    namespace.normaliser = normaliser(table.get("normalise"), table.get("region"));
    if let Some(entry) = table.get("blocked") {
        namespace.blocked = blocked(&entry, taken);
    }
    let source = NamespaceSources {
        namespace: name.to_owned(),
        from: table.get("from").map_or(Vec::new(), |entry| source_list(&entry)),
        key_spellings: table.get("key").map_or(Vec::new(), |entry| key(name, &entry, taken)),
    };
    let has_source = !source.from.is_empty() || !source.key_spellings.is_empty();
    (namespace, has_source.then_some(source))
}

fn take_priority(name: &str, entry: &Entry<'_>, priority: Option<u32>, taken: &mut Taken) {
    let Some(priority) = priority else { return };
    if let Some(other) = taken.priorities.insert(priority, name.to_owned()) {
        entry.problem(format!(
            "{other} has priority {priority} already; two namespaces cannot be equally strong"
        ));
    }
}

fn limit(entry: &Entry<'_>) -> Option<Limit> {
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
    enum Kind {
        Plain(Normaliser),
        Phone,
    }
    let kinds = [
        ("none", Kind::Plain(Normaliser::None)),
        ("trim", Kind::Plain(Normaliser::Trim)),
        ("lowercase", Kind::Plain(Normaliser::Lowercase)),
        ("email", Kind::Plain(Normaliser::Email)),
        ("phone", Kind::Phone),
    ];
    let kind = entry.as_ref().and_then(|entry| entry.word(&kinds));
    match (kind, region) {
        (Some(Kind::Phone), Some(region)) => {
            phone_region(&region).map_or(Normaliser::None, Normaliser::Phone)
        }
        (Some(Kind::Phone), None) => {
            if let Some(entry) = entry {
                entry.problem(
                    "phone needs `region`, two letters such as \"UA\", to read national numbers",
                );
            }
            Normaliser::None
        }
        (kind, region) => {
            if let Some(region) = region {
                region.problem("is used with normalise = \"phone\" only");
            }
            match kind {
                Some(Kind::Plain(normaliser)) => normaliser,
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

fn blocked(entry: &Entry<'_>, taken: &mut Taken) -> Blocked {
    let items = entry.items();
    if items.len() > BLOCKED_VALUES_MAX {
        entry.problem(format!("{} values; at most {BLOCKED_VALUES_MAX}", items.len()));
        return Blocked::default();
    }
    let mut exact = Vec::new();
    let mut patterns = Vec::new();
    for item in &items {
        if item.value.is_table() {
            taken.patterns += 1;
            if taken.patterns > PATTERNS_MAX {
                item.problem(format!("is one pattern too many: {PATTERNS_MAX} are allowed in all"));
                return Blocked::default();
            }
            patterns.extend(pattern(item));
        } else if let Some(text) = item.text() {
            exact.push(text.into());
        }
    }
    Blocked::new(exact, &patterns).unwrap_or_else(|error| {
        entry.problem(format!("the patterns together are too large: {error}"));
        Blocked::default()
    })
}

fn pattern<'a>(item: &Entry<'a>) -> Option<&'a str> {
    let table = item.table()?;
    let Some(entry) = table.get("regex") else {
        item.problem("is a string, or a table with `regex`");
        return None;
    };
    table.finish();
    let pattern = entry.text()?;
    // Each alone first: the set's error would not say which one it is.
    match regex::RegexBuilder::new(pattern).size_limit(PATTERN_BYTES_MAX).build() {
        Ok(_) => Some(pattern),
        Err(error) => {
            let text = error.to_string();
            let reason = text.lines().last().unwrap_or_default().trim_start_matches("error: ");
            entry.problem(format!("is not a pattern: {reason}"));
            None
        }
    }
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

fn mapping_rules(table: Option<TableReader<'_>>) -> Mapping {
    let Some(table) = table else {
        return Mapping::default();
    };
    let list = |entry: Option<Entry<'_>>| entry.map_or(Vec::new(), |entry| source_list(&entry));
    let mapping = Mapping {
        identifiers: Vec::new(),
        traits: list(table.get("traits")),
        keys: list(table.get("keys")),
        external_ids: table.get("external_ids").and_then(|entry| source(&entry)),
    };
    table.finish();
    mapping
}

fn source_list(entry: &Entry<'_>) -> Vec<Source> {
    entry.items().iter().filter_map(source).collect()
}

fn source(entry: &Entry<'_>) -> Option<Source> {
    if !entry.value.is_table() {
        return Some(Source { path: path(entry)?, when: Vec::new(), unless: Vec::new() });
    }
    let table = entry.table()?;
    let place = table.get("path").and_then(|entry| path(&entry));
    if place.is_none() {
        entry.problem("needs `path`, such as \"context.device.id\"");
    }
    let list = |entry: Option<Entry<'_>>| entry.map_or(Vec::new(), |entry| conditions(&entry));
    let source =
        Source { path: place?, when: list(table.get("when")), unless: list(table.get("unless")) };
    table.finish();
    Some(source)
}

fn path(entry: &Entry<'_>) -> Option<Vec<String>> {
    let path = parse_path(entry.text()?);
    if path.is_none() {
        entry.problem("is not a path of keys joined by dots, such as \"context.device.id\"");
    }
    path
}

fn conditions(entry: &Entry<'_>) -> Vec<Condition> {
    let Some(table) = entry.table() else {
        return Vec::new();
    };
    let mut conditions = Vec::new();
    for (name, value) in table.entries() {
        let Some(path) = parse_path(&name) else {
            value.problem("its key is not a path such as \"context.device.type\"");
            continue;
        };
        let values: Vec<Literal> = value.items().iter().filter_map(literal).collect();
        if values.is_empty() {
            value.problem("needs a value to compare with");
        }
        conditions.push(Condition { path, values });
    }
    conditions
}

fn literal(entry: &Entry<'_>) -> Option<Literal> {
    if let Some(value) = entry.value.as_bool() {
        return Some(Literal::Bool(value));
    }
    if entry.value.is_integer() {
        return entry.integer().map(Literal::Integer);
    }
    entry.text().map(|text| Literal::Text(text.to_owned()))
}
