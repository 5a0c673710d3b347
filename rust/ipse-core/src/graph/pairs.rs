//! With how many identifiers of another namespace each one that has a pair limit was seen.
//!
//! Counts of links, so that no limit has to read links or profiles. They follow from the links
//! and the rules in force: snapshots and the state hash leave them out, and they are counted
//! anew when rules begin to limit other pairs. Rules that limit none pay nothing for them.

use super::Graph;
use super::identifiers::IdentifierId;
use super::links::Link;
use super::namespaces::Namespaces;
use super::sharded::Sharded;

/// The counts, by identifier and the other namespace.
#[derive(Clone, Debug, Default)]
pub(crate) struct PairCounts {
    counts: Sharded<(u32, u16), u32>,
}

impl PairCounts {
    /// Counts a new link at each end that has a limit for the other's namespace.
    fn add(&mut self, namespaces: &Namespaces, a: (IdentifierId, u16), b: (IdentifierId, u16)) {
        for ((id, namespace), (_, other)) in [(a, b), (b, a)] {
            if namespaces.pair_limit(namespace, other).is_some() {
                *self.counts.entry((id.0, other)) += 1;
            }
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
        if self.rules().has_pair_limits() {
            let end = |id: IdentifierId| (id, self.identifiers.rows.row(id).namespace);
            let (stronger, weaker) = (end(link.stronger), end(link.weaker));
            let workspace = self.workspace.as_ref().expect("record 1 created the workspace");
            self.pair_counts.add(&workspace.namespaces, stronger, weaker);
        }
    }

    /// Counts everything anew.
    pub(super) fn counted_pairs(&self) -> PairCounts {
        let mut pair_counts = PairCounts::default();
        if self.rules().has_pair_limits() {
            let end = |id: IdentifierId| (id, self.identifiers.rows.row(id).namespace);
            for link in self.sorted_links() {
                pair_counts.add(self.namespaces(), end(link.stronger), end(link.weaker));
            }
        }
        pair_counts
    }
}
