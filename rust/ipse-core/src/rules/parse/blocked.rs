//! Values that name nobody, and patterns, each bounded: compiling them is most of the time
//! that reading rules takes.

use toml::de::DeTable;

use super::super::table::{Entry, Problems, TableReader};
use super::super::{Blocked, blocked_list, blocked_list_names};
use crate::limits::{
    BLOCKED_VALUES_MAX, IDENTIFIER_VALUE_BYTES_MAX, PATTERN_BYTES_MAX, PATTERNS_MAX,
};

/// What a `blocked` key says, before it is compiled.
#[derive(Default)]
struct Items {
    exact: Vec<Box<str>>,
    patterns: Vec<String>,
    longer_than: Option<u32>,
}

/// Reads a `blocked` key. `patterns` counts those of the whole text so far.
pub(super) fn blocked(entry: &Entry<'_>, patterns: &mut usize) -> Blocked {
    let mut items = Items::default();
    if !collect(entry, patterns, &mut items) {
        return Blocked::default();
    }
    let texts: Vec<&str> = items.patterns.iter().map(String::as_str).collect();
    Blocked::new(items.exact, &texts, items.longer_than).unwrap_or_else(|error| {
        entry.problem(format!("the patterns together are too large: {error}"));
        Blocked::default()
    })
}

/// Reads a key that holds one pattern.
pub(super) fn one_pattern(entry: &Entry<'_>, patterns: &mut usize) -> Option<regex::Regex> {
    if !count(entry, patterns) {
        return None;
    }
    compile(entry, entry.text()?)
}

/// Whether nothing was wrong so far that makes reading on pointless.
fn collect(entry: &Entry<'_>, patterns: &mut usize, items: &mut Items) -> bool {
    let found = entry.items();
    if found.len() + items.exact.len() > BLOCKED_VALUES_MAX {
        entry.problem(format!("{} values; at most {BLOCKED_VALUES_MAX}", found.len()));
        return false;
    }
    found.iter().all(|item| {
        if item.value.is_table() {
            return table_item(item, patterns, items);
        }
        items.exact.extend(item.text().map(Into::into));
        true
    })
}

fn table_item(item: &Entry<'_>, patterns: &mut usize, items: &mut Items) -> bool {
    let Some(table) = item.table() else { return false };
    let (regex, list, longer) = (table.get("regex"), table.get("list"), table.get("longer_than"));
    table.finish();
    match (regex, list, longer) {
        (Some(regex), None, None) => {
            let is_allowed = count(item, patterns);
            items.patterns.extend(is_allowed.then(|| pattern(&regex)).flatten());
            is_allowed
        }
        (None, Some(list), None) => named_list(&list, patterns, items),
        (None, None, Some(longer)) => {
            let most = longer.number(1..=IDENTIFIER_VALUE_BYTES_MAX as u32);
            items.longer_than = match (items.longer_than, most) {
                (Some(one), Some(other)) => Some(one.min(other)),
                (one, other) => one.or(other),
            };
            true
        }
        _ => {
            item.problem("is a string, or a table with one of `regex`, `list`, `longer_than`");
            true
        }
    }
}

/// The items of a list that ships with ipse, as if they stood here.
fn named_list(entry: &Entry<'_>, patterns: &mut usize, items: &mut Items) -> bool {
    let Some(name) = entry.text() else { return true };
    let Some(text) = blocked_list(name) else {
        let known: Vec<&str> = blocked_list_names().collect();
        entry.problem(format!("{name:?} is not one of: {}", known.join(", ")));
        return true;
    };
    let problems = Problems::new(text);
    let table = DeTable::parse(text).expect("a list that ships is TOML: a test reads each");
    let list = TableReader::new("", table.get_ref(), &problems).get("blocked");
    let before = *patterns;
    let is_read = list.is_some_and(|list| collect(&list, patterns, items));
    if !is_read && *patterns > PATTERNS_MAX && before <= PATTERNS_MAX {
        entry.problem(format!("is too many patterns: {PATTERNS_MAX} are allowed in all"));
    }
    is_read
}

fn count(item: &Entry<'_>, patterns: &mut usize) -> bool {
    *patterns += 1;
    let is_allowed = *patterns <= PATTERNS_MAX;
    if !is_allowed {
        item.problem(format!("is one pattern too many: {PATTERNS_MAX} are allowed in all"));
    }
    is_allowed
}

/// A pattern that is good, as text: those of a namespace are compiled together.
fn pattern(entry: &Entry<'_>) -> Option<String> {
    let text = entry.text()?;
    // Each alone first: the set's error would not say which one it is.
    compile(entry, text).map(|_| text.to_owned())
}

fn compile(entry: &Entry<'_>, pattern: &str) -> Option<regex::Regex> {
    match regex::RegexBuilder::new(pattern).size_limit(PATTERN_BYTES_MAX).build() {
        Ok(regex) => Some(regex),
        Err(error) => {
            let text = error.to_string();
            let reason = text.lines().last().unwrap_or_default().trim_start_matches("error: ");
            entry.problem(format!("is not a pattern: {reason}"));
            None
        }
    }
}
