//! What a workspace remembers so that repeats are harmless: events that wrote, by their id,
//! and refusals, so that each is recorded once. Both are bounded; the oldest give way.
//!
//! Forgetting is part of apply and goes by log time and count, so that every replica forgets
//! the same.

use std::collections::VecDeque;
use std::hint::black_box;
use std::sync::Arc;

use hashbrown::{HashMap, HashTable};

use crate::change::{
    EventResolved, ObservedIdentifier, Rule, RulesVersion, SequenceNumber, Target, TraitReason,
    Verdict,
};
use crate::limits::{
    REMEMBERED_EVENTS_AGE_MS_MAX, REMEMBERED_EVENTS_MAX, REMEMBERED_RECORDS_BYTES_MAX,
    REMEMBERED_REFUSALS_MAX, TRAIT_NAME_BYTES_MAX, TRAIT_VALUE_BYTES_MAX,
};
use crate::time::Timestamp;

use super::attributed::AttributedBy;
use super::keyed::Keyed;
use super::memory::{PIECE_BYTES, table_bytes};
use super::state_hash::{Kind, RecordHash, RecordHasher};

/// An event that wrote a record, and its answer. The identifiers are not kept: an event that
/// comes again under the same digest brings them along.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RememberedEvent {
    pub(crate) event_id: Box<str>,
    pub(crate) digest: u128,
    pub(crate) sequence: SequenceNumber,
    pub(crate) log_time: Timestamp,
    pub(crate) rules_version: RulesVersion,
    pub(crate) known: bool,
    pub(crate) target: Target,
    pub(crate) attributed_by: AttributedBy,
    /// In the order of (namespace, value), which other rules do not change.
    pub(crate) verdicts: Box<[RankedVerdict]>,
    /// The traits that did not count, by the hash of their names. Two of an event that share one
    /// are told alike.
    pub(crate) ignored_traits: Box<[(u32, TraitReason)]>,
    /// The record itself, where that is not the whole answer: of commands, and of what some
    /// rules bring.
    pub(crate) record: Option<Box<EventResolved<'static>>>,
}

/// What became of an identifier, and its place in the record: from 0, strongest first.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RankedVerdict {
    pub(crate) rank: u16,
    pub(crate) verdict: Verdict,
}

/// Remembered events, by id and by age.
#[derive(Debug)]
pub(crate) struct RememberedEvents {
    keyed: Keyed,
    by_age: VecDeque<Arc<RememberedEvent>>,
    by_id: HashTable<Known>,
    /// What the records among them weigh.
    record_bytes: usize,
    /// What all of them take.
    bytes: u64,
}

/// An event by its id. The hash lies beside it: growing reads no event.
#[derive(Debug)]
struct Known {
    hash: u64,
    event: Arc<RememberedEvent>,
}

impl RememberedEvents {
    pub(crate) fn new(hash_seed: u64) -> RememberedEvents {
        RememberedEvents {
            keyed: Keyed::new(hash_seed),
            by_age: VecDeque::new(),
            by_id: HashTable::new(),
            record_bytes: 0,
            bytes: 0,
        }
    }

    /// About what they take in memory.
    pub(crate) fn bytes(&self) -> u64 {
        let tables = self.by_age.capacity() * 8;
        self.bytes + tables as u64 + table_bytes(self.by_age.len(), size_of::<Known>())
    }

    /// The event of this id, if it is still remembered at `log_time`.
    pub(crate) fn find(&self, event_id: &str, log_time: Timestamp) -> Option<&RememberedEvent> {
        let hash = self.keyed.hash(event_id);
        let is_it = |known: &Known| known.hash == hash && *known.event.event_id == *event_id;
        let found = self.by_id.find(hash, is_it).map(|known| &*known.event);
        found.filter(|event| !is_expired(event, log_time))
    }

    /// Fetches what remembering events of these ids will look at: their own places, and as many of
    /// the oldest events, where they have to give way.
    pub(crate) fn fetch(&self, event_ids: &[&str]) {
        let hashes: Vec<u64> = event_ids.iter().map(|id| self.keyed.hash(id)).collect();
        let fetch = |hash: u64| _ = black_box(self.by_id.find(hash, |known| known.hash == hash));
        hashes.iter().for_each(|&hash| fetch(hash));
        if self.by_age.len() + hashes.len() <= REMEMBERED_EVENTS_MAX {
            return;
        }
        let oldest = self.by_age.range(..hashes.len().min(self.by_age.len()));
        oldest.clone().for_each(|event| _ = black_box((event.event_id.len(), event.log_time)));
        oldest.clone().for_each(|event| _ = black_box(event.verdicts.first().map(|v| v.rank)));
        let hashes: Vec<u64> = oldest.map(|event| self.keyed.hash(&event.event_id)).collect();
        hashes.into_iter().for_each(fetch);
    }

