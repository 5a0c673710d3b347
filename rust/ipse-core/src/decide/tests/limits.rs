//! Limits and caps: what is counted, when, and who gives way.

use super::World;
use super::policies::{at, sent};
use crate::change::{Change, Rule, Verdict};
use crate::command::*;

impl World {
    /// Imports `identifier@seconds` each; gives the refused values with their rules.
    fn import(&mut self, list: &str, created_seconds: i64) -> String {
        let one = |pair: &str| {
            let (pair, seconds) = pair.split_once('@').unwrap_or((pair, ""));
            let sent = sent(pair).remove(0);
            ImportedIdentifier { sent, time: seconds.parse().ok().map(at) }
        };
        let command = ImportProfile {
            created_time: Some(at(created_seconds)),
            identifiers: list.split_whitespace().map(one).collect(),
            ..ImportProfile::default()
        };
        let now = self.now();
        let decision = self.graph.decide_import(&command, now).expect("a good command");
        let refused = refused(&decision.resolved.identifiers);
        self.apply(Change::EventResolved(decision.resolved));
        refused
    }

    fn counted(&self, number: u32) -> usize {
        let profile =
            self.graph.profile(crate::change::ProfileNumber(number)).expect("it is there");
        profile.identifiers().len()
    }
}

fn refused(identifiers: &[crate::change::ObservedIdentifier<'_>]) -> String {
    let refused = identifiers.iter().filter_map(|observed| {
        Some(format!("{}:{:?}", observed.value, observed.verdict.reason()?.rule))
    });
    refused.collect::<Vec<_>>().join(" ")
}

#[test]
fn what_both_sides_of_a_merge_share_counts_once() {
    for (limits, expected) in [("limit = 1\n", ""), ("", "identifiers_max = 3\nmoved_max = 1\n")] {
        let mut world = World::new(&format!(
            "[workspace]\n{expected}[namespaces.email]\npriority = 1\nlimit = 2\n\
             [namespaces.device]\npriority = 2\nshared = true\n{limits}"
        ));
        world.see("email=a device=d", 1);
        world.see("email=b", 2);
        world.see("email=b device=d", 3);
        assert_eq!(world.of("device=d"), "1,2");
        assert_eq!(world.see("email=a email=b", 4), "1");
        assert_eq!((world.counted(1), world.of("email=b")), (3, "1".into()));
        world.graph.check().expect("sound");
    }
}

#[test]
fn what_both_sides_share_counts_once_among_policies_that_ask_one_by_one() {
    for rules in ["limit = 1", "immutable = true", "limit = { values = 1, window = \"daily\" }"] {
        let mut world = World::new(&format!(
            "[workspace]\nconflict = \"keep_first\"\nidentifiers_max = 3\nmoved_max = 1\n\
             [namespaces.email]\npriority = 1\nlimit = 2\n\
             [namespaces.device]\npriority = 2\nshared = true\n{rules}"
        ));
        world.see("email=a device=d", 1);
        world.see("email=b", 2);
        world.see("email=b device=d", 3);
        assert_eq!(world.see("email=a email=b", 4), "1", "{rules}");
        assert_eq!(world.counted(1), 3);
        // One more is one too many, and only one device was counted.
        assert_eq!(world.see("email=a email=c", 5).split(' ').count(), 2);
    }
}

const DAY: i64 = 24 * 60 * 60;

#[test]
fn an_import_judges_each_identifier_when_it_was_attached() {
    let mut world = World::new(
        "[namespaces.user]\npriority = 1\n\
         [namespaces.device]\npriority = 2\nlimit = { values = 1, window = \"daily\" }\n",
    );
    let apart = format!("user=1 device=1@{} device=2@{} device=3@{}", 10 * DAY, 20 * DAY, 30 * DAY);
    assert_eq!(world.import(&apart, 0), "");
    let together = format!("user=2 device=4@{} device=5@{} device=6@{}", DAY, DAY + 60, 3 * DAY);
    assert_eq!(world.import(&together, 0), "5:ValueTimeLimit");
    // On a profile that is there, too, whatever the age of what comes.
    world.see("user=3 device=7", 40 * DAY);
    let same_day = format!("user=3 device=8@{}", 40 * DAY + 60);
    assert_eq!(world.import(&same_day, -100 * DAY), "3:HeldElsewhere");
    assert_eq!(world.import(&format!("user=3 device=9@{}", 50 * DAY), -100 * DAY), "");
    assert_eq!(world.of("device=9"), world.of("user=3"));
}

#[test]
fn a_full_profile_is_not_joined_with_what_the_event_shows() {
    let evicts = "identifiers_max = 2\nover_limit = \"evict_oldest\"\n";
    for rules in ["", "conflict = \"keep_first\"\n"] {
        let mut world =
            World::new(&format!("[workspace]\n{rules}{evicts}[namespaces.a]\nlimit = 9"));
        world.see("a=1 a=2", 1);
        world.see("a=3", 2);
        assert_eq!(world.see("a=1 a=2 a=3", 3), "1 3:IdentifierLimit", "{rules}");
        assert_eq!((world.counted(1), world.of("a=3")), (2, "2".into()));
        // What the event does not show gives way.
        assert_eq!(world.see("a=1 a=3", 4), "1");
        assert_eq!((world.counted(1), world.of("a=2")), (2, "-".into()));
    }
}

#[test]
fn sources_do_not_fill_a_profile_above_its_cap() {
    use crate::change::Verb;
    let mut world = World::new(
        "[workspace]\ntrigger = \"explicit\"\nidentifiers_max = 2\nover_limit = \"evict_oldest\"\n\
         [namespaces.a]\nlimit = 9\n[namespaces.b]\n",
    );
    world.see("a=1 a=2", 1);
    world.see("b=1", 2);
    assert_eq!(world.verb(Verb::Link, "a=1 a=2", "b=1", 3), "1 1:IdentifierLimit");
    assert_eq!(world.of("b=1"), "2");
    assert_eq!(world.verb(Verb::Link, "a=1", "b=1", 4), "1");
    assert_eq!((world.of("a=2"), world.counted(1)), ("-".into(), 2));
}

#[test]
fn a_refused_join_names_the_profile_it_collided_with() {
    let mut world = World::new(
        "[workspace]\nidentifiers_max = 2\nover_limit = \"evict_oldest\"\n[namespaces.a]\nlimit = 9",
    );
    world.see("a=1 a=2", 1);
    world.see("a=3", 2);
    let event = super::policies::event_of("a=1 a=2 a=3", 3);
    let decision = world.resolve(&event).expect("a good event");
    let Verdict::Refused(reason) = &decision.resolved.identifiers[2].verdict else {
        panic!("{:?}", decision.resolved.identifiers)
    };
    assert_eq!((reason.rule, reason.collided.map(|p| p.0)), (Rule::IdentifierLimit, Some(2)));
    assert_eq!(reason.limit.as_ref().map(|limit| limit.value), Some(2));
}
