//! Commands join, events do not: an event is found its profile by narrowing, and what another
//! profile holds stays there (mParticle's IDSync, PostHog, Mixpanel's original merge).
//!
//! A profile that holds login identifiers is found only through one of them, and one that
//! holds immutable identifiers only through one of those (mParticle's protection of known
//! users). `Login` and `Link` then join their sources, if the guards let them.

use crate::change::{Reason, Rule, Verb};
use crate::event::Event;
use crate::graph::Graph;
use crate::graph::identifiers::IdentifierId;
use crate::rules::{Guards, Logout, MarksKnown, NamespaceRules, NewKnown};

use super::candidates::{Candidate, Role};
use super::fit::Fit;
use super::resolve::{Choice, Fate, because, guards};
use super::{finders, narrow};

/// Chooses for candidates, the event's own strongest first, then `sources` sources.
pub(super) fn choose<'a>(
    fit: &mut Fit<'_>,
    event: &Event<'_>,
    candidates: &[Candidate<'_>],
    sources: usize,
    named: Option<u32>,
) -> Choice<'a> {
    let own = candidates.len() - sources;
    let mut choice = Choice::new(fit.graph, None, candidates);
    choice.joined.extend(find(fit.graph, event, &candidates[..own], named));
    for at in 0..own {
        settle(fit, candidates, &mut choice, at);
    }
    let is_usable = candidates[..own].iter().any(|c| c.dropped.is_none());
    let leaves = event.verb == Verb::Logout && fit.graph.rules().logout == Logout::Create;
    choice.creates = leaves && is_usable;
    let attaches = choice.fates[..own].contains(&Some(Fate::Attach));
    // A source that is joined to an identifier that nobody holds is that one's profile.
    let is_usable = choice.creates || attaches || !choice.joined.is_empty();
    // What is joined by force asks no guard, and so is not used up for those who are asked.
    let guarded = if event.force { 0 } else { sources };
    choice.extra.sources = u8::try_from(guarded).expect("identifiers of an event are bounded");
    join_sources(fit, event, candidates, own, is_usable, &mut choice);
    choice
}

/// The root of the profile that the event's own identifiers lead to.
fn find(
    graph: &Graph,
    event: &Event<'_>,
    own: &[Candidate<'_>],
    named: Option<u32>,
) -> Option<u32> {
    let rules = graph.rules();
    match (event.verb, rules.logout) {
        (Verb::Logout, Logout::Create) => return None,
        (Verb::Logout, Logout::Return) => {
            return select(graph, own, |root| !graph.profiles.known(root), |_| true);
        }
        _ => {}
    }
    if named.is_some() && event.verb != Verb::Login {
        return named;
    }
    let logs_in = |candidate: &Candidate<'_>| {
        candidate.dropped.is_none() && super::resolve::logs_in(graph, candidate)
    };
    if rules.new_known == NewKnown::Create && own.iter().any(logs_in) {
        return select(graph, own, |_| true, logs_in);
    }
    let is_convertible = |root: &u32| !graph.profiles.known(*root);
    let converts = rules.new_known == NewKnown::Convert;
    select(graph, own, |_| true, |_| true)
        .or_else(|| named.filter(|root| converts && is_convertible(root)))
}

