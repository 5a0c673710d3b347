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
use super::identifiers::{IdentifierId, IdentifierRow, NO_NODE};
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

/// An identifier that is looked for, and what it is ranked by on its event.
#[derive(Clone, Copy)]
struct Sought {
    event: usize,
    priority: u32,
    hash: IdentifierHash,
}

/// The same when it was found.
struct Shown<'g> {
    event: usize,
    priority: u32,
    id: IdentifierId,
    row: &'g IdentifierRow,
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
        let room = 4 * Graph::READ_AHEAD_EVENTS;
        let (mut sought, mut hints) = (Vec::with_capacity(room), Vec::with_capacity(room));
        for (event, identifiers) in events.into_iter().enumerate() {
            for sent in identifiers {
                // Of a value that is not in its normal form the hash is nobody's: nothing is lost.
                if let Some(one) = self.seek(event, &sent.namespace, &sent.value) {
                    sought.push(one);
                    hints.push(&mut sent.hint);
                }
            }
        }
        let mut hints = hints.into_iter();
        self.fetch(&sought, |id| {
            if let Some(hint) = hints.next() {
                *hint = Hint(id.map_or(ABSENT, |id| id.0));
            }
        });
    }

    /// Fetches what replaying these records will look at.
    pub fn read_records_ahead<'r>(&self, records: impl IntoIterator<Item = &'r Record<'r>>) {
        if self.workspace.is_none() {
            return;
        }
        let mut sought = Vec::with_capacity(4 * Graph::READ_AHEAD_EVENTS);
        let mut event_ids = Vec::with_capacity(Graph::READ_AHEAD_EVENTS);
        for (at, record) in records.into_iter().enumerate() {
            let Change::EventResolved(event) = &record.change else { continue };
            event_ids.extend(Some(&*event.event_id).filter(|id| !id.is_empty()));
            let seek = |observed: &ObservedIdentifier<'_>| {
                self.seek(at, &observed.namespace, &observed.value)
            };
            sought.extend(event.identifiers.iter().filter_map(seek));
        }
        self.fetch(&sought, |_| ());
        self.remembered_events.fetch(&event_ids);
    }

    #[inline]
    fn seek(&self, event: usize, namespace: &str, value: &str) -> Option<Sought> {
        let namespace = self.namespaces().index(namespace)?;
        let priority = self.namespaces().priority(namespace);
        Some(Sought { event, priority, hash: self.identifiers.hash(namespace, value) })
    }

    /// Fetches all that is likely to be read of identifiers, which are in the order of events;
    /// tells which each most likely is.
    ///
    /// Every step is a loop of its own, and a short one: a processor waits for as many reads at
    /// once as it finds among its next few hundred instructions.
    fn fetch(&self, sought: &[Sought], mut told: impl FnMut(Option<IdentifierId>)) {
        let rows = &self.identifiers.rows;
        sought.iter().for_each(|sought| self.identifiers.fetch(sought.hash));
        let mut shown = Vec::with_capacity(sought.len());
        for &Sought { event, priority, hash } in sought {
            let id = self.identifiers.likely(hash);
            told(id);
            shown.extend(id.map(|id| Shown { event, priority, id, row: rows.row(id) }));
        }
        shown.iter().for_each(|shown| _ = black_box(shown.row.node));
        shown.iter().for_each(|shown| _ = black_box(rows.ends(shown.row)));
        self.fetch_profiles(&shown);
        self.fetch_links(&shown);
    }

    fn fetch_profiles(&self, shown: &[Shown<'_>]) {
        let mut nodes = Vec::with_capacity(shown.len());
        nodes.extend(shown.iter().map(|shown| shown.row.node).filter(|&node| node != NO_NODE));
        nodes.dedup();
        nodes.iter().for_each(|&node| self.profiles.fetch(node));
        let merged = nodes.iter().map(|&node| self.profiles.root(node));
        merged.for_each(|root| _ = black_box(self.profiles.known(root)));
    }

    /// Fetches the links of each event that are not in the rows of the weaker.
    fn fetch_links(&self, shown: &[Shown<'_>]) {
        let mut links = Vec::with_capacity(shown.len());
        for event in shown.chunk_by(|a, b| a.event == b.event) {
            let Some(strongest) = event.iter().min_by_key(|shown| shown.priority) else { continue };
            let further = event
                .iter()
                .filter(|shown| shown.id != strongest.id && shown.row.link != strongest.id.0 + 1);
            links.extend(further.map(|weaker| (strongest.id, weaker.id)));
        }
        links.into_iter().for_each(|(a, b)| self.further_links.fetch(a, b));
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
