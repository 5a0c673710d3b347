//! Links as evidence: what replay puts in order when it rebuilds a component.
//!
//! Every pair of identifiers that a record kept together is a link, with when it was seen
//! first and last and what became of it. Both ends have it in their lists. Kept while the
//! rules in force replay; other rules pay nothing for it.

use crate::limits::DISPLACED_LINKS_MAX;
use std::sync::Arc;

use crate::change::SequenceNumber;
use crate::time::Timestamp;

use super::Graph;
use super::identifiers::IdentifierId;
use super::memory::lists_bytes;
use super::sharded::Sharded;
use super::state_hash::{Kind, RecordHash, RecordHasher};

/// A link, as one of its ends sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EvidenceLink {
    /// The other end.
    pub(crate) other: IdentifierId,
    /// The record that first saw the two together.
    pub(crate) first: SequenceNumber,
    /// Event time of the newest event that did.
    pub(crate) last_time: Timestamp,
    /// The last record that did.
    pub(crate) last_sequence: SequenceNumber,
    pub(crate) state: LinkState,
}

/// What became of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LinkState {
    /// It holds.
    Active,
    /// Stronger or newer evidence keeps the two apart.
    Displaced {
        /// The record that did so.
        by: SequenceNumber,
    },
    /// Someone said that the two are one person.
    Forced,
}

/// The links of all identifiers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Evidence {
    /// Each identifier's links, by the other end's number.
    links: Sharded<u32, Arc<Vec<EvidenceLink>>>,
    ends: usize,
}

impl Evidence {
    /// About what the table takes in memory.
    pub(crate) fn bytes(&self) -> u64 {
        self.links.bytes() + lists_bytes::<EvidenceLink>(self.links.len(), self.ends)
    }

    /// The links of an identifier, by the other end's number.
    pub(crate) fn of(&self, id: IdentifierId) -> &[EvidenceLink] {
        self.links.get(&id.0).map_or(&[], |links| links)
    }

    /// The link of two identifiers, as the first sees it.
    pub(crate) fn between(&self, a: IdentifierId, b: IdentifierId) -> Option<&EvidenceLink> {
        let links = self.of(a);
        links.binary_search_by_key(&b, |link| link.other).ok().map(|at| &links[at])
    }

    /// Sets a link of `a`, at both ends; gives the one that it replaced.
    pub(crate) fn set(&mut self, a: IdentifierId, link: EvidenceLink) -> Option<EvidenceLink> {
        self.set_end(link.other, EvidenceLink { other: a, ..link });
        self.set_end(a, link)
    }

    /// Removes the oldest displaced link of an identifier that has more of them than are kept,
    /// at both ends; gives it. Forgetting one is harmless: seen again, it is judged as a new one.
    pub(crate) fn remove_oldest_displaced(&mut self, id: IdentifierId) -> Option<EvidenceLink> {
        let is_displaced = |link: &&EvidenceLink| matches!(link.state, LinkState::Displaced { .. });
        let displaced = self.of(id).iter().filter(is_displaced);
        if self.of(id).len() <= DISPLACED_LINKS_MAX
            || displaced.clone().count() <= DISPLACED_LINKS_MAX
        {
            return None;
        }
        let oldest = *displaced.min_by_key(|link| (link.last_sequence, link.other))?;
        self.remove_end(oldest.other, id);
        self.remove_end(id, oldest.other);
        Some(oldest)
    }

    /// Removes all links of an identifier, at both ends; gives them.
    pub(crate) fn remove_of(&mut self, id: IdentifierId) -> Vec<EvidenceLink> {
        let Some(links) = self.links.remove(&id.0) else {
            return Vec::new();
        };
        self.ends -= links.len();
        links.iter().for_each(|link| self.remove_end(link.other, id));
        links.to_vec()
    }

    /// Every link once, from its smaller end, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (IdentifierId, &EvidenceLink)> {
        self.links.iter().flat_map(|(&id, links)| {
            let own = links.iter().filter(move |link| id < link.other.0);
            own.map(move |link| (IdentifierId(id), link))
        })
    }

    /// Every end of every link, in no order.
    pub(crate) fn iter_ends(&self) -> impl Iterator<Item = (IdentifierId, &EvidenceLink)> {
        let ends = |(&id, links): (&u32, &'_ Arc<Vec<EvidenceLink>>)| {
            (0..links.len()).map(move |at| (id, at))
        };
        let end = |(id, at)| (IdentifierId(id), &self.of(IdentifierId(id))[at]);
        self.links.iter().flat_map(ends).map(end)
    }

    /// Every link once, from its smaller end, in lists that are given back one by one.
    pub(crate) fn into_shards(
        self,
    ) -> impl Iterator<Item = Vec<(IdentifierId, EvidenceLink)>> + Send {
        self.links.into_shards().map(|shard| {
            let links = shard.iter().flat_map(|(&id, links)| {
                let own = links.iter().filter(move |link| id < link.other.0);
                own.map(move |&link| (IdentifierId(id), link))
            });
            links.collect()
        })
    }

    fn set_end(&mut self, id: IdentifierId, link: EvidenceLink) -> Option<EvidenceLink> {
        let links = Arc::make_mut(self.links.entry(id.0));
        match links.binary_search_by_key(&link.other, |held| held.other) {
            Ok(at) => Some(std::mem::replace(&mut links[at], link)),
            Err(at) => {
                links.insert(at, link);
                self.ends += 1;
                None
            }
        }
    }

    fn remove_end(&mut self, id: IdentifierId, other: IdentifierId) {
        let links = Arc::make_mut(self.links.entry(id.0));
        let before = links.len();
        links.retain(|link| link.other != other);
        self.ends -= before - links.len();
        if links.is_empty() {
            self.links.remove(&id.0);
        }
    }
}

impl Graph {
    /// Whether other evidence keeps two identifiers apart that are linked.
    pub(crate) fn is_displaced(&self, a: IdentifierId, b: IdentifierId) -> bool {
        let link = self.evidence.between(a, b);
        link.is_some_and(|link| matches!(link.state, LinkState::Displaced { .. }))
    }
}

impl LinkState {
    /// The state as a number, and the record that displaced the link.
    pub(crate) fn numbers(self) -> (u8, SequenceNumber) {
        match self {
            LinkState::Active => (0, SequenceNumber(0)),
            LinkState::Displaced { by } => (1, by),
            LinkState::Forced => (3, SequenceNumber(0)),
        }
    }

    /// The state of a number and a record, if it can be one.
    pub(crate) fn from_numbers(state: u8, by: SequenceNumber) -> Option<LinkState> {
        match (state, by.0) {
            (0, 0) => Some(LinkState::Active),
            (1, 1..) => Some(LinkState::Displaced { by }),
            (3, 0) => Some(LinkState::Forced),
            _ => None,
        }
    }
}

/// What the state hash takes of a link, the same from both ends.
pub(crate) fn evidence_hash(id: IdentifierId, link: &EvidenceLink) -> RecordHash {
    let (state, by) = link.state.numbers();
    RecordHasher::new(Kind::Evidence)
        .number(u64::from(id.min(link.other).0))
        .number(u64::from(id.max(link.other).0))
        .number(link.first.0)
        .number(link.last_time.as_millis() as u64)
        .number(link.last_sequence.0)
        .number(u64::from(state))
        .number(by.0)
        .finish()
}
