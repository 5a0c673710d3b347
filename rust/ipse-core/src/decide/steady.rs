//! The everyday event, decided at once: its identifiers are all known, on one profile, and were
//! shown together before.
//!
//! Most events are of this kind and teach nothing, so they are looked at before all else, without
//! candidates, fates and tallies. What is decided here is what the five steps would decide, to
//! the last field: builds with debug assertions decide every such event both ways. Whatever is not
//! plainly of this kind is left to the steps, refusals included.

use std::borrow::Cow;

use crate::change::{EventResolved, ObservedIdentifier, Target, Verb, Verdict};
use crate::event::{Event, SentIdentifier};
use crate::graph::identifiers::IdentifierId;
use crate::graph::{Graph, NO_NODE};
use crate::identifier::normalise;
use crate::limits::IDENTIFIER_VALUE_BYTES_MAX;
use crate::rules::{AmbiguousEvent, Conflict, OverLimit, Rules, Trigger};
use crate::time::Timestamp;

use super::candidates::raw_of;
use super::resolve::{Resolved, is_new_link};
use super::{Decision, RestsOn, fields};

/// An event with more identifiers is no everyday event.
const IDENTIFIERS_MAX: usize = 8;

/// An event of this kind.
pub(super) struct Steady<'a> {
    root: u32,
    /// Strongest first.
    identifiers: Vec<ObservedIdentifier<'a>>,
}

/// What an event showed so far, strongest first.
struct Seen<'a> {
    /// [`NO_NODE`] before the first.
    root: u32,
    /// What identifiers are sorted by, and their rows.
    ranks: [(u32, IdentifierId); IDENTIFIERS_MAX],
    identifiers: Vec<ObservedIdentifier<'a>>,
}

/// The event, if it is plainly one of this kind.
pub(super) fn find<'a>(graph: &Graph, event: &'a Event<'a>, now: Timestamp) -> Option<Steady<'a>> {
    // A hint shortens the way to an answer and is no part of it.
    let is_new = event.identifiers.iter().any(|sent| sent.hint.is_absent());
    if is_new || !is_candidate(graph, event) || fields::check_time(event, now).is_err() {
        return None;
    }
    let Seen { root, ranks, identifiers } = Seen::all_of(graph, &event.identifiers)?;
    let strongest = ranks[0].1;
    let mut weaker = ranks[1..identifiers.len()].iter();
    if weaker.any(|&(_, id)| is_new_link(graph, strongest, id)) {
        return None;
    }
    let is_repeat = || {
        let log_time = now.max(graph.log_time);
        graph.remembered_events.find(event.event_id, log_time).is_some()
    };
    if !event.event_id.is_empty() && is_repeat() {
        return None;
    }
    Some(Steady { root, identifiers })
}

impl<'a> Steady<'a> {
    /// What is decided on it.
    #[inline]
    pub(super) fn decide(
        self,
        graph: &Graph,
        event: &'a Event<'a>,
        now: Timestamp,
    ) -> Decision<'a> {
        let target = Target::Found(graph.profiles.bearer(self.root));
        Decision {
            known: graph.profiles.known(self.root),
            teaches: false,
            repeated: None,
            attributed_by: graph.attributed_by(&target, &self.identifiers),
            rests_on: RestsOn::Target,
            resolved: EventResolved {
                event_id: Cow::Borrowed(event.event_id),
                digest: 0,
                verb: event.verb,
                kind: Cow::Borrowed(event.kind),
                source: Cow::Borrowed(event.source),
                timestamp: event.timestamp.unwrap_or(now),
                rules_version: graph.rules_version(),
                named_profile: None,
                key_namespace: Cow::Borrowed(""),
                target,
                identifiers: self.identifiers,
                traits: Vec::new(),
                extra: None,
            },
        }
    }
}

/// What the decision on an event that teaches nothing rests on: what is decided by the steps may
/// be of this kind, too.
pub(super) fn rests_on(graph: &Graph, event: &Event<'_>, resolved: &Resolved<'_>) -> RestsOn {
    let is_its_own = |observed: &ObservedIdentifier<'_>| {
        observed.verdict == Verdict::AlreadyAttached
            && graph.rules().is_one_profiles(&observed.namespace)
    };
    let is_found = matches!(resolved.target, Target::Found(_));
    if is_found && is_candidate(graph, event) && resolved.identifiers.iter().all(is_its_own) {
        RestsOn::Target
    } else {
        RestsOn::Everything
    }
}

