//! The table of identifiers: text, attachment, and the first link of each.

use crate::change::SequenceNumber;
use crate::time::Timestamp;

use super::arena::{Arena, TextStart};
use super::chunked::{Chunked, Packed48, PackedTime};
use super::holders::Holder;
use super::index::{IdentifierHash, Index, Shards};
use super::state_hash::{Kind, RecordHash, RecordHasher};

/// An identifier's row, counted from 0 in the order of first attachment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct IdentifierId(pub(crate) u32);

/// The node of an identifier that nobody holds.
pub(crate) const NO_NODE: u32 = u32::MAX;

/// Side tables hold further holders of the identifier.
const FURTHER: u16 = 1 << 15;
/// It was a source of a link.
const SOURCE: u16 = 1 << 14;
/// What is left is the length of its text.
const TEXT_LENGTH: u16 = (1 << 11) - 1;

const _: () = assert!(crate::limits::IDENTIFIER_VALUE_BYTES_MAX <= TEXT_LENGTH as usize);

/// What an event reads of an identifier: half a line of the cache, and never of two.
#[derive(Clone, Debug, Default)]
#[repr(align(32))]
pub(crate) struct IdentifierRow {
    text: TextStart,
    /// The profile node it is attached to, the first if there are several; [`NO_NODE`] if
    /// nobody holds it.
    pub(crate) node: u32,
    /// The next identifier of the same node, counted from 1; 0 at the end.
    pub(crate) next: u32,
    /// The first identifier that was seen together with this one as the stronger, counted
    /// from 1; 0 for none. Most identifiers have no other, so links cost most people nothing.
    pub(crate) link: u32,
    text_length_and_flags: u16,
    pub(crate) namespace: u16,
    attached_sequence: Packed48,
    attached_time: PackedTime,
}

const _: () = assert!(size_of::<IdentifierRow>() == 32, "most of what an identifier costs");

impl IdentifierRow {
    /// Whether other nodes than its own hold it, too.
    pub(crate) fn has_further_holders(&self) -> bool {
        self.text_length_and_flags & FURTHER != 0
    }

    pub(crate) fn set_further_holders(&mut self, has: bool) {
        self.text_length_and_flags &= !FURTHER;
        self.text_length_and_flags |= if has { FURTHER } else { 0 };
    }

    /// Whether it was a source of a link.
    pub(crate) fn was_source(&self) -> bool {
        self.text_length_and_flags & SOURCE != 0
    }

    pub(crate) fn set_was_source(&mut self) {
        self.text_length_and_flags |= SOURCE;
    }

    /// Its holder, if it has one: the first, if it has several.
    pub(crate) fn holder(&self) -> Option<Holder> {
        (self.node != NO_NODE).then(|| Holder {
            node: self.node,
            sequence: self.attached_sequence(),
            time: self.attached_time(),
        })
    }

    /// Sets the holder, and what follows the identifier in that node's list.
    pub(crate) fn set_holder(&mut self, holder: Holder, next: u32) {
        self.node = holder.node;
        self.next = next;
        self.attached_sequence = Packed48::new(holder.sequence.0);
        self.attached_time = PackedTime::new(holder.time);
    }

    /// Leaves it with nobody. When it was attached last is kept.
    pub(crate) fn clear_holder(&mut self) {
        self.node = NO_NODE;
        self.next = 0;
    }

    /// Whether its value was erased, or is known by a pseudonym only.
    pub(crate) fn is_blank(&self) -> bool {
        self.text_length() == 0
    }

    fn text_length(&self) -> u16 {
        self.text_length_and_flags & TEXT_LENGTH
    }

    pub(crate) fn attached_sequence(&self) -> SequenceNumber {
        SequenceNumber(self.attached_sequence.get())
    }

    pub(crate) fn attached_time(&self) -> Timestamp {
        self.attached_time.get()
    }
}

/// Rows and text, without the index: what a view holds.
#[derive(Clone, Debug, Default)]
pub(crate) struct IdentifierRows {
    rows: Chunked<IdentifierRow>,
    /// The record that made the link of each row. Apart, because events do not read it.
    link_sequences: Chunked<Packed48>,
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

    /// The link in an identifier's row.
    pub(crate) fn link(&self, id: IdentifierId) -> Option<(IdentifierId, SequenceNumber)> {
        let stronger = self.row(id).link.checked_sub(1)?;
        let sequence = self.link_sequences.get(id.0).get();
        Some((IdentifierId(stronger), SequenceNumber(sequence)))
    }

