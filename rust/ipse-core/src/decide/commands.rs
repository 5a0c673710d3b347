//! Commands on profiles that exist: modify, merge, split, attribute history.
//!
//! Each judges its parts one by one and gives each a verdict; what a rule refuses does not
//! stop the rest. Limits and caps bind commands as they bind events: a command outranks what
//! triggers a join, never what keeps people apart.

use std::borrow::Cow;

use crate::change::{
    Extra, HistoryAttribution, MergeVerdict, Move, MoveCause, ProfileNumber, Rule, SourceMerge,
    Verb,
};
use crate::command::{
    AttributeHistory, MergeProfiles, ModifyIdentifiers, Operation, SplitProfile, Taken,
};
use crate::event::SentIdentifier;
use crate::graph::Graph;
use crate::graph::identifiers::IdentifierId;
use crate::identifier::FORMER_ID;
use crate::limits::{
    ATTRIBUTIONS_MAX, COMMAND_SOURCES_MAX, MODIFY_CHANGES_MAX, PROFILES_MAX, SPLIT_IDENTIFIERS_MAX,
};
use crate::rules::MarksKnown;
use crate::time::Timestamp;

use super::candidates::{self, Candidate};
use super::fields::{bound, invalid};
use super::fit::Fit;
use super::resolve::{Choice, Resolved, because, conclude, known_after, with_verdicts};
use super::{Decision, Moment, Refusal, repeat, survivor};

impl Graph {
    /// Decides which identifiers of a profile change.
    pub fn decide_modify<'a>(
        &self,
        command: &'a ModifyIdentifiers<'a>,
        moment: impl Into<Moment>,
    ) -> Result<Decision<'a>, Refusal> {
        let Moment { now, room } = moment.into();
        bound("changes", "changes", command.changes.len(), MODIFY_CHANGES_MAX)?;
        self.operate(&command.operation, Verb::Modify, now, |time| {
            let root = self.root_to_change(command.profile)?;
            super::modify::resolve(self, root, &command.changes, time, &room)
        })
    }

    /// Decides which profiles become one.
    pub fn decide_merge<'a>(
        &self,
        command: &'a MergeProfiles<'a>,
        now: Timestamp,
    ) -> Result<Decision<'a>, Refusal> {
        bound("sources", "sources", command.sources.len(), COMMAND_SOURCES_MAX)?;
        self.operate(&command.operation, Verb::Merge, now, |time| {
            let root = self.root_to_change(command.target)?;
            Ok(merge(self, root, command, time))
        })
    }

    /// Decides which identifiers leave a profile.
    pub fn decide_split<'a>(
        &self,
        command: &'a SplitProfile<'a>,
        now: Timestamp,
    ) -> Result<Decision<'a>, Refusal> {
        if let Taken::These(identifiers) = &command.taken {
            let count = identifiers.len();
            bound("identifiers", "identifiers", count, SPLIT_IDENTIFIERS_MAX)?;
        }
        self.operate(&command.operation, Verb::Split, now, |_| {
            split(self, self.root_to_change(command.profile)?, command)
        })
    }

    /// Decides whether history goes from one profile to another.
    pub fn decide_attribution<'a>(
        &self,
        command: &'a AttributeHistory<'a>,
        now: Timestamp,
    ) -> Result<Decision<'a>, Refusal> {
        if command.end < command.start {
            return invalid("end_time", "is before the start");
        }
        self.operate(&command.operation, Verb::AttributeHistory, now, |_| {
            let source = self.root_to_change(command.history_of)?;
            let destination = self.root_to_change(command.destination)?;
            if source == destination {
                let problem = "is the source: nothing is to be attributed";
                return invalid("destination_profile", problem);
            }
            attribute(self, source, destination, command)
        })
    }

    /// Carries out a command, unless it is a repeat, which gets its recorded answer. One with
    /// an id is always recorded.
    pub(super) fn operate<'a>(
        &self,
        operation: &Operation<'a>,
        verb: Verb,
        now: Timestamp,
        resolve: impl FnOnce(Timestamp) -> Result<Resolved<'a>, Refusal>,
    ) -> Result<Decision<'a>, Refusal> {
        super::fields::check_operation(operation, now)?;
        let digest = repeat::command_digest(verb, operation);
        let log_time = now.max(self.log_time);
        if let Some(decision) = repeat::recorded_command(self, operation, digest, log_time)? {
            return Ok(decision);
        }
        let time = operation.timestamp.unwrap_or(now);
        let resolved = resolve(time)?;
        self.check_capacity(&resolved)?;
        Ok(self.decision_of(operation, verb, digest, time, resolved))
    }
}