/// Whether nothing about the event or the rules asks for more than looking identifiers up.
fn is_candidate(graph: &Graph, event: &Event<'_>) -> bool {
    event.verb == Verb::Observe
        && (1..=IDENTIFIERS_MAX).contains(&event.identifiers.len())
        && event.sources.is_empty()
        && event.traits.is_empty()
        && event.profile.is_none()
        && event.key_namespace.is_empty()
        && is_plain(graph.rules())
        && graph.partings.is_empty()
        && fields::check(event).is_ok()
}

/// Whether identifiers that are on one profile and linked have nothing more to tell.
fn is_plain(rules: &Rules) -> bool {
    matches!(rules.conflict, Conflict::DropLowest | Conflict::Legacy2020)
        && rules.trigger == Trigger::SeenTogether
        && rules.over_limit == OverLimit::Refuse
        && rules.ambiguous_event != AmbiguousEvent::Refuse
        && !rules.derives_hashes()
        && !rules.has_pair_limits()
        && !rules.has_expiry()
}

impl<'a> Seen<'a> {
    #[inline]
    fn all_of(graph: &Graph, sent: &'a [SentIdentifier<'a>]) -> Option<Seen<'a>> {
        let mut seen = Seen {
            root: NO_NODE,
            ranks: [(0, IdentifierId(0)); IDENTIFIERS_MAX],
            identifiers: Vec::with_capacity(sent.len()),
        };
        for sent in sent {
            let (rank, value, root) = look_up(graph, sent)?;
            if root != seen.root && seen.root != NO_NODE {
                return None;
            }
            seen.root = root;
            seen.add(rank, sent, value)?;
        }
        Some(seen)
    }

    /// Puts an identifier in its place; `None` if it is there already.
    #[inline]
    fn add(
        &mut self,
        rank: (u32, IdentifierId),
        sent: &'a SentIdentifier<'a>,
        value: Cow<'a, str>,
    ) -> Option<()> {
        let raw = raw_of(&value, &sent.value);
        let namespace = Cow::Borrowed(&*sent.namespace);
        let observed =
            ObservedIdentifier { namespace, value, raw, verdict: Verdict::AlreadyAttached };
        let mut place = self.identifiers.len();
        self.ranks[place] = rank;
        self.identifiers.push(observed);
        while place > 0 && self.is_stronger(place, place - 1)? {
            self.ranks.swap(place, place - 1);
            self.identifiers.swap(place, place - 1);
            place -= 1;
        }
        Some(())
    }

    /// Whether one outranks another; `None` if they are the same.
    fn is_stronger(&self, one: usize, other: usize) -> Option<bool> {
        let (a, b) = (self.ranks[one], self.ranks[other]);
        if a.0 != b.0 {
            return Some(a.0 < b.0);
        }
        let name = |at: usize| (&self.identifiers[at].namespace, &self.identifiers[at].value);
        (a.1 != b.1).then(|| name(one) < name(other))
    }
}

/// What an identifier is ranked by, its normal form and the root of its profile; `None` unless
/// it is on one, and may join what it is seen with.
#[inline]
fn look_up<'a>(
    graph: &Graph,
    sent: &'a SentIdentifier<'a>,
) -> Option<((u32, IdentifierId), Cow<'a, str>, u32)> {
    let namespaces = graph.namespaces();
    let index = namespaces.index(&sent.namespace)?;
    let rules = namespaces.rules_of(index)?;
    if rules.exclusive || rules.shared || sent.value.len() > IDENTIFIER_VALUE_BYTES_MAX {
        return None;
    }
    let value = normalise(rules.normaliser, &sent.value)?;
    let id = graph.find_hinted(sent.hint, index, &value)?;
    let root = graph.root_of(id)?;
    let is_off = rules.blocked.contains(&value)
        || rules.pattern.as_ref().is_some_and(|pattern| !pattern.is_match(&value));
    if is_off {
        return None;
    }
    Some(((namespaces.priority(index), id), value, root))
}
