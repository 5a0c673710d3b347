//! An event's identifiers, normalised, sorted strongest first, each once.

use std::borrow::Cow;

use crate::change::{PassedLimit, ProfileNumber, Reason, Rule};
use crate::erasure::{unheld_pseudonym, value_hash};
use crate::event::{Event, SentIdentifier};
use crate::graph::Graph;
use crate::graph::identifiers::IdentifierId;
use crate::identifier::{FORMER_ID, Normaliser, normalise, sha256_hex};
use crate::rules::{AmbiguousEvent, NamespaceRules, Trigger};

use super::{Refusal, fields, pairs};

/// An identifier of the event on its way to a verdict.
#[derive(Clone, Debug)]
pub(super) struct Candidate<'a> {
    pub(super) namespace: Cow<'a, str>,
    pub(super) value: Cow<'a, str>,
    pub(super) raw: Option<Cow<'a, str>>,
    /// The namespace's index, if the workspace has it.
    pub(super) index: Option<u16>,
    /// Smaller is stronger; ties fall to the namespace's name and then the value.
    pub(super) priority: u32,
    /// Where it is attached, if it is.
    pub(super) found: Option<Found>,
    /// What it may do to profiles.
    pub(super) role: Role,
    /// Set as soon as a rule has taken it off the event. Boxed: most never are, and candidates
    /// are sorted.
    pub(super) dropped: Option<Box<Reason>>,
}

/// Where an identifier is attached.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    pub(super) id: IdentifierId,
    /// The root of the profile that held it first.
    pub(super) root: u32,
}

/// What an identifier may do to profiles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Find and join them.
    Joins,
    /// Find one, or move to another.
    Exclusive,
    /// Find several, and be on several.
    Shared,
}

/// The event's key ranks before every priority, which begin at 1.
const KEY_PRIORITY: u32 = 0;

/// The candidates, strongest first; what is unknown, invalid or blocked is dropped already.
/// Where commands alone join, sources follow the event's own, in the order of the request;
/// elsewhere they are candidates like others. Gives how many of the last are sources, too.
/// Refuses an event with an identifier that cannot be one.
pub(super) fn of_event<'a>(
    graph: &Graph,
    event: &'a Event<'a>,
) -> Result<(Vec<Candidate<'a>>, usize), Refusal> {
    let mut candidates = Vec::with_capacity(event.identifiers.len());
    let added = added_namespaces(graph, event);
    let key = key_of(graph, event);
    read(graph, key, &event.identifiers, &added, "event.identifiers", &mut candidates)?;
    let is_apart = graph.rules().trigger == Trigger::Explicit;
    if !is_apart && !event.sources.is_empty() {
        read(graph, key, &event.sources, &added, "sources", &mut candidates)?;
    }
    candidates.sort_unstable_by(|a, b| a.strength().cmp(&b.strength()));
    candidates.dedup_by(|b, a| a.is_same(b));
    settle(graph, &mut candidates);
    let own = candidates.len();
    if is_apart && !event.sources.is_empty() {
        let mut sources = Vec::with_capacity(event.sources.len());
        read(graph, key, &event.sources, &added, "sources", &mut sources)?;
        for source in sources {
            let hashes = hashes_of(graph, &source);
            for source in std::iter::once(source).chain(hashes) {
                if !candidates.iter().any(|earlier| earlier.is_same(&source)) {
                    candidates.push(source);
                }
            }
        }
    }
    if graph.rules().has_pair_limits() {
        pairs::refuse(graph, &mut candidates);
    }
    let sources = candidates.len() - own;
    Ok((candidates, sources))
}

/// The candidates of a list that is no event's, in its order and as often as they stand there.
/// `added` are the namespaces that the whole command may bring in.
pub(super) fn of_list<'a>(
    graph: &Graph,
    identifiers: &'a [SentIdentifier<'a>],
    added: &[&str],
    field: &str,
) -> Result<Vec<Candidate<'a>>, Refusal> {
    let mut candidates = Vec::with_capacity(identifiers.len());
    read(graph, "", identifiers, added, field, &mut candidates)?;
    Ok(candidates)
}

