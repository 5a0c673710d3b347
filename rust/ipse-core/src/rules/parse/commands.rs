//! The `[commands]` table: what login, logout, link and merge do, and what guards their sources.

use super::super::table::{Entry, TableReader};
use super::super::{Guards, Logout, MarksKnown, NewKnown, Rules};
use super::blocked::one_pattern;
use super::namespace::Taken;
use super::workspace::set;

const NEW_KNOWN: &[(&str, NewKnown)] =
    &[("convert", NewKnown::Convert), ("create", NewKnown::Create)];
const LOGOUTS: &[(&str, Logout)] =
    &[("stay", Logout::Stay), ("create", Logout::Create), ("return", Logout::Return)];

/// Reads the table, if there is one.
pub(super) fn command_rules(table: Option<TableReader<'_>>, rules: &mut Rules, taken: &mut Taken) {
    let Some(table) = table else { return };
    let command = |name| table.get(name).and_then(|entry: Entry<'_>| entry.table());
    if let Some(login) = command("login") {
        set(&mut rules.new_known, login.get("new_known").and_then(|e| e.word(NEW_KNOWN)));
        rules.login_guards = source_guards(&login, taken);
        login.finish();
    }
    if let Some(logout) = command("logout") {
        set(&mut rules.logout, logout.get("profile").and_then(|e| e.word(LOGOUTS)));
        logout.finish();
    }
    if let Some(link) = command("link") {
        let source_once = is_set(&link, "source_once");
        rules.link_guards = Guards { source_once, ..source_guards(&link, taken) };
        link.finish();
    }
    if let Some(merge) = command("merge") {
        rules.merge_guards = profile_guards(&merge);
        merge.finish();
    }
    table.finish();
}

/// The guards of commands whose sources are identifiers.
fn source_guards(table: &TableReader<'_>, taken: &mut Taken) -> Guards {
    let pattern = table.get("source_pattern");
    Guards {
        source_pattern: pattern.and_then(|entry| one_pattern(&entry, &mut taken.patterns)),
        ..profile_guards(table)
    }
}

/// The guards of commands whose sources are profiles: those have no value to look at.
fn profile_guards(table: &TableReader<'_>) -> Guards {
    Guards {
        unknown_source: is_set(table, "unknown_source"),
        marks_known: marks_known(table),
        ..Guards::default()
    }
}

fn marks_known(table: &TableReader<'_>) -> MarksKnown {
    let words =
        [("never", MarksKnown::Never), ("joined", MarksKnown::Joined), ("kept", MarksKnown::Kept)];
    table.get("marks_known").and_then(|entry| entry.word(&words)).unwrap_or_default()
}

fn is_set(table: &TableReader<'_>, name: &'static str) -> bool {
    table.get(name).and_then(|entry| entry.boolean()).unwrap_or(false)
}
