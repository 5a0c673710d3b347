//! Which edge of the forest is which merge.
//!
//! Every merge retires one profile id and leaves one edge, and no two merges share either: a
//! merge is named by the id that it retired, for as long as it is in force.

use crate::change::{ProfileNumber, SequenceNumber};
use crate::union_find::Node;

use super::profiles::Profiles;

/// Where a merge stands among all of its workspace: by record, then by its place in the record.
pub(crate) type MergeOrder = (SequenceNumber, u16);

/// A merge that is in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Merge {
    /// The node that was joined below the other, whichever side's id went on.
    pub(crate) child: Node,
    /// The root that it was joined to.
    pub(crate) parent: Node,
    /// When.
    pub(crate) order: MergeOrder,
    /// Whose id went on.
    pub(crate) survivor: ProfileNumber,
    /// Whose id retired.
    pub(crate) absorbed: ProfileNumber,
}

impl Profiles {
    /// The merge that retired a profile's id; `None` if the profile bears it.
    pub(crate) fn merge_of(&self, absorbed: ProfileNumber) -> Option<Merge> {
        let mut at = self.node(absorbed)?;
        let mut since = None;
        // Up the edges along which the id went on.
        loop {
            if let Some(child) = self.next_survivor(at, since) {
                return self.merge_above(child);
            }
            if !self.survived(at) {
                return self.merge_above(at);
            }
            since = self.order_of(at);
            (at, _) = self.parent(at)?;
        }
    }

    /// The merges that were built on one, newest first: those of the profile that came of it, and
    /// of those that came of these.
    pub(crate) fn built_on(&self, merge: &Merge) -> Vec<Merge> {
        let (mut at, mut since) = (merge.parent, merge.order);
        let mut built: Vec<Node> = Vec::new();
        loop {
            let later = self.children(at).filter(|&child| self.order_of(child) > Some(since));
            built.extend(later);
            let Some((parent, _)) = self.parent(at) else { break };
            built.push(at);
            since = self.order_of(at).expect("it has a parent");
            at = parent;
        }
        let mut built: Vec<Merge> =
            built.into_iter().filter_map(|child| self.merge_above(child)).collect();
        built.sort_unstable_by_key(|merge| std::cmp::Reverse(merge.order));
        built
    }

    /// Whose id a node bore before one of the merges into it; after all of them, without one.
    pub(crate) fn bearer_before(&self, node: Node, merge: Option<MergeOrder>) -> ProfileNumber {
        let is_before =
            |child: &Node| merge.is_none_or(|order| self.order_of(*child) < Some(order));
        let survivors = self.children(node).filter(|&child| self.survived(child));
        let newest = survivors.filter(is_before).max_by_key(|&child| self.order_of(child));
        newest.map_or(ProfileNumber(node + 1), |child| self.bearer(child))
    }

    /// The first merge into a node after another by which a child's id went on.
    fn next_survivor(&self, node: Node, since: Option<MergeOrder>) -> Option<Node> {
        let survivors = self.children(node).filter(|&child| self.survived(child));
        let later = survivors.filter(|&child| self.order_of(child) > since);
        later.min_by_key(|&child| self.order_of(child))
    }

    /// The merge that joined a node to its parent.
    fn merge_above(&self, child: Node) -> Option<Merge> {
        let (parent, _) = self.parent(child)?;
        let order = self.order_of(child)?;
        let (below, above) = (self.bearer(child), self.bearer_before(parent, Some(order)));
        let (survivor, absorbed) =
            if self.survived(child) { (below, above) } else { (above, below) };
        Some(Merge { child, parent, order, survivor, absorbed })
    }

    /// Where the merge that joined a node to its parent stands.
    pub(crate) fn order_of(&self, child: Node) -> Option<MergeOrder> {
        let (_, merged) = self.parent(child)?;
        Some((merged, self.marks(child).merge_rank))
    }
}

#[cfg(test)]
mod tests {
    use crate::graph::state_hash::StateHash;
    use crate::time::Timestamp;

    use super::*;

    /// Profiles 1 to `count`, none merged.
    fn profiles(count: u32) -> Profiles {
        let mut profiles = Profiles::default();
        for at in 1..=count {
            profiles.create(SequenceNumber(u64::from(at)), Timestamp::MIN);
        }
        profiles
    }

    fn merge(profiles: &mut Profiles, survivor: u32, absorbed: u32, record: u64) {
        let root = |number: u32| profiles.root(number - 1);
        let (survivor, absorbed) = (root(survivor), root(absorbed));
        profiles.merge(survivor, absorbed, SequenceNumber(record), 0);
    }

    #[test]
    fn a_merge_is_found_by_the_id_that_it_retired_whichever_side_became_the_root() {
        let mut profiles = profiles(4);
        merge(&mut profiles, 2, 3, 10);
        // Two nodes against one: the older id goes on, above it is the larger side.
        merge(&mut profiles, 1, 2, 11);
        merge(&mut profiles, 1, 4, 12);
        assert_eq!(profiles.bearer(profiles.root(0)), ProfileNumber(1));
        assert!(profiles.merge_of(ProfileNumber(1)).is_none());
        let of = |number| {
            let merge = profiles.merge_of(ProfileNumber(number)).expect("it was merged");
            (merge.survivor.0, merge.absorbed.0, merge.order.0.0)
        };
        assert_eq!([of(2), of(3), of(4)], [(1, 2, 11), (2, 3, 10), (1, 4, 12)]);
        let oldest = profiles.merge_of(ProfileNumber(3)).expect("it was merged");
        let built: Vec<u64> = profiles.built_on(&oldest).iter().map(|m| m.order.0.0).collect();
        assert_eq!(built, [12, 11]);
    }

    fn sum(profiles: &Profiles) -> u128 {
        let mut state = StateHash::default();
        (0..profiles.len()).for_each(|node| state.add(profiles.hash(node)));
        state.get()
    }

    #[test]
    fn cutting_in_the_reverse_order_gives_back_what_was_there() {
        let mut profiles = profiles(4);
        let mut before = Vec::new();
        for (survivor, absorbed, record) in [(2, 3, 10), (1, 2, 11), (4, 1, 12)] {
            before.push(sum(&profiles));
            merge(&mut profiles, survivor, absorbed, record);
        }
        for absorbed in [1, 2, 3] {
            let merge = profiles.merge_of(ProfileNumber(absorbed)).expect("it was merged");
            assert!(profiles.built_on(&merge).is_empty());
            profiles.cut(&merge);
            assert_eq!(Some(sum(&profiles)), before.pop());
        }
        assert_eq!(profiles.absorbed(), 0);
    }
}
