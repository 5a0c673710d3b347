//! Profiles of another system: created with what they bring, or brought up to date.
//!
//! An import joins nothing. A profile goes to the one that bears its former id; else to the
//! one that holds the strongest of its identifiers that finds; else it is new. What another
//! profile holds stays there, unless its namespace is shared.

use std::borrow::Cow;

use foldhash::fast::FixedState;
use hashbrown::HashSet;

use crate::change::{Imported, Reason, Rule, Verb};
use crate::command::{ImportProfile, Operation};
use crate::erasure::is_pseudonym;
use crate::graph::Graph;
use crate::identifier::FORMER_ID;
use crate::limits::{FORMER_ID_BYTES_MAX, IMPORT_IDENTIFIERS_MAX};
use crate::time::Timestamp;

use super::candidates::{Candidate, Found, Role, added_of, hashes_of, of_list};
use super::fields::{bound, check_not_ahead, check_traits, invalid};
use super::fit::Fit;
use super::limits::Tally;
use super::pairs::Company;
use super::resolve::{Choice, Fate, because, conclude};
use super::{Decision, Moment, Refusal, finders, teach};

impl Graph {
    /// Decides what of a profile of another system comes in.
    pub fn decide_import<'a>(
        &self,
        command: &'a ImportProfile<'a>,
        moment: impl Into<Moment>,
    ) -> Result<Decision<'a>, Refusal> {
        let Moment { now, room } = moment.into();
        bound("former_id", "bytes", command.former_id.len(), FORMER_ID_BYTES_MAX)?;
        if is_pseudonym(&command.former_id) {
            return invalid("former_id", "stands for an erased value");
        }
        let count = command.identifiers.len();
        bound("identifiers", "identifiers", count, IMPORT_IDENTIFIERS_MAX)?;
        check_traits("traits", command.traits.iter().map(|imported| &imported.sent))?;
        let created_time = command.created_time.unwrap_or(now);
        check_not_ahead("created_time", created_time, now)?;
        check_times(command, now)?;
        let (mut candidates, times) = read(self, command, created_time)?;
        let is_short = room.keep_out(self, &mut candidates);
        let mut fit = Fit::of_command(self, created_time);
        let mut choice = settle(&mut fit, &candidates, &times);
        choice.creates = true;
        choice.extra.marks_known = command.known && !is_marked(self, &choice.joined);
        let dates_back = choice.joined.iter().any(|&root| is_younger(self, root, created_time));
        let mut resolved = conclude(self, candidates, choice);
        room.check(&resolved, is_short)?;
        self.check_capacity(&resolved)?;
        let (lesson, trait_times) =
            teach::imported_lesson(self, command, &resolved, created_time, &room)?;
        let mut extra = resolved.extra.take().unwrap_or_default();
        extra.imported = Some(Imported { created_time, identifier_times: times, trait_times });
        extra.ignored_traits = lesson.ignored;
        resolved.extra = Some(extra);
        let operation = Operation { source: command.source, ..Operation::default() };
        let mut decision = self.decision_of(&operation, Verb::Import, 0, created_time, resolved);
        decision.teaches |= self.is_seen_anew(&decision.resolved.identifiers, now);
        decision.teaches |= lesson.teaches || dates_back && command.created_time.is_some();
        decision.resolved.traits = lesson.traits;
        Ok(decision)
    }
}

/// Whether a profile was created after a time, as far as is known here.
fn is_younger(graph: &Graph, root: u32, time: Timestamp) -> bool {
    graph.profiles.tree(root).into_iter().all(|node| graph.profiles.created(node).1 > time)
}

/// Nothing was attached or set more than a day from now.
fn check_times(command: &ImportProfile<'_>, now: Timestamp) -> Result<(), Refusal> {
    let attached = command.identifiers.iter().map(|imported| imported.time).enumerate();
    for (at, time) in attached.filter_map(|(at, time)| Some((at, time?))) {
        check_not_ahead(&format!("identifiers[{at}].attached_time"), time, now)?;
    }
    let set = command.traits.iter().map(|imported| imported.time).enumerate();
    for (at, time) in set.filter_map(|(at, time)| Some((at, time?))) {
        check_not_ahead(&format!("traits[{at}].set_time"), time, now)?;
    }
    Ok(())
}

fn is_marked(graph: &Graph, joined: &[u32]) -> bool {
    joined.iter().any(|&root| graph.profiles.marked_known(root))
}

