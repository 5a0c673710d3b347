//! The table of identifiers: text, attachment, and the first link of each.

use crate::change::SequenceNumber;
use crate::time::Timestamp;

use super::arena::{Arena, TextStart};
use super::chunked::{Chunked, Packed48, PackedTime};
use super::index::{IdentifierHash, Index};
use super::state_hash::{Kind, RecordHash, RecordHasher};

/// An identifier's row, counted from 0 in the order of first attachment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct IdentifierId(pub(crate) u32);

/// 40 bytes; with about 14 of the index and the text itself, all that an identifier costs.
#[derive(Clone, Debug, Default)]
pub(crate) struct IdentifierRow {
    text: TextStart,
    /// The profile node it is attached to.
    pub(crate) node: u32,
    /// The next identifier of the same node, counted from 1; 0 at the end.
    pub(crate) next: u32,
    /// The first identifier that was seen together with this one as the stronger, counted
    /// from 1; 0 for none. Most identifiers have no other, so links cost most people nothing.
    pub(crate) link: u32,
    text_length: u16,
    pub(crate) namespace: u16,
    attached_sequence: Packed48,
    attached_time: PackedTime,
    link_sequence: Packed48,
}

impl IdentifierRow {
    pub(crate) fn attached_sequence(&self) -> SequenceNumber {
        SequenceNumber(self.attached_sequence.get())
    }

    pub(crate) fn attached_time(&self) -> Timestamp {
        self.attached_time.get()
    }

    pub(crate) fn link(&self) -> Option<(IdentifierId, SequenceNumber)> {
        let stronger = self.link.checked_sub(1)?;
        Some((IdentifierId(stronger), SequenceNumber(self.link_sequence.get())))
    }

    pub(crate) fn set_link(&mut self, stronger: IdentifierId, sequence: SequenceNumber) {
        self.link = stronger.0 + 1;
        self.link_sequence = Packed48::new(sequence.0);
    }
}

/// Rows and text, without the index: what a view holds.
#[derive(Clone, Debug, Default)]
pub(crate) struct IdentifierRows {
    rows: Chunked<IdentifierRow>,
    arena: Arena,
}

impl IdentifierRows {
    pub(crate) fn len(&self) -> u32 {
        self.rows.len()
    }

    pub(crate) fn row(&self, id: IdentifierId) -> &IdentifierRow {
        self.rows.get(id.0)
    }

    pub(crate) fn value(&self, id: IdentifierId) -> &str {
        std::str::from_utf8(self.value_bytes(id)).expect("only UTF-8 text is stored")
    }

    pub(crate) fn text_bytes(&self) -> u64 {
        self.arena.bytes()
    }

    fn value_bytes(&self, id: IdentifierId) -> &[u8] {
        let row = self.row(id);
        self.arena.get(row.text, row.text_length)
    }
}

/// The table.
#[derive(Debug)]
pub(crate) struct Identifiers {
    pub(crate) rows: IdentifierRows,
    index: Index,
}

impl Identifiers {
    pub(crate) fn new(hash_seed: u64) -> Identifiers {
        Identifiers { rows: IdentifierRows::default(), index: Index::new(hash_seed) }
    }

    /// The identifier, if it was ever attached.
    pub(crate) fn find(&self, namespace: u16, value: &str) -> Option<IdentifierId> {
        let hash = self.index.hash(namespace, value.as_bytes());
        self.find_hashed(hash, namespace, value)
    }

    fn find_hashed(
        &self,
        hash: IdentifierHash,
        namespace: u16,
        value: &str,
    ) -> Option<IdentifierId> {
        let is_it = |row| {
            let id = IdentifierId(row);
            self.rows.row(id).namespace == namespace
                && self.rows.value_bytes(id) == value.as_bytes()
        };
        self.index.find(hash, is_it).map(IdentifierId)
    }

    /// Adds an identifier that is not there, attached to a node.
    pub(crate) fn insert(
        &mut self,
        namespace: u16,
        value: &str,
        node: u32,
        sequence: SequenceNumber,
        time: Timestamp,
    ) -> IdentifierId {
        let hash = self.index.hash(namespace, value.as_bytes());
        let row = IdentifierRow {
            text: self.rows.arena.push(value.as_bytes()),
            text_length: u16::try_from(value.len()).expect("values are at most 1,024 bytes"),
            namespace,
            node,
            attached_sequence: Packed48::new(sequence.0),
            attached_time: PackedTime::new(time),
            ..IdentifierRow::default()
        };
        let id = self.rows.rows.push(row);
        self.index.insert(hash, id);
        IdentifierId(id)
    }

    pub(crate) fn row_mut(&mut self, id: IdentifierId) -> &mut IdentifierRow {
        self.rows.rows.get_mut(id.0)
    }

    /// Whether another identifier has room: rows and text are addressed in 32 bits.
    pub(crate) fn has_room(&self) -> bool {
        (self.rows.len() as usize) < crate::limits::IDENTIFIERS_MAX
            && self.rows.text_bytes() < Arena::BYTES_MAX / 2
    }
}

/// What the state hash takes of an identifier. Its namespace goes by name: indexes of
/// namespaces are memory layout.
pub(crate) fn identifier_hash(
    namespace: &str,
    value: &str,
    node: u32,
    sequence: SequenceNumber,
    time: Timestamp,
) -> RecordHash {
    RecordHasher::new(Kind::Identifier)
        .text(namespace.as_bytes())
        .text(value.as_bytes())
        .number(u64::from(node))
        .number(sequence.0)
        .number(time.as_millis() as u64)
        .finish()
}
