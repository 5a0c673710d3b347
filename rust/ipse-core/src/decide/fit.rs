//! Whether profiles and identifiers may be one profile: limits, keys and caps in one question.

use crate::change::{PassedLimit, Reason, Rule};
use crate::graph::Graph;
use crate::graph::partings::Sides;
use crate::rules::{OverLimit, Window};
use crate::time::Timestamp;

use super::candidates::{Candidate, Role};
use super::limits::{Holding, Violation, first_violation};
use super::resolve::{because, capped};
use super::survivor;

/// What a would-be profile is measured by. Profiles are counted once each.
pub(super) struct Fit<'g> {
    pub(super) graph: &'g Graph,
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

    /// Why profiles and identifiers that are new to all of them cannot be one profile. One
    /// profile alone always can.
    pub(super) fn check(&mut self, roots: &[u32], new: &[&Candidate<'_>]) -> Result<(), Reason> {
        if new.is_empty() && self.along.is_empty() && roots.len() < 2 {
            return Ok(());
        }
        if !self.is_said && are_parted(self.graph, roots, new) {
            return Err(because(Rule::DeniedLink));
        }
        self.count(roots);
        let new: Vec<&Candidate<'_>> = new.iter().copied().chain(&self.along).collect();
        let holdings: Vec<&Holding> =
            self.holdings.iter().filter(|holding| roots.contains(&holding.root)).collect();
        if let Some(index) = passed_immutable(self.graph, &holdings, &new) {
            let namespace = Some(self.graph.namespaces().name(index).into());
            let limit = Some(PassedLimit { namespace, value: 1 });
            return Err(Reason { rule: Rule::Immutable, limit, collided: None });
        }
        let new_ones = new.iter().copied();
        if let Some(violation) =
            first_violation(self.graph, &holdings, new_ones, self.time, self.key)
        {
            return Err(limit_reason(&violation));
        }
        passed_cap(self.graph, roots, new.len()).map_or(Ok(()), Err)
    }

    fn count(&mut self, roots: &[u32]) {
        for &root in roots {
            if !self.holdings.iter().any(|holding| holding.root == root) {
                self.holdings.push(Holding::of(self.graph, root));
            }
        }
    }
}

/// Whether profiles and identifiers that are new to them were said to be of different people.
fn are_parted(graph: &Graph, roots: &[u32], new: &[&Candidate<'_>]) -> bool {
    if graph.partings.is_empty() {
        return false;
    }
    let of_new = new.iter().map(|candidate| sides_of(graph, candidate));
    let mut all: Vec<Sides> = of_new.filter(|sides| !sides.is_empty()).collect();
    if roots.len() < 2 && all.is_empty() {
        return false;
    }
    all.extend(roots.iter().map(|&root| Sides::of_profile(graph, root)));
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
pub(super) fn limit_reason(violation: &Violation<'_>) -> Reason {
    let rule = match violation.limit.window {
        Window::Ever => Rule::ValueLimit,
        Window::Millis(_) => Rule::ValueTimeLimit,
    };
    let limit = PassedLimit {
        namespace: Some(violation.namespace.as_ref().into()),
        value: violation.limit.values,
    };
    Reason { rule, limit: Some(limit), collided: None }
}

/// The cap that one profile of all of these would pass.
pub(super) fn passed_cap(graph: &Graph, roots: &[u32], new: usize) -> Option<Reason> {
    let rules = graph.rules();
    let count = |&root: &u32| u64::from(graph.identifier_count(root));
    let identifiers: u64 = roots.iter().map(count).sum();
    if roots.len() > 1 {
        let merges: u64 = roots.iter().map(|&root| u64::from(graph.profiles.merges(root))).sum();
        if merges + roots.len() as u64 - 1 > u64::from(rules.merges_max) {
            return Some(capped(Rule::MergeLimit, rules.merges_max));
        }
        let moved = identifiers - count(&survivor::root(graph, roots));
        if moved > u64::from(rules.moved_max) {
            return Some(capped(Rule::MovedLimit, rules.moved_max));
        }
    }
    let is_full = identifiers + new as u64 > u64::from(rules.identifiers_max);
    let refuses = rules.over_limit == OverLimit::Refuse;
    (is_full && refuses).then(|| capped(Rule::IdentifierLimit, rules.identifiers_max))
}

/// The immutable namespace of which one profile would have a second value.
fn passed_immutable(graph: &Graph, holdings: &[&Holding], new: &[&Candidate<'_>]) -> Option<u16> {
    let is_immutable =
        |index: u16| graph.namespaces().rules_of(index).is_some_and(|rules| rules.immutable);
    let of_new = new.iter().filter_map(|candidate| candidate.index);
    let of_held = holdings.iter().skip(1).flat_map(|holding| holding.namespaces());
    of_new.chain(of_held).filter(|&index| is_immutable(index)).find(|&index| {
        let held: u32 = holdings.iter().map(|holding| holding.count(Some(index))).sum();
        let added = new.iter().filter(|candidate| candidate.index == Some(index)).count();
        held as usize + added > 1
    })
}
