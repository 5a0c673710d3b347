//! From a TOML text to rules. Every key that exists is read here, and nowhere else.
//!
//! Each table is read by a file of its own, key by key. Only when every key is good by itself
//! do the [`checks`] compare them: a misspelt trigger would make half of the file look wrong.

mod blocked;
mod checks;
mod commands;
mod mapping;
mod namespace;
mod traits;
mod workspace;

use toml::de::DeTable;

use super::table::{Problems, TableReader};
use super::{Rules, RulesProblem};
use crate::limits::RULES_BYTES_MAX;
use mapping::mapping_rules;
use namespace::{Taken, namespace_tables};

const TABLES: &[&str] = &["workspace", "commands", "traits", "namespaces", "mapping"];

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
    let table = |name| top.get(name).and_then(|entry| entry.table());
    report_unknown_tables(top);

    let mut taken = Taken::default();
    let mut rules = workspace::workspace_rules(table("workspace"));
    commands::command_rules(table("commands"), &mut rules, &mut taken);
    traits::trait_rules(table("traits"), &mut rules);
    let mut sources = Vec::new();
    match table("namespaces") {
        Some(table) => namespace_tables(&table, &mut rules, &mut sources, &mut taken),
        None => problems.add(None, "namespaces", "is missing: rules name at least one namespace"),
    }
    sources.sort_by_key(|source| rules.by_name.get(source.namespace.as_str()).copied());
    rules.mapping = mapping_rules(table("mapping"), sources, &rules);
    if problems.is_empty() {
        checks::check(top, &rules);
    }
    rules.note_what_is_used();
    Some(rules)
}

fn report_unknown_tables(top: &TableReader<'_>) {
    for (name, entry) in top.entries() {
        if !TABLES.contains(&name.as_str()) {
            entry.problem(format!("unknown table; known: {}", TABLES.join(", ")));
        }
    }
}