    pub(crate) fn text_bytes(&self) -> u64 {
        self.arena.bytes()
    }

    /// Whether a row is that of an identifier.
    #[inline]
    pub(crate) fn is(&self, id: IdentifierId, namespace: u16, value: &str) -> bool {
        let row = self.row(id);
        row.namespace == namespace && self.text(row) == value.as_bytes()
    }

    /// The first and the last byte of a value: a value lies in two lines of the cache at most,
    /// but for long ones. Zeros if it is blank.
    pub(crate) fn ends(&self, row: &IdentifierRow) -> (u8, u8) {
        let bytes = self.text(row);
        let end = |byte: Option<&u8>| byte.copied().unwrap_or_default();
        (end(bytes.first()), end(bytes.last()))
    }

    pub(crate) fn value_bytes(&self, id: IdentifierId) -> &[u8] {
        self.text(self.row(id))
    }

    #[inline]
    fn text(&self, row: &IdentifierRow) -> &[u8] {
        self.arena.get(row.text, row.text_length())
    }
}

/// What came of an identifier that is to be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Interned {
    Found(IdentifierId),
    Added(IdentifierId),
}

/// Places of values that are gone, for others that take as many units: what expires makes room
/// for what comes after it.
#[derive(Debug, Default)]
struct FreeTexts {
    by_units: Vec<Vec<TextStart>>,
    units: usize,
}

impl FreeTexts {
    fn bytes(&self) -> u64 {
        Arena::bytes_of(self.units)
    }

    fn add(&mut self, start: TextStart, length: u16) {
        let units = Arena::units(length as usize);
        if self.by_units.len() <= units {
            self.by_units.resize_with(units + 1, Vec::new);
        }
        self.by_units[units].push(start);
        self.units += units;
    }

    fn take(&mut self, length: usize) -> Option<TextStart> {
        let units = Arena::units(length);
        let start = self.by_units.get_mut(units)?.pop()?;
        self.units -= units;
        Some(start)
    }
}

/// The table.
#[derive(Debug)]
pub(crate) struct Identifiers {
    pub(crate) rows: IdentifierRows,
    index: Index,
    /// Rows without a value.
    blank: u32,
    /// Where values were.
    free: FreeTexts,
}

impl Identifiers {
    pub(crate) fn new(hash_seed: u64) -> Identifiers {
        Identifiers {
            rows: IdentifierRows::default(),
            index: Index::new(hash_seed),
            blank: 0,
            free: FreeTexts::default(),
        }
    }

    /// The identifier, if it was ever attached.
    pub(crate) fn find(&self, namespace: u16, value: &str) -> Option<IdentifierId> {
        self.find_hashed(self.hash(namespace, value), namespace, value)
    }

    pub(crate) fn hash(&self, namespace: u16, value: &str) -> IdentifierHash {
        self.index.hash(namespace, value.as_bytes())
    }

    /// Fetches where the row of a hash is noted.
    pub(crate) fn fetch(&self, hash: IdentifierHash) {
        self.index.fetch(hash);
    }

    /// The row that nearly always is the one of a hash, without a look at its text.
    pub(crate) fn likely(&self, hash: IdentifierHash) -> Option<IdentifierId> {
        self.index.find(hash, |_| true).map(IdentifierId)
    }

    fn find_hashed(
        &self,
        hash: IdentifierHash,
        namespace: u16,
        value: &str,
    ) -> Option<IdentifierId> {
        let is_it = |row| self.rows.is(IdentifierId(row), namespace, value);
        self.index.find(hash, is_it).map(IdentifierId)
    }

    /// The identifier, if it is there; else adds it, attached to a node or to [`NO_NODE`].
    pub(crate) fn intern(&mut self, namespace: u16, value: &str, holder: Holder) -> Interned {
        let hash = self.hash(namespace, value);
        if let Some(id) = self.find_hashed(hash, namespace, value) {
            return Interned::Found(id);
        }
        let id = self.push(namespace, value, holder);
        self.index.insert(hash, id.0);
        Interned::Added(id)
    }

    /// Adds a row whose value is not known any more.
    pub(crate) fn add_blank(&mut self, namespace: u16, holder: Holder) -> IdentifierId {
        self.blank += 1;
        self.push(namespace, "", holder)
    }