/// The namespace that is an event's key: its own, or that of the rules.
pub(super) fn key_of<'k>(graph: &'k Graph, event: &'k Event<'_>) -> &'k str {
    match (event.key_namespace, graph.rules().trigger) {
        ("", Trigger::Key) => graph.rules().key.as_deref().unwrap_or_default(),
        (key, _) => key,
    }
}

fn read<'a>(
    graph: &Graph,
    key: &str,
    identifiers: &'a [SentIdentifier<'a>],
    added: &[&str],
    field: &str,
    candidates: &mut Vec<Candidate<'a>>,
) -> Result<(), Refusal> {
    let first = candidates.len();
    for (at, sent) in identifiers.iter().enumerate() {
        let index = graph.namespaces().index(&sent.namespace);
        fields::check_identifier(field, at, sent, index.is_some())?;
        let is_added = added.contains(&sent.namespace.as_ref());
        candidates.push(candidate(graph, key, sent, index, is_added));
    }
    suppress(graph, &mut candidates[first..]);
    Ok(())
}

/// What rules say of the event's identifiers as a whole: hashes that come along with plain
/// values, values that stand in each other's way.
fn settle(graph: &Graph, candidates: &mut Vec<Candidate<'_>>) {
    let rules = graph.rules();
    if rules.derives_hashes() {
        add_hashes(graph, candidates);
    }
    if rules.ambiguous_event == AmbiguousEvent::Refuse {
        refuse_ambiguous(graph, candidates);
    }
}

/// Adds the SHA-256 of each plain value of which the rules declare a hashed namespace.
fn add_hashes(graph: &Graph, candidates: &mut Vec<Candidate<'_>>) {
    let hashes: Vec<Candidate<'_>> =
        candidates.iter().flat_map(|candidate| hashes_of(graph, candidate)).collect();
    for hash in hashes {
        if !candidates.iter().any(|earlier| earlier.is_same(&hash)) {
            candidates.push(hash);
        }
    }
    candidates.sort_by(|a, b| a.strength().cmp(&b.strength()));
}

/// What comes along with a plain value: its hash, in each namespace that is declared to hold
/// the hashes of this one's.
pub(super) fn hashes_of<'a>(graph: &Graph, candidate: &Candidate<'_>) -> Vec<Candidate<'a>> {
    if !graph.rules().derives_hashes() || candidate.dropped.is_some() {
        return Vec::new();
    }
    let is_hash_of =
        |rules: &&NamespaceRules| rules.sha256_of.as_deref() == Some(candidate.namespace.as_ref());
    let namespaces = graph.rules().namespaces().iter().filter(is_hash_of);
    let hash = |rules| hashed_candidate(graph, rules, sha256_hex(&candidate.value));
    let mut hashes: Vec<Candidate<'_>> = namespaces.map(hash).collect();
    // The event did not bring it: there is nothing to say of one that is to stay erased.
    suppress(graph, &mut hashes);
    hashes.retain(|hash| hash.dropped.is_none());
    hashes
}

fn hashed_candidate<'a>(graph: &Graph, rules: &NamespaceRules, value: String) -> Candidate<'a> {
    let index = graph.namespaces().index(&rules.name);
    let (priority, _) = graph.namespaces().order_of(index, &rules.name);
    let found = index.and_then(|index| graph.identifiers.find(index, &value));
    Candidate {
        namespace: Cow::Owned(rules.name.to_string()),
        value: Cow::Owned(value),
        raw: None,
        index,
        priority,
        found: found.and_then(|id| Some(Found { id, root: graph.root_of(id)? })),
        role: role(rules),
        dropped: None,
    }
}

/// Drops everything, if two values of a namespace that allows one are on the event.
fn refuse_ambiguous(graph: &Graph, candidates: &mut [Candidate<'_>]) {
    let is_unique = |c: &Candidate<'_>| {
        let rules = graph.namespaces().rules_for(c.index);
        c.dropped.is_none() && rules.is_some_and(|rules| rules.limit.is_unique())
    };
    let twice = candidates.iter().enumerate().find_map(|(at, c)| {
        let again = candidates[..at].iter().any(|e| is_unique(e) && e.namespace == c.namespace);
        (is_unique(c) && again).then(|| c.namespace.to_string())
    });
    let Some(namespace) = twice else { return };
    let limit = Some(PassedLimit { namespace: Some(namespace.into()), value: 1 });
    for candidate in candidates.iter_mut().filter(|c| c.dropped.is_none()) {
        let reason = Reason { rule: Rule::AmbiguousEvent, limit: limit.clone(), collided: None };
        candidate.dropped = Some(Box::new(reason));
    }
}

