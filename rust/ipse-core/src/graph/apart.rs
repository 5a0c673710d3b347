//! Why two profiles are not one: what parted them, and what was refused between them.

use std::collections::BTreeMap;

use crate::change::{ProfileNumber, Rule, SequenceNumber};
use crate::limits::{EXPLAINED_REFUSALS_MAX, PARTED_TOLD_MAX};

use super::Graph;
use super::identifiers::IdentifierId;
use super::partings::{Side, Sides};
use super::remembered::RefusalHash;

/// A record that said that identifiers of two profiles are of different people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parting<'a> {
    /// The record.
    pub by: SequenceNumber,
    /// Some of the identifiers of one that it parted from the other's, by namespace and value.
    pub one: Vec<(&'a str, &'a str)>,
    /// Some of the other's.
    pub other: Vec<(&'a str, &'a str)>,
}

/// A refusal that is remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownRefusal<'a> {
    /// The first record that has it.
    pub by: SequenceNumber,
    /// The rule that kept the identifier off the profile.
    pub rule: Rule,
    /// Namespace and value.
    pub identifier: (&'a str, &'a str),
    /// Whose the event was; `None`: nobody's.
    pub profile: Option<ProfileNumber>,
}

impl Graph {
    /// What parted two profiles, oldest first.
    pub fn partings_between(&self, one: ProfileNumber, other: ProfileNumber) -> Vec<Parting<'_>> {
        if self.partings.is_empty() {
            return Vec::new();
        }
        let (ones, others) = (self.sides_of(one), self.sides_of(other));
        let mut partings: BTreeMap<SequenceNumber, Parting<'_>> = BTreeMap::new();
        for (side, ids) in &ones {
            let is_opposite = |met: &&Side| met.by == side.by && met.side != side.side;
            for opposite in others.keys().filter(is_opposite) {
                let parting = partings.entry(side.by).or_insert_with(|| Parting {
                    by: side.by,
                    one: Vec::new(),
                    other: Vec::new(),
                });
                self.tell(ids, &mut parting.one);
                self.tell(&others[opposite], &mut parting.other);
            }
        }
        partings.into_values().collect()
    }

    /// What is remembered of refusals of these identifiers to these profiles, oldest first. The
    /// numbers are those that the profiles had then: of all that are one now, see
    /// [`Graph::numbers_of`]. Looks at the first of so many pairs.
    pub fn refusals_between<'a>(
        &self,
        profiles: &[Option<ProfileNumber>],
        identifiers: &[(&'a str, &'a str)],
    ) -> Vec<KnownRefusal<'a>> {
        let pairs = identifiers.iter().flat_map(|id| profiles.iter().map(move |of| (*id, *of)));
        let known = |((namespace, value), profile): ((&'a str, &'a str), Option<ProfileNumber>)| {
            let number = profile.map_or(0, |profile| profile.0);
            let by_rule = move |rule: Rule| {
                let hash = RefusalHash::new(number, namespace, value, rule);
                let by = self.remembered_refusals.by(hash)?;
                Some(KnownRefusal { by, rule, identifier: (namespace, value), profile })
            };
            Rule::ALL.into_iter().filter_map(by_rule)
        };
        let mut found: Vec<_> = pairs.take(EXPLAINED_REFUSALS_MAX).flat_map(known).collect();
        found.sort_by_key(|refusal| refusal.by);
        found
    }

    fn sides_of(&self, profile: ProfileNumber) -> BTreeMap<Side, Vec<IdentifierId>> {
        let mut sides: BTreeMap<Side, Vec<IdentifierId>> = BTreeMap::new();
        let Some(node) = self.profiles.node(profile) else { return sides };
        for id in self.identifiers_of_profile(self.profiles.root(node)) {
            for side in Sides::of(self, id).iter() {
                sides.entry(*side).or_default().push(id);
            }
        }
        sides
    }

    fn tell<'a>(&'a self, ids: &[IdentifierId], told: &mut Vec<(&'a str, &'a str)>) {
        let left = PARTED_TOLD_MAX.saturating_sub(told.len());
        let new = ids.iter().map(|id| self.text_of(*id)).filter(|text| !told.contains(text));
        let new: Vec<_> = new.take(left).collect();
        told.extend(new);
    }
}
