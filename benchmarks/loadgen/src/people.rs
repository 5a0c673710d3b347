//! The people of the workload: who they are and what each of their events shows.
//!
//! Everything is a function of (seed, person, event), so that a crowd of any size takes no memory,
//! and so that what is true of it can be said without having watched it.
//!
//! A person has 2 to 8 identifiers, `k` of them with a weight of `1/k²`, in up to three sessions, each
//! on a browser or app of its own. A session begins anonymous and ends with a sign-in:
//!
//! ```text
//! session 0   anonymous_id 0   device 0      then the same with   user_id   email
//! session 1   anonymous_id 1   device 1      then the same with   user_id
//! session 2   anonymous_id 2   device 2      then the same with   user_id
//! ```

use arrayvec::ArrayVec;
use bytes::BufMut;

/// People come in blocks: events of one block are mixed, and blocks follow each other.
pub(crate) const BLOCK: u64 = 1_000;

/// The events of a person while it is loaded, at most.
pub(crate) const LOAD_EVENTS: u64 = 6;

/// The events of a person of the phase `merge`: three of them join two profiles.
pub(crate) const MERGE_EVENTS: u64 = 7;

const EVENT_IDENTIFIERS_MAX: usize = 5;
// 1/4 + 1/9 + ... + 1/64, of a person having at most 2, 3, ... identifiers.
const COUNT_SHARES: [f64; 6] = [0.4740, 0.6847, 0.8032, 0.8791, 0.9317, 0.9704];
const SHARED_DEVICES_OF_A_BLOCK: u64 = 17;
// 2026-01-15 12:00 UTC: no clock that runs today takes it for the future.
const DAY_MS: i64 = 24 * 3_600_000;
const NOON_MS: i64 = 20_468 * DAY_MS + DAY_MS / 2;

/// A kind of identifier: its namespace and how its values look.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Kind {
    pub(crate) namespace: &'static str,
    prefix: &'static str,
    digits: usize,
    suffix: &'static str,
}

static USER: Kind = Kind { namespace: "user_id", prefix: "user-", digits: 16, suffix: "" };
static EMAIL: Kind = Kind { namespace: "email", prefix: "", digits: 12, suffix: "@example.com" };
static ANONYMOUS: Kind =
    Kind { namespace: "anonymous_id", prefix: "anon-", digits: 16, suffix: "" };
static IOS: Kind = Kind { namespace: "ios.id", prefix: "ios-", digits: 16, suffix: "" };
static ANDROID: Kind = Kind { namespace: "android.id", prefix: "andr-", digits: 16, suffix: "" };
// What phones answer whose owner said no to tracking: the same for all of them.
static GARBAGE: Kind = Kind {
    namespace: "ios.idfa",
    prefix: "00000000-0000-0000-0000-000000000000",
    digits: 0,
    suffix: "",
};

/// One identifier; its text is made when it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identifier {
    pub(crate) kind: &'static Kind,
    pub(crate) number: u64,
}

impl Identifier {
    pub(crate) const GARBAGE: Identifier = Identifier { kind: &GARBAGE, number: 0 };

    pub(crate) fn value_len(&self) -> usize {
        self.kind.prefix.len() + self.kind.digits + self.kind.suffix.len()
    }

    pub(crate) fn write_value(&self, out: &mut impl BufMut) {
        out.put_slice(self.kind.prefix.as_bytes());
        for digit in (0..self.kind.digits).rev() {
            out.put_u8(b"0123456789abcdef"[(self.number >> (4 * digit)) as usize & 15]);
        }
        out.put_slice(self.kind.suffix.as_bytes());
    }
}

/// One event.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) id: u64,
    pub(crate) time_ms: i64,
    pub(crate) identifiers: ArrayVec<Identifier, EVENT_IDENTIFIERS_MAX>,
}

/// One person, of which nothing is kept but what it is computed from.
#[derive(Clone, Copy)]
pub(crate) struct Person {
    seed: u64,
    number: u64,
    count: usize,
}

/// Where an identifier stands among those of its person.
#[derive(Clone, Copy)]
enum Slot {
    Anonymous(u64),
    User,
    Device(u64),
    Email,
}

