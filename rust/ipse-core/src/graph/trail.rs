//! The trail of a profile: the records that what it is now rests on, as far as memory knows.
//!
//! Reads only, and takes time in proportion to what the profile holds or held. What left it is
//! known for as long as the past is kept, and then by the newest record that took something off
//! each of its nodes.

use crate::change::{ProfileNumber, SequenceNumber};
use crate::union_find::Node;

use super::Graph;
use super::attributions::AttributionView;
use super::held::LinkView;
use super::identifiers::IdentifierId;
use super::past::Child;
use super::view::IdentifierView;

/// What of a profile rests on a record.
#[derive(Clone, Debug, PartialEq)]
pub enum Trace<'a> {
    /// It, or a part of it, began.
    Created {
        /// Whose number began.
        profile: ProfileNumber,
    },
    /// Two of its parts became one.
    Merged(Merge),
    /// It holds an identifier.
    Attached(IdentifierView<'a>),
    /// It held an identifier from here on, and does no longer.
    Had(IdentifierView<'a>),
    /// An identifier left it; the view says which record had attached it.
    Left(IdentifierView<'a>),
    /// It has the id that it had in a former system.
    FormerId(&'a str),
    /// Two of its identifiers were first seen together.
    Linked(LinkView<'a>),
    /// A trait of one of its parts was set or removed.
    TraitSet {
        /// The trait's name.
        name: &'a str,
    },
    /// A range of history was attributed to it, or from it.
    Attributed(AttributionView),
    /// Something left it, or it was made known or older.
    Changed,
}

/// Two profiles that became one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Merge {
    /// Whose id went on.
    pub survivor: ProfileNumber,
    /// Whose id retired.
    pub absorbed: ProfileNumber,
    /// The record that merged them.
    pub sequence: SequenceNumber,
}

impl Graph {
    /// The trail of the profile that a number answers to, in order of records; those of one
    /// record in the order of [`Trace`].
    pub fn trail(&self, profile: ProfileNumber) -> Vec<(SequenceNumber, Trace<'_>)> {
        let Some(view) = self.profile(profile) else { return Vec::new() };
        let mut trail = Vec::new();
        for number in self.numbers_of(profile) {
            let (sequence, _) = self.profiles.created(number.0 - 1);
            trail.push((sequence, Trace::Created { profile: number }));
        }
        for number in self.numbers_of(profile) {
            let merges = self.merges_below(number.0 - 1).into_iter();
            trail.extend(merges.map(|(_, merge)| (merge.sequence, Trace::Merged(merge))));
        }
        let held = view.identifiers().into_iter();
        trail.extend(held.map(|held| (held.sequence, Trace::Attached(held))));
        self.add_left(profile, &mut trail);
        trail.extend(self.former_ids_of(profile));
        let links = self.held_links(profile).into_iter();
        trail.extend(links.map(|link| (link.sequence, Trace::Linked(link))));
        let traits = self.held_traits(profile).into_iter();
        trail.extend(traits.map(|held| (held.sequence, Trace::TraitSet { name: held.name })));
        let attributed = view.attributions().into_iter();
        trail.extend(attributed.map(|held| (held.sequence, Trace::Attributed(held))));
        let departures =
            self.numbers_of(profile).into_iter().filter_map(|of| self.departures.of(of.0 - 1));
        trail.extend(departures.map(|by| (by, Trace::Changed)));
        // Stable: those of one record stay in this order.
        trail.sort_by_key(|(sequence, _)| *sequence);
        trail
    }

    /// What left its parts, for as long as the past is kept.
    fn add_left<'a>(
        &'a self,
        profile: ProfileNumber,
        trail: &mut Vec<(SequenceNumber, Trace<'a>)>,
    ) {
        for number in self.numbers_of(profile) {
            for left in self.past.holdings.of_b(number.0 - 1, SequenceNumber(0)) {
                let (namespace, value) = self.text_of(IdentifierId(left.a));
                let (attached_time, sequence) = (left.what.time.get(), left.from());
                let view = IdentifierView { namespace, value, attached_time, sequence };
                trail.push((left.from(), Trace::Had(view)));
                trail.push((left.until(), Trace::Left(view)));
            }
        }
    }

    fn former_ids_of(
        &self,
        profile: ProfileNumber,
    ) -> impl Iterator<Item = (SequenceNumber, Trace<'_>)> {
        let root = self.profiles.node(profile).map(|node| self.profiles.root(node));
        let has_any = self.namespaces().has_former_ids();
        let former = move |root: Node| {
            let ids = self.identifiers_of_profile(root).into_iter();
            ids.filter(|id| self.is_former_id(*id)).filter_map(move |id| {
                let held = self.holding(root, id)?;
                Some((held.sequence, Trace::FormerId(self.identifiers.rows.value(id))))
            })
        };
        root.filter(|_| has_any).into_iter().flat_map(former)
    }

    /// The nodes that were merged right below one, each with the profiles that the merge joined.
    pub(crate) fn merges_below(&self, node: Node) -> Vec<(Node, Merge)> {
        // Whose id the root bore before each of them.
        let mut bearer = ProfileNumber(node + 1);
        let merge = |Child { node, merged, how }: Child| {
            let (survivor, absorbed) = match how.survived {
                true => (how.bearer, bearer),
                false => (bearer, how.bearer),
            };
            bearer = survivor;
            (node, Merge { survivor, absorbed, sequence: merged })
        };
        self.children_at(node, self.sequence).into_iter().map(merge).collect()
    }
}
