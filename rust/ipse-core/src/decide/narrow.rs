//! Narrowing: from the holders of the strongest identifier, by each further one, to the one
//! profile that is meant (mParticle's identity hierarchy).

use foldhash::fast::FixedState;
use hashbrown::HashSet;

use crate::graph::Graph;

use super::candidates::Candidate;

/// The root of the profile that identifiers, strongest first, lead to, among those that may
/// be found. An identifier that would leave none is passed over. If several are left the
/// newest is meant: the vendor does not say, and the newest is the one in use.
pub(super) fn select<'c>(
    graph: &Graph,
    candidates: impl Iterator<Item = &'c Candidate<'c>>,
    may_be_found: impl Fn(u32) -> bool,
) -> Option<u32> {
    let mut left: Vec<u32> = Vec::new();
    for found in candidates.filter_map(|candidate| candidate.found) {
        let holders = graph.roots_of(found.id).into_iter().filter(|&root| may_be_found(root));
        let holders: Vec<u32> = holders.collect();
        let both: Vec<u32> = match left.is_empty() {
            true => Vec::new(),
            false => {
                let holders: HashSet<u32, FixedState> = holders.iter().copied().collect();
                left.iter().copied().filter(|root| holders.contains(root)).collect()
            }
        };
        match (left.is_empty(), both.is_empty()) {
            (true, _) => left = holders,
            (false, false) => left = both,
            (false, true) => {}
        }
        if left.len() == 1 {
            break;
        }
    }
    left.into_iter().max_by_key(|&root| graph.profiles.bearer(root))
}
