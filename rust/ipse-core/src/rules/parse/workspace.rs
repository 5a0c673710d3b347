//! The `[workspace]` table: what joins, what happens on conflict, whose id stays, the caps.

use hashbrown::HashMap;

use super::super::mapping::Mapping;
use super::super::table::{Entry, TableReader};
use super::super::{
    AmbiguousEvent, AnonymousHistory, Conflict, Guards, Logout, NewKnown, OverLimit, Rules,
    Survivor, Survivorship, Trigger, Uses,
};
use super::namespace::{KINDS, default_namespace};
use crate::limits::EXPIRY_DAYS_MAX;

/// Segment's caps on one profile.
const DEFAULT_MERGES_MAX: u32 = 100;
const DEFAULT_IDENTIFIERS_MAX: u32 = 1_000;
/// On how many profiles a shared identifier may be: more is no shared device but a default value.
const DEFAULT_HOLDERS_MAX: u32 = 1_000;
/// Bounds on what rules may allow: beyond them a profile is no person.
const HOLDERS_CAP_MAX: u32 = 10_000;
const CAP_MAX: u32 = 10_000_000;

const TRIGGERS: &[(&str, Trigger)] = &[
    ("seen_together", Trigger::SeenTogether),
    ("key", Trigger::Key),
    ("explicit", Trigger::Explicit),
];
const CONFLICTS: &[(&str, Conflict)] = &[
    ("drop_lowest", Conflict::DropLowest),
    ("legacy_2020", Conflict::Legacy2020),
    ("refuse", Conflict::Refuse),
    ("keep_first", Conflict::KeepFirst),
    ("transfer", Conflict::Transfer),
    ("replay", Conflict::Replay),
];
const SURVIVORS: &[(&str, Survivor)] = &[
    ("oldest", Survivor::Oldest),
    ("target", Survivor::Target),
    ("strongest_identifier", Survivor::StrongestIdentifier),
];
const AMBIGUOUS_EVENTS: &[(&str, AmbiguousEvent)] =
    &[("judge", AmbiguousEvent::Judge), ("refuse", AmbiguousEvent::Refuse)];
const ANONYMOUS_HISTORIES: &[(&str, AnonymousHistory)] = &[
    ("retroactive", AnonymousHistory::Retroactive),
    ("moves", AnonymousHistory::Moves),
    ("nobody", AnonymousHistory::Nobody),
];

/// Reads the table; without it, and for each key that it lacks, the default stands.
pub(super) fn workspace_rules(table: Option<TableReader<'_>>) -> Rules {
    let mut rules = defaults();
    let Some(table) = table else {
        return rules;
    };
    policies(&table, &mut rules);
    caps(&table, &mut rules);
    set(&mut rules.attributes_history, table.get("attribute_history").and_then(|e| e.boolean()));
    if table.get("auto_add").and_then(|entry| entry.boolean()) == Some(true) {
        rules.auto_add = Some(default_namespace(""));
    }
    table.finish();
    rules
}

/// Puts a value in a rule's place, if there is one.
pub(super) fn set<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}

fn policies(table: &TableReader<'_>, rules: &mut Rules) {
    let get = |name| table.get(name);
    set(&mut rules.trigger, get("trigger").and_then(|e| e.word(TRIGGERS)));
    rules.key = get("key").and_then(|entry| entry.text()).map(Into::into);
    rules.conflict = default_conflict(rules.trigger);
    set(&mut rules.conflict, get("conflict").and_then(|e| e.word(CONFLICTS)));
    set(&mut rules.survivor, get("survivor").and_then(|e| e.word(SURVIVORS)));
    set(&mut rules.ambiguous_event, get("ambiguous_event").and_then(|e| e.word(AMBIGUOUS_EVENTS)));
    set(
        &mut rules.anonymous_history,
        get("anonymous_history").and_then(|e| e.word(ANONYMOUS_HISTORIES)),
    );
    if let Some(entry) = get("canonical_id") {
        rules.canonical_id = distinct(&entry, |item| item.text().map(Into::into));
    }
}

/// What a trigger can do with a conflict if nothing is said: not every policy fits each.
fn default_conflict(trigger: Trigger) -> Conflict {
    match trigger {
        Trigger::SeenTogether => Conflict::DropLowest,
        Trigger::Key => Conflict::KeepFirst,
        Trigger::Explicit => Conflict::Refuse,
    }
}

fn caps(table: &TableReader<'_>, rules: &mut Rules) {
    let cap = |name, least| table.get(name).and_then(|entry| entry.number(least..=CAP_MAX));
    set(&mut rules.merges_max, cap("merges_max", 0));
    set(&mut rules.identifiers_max, cap("identifiers_max", 1));
    set(&mut rules.moved_max, cap("moved_max", 0));
    // An event looks at every holder of its shared identifiers.
    let holders_max = table.get("holders_max").and_then(|entry| entry.number(1..=HOLDERS_CAP_MAX));
    set(&mut rules.holders_max, holders_max);
    let days = table.get("anonymous_expires_after_days");
    rules.anonymous_expires_after_days = days.and_then(|entry| entry.number(1..=EXPIRY_DAYS_MAX));
    let order = table.get("evict_order");
    let order = order.map_or(Vec::new(), |entry| distinct(&entry, |item| item.word(KINDS)));
    let words = [
        ("refuse", OverLimit::Refuse),
        ("evict_oldest", OverLimit::EvictOldest),
        ("evict_by_kind", OverLimit::EvictByKind(order)),
    ];
    set(&mut rules.over_limit, table.get("over_limit").and_then(|entry| entry.word(&words)));
}

/// The items of a list in which nothing may stand twice.
fn distinct<'a, T: PartialEq>(entry: &Entry<'a>, read: impl Fn(&Entry<'a>) -> Option<T>) -> Vec<T> {
    let mut found = Vec::new();
    for item in entry.items() {
        match read(&item) {
            Some(value) if found.contains(&value) => item.problem("stands in the list already"),
            value => found.extend(value),
        }
    }
    found
}

fn defaults() -> Rules {
    Rules {
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
        anonymous_expires_after_days: None,
        auto_add: None,
        namespaces: Vec::new(),
        by_name: HashMap::default(),
        mapping: Mapping::default(),
        uses: Uses::default(),
    }
}