    /// Adds a row as a snapshot has it, blank or not, and does not index it.
    pub(crate) fn restore(&mut self, namespace: u16, value: &str, holder: Holder) -> IdentifierId {
        match value {
            "" => self.add_blank(namespace, holder),
            value => self.push(namespace, value, holder),
        }
    }

    /// Indexes all rows together, which is much faster than one by one; says whether each
    /// identifier stands once.
    pub(crate) fn index_all(&mut self) -> bool {
        let (rows, index) = (&self.rows, &self.index);
        let key = |row: u32| {
            let id = IdentifierId(row);
            (rows.row(id).namespace, rows.value_bytes(id))
        };
        let hashed = (0..rows.len()).filter_map(|row| {
            let (namespace, value) = key(row);
            (!value.is_empty()).then(|| (index.hash(namespace, value), row))
        });
        let shards = Shards::of(hashed, (rows.len() - self.blank) as usize);
        self.index.fill(shards, |a, b| key(a) == key(b))
    }

    /// Blanks a value, and forgets what is noted in the row but its links. It has no holder.
    pub(crate) fn blank(&mut self, id: IdentifierId) {
        let row = self.rows.row(id).clone();
        if !row.is_blank() {
            let hash = self.index.hash(row.namespace, self.rows.value_bytes(id));
            self.index.remove(hash, id.0);
            self.rows.arena.blank(row.text, row.text_length());
            self.free.add(row.text, row.text_length());
            self.blank += 1;
        }
        let (namespace, link) = (row.namespace, row.link);
        *self.row_mut(id) =
            IdentifierRow { namespace, node: NO_NODE, link, ..IdentifierRow::default() };
    }

    /// Sets the link in an identifier's row.
    pub(crate) fn set_link(
        &mut self,
        id: IdentifierId,
        stronger: IdentifierId,
        sequence: SequenceNumber,
    ) {
        self.row_mut(id).link = stronger.0 + 1;
        *self.rows.link_sequences.get_mut(id.0) = Packed48::new(sequence.0);
    }

    pub(crate) fn clear_link(&mut self, id: IdentifierId) {
        self.row_mut(id).link = 0;
        *self.rows.link_sequences.get_mut(id.0) = Packed48::default();
    }

    /// What values take in memory.
    pub(crate) fn text_bytes(&self) -> u64 {
        self.rows.text_bytes() - self.free.bytes()
    }

    /// What rows take in memory: where values are, who holds them, what they are linked with.
    pub(crate) fn row_bytes(&self) -> u64 {
        self.rows.rows.bytes() + self.rows.link_sequences.bytes()
    }

    /// About what the index takes in memory.
    pub(crate) fn index_bytes(&self) -> u64 {
        Index::bytes_of(self.rows.len() - self.blank)
    }

    /// Rows without a value.
    pub(crate) fn blanks(&self) -> u32 {
        self.blank
    }

    fn push(&mut self, namespace: u16, value: &str, holder: Holder) -> IdentifierId {
        let text = match self.free.take(value.len()) {
            Some(start) => {
                self.rows.arena.refill(start, value.as_bytes());
                start
            }
            None => self.rows.arena.push(value.as_bytes()),
        };
        let row = IdentifierRow {
            text,
            text_length_and_flags: text_length(value),
            namespace,
            node: holder.node,
            attached_sequence: Packed48::new(holder.sequence.0),
            attached_time: PackedTime::new(holder.time),
            ..IdentifierRow::default()
        };
        self.rows.link_sequences.push(Packed48::default());
        IdentifierId(self.rows.rows.push(row))
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

fn text_length(value: &str) -> u16 {
    let length = u16::try_from(value.len()).ok().filter(|&length| length <= TEXT_LENGTH);
    length.expect("values are at most 1,024 bytes")
}

/// What the state hash takes of an identifier. Its namespace goes by name: indexes of
/// namespaces are memory layout.
pub(crate) fn identifier_hash(
    namespace: &str,
    value: &[u8],
    holder: Holder,
    was_source: bool,
) -> RecordHash {
    RecordHasher::new(Kind::Identifier)
        .text(namespace.as_bytes())
        .text(value)
        .numbers(u64::from(holder.node) | u64::from(was_source) << 32, holder.sequence.0)
        .number(holder.time.as_millis() as u64)
        .finish()
}
