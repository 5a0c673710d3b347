//! How many profiles there are of each size, so that the largest is known without a look at all.
//!
//! A profile that everything joins, a shared device or a test value, is found by it. Follows from
//! the profiles: snapshots and the state hash leave it out.

use std::collections::BTreeMap;

use crate::union_find::Node;

/// The sizes of all roots that hold anything.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sizes {
    /// Roots by the number of identifiers that they hold.
    roots: BTreeMap<u32, u32>,
    /// The root that was last seen to be as large as any.
    largest: Node,
}

impl Sizes {
    /// Roots by the number of identifiers that they hold.
    pub(super) fn roots(&self) -> &BTreeMap<u32, u32> {
        &self.roots
    }

    /// The largest size, and the root that was last seen to have it; it may have shrunk since.
    pub(crate) fn largest(&self) -> Option<(u32, Node)> {
        let (&size, _) = self.roots.last_key_value()?;
        Some((size, self.largest))
    }

    /// Notes that a root holds another number of identifiers.
    pub(crate) fn change(&mut self, root: Node, before: u32, after: u32) {
        if before == after {
            return;
        }
        if before > 0 {
            let roots = self.roots.get_mut(&before).expect("it was counted when it grew");
            *roots -= 1;
            if *roots == 0 {
                self.roots.remove(&before);
            }
        }
        if after > 0 {
            *self.roots.entry(after).or_default() += 1;
            if self.roots.last_key_value().is_some_and(|(&size, _)| size == after) {
                self.largest = root;
            }
        }
    }
}
