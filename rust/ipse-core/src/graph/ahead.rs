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

use super::Graph;
use super::identifiers::{IdentifierId, NO_NODE};
use super::index::IdentifierHash;

const NOT_READ: u16 = u16::MAX;
const NO_ROW: u32 = u32::MAX;

/// Where an identifier that was sent is likely to be. Nothing but speed depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hint {
    namespace: u16,
    row: u32,
}

impl Default for Hint {
    fn default() -> Hint {
        Hint { namespace: NOT_READ, row: NO_ROW }
    }
}

impl Hint {
    /// Whether the identifier was looked for ahead, and not found.
    pub(crate) fn is_absent(self) -> bool {
        self.namespace != NOT_READ && self.row == NO_ROW
    }
}

impl Graph {
    /// How many events should be read ahead of together: more would push each other out of the
    /// nearest cache.
    pub const READ_AHEAD_EVENTS: usize = 16;

    /// Fetches what decisions on events with these identifiers will look at, and gives hints.
    pub fn read_ahead<'s, 'i: 's>(
        &self,
        identifiers: impl IntoIterator<Item = &'s mut SentIdentifier<'i>>,
    ) {
        let mut sought = Vec::with_capacity(4 * Graph::READ_AHEAD_EVENTS);
        for sent in identifiers {
            // Of a value that is not in its normal form the hash is nobody's: nothing is lost.
            if let Some((namespace, hash)) = self.hash_of(&sent.namespace, &sent.value) {
                sent.hint.namespace = namespace;
                sought.push((&mut sent.hint.row, hash));
            }
        }
        let mut ids = Vec::with_capacity(sought.len());
        for (row, hash) in sought {
            if let Some(id) = self.identifiers.likely(hash) {
                *row = id.0;
                ids.push(id);
            }
        }
        self.fetch(&ids);
    }

    /// Fetches what replaying these records will look at.
    pub fn read_records_ahead<'r>(&self, records: impl IntoIterator<Item = &'r Record<'r>>) {
        if self.workspace.is_none() {
            return;
        }
        let mut sought = Vec::with_capacity(4 * Graph::READ_AHEAD_EVENTS);
        for record in records {
            let Change::EventResolved(event) = &record.change else { continue };
            let hash_of = |observed: &ObservedIdentifier<'_>| {
                self.hash_of(&observed.namespace, &observed.value).map(|(_, hash)| hash)
            };
            sought.extend(event.identifiers.iter().filter_map(hash_of));
        }
        let ids = sought.into_iter().filter_map(|hash| self.identifiers.likely(hash));
        self.fetch(&ids.collect::<Vec<_>>());
    }

    /// The index of a namespace, and the hash of a value in it.
    fn hash_of(&self, namespace: &str, value: &str) -> Option<(u16, IdentifierHash)> {
        let namespace = self.namespaces().index(namespace)?;
        Some((namespace, self.identifiers.hash(namespace, value)))
    }

    /// Fetches rows, texts and profiles of identifiers.
    fn fetch(&self, ids: &[IdentifierId]) {
        let rows = ids.iter().map(|&id| self.identifiers.rows.row(id).node);
        let mut nodes: Vec<u32> = rows.collect();
        for (&id, node) in ids.iter().zip(&mut nodes) {
            black_box(self.identifiers.rows.first_byte(id));
            if *node != NO_NODE {
                *node = self.profiles.root(*node);
            }
        }
        for root in nodes.into_iter().filter(|&root| root != NO_NODE) {
            black_box(self.profiles.known(root));
        }
    }

    /// The index of an identifier's namespace, if the workspace has it.
    pub(crate) fn namespace_of(&self, sent: &SentIdentifier<'_>) -> Option<u16> {
        let hinted = sent.hint.namespace;
        let name = self.namespaces().names().get(usize::from(hinted));
        match name {
            Some(name) if **name == *sent.namespace => Some(hinted),
            _ => self.namespaces().index(&sent.namespace),
        }
    }

    /// The identifier of a normalised value that was sent with this hint, if it was ever attached.
    pub(crate) fn find_hinted(
        &self,
        hint: Hint,
        namespace: u16,
        value: &str,
    ) -> Option<IdentifierId> {
        let hinted = IdentifierId(hint.row);
        let is_right = hint.row < self.identifiers.rows.len()
            && self.identifiers.rows.is(hinted, namespace, value);
        if is_right { Some(hinted) } else { self.identifiers.find(namespace, value) }
    }
}
