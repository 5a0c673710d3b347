//! What was decided about an event or a command, as callers are told.
//!
//! Written from the decision itself, which is what the log holds, so that a repeated event or
//! command is told the same again.

use ipse_core::change::{
    HistoryAttribution, MergeVerdict, Move, MoveCause, ProfileNumber, Reason as RuleReason, Rule,
    SourceMerge, TraitReason, Verdict,
};
use ipse_core::erasure::is_pseudonym;
use ipse_core::identifier::FORMER_ID;
use ipse_core::{
    AttributedBy, Decision, EventResolved, Graph, ObservedIdentifier, SequenceNumber, Target,
    Timestamp,
};

use crate::convert::wire_time;
use crate::encode::Encoder;
use crate::extract::Ignored;
use crate::proto::v1;

/// The fate of an event or a command, before it is encoded.
pub(crate) struct Resolution<'a> {
    pub(crate) resolved: EventResolved<'a>,
    pub(crate) known: bool,
    pub(crate) attributed_by: AttributedBy,
    pub(crate) sequence: SequenceNumber,
    pub(crate) recorded: bool,
    pub(crate) repeated: bool,
    pub(crate) read_only: bool,
}

impl<'a> Resolution<'a> {
    /// Of what was decided and is not to be written.
    pub(crate) fn planned(decision: Decision<'a>, newest: SequenceNumber) -> Resolution<'a> {
        Resolution {
            resolved: decision.resolved,
            known: decision.known,
            attributed_by: decision.attributed_by,
            sequence: newest,
            recorded: false,
            repeated: false,
            read_only: true,
        }
    }
}

impl Resolution<'_> {
    /// Writes the fields of a `Resolution`. The graph is the one that the decision left.
    pub(crate) fn encode(&self, ignored: &[Ignored], graph: &Graph, out: &mut Encoder) {
        let target = &self.resolved.target;
        let profile = self.profile().map(|profile| graph.profile_id(profile));
        if let Some(id) = &profile {
            out.string(1, id.as_str());
        }
        out.number(2, self.decision() as u64);
        out.bool(3, matches!(target, Target::Created(_)));
        out.bool(4, self.known);
        for identifier in self.identifiers() {
            out.message(5, |out| encode_verdict(identifier, graph, out));
        }
        for &absorbed in target.absorbed() {
            out.element(6, graph.profile_id(absorbed).as_str());
        }
        out.number(7, self.sequence.0);
        out.bool(8, self.recorded);
        out.bool(9, self.repeated);
        out.number(10, u64::from(self.resolved.rules_version.0));
        for ignored in ignored {
            out.message(11, |out| {
                out.string(1, &ignored.path);
                out.string(2, ignored.reason);
            });
        }
        for moved in self.resolved.moves() {
            out.message(12, |out| encode_move(moved, graph, out));
        }
        match (self.attributed_by, &profile) {
            (AttributedBy::Profile, Some(id)) => {
                out.message(13, |out| out.element(1, id.as_str()));
            }
            (AttributedBy::Identifier(at), _) => {
                let by = &self.resolved.identifiers[usize::from(at)];
                out.message(13, |out| out.message(2, |out| encode_identifier(by, out)));
            }
            (AttributedBy::Profile, None) | (AttributedBy::Nobody, _) => {}
        }
        for ignored in self.resolved.ignored_traits() {
            out.message(14, |out| {
                out.string(1, &ignored.name);
                out.number(2, trait_reason_on_wire(ignored.reason) as u64);
            });
        }
    }

    /// Writes a `SourceVerdict` for each source of a merge, as elements of `field`.
    pub(crate) fn encode_merges(&self, field: u32, graph: &Graph, out: &mut Encoder) {
        for source in self.resolved.extra.iter().flat_map(|extra| &extra.merges) {
            out.message(field, |out| encode_source(source, graph, out));
        }
    }

    /// Writes a `RevertedMerge` for each merge that was undone, as elements of `field`.
    pub(crate) fn encode_reverted(&self, field: u32, graph: &Graph, out: &mut Encoder) {
        for merge in self.resolved.extra.iter().flat_map(|extra| &extra.reverted) {
            out.message(field, |out| {
                out.string(1, graph.profile_id(merge.absorbed).as_str());
                out.string(2, graph.profile_id(merge.survivor).as_str());
                out.number(3, merge.merged.0);
            });
        }
    }