const SLOTS: [Slot; 8] = [
    Slot::Anonymous(0),
    Slot::User,
    Slot::Device(0),
    Slot::Email,
    Slot::Anonymous(1),
    Slot::Device(1),
    Slot::Anonymous(2),
    Slot::Device(2),
];
/// The places in `SLOTS` of what each session is recognised by.
const SESSIONS: [[usize; 2]; 3] = [[0, 2], [4, 5], [6, 7]];
const USER_PLACE: usize = 1;
const EMAIL_PLACE: usize = 3;

impl Person {
    pub(crate) fn new(seed: u64, number: u64) -> Person {
        let share = (mix(seed, number, 1) >> 11) as f64 / (1u64 << 53) as f64;
        let more = COUNT_SHARES.iter().filter(|&&least| share >= least).count();
        Person { seed, number, count: 2 + more }
    }

    /// All that this person has, garbage apart.
    pub(crate) fn identifiers(&self) -> impl Iterator<Item = Identifier> {
        let person = *self;
        (0..self.count).map(move |place| person.identifier(place))
    }

    /// What nobody else has.
    pub(crate) fn own_identifiers(&self) -> impl Iterator<Item = Identifier> {
        let first_device = self.device(0);
        let is_shared = self.shares_a_device();
        self.identifiers().filter(move |each| !is_shared || *each != first_device)
    }

    /// What it signs in with.
    pub(crate) fn user(&self) -> Identifier {
        self.identifier(USER_PLACE)
    }

    /// Its event of this number while it is loaded, if it has so many.
    pub(crate) fn load_event(&self, number: u64) -> Option<Event> {
        let session = number as usize / 2;
        let seen = SESSIONS[session];
        if seen[0] >= self.count {
            return None;
        }
        let mut shown = ArrayVec::<usize, 4>::new();
        if number % 2 == 1 {
            shown.push(USER_PLACE);
            if session == 0 {
                shown.push(EMAIL_PLACE);
            }
        }
        shown.extend(seen);
        Some(self.event(number, &shown))
    }

    /// An event of a person that is known, of any of its sessions.
    pub(crate) fn known_event(&self, number: u64) -> Event {
        let sessions = SESSIONS.iter().filter(|seen| seen[0] < self.count).count() as u64;
        let [anonymous, device] = SESSIONS[(mix(self.seed, number, 2) % sessions) as usize];
        self.event(number, &[USER_PLACE, anonymous, device])
    }

    /// Its event of this number in the phase `merge`: strangers, each then joined to the first.
    pub(crate) fn merge_event(&self, number: u64) -> Event {
        let one = |part| Identifier { kind: &ANONYMOUS, number: self.mix(100 + part) };
        let mut identifiers = ArrayVec::new();
        match number {
            0 => identifiers.push(one(0)),
            n if n % 2 == 1 => identifiers.push(one(n / 2 + 1)),
            n => identifiers.extend([one(0), one(n / 2)]),
        }
        Event { id: self.mix(200 + number), time_ms: NOON_MS, identifiers }
    }

    /// One of its identifiers.
    pub(crate) fn any_identifier(&self, choice: u64) -> Identifier {
        self.identifier((choice % self.count as u64) as usize)
    }

    fn event(&self, number: u64, places: &[usize]) -> Event {
        let places = places.iter().filter(|&&place| place < self.count);
        let mut identifiers: ArrayVec<_, EVENT_IDENTIFIERS_MAX> =
            places.map(|&place| self.identifier(place)).collect();
        let chance = self.mix(1_000 + number);
        if chance.is_multiple_of(100) {
            identifiers.push(Identifier::GARBAGE);
        }
        // One in ten comes up to three days late.
        let late_days = if (chance >> 16).is_multiple_of(10) { (chance >> 32) % 3 + 1 } else { 0 };
        Event { id: chance, time_ms: NOON_MS - late_days as i64 * DAY_MS, identifiers }
    }

    fn identifier(&self, place: usize) -> Identifier {
        match SLOTS[place] {
            Slot::User => Identifier { kind: &USER, number: self.mix(10) },
            Slot::Email => Identifier { kind: &EMAIL, number: self.mix(11) & ((1 << 48) - 1) },
            Slot::Anonymous(session) => {
                Identifier { kind: &ANONYMOUS, number: self.mix(20 + session) }
            }
            Slot::Device(session) => self.device(session),
        }
    }

    /// One person in twenty has its first device together with a few others of its block.
    fn shares_a_device(&self) -> bool {
        self.mix(12).is_multiple_of(20)
    }

