//! A course of commands, written by hand as decide would write them: every verb, and every
//! kind of thing that a record can bring. It repeats, with new people each time.

use std::borrow::Cow;

use ipse_core::change::{
    Extra, HistoryAttribution, Imported, LinkPair, MergeVerdict, Move, MoveCause, PassedLimit,
    ProfileNumber, Reason, Rule, RulesVersion, SourceMerge, Target, Verb, Verdict,
};
use ipse_core::{EventResolved, ObservedIdentifier, Timestamp, TraitSet, TraitValue};

/// Rules under which evidence is kept and an identifier may have several holders.
pub(crate) const RULES: &str = "\
[workspace]
conflict = \"replay\"
attribute_history = true
[namespaces.user]
priority = 1
limit = 1
login = true
[namespaces.email]
priority = 2
limit = 1
[namespaces.card]
priority = 3
limit = 100
[namespaces.visitor]
priority = 4
limit = 100
[namespaces.kiosk]
priority = 5
limit = 100
shared = true
";

/// Profiles that one round creates.
const PROFILES: u32 = 4;

/// The command of the given number, from 0.
pub(crate) fn command(number: u64, now: Timestamp) -> EventResolved<'static> {
    let steps = [imported, login, displacing, modify, split, merge, attribute, link, logout];
    let steps_per_round = steps.len() as u64;
    let round = u32::try_from(number / steps_per_round).expect("a short story");
    let step = usize::try_from(number % steps_per_round).expect("one of a few");
    let round = Round { number: round, now };
    let resolved = steps[step](&round);
    let digest = if resolved.event_id.is_empty() { 0 } else { u128::from(number) << 100 | 7 };
    EventResolved { digest, ..resolved }
}

/// One course of people through all commands.
struct Round {
    number: u32,
    now: Timestamp,
}

impl Round {
    /// The profile that this round created as its `place`th, from 1.
    fn profile(&self, place: u32) -> ProfileNumber {
        ProfileNumber(self.number * PROFILES + place)
    }

    fn value(&self, name: &str) -> Cow<'static, str> {
        Cow::Owned(format!("{name}-{}", self.number))
    }

    fn earlier(&self, millis: i64) -> Timestamp {
        Timestamp::from_millis(self.now.as_millis() - millis).expect("this century")
    }

    fn seen(
        &self,
        namespace: &'static str,
        name: &str,
        verdict: Verdict,
    ) -> ObservedIdentifier<'static> {
        ObservedIdentifier {
            namespace: Cow::Borrowed(namespace),
            value: self.value(name),
            raw: None,
            verdict,
        }
    }

    /// The one identifier that people of all rounds share.
    fn kiosk(&self, verdict: Verdict) -> ObservedIdentifier<'static> {
        let value = Cow::Borrowed("lobby");
        ObservedIdentifier { value, ..self.seen("kiosk", "", verdict) }
    }

    fn moved(
        &self,
        (namespace, name): (&'static str, &str),
        (from, to): (ProfileNumber, Option<ProfileNumber>),
        cause: MoveCause,
    ) -> Move<'static> {
        Move { namespace: Cow::Borrowed(namespace), value: self.value(name), from, to, cause }
    }

    fn resolved(&self, verb: Verb, target: Target) -> EventResolved<'static> {
        EventResolved {
            event_id: self.value(&format!("{verb:?}")),
            digest: 0,
            verb,
            kind: Cow::Borrowed(""),
            source: Cow::Borrowed("story"),
            timestamp: self.now,
            rules_version: RulesVersion(1),
            named_profile: None,
            key_namespace: Cow::Borrowed(""),
            target,
            identifiers: Vec::new(),
            traits: Vec::new(),
            extra: None,
        }
    }
}

fn imported(round: &Round) -> EventResolved<'static> {
    EventResolved {
        identifiers: vec![
            round.seen("user", "u", Verdict::Attached),
            round.kiosk(Verdict::Attached),
            round.seen("former_id", "f", Verdict::Attached),
        ],
        traits: vec![TraitSet {
            name: Cow::Borrowed("plan"),
            value: Some(TraitValue::Text(Cow::Borrowed("gold"))),
        }],
        extra: extra(Extra {
            marks_known: true,
            imported: Some(Imported {
                created_time: round.earlier(900_000),
                identifier_times: vec![round.earlier(800_000); 3],
                trait_times: vec![round.earlier(700_000)],
            }),
            ..Extra::default()
        }),
        ..round.resolved(Verb::Import, Target::Created(round.profile(1)))
    }
}

