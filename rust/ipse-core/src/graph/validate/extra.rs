//! What only some records bring: each part must be possible on this graph.

use std::borrow::Cow;

use hashbrown::HashSet;

use crate::change::{
    EventResolved, Extra, HistoryAttribution, MergeVerdict, Move, MoveCause, ObservedIdentifier,
    ProfileNumber, Target, Verb,
};
use crate::limits::{ATTRIBUTIONS_MAX, PROFILES_MAX};

use crate::graph::Graph;
use crate::graph::identifiers::IdentifierId;

use super::{Checked, InvalidRecord, ensure, named};

/// Namespace and value of an identifier.
type Named<'a> = (Cow<'a, str>, Cow<'a, str>);

/// Identifiers and roots of profiles.
type Places = HashSet<(IdentifierId, u32), foldhash::fast::FixedState>;

/// What the moves of a record did, up to one of them.
#[derive(Default)]
struct MovedSoFar {
    /// The roots that are the target's after the record: one profile, as far as moves go.
    target: Vec<u32>,
    left: Places,
    arrived: Places,
}

impl MovedSoFar {
    /// The root that stands for a whole profile after the merges of the record.
    fn whole(&self, root: u32) -> u32 {
        match self.target.first() {
            Some(&first) if self.target.contains(&root) => first,
            _ => root,
        }
    }
}

impl Graph {
    pub(super) fn validate_extra(&self, event: &EventResolved<'_>, extra: &Extra<'_>) -> Checked {
        if event.verb == Verb::Revert {
            return self.validate_revert(event, extra);
        }
        self.validate_moves(event, extra)?;
        self.validate_displaced(event, extra)?;
        self.validate_merges(event, extra)?;
        match &extra.attribution {
            Some(attribution) => self.validate_attribution(attribution),
            None => Ok(()),
        }
    }

    fn validate_moves(&self, event: &EventResolved<'_>, extra: &Extra<'_>) -> Checked {
        if extra.moves.is_empty() {
            return Ok(());
        }
        let creates = matches!(event.target, Target::Created(_));
        let mut newest = u64::from(self.profiles.len()) + u64::from(creates);
        let mut moved_so_far =
            MovedSoFar { target: self.target_roots(&event.target), ..<_>::default() };
        for moved in &extra.moves {
            let id = self.validate_move(event, moved)?;
            let from = moved_so_far.whole(self.bearer_root(moved.from)?);
            ensure(moved_so_far.left.insert((id, from)), || {
                format!("{} moves twice", named(&moved.namespace))
            })?;
            let Some(to) = moved.to else { continue };
            if u64::from(to.0) == newest + 1 {
                newest += 1;
            }
            ensure((1..=newest).contains(&u64::from(to.0)), || {
                format!("it moves an identifier to profile {to}, not {}", newest + 1)
            })?;
            self.validate_destination(&mut moved_so_far, moved, to, id)?;
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
        let id = self.find_recorded(&moved.namespace, &moved.value);
        let held = id.filter(|&id| self.holds(from, id));
        let id = held.ok_or_else(|| {
            InvalidRecord(format!("{named} moves from profile {}, which has it not", moved.from))
        })?;
        ensure(!self.is_former_id(id), || "a former id moves".to_owned())?;
        let own = |own: &&ObservedIdentifier<'_>| {
            own.namespace == moved.namespace && own.value == moved.value
        };
        let judged = event.identifiers.iter().find(own).map(|own| &own.verdict);
        ensure(judged.is_none_or(|verdict| verdict.reason().is_some()), || {
            format!("{named} is the event's own and moves")
        })?;
        let displaces = moved.cause == MoveCause::Displaced;
        ensure(!displaces || self.rules().keeps_evidence(), || {
            format!("{named} is displaced by rules that displace none")
        })?;
        Ok(id)
    }

    /// A move must put an identifier on a profile that does not hold it, or not any more.
    fn validate_destination(
        &self,
        moved_so_far: &mut MovedSoFar,
        moved: &Move<'_>,
        to: ProfileNumber,
        id: IdentifierId,
    ) -> Checked {
        let named = named(&moved.namespace);
        // A new profile has the number that its node will have.
        let mut held = false;
        let mut whole = to.0 - 1;
        if self.profiles.node(to).is_some() {
            let splits = moved.cause == MoveCause::Split;
            ensure(!splits, || format!("{named} is split off into profile {to}"))?;
            let (from, root) = (self.bearer_root(moved.from)?, self.bearer_root(to)?);
            whole = moved_so_far.whole(root);
            let within = whole == moved_so_far.whole(from);
            ensure(!within, || format!("{named} moves within profile {to}"))?;
            let is_there = |root: &u32| moved_so_far.whole(*root) == whole;
            held =
                self.roots_of(id).iter().any(is_there) && !moved_so_far.left.contains(&(id, whole));
        }
        let is_new = moved_so_far.arrived.insert((id, whole));
        ensure(is_new && !held, || format!("{named} moves to profile {to}, which has it already"))
    }

    /// A link that is displaced must be one of two identifiers that are known after the record:
    /// one that was there, or one that the event showed and that never held.
    fn validate_displaced(&self, event: &EventResolved<'_>, extra: &Extra<'_>) -> Checked {
        if extra.displaced.is_empty() {
            return Ok(());
        }
        ensure(self.rules().keeps_evidence(), || {
            "it displaces links under rules that keep none".to_owned()
        })?;
        let is_known = |(namespace, value): &Named<'_>| {
            let is_it = |observed: &&ObservedIdentifier<'_>| {
                observed.namespace == *namespace && observed.value == *value
            };
            let own = event.identifiers.iter().find(is_it);
            own.is_some_and(|observed| observed.verdict.is_kept())
                || self.find_recorded(namespace, value).is_some()
        };
        for pair in &extra.displaced {
            ensure(pair.a != pair.b && is_known(&pair.a) && is_known(&pair.b), || {
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