fn merge<'a>(
    graph: &Graph,
    root: u32,
    command: &MergeProfiles<'_>,
    time: Timestamp,
) -> Resolved<'a> {
    let mut fit = Fit::of_command(graph, time).said(true);
    let mut choice = Choice::new(graph, Some(root), &[]);
    for &source in &command.sources {
        let verdict = merge_one(&mut fit, &mut choice, source, command.force);
        let profile = source.filter(|_| verdict != MergeVerdict::NotFound);
        choice.extra.merges.push(SourceMerge { profile, verdict });
    }
    choice.extra.marks_known = match graph.rules().merge_guards.marks_known {
        MarksKnown::Never => false,
        MarksKnown::Joined => choice.joined.len() > 1,
        MarksKnown::Kept => {
            let is_there = |merge: &SourceMerge| {
                matches!(merge.verdict, MergeVerdict::Merged | MergeVerdict::AlreadyMerged)
            };
            choice.extra.merges.iter().any(is_there)
        }
    };
    let target = survivor::ordered_target(graph, &choice.joined);
    Resolved { target, ..conclude(graph, Vec::new(), choice) }
}

fn merge_one(
    fit: &mut Fit<'_>,
    choice: &mut Choice<'_>,
    source: Option<ProfileNumber>,
    force: bool,
) -> MergeVerdict {
    let node = source.and_then(|profile| fit.graph.profiles.node(profile));
    let node = node.filter(|&node| !fit.graph.profiles.is_erased(node));
    let Some(node) = node else { return MergeVerdict::NotFound };
    let root = fit.graph.profiles.root(node);
    if choice.joined.contains(&root) {
        return MergeVerdict::AlreadyMerged;
    }
    let guards = &fit.graph.rules().merge_guards;
    if guards.unknown_source && !force && fit.graph.profiles.known(root) {
        return MergeVerdict::Refused(because(Rule::KnownSource));
    }
    match choice.join(fit, &[], root) {
        Ok(()) => MergeVerdict::Merged,
        Err(reason) => MergeVerdict::Refused(reason),
    }
}

fn split<'a>(
    graph: &Graph,
    root: u32,
    command: &'a SplitProfile<'a>,
) -> Result<Resolved<'a>, Refusal> {
    let mut taken = match &command.taken {
        Taken::These(identifiers) => these(graph, root, identifiers)?,
        Taken::AllBut(keep) => all_but(graph, root, keep)?,
    };
    taken.sort_unstable();
    taken.dedup();
    let from = graph.profiles.bearer(root);
    let first = graph.profiles.len() + 1;
    let count = if command.together { taken.len().min(1) } else { taken.len() };
    if graph.profiles.len() as usize + count > PROFILES_MAX {
        return Err(Refusal::CapacityExceeded { what: "profiles", bound: PROFILES_MAX });
    }
    let moves = taken.into_iter().zip(0..).map(|(id, at)| {
        let (namespace, value) = graph.text_of(id);
        Move {
            namespace: Cow::Owned(namespace.to_owned()),
            value: Cow::Owned(value.to_owned()),
            from,
            to: Some(ProfileNumber(if command.together { first } else { first + at })),
            cause: MoveCause::Split,
        }
    });
    let extra = Extra { moves: moves.collect(), ..Extra::default() };
    Ok(of_target(graph, root, extra))
}

/// The identifiers of a list, all of which the profile holds.
fn these<'a>(
    graph: &Graph,
    root: u32,
    identifiers: &'a [SentIdentifier<'a>],
) -> Result<Vec<IdentifierId>, Refusal> {
    let taken = candidates::of_list(graph, identifiers, &[], "identifiers")?;
    if let Some(at) = taken.iter().position(|candidate| candidate.namespace == FORMER_ID) {
        let problem = "is a former id, which stays with its profile for ever";
        return invalid(&format!("identifiers[{at}]"), problem);
    }
    if let Some(at) = taken.iter().position(|c| !c.found.is_some_and(|f| graph.holds(root, f.id))) {
        let field = format!("identifiers[{at}]");
        return invalid(&field, "is not on the profile");
    }
    if let Some(at) = taken.iter().position(|c| is_immutable(graph, c)) {
        let problem = "is of an immutable namespace";
        return invalid(&format!("identifiers[{at}]"), problem);
    }
    Ok(taken.iter().filter_map(|candidate| Some(candidate.found?.id)).collect())
}