    fn device(&self, session: u64) -> Identifier {
        let number = if session == 0 && self.shares_a_device() {
            let shared = self.mix(13) % SHARED_DEVICES_OF_A_BLOCK;
            mix(self.seed, self.number / BLOCK, 40 + shared)
        } else {
            self.mix(30 + session)
        };
        Identifier { kind: if number.is_multiple_of(2) { &IOS } else { &ANDROID }, number }
    }

    fn mix(&self, purpose: u64) -> u64 {
        mix(self.seed, self.number, purpose)
    }
}

/// A number for each (seed, number, purpose), as good as drawn (the finaliser of splitmix64).
pub(crate) fn mix(seed: u64, number: u64, purpose: u64) -> u64 {
    let scatter = |mut x: u64| {
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    };
    let step = |n: u64| n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    scatter(scatter(step(seed) ^ step(purpose).rotate_left(32)) ^ step(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn people() -> impl Iterator<Item = Person> {
        (0..20_000).map(|number| Person::new(7, number))
    }

    fn text(identifier: Identifier) -> String {
        let mut out = Vec::new();
        identifier.write_value(&mut out);
        assert_eq!(out.len(), identifier.value_len());
        String::from_utf8(out).expect("ASCII")
    }

    #[test]
    fn most_people_have_two_identifiers_and_few_have_eight() {
        let mut counts = [0; 9];
        people().for_each(|person| counts[person.count] += 1);
        assert_eq!(counts[..2], [0, 0]);
        assert!(counts[2..].windows(2).all(|pair| pair[0] > pair[1]), "{counts:?}");
        let mean = people().map(|person| person.count).sum::<usize>() as f64 / 20_000.0;
        assert!((3.2..3.32).contains(&mean), "{mean}");
    }

    #[test]
    fn loading_a_person_shows_all_that_it_has() {
        for person in people() {
            let events = (0..LOAD_EVENTS).filter_map(|number| person.load_event(number));
            let shown: Vec<_> = events.flat_map(|event| event.identifiers).collect();
            assert!(person.identifiers().all(|each| shown.contains(&each)));
        }
    }

    #[test]
    fn every_session_of_a_person_is_tied_to_it_by_a_sign_in() {
        for person in people() {
            for number in (1..LOAD_EVENTS).step_by(2) {
                let Some(event) = person.load_event(number) else { continue };
                assert!(event.identifiers.iter().any(|each| each.kind == &USER));
                assert!(event.identifiers.iter().any(|each| each.kind == &ANONYMOUS));
            }
        }
    }

    #[test]
    fn the_shares_are_what_the_readme_says() {
        let events: Vec<_> = people().map(|person| person.known_event(3)).collect();
        let share = |count: usize| count as f64 / events.len() as f64;
        let garbage =
            events.iter().filter(|event| event.identifiers.contains(&Identifier::GARBAGE));
        assert!((0.005..0.015).contains(&share(garbage.count())));
        let late = events.iter().filter(|event| event.time_ms < NOON_MS);
        assert!((0.08..0.12).contains(&share(late.count())));
        let sharing = people().filter(Person::shares_a_device);
        assert!((0.04..0.06).contains(&share(sharing.count())));
    }

    #[test]
    fn values_are_of_about_twenty_bytes_and_differ() {
        let mut values: Vec<_> = people()
            .flat_map(|person| {
                let own =
                    person.identifiers().filter(|each| each.kind != &IOS && each.kind != &ANDROID);
                own.map(text).collect::<Vec<_>>()
            })
            .collect();
        assert!(values.iter().all(|value| (20..=24).contains(&value.len())));
        let before = values.len();
        values.sort();
        values.dedup();
        assert_eq!(values.len(), before);
    }

    #[test]
    fn three_of_the_seven_events_of_the_merge_phase_join_two_profiles() {
        let events: Vec<_> = (0..MERGE_EVENTS).map(|n| Person::new(7, 1).merge_event(n)).collect();
        let mut seen = Vec::new();
        for event in &events {
            let known = event.identifiers.iter().filter(|each| seen.contains(*each)).count();
            assert_eq!(known, if event.identifiers.len() == 2 { 2 } else { 0 });
            seen.extend(event.identifiers.iter().copied());
        }
        assert_eq!(events.iter().filter(|event| event.identifiers.len() == 2).count(), 3);
    }
}
