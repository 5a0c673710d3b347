//! What stands in the place of erased values, and how records are made to name nobody.
//!
//! A value that was erased is told again by its hash under the workspace's key: that is how
//! the files are searched for it, and how a suppressed one is kept out. Where a record named
//! it, a pseudonym stands from then on: the identifier's row, so that the record still says
//! which of its identifiers is the same as one of another record, and replays to the same
//! graph; or a number of its own, for one that no profile ever held.
//!
//! A hash is no anonymity: whoever holds the key can hash a guess. So hashes are kept only as
//! long as files must be searched, and of suppressed identifiers for ever.

use std::borrow::Cow;
use std::hash::Hasher;

use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashSet};
use siphasher::sip128::{Hasher128, SipHasher24};

use crate::change::{
    Change, ErasedIdentifier, EventResolved, Expired, Extra, ObservedIdentifier, Record,
    SequenceNumber,
};

/// What a pseudonym begins with. No value of an event may: [`crate::identifier::normalise`]
/// sees to it.
const PREFIX: &str = "\0erased ";
/// What the number of a pseudonym is counted from that is no row.
const UNHELD: u64 = 1 << 32;
/// The same where a record is redacted, so that no number meets one that an event was given.
const REDACTED: u64 = UNHELD + (1 << 20);
/// The same of what is in its moves and links.
const REDACTED_EXTRA: u64 = UNHELD + (1 << 21);

/// Whether a value is a pseudonym.
pub fn is_pseudonym(value: &str) -> bool {
    value.starts_with(PREFIX)
}

/// The number behind a pseudonym: a row, or 2^32 and more for what was on no profile.
pub fn pseudonym_number(value: &str) -> Option<u64> {
    value.strip_prefix(PREFIX)?.parse().ok()
}

/// The pseudonym of a number.
pub fn pseudonym(number: u64) -> String {
    format!("{PREFIX}{number}")
}

/// The pseudonym of an identifier that is on no profile, the `at`th of its record or event.
pub(crate) fn unheld_pseudonym(at: usize) -> String {
    pseudonym(UNHELD + at as u64)
}

/// The row that a pseudonym stands for.
pub(crate) fn pseudonym_row(value: &str) -> Option<u32> {
    u32::try_from(pseudonym_number(value)?).ok()
}

/// The hash by which an erased identifier is told; never 0.
pub fn value_hash(key: &[u8; 16], namespace: &str, value: &str) -> u128 {
    keyed_hash(key, b"identifier", &[namespace.as_bytes(), value.as_bytes()])
}

/// The hash of texts under a key, for one purpose; never 0.
pub(crate) fn keyed_hash(key: &[u8; 16], purpose: &[u8], texts: &[&[u8]]) -> u128 {
    let mut hasher = SipHasher24::new_with_key(key);
    for text in std::iter::once(&purpose).chain(texts) {
        hasher.write(&(text.len() as u64).to_le_bytes());
        hasher.write(text);
    }
    hasher.finish128().as_u128().max(1)
}

/// What is to be redacted in the records of one workspace.
#[derive(Clone, Debug, Default)]
pub struct Redactor {
    key: [u8; 16],
    /// The erasures of a value, oldest first: a value may come again and be erased again.
    by_hash: HashMap<u128, Vec<(SequenceNumber, Option<u32>)>, FixedState>,
    profiles: HashMap<u32, SequenceNumber, FixedState>,
    erasures: HashSet<u64, FixedState>,
    /// All records before this one, because it deleted the workspace.
    deleted: Option<SequenceNumber>,
}

impl Redactor {
    /// Nothing, in a workspace with this key.
    pub fn new(key: [u8; 16]) -> Redactor {
        Redactor { key, ..Redactor::default() }
    }

    /// Everything, in a workspace that this record deleted.
    pub(crate) fn of_deleted(deletion: SequenceNumber) -> Redactor {
        Redactor { deleted: Some(deletion), ..Redactor::default() }
    }

    /// Adds what the record with this number erased; records come in order.
    pub(crate) fn add(
        &mut self,
        sequence: SequenceNumber,
        profiles: &[u32],
        identifiers: &[ErasedIdentifier],
    ) {
        self.erasures.insert(sequence.0);
        self.profiles.extend(profiles.iter().map(|&profile| (profile, sequence)));
        for identifier in identifiers.iter().filter(|identifier| identifier.hash != 0) {
            self.by_hash.entry(identifier.hash).or_default().push((sequence, identifier.row));
        }
    }

    /// The erasures that it redacts for, in no order.
    pub fn erasures(&self) -> impl Iterator<Item = SequenceNumber> {
        self.erasures.iter().map(|&sequence| SequenceNumber(sequence))
    }