/// All that the profile holds and that may leave it, but for one.
fn all_but<'a>(
    graph: &Graph,
    root: u32,
    keep: &'a SentIdentifier<'a>,
) -> Result<Vec<IdentifierId>, Refusal> {
    let read = candidates::of_list(graph, std::slice::from_ref(keep), &[], "identifiers");
    let kept = read.map_err(|refusal| refusal.of_item("keep"))?;
    let kept = kept[0].found.filter(|found| graph.holds(root, found.id));
    let Some(kept) = kept else { return invalid("keep", "is not on the profile") };
    let stays = |id: IdentifierId| {
        let rules = graph.namespaces().rules_of(graph.identifiers.rows.row(id).namespace);
        id == kept.id || graph.is_former_id(id) || rules.is_some_and(|rules| rules.immutable)
    };
    let held = graph.identifiers_of_profile(root).into_iter();
    let taken: Vec<IdentifierId> = held.filter(|&id| !stays(id)).collect();
    bound("keep", "identifiers to take out", taken.len(), SPLIT_IDENTIFIERS_MAX)?;
    Ok(taken)
}

fn is_immutable(graph: &Graph, candidate: &Candidate<'_>) -> bool {
    graph.namespaces().rules_for(candidate.index).is_some_and(|rules| rules.immutable)
}

fn attribute<'a>(
    graph: &Graph,
    source: u32,
    destination: u32,
    command: &AttributeHistory<'_>,
) -> Result<Resolved<'a>, Refusal> {
    let refused = refused_attribution(graph, source, destination, command);
    if refused.is_none() {
        check_attributions(graph, "source_profile", source)?;
        check_attributions(graph, "destination_profile", destination)?;
    }
    let attribution = HistoryAttribution {
        source: graph.profiles.bearer(source),
        destination: graph.profiles.bearer(destination),
        start: command.start,
        end: command.end,
        refused,
    };
    let extra = Extra { attribution: Some(attribution), ..Extra::default() };
    Ok(of_target(graph, destination, extra))
}

/// Whether a profile has room for one more attribution.
fn check_attributions(graph: &Graph, field: &str, root: u32) -> Result<(), Refusal> {
    let found = graph.attributions_of(root).len() + 1;
    bound(field, "attributions of the profile", found, ATTRIBUTIONS_MAX)
}

/// mParticle's rules for aliases: no range twice, and no chains.
fn refused_attribution(
    graph: &Graph,
    source: u32,
    destination: u32,
    command: &AttributeHistory<'_>,
) -> Option<Rule> {
    if !graph.rules().attributes_history {
        return Some(Rule::AttributionOff);
    }
    let (of_source, of_destination) =
        (graph.attributions_of(source), graph.attributions_of(destination));
    let root = |profile: ProfileNumber| {
        graph.profiles.root(graph.profiles.node(profile).expect("it was attributed"))
    };
    let was_destination = of_source.iter().any(|known| root(known.destination) == source);
    let was_source = of_destination.iter().any(|known| root(known.source) == destination);
    if was_destination || was_source {
        return Some(Rule::AttributionChain);
    }
    let overlaps = of_source.iter().any(|known| {
        root(known.source) == source && known.start <= command.end && command.start <= known.end
    });
    overlaps.then_some(Rule::AttributionOverlap)
}

/// A command that changes no identifier of its own.
fn of_target<'a>(graph: &Graph, root: u32, extra: Extra<'a>) -> Resolved<'a> {
    let target = survivor::target(graph, &[root], true);
    let mut resolved = with_verdicts(graph, Vec::new(), &[root], target, |_, _| {
        unreachable!("there is no identifier to judge")
    });
    resolved.known = known_after(graph, &[root], &resolved, &extra.moves);
    resolved.extra = Some(Box::new(extra));
    resolved
}
