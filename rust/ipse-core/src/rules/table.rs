//! Reading a TOML table key by key, collecting problems with their lines.
//!
//! A reader knows where it is (`namespaces.email`), which keys were asked for, and where in
//! the text each began; [`TableReader::finish`] reports the keys that nobody asked for.

use std::cell::RefCell;
use std::ops::Range;

use serde_spanned::Spanned;
use toml::de::{DeTable, DeValue};

use super::RulesProblem;
use crate::limits::RULES_PROBLEMS_MAX;

/// The text, and what was found wrong with it so far.
pub(super) struct Problems<'t> {
    text: &'t str,
    found: RefCell<Vec<RulesProblem>>,
}

impl<'t> Problems<'t> {
    pub(super) fn new(text: &'t str) -> Problems<'t> {
        Problems { text, found: RefCell::default() }
    }

    /// Notes a problem; beyond the bound, only that there are more.
    pub(super) fn add(&self, span: Option<Range<usize>>, key: &str, message: impl Into<String>) {
        if self.found.borrow().len() >= RULES_PROBLEMS_MAX {
            return;
        }
        let line = span.map_or(0, |span| self.line(span.start));
        let problem = RulesProblem { line, key: key.to_owned(), message: message.into() };
        self.found.borrow_mut().push(problem);
    }

    /// All problems, in the order of lines.
    pub(super) fn into_found(self) -> Vec<RulesProblem> {
        let mut found = self.found.into_inner();
        found.sort_by_key(|problem| problem.line);
        found
    }

    pub(super) fn is_empty(&self) -> bool {
        self.found.borrow().is_empty()
    }

    fn line(&self, offset: usize) -> u32 {
        let before = &self.text.as_bytes()[..offset.min(self.text.len())];
        before.iter().filter(|&&byte| byte == b'\n').count() as u32 + 1
    }
}

/// A value, and the key it stands under.
#[derive(Clone)]
pub(super) struct Entry<'a> {
    pub(super) key: String,
    pub(super) value: &'a DeValue<'a>,
    pub(super) span: Range<usize>,
    problems: &'a Problems<'a>,
}

/// A table, read key by key.
pub(super) struct TableReader<'a> {
    path: String,
    table: &'a DeTable<'a>,
    problems: &'a Problems<'a>,
    asked: RefCell<Vec<&'static str>>,
}

impl<'a> TableReader<'a> {
    pub(super) fn new(path: &str, table: &'a DeTable<'a>, problems: &'a Problems<'a>) -> Self {
        TableReader { path: path.to_owned(), table, problems, asked: RefCell::default() }
    }

    /// The value of a key, if it is there.
    pub(super) fn get(&self, name: &'static str) -> Option<Entry<'a>> {
        self.asked.borrow_mut().push(name);
        let (key, value) = self.table.iter().find(|(key, _)| key.get_ref() == name)?;
        Some(self.entry(key.get_ref(), value))
    }

    /// Every key with its value, whatever its name.
    pub(super) fn entries(&self) -> Vec<(String, Entry<'a>)> {
        let entry = |(key, value): (&Spanned<_>, &'a Spanned<DeValue<'a>>)| {
            let key: &std::borrow::Cow<'_, str> = key.get_ref();
            (key.to_string(), self.entry(key, value))
        };
        self.table.iter().map(entry).collect()
    }

    /// The value at the end of a path of keys, if it is there. Does not count as asked for.
    pub(super) fn find(&self, path: &[&str]) -> Option<Entry<'a>> {
        let (first, rest) = path.split_first()?;
        let (key, value) = self.table.iter().find(|(key, _)| key.get_ref() == first)?;
        let entry = self.entry(key.get_ref(), value);
        let Some(table) = entry.value.as_table().filter(|_| !rest.is_empty()) else {
            return rest.is_empty().then_some(entry);
        };
        TableReader::new(&entry.key, table, self.problems).find(rest)
    }

    /// Reports a problem with the value at a path of keys, or with the nearest one around it
    /// that the text has.
    pub(super) fn problem_at(&self, path: &[&str], message: &str) {
        let key = path.iter().fold(String::new(), |before, key| join(&before, key));
        let nearest = (1..=path.len()).rev().find_map(|length| self.find(&path[..length]));
        self.problems.add(nearest.map(|entry| entry.span), &key, message);
    }

    /// Reports the keys that were not asked for.
    pub(super) fn finish(self) {
        let asked = self.asked.into_inner();
        for (key, value) in self.table {
            if !asked.contains(&key.get_ref().as_ref()) {
                let path = join(&self.path, key.get_ref());
                let message = format!("unknown key; known here: {}", asked.join(", "));
                self.problems.add(Some(key.span().start..value.span().end), &path, message);
            }
        }
    }

    fn entry(&self, key: &str, value: &'a Spanned<DeValue<'a>>) -> Entry<'a> {
        Entry {
            key: join(&self.path, key),
            value: value.get_ref(),
            span: value.span(),
            problems: self.problems,
        }
    }
}

impl<'a> Entry<'a> {
    /// Reports a problem with this value.
    pub(super) fn problem(&self, message: impl Into<String>) {
        self.problems.add(Some(self.span.clone()), &self.key, message);
    }

    pub(super) fn text(&self) -> Option<&'a str> {
        self.expect("a string", self.value.as_str())
    }

    pub(super) fn boolean(&self) -> Option<bool> {
        self.expect("true or false", self.value.as_bool())
    }

    /// A whole number within a range.
    pub(super) fn number(&self, range: std::ops::RangeInclusive<u32>) -> Option<u32> {
        let integer = self.integer()?;
        let number = u32::try_from(integer).ok().filter(|number| range.contains(number));
        if number.is_none() {
            self.problem(format!("must be from {} to {}", range.start(), range.end()));
        }
        number
    }

    pub(super) fn integer(&self) -> Option<i64> {
        let integer = self.value.as_integer();
        let parse = |i: &toml::de::DeInteger<'_>| i64::from_str_radix(i.as_str(), i.radix()).ok();
        self.expect("a whole number", integer.and_then(parse))
    }

    pub(super) fn table(&self) -> Option<TableReader<'a>> {
        let table = self.expect("a table", self.value.as_table())?;
        Some(TableReader::new(&self.key, table, self.problems))
    }

    /// The items of an array, or the value itself as the only item.
    pub(super) fn items(&self) -> Vec<Entry<'a>> {
        let Some(array) = self.value.as_array() else {
            return vec![self.clone()];
        };
        let item = |(at, value): (usize, &'a Spanned<DeValue<'a>>)| Entry {
            key: format!("{}[{at}]", self.key),
            value: value.get_ref(),
            span: value.span(),
            problems: self.problems,
        };
        array.iter().enumerate().map(item).collect()
    }

    /// One of a list of words.
    pub(super) fn word<T: Clone>(&self, words: &[(&str, T)]) -> Option<T> {
        let text = self.text()?;
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| value.clone());
        if found.is_none() {
            let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            self.problem(format!("{text:?} is not one of: {}", known.join(", ")));
        }
        found
    }

    fn expect<T>(&self, what: &str, value: Option<T>) -> Option<T> {
        if value.is_none() {
            self.problem(format!("must be {what}, not {}", self.value.type_str()));
        }
        value
    }
}

fn join(path: &str, key: &str) -> String {
    let key = if key.contains(['.', ' ']) { format!("{key:?}") } else { key.to_owned() };
    if path.is_empty() { key } else { format!("{path}.{key}") }
}