/// The identifiers, each once, the former id last, and when each was attached.
fn read<'a>(
    graph: &Graph,
    command: &'a ImportProfile<'a>,
    created_time: Timestamp,
) -> Result<(Vec<Candidate<'a>>, Vec<Timestamp>), Refusal> {
    let mut read: Vec<(Candidate<'a>, Timestamp)> = Vec::with_capacity(command.identifiers.len());
    let names = command.identifiers.iter().map(|imported| imported.sent.namespace.as_ref());
    let added = added_of(graph, names);
    for (at, imported) in command.identifiers.iter().enumerate() {
        let list = std::slice::from_ref(&imported.sent);
        let field = format!("identifiers[{at}]");
        let mut one = of_list(graph, list, &added, "identifiers")
            .map_err(|refusal| refusal.of_item(&field))?;
        let candidate = one.pop().expect("one was read");
        let time = imported.time.unwrap_or(created_time);
        let hashes = hashes_of(graph, &candidate);
        read.push((candidate, time));
        read.extend(hashes.into_iter().map(|hash| (hash, time)));
    }
    // Of what stands there twice, the first counts: the sort keeps their order.
    read.sort_by(|(a, _), (b, _)| a.strength().cmp(&b.strength()));
    read.dedup_by(|(b, _), (a, _)| a.is_same(b));
    if !command.former_id.is_empty() {
        read.push((former_id(graph, &command.former_id), created_time));
    }
    Ok(read.into_iter().unzip())
}

/// The former id, as an identifier that joins nothing.
fn former_id<'a>(graph: &Graph, value: &'a str) -> Candidate<'a> {
    let index = graph.namespaces().index(FORMER_ID);
    let id = index.and_then(|index| graph.identifiers.find(index, value));
    Candidate {
        namespace: Cow::Borrowed(FORMER_ID),
        value: Cow::Borrowed(value),
        raw: None,
        index,
        priority: u32::MAX,
        found: id.and_then(|id| Some(Found { id, root: graph.root_of(id)? })),
        role: Role::Joins,
        dropped: None,
    }
}

fn settle<'a>(fit: &mut Fit<'_>, candidates: &[Candidate<'_>], times: &[Timestamp]) -> Choice<'a> {
    let target = target(fit, candidates, times);
    let mut company = Company::of(fit.graph, target);
    let mut choice = Choice::new(fit.graph, target, candidates);
    for (at, candidate) in candidates.iter().enumerate() {
        if choice.fates[at].is_some() {
            continue;
        }
        // Each is judged when it was attached.
        fit.time = times[at];
        let collided = candidate.holder(fit.graph);
        let refused = company.as_ref().and_then(|company| company.refuses(candidate, None));
        settle_one(fit, candidates, &mut choice, at);
        let is_kept = matches!(choice.fates[at], Some(Fate::Attach | Fate::Held));
        match (&mut company, refused) {
            (_, Some(reason)) if is_kept => {
                choice.fates[at] = Some(Fate::Refuse(Reason { collided, ..reason }));
            }
            (Some(company), None) if is_kept => company.admit(candidate),
            _ => {}
        }
    }
    choice
}

fn settle_one(fit: &mut Fit<'_>, candidates: &[Candidate<'_>], choice: &mut Choice<'_>, at: usize) {
    let candidate = &candidates[at];
    let collided = candidate.holder(fit.graph);
    let is_former = candidate.namespace == FORMER_ID;
    if choice.holds(fit.graph, candidate) {
        choice.fates[at] = Some(Fate::Held);
    } else if is_former && candidate.found.is_none() {
        choice.fates[at] = Some(Fate::Attach);
    } else if candidate.found.is_some() && candidate.role != Role::Shared {
        let reason = Reason { collided, ..because(Rule::HeldElsewhere) };
        choice.fates[at] = Some(Fate::Refuse(reason));
    } else {
        finders::share(fit, candidates, choice, at);
    }
}

/// The root of the profile that the import brings up to date.
fn target(fit: &mut Fit<'_>, candidates: &[Candidate<'_>], times: &[Timestamp]) -> Option<u32> {
    let former = candidates.iter().find(|candidate| candidate.namespace == FORMER_ID);
    if let Some(found) = former.and_then(|former| former.found) {
        return Some(found.root);
    }
    let mut new = Tally::default();
    let timed = candidates.iter().zip(times);
    for (candidate, &time) in timed.filter(|(c, _)| c.is_new() && c.namespace != FORMER_ID) {
        new.add(fit.graph, candidate, time);
    }
    let finds = |c: &&Candidate<'_>| c.dropped.is_none() && c.role == Role::Joins;
    let roots = candidates.iter().filter(finds).filter_map(|c| c.found.map(|found| found.root));
    let mut tried: HashSet<u32, FixedState> = HashSet::default();
    roots.into_iter().find(|&root| tried.insert(root) && fit.check(&[root], &new, &[]).is_ok())
}
