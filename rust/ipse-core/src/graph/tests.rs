//! What records do to a graph, told record by record, without a decision before them.

mod evidence;
mod holding;
mod past;
mod snapshot;
mod survivorship;
mod validate;

use std::borrow::Cow;

use super::*;
use crate::change::{
    Change, EventResolved, Extra, Move, MoveCause, ObservedIdentifier, Record, Target, TraitSet,
    Verb, Verdict,
};
use crate::event::TraitValue;
use crate::rules::RulesText;
use crate::snapshot::{Loader, Verifier};

pub(super) const RULES: &str = r#"
[namespaces.user]
login = true
[namespaces.device]
limit = 100
[namespaces.kiosk]
limit = 100
shared = true
"#;

/// A graph and the means to write its next record.
pub(super) struct World {
    pub(super) graph: Graph,
}

impl World {
    pub(super) fn new(rules: &str) -> World {
        let mut world = World { graph: Graph::new(7) };
        let change = Change::WorkspaceCreated {
            name: "w".into(),
            profile_key: [1; 16],
            rules: RulesText::from(rules),
        };
        world.write(change).expect("a first record");
        world
    }

    /// Applies a change as the next record, if it is valid, and checks all that apply keeps.
    pub(super) fn write(&mut self, change: Change<'_>) -> Result<(), String> {
        let sequence = SequenceNumber(self.graph.sequence.0 + 1);
        let record = Record { sequence, log_time: at(sequence.0 as i64), change };
        self.graph.validate(&record).map_err(|invalid| invalid.0)?;
        self.graph.apply(&record);
        assert_eq!(self.graph.check(), Ok(()), "after {:?}", record.change);
        self.check_snapshot();
        Ok(())
    }

    pub(super) fn resolve(&mut self, event: EventResolved<'_>) {
        self.write(Change::EventResolved(event)).expect("a valid record");
    }

    /// Why a record cannot be next.
    pub(super) fn refusal(&self, event: EventResolved<'_>) -> String {
        let sequence = SequenceNumber(self.graph.sequence.0 + 1);
        let change = Change::EventResolved(event);
        let record = Record { sequence, log_time: at(sequence.0 as i64), change };
        self.graph.validate(&record).expect_err("an impossible record").0
    }

    /// A new profile that holds an identifier.
    pub(super) fn create(&mut self, identifiers: &[(&'static str, &'static str)]) -> ProfileNumber {
        let number = ProfileNumber(self.graph.profiles.len() + 1);
        let attached = identifiers.iter().map(|&of| observed(of, Verdict::Attached)).collect();
        self.resolve(event(Target::Created(number), attached));
        number
    }

    pub(super) fn merge(&mut self, survivor: u32, absorbed: &[u32]) {
        let absorbed = absorbed.iter().copied().map(ProfileNumber).collect();
        self.resolve(event(
            Target::Merged { survivor: ProfileNumber(survivor), absorbed },
            Vec::new(),
        ));
    }

    /// Sets a trait of a profile, by an event of this second.
    pub(super) fn set(&mut self, profile: u32, name: &'static str, value: Option<i64>, time: i64) {
        let mut told = event(Target::Found(ProfileNumber(profile)), Vec::new());
        told.timestamp = at(time);
        told.traits = vec![TraitSet { name: name.into(), value: value.map(TraitValue::Integer) }];
        self.resolve(told);
    }

    /// What a profile holds, as text.
    pub(super) fn held(&self, profile: u32) -> String {
        let view = self.graph.profile(ProfileNumber(profile)).expect("it was created");
        let identifiers = view.identifiers();
        assert_eq!(view.identifier_count() as usize, identifiers.len());
        let texts = identifiers.iter().map(|held| format!("{}={}", held.namespace, held.value));
        texts.collect::<Vec<_>>().join(" ")
    }

    pub(super) fn known(&self, profile: u32) -> bool {
        self.graph.profile(ProfileNumber(profile)).expect("it was created").known()
    }

    pub(super) fn id(&self, (namespace, value): (&str, &str)) -> IdentifierId {
        self.graph.find_identifier(namespace, value).expect("it was attached")
    }

    /// The graph leaves memory and comes back the same.
    fn check_snapshot(&self) {
        let (mut loader, mut verifier) = (Loader::new(1), Verifier::default());
        for part in self.graph.freeze().into_parts() {
            verifier.add(part.clone()).expect("a possible part");
            loader.add(part).expect("a possible part");
        }
        verifier.finish().expect("the parts add up");
        let loaded = loader.finish().expect("a graph");
        assert_eq!(loaded.check(), Ok(()));
        assert_eq!(loaded.dump(), self.graph.dump());
        assert_eq!(loaded.state_hash(), self.graph.state_hash());
        for number in 1..=self.graph.profiles.len() {
            let profile = |graph: &Graph| {
                let view = graph.profile(ProfileNumber(number)).expect("it was created");
                let traits = format!("{:?}", view.traits());
                (traits, format!("{:?}", view.identifiers()), view.changed_sequence(), view.known())
            };
            assert_eq!(profile(&loaded), profile(&self.graph));
        }
    }
}

pub(super) fn at(second: i64) -> Timestamp {
    Timestamp::from_millis(1_600_000_000_000 + second * 1_000).expect("within range")
}

pub(super) fn observed(
    (namespace, value): (&'static str, &'static str),
    verdict: Verdict,
) -> ObservedIdentifier<'static> {
    ObservedIdentifier { namespace: namespace.into(), value: value.into(), raw: None, verdict }
}

pub(super) fn event(
    target: Target,
    identifiers: Vec<ObservedIdentifier<'static>>,
) -> EventResolved<'static> {
    EventResolved {
        event_id: Cow::Borrowed(""),
        digest: 0,
        verb: Verb::Observe,
        kind: Cow::Borrowed("track"),
        source: Cow::Borrowed("web"),
        timestamp: at(0),
        rules_version: RulesVersion(1),
        named_profile: None,
        key_namespace: Cow::Borrowed(""),
        target,
        identifiers,
        traits: Vec::new(),
        extra: None,
    }
}

pub(super) fn found(profile: u32) -> Target {
    Target::Found(ProfileNumber(profile))
}

pub(super) fn with_verb(
    mut event: EventResolved<'static>,
    verb: Verb,
    extra: Extra<'static>,
) -> EventResolved<'static> {
    event.verb = verb;
    event.extra = Some(Box::new(extra));
    event
}

pub(super) fn moved(
    (namespace, value): (&'static str, &'static str),
    from: u32,
    to: Option<u32>,
    cause: MoveCause,
) -> Move<'static> {
    Move {
        namespace: namespace.into(),
        value: value.into(),
        from: ProfileNumber(from),
        to: to.map(ProfileNumber),
        cause,
    }
}

pub(super) fn moves(moves: Vec<Move<'static>>) -> Extra<'static> {
    Extra { moves, ..Extra::default() }
}