    /// Writes the fields of an `AttributeHistoryResponse`.
    pub(crate) fn encode_attribution(&self, graph: &Graph, out: &mut Encoder) {
        let extra = self.resolved.extra.as_ref();
        if let Some(attribution) = extra.and_then(|extra| extra.attribution.as_ref()) {
            let rule = attribution.refused;
            out.bool(1, rule.is_none());
            out.number(2, rule.map_or(0, |rule| rule_on_wire(rule) as u64));
            let says_so = self.recorded && rule.is_none();
            let sequence = if says_so { self.sequence } else { SequenceNumber(0) };
            out.message(3, |out| encode_attribution(attribution, sequence, graph, out));
        }
        out.bool(4, self.repeated);
        out.number(5, self.sequence.0);
    }

    /// The identifiers that callers know of: a former id is asked for as one of its own.
    fn identifiers(&self) -> &[ObservedIdentifier<'_>] {
        match self.resolved.identifiers.split_last() {
            Some((last, others)) if last.namespace == FORMER_ID => others,
            _ => &self.resolved.identifiers,
        }
    }

    /// The rule of each identifier that was dropped or kept where it was.
    pub(crate) fn rules(&self) -> impl Iterator<Item = v1::Rule> + '_ {
        self.identifiers().iter().filter_map(|identifier| match &identifier.verdict {
            Verdict::Dropped(reason) | Verdict::Refused(reason) => Some(rule_on_wire(reason.rule)),
            _ => None,
        })
    }

    /// The profile to name. One that would be created has no id yet: whoever is created next
    /// will get it.
    fn profile(&self) -> Option<ProfileNumber> {
        match self.resolved.target {
            Target::Created(_) if self.read_only && !self.repeated => None,
            _ => self.resolved.target.profile(),
        }
    }

    fn decision(&self) -> v1::Decision {
        let attaches = |observed: &ObservedIdentifier<'_>| {
            matches!(observed.verdict, Verdict::Attached | Verdict::Transferred { .. })
        };
        match self.resolved.target {
            Target::Unresolved => v1::Decision::Unresolved,
            Target::Created(_) => v1::Decision::Created,
            Target::Merged { .. } => v1::Decision::Merged,
            Target::Found(_) if self.identifiers().iter().any(attaches) => v1::Decision::Attached,
            Target::Found(_) => v1::Decision::AlreadyAttached,
        }
    }
}

/// Writes the fields of a `HistoryAttribution`.
pub(crate) fn encode_range(
    (source, destination): (ProfileNumber, ProfileNumber),
    (start, end): (Timestamp, Timestamp),
    sequence: SequenceNumber,
    graph: &Graph,
    out: &mut Encoder,
) {
    out.string(1, graph.profile_id(source).as_str());
    out.string(2, graph.profile_id(destination).as_str());
    out.encoded(3, &wire_time(start));
    out.encoded(4, &wire_time(end));
    out.number(5, sequence.0);
}

fn encode_attribution(
    attribution: &HistoryAttribution,
    sequence: SequenceNumber,
    graph: &Graph,
    out: &mut Encoder,
) {
    let profiles = (attribution.source, attribution.destination);
    encode_range(profiles, (attribution.start, attribution.end), sequence, graph, out);
}

fn encode_identifier(observed: &ObservedIdentifier<'_>, out: &mut Encoder) {
    out.string(1, &observed.namespace);
    out.string(2, unless_erased(&observed.value));
}

/// A value as it is told: nothing, if it was erased.
pub(crate) fn unless_erased(value: &str) -> &str {
    if is_pseudonym(value) { "" } else { value }
}

fn encode_verdict(observed: &ObservedIdentifier<'_>, graph: &Graph, out: &mut Encoder) {
    out.message(1, |out| encode_identifier(observed, out));
    out.string(2, observed.raw.as_deref().unwrap_or_default());
    out.number(3, verdict_on_wire(&observed.verdict) as u64);
    match &observed.verdict {
        Verdict::Dropped(reason) | Verdict::Refused(reason) => encode_reason(reason, graph, out),
        Verdict::Transferred { from } => out.string(7, graph.profile_id(*from).as_str()),
        Verdict::Attached | Verdict::AlreadyAttached | Verdict::Removed => {}
    }
}

fn encode_reason(reason: &RuleReason, graph: &Graph, out: &mut Encoder) {
    encode_rule(4, reason, out);
    if let Some(profile) = reason.collided {
        out.string(7, graph.profile_id(profile).as_str());
    }
    out.string(8, reason.rule.violation());
}

/// The rule as `field`, and its limit as the two after that.
fn encode_rule(field: u32, reason: &RuleReason, out: &mut Encoder) {
    out.number(field, rule_on_wire(reason.rule) as u64);
    if let Some(limit) = &reason.limit {
        out.string(field + 1, limit.namespace.as_deref().unwrap_or_default());
        out.number(field + 2, u64::from(limit.value));
    }
}

