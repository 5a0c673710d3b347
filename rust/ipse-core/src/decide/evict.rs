//! Room on a full profile: the oldest identifiers give way, or the oldest of the kinds that
//! matter least (Adobe's guardrail). The event's own are not evicted for one another.

use std::borrow::Cow;
use std::cmp::Reverse;

use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashSet};

use crate::change::{Move, MoveCause, ProfileNumber, Reason, Rule};
use crate::graph::Graph;
use crate::graph::identifiers::IdentifierId;
use crate::limits::EVICTIONS_MAX;
use crate::rules::{Kind, OverLimit};

use super::candidates::Candidate;
use super::resolve::{Choice, Fate, capped};

type Identifiers = HashSet<IdentifierId, FixedState>;

/// Adds the moves that make the chosen profile as small as it must be.
pub(super) fn make_room(graph: &Graph, candidates: &[Candidate<'_>], choice: &mut Choice<'_>) {
    let bound: usize =
        choice.joined.iter().map(|&root| graph.identifier_count(root) as usize).sum();
    let identifiers_max = graph.rules().identifiers_max as usize;
    if choice.extra.moves.is_empty() && bound + candidates.len() <= identifiers_max {
        return;
    }
    let joined = choice.joined.clone();
    // A target that joins nobody is created, and so the next.
    let created = ProfileNumber(graph.profiles.len() + 1);
    let to_target = |number: ProfileNumber| match graph.profiles.node(number) {
        Some(node) => joined.contains(&graph.profiles.root(node)),
        None => joined.is_empty() && number == created,
    };
    trim_moves(graph, choice, to_target);
    let new = choice
        .fates
        .iter()
        .filter(|fate| matches!(fate, Some(Fate::Attach | Fate::Transfer(_))))
        .count();
    let mut held: Vec<(u32, IdentifierId)> = Vec::new();
    for &root in &choice.joined {
        held.extend(graph.identifiers_of_profile(root).into_iter().map(|id| (root, id)));
    }
    held.sort_by_key(|(_, id)| *id);
    held.dedup_by_key(|(_, id)| *id);
    let leaving = leaving(graph, choice);
    held.retain(|(_, id)| !graph.is_former_id(*id) && !leaving.contains(id));
    let moved = choice.extra.moves.iter().filter_map(|moved| moved.to).filter(|&to| to_target(to));
    let total = held.len() + new + moved.count();
    let excess = total.saturating_sub(identifiers_max);
    if excess == 0 {
        return;
    }
    let found = candidates.iter().filter_map(|candidate| candidate.found);
    let shown: Identifiers = found.map(|found| found.id).collect();
    let evicts = graph.rules().over_limit != OverLimit::Refuse;
    held.retain(|(_, id)| evicts && !shown.contains(id) && may_leave(graph, *id));
    held.sort_by_cached_key(|(_, id)| rank(graph, *id));
    // The rest of an overfull profile goes with the next events.
    held.truncate(EVICTIONS_MAX);
    let left = excess.saturating_sub(held.len());
    let left = left - keep_away(graph, choice, left, to_target);
    refuse_weakest(graph, candidates, choice, left);
    for (root, id) in held.into_iter().take(excess) {
        choice.extra.moves.push(Move {
            namespace: Cow::Owned(name_of(graph, id).to_owned()),
            value: Cow::Owned(graph.identifiers.rows.value(id).to_owned()),
            from: graph.profiles.bearer(root),
            to: None,
            cause: MoveCause::Evicted,
        });
    }
}

/// Gives identifiers a profile of their own that another profile than the target has no room
/// for: with what they leave they cannot be.
fn trim_moves(graph: &Graph, choice: &mut Choice<'_>, to_target: impl Fn(ProfileNumber) -> bool) {
    let identifiers_max = graph.rules().identifiers_max as usize;
    let mut apart = Apart::new(graph, choice, identifiers_max);
    let moves = &mut choice.extra.moves;
    let mut come: HashMap<ProfileNumber, usize, FixedState> = HashMap::default();
    let mut gone = come.clone();
    for moved in moves.iter() {
        *gone.entry(moved.from).or_default() += 1;
        moved.to.into_iter().for_each(|to| *come.entry(to).or_default() += 1);
    }
    for moved in moves.iter_mut().rev() {
        let Some(to) = moved.to.filter(|&to| !to_target(to)) else { continue };
        let Some(node) = graph.profiles.node(to) else { continue };
        let held = graph.identifier_count(graph.profiles.root(node)) as usize;
        let count = |of: &HashMap<_, usize, _>| of.get(&to).copied().unwrap_or(0);
        if held + count(&come) > identifiers_max + count(&gone) {
            moved.to = Some(apart.number(to));
            come.entry(to).and_modify(|count| *count -= 1);
        }
    }
}

/// Gives the weakest identifiers that would come along a profile of their own; gives how many.
fn keep_away(
    graph: &Graph,
    choice: &mut Choice<'_>,
    excess: usize,
    to_target: impl Fn(ProfileNumber) -> bool,
) -> usize {
    let mut apart = Apart::new(graph, choice, graph.rules().identifiers_max as usize);
    let comes = |moved: &&mut Move<'_>| moved.to.is_some_and(&to_target);
    let coming = choice.extra.moves.iter_mut().rev().filter(comes).take(excess);
    coming.map(|moved| moved.to = moved.to.map(|to| apart.number(to))).count()
}

/// The new profiles of what has no room where it belongs: what belongs together stays so, as
/// far as one profile has room.
struct Apart {
    newest: u32,
    identifiers_max: usize,
    given: Vec<(ProfileNumber, ProfileNumber, usize)>,
}

impl Apart {
    fn new(graph: &Graph, choice: &Choice<'_>, identifiers_max: usize) -> Apart {
        let moved = choice.extra.moves.iter().filter_map(|moved| moved.to);
        // One may be the target's; numbers that nobody gets are closed up.
        let newest = moved.map(|to| to.0).chain([graph.profiles.len() + 1]).max().unwrap_or(0);
        Apart { newest, identifiers_max, given: Vec::new() }
    }

    fn number(&mut self, of: ProfileNumber) -> ProfileNumber {
        let has_room =
            |given: &&mut (ProfileNumber, ProfileNumber, usize)| given.0 == of && given.2 > 0;
        if let Some((_, number, room)) = self.given.iter_mut().find(has_room) {
            *room -= 1;
            return *number;
        }
        self.newest += 1;
        let number = ProfileNumber(self.newest);
        self.given.push((of, number, self.identifiers_max - 1));
        number
    }
}

/// Where nothing more can be evicted, the event's weakest new identifiers have no room.
fn refuse_weakest(
    graph: &Graph,
    candidates: &[Candidate<'_>],
    choice: &mut Choice<'_>,
    excess: usize,
) {
    let reason = capped(Rule::IdentifierLimit, graph.rules().identifiers_max);
    let is_new = |fate: &Option<Fate>| matches!(fate, Some(Fate::Attach | Fate::Transfer(_)));
    let fates = choice.fates.iter_mut().zip(candidates).rev();
    let new = fates.filter(|(fate, _)| is_new(fate));
    for (fate, candidate) in new.take(excess) {
        let collided = candidate.holder(graph);
        *fate = Some(Fate::Refuse(Reason { collided, ..reason.clone() }));
    }
}

/// Whether an identifier may be evicted: what cannot change stays.
fn may_leave(graph: &Graph, id: IdentifierId) -> bool {
    let rules = graph.namespaces().rules_of(graph.identifiers.rows.row(id).namespace);
    !rules.is_some_and(|rules| rules.immutable)
}

/// The identifiers that leave their profiles with this choice already.
fn leaving(graph: &Graph, choice: &Choice<'_>) -> Identifiers {
    let moves = choice.extra.moves.iter();
    moves.filter_map(|moved| graph.find_identifier(&moved.namespace, &moved.value)).collect()
}

fn name_of(graph: &Graph, id: IdentifierId) -> &str {
    graph.namespaces().name(graph.identifiers.rows.row(id).namespace)
}

/// What identifiers are evicted in the order of. Of one event's, the strongest was attached
/// first and goes last.
fn rank(graph: &Graph, id: IdentifierId) -> (usize, i64, u64, Reverse<IdentifierId>) {
    let row = graph.identifiers.rows.row(id);
    let kind = graph.namespaces().rules_of(row.namespace).and_then(|rules| rules.kind);
    let place = match &graph.rules().over_limit {
        OverLimit::EvictByKind(order) => place(order, kind),
        OverLimit::EvictOldest | OverLimit::Refuse => 0,
    };
    (place, row.attached_time().as_millis(), row.attached_sequence().0, Reverse(id))
}

fn place(order: &[Kind], kind: Option<Kind>) -> usize {
    order.iter().position(|&named| Some(named) == kind).unwrap_or(order.len())
}
