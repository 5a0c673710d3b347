//! Whether profiles and identifiers may be one profile: limits, keys and caps in one question.

use crate::change::{PassedLimit, Reason, Rule};
use crate::graph::Graph;
use crate::graph::partings::Sides;
use crate::limits::EVICTIONS_MAX;
use crate::rules::{OverLimit, Window};
use crate::time::Timestamp;

use super::candidates::{Candidate, Role};
use super::limits::{Holding, Tally, Violation, Whole, first_violation, violation_by};
use super::resolve::{because, capped};
use super::survivor;

/// What a would-be profile is measured by. Profiles are counted once each.
pub(super) struct Fit<'g> {
    pub(super) graph: &'g Graph,
    /// When what is new is attached.
    pub(super) time: Timestamp,
    /// The namespace of which a profile may have one value, because it is the event's key.
    pub(super) key: &'g str,
    /// Whether someone says that what is joined is one person: then nothing that was said
    /// before keeps it apart.
    pub(super) is_said: bool,
    /// What comes along to the event's profile, beside what the event shows.
    pub(super) along: Vec<Candidate<'static>>,
    holdings: Vec<Holding>,
}

impl<'g> Fit<'g> {
    pub(super) fn new(graph: &'g Graph, key: &'g str, time: Timestamp) -> Fit<'g> {
        // Ranking first is all that a key does where events join whatever they show.
        let key = if graph.rules().trigger == crate::rules::Trigger::Key { key } else { "" };
        Fit { graph, time, key, is_said: false, along: Vec::new(), holdings: Vec::new() }
    }

    /// For commands on profiles, which name no key: that of the rules binds them.
    pub(super) fn of_command(graph: &'g Graph, time: Timestamp) -> Fit<'g> {
        Fit::new(graph, graph.rules().key.as_deref().unwrap_or_default(), time)
    }

    /// The same of someone's word, or not.
    pub(super) fn said(self, is_said: bool) -> Fit<'g> {
        Fit { is_said, ..self }
    }

    /// Why profiles, and what is new to all of them, cannot be one profile. One profile alone
    /// always can. `shown` are the event's own, which are not evicted.
    pub(super) fn check(
        &mut self,
        roots: &[u32],
        new: &Tally,
        shown: &[Candidate<'_>],
    ) -> Result<(), Reason> {
        if new.is_empty() && roots.len() < 2 {
            return Ok(());
        }
        if !self.is_said && are_parted(self.graph, roots, &new.sides) {
            return Err(because(Rule::DeniedLink));
        }
        let (graph, time, key) = (self.graph, self.time, self.key);
        let whole = self.whole(roots);
        let mut namespaces = new.namespaces().chain(whole.joined_namespaces());
        if let Some(index) = namespaces.find(|&i| passes_immutable(graph, &whole, i, new.count(i)))
        {
            return Err(immutable_reason(graph, index));
        }
        if let Some(violation) = first_violation(graph, &whole, new, time, key) {
            return Err(limit_reason(&violation));
        }
        passed_whole(graph, roots, &whole, new.identifiers, shown).map_or(Ok(()), Err)
    }

    /// Why one more identifier cannot be new, where everything else may be.
    pub(super) fn check_one(
        &mut self,
        roots: &[u32],
        new: &Tally,
        candidate: &Candidate<'_>,
    ) -> Result<(), Reason> {
        if !self.is_said && !self.graph.partings.is_empty() {
            let mut sides = new.sides.clone();
            sides.extend(Some(sides_of(self.graph, candidate)).filter(|own| !own.is_empty()));
            if are_parted(self.graph, roots, &sides) {
                return Err(because(Rule::DeniedLink));
            }
        }
        let (graph, time, key) = (self.graph, self.time, self.key);
        let whole = self.whole(roots);
        let immutable = candidate
            .index
            .filter(|&index| passes_immutable(graph, &whole, index, new.count(index) + 1));
        if let Some(index) = immutable {
            return Err(immutable_reason(graph, index));
        }
        if let Some(violation) = violation_by(graph, &whole, new, candidate, time, key) {
            return Err(limit_reason(&violation));
        }
        let is_full = whole.identifiers() + new.identifiers >= graph.rules().identifiers_max;
        let refuses = graph.rules().over_limit == OverLimit::Refuse;
        let full = || Err(capped(Rule::IdentifierLimit, graph.rules().identifiers_max));
        if is_full && refuses { full() } else { Ok(()) }
    }

    fn whole(&mut self, roots: &[u32]) -> Whole<'_> {
        for &root in roots {
            if !self.holdings.iter().any(|holding| holding.root == root) {
                self.holdings.push(Holding::of(self.graph, root));
            }
        }
        let of_roots = self.holdings.iter().filter(|holding| roots.contains(&holding.root));
        Whole::of(of_roots.collect())
    }
}

/// Whether profiles, and what is new to them and on these sides, were said to be of different
/// people.
fn are_parted(graph: &Graph, roots: &[u32], new: &[Sides]) -> bool {
    if graph.partings.is_empty() || roots.len() < 2 && new.is_empty() {
        return false;
    }
    let of_roots: Vec<Sides> = roots.iter().map(|&root| Sides::of_profile(graph, root)).collect();
    let all: Vec<&Sides> = new.iter().chain(&of_roots).collect();
    all.iter().enumerate().any(|(at, sides)| all[..at].iter().any(|before| before.meet(sides)))
}