    /// Remembers an event, and forgets what is too old or too much; calls back for each
    /// event that is forgotten.
    pub(crate) fn insert(
        &mut self,
        event: RememberedEvent,
        mut forgotten: impl FnMut(&RememberedEvent),
    ) {
        let log_time = event.log_time;
        let bytes = record_bytes(&event);
        while self.by_age.front().is_some_and(|oldest| {
            self.by_age.len() >= REMEMBERED_EVENTS_MAX
                || self.record_bytes + bytes > REMEMBERED_RECORDS_BYTES_MAX
                || is_expired(oldest, log_time)
        }) {
            let oldest = self.by_age.pop_front().expect("the loop's condition saw one");
            self.uncount(&oldest);
            self.forget_id(&oldest);
            forgotten(&oldest);
        }
        self.count(&event);
        let event = Arc::new(event);
        self.note_id(event.clone());
        self.by_age.push_back(event);
    }

    /// Forgets the events for which `goes` holds; calls back for each.
    pub(crate) fn remove(
        &mut self,
        goes: impl Fn(&RememberedEvent) -> bool,
        mut forgotten: impl FnMut(&RememberedEvent),
    ) {
        let (gone, kept) = std::mem::take(&mut self.by_age).into_iter().partition(|e| goes(e));
        self.by_age = kept;
        let gone: VecDeque<Arc<RememberedEvent>> = gone;
        for event in &gone {
            self.uncount(event);
            self.forget_id(event);
            forgotten(event);
        }
    }

    /// Replaces whole records by what `redact` makes of them, where it makes anything.
    pub(crate) fn redact(
        &mut self,
        redact: impl Fn(&RememberedEvent, &EventResolved<'static>) -> Option<EventResolved<'static>>,
    ) {
        for at in 0..self.by_age.len() {
            let event = self.by_age[at].clone();
            let redacted = event.record.as_deref().and_then(|record| redact(&event, record));
            let Some(record) = redacted else { continue };
            let new = RememberedEvent { record: Some(Box::new(record)), ..(*event).clone() };
            self.uncount(&event);
            self.count(&new);
            self.forget_id(&event);
            let new = Arc::new(new);
            self.note_id(new.clone());
            self.by_age[at] = new;
        }
    }

    /// Oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &RememberedEvent> {
        self.by_age.iter().map(Arc::as_ref)
    }

    /// A view, oldest first.
    pub(crate) fn freeze(&self) -> VecDeque<Arc<RememberedEvent>> {
        self.by_age.clone()
    }

    fn count(&mut self, event: &RememberedEvent) {
        self.record_bytes += record_bytes(event);
        self.bytes += memory_bytes(event);
    }

    fn uncount(&mut self, event: &RememberedEvent) {
        self.record_bytes -= record_bytes(event);
        self.bytes -= memory_bytes(event);
    }

    fn note_id(&mut self, event: Arc<RememberedEvent>) {
        let hash = self.keyed.hash(&event.event_id);
        self.by_id.insert_unique(hash, Known { hash, event }, |known| known.hash);
    }

    fn forget_id(&mut self, event: &Arc<RememberedEvent>) {
        let hash = self.keyed.hash(&event.event_id);
        if let Ok(entry) = self.by_id.find_entry(hash, |held| Arc::ptr_eq(&held.event, event)) {
            entry.remove();
        }
    }
}

/// What lists of unusual length weigh, by the text that they hold: of a whole record, and of
/// ignored traits.
fn record_bytes(event: &RememberedEvent) -> usize {
    const ENTRY_BYTES: usize = 128;
    let ignored = size_of_val(&*event.ignored_traits);
    let Some(record) = &event.record else { return ignored };
    let identifiers = record.identifiers.iter().map(|observed| observed.value.len() + ENTRY_BYTES);
    let moves = record.moves().iter().map(|moved| moved.value.len() + ENTRY_BYTES);
    let traits = record.traits.len() * (TRAIT_VALUE_BYTES_MAX + ENTRY_BYTES);
    let ignored = record.ignored_traits().len() * (TRAIT_NAME_BYTES_MAX + ENTRY_BYTES);
    identifiers.chain(moves).sum::<usize>() + traits + ignored + ENTRY_BYTES
}

/// About what one takes in memory.
fn memory_bytes(event: &RememberedEvent) -> u64 {
    let own = size_of::<RememberedEvent>() + event.event_id.len();
    let lists = size_of_val(&*event.verdicts) + size_of_val(&*event.ignored_traits);
    let record = event.record.as_ref().map_or(0, |record| {
        let texts = record.identifiers.iter().map(|observed| observed.value.len());
        let texts = texts.chain(record.moves().iter().map(|moved| moved.value.len()));
        size_of_val(&**record)
            + size_of_val(&*record.identifiers)
            + size_of_val(record.moves())
            + size_of_val(&*record.traits)
            + texts.sum::<usize>()
    });
    (own + lists + record) as u64 + 3 * PIECE_BYTES
}

