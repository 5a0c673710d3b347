//! Pair limits: with how many of another namespace an identifier may be seen.

use super::World;
use super::policies::{at, sent};
use crate::change::{Change, ProfileNumber, Rule, Verb};
use crate::command::*;
use crate::snapshot::Loader;

const DEVICES: &str = "[workspace]\nCONFLICT[namespaces.email]\npriority = 1\nlimit = \"none\"\n\
                       [namespaces.device]\npriority = 2\nlimit = \"none\"\nper = { phone = 1 }\n\
                       [namespaces.phone]\npriority = 3\nlimit = \"none\"\n";

fn devices(workspace: &str) -> World {
    World::new(&DEVICES.replace("CONFLICT", workspace))
}

fn refused(decision: &crate::Decision<'_>) -> String {
    let observed = decision.resolved.identifiers.iter();
    let refused = observed.filter_map(|o| Some((&o.value, o.verdict.reason()?.rule)));
    refused.map(|(value, rule)| format!("{value}:{rule:?}")).collect::<Vec<_>>().join(" ")
}

impl World {
    fn modify(&mut self, number: u32, changes: &[(&str, &str, &str)]) -> String {
        let text = |value: &str| (!value.is_empty()).then(|| value.to_owned().into());
        let change = |&(namespace, old, new): &(&str, &str, &str)| IdentifierChange {
            namespace: namespace.to_owned().into(),
            old: text(old),
            new: text(new),
        };
        let command = ModifyIdentifiers {
            operation: Operation::default(),
            profile: ProfileNumber(number),
            changes: changes.iter().map(change).collect(),
        };
        let now = self.now();
        let decision = self.graph.decide_modify(&command, now).expect("a good command");
        if decision.teaches {
            self.apply(Change::EventResolved(decision.resolved.clone()));
        }
        self.graph.check().expect("sound");
        refused(&decision)
    }

    fn bring(&mut self, former_id: &'static str, ids: &str) -> String {
        let one = |sent| ImportedIdentifier { sent, time: Some(at(1)) };
        let command = ImportProfile {
            former_id: former_id.into(),
            identifiers: sent(ids).into_iter().map(one).collect(),
            ..ImportProfile::default()
        };
        let now = self.now();
        let decision = self.graph.decide_import(&command, now).expect("a good command");
        if decision.teaches {
            self.apply(Change::EventResolved(decision.resolved.clone()));
        }
        self.graph.check().expect("sound");
        refused(&decision)
    }
}

#[test]
fn every_pair_of_an_event_counts_not_only_those_of_its_strongest() {
    for workspace in ["", "conflict = \"keep_first\"\n", "trigger = \"explicit\"\n"] {
        let mut world = devices(workspace);
        world.see("email=e device=d phone=p1", 1);
        let seen = world.see("device=d phone=p2", 2);
        assert!(seen.ends_with("d:PairLimit"), "{workspace} {seen}");
        assert_eq!(world.see("device=d phone=p1", 3), "1", "one that it was seen with");
        world.graph.check().expect("sound");
    }
}

#[test]
fn a_pair_is_known_wherever_its_two_are_now() {
    let mut world = devices("");
    world.see("email=e device=d phone=p1", 1);
    world.see("email=f phone=p2", 2);
    world.see("email=e email=f", 3);
    assert_eq!(world.of("phone=p2"), "1", "a merge shows no device");
    assert_eq!(world.see("device=d phone=p2", 4), "1 d:PairLimit");
    let split = SplitProfile {
        operation: Operation::default(),
        profile: ProfileNumber(1),
        taken: Taken::These(sent("device=d")),
        together: false,
    };
    let now = world.now();
    let decision = world.graph.decide_split(&split, now).expect("a good command");
    world.apply(Change::EventResolved(decision.resolved));
    assert_eq!(world.see("device=d phone=p3", 5), "4 d:PairLimit");
}

#[test]
fn pairs_of_one_profile_are_news_when_they_are_first_seen() {
    let mut world = devices("");
    world.see("email=e device=d", 1);
    world.see("email=e phone=p1", 2);
    world.see("email=e phone=p2", 3);
    // On one profile already, and never seen together.
    let shown = super::policies::event_of("email=e device=d phone=p1", 4);
    assert!(world.resolve(&shown).expect("a good event").teaches);
    assert!(!world.resolve(&shown).expect("a good event").teaches);
    assert_eq!(world.see("email=e device=d phone=p2", 5), "1 d:PairLimit");
}

#[test]
fn limits_from_both_sides_take_one_of_the_two_off() {
    let mut world = World::new(
        "[namespaces.email]\npriority = 1\nper = { phone = 1 }\n\
         [namespaces.phone]\npriority = 2\nper = { email = 1 }\n[namespaces.card]\n",
    );
    world.see("email=e1 phone=p1", 1);
    world.see("email=e2 phone=p2", 2);
    assert_eq!(world.see("email=e1 phone=p2", 3), "2 e1:PairLimit");
    assert_eq!(world.see("email=e3 phone=p1 card=c", 4), "3 p1:PairLimit");
    // Several at once: neither was seen with anything.
    assert_eq!(world.see("email=e4 phone=p4 phone=p5", 5), "4 e4:PairLimit");
    world.graph.check().expect("sound");
}