/// The sides of partings that a candidate is on, whoever holds it.
pub(super) fn sides_of(graph: &Graph, candidate: &Candidate<'_>) -> Sides {
    if candidate.role == Role::Shared {
        return Sides::default();
    }
    let find = |index| graph.identifiers.find(index, &candidate.value);
    let id = candidate.found.map(|found| found.id).or_else(|| candidate.index.and_then(find));
    id.map_or_else(Sides::default, |id| Sides::of(graph, id))
}

/// A limit that would be exceeded, as a reason.
pub(super) fn limit_reason(violation: &Violation) -> Reason {
    let rule = match violation.limit.window {
        Window::Ever => Rule::ValueLimit,
        Window::Millis(_) => Rule::ValueTimeLimit,
    };
    let limit =
        PassedLimit { namespace: Some(violation.namespace.clone()), value: violation.limit.values };
    Reason { rule, limit: Some(limit), collided: None }
}

/// The cap that one profile of all of these would pass, before anything is evicted.
pub(super) fn passed_cap(graph: &Graph, roots: &[u32]) -> Option<Reason> {
    let rules = graph.rules();
    let identifiers = graph.identifier_count_of(roots);
    let merge = passed_merge(graph, roots, identifiers, |root| graph.identifier_count(root));
    let is_full = identifiers > rules.identifiers_max;
    let refuses = rules.over_limit == OverLimit::Refuse;
    let full = || capped(Rule::IdentifierLimit, rules.identifiers_max);
    merge.or_else(|| (is_full && refuses).then(full))
}

fn passed_merge(
    graph: &Graph,
    roots: &[u32],
    identifiers: u32,
    identifiers_of: impl Fn(u32) -> u32,
) -> Option<Reason> {
    let rules = graph.rules();
    if roots.len() < 2 {
        return None;
    }
    let merges: u64 = roots.iter().map(|&root| u64::from(graph.profiles.merges(root))).sum();
    if merges + roots.len() as u64 - 1 > u64::from(rules.merges_max) {
        return Some(capped(Rule::MergeLimit, rules.merges_max));
    }
    let moved = identifiers - identifiers_of(survivor::root(graph, roots));
    (moved > rules.moved_max).then(|| capped(Rule::MovedLimit, rules.moved_max))
}

/// The cap that one profile of all of these, and of what is new, would pass, once it has
/// evicted what it may.
pub(super) fn passed_whole(
    graph: &Graph,
    roots: &[u32],
    whole: &Whole<'_>,
    new: u32,
    shown: &[Candidate<'_>],
) -> Option<Reason> {
    let rules = graph.rules();
    let identifiers = whole.identifiers();
    let merge = passed_merge(graph, roots, identifiers, |root| whole.identifiers_of(root));
    if merge.is_some() {
        return merge;
    }
    let excess = (identifiers + new).saturating_sub(rules.identifiers_max);
    let is_full = match rules.over_limit {
        _ if excess == 0 => false,
        OverLimit::Refuse => true,
        // One profile alone evicts what it can, and has no room for the rest of what is new.
        _ if roots.len() < 2 => false,
        _ => {
            let gone = excess.min(evictable(graph, roots, whole, shown));
            let left = identifiers + new - gone;
            left > rules.identifiers_max && left > whole.fullest()
        }
    };
    is_full.then(|| capped(Rule::IdentifierLimit, rules.identifiers_max))
}

/// How many identifiers of profiles may give way to an event's own, at once.
fn evictable(graph: &Graph, roots: &[u32], whole: &Whole<'_>, shown: &[Candidate<'_>]) -> u32 {
    let is_immutable = |index: u16| is_immutable(graph, index);
    let mut immutable: Vec<u16> = whole.namespaces().filter(|&index| is_immutable(index)).collect();
    immutable.sort_unstable();
    immutable.dedup();
    let immutable: u32 = immutable.into_iter().map(|index| whole.count(Some(index))).sum();
    let is_pinned = |candidate: &&Candidate<'_>| {
        let found = candidate.found.map(|found| found.id);
        let is_held = found.is_some_and(|id| roots.iter().any(|&root| graph.holds(root, id)));
        is_held && !candidate.index.is_some_and(is_immutable)
    };
    let shown = shown.iter().filter(is_pinned).count() as u32;
    whole.identifiers().saturating_sub(immutable + shown).min(EVICTIONS_MAX as u32)
}

fn is_immutable(graph: &Graph, index: u16) -> bool {
    graph.namespaces().rules_of(index).is_some_and(|rules| rules.immutable)
}

/// Whether one profile would have a second value of an immutable namespace.
fn passes_immutable(graph: &Graph, whole: &Whole<'_>, index: u16, added: u32) -> bool {
    is_immutable(graph, index) && whole.count(Some(index)) + added > 1
}

fn immutable_reason(graph: &Graph, index: u16) -> Reason {
    let namespace = Some(graph.namespaces().name(index).into());
    let limit = Some(PassedLimit { namespace, value: 1 });
    Reason { rule: Rule::Immutable, limit, collided: None }
}
