//! Links: pairs of identifiers that an event showed together.
//!
//! An event links its strongest identifier with each of the others. The first link of an
//! identifier to a stronger one lies in its own row; only further ones come here.

use crate::change::SequenceNumber;

use super::identifiers::{IdentifierId, Identifiers};
use super::sharded::Sharded;
use super::state_hash::{Kind, RecordHash, RecordHasher};

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

/// Takes a link out; gives it.
pub(crate) fn remove_link(
    identifiers: &mut Identifiers,
    further: &mut FurtherLinks,
    a: IdentifierId,
    b: IdentifierId,
) -> Option<Link> {
    for (stronger, weaker) in [(a, b), (b, a)] {
        let link = identifiers.rows.row(weaker).link();
        if let Some((_, sequence)) = link.filter(|(other, _)| *other == stronger) {
            identifiers.row_mut(weaker).clear_link();
            return Some(Link { stronger, weaker, sequence });
        }
    }
    let key = key(a, b);
    further.links.remove(&key).map(|held| link_of((&key, &held)))
}

impl FurtherLinks {
    /// Whether it links two identifiers.
    pub(crate) fn holds(&self, a: IdentifierId, b: IdentifierId) -> bool {
        self.links.get(&key(a, b)).is_some()
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
