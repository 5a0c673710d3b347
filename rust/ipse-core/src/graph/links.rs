//! Links: pairs of identifiers that an event showed together.
//!
//! An event links its strongest identifier with each of the others. The first link of an
//! identifier to a stronger one lies in its own row; only further ones come here.

use std::sync::Arc;

use crate::change::SequenceNumber;

use super::Graph;
use super::chunked::Packed48;
use super::identifiers::{IdentifierId, Identifiers};
use super::ordered::{Entry, Ordered, SHARDS, ShardedHash, ordered_bytes};
use super::state_hash::{Kind, RecordHash, RecordHasher};

/// Below so many pairs each is looked up; above, all links are looked through.
const PAIRS_MAX: usize = 1 << 16;

/// A pair, and the record that first saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) stronger: IdentifierId,
    pub(crate) weaker: IdentifierId,
    pub(crate) sequence: SequenceNumber,
}

/// Links beyond the first of each identifier, in shards that a view shares.
#[derive(Clone, Debug, Default)]
pub(crate) struct FurtherLinks {
    /// None until the first link: a workspace without any pays nothing.
    shards: Vec<Arc<Ordered<Further>>>,
    len: usize,
}

/// 14 bytes: a pair of other identifiers than one and the same.
#[derive(Clone, Copy, Debug)]
#[repr(Rust, packed(2))]
struct Further {
    stronger: u32,
    weaker: u32,
    sequence: Packed48,
}

impl Entry for Further {
    const NONE: Further = Further { stronger: 0, weaker: 0, sequence: Packed48::ZERO };

    fn hash(&self) -> u32 {
        if self.stronger == self.weaker {
            u32::MAX
        } else {
            pair_hash(IdentifierId(self.stronger), IdentifierId(self.weaker)).kept()
        }
    }
}

impl Further {
    fn new(link: Link) -> Further {
        Further {
            stronger: link.stronger.0,
            weaker: link.weaker.0,
            sequence: Packed48::new(link.sequence.0),
        }
    }

    fn link(self) -> Link {
        Link {
            stronger: IdentifierId(self.stronger),
            weaker: IdentifierId(self.weaker),
            sequence: SequenceNumber(self.sequence.get()),
        }
    }
}
/// The hash of a pair, whichever is the stronger. Rows are our own numbers: it needs no seed.
fn pair_hash(a: IdentifierId, b: IdentifierId) -> ShardedHash {
    let pair = u64::from(a.0.min(b.0)) << 32 | u64::from(a.0.max(b.0));
    let wide = u128::from(pair ^ 0x9e37_79b9_7f4a_7c15) * 0xd1b5_4a32_d192_ed03;
    ShardedHash(wide as u64 ^ (wide >> 64) as u64)
}

impl FurtherLinks {
    /// Those of a snapshot, together, which is much faster than one by one; `None` if one of them
    /// stands twice.
    fn of(links: Vec<Link>) -> Option<FurtherLinks> {
        let len = links.len();
        let mut shards = vec![Vec::new(); SHARDS];
        for link in links {
            shards[pair_hash(link.stronger, link.weaker).shard()].push(Further::new(link));
        }
        let shards: Vec<_> = shards.into_iter().map(|shard| Arc::new(Ordered::of(shard))).collect();
        let is_same = |a: Further, b: Further| is_of(a.link().stronger, a.link().weaker)(b);
        let are_distinct = shards.iter().all(|shard| shard.are_distinct(is_same));
        are_distinct.then_some(FurtherLinks { shards, len })
    }

    /// About what the table takes in memory.
    pub(crate) fn bytes(&self) -> u64 {
        ordered_bytes(self.len, size_of::<Further>())
    }

    /// The link of two identifiers.
    fn get(&self, a: IdentifierId, b: IdentifierId) -> Option<Link> {
        let hash = pair_hash(a, b);
        let found = self.shards.get(hash.shard())?.find(hash.kept(), is_of(a, b));
        found.map(Further::link)
    }

    /// Fetches the place where a look-up of this pair begins.
    pub(crate) fn fetch(&self, a: IdentifierId, b: IdentifierId) {
        let hash = pair_hash(a, b);
        if let Some(shard) = self.shards.get(hash.shard()) {
            shard.fetch(hash.kept());
        }
    }

    /// Adds a link that is not there.
    fn insert(&mut self, link: Link) {
        if self.shards.is_empty() {
            self.shards = vec![Arc::default(); SHARDS];
        }
        let hash = pair_hash(link.stronger, link.weaker);
        Arc::make_mut(&mut self.shards[hash.shard()]).insert(Further::new(link));
        self.len += 1;
    }

    /// Takes out a link that is there.
    fn remove(&mut self, a: IdentifierId, b: IdentifierId) {
        let hash = pair_hash(a, b);
        let removed =
            Arc::make_mut(&mut self.shards[hash.shard()]).remove(hash.kept(), is_of(a, b));
        self.len -= usize::from(removed.is_some());
    }