/// The namespaces that the event may bring in: by name, as many as there is room for.
fn added_namespaces<'a>(graph: &Graph, event: &'a Event<'a>) -> Vec<&'a str> {
    let identifiers = event.identifiers.iter().chain(&event.sources);
    added_of(graph, identifiers.map(|sent| sent.namespace.as_ref()))
}

/// The namespaces of a list of names that a record may bring in.
pub(super) fn added_of<'a>(graph: &Graph, names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let namespaces = graph.namespaces();
    if namespaces.rules().auto_add().is_none() {
        return Vec::new();
    }
    let is_new = |name: &&str| namespaces.index(name).is_none() && *name != FORMER_ID;
    let mut new: Vec<&str> = names.filter(is_new).collect();
    new.sort_unstable();
    new.dedup();
    new.truncate(namespaces.room());
    new
}

impl Candidate<'_> {
    /// Whether it is still on the event and attached nowhere: what would be added.
    pub(super) fn is_new(&self) -> bool {
        self.dropped.is_none() && self.found.is_none()
    }

    /// The profile that holds it, the first if several do.
    pub(super) fn holder(&self, graph: &Graph) -> Option<ProfileNumber> {
        self.found.map(|found| graph.profiles.bearer(found.root))
    }

    /// Whether it is the same identifier.
    pub(super) fn is_same(&self, other: &Candidate<'_>) -> bool {
        self.namespace == other.namespace && self.value == other.value
    }

    /// What candidates are sorted by: of one namespace, the value that sorts last is weakest.
    pub(super) fn strength(&self) -> (u32, &str, &str) {
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
        role: Role::Joins,
        dropped: None,
    };
    if let Err(rule) = judge(graph, sent, is_added, &mut candidate) {
        candidate.dropped = Some(Box::new(Reason { rule, limit: None, collided: None }));
    }
    candidate
}

/// Takes values off that are to stay erased. A number stands for each from here on, so that
/// neither record nor answer brings it back.
fn suppress(graph: &Graph, candidates: &mut [Candidate<'_>]) {
    if graph.erasures.suppresses_none() {
        return;
    }
    let key = &graph.workspace().profile_key;
    for (at, candidate) in candidates.iter_mut().enumerate() {
        let hash = || value_hash(key, &candidate.namespace, &candidate.value);
        if candidate.found.is_none() && graph.erasures.is_suppressed(hash()) {
            let reason = Reason { rule: Rule::Suppressed, limit: None, collided: None };
            candidate.value = Cow::Owned(unheld_pseudonym(at));
            candidate.raw = None;
            candidate.dropped = Some(Box::new(reason));
        }
    }
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
    candidate.raw = raw_of(&normal, &sent.value);
    candidate.value = normal;
    if let Some(index) = candidate.index {
        let id = graph.find_hinted(sent.hint, index, &candidate.value);
        candidate.found = id.and_then(|id| Some(Found { id, root: graph.root_of(id)? }));
    }
    let rules = rules.ok_or(Rule::UnknownNamespace)?;
    candidate.role = role(rules);
    if rules.blocked.contains(&candidate.value) {
        return Err(Rule::BlockedValue);
    }
    match &rules.pattern {
        Some(pattern) if !pattern.is_match(&candidate.value) => Err(Rule::InvalidValue),
        _ => Ok(()),
    }
}

/// A value as it was sent, if normalising changed it. Most are part of what was sent, and all of it.
pub(super) fn raw_of<'a>(normal: &Cow<'a, str>, sent: &'a str) -> Option<Cow<'a, str>> {
    let is_changed = match normal {
        Cow::Borrowed(part) => part.len() != sent.len(),
        Cow::Owned(normal) => *normal != *sent,
    };
    is_changed.then_some(Cow::Borrowed(sent))
}

fn role(rules: &NamespaceRules) -> Role {
    match (rules.exclusive, rules.shared) {
        (true, _) => Role::Exclusive,
        (_, true) => Role::Shared,
        _ => Role::Joins,
    }
}
