//! What comes in: one event, as the wire handed it over, nothing judged yet.

use std::borrow::Cow;

use crate::change::{ProfileNumber, Verb};
use crate::graph::Hint;
use crate::time::Timestamp;

/// One event. Borrows from the request: an event that teaches nothing allocates little.
#[derive(Clone, Debug, Default)]
pub struct Event<'a> {
    /// The caller's id; empty if it gave none.
    pub event_id: &'a str,
    /// What is asked for: `Observe`, `Login`, `Logout` or `Link`. Other verbs are commands of
    /// their own, see [`crate::command`].
    pub verb: Verb,
    /// What happened, for example `track`.
    pub kind: &'a str,
    /// The app or feed that sent it.
    pub source: &'a str,
    /// When it happened; log time if absent.
    pub timestamp: Option<Timestamp>,
    /// A profile that the caller knows it belongs to: stronger than every identifier.
    pub profile: Option<ProfileNumber>,
    /// The namespace that ranks first on this event; empty if none does.
    pub key_namespace: &'a str,
    /// Seen together, in any order.
    pub identifiers: Vec<SentIdentifier<'a>>,
    /// `Login` and `Link` only: to be joined to the profile that `identifiers` lead to, in
    /// this order. Where the rules join what is seen together they are identifiers like others.
    pub sources: Vec<SentIdentifier<'a>>,
    /// `Login` and `Link` only: pass over the guards of the rules' commands, as an operator may.
    pub force: bool,
    /// By name, each once.
    pub traits: Vec<SentTrait<'a>>,
}

/// An identifier as it was sent, before its namespace's normaliser.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SentIdentifier<'a> {
    /// The namespace's name.
    pub namespace: Cow<'a, str>,
    /// The value; decimal text if it was an integer.
    pub value: Cow<'a, str>,
    /// Where it is likely to be, if that was read ahead.
    pub hint: Hint,
}

impl<'a> SentIdentifier<'a> {
    /// An identifier that nobody has looked for yet.
    pub fn new(
        namespace: impl Into<Cow<'a, str>>,
        value: impl Into<Cow<'a, str>>,
    ) -> SentIdentifier<'a> {
        SentIdentifier { namespace: namespace.into(), value: value.into(), hint: Hint::default() }
    }
}

/// A trait as it was sent.
#[derive(Clone, Debug, PartialEq)]
pub struct SentTrait<'a> {
    /// The trait's name.
    pub name: Cow<'a, str>,
    /// The value, or `None` to remove it.
    pub value: Option<TraitValue<'a>>,
    /// Whether it only counts where the profile has no value.
    pub set_once: bool,
}

/// A trait's value.
#[derive(Clone, Debug, PartialEq)]
pub enum TraitValue<'a> {
    /// Text.
    Text(Cow<'a, str>),
    /// A whole number.
    Integer(i64),
    /// Any other finite number.
    Number(f64),
    /// True or false.
    Bool(bool),
    /// An array or object as JSON text.
    Json(Cow<'a, str>),
}

impl TraitValue<'_> {
    /// The same value, on its own.
    pub fn to_static(&self) -> TraitValue<'static> {
        match self {
            TraitValue::Text(text) => TraitValue::Text(Cow::Owned(text.to_string())),
            TraitValue::Integer(number) => TraitValue::Integer(*number),
            TraitValue::Number(number) => TraitValue::Number(*number),
            TraitValue::Bool(value) => TraitValue::Bool(*value),
            TraitValue::Json(text) => TraitValue::Json(Cow::Owned(text.to_string())),
        }
    }
}