fn select(
    graph: &Graph,
    own: &[Candidate<'_>],
    may_be_found: impl Fn(u32) -> bool,
    finds: impl Fn(&Candidate<'_>) -> bool,
) -> Option<u32> {
    let usable = own.iter().filter(|candidate| candidate.dropped.is_none() && finds(candidate));
    narrow::select(graph, usable, |root| may_be_found(root) && !is_protected(graph, own, root))
}

/// Whether a profile cannot be found by these identifiers, because it holds ones that it can
/// be found by only, and none of these is one.
fn is_protected(graph: &Graph, own: &[Candidate<'_>], root: u32) -> bool {
    // Without a login identifier nobody is known by one.
    graph.profiles.known(root) && is_kept_by(graph, own, root, |rules| rules.login)
        || is_kept_by(graph, own, root, |rules| rules.immutable)
}

fn is_kept_by(
    graph: &Graph,
    own: &[Candidate<'_>],
    root: u32,
    keeps: fn(&NamespaceRules) -> bool,
) -> bool {
    let rules = graph.rules();
    if !rules.namespaces().iter().any(keeps) {
        return false;
    }
    let keeps_index = |index: u16| graph.namespaces().rules_of(index).is_some_and(keeps);
    let is_shown = own.iter().any(|candidate| {
        let held = candidate.found.is_some_and(|found| graph.holds(root, found.id));
        candidate.dropped.is_none() && held && candidate.index.is_some_and(keeps_index)
    });
    let mut held = graph.identifiers_of_profile(root).into_iter();
    !is_shown && held.any(|id| keeps_index(graph.identifiers.rows.row(id).namespace))
}

/// What becomes of one of the event's own identifiers, once its profile is found.
fn settle(fit: &mut Fit<'_>, candidates: &[Candidate<'_>], choice: &mut Choice<'_>, at: usize) {
    let candidate = &candidates[at];
    let collided = candidate.holder(fit.graph);
    if choice.fates[at].is_some() {
        return;
    }
    if candidate.found.is_none() {
        choice.take(fit, candidates, at, Fate::Attach);
    } else if choice.holds(fit.graph, candidate) {
        choice.fates[at] = Some(Fate::Held);
    } else if candidate.role == Role::Shared {
        finders::share(fit, candidates, choice, at);
    } else {
        let reason = Reason { collided, ..because(Rule::HeldElsewhere) };
        choice.fates[at] = Some(Fate::Refuse(reason));
    }
}

fn join_sources(
    fit: &mut Fit<'_>,
    event: &Event<'_>,
    candidates: &[Candidate<'_>],
    own: usize,
    is_usable: bool,
    choice: &mut Choice<'_>,
) {
    let none = Guards::default();
    let guards = guards(fit.graph, event.verb).unwrap_or(&none);
    let let_through = Guards { marks_known: guards.marks_known, ..Guards::default() };
    let guards = if event.force { &let_through } else { guards };
    for at in own..candidates.len() {
        if choice.fates[at].is_some() {
            continue;
        }
        let joined = choice.joined.len();
        let fate = match is_usable {
            true => join_source(fit, guards, event.force, candidates, choice, at),
            false => without_target(fit.graph, &candidates[at]),
        };
        let joins = fate == Fate::Attach || choice.joined.len() > joined;
        // That it was a source is news of an identifier that was on the profile before, too.
        choice.links |= guards.source_once && fate == Fate::Held;
        choice.extra.marks_known |= match guards.marks_known {
            MarksKnown::Never => false,
            MarksKnown::Joined => joins,
            MarksKnown::Kept => joins || fate == Fate::Held,
        };
        choice.fates[at] = Some(fate);
    }
}

fn without_target(graph: &Graph, candidate: &Candidate<'_>) -> Fate {
    let collided = candidate.holder(graph);
    Fate::Refuse(Reason { collided, ..because(Rule::NoTarget) })
}

fn join_source(
    fit: &mut Fit<'_>,
    guards: &Guards,
    forced: bool,
    candidates: &[Candidate<'_>],
    choice: &mut Choice<'_>,
    at: usize,
) -> Fate {
    let candidate = &candidates[at];
    let collided = candidate.holder(fit.graph);
    let refuse = |reason: Reason| Fate::Refuse(Reason { collided, ..reason });
    if let Some(rule) = refused_by_value(fit.graph, guards, candidate) {
        return refuse(because(rule));
    }
    let Some(found) = candidate.found else {
        choice.take(fit, candidates, at, Fate::Attach);
        return choice.fates[at].take().expect("it was just settled");
    };
    if choice.holds(fit.graph, candidate) {
        return Fate::Held;
    }
    if candidate.role == Role::Shared {
        // It finds and never joins: whoever else holds it is none of this.
        finders::share(fit, candidates, choice, at);
        return choice.fates[at].take().expect("it was just settled");
    }
    let is_known = guards.unknown_source && fit.graph.profiles.known(found.root);
    let own = std::slice::from_ref(candidate);
    if is_known || !forced && is_protected(fit.graph, own, found.root) {
        return refuse(because(Rule::KnownSource));
    }
    match choice.join(fit, candidates, found.root) {
        Ok(()) => Fate::Held,
        Err(reason) => refuse(reason),
    }
}

/// The guard that looks at a source's own value and history.
fn refused_by_value(graph: &Graph, guards: &Guards, candidate: &Candidate<'_>) -> Option<Rule> {
    let shape = guards.source_pattern.as_ref();
    if shape.is_some_and(|pattern| !pattern.is_match(&candidate.value)) {
        return Some(Rule::SourceShape);
    }
    let was_source = |id: IdentifierId| graph.identifiers.rows.row(id).was_source();
    let is_used = guards.source_once && candidate.found.is_some_and(|found| was_source(found.id));
    is_used.then_some(Rule::SourceUsed)
}