fn login(round: &Round) -> EventResolved<'static> {
    EventResolved {
        identifiers: vec![
            round.seen("user", "w", Verdict::Attached),
            round.seen("card", "c", Verdict::Attached),
            round.kiosk(Verdict::Attached),
            round.seen("visitor", "v", Verdict::Attached),
        ],
        extra: extra(Extra { marks_known: true, sources: 1, ..Extra::default() }),
        ..round.resolved(Verb::Login, Target::Created(round.profile(2)))
    }
}

/// An event whose evidence takes two identifiers from who held them.
fn displacing(round: &Round) -> EventResolved<'static> {
    let holder = round.profile(2);
    let name = |namespace: &'static str, name| (Cow::Borrowed(namespace), round.value(name));
    let displaced = |weaker| LinkPair { a: name("user", "w"), b: weaker };
    EventResolved {
        event_id: Cow::Borrowed(""),
        kind: Cow::Borrowed("track"),
        identifiers: vec![
            round.seen("email", "e", Verdict::Attached),
            round.seen("visitor", "v", Verdict::Transferred { from: holder }),
        ],
        extra: extra(Extra {
            moves: vec![round.moved(
                ("card", "c"),
                (holder, Some(round.profile(3))),
                MoveCause::Displaced,
            )],
            displaced: vec![displaced(name("visitor", "v")), displaced(name("card", "c"))],
            ..Extra::default()
        }),
        ..round.resolved(Verb::Observe, Target::Created(round.profile(3)))
    }
}

fn modify(round: &Round) -> EventResolved<'static> {
    EventResolved {
        identifiers: vec![
            round.seen("email", "e", Verdict::Removed),
            round.seen("email", "g", Verdict::Attached),
        ],
        ..round.resolved(Verb::Modify, Target::Found(round.profile(3)))
    }
}

fn split(round: &Round) -> EventResolved<'static> {
    let from = round.profile(3);
    EventResolved {
        extra: extra(Extra {
            moves: vec![round.moved(
                ("visitor", "v"),
                (from, Some(round.profile(4))),
                MoveCause::Split,
            )],
            ..Extra::default()
        }),
        ..round.resolved(Verb::Split, Target::Found(from))
    }
}

fn merge(round: &Round) -> EventResolved<'static> {
    let refused = Reason {
        rule: Rule::MovedLimit,
        limit: Some(PassedLimit { namespace: None, value: 5 }),
        collided: Some(round.profile(1)),
    };
    let source = |profile, verdict| SourceMerge { profile, verdict };
    EventResolved {
        extra: extra(Extra {
            merges: vec![
                source(Some(round.profile(2)), MergeVerdict::Merged),
                source(Some(round.profile(1)), MergeVerdict::AlreadyMerged),
                source(None, MergeVerdict::NotFound),
                source(Some(round.profile(3)), MergeVerdict::Refused(refused)),
            ],
            ..Extra::default()
        }),
        ..round.resolved(
            Verb::Merge,
            Target::Merged { survivor: round.profile(1), absorbed: vec![round.profile(2)] },
        )
    }
}

fn attribute(round: &Round) -> EventResolved<'static> {
    let destination = round.profile(3);
    EventResolved {
        extra: extra(Extra {
            attribution: Some(HistoryAttribution {
                source: round.profile(4),
                destination,
                start: round.earlier(60_000),
                end: round.earlier(1_000),
                refused: None,
            }),
            ..Extra::default()
        }),
        ..round.resolved(Verb::AttributeHistory, Target::Found(destination))
    }
}

fn link(round: &Round) -> EventResolved<'static> {
    let known = Reason { rule: Rule::KnownSource, limit: None, collided: Some(round.profile(3)) };
    EventResolved {
        identifiers: vec![
            round.seen("user", "u", Verdict::AlreadyAttached),
            round.kiosk(Verdict::AlreadyAttached),
            round.seen("card", "c", Verdict::Refused(known)),
        ],
        extra: extra(Extra { sources: 1, ..Extra::default() }),
        ..round.resolved(Verb::Link, Target::Found(round.profile(1)))
    }
}

fn logout(round: &Round) -> EventResolved<'static> {
    EventResolved {
        identifiers: vec![round.kiosk(Verdict::AlreadyAttached)],
        ..round.resolved(Verb::Logout, Target::Found(round.profile(1)))
    }
}

fn extra(extra: Extra<'static>) -> Option<Box<Extra<'static>>> {
    Some(Box::new(extra))
}