fn encode_move(moved: &Move<'_>, graph: &Graph, out: &mut Encoder) {
    out.message(1, |out| {
        out.string(1, &moved.namespace);
        out.string(2, unless_erased(&moved.value));
    });
    out.string(2, graph.profile_id(moved.from).as_str());
    // A profile that is only to be created has no id yet.
    if let Some(to) = moved.to.filter(|&to| graph.profile(to).is_some()) {
        out.string(3, graph.profile_id(to).as_str());
    }
    let cause = match moved.cause {
        MoveCause::Displaced => v1::MoveCause::Displaced,
        MoveCause::Evicted => v1::MoveCause::Evicted,
        MoveCause::Split => v1::MoveCause::Split,
        MoveCause::Reverted => v1::MoveCause::Reverted,
        MoveCause::RevertedShared => v1::MoveCause::RevertedShared,
    };
    out.number(4, cause as u64);
}

fn encode_source(source: &SourceMerge, graph: &Graph, out: &mut Encoder) {
    if let Some(profile) = source.profile {
        out.string(1, graph.profile_id(profile).as_str());
    }
    let verdict = match source.verdict {
        MergeVerdict::Merged => v1::MergeVerdict::Merged,
        MergeVerdict::AlreadyMerged => v1::MergeVerdict::AlreadyMerged,
        MergeVerdict::NotFound => v1::MergeVerdict::NotFound,
        MergeVerdict::Refused(_) => v1::MergeVerdict::Refused,
    };
    out.number(2, verdict as u64);
    if let MergeVerdict::Refused(reason) = &source.verdict {
        encode_rule(3, reason, out);
    }
}

fn verdict_on_wire(verdict: &Verdict) -> v1::Verdict {
    match verdict {
        Verdict::Attached => v1::Verdict::Attached,
        Verdict::AlreadyAttached => v1::Verdict::AlreadyAttached,
        Verdict::Dropped(_) => v1::Verdict::Dropped,
        Verdict::Refused(_) => v1::Verdict::Refused,
        Verdict::Transferred { .. } => v1::Verdict::Transferred,
        Verdict::Removed => v1::Verdict::Removed,
    }
}

fn trait_reason_on_wire(reason: TraitReason) -> v1::TraitReason {
    match reason {
        TraitReason::Older => v1::TraitReason::Older,
        TraitReason::SetAlready => v1::TraitReason::SetAlready,
        TraitReason::Unresolved => v1::TraitReason::Unresolved,
        TraitReason::Ceiling => v1::TraitReason::Ceiling,
    }
}

pub(crate) fn rule_on_wire(rule: Rule) -> v1::Rule {
    match rule {
        Rule::UnknownNamespace => v1::Rule::UnknownNamespace,
        Rule::InvalidValue => v1::Rule::InvalidValue,
        Rule::BlockedValue => v1::Rule::BlockedValue,
        Rule::ValueLimit => v1::Rule::ValueLimit,
        Rule::ValueTimeLimit => v1::Rule::ValueTimeLimit,
        Rule::MergeLimit => v1::Rule::MergeLimit,
        Rule::IdentifierLimit => v1::Rule::IdentifierLimit,
        Rule::Immutable => v1::Rule::Immutable,
        Rule::HeldElsewhere => v1::Rule::HeldElsewhere,
        Rule::ExclusiveOwner => v1::Rule::ExclusiveOwner,
        Rule::KnownSource => v1::Rule::KnownSource,
        Rule::SourceShape => v1::Rule::SourceShape,
        Rule::SourceUsed => v1::Rule::SourceUsed,
        Rule::NoTarget => v1::Rule::NoTarget,
        Rule::PairLimit => v1::Rule::PairLimit,
        Rule::MovedLimit => v1::Rule::MovedLimit,
        Rule::HolderLimit => v1::Rule::HolderLimit,
        Rule::AmbiguousEvent => v1::Rule::AmbiguousEvent,
        Rule::Displaced => v1::Rule::Displaced,
        Rule::DeniedLink => v1::Rule::DeniedLink,
        Rule::NotAttached => v1::Rule::NotAttached,
        Rule::AttributionOverlap => v1::Rule::AttributionOverlap,
        Rule::AttributionChain => v1::Rule::AttributionChain,
        Rule::AttributionOff => v1::Rule::AttributionOff,
        Rule::Suppressed => v1::Rule::Suppressed,
        Rule::Ceiling => v1::Rule::Ceiling,
    }
}