    /// All of them, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Link> {
        self.shards.iter().flat_map(|shard| shard.iter().map(Further::link))
    }

    /// All of them, in lists that are given back one by one.
    pub(crate) fn into_shards(self) -> impl Iterator<Item = Vec<Link>> + Send {
        self.shards.into_iter().map(|shard| shard.iter().map(Further::link).collect())
    }
}

fn is_of(a: IdentifierId, b: IdentifierId) -> impl Fn(Further) -> bool {
    move |further| {
        let Link { stronger, weaker, .. } = further.link();
        (stronger, weaker) == (a, b) || (stronger, weaker) == (b, a)
    }
}

/// Whether two identifiers are linked, whichever was the stronger.
#[inline]
pub(crate) fn is_linked(
    identifiers: &Identifiers,
    further: &FurtherLinks,
    a: IdentifierId,
    b: IdentifierId,
) -> bool {
    is_in_a_row(identifiers, a, b) || further.get(a, b).is_some()
}

/// The same of links that lie in the row of either.
fn is_in_a_row(identifiers: &Identifiers, a: IdentifierId, b: IdentifierId) -> bool {
    identifiers.rows.row(b).link == a.0 + 1 || identifiers.rows.row(a).link == b.0 + 1
}

/// Adds a link that is not there.
pub(crate) fn add_link(identifiers: &mut Identifiers, further: &mut FurtherLinks, link: Link) {
    if identifiers.rows.row(link.weaker).link == 0 {
        identifiers.set_link(link.weaker, link.stronger, link.sequence);
    } else {
        further.insert(link);
    }
}

/// Takes out a link that is there.
pub(crate) fn remove_link(identifiers: &mut Identifiers, further: &mut FurtherLinks, link: Link) {
    if identifiers.rows.row(link.weaker).link == link.stronger.0 + 1 {
        identifiers.clear_link(link.weaker);
    } else {
        further.remove(link.stronger, link.weaker);
    }
}

impl Graph {
    /// Sets a link in the row of its weaker identifier if none is there; says whether it did.
    pub(crate) fn restore_first_link(&mut self, link: Link) -> bool {
        let Link { stronger, weaker, sequence } = link;
        let is_first = self.identifiers.rows.row(weaker).link == 0
            && !is_in_a_row(&self.identifiers, stronger, weaker);
        if is_first {
            self.identifiers.set_link(weaker, stronger, sequence);
        }
        is_first
    }

    /// Puts back the links of a snapshot that do not lie in rows; says whether each link is there
    /// once.
    pub(crate) fn restore_further_links(&mut self, links: Vec<Link>) -> bool {
        if links.iter().any(|link| is_in_a_row(&self.identifiers, link.stronger, link.weaker)) {
            return false;
        }
        let restored = FurtherLinks::of(links);
        let are_distinct = restored.is_some();
        self.further_links = restored.unwrap_or_default();
        are_distinct
    }

    /// All links, in no order.
    pub(crate) fn links(&self) -> impl Iterator<Item = Link> {
        let ids = (0..self.identifiers.rows.len()).map(IdentifierId);
        ids.filter_map(|weaker| self.first_link(weaker)).chain(self.further_links.iter())
    }

    /// The links of one of `ids` with one of `around`, which holds these, too. Both are sorted.
    pub(crate) fn links_between(&self, ids: &[IdentifierId], around: &[IdentifierId]) -> Vec<Link> {
        let is_one = |id: IdentifierId| ids.binary_search(&id).is_ok();
        let is_around = |id: IdentifierId| around.binary_search(&id).is_ok();
        let is_between = |link: &Link| {
            let (a, b) = (link.stronger, link.weaker);
            is_one(a) && is_around(b) || is_one(b) && is_around(a)
        };
        let first = around.iter().filter_map(|&weaker| self.first_link(weaker));
        let mut links: Vec<Link> = first.filter(is_between).collect();
        if ids.len() * around.len() <= PAIRS_MAX {
            let pairs = ids.iter().flat_map(|&a| around.iter().map(move |&b| (a, b)));
            // A pair of two of them comes up twice.
            let once = pairs.filter(|&(a, b)| a < b || !is_one(b));
            links.extend(once.filter_map(|(a, b)| self.further_links.get(a, b)));
        } else {
            links.extend(self.further_links.iter().filter(is_between));
        }
        links
    }

    /// The link that lies in an identifier's row.
    fn first_link(&self, weaker: IdentifierId) -> Option<Link> {
        let (stronger, sequence) = self.identifiers.rows.link(weaker)?;
        Some(Link { stronger, weaker, sequence })
    }
}

/// What the state hash takes of a link: rows are stable numbers, in order of attachment.
pub(crate) fn link_hash(link: Link) -> RecordHash {
    RecordHasher::new(Kind::Link)
        .numbers(u64::from(link.stronger.0) << 32 | u64::from(link.weaker.0), link.sequence.0)
        .finish()
}
