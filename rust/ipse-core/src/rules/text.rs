//! A rules text on its way from the request to the graph, and what is said about a wrong one.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use super::Rules;

/// A rules text and, if it was parsed here already, what it says: compiling patterns takes
/// time, so a text is parsed once on its way from the request to the graph.
#[derive(Clone, Debug)]
pub struct RulesText<'a> {
    text: Cow<'a, str>,
    parsed: Option<Arc<Rules>>,
}

/// One thing that is wrong with a rules text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RulesProblem {
    /// The line, from 1; 0 if it is about the whole.
    pub line: u32,
    /// The key, for example `namespaces.email.limit`; empty if it is about the whole.
    pub key: String,
    /// What is wrong and what to do.
    pub message: String,
}

impl<'a> RulesText<'a> {
    /// A text that is parsed when it is needed.
    pub fn unparsed(text: impl Into<Cow<'a, str>>) -> RulesText<'a> {
        RulesText { text: text.into(), parsed: None }
    }

    /// Reads and checks a text.
    pub fn parse(text: impl Into<Cow<'a, str>>) -> Result<RulesText<'a>, Vec<RulesProblem>> {
        RulesText::unparsed(text).parsed()
    }

    /// The same, parsed.
    pub fn parsed(self) -> Result<RulesText<'a>, Vec<RulesProblem>> {
        let rules = self.rules()?;
        Ok(RulesText { text: self.text, parsed: Some(rules) })
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What it says.
    pub fn rules(&self) -> Result<Arc<Rules>, Vec<RulesProblem>> {
        match &self.parsed {
            Some(rules) => Ok(rules.clone()),
            None => Rules::from_toml(&self.text).map(Arc::new),
        }
    }
}

impl<'a, T: AsRef<str> + ?Sized> From<&'a T> for RulesText<'a> {
    fn from(text: &'a T) -> RulesText<'a> {
        RulesText::unparsed(text.as_ref())
    }
}

/// Texts are equal, whether they were parsed or not.
impl PartialEq for RulesText<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl fmt::Display for RulesProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.line, self.key.as_str()) {
            (0, "") => write!(f, "{}", self.message),
            (0, key) => write!(f, "{key}: {}", self.message),
            (line, "") => write!(f, "line {line}: {}", self.message),
            (line, key) => write!(f, "line {line}: {key}: {}", self.message),
        }
    }
}
