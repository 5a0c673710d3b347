//! How many profiles there are of each size, so that the largest is known without a look at all.
//!
//! A profile that everything joins, a shared device or a test value, is found by it. Follows from
//! the profiles: snapshots and the state hash leave it out.

use std::collections::BTreeMap;

use crate::union_find::Node;

/// Sizes up to this one, which nearly all are, are counted in an array.
const SMALL_MAX: usize = 63;

/// The sizes of all roots that hold anything.
#[derive(Clone, Debug)]
pub(crate) struct Sizes {
    /// Roots by the number of identifiers that they hold.
    small: [u32; SMALL_MAX + 1],
    large: BTreeMap<u32, u32>,
    /// The root that was last seen to be as large as any, and its size then; 0 for none.
    largest: (u32, Node),
}

impl Default for Sizes {
    fn default() -> Sizes {
        Sizes { small: [0; SMALL_MAX + 1], large: BTreeMap::new(), largest: (0, 0) }
    }
}

impl Sizes {
    /// Roots by the number of identifiers that they hold.
    pub(super) fn roots(&self) -> BTreeMap<u32, u32> {
        let small = (0..).zip(self.small).filter(|(_, roots)| *roots > 0);
        small.chain(self.large.iter().map(|(size, roots)| (*size, *roots))).collect()
    }

    /// The largest size, and the root that was last seen to have it; it may have shrunk since.
    pub(crate) fn largest(&self) -> Option<(u32, Node)> {
        (self.largest.0 > 0).then_some(self.largest)
    }

    /// Notes that a root holds another number of identifiers.
    pub(crate) fn change(&mut self, root: Node, before: u32, after: u32) {
        if before == after {
            return;
        }
        if after > 0 {
            *self.roots_of(after) += 1;
        }
        let is_last = before > 0 && self.remove(before);
        if after >= self.largest.0 {
            self.largest = (after, root);
        } else if is_last && before == self.largest.0 {
            self.largest.0 = self.largest_size();
            self.largest.1 = if self.largest.0 == after { root } else { self.largest.1 };
        }
    }

    /// Counts a root off; whether it was the last of its size.
    fn remove(&mut self, size: u32) -> bool {
        let roots = self.roots_of(size);
        *roots -= 1;
        let is_last = *roots == 0;
        if is_last {
            self.large.remove(&size);
        }
        is_last
    }

    fn largest_size(&self) -> u32 {
        let small = || self.small.iter().rposition(|&roots| roots > 0).unwrap_or_default() as u32;
        self.large.last_key_value().map_or_else(small, |(&size, _)| size)
    }

    fn roots_of(&mut self, size: u32) -> &mut u32 {
        match self.small.get_mut(size as usize) {
            Some(roots) => roots,
            None => self.large.entry(size).or_default(),
        }
    }
}
