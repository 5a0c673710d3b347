//! A hash table whose entries lie in the order of their hashes.
//!
//! The hash says where an entry is to lie; it lies there or right after those that come before it.
//! So a look-up reads one place and what is next to it, nearly always one line of the cache.
//! Growing copies the entries from front to back, which takes microseconds where another table
//! takes milliseconds, and so can be by an eighth: a table is between seven ninths and seven
//! eighths full, where one that doubles is half empty half of the time.

use std::hint::black_box;

/// Tables that share what they hold: growing and copying are of one at a time.
pub(crate) const SHARDS: usize = 256;

/// A hash of which the upper end says which of the shards an entry is in, and the lower one where.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ShardedHash(pub(crate) u64);

impl ShardedHash {
    /// The shard.
    pub(crate) fn shard(self) -> usize {
        (self.0 >> 56) as usize % SHARDS
    }

    /// What the shard is in order of.
    pub(crate) fn kept(self) -> u32 {
        (self.0 as u32).min(u32::MAX - 1)
    }
}

/// What a table holds.
pub(crate) trait Entry: Copy {
    /// What lies where there is no entry. Its hash is [`u32::MAX`].
    const NONE: Self;

    /// The hash, below [`u32::MAX`], spread over all numbers below. Always the same.
    fn hash(&self) -> u32;
}

/// Places beside those that hashes are mapped to. More are made if they do not do.
const SPILL_MAX: usize = 32;

/// The table.
#[derive(Clone, Debug)]
pub(crate) struct Ordered<E> {
    /// As many as hashes are mapped to, and a few more for what the last of them push along. The
    /// last is always free, unless there is none.
    places: Vec<E>,
    /// How many places hashes are mapped to.
    homes: usize,
    len: usize,
}

impl<E> Default for Ordered<E> {
    fn default() -> Self {
        Ordered { places: Vec::new(), homes: 0, len: 0 }
    }
}

/// About what tables of so many entries take.
pub(crate) fn ordered_bytes(entries: usize, entry_bytes: usize) -> u64 {
    (entries * entry_bytes * 6 / 5) as u64
}

impl<E: Entry> Ordered<E> {
    /// A table of entries that differ from each other. Room for a few more is in it.
    pub(crate) fn of(mut entries: Vec<E>) -> Ordered<E> {
        entries.sort_unstable_by_key(E::hash);
        Ordered::of_sorted(entries.len() * 6 / 5, entries.len(), entries.iter().copied())
    }

    fn of_sorted(homes: usize, len: usize, entries: impl Iterator<Item = E>) -> Ordered<E> {
        let all = homes + (homes / 8).clamp(4, SPILL_MAX);
        let mut places = vec![E::NONE; all];
        let mut next = 0;
        for entry in entries {
            next = home(entry.hash(), homes).max(next);
            match places.get_mut(next) {
                Some(place) => *place = entry,
                None => places.push(entry),
            }
            next += 1;
        }
        if next >= places.len() {
            places.push(E::NONE);
        }
        Ordered { places, homes, len }
    }

    /// All entries, in the order of their hashes.
    pub(crate) fn iter(&self) -> impl Iterator<Item = E> {
        self.places.iter().copied().filter(|entry| entry.hash() != u32::MAX)
    }

    /// Whether no two entries are the same.
    pub(crate) fn are_distinct(&self, is_same: impl Fn(E, E) -> bool) -> bool {
        let mut alike: Vec<E> = Vec::new();
        self.iter().all(|entry| {
            if alike.first().is_none_or(|other| other.hash() != entry.hash()) {
                alike.clear();
            }
            let is_new = alike.iter().all(|other| !is_same(*other, entry));
            alike.push(entry);
            is_new
        })
    }

    /// The entry of a hash for which `is_it` holds.
    #[inline]
    pub(crate) fn find(&self, hash: u32, is_it: impl Fn(E) -> bool) -> Option<E> {
        self.seek(hash, is_it).map(|(_, entry)| entry)
    }

    /// Fetches the place of a hash. Nothing is asked of what is there: a question would be guessed
    /// at, and guessed wrong it would make all that is fetched after it wait for the answer.
    #[inline]
    pub(crate) fn fetch(&self, hash: u32) {
        black_box(self.places.get(home(hash, self.homes)).copied());
    }

    #[inline]
    fn seek(&self, hash: u32, is_it: impl Fn(E) -> bool) -> Option<(usize, E)> {
        let home = home(hash, self.homes);
        for (before, entry) in self.places[home..].iter().enumerate() {
            let found = entry.hash();
            if found > hash {
                return None;
            }
            if found == hash && is_it(*entry) {
                return Some((home + before, *entry));
            }
        }
        None
    }

