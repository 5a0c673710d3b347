//! With how many identifiers of another namespace each one that has a pair limit was seen.
//!
//! Counts of links, so that no limit has to read links or profiles. They follow from the links
//! and the rules in force: snapshots and the state hash leave them out, and they are counted
//! anew when rules begin to limit other pairs. Rules that limit none pay nothing for them.

use super::Graph;
use super::identifiers::IdentifierId;
use super::links::Link;
use super::sharded::Sharded;

/// The counts, by identifier and the other namespace.
#[derive(Clone, Debug, Default)]
pub(crate) struct PairCounts {
    counts: Sharded<(u32, u16), u32>,
}

impl PairCounts {
    /// What the table takes in memory.
    pub(super) fn bytes(&self) -> u64 {
        self.counts.bytes()
    }

    fn add(&mut self, key: (u32, u16)) {
        *self.counts.entry(key) += 1;
    }

    fn remove(&mut self, key: (u32, u16)) {
        let count = self.counts.get_mut(&key).expect("the link was counted when it came");
        *count -= 1;
        if *count == 0 {
            self.counts.remove(&key);
        }
    }

    /// All of them, in order.
    pub(super) fn sorted(&self) -> Vec<((u32, u16), u32)> {
        let mut all: Vec<_> = self.counts.iter().map(|(key, count)| (*key, *count)).collect();
        all.sort_unstable();
        all
    }
}

impl Graph {
    /// With how many identifiers of a namespace one was seen. Counted for pairs that the rules
    /// in force limit; 0 for others.
    pub(crate) fn seen_with(&self, id: IdentifierId, namespace: u16) -> u32 {
        self.pair_counts.counts.get(&(id.0, namespace)).copied().unwrap_or(0)
    }

    /// Takes note of a link that was not there.
    pub(super) fn count_pair(&mut self, link: Link) {
        for key in self.counted_at(link).into_iter().flatten() {
            self.pair_counts.add(key);
        }
    }

    /// Takes note that a link is gone.
    pub(super) fn uncount_pair(&mut self, link: Link) {
        for key in self.counted_at(link).into_iter().flatten() {
            self.pair_counts.remove(key);
        }
    }

    /// Counts everything anew.
    pub(super) fn counted_pairs(&self) -> PairCounts {
        let mut pair_counts = PairCounts::default();
        if self.rules().has_pair_limits() {
            let keys = self.links().flat_map(|link| self.counted_at(link));
            keys.flatten().for_each(|key| pair_counts.add(key));
        }
        pair_counts
    }

    /// Where a link counts: at each end that has a limit for the other's namespace.
    fn counted_at(&self, link: Link) -> [Option<(u32, u16)>; 2] {
        if !self.rules().has_pair_limits() {
            return [None, None];
        }
        let namespace = |id: IdentifierId| self.identifiers.rows.row(id).namespace;
        [(link.stronger, link.weaker), (link.weaker, link.stronger)].map(|(id, other)| {
            let limit = self.namespaces().pair_limit(namespace(id), namespace(other));
            limit.map(|_| (id.0, namespace(other)))
        })
    }
}
