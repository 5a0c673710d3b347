//! An event's identifiers, normalised, sorted strongest first, each once.

use std::borrow::Cow;

use crate::change::{Reason, Rule};
use crate::event::{Event, SentIdentifier};
use crate::graph::Graph;
use crate::graph::identifiers::IdentifierId;
use crate::identifier::{Normaliser, normalise};

use crate::limits::NAMESPACES_MAX;

use super::{Refusal, fields};

/// An identifier of the event on its way to a verdict.
#[derive(Clone, Debug)]
pub(super) struct Candidate<'a> {
    pub(super) namespace: Cow<'a, str>,
    pub(super) value: Cow<'a, str>,
    pub(super) raw: Option<Cow<'a, str>>,
    /// The namespace's index, if the workspace has it.
    pub(super) index: Option<u16>,
    /// Smaller is stronger; ties fall to the namespace's name and then the value.
    priority: u32,
    /// Where it is attached, if it is.
    pub(super) found: Option<Found>,
    /// Set as soon as a rule has taken it off the event.
    pub(super) dropped: Option<Reason>,
}

/// Where an identifier is attached.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    pub(super) id: IdentifierId,
    pub(super) root: u32,
}

/// The event's key ranks before every priority, which begin at 1.
const KEY_PRIORITY: u32 = 0;

/// The candidates, strongest first; what is unknown, invalid or blocked is dropped already.
/// Refuses an event with an identifier that cannot be one.
pub(super) fn of_event<'a>(
    graph: &Graph,
    event: &'a Event<'a>,
) -> Result<Vec<Candidate<'a>>, Refusal> {
    let mut candidates = Vec::with_capacity(event.identifiers.len());
    let added = added_namespaces(graph, event);
    for (at, sent) in event.identifiers.iter().enumerate() {
        let index = graph.namespaces().index(&sent.namespace);
        fields::check_identifier(at, sent, index.is_some())?;
        let is_added = added.contains(&sent.namespace.as_ref());
        candidates.push(candidate(graph, event.key_namespace, sent, index, is_added));
    }
    candidates.sort_unstable_by(|a, b| a.strength().cmp(&b.strength()));
    candidates.dedup_by(|b, a| a.namespace == b.namespace && a.value == b.value);
    Ok(candidates)
}

/// The namespaces that the event may bring in: by name, as many as there is room for.
fn added_namespaces<'a>(graph: &Graph, event: &'a Event<'a>) -> Vec<&'a str> {
    let namespaces = graph.namespaces();
    if namespaces.rules().auto_add().is_none() {
        return Vec::new();
    }
    let names = event.identifiers.iter().map(|sent| sent.namespace.as_ref());
    let mut new: Vec<&str> = names.filter(|name| namespaces.index(name).is_none()).collect();
    new.sort_unstable();
    new.dedup();
    new.truncate(NAMESPACES_MAX - namespaces.names().len());
    new
}

impl Candidate<'_> {
    /// Whether it is still on the event and attached nowhere: what would be added.
    pub(super) fn is_new(&self) -> bool {
        self.dropped.is_none() && self.found.is_none()
    }

    /// What candidates are sorted by: of one namespace, the value that sorts last is weakest.
    fn strength(&self) -> (u32, &str, &str) {
        (self.priority, &self.namespace, &self.value)
    }
}

fn candidate<'a>(
    graph: &Graph,
    key: &str,
    sent: &'a SentIdentifier<'a>,
    index: Option<u16>,
    is_added: bool,
) -> Candidate<'a> {
    let (priority, _) = graph.namespaces().order_of(index, &sent.namespace);
    let is_key = *sent.namespace == *key;
    let mut candidate = Candidate {
        namespace: Cow::Borrowed(&sent.namespace),
        value: Cow::Borrowed(&sent.value),
        raw: None,
        index,
        priority: if is_key { KEY_PRIORITY } else { priority },
        found: None,
        dropped: None,
    };
    if let Err(rule) = judge(graph, sent, is_added, &mut candidate) {
        candidate.dropped = Some(Reason { rule, limit: None, collided: None });
    }
    candidate
}

/// Normalises a candidate and looks it up; the rule that keeps it off the event, if one does.
/// A dropped one is looked up too: the answer says who holds it.
fn judge<'a>(
    graph: &Graph,
    sent: &'a SentIdentifier<'a>,
    is_added: bool,
    candidate: &mut Candidate<'a>,
) -> Result<(), Rule> {
    let namespaces = graph.namespaces();
    let rules = namespaces.rules_for(candidate.index);
    let rules = rules.filter(|_| candidate.index.is_some() || is_added);
    let normaliser = rules.map_or(Normaliser::None, |rules| rules.normaliser);
    let normal = normalise(normaliser, &sent.value).ok_or(Rule::InvalidValue)?;
    if *normal != *sent.value {
        candidate.raw = Some(Cow::Borrowed(&sent.value));
    }
    candidate.value = normal;
    if let Some(index) = candidate.index {
        let id = graph.identifiers.find(index, &candidate.value);
        candidate.found = id.map(|id| Found { id, root: graph.root_of(id) });
    }
    match rules {
        None => Err(Rule::UnknownNamespace),
        Some(rules) if rules.blocked.contains(&candidate.value) => Err(Rule::BlockedValue),
        Some(_) => Ok(()),
    }
}