    /// Adds an entry that is not there.
    pub(crate) fn insert(&mut self, entry: E) {
        if self.len >= self.homes / 8 * 7 {
            self.grow();
        }
        let hash = entry.hash();
        let at = self.first(home(hash, self.homes), |other| other > hash);
        let free = self.first(at, |other| other == u32::MAX);
        self.places.copy_within(at..free, at + 1);
        self.places[at] = entry;
        self.len += 1;
        if free + 1 == self.places.len() {
            self.places.reserve_exact(SPILL_MAX);
            self.places.push(E::NONE);
        }
    }

    /// Takes out the entry of a hash for which `is_it` holds.
    pub(crate) fn remove(&mut self, hash: u32, is_it: impl Fn(E) -> bool) -> Option<E> {
        let (at, removed) = self.seek(hash, is_it)?;
        // What the next free place or the next entry at home is before moves up.
        let stays = |place: &usize| match self.places[*place].hash() {
            u32::MAX => true,
            hash => home(hash, self.homes) == *place,
        };
        let end = (at + 1..self.places.len()).find(stays).expect("the last place is free");
        self.places.copy_within(at + 1..end, at);
        self.places[end - 1] = E::NONE;
        self.len -= 1;
        Some(removed)
    }

    /// The first place from `start` whose hash is so.
    fn first(&self, start: usize, is_so: impl Fn(u32) -> bool) -> usize {
        let found = self.places[start..].iter().position(|entry| is_so(entry.hash()));
        start + found.expect("the last place is free")
    }

    fn grow(&mut self) {
        let homes = self.homes + self.homes / 64 * 8 + 8;
        *self = Ordered::of_sorted(homes, self.len, self.iter());
    }
}

/// Where an entry is to lie: hashes in order give places in order.
fn home(hash: u32, homes: usize) -> usize {
    ((u64::from(hash) * homes as u64) >> 32) as usize
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
    struct Pair(u32, u32);

    impl Entry for Pair {
        const NONE: Pair = Pair(u32::MAX, 0);

        fn hash(&self) -> u32 {
            self.0
        }
    }

    /// What each number hashes to: everywhere, to a few places, to the last.
    const HASHES: [fn(u32) -> u32; 4] = [
        |n| n.wrapping_mul(0x9e37_79b9).min(u32::MAX - 1),
        |n| (n % 7) << 29,
        |n| u32::MAX - 1 - n % 3,
        |_| 0,
    ];

    #[test]
    fn what_was_added_and_not_taken_out_is_found() {
        for hash in HASHES {
            let (mut table, mut model) = (Ordered::default(), BTreeSet::new());
            for round in 0..4_000_u32 {
                let entry = Pair(hash(round), round);
                table.insert(entry);
                model.insert(entry);
                let gone = round.wrapping_mul(0x85eb_ca6b) % (round + 1);
                let gone = Pair(hash(gone), gone);
                if round % 3 == 0 {
                    let removed = table.remove(gone.0, |entry| entry == gone);
                    assert_eq!(removed, model.remove(&gone).then_some(gone));
                }
                assert_eq!(table.find(gone.0, |e| e == gone).is_some(), model.contains(&gone));
            }
            let found: BTreeSet<Pair> = table.iter().collect();
            assert_eq!((table.len, &found), (model.len(), &model));
            assert!(model.iter().all(|&entry| table.find(entry.0, |e| e == entry).is_some()));
            let again = Ordered::of(model.iter().rev().copied().collect());
            assert!(model.iter().all(|&entry| again.find(entry.0, |e| e == entry).is_some()));
        }
    }

    #[test]
    fn an_empty_table_finds_nothing() {
        let mut table = Ordered::<Pair>::of(Vec::new());
        assert_eq!(table.find(0, |_| true), None);
        assert_eq!(table.find(u32::MAX - 1, |_| true), None);
        assert_eq!(Ordered::<Pair>::default().find(5, |_| true), None);
        table.insert(Pair(5, 1));
        assert_eq!(table.find(5, |_| true), Some(Pair(5, 1)));
    }

    #[test]
    fn a_table_takes_about_what_it_says() {
        let mut table = Ordered::default();
        for number in 0..100_000_u32 {
            table.insert(Pair(HASHES[0](number), number));
            let taken = (table.places.capacity() * size_of::<Pair>()) as f64;
            let said = ordered_bytes(table.len, size_of::<Pair>()) as f64;
            assert!(number < 10_000 || (0.92..1.1).contains(&(said / taken)), "{said} of {taken}");
        }
    }
}
