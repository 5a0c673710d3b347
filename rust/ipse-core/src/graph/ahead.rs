//! Reading ahead: what decisions on the next events will look at, fetched for all of them at once.
//!
//! At millions of identifiers a look-up waits for memory at each step: the index, the row, the
//! text, the profile. One event after the other waits for all of them; the same step taken for
//! many identifiers waits about once, because none of its reads needs another's. What was found
//! stays with the identifier as a hint. It may be wrong by then, because earlier events change the
//! graph: whoever follows it looks whether it is right.

use std::hint::black_box;

use crate::change::{Change, ObservedIdentifier, Record};
use crate::event::SentIdentifier;
use crate::limits::IDENTIFIERS_MAX;

use super::Graph;
use super::identifiers::{IdentifierId, NO_NODE};
use super::index::IdentifierHash;

const NOT_READ: u32 = u32::MAX;
const ABSENT: u32 = u32::MAX - 1;

const _: () = assert!(IDENTIFIERS_MAX <= ABSENT as usize, "no row is one of these");

/// Where an identifier that was sent is likely to be: its row. Nothing but speed depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hint(u32);

impl Default for Hint {
    fn default() -> Hint {
        Hint(NOT_READ)
    }
}

impl Hint {
    /// Whether the identifier was looked for ahead, and not found.
    pub(crate) fn is_absent(self) -> bool {
        self.0 == ABSENT
    }
}

/// An identifier that an event shows, and what it is ranked by there.
#[derive(Clone, Copy)]
struct Shown {
    event: usize,
    priority: u32,
    id: IdentifierId,
}

impl Graph {
    /// How many events should be read ahead of together: more would push each other out of the
    /// nearest cache.
    pub const READ_AHEAD_EVENTS: usize = 16;

    /// Fetches what decisions on events with these identifiers will look at, and gives hints.
    pub fn read_ahead<'s, 'i: 's>(
        &self,
        events: impl IntoIterator<Item = &'s mut Vec<SentIdentifier<'i>>>,
    ) {
        let mut sought = Vec::with_capacity(4 * Graph::READ_AHEAD_EVENTS);
        for (event, identifiers) in events.into_iter().enumerate() {
            for sent in identifiers {
                // Of a value that is not in its normal form the hash is nobody's: nothing is lost.
                if let Some((priority, hash)) = self.seek(&sent.namespace, &sent.value) {
                    sought.push((&mut sent.hint, event, priority, hash));
                }
            }
        }
        let mut shown = Vec::with_capacity(sought.len());
        for (hint, event, priority, hash) in sought {
            let found = self.identifiers.likely(hash);
            *hint = Hint(found.map_or(ABSENT, |id| id.0));
            shown.extend(found.map(|id| Shown { event, priority, id }));
        }
        self.fetch(&shown);
    }

    /// Fetches what replaying these records will look at.
    pub fn read_records_ahead<'r>(&self, records: impl IntoIterator<Item = &'r Record<'r>>) {
        if self.workspace.is_none() {
            return;
        }
        let mut sought = Vec::with_capacity(4 * Graph::READ_AHEAD_EVENTS);
        for (at, record) in records.into_iter().enumerate() {
            let Change::EventResolved(event) = &record.change else { continue };
            let seek = |observed: &ObservedIdentifier<'_>| {
                let (priority, hash) = self.seek(&observed.namespace, &observed.value)?;
                Some((at, priority, hash))
            };
            sought.extend(event.identifiers.iter().filter_map(seek));
        }
        let shown = sought.into_iter().filter_map(|(event, priority, hash)| {
            self.identifiers.likely(hash).map(|id| Shown { event, priority, id })
        });
        self.fetch(&shown.collect::<Vec<_>>());
    }

    /// Fetches where the index notes an identifier; gives what it is ranked by, and its hash.
    #[inline]
    fn seek(&self, namespace: &str, value: &str) -> Option<(u32, IdentifierHash)> {
        let namespace = self.namespaces().index(namespace)?;
        let hash = self.identifiers.hash(namespace, value);
        self.identifiers.fetch(hash);
        Some((self.namespaces().priority(namespace), hash))
    }

    /// Fetches rows, texts, links and profiles of identifiers, which are in the order of events.
    fn fetch(&self, shown: &[Shown]) {
        let rows = &self.identifiers.rows;
        shown.iter().for_each(|shown| {
            black_box(rows.row(shown.id).node);
        });
        let mut nodes = Vec::with_capacity(shown.len());
        for event in shown.chunk_by(|a, b| a.event == b.event) {
            let strongest = event.iter().min_by_key(|shown| shown.priority);
            for Shown { id, .. } in event {
                black_box(rows.ends(*id));
                strongest.inspect(|strongest| self.fetch_link(strongest.id, *id));
                let node = rows.row(*id).node;
                if node != NO_NODE && nodes.last() != Some(&node) {
                    self.profiles.fetch(node);
                    nodes.push(node);
                }
            }
        }
        // Of those that were merged only.
        nodes.into_iter().for_each(|node| {
            black_box(self.profiles.known(self.profiles.root(node)));
        });
    }

    /// Fetches the link of two identifiers, where it is not in the row of the weaker.
    fn fetch_link(&self, strongest: IdentifierId, id: IdentifierId) {
        if id != strongest && self.identifiers.rows.row(id).link != strongest.0 + 1 {
            self.further_links.fetch(strongest, id);
        }
    }

    /// The identifier of a normalised value that was sent with this hint, if it was ever attached.
    #[inline]
    pub(crate) fn find_hinted(
        &self,
        hint: Hint,
        namespace: u16,
        value: &str,
    ) -> Option<IdentifierId> {
        let hinted = IdentifierId(hint.0);
        let is_right = hint.0 < self.identifiers.rows.len()
            && self.identifiers.rows.is(hinted, namespace, value);
        if is_right { Some(hinted) } else { self.identifiers.find(namespace, value) }
    }
}
