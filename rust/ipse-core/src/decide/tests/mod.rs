//! Corners that the stories do not reach: bounds of the tables, clocks, changed rules.

mod limits;
mod pairs;
mod policies;

use std::borrow::Cow;

use super::*;
use crate::change::{Record, Rule, Verdict};
use crate::event::{SentIdentifier, SentTrait, TraitValue};
use crate::limits::PROFILE_TRAITS_MAX;
use crate::snapshot::{Loader, Verifier};

struct World {
    graph: Graph,
    now: i64,
}

impl World {
    fn new(rules: &str) -> World {
        let mut world = World { graph: Graph::new(7), now: 1_600_000_000_000 };
        let rules = RulesText::from(rules);
        world.apply(Change::WorkspaceCreated { name: "w".into(), profile_key: [1; 16], rules });
        world
    }

    fn apply(&mut self, change: Change<'_>) {
        let log_time = self.now().max(self.graph.log_time);
        let sequence = SequenceNumber(self.graph.sequence.0 + 1);
        let record = Record { sequence, log_time, change };
        assert_eq!(self.graph.validate(&record), Ok(()), "what is decided can be read back");
        self.graph.apply(&record);
    }

    fn set_rules(&mut self, rules: &str) {
        let change = self.graph.decide_rules(rules, None).expect("good rules");
        self.apply(change.expect("new rules"));
    }

    fn resolve<'a>(&mut self, event: &'a Event<'a>) -> Result<Decision<'a>, Refusal> {
        let decision = self.graph.decide(event, self.now())?;
        if decision.teaches {
            self.apply(Change::EventResolved(decision.resolved.clone()));
        }
        Ok(decision)
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.now).expect("within range")
    }
}

fn event<'a>(identifiers: &[(&str, &str)]) -> Event<'a> {
    let sent = |&(namespace, value): &(&str, &str)| {
        SentIdentifier::new(namespace.to_owned(), value.to_owned())
    };
    Event { identifiers: identifiers.iter().map(sent).collect(), ..Event::default() }
}

fn with_traits<'a>(mut event: Event<'a>, names: std::ops::Range<usize>, value: &str) -> Event<'a> {
    let sent = |at| SentTrait {
        name: Cow::Owned(format!("t{at}")),
        value: Some(TraitValue::Text(Cow::Owned(value.to_owned()))),
        set_once: false,
    };
    event.traits = names.map(sent).collect();
    event
}

#[test]
fn namespaces_are_added_while_there_is_room_and_the_graph_can_be_read_back() {
    let names: Vec<String> = (0..NAMESPACES_MAX - 1).map(|n| format!("n{n}")).collect();
    let tables: String = names.iter().map(|name| format!("[namespaces.{name}]\n")).collect();
    let mut world = World::new(&format!("[workspace]\nauto_add = true\n{tables}"));
    let shown = event(&[("z", "1"), ("x", "1"), ("y", "1")]);
    let decision = world.resolve(&shown).expect("it is resolved");
    let verdicts: Vec<_> =
        decision.resolved.identifiers.iter().map(|o| (&*o.namespace, o.verdict.clone())).collect();
    assert_eq!(verdicts[0], ("x", Verdict::Attached));
    for (_, verdict) in &verdicts[1..] {
        assert_eq!(verdict.reason().map(|reason| reason.rule), Some(Rule::UnknownNamespace));
    }
    let (mut loader, mut verifier) = (Loader::new(1), Verifier::default());
    for part in world.graph.freeze().into_parts() {
        verifier.add(part.clone()).expect("a good part");
        loader.add(part).expect("a good part");
    }
    verifier.finish().expect("the parts add up");
    assert_eq!(loader.finish().expect("a graph").dump(), world.graph.dump());
}

#[test]
fn a_part_that_was_changed_does_not_add_up() {
    use crate::snapshot::Part;
    let mut world = World::new("[namespaces.a]");
    world.resolve(&event(&[("a", "1"), ("a", "2")])).expect("it is resolved");
    let mut verifier = Verifier::default();
    for mut part in world.graph.freeze().into_parts() {
        if let Part::Identifiers(part) = &mut part {
            part.value = ["3", "2"].into_iter().collect();
        }
        verifier.add(part).expect("possible by itself");
    }
    assert!(verifier.finish().is_err());
}

#[test]
fn merged_profiles_with_the_same_traits_do_not_fill_up() {
    let mut world = World::new(
        "[workspace]\nidentifiers_max = 5000\n[namespaces.u]\npriority = 1\n[namespaces.a]\nlimit = 1000",
    );
    for n in 0..101 {
        let value = n.to_string();
        world.resolve(&with_traits(event(&[("a", &value)]), 0..61, "old")).expect("created");
    }
    for n in 0..101 {
        world.resolve(&event(&[("u", "1"), ("a", &n.to_string())])).expect("merged");
    }
    assert_eq!(world.graph.counts().profiles, 1);
    world.now += 1;
    let changed = with_traits(event(&[("u", "1")]), 0..61, "new");
    assert!(world.resolve(&changed).expect("no new trait").teaches);
}

#[test]
fn a_profile_takes_no_more_traits_than_it_may_have() {
    let mut world = World::new("[namespaces.u]");
    let mut names = 0;
    while names + 300 <= PROFILE_TRAITS_MAX {
        world.resolve(&with_traits(event(&[("u", "1")]), names..names + 300, "x")).expect("room");
        names += 300;
    }
    let over = with_traits(event(&[("u", "1")]), names..names + 1, "x");
    let refusal = world.resolve(&over).expect_err("no room");
    assert!(matches!(refusal, Refusal::LimitExceeded { bound: PROFILE_TRAITS_MAX, .. }));
    let same = with_traits(event(&[("u", "1")]), 0..300, "y");
    assert!(world.resolve(&same).expect("nothing new").teaches);
}

#[test]
fn an_event_is_the_same_under_rules_that_normalise_it_otherwise() {
    let mut world = World::new("[namespaces.email]");
    let mut sent = event(&[("email", "Ann@X.io")]);
    sent.event_id = "e1";
    assert!(world.resolve(&sent).expect("created").teaches);
    world.set_rules("[namespaces.email]\nnormalise = \"email\"");
    let repeated = world.resolve(&sent).expect("it is the same event");
    assert_eq!(repeated.repeated, Some(SequenceNumber(2)));

    sent.kind = "identify";
    assert!(matches!(world.resolve(&sent), Err(Refusal::EventIdReused { .. })));
}

#[test]
fn a_clock_that_was_ahead_once_does_not_age_events() {
    let mut world = World::new("[namespaces.a]");
    let year_ms = 365 * 24 * 60 * 60 * 1_000;
    world.now += 10 * year_ms;
    world.resolve(&event(&[("a", "1")])).expect("created");
    world.now -= 10 * year_ms;
    let now = world.now();
    let shown = event(&[("a", "2")]);
    assert_eq!(world.resolve(&shown).expect("created").resolved.timestamp, now);
    let ahead = Event { timestamp: Timestamp::from_millis(world.now + year_ms), ..shown.clone() };
    assert!(matches!(world.resolve(&ahead), Err(Refusal::TimestampInFuture { .. })));
}

#[test]
fn a_namespace_that_events_may_add_holds_nobody_yet() {
    let world = World::new("[workspace]\nauto_add = true\n[namespaces.a]");
    assert!(matches!(world.graph.lookup("b", "1"), Ok(None)));
    assert!(matches!(world.graph.lookup("B", "1"), Err(Refusal::InvalidField { .. })));
}
