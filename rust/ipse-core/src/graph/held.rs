//! All that is held on someone, beyond what a profile answers: for those who ask what is known
//! of them. Reads only, and takes time in proportion to what there is.

use crate::change::{ProfileNumber, SequenceNumber};
use crate::event::TraitValue;
use crate::time::Timestamp;

use super::Graph;
use super::links::Link;

/// A trait as a part of a profile holds it, whether or not it is the one that is answered.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HeldTrait<'a> {
    /// The part: the profile, or one that it absorbed.
    pub profile: ProfileNumber,
    /// The trait's name.
    pub name: &'a str,
    /// Its value; `None` if it was removed.
    pub value: Option<&'a TraitValue<'static>>,
    /// When it was set.
    pub time: Timestamp,
    /// The record that set it.
    pub sequence: SequenceNumber,
}

/// Two identifiers that were seen together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkView<'a> {
    /// Namespace and value of the stronger.
    pub stronger: (&'a str, &'a str),
    /// Namespace and value of the other.
    pub weaker: (&'a str, &'a str),
    /// The record that first saw them together.
    pub sequence: SequenceNumber,
}

impl Graph {
    /// The numbers of a profile: its own and those that it absorbed, by number.
    pub fn numbers_of(&self, profile: ProfileNumber) -> Vec<ProfileNumber> {
        let Some(node) = self.profiles.node(profile) else { return Vec::new() };
        let mut nodes = self.profiles.tree(self.profiles.root(node));
        nodes.sort_unstable();
        nodes.into_iter().map(|node| ProfileNumber(node + 1)).collect()
    }

    /// The traits of all parts of a profile.
    pub fn held_traits(&self, profile: ProfileNumber) -> Vec<HeldTrait<'_>> {
        let numbers = self.numbers_of(profile).into_iter();
        let of_number = |number: ProfileNumber| {
            let rows = self.traits.of_node(number.0 - 1).iter();
            rows.map(move |row| HeldTrait {
                profile: number,
                name: &row.name,
                value: row.value.as_ref(),
                time: row.time,
                sequence: row.sequence,
            })
        };
        numbers.flat_map(of_number).collect()
    }

    /// The links among the identifiers of a profile, by record.
    pub fn held_links(&self, profile: ProfileNumber) -> Vec<LinkView<'_>> {
        let Some(node) = self.profiles.node(profile) else { return Vec::new() };
        let ids = self.identifiers_of_profile(self.profiles.root(node));
        let mut links = self.links_between(&ids, &ids);
        links.sort_unstable_by_key(|link| (link.sequence, link.stronger, link.weaker));
        links.into_iter().map(|link| self.link_view(link)).collect()
    }

    pub(crate) fn link_view(&self, link: Link) -> LinkView<'_> {
        LinkView {
            stronger: self.text_of(link.stronger),
            weaker: self.text_of(link.weaker),
            sequence: link.sequence,
        }
    }

    /// The ids of events and operations that are remembered of a profile, with their records.
    pub fn held_event_ids(
        &self,
        profile: ProfileNumber,
    ) -> impl Iterator<Item = (&str, SequenceNumber, Timestamp)> {
        let numbers = self.numbers_of(profile);
        let is_theirs = move |profile| numbers.binary_search(&profile).is_ok();
        let theirs = self
            .remembered_events
            .iter()
            .filter(move |event| event.target.profile().is_some_and(&is_theirs));
        theirs.map(|event| (&*event.event_id, event.sequence, event.log_time))
    }
}