#[test]
fn sources_are_seen_with_what_they_are_joined_to() {
    let rules = "[workspace]\ntrigger = \"explicit\"\n[namespaces.user]\npriority = 1\n\
                 limit = \"none\"\n[namespaces.device]\npriority = 2\nlimit = \"none\"\n\
                 per = { user = 1 }\n";
    for verb in [Verb::Login, Verb::Link] {
        let mut world = World::new(rules);
        world.see("user=1 device=d", 1);
        assert_eq!(world.verb(verb, "user=2", "device=d", 2), "2 d:PairLimit");
        assert_eq!(world.verb(verb, "user=1", "device=e", 3), "1");
        assert_eq!(world.verb(verb, "user=2", "device=e", 4), "2 e:PairLimit");
        world.graph.check().expect("sound");
    }
}

#[test]
fn what_a_command_adds_is_seen_with_all_that_the_profile_holds() {
    let mut world = devices("");
    world.see("email=e device=d", 1);
    assert_eq!(world.modify(1, &[("phone", "", "p1")]), "");
    assert_eq!(world.modify(1, &[("phone", "", "p2")]), "p2:PairLimit");
    assert_eq!(world.modify(1, &[("phone", "p1", "p2")]), "p2:PairLimit");
    assert_eq!(world.of("phone=p1"), "1", "a change that is refused changes nothing");
    assert_eq!(world.see("device=d phone=p2", 2), "2 d:PairLimit");
    // Within one command, too, in either order.
    world.see("email=f", 3);
    let of_f = world.of("email=f").parse().expect("one profile");
    let both = [("device", "", "g"), ("phone", "", "p3"), ("phone", "", "p4")];
    assert_eq!(world.modify(of_f, &both), "p4:PairLimit");
    assert_eq!(world.modify(of_f, &[("device", "d", ""), ("device", "", "h")]), "d:NotAttached");
    assert_eq!(world.see("device=h phone=p4", 4).split(' ').count(), 2);
}

#[test]
fn an_import_is_bound_by_pair_limits() {
    let mut world = devices("");
    assert_eq!(world.bring("f1", "email=e device=d phone=p1 phone=p2"), "p2:PairLimit");
    assert_eq!(world.bring("f1", "phone=p3"), "p3:PairLimit");
    assert_eq!(world.bring("f1", "device=d phone=p1"), "");
    assert_eq!(world.see("device=d phone=p3", 2).split(' ').nth(1), Some("d:PairLimit"));
    assert_eq!(world.bring("f2", "device=g phone=p4"), "");
    assert_eq!(world.see("device=g phone=p1", 3).split(' ').nth(1), Some("g:PairLimit"));
}

#[test]
fn what_one_profile_holds_without_being_seen_together_stays_so() {
    let mut world = devices("");
    world.see("email=e device=d phone=p1", 1);
    world.see("email=f phone=p2", 2);
    assert_eq!(world.bring("old", "email=e"), "");
    world.see("email=e email=f", 3);
    assert_eq!(world.bring("old", "device=d phone=p2"), "p2:PairLimit");
    let named = [("device", "d", "d"), ("phone", "", "p2")];
    assert_eq!(world.modify(1, &named), "p2:PairLimit");
    assert_eq!((world.of("device=d"), world.of("phone=p2")), ("1".into(), "1".into()));
}

#[test]
fn rules_that_limit_pairs_count_what_was_seen_before() {
    let mut world = devices("");
    let rules = world.graph.rules_text().to_owned();
    world.set_rules(&rules.replace("per = { phone = 1 }\n", ""));
    world.see("device=d phone=p1", 1);
    world.see("device=d phone=p2", 2);
    world.set_rules(&rules.replace("phone = 1", "phone = 2"));
    world.graph.check().expect("sound");
    assert_eq!(world.see("device=d phone=p1 phone=p2", 3), "1", "seen already");
    assert_eq!(world.see("device=d phone=p3", 4), "2 d:PairLimit");
    let mut loader = Loader::new(3);
    for part in world.graph.freeze().into_parts() {
        loader.add(part).expect("a good part");
    }
    let loaded = loader.finish().expect("a graph");
    loaded.check().expect("sound");
    world.graph = loaded;
    assert_eq!(world.see("device=d phone=p4", 5).split(' ').nth(1), Some("d:PairLimit"));
}

#[test]
fn a_pair_limit_reads_no_profile() {
    let mut world = devices("identifiers_max = 65000\n");
    for batch in 0..40 {
        let phones: Vec<String> = (0..50).map(|n| format!("phone=p{batch}-{n}")).collect();
        world.see(&format!("email=e {}", phones.join(" ")), 1);
    }
    assert_eq!(world.see("email=e device=d phone=p0-0", 2), "1");
    let event = super::policies::event_of("email=e device=d phone=p1-1", 3);
    let decision = world.resolve(&event).expect("a good event");
    let reason = decision.resolved.identifiers[1].verdict.reason().expect("it is dropped");
    let limit = reason.limit.as_ref().expect("a limit");
    assert_eq!((reason.rule, limit.namespace.as_deref()), (Rule::PairLimit, Some("phone")));
    assert_eq!((limit.value, reason.collided), (1, None));
}