/// What is remembered of a trait's name.
pub(crate) fn name_hash(name: &str) -> u32 {
    use std::hash::Hasher;
    let mut hasher = siphasher::sip::SipHasher13::new();
    hasher.write(name.as_bytes());
    hasher.finish() as u32
}

fn is_expired(event: &RememberedEvent, log_time: Timestamp) -> bool {
    log_time.as_millis() - event.log_time.as_millis() > REMEMBERED_EVENTS_AGE_MS_MAX
}

/// What the state hash takes of a remembered event: its record says the rest.
pub(crate) fn event_hash(event: &RememberedEvent) -> RecordHash {
    RecordHasher::new(Kind::RememberedEvent)
        .text(event.event_id.as_bytes())
        .number(event.digest as u64)
        .number((event.digest >> 64) as u64)
        .number(event.sequence.0)
        .number(event.log_time.as_millis() as u64)
        .finish()
}

/// A refusal, as far as it is remembered: a hash of profile, identifier and rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct RefusalHash(pub(crate) u64);

impl RefusalHash {
    /// The refusals among the identifiers of an event.
    pub(crate) fn of_event<'e>(
        target: &Target,
        identifiers: &'e [ObservedIdentifier<'_>],
    ) -> impl Iterator<Item = RefusalHash> + 'e {
        let profile = target.profile().map_or(0, |profile| profile.0);
        identifiers.iter().filter_map(move |observed| {
            let rule = observed.verdict.reason()?.rule;
            // A value that is to stay erased leaves no trace, not even a hash.
            (rule != Rule::Suppressed)
                .then(|| RefusalHash::new(profile, &observed.namespace, &observed.value, rule))
        })
    }

    /// `profile` is 0 for an event that is nobody's.
    pub(crate) fn new(profile: u32, namespace: &str, value: &str, rule: Rule) -> RefusalHash {
        use std::hash::Hasher;
        let mut hasher = siphasher::sip::SipHasher13::new();
        hasher.write(&profile.to_le_bytes());
        hasher.write(&[rule as u8, namespace.len() as u8]);
        hasher.write(namespace.as_bytes());
        hasher.write(value.as_bytes());
        RefusalHash(hasher.finish())
    }
}

/// A refusal and the record that has it: the first of its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RememberedRefusal {
    pub(crate) refusal: RefusalHash,
    pub(crate) by: SequenceNumber,
}

impl RememberedRefusal {
    /// What the state hash takes of a refusal.
    pub(crate) fn state(self) -> RecordHash {
        RecordHasher::new(Kind::RememberedRefusal).numbers(self.refusal.0, self.by.0).finish()
    }
}

/// Remembered refusals. Two that share a hash are recorded as one, which only makes the
/// record of refusals one poorer.
#[derive(Clone, Debug, Default)]
pub(crate) struct RememberedRefusals {
    by_age: VecDeque<RememberedRefusal>,
    by: HashMap<RefusalHash, SequenceNumber, foldhash::fast::FixedState>,
}

impl RememberedRefusals {
    pub(crate) fn contains(&self, refusal: RefusalHash) -> bool {
        self.by.contains_key(&refusal)
    }

    /// The first record that has a refusal, if it is remembered.
    pub(crate) fn by(&self, refusal: RefusalHash) -> Option<SequenceNumber> {
        self.by.get(&refusal).copied()
    }

    /// About what they take in memory.
    pub(crate) fn bytes(&self) -> u64 {
        let ages = self.by_age.capacity() * size_of::<RememberedRefusal>();
        ages as u64 + table_bytes(self.by.len(), size_of::<RememberedRefusal>())
    }

    /// Forgets them all; gives them.
    pub(crate) fn take(&mut self) -> VecDeque<RememberedRefusal> {
        self.by.clear();
        std::mem::take(&mut self.by_age)
    }

    /// Remembers a refusal that is not there; gives the one that had to be forgotten.
    pub(crate) fn insert(&mut self, new: RememberedRefusal) -> Option<RememberedRefusal> {
        let forgotten = (self.by_age.len() >= REMEMBERED_REFUSALS_MAX)
            .then(|| self.by_age.pop_front())
            .flatten();
        if let Some(oldest) = forgotten {
            self.by.remove(&oldest.refusal);
        }
        self.by_age.push_back(new);
        self.by.insert(new.refusal, new.by);
        forgotten
    }

    /// Oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = RememberedRefusal> {
        self.by_age.iter().copied()
    }

    /// A view, oldest first.
    pub(crate) fn freeze(&self) -> VecDeque<RememberedRefusal> {
        self.by_age.clone()
    }
}
