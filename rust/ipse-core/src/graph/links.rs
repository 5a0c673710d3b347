//! Links: pairs of identifiers that an event showed together.
//!
//! An event links its strongest identifier with each of the others. The first link of an
//! identifier to a stronger one lies in its own row; only further ones come here.

use crate::change::SequenceNumber;

use super::Graph;
use super::identifiers::{IdentifierId, Identifiers};
use super::sharded::Sharded;
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

/// Links beyond the first of each identifier, by the pair in order of row.
#[derive(Clone, Debug, Default)]
pub(crate) struct FurtherLinks {
    links: Sharded<(u32, u32), Further>,
}

#[derive(Clone, Copy, Debug)]
struct Further {
    sequence: u64,
    lower_is_stronger: bool,
}

impl FurtherLinks {
    /// What the table takes in memory.
    pub(crate) fn bytes(&self) -> u64 {
        self.links.bytes()
    }
}

/// Whether two identifiers are linked, whichever was the stronger.
pub(crate) fn is_linked(
    identifiers: &Identifiers,
    further: &FurtherLinks,
    a: IdentifierId,
    b: IdentifierId,
) -> bool {
    identifiers.rows.row(b).link == a.0 + 1
        || identifiers.rows.row(a).link == b.0 + 1
        || further.links.get(&key(a, b)).is_some()
}

/// Adds a link that is not there.
pub(crate) fn add_link(identifiers: &mut Identifiers, further: &mut FurtherLinks, link: Link) {
    if identifiers.rows.row(link.weaker).link == 0 {
        identifiers.row_mut(link.weaker).set_link(link.stronger, link.sequence);
    } else {
        let value =
            Further { sequence: link.sequence.0, lower_is_stronger: link.stronger < link.weaker };
        further.links.insert(key(link.stronger, link.weaker), value);
    }
}

/// Takes out a link that is there.
pub(crate) fn remove_link(identifiers: &mut Identifiers, further: &mut FurtherLinks, link: Link) {
    let first = identifiers.rows.row(link.weaker).link();
    if first.is_some_and(|(stronger, _)| stronger == link.stronger) {
        identifiers.row_mut(link.weaker).clear_link();
    } else {
        further.links.remove(&key(link.stronger, link.weaker));
    }
}

impl Graph {
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
        let (stronger, sequence) = self.identifiers.rows.row(weaker).link()?;
        Some(Link { stronger, weaker, sequence })
    }
}

impl FurtherLinks {
    /// The link of two identifiers.
    fn get(&self, a: IdentifierId, b: IdentifierId) -> Option<Link> {
        let key = key(a, b);
        self.links.get(&key).map(|held| link_of((&key, held)))
    }

    /// All of them, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Link> {
        self.links.iter().map(link_of)
    }

    /// All of them, in lists that are given back one by one.
    pub(crate) fn into_shards(self) -> impl Iterator<Item = Vec<Link>> + Send {
        self.links.into_shards().map(|shard| shard.iter().map(link_of).collect())
    }
}

fn link_of((&(lower, higher), further): (&(u32, u32), &Further)) -> Link {
    let (lower, higher) = (IdentifierId(lower), IdentifierId(higher));
    let (stronger, weaker) =
        if further.lower_is_stronger { (lower, higher) } else { (higher, lower) };
    Link { stronger, weaker, sequence: SequenceNumber(further.sequence) }
}

/// What the state hash takes of a link: rows are stable numbers, in order of attachment.
pub(crate) fn link_hash(link: Link) -> RecordHash {
    RecordHasher::new(Kind::Link)
        .number(u64::from(link.stronger.0))
        .number(u64::from(link.weaker.0))
        .number(link.sequence.0)
        .finish()
}

fn key(a: IdentifierId, b: IdentifierId) -> (u32, u32) {
    (a.0.min(b.0), a.0.max(b.0))
}
