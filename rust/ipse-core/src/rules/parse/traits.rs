//! The `[traits]` table: which of two values a merged profile has.

use super::super::table::TableReader;
use super::super::{Rules, Survivorship};
use super::workspace::set;
use crate::limits::{PROFILE_TRAITS_MAX, TRAIT_NAME_BYTES_MAX};

const SURVIVORSHIPS: &[(&str, Survivorship)] = &[
    ("newest", Survivorship::Newest),
    ("oldest", Survivorship::Oldest),
    ("survivor", Survivorship::Survivor),
    ("absorbed", Survivorship::Absorbed),
    ("survivor_only", Survivorship::SurvivorOnly),
    ("union", Survivorship::Union),
    ("sum", Survivorship::Sum),
    ("min", Survivorship::Min),
    ("max", Survivorship::Max),
];

/// Reads the table, if there is one.
pub(super) fn trait_rules(table: Option<TableReader<'_>>, rules: &mut Rules) {
    let Some(table) = table else { return };
    let all = table.get("survivorship").and_then(|entry| entry.word(SURVIVORSHIPS));
    set(&mut rules.survivorship, all);
    if let Some(by_name) = table.get("by_name").and_then(|entry| entry.table()) {
        named_traits(&by_name, rules);
    }
    table.finish();
}

fn named_traits(table: &TableReader<'_>, rules: &mut Rules) {
    let entries = table.entries();
    if entries.len() > PROFILE_TRAITS_MAX {
        entries[PROFILE_TRAITS_MAX].1.problem(format!("more than {PROFILE_TRAITS_MAX} traits"));
    }
    for (name, entry) in entries {
        if name.is_empty() || name.len() > TRAIT_NAME_BYTES_MAX {
            entry.problem(format!("a trait's name is 1 to {TRAIT_NAME_BYTES_MAX} bytes"));
        }
        if let Some(survivorship) = entry.word(SURVIVORSHIPS) {
            rules.trait_survivorship.insert(name.into(), survivorship);
        }
    }
}