    /// A record as it is to stand from now on; `None` if it names nobody who was erased.
    /// Newer records are rewritten first: an older one still gives a row the value by which
    /// those that are left name it, should they be replayed half way.
    pub fn redact(&self, record: &Record<'_>) -> Option<Record<'static>> {
        let change = match &record.change {
            Change::Gone => return None,
            _ if self.deleted.is_some_and(|deleted| record.sequence < deleted) => Change::Gone,
            Change::EventResolved(event) => {
                Change::EventResolved(self.redact_event(event, record.sequence)?)
            }
            Change::Expired(expired) => self.redact_expired(expired, record.sequence)?,
            _ => return None,
        };
        Some(Record { sequence: record.sequence, log_time: record.log_time, change })
    }

    /// Learns from the record of an expiry: what was erased later, or was on a profile that was,
    /// had this row until then. To be asked before any record that is older.
    pub fn learn(&mut self, record: &Record<'_>) {
        let Change::Expired(expired) = &record.change else { return };
        for identifier in expired.identifiers.iter().filter(|known| !is_pseudonym(&known.value)) {
            let hash = value_hash(&self.key, &identifier.namespace, &identifier.value);
            let is_theirs = identifier.profiles.iter().any(|profile| {
                self.profiles.get(&profile.0).is_some_and(|erased| record.sequence < *erased)
            });
            // What was erased before and came back is somebody's anew: it is still named.
            let ends = self.by_hash.get(&hash).and_then(|known| known.last());
            if is_theirs || ends.is_some_and(|&(end, _)| record.sequence < end) {
                let known = self.by_hash.entry(hash).or_default();
                // Those before the record of the expiry are of this row, that record too.
                let end = SequenceNumber(record.sequence.0 + 1);
                let at = known.partition_point(|&(erased, _)| erased < end);
                known.insert(at, (end, Some(identifier.row)));
            }
        }
    }

    fn redact_expired(
        &self,
        expired: &Expired<'_>,
        sequence: SequenceNumber,
    ) -> Option<Change<'static>> {
        let mut expired = expired.to_static();
        let mut redacted = false;
        for identifier in &mut expired.identifiers {
            if self.find(&identifier.namespace, &identifier.value, sequence).is_some() {
                identifier.value = Cow::Owned(pseudonym(u64::from(identifier.row)));
                redacted = true;
            }
        }
        redacted.then_some(Change::Expired(expired))
    }

    /// A record of an erasure without the hashes, which nobody needs once all records are
    /// redacted; those of suppressed identifiers stay. `None` if there is nothing to take out.
    pub fn strip(&self, record: &Record<'_>) -> Option<Record<'static>> {
        let Change::Erased(erased) = &record.change else { return None };
        let has_hashes = erased.identifiers.iter().any(|identifier| identifier.hash != 0);
        if erased.suppress || !has_hashes || !self.erasures.contains(&record.sequence.0) {
            return None;
        }
        let mut erased = erased.clone();
        erased.identifiers.iter_mut().for_each(|identifier| identifier.hash = 0);
        let change = Change::Erased(erased);
        Some(Record { sequence: record.sequence, log_time: record.log_time, change })
    }

    /// The same of an event or command that was recorded with this number.
    pub(crate) fn redact_event(
        &self,
        event: &EventResolved<'_>,
        sequence: SequenceNumber,
    ) -> Option<EventResolved<'static>> {
        let is_theirs = event.target.profile().is_some_and(|profile| {
            self.profiles.get(&profile.0).is_some_and(|erased| sequence < *erased)
        });
        if !is_theirs && !self.names_any(event, sequence) {
            return None;
        }
        let mut event = event.to_static();
        for (at, observed) in event.identifiers.iter_mut().enumerate() {
            self.redact_identifier(observed, sequence, is_theirs, at);
        }
        if let Some(extra) = &mut event.extra {
            self.redact_extra(extra, sequence);
        }
        if is_theirs {
            if !event.event_id.is_empty() {
                event.event_id = Cow::Owned(pseudonym(sequence.0));
            }
            event.digest = 0;
            event.traits.iter_mut().for_each(|set| set.value = None);
        }
        Some(event)
    }

    fn redact_identifier(
        &self,
        observed: &mut ObservedIdentifier<'static>,
        sequence: SequenceNumber,
        is_theirs: bool,
        at: usize,
    ) {
        let found = self.find(&observed.namespace, &observed.value, sequence);
        // What a rule kept off the record is on no profile by it: nothing is lost but the value.
        let is_loose = is_theirs && observed.verdict.reason().is_some();
        if found.is_none() && is_loose && !is_pseudonym(&observed.value) {
            observed.value = Cow::Owned(pseudonym(REDACTED + at as u64));
        } else if let Some(row) = found {
            let number = row.map_or(REDACTED + at as u64, u64::from);
            observed.value = Cow::Owned(pseudonym(number));
        }
        if found.is_some() || is_theirs {
            observed.raw = None;
        }
    }

    fn redact_extra(&self, extra: &mut Extra<'static>, sequence: SequenceNumber) {
        let moves = extra.moves.iter_mut().map(|moved| (&*moved.namespace, &mut moved.value));
        let displaced = extra
            .displaced
            .iter_mut()
            .flat_map(|pair| [(&*pair.a.0, &mut pair.a.1), (&*pair.b.0, &mut pair.b.1)]);
        for (at, (namespace, value)) in moves.chain(displaced).enumerate() {
            if let Some(row) = self.find(namespace, value, sequence) {
                let number = row.map_or(REDACTED_EXTRA + at as u64, u64::from);
                *value = Cow::Owned(pseudonym(number));
            }
        }
    }

    fn names_any(&self, event: &EventResolved<'_>, sequence: SequenceNumber) -> bool {
        let named = |namespace: &str, value: &str| self.find(namespace, value, sequence).is_some();
        event.identifiers.iter().any(|observed| named(&observed.namespace, &observed.value))
            || event.extra.as_deref().is_some_and(|extra| {
                extra.moves.iter().any(|moved| named(&moved.namespace, &moved.value))
                    || extra
                        .displaced
                        .iter()
                        .any(|pair| named(&pair.a.0, &pair.a.1) || named(&pair.b.0, &pair.b.1))
            })
    }

    /// The row of a value that was erased after the record with this number, by the first
    /// erasure that came.
    fn find(&self, namespace: &str, value: &str, sequence: SequenceNumber) -> Option<Option<u32>> {
        if self.by_hash.is_empty() || is_pseudonym(value) {
            return None;
        }
        let erasures = self.by_hash.get(&value_hash(&self.key, namespace, value))?;
        erasures.iter().find(|(erased, _)| sequence < *erased).map(|&(_, row)| row)
    }
}
