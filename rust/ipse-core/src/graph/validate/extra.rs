//! What only some records bring: each part must be possible on this graph.

use hashbrown::HashSet;

use crate::change::{
    EventResolved, Extra, HistoryAttribution, LinkPair, MergeVerdict, Move, MoveCause,
    ProfileNumber, Target,
};
use crate::limits::{ATTRIBUTIONS_MAX, PROFILES_MAX};
use crate::rules::Conflict;

use crate::graph::Graph;
use crate::graph::identifiers::IdentifierId;

use super::{Checked, InvalidRecord, ensure, named};

impl Graph {
    pub(super) fn validate_extra(&self, event: &EventResolved<'_>, extra: &Extra<'_>) -> Checked {
        self.validate_moves(event, extra)?;
        self.validate_displaced(event, extra)?;
        self.validate_merges(event, extra)?;
        match &extra.attribution {
            Some(attribution) => self.validate_attribution(attribution),
            None => Ok(()),
        }
    }

    fn validate_moves(&self, event: &EventResolved<'_>, extra: &Extra<'_>) -> Checked {
        let creates = matches!(event.target, Target::Created(_));
        let mut newest = u64::from(self.profiles.len()) + u64::from(creates);
        let mut moved_ids: HashSet<IdentifierId, foldhash::fast::FixedState> = HashSet::default();
        for moved in &extra.moves {
            let id = self.validate_move(event, moved)?;
            ensure(moved_ids.insert(id), || format!("{} moves twice", named(&moved.namespace)))?;
            let Some(to) = moved.to else { continue };
            if u64::from(to.0) == newest + 1 {
                newest += 1;
            }
            ensure((1..=newest).contains(&u64::from(to.0)), || {
                format!("it moves an identifier to profile {to}, not {}", newest + 1)
            })?;
            self.validate_destination(event, moved, to, id)?;
        }
        ensure(newest <= PROFILES_MAX as u64, || "too many profiles".to_owned())
    }

    /// A move must take an identifier from a profile that holds it, and must not take one that
    /// the record itself puts somewhere.
    fn validate_move(
        &self,
        event: &EventResolved<'_>,
        moved: &Move<'_>,
    ) -> Result<IdentifierId, InvalidRecord> {
        let named = named(&moved.namespace);
        let from = self.bearer_root(moved.from)?;
        let id = self.find_identifier(&moved.namespace, &moved.value);
        let held = id.filter(|&id| self.holds(from, id));
        let id = held.ok_or_else(|| {
            InvalidRecord(format!("{named} moves from profile {}, which has it not", moved.from))
        })?;
        ensure(!self.is_former_id(id), || "a former id moves".to_owned())?;
        let own = |own: &&crate::change::ObservedIdentifier<'_>| {
            own.namespace == moved.namespace && own.value == moved.value
        };
        let judged = event.identifiers.iter().find(own).map(|own| &own.verdict);
        ensure(judged.is_none_or(|verdict| verdict.reason().is_some()), || {
            format!("{named} is the event's own and moves")
        })?;
        let displaces = moved.cause == MoveCause::Displaced;
        ensure(!displaces || self.rules().conflict == Conflict::Replay, || {
            format!("{named} is displaced by rules that displace none")
        })?;
        Ok(id)
    }

    fn validate_destination(
        &self,
        event: &EventResolved<'_>,
        moved: &Move<'_>,
        to: ProfileNumber,
        id: IdentifierId,
    ) -> Checked {
        let is_new = self.profiles.node(to).is_none();
        if is_new {
            return Ok(());
        }
        let named = named(&moved.namespace);
        let splits = moved.cause == MoveCause::Split;
        ensure(!splits || is_new, || format!("{named} is split off into profile {to}"))?;
        let (from, root) = (self.bearer_root(moved.from)?, self.bearer_root(to)?);
        let target = self.target_roots(&event.target);
        let within = root == from || target.contains(&root) && target.contains(&from);
        ensure(!within, || format!("{named} moves within profile {to}"))?;
        let joined = if target.contains(&root) { target } else { vec![root] };
        ensure(!joined.iter().any(|&root| self.holds(root, id)), || {
            format!("{named} moves to profile {to}, which has it already")
        })
    }

    /// A link that is displaced must be there, or be made by the record.
    fn validate_displaced(&self, event: &EventResolved<'_>, extra: &Extra<'_>) -> Checked {
        if extra.displaced.is_empty() {
            return Ok(());
        }
        ensure(self.rules().conflict == Conflict::Replay, || {
            "it displaces links under rules that keep none".to_owned()
        })?;
        let is_own = |end: &(std::borrow::Cow<'_, str>, std::borrow::Cow<'_, str>)| {
            let mut kept = event.identifiers.iter().filter(|observed| observed.verdict.is_kept());
            kept.any(|observed| observed.namespace == end.0 && observed.value == end.1)
        };
        let is_linked = |pair: &LinkPair<'_>| {
            let a = self.find_identifier(&pair.a.0, &pair.a.1);
            let b = self.find_identifier(&pair.b.0, &pair.b.1);
            a.zip(b).is_some_and(|(a, b)| self.evidence.between(a, b).is_some())
        };
        for pair in &extra.displaced {
            let made = || pair.a != pair.b && is_own(&pair.a) && is_own(&pair.b);
            ensure(is_linked(pair) || made(), || {
                format!("{} and {} are displaced, not linked", named(&pair.a.0), named(&pair.b.0))
            })?;
        }
        Ok(())
    }

    /// What is said to be merged must be what the target merged.
    fn validate_merges(&self, event: &EventResolved<'_>, extra: &Extra<'_>) -> Checked {
        let target = self.target_roots(&event.target);
        for merge in &extra.merges {
            let Some(profile) = merge.profile else { continue };
            let node = self.profiles.node(profile);
            let root = node.map(|node| self.profiles.root(node));
            let root =
                root.ok_or_else(|| InvalidRecord(format!("profile {profile} does not exist")))?;
            let joins = matches!(merge.verdict, MergeVerdict::Merged | MergeVerdict::AlreadyMerged);
            ensure(joins == target.contains(&root), || {
                format!("profile {profile} is not merged as it says")
            })?;
        }
        Ok(())
    }

    fn validate_attribution(&self, attribution: &HistoryAttribution) -> Checked {
        let mut roots = Vec::new();
        for profile in [attribution.source, attribution.destination] {
            let node = self.profiles.node(profile);
            let node =
                node.ok_or_else(|| InvalidRecord(format!("profile {profile} does not exist")))?;
            let root = self.profiles.root(node);
            let full = attribution.refused.is_none()
                && self.attributions_of(root).len() >= ATTRIBUTIONS_MAX;
            ensure(!full, || format!("profile {profile} has too many attributions"))?;
            roots.push(root);
        }
        ensure(attribution.refused.is_some() || roots[0] != roots[1], || {
            "history goes from a profile to itself".to_owned()
        })
    }
}
