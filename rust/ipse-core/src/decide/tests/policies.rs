//! Each policy, and what it does where two profiles meet.

use super::World;
use crate::change::{MergeVerdict, ProfileNumber, Rule, Verb};
use crate::command::*;
use crate::event::{Event, SentIdentifier};
use crate::rules::preset;
use crate::{Decision, Refusal, Timestamp};

pub(super) fn sent<'a>(list: &str) -> Vec<SentIdentifier<'a>> {
    let one = |pair: &str| {
        let (namespace, value) = pair.split_once('=').expect("namespace=value");
        SentIdentifier::new(namespace.to_owned(), value.to_owned())
    };
    list.split_whitespace().map(one).collect()
}

pub(super) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(1_500_000_000_000 + seconds * 1_000).expect("within range")
}

pub(super) fn event_of(ids: &str, seconds: i64) -> Event<'static> {
    Event { timestamp: Some(at(seconds)), identifiers: sent(ids), ..Event::default() }
}

impl World {
    pub(super) fn preset(name: &str) -> World {
        World::new(preset(name).expect("a preset"))
    }

    pub(super) fn verb(&mut self, verb: Verb, ids: &str, sources: &str, seconds: i64) -> String {
        let event = Event {
            verb,
            timestamp: Some(at(seconds)),
            identifiers: sent(ids),
            sources: sent(sources),
            ..Event::default()
        };
        let decision = self.resolve(&event).expect("a good event");
        shown(&decision)
    }

    pub(super) fn see(&mut self, ids: &str, seconds: i64) -> String {
        self.verb(Verb::Observe, ids, "", seconds)
    }

    /// The numbers of the profiles that hold an identifier, and `-` if none does.
    pub(super) fn of(&self, pair: &str) -> String {
        let one = &sent(pair)[0];
        let owners = self.graph.owners(&one.namespace, &one.value).expect("a namespace");
        let numbers: Vec<String> = owners.iter().map(|p| p.number().to_string()).collect();
        if numbers.is_empty() { "-".to_owned() } else { numbers.join(",") }
    }
}

/// The target, and each refused identifier with its rule.
pub(super) fn shown(decision: &Decision<'_>) -> String {
    let resolved = &decision.resolved;
    let target = resolved.target.profile().map_or("nobody".to_owned(), |p| p.to_string());
    let refusals = resolved.identifiers.iter().filter_map(|observed| {
        Some(format!(" {}:{:?}", observed.value, observed.verdict.reason()?.rule))
    });
    target + &refusals.collect::<String>()
}

#[test]
fn keep_first_leaves_a_bound_device_with_its_user() {
    let mut world = World::preset("mixpanel-simplified");
    assert_eq!(world.see("device_id=D1", 1), "1");
    assert_eq!(world.see("device_id=D1 user_id=U1", 2), "1");
    assert_eq!(world.see("device_id=D1 user_id=U2", 3), "2 D1:ValueLimit");
    assert_eq!((world.of("device_id=D1"), world.of("user_id=U2")), ("1".into(), "2".into()));
    assert_eq!(world.see("device_id=D2", 4), "3");
    assert_eq!(world.see("device_id=D2 user_id=U2", 5), "2");
    assert_eq!(world.of("device_id=D2"), "2");
}

#[test]
fn an_exclusive_device_moves_with_the_key_and_finds_without() {
    let mut world = World::preset("esputnik");
    world.see("mobile_token=T1 device_id=P1", 1);
    assert_eq!(world.see("external_id=X1 email=a@ex.com mobile_token=T1 device_id=P1", 2), "1");
    world.see("external_id=X1 mobile_token=T2 device_id=P2", 3);
    assert_eq!(world.see("device_id=P1 user_pseudo_id=A1", 4), "1");
    assert_eq!(world.see("external_id=X2 mobile_token=T1 device_id=P1", 5), "2");
    assert_eq!((world.of("device_id=P1"), world.of("device_id=P2")), ("2".into(), "1".into()));
    // Late news of the former owner do not take it back.
    assert_eq!(world.see("external_id=X1 device_id=P1", 4), "1 P1:ExclusiveOwner");
    assert_eq!(world.see("external_id=X1 email=b@ex.com external_id=X2", 6).split(' ').count(), 2);
    assert_ne!(world.of("external_id=X1"), world.of("external_id=X2"));
}

#[test]
fn narrowing_finds_known_profiles_by_their_login_only() {
    let mut world = World::preset("mparticle-conversion");
    assert_eq!(world.verb(Verb::Observe, "ios_idfv=9876", "", 1), "1");
    let known = "customerid=ABC123 email=ed@x.com ios_idfv=9876";
    assert_eq!(world.verb(Verb::Login, known, "", 2), "1");
    assert_eq!(world.verb(Verb::Logout, "ios_idfv=9876", "", 3), "2");
    assert_eq!(world.see("email=h@x.com", 4), "3");
    assert_eq!(world.verb(Verb::Login, known, "", 5), "1");
    assert_eq!(world.of("ios_idfv=9876"), "1,2");
    let command = ModifyIdentifiers {
        operation: Operation::default(),
        profile: ProfileNumber(1),
        changes: vec![IdentifierChange {
            namespace: "email".into(),
            old: Some("ed@x.com".into()),
            new: Some("h@x.com".into()),
        }],
    };
    let now = world.now();
    let decision = world.graph.decide_modify(&command, now).expect("a good command");
    let change = crate::Change::EventResolved(decision.resolved);
    world.apply(change);
    assert_eq!((world.of("email=h@x.com"), world.of("email=ed@x.com")), ("1".into(), "-".into()));
}

#[test]
fn links_and_isolated_profiles_follow_their_strategies() {
    let known = "customerid=ABC123 email=ed@x.com ios_idfv=9876";
    for (name, expected) in
        [("mparticle-link", ["1", "2", "3", "2"]), ("mparticle-isolation", ["1", "2", "1", "2"])]
    {
        let mut world = World::preset(name);
        let found = [
            world.see("ios_idfv=9876", 1),
            world.verb(Verb::Login, known, "", 2),
            world.verb(Verb::Logout, "ios_idfv=9876", "", 3),
            world.verb(Verb::Login, known, "", 4),
        ];
        assert_eq!(found, expected, "{name}");
    }
}

#[test]
fn a_known_source_is_not_joined_unless_forced() {
    let mut world = World::preset("posthog");
    assert_eq!(world.verb(Verb::Login, "distinct_id=u1", "distinct_id=a1", 1), "1");
    assert_eq!(world.see("distinct_id=u2", 2), "2");
    assert_eq!(world.verb(Verb::Login, "distinct_id=u2", "distinct_id=a1", 3), "2 a1:KnownSource");
    assert_eq!(
        world.verb(Verb::Login, "distinct_id=null", "distinct_id=a9", 4),
        "nobody null:BlockedValue a9:NoTarget"
    );
    assert_eq!(world.see("distinct_id=a3", 5), "3");
    assert_eq!(world.verb(Verb::Link, "distinct_id=u2", "distinct_id=a3", 6), "2");
    let command = MergeProfiles {
        operation: Operation::default(),
        target: ProfileNumber(2),
        sources: vec![Some(ProfileNumber(1)), Some(ProfileNumber(3)), None],
        force: false,
    };
    let now = world.now();
    let decision = world.graph.decide_merge(&command, now).expect("a good command");
    let verdicts: Vec<MergeVerdict> =
        decision.resolved.extra.expect("verdicts").merges.into_iter().map(|m| m.verdict).collect();
    assert!(
        matches!(&verdicts[0], MergeVerdict::Refused(reason) if reason.rule == Rule::KnownSource)
    );
    assert_eq!(verdicts[1..], [MergeVerdict::AlreadyMerged, MergeVerdict::NotFound]);
}

#[test]
fn a_shared_tablet_goes_to_whoever_used_it_last() {
    let mut world = World::preset("adobe");
    world.see("crmid=Kevin ecid=tablet", 1);
    assert_eq!(world.see("crmid=Nora ecid=tablet", 2), "2");
    assert_eq!((world.of("ecid=tablet"), world.of("crmid=Kevin")), ("2".into(), "1".into()));
    assert_eq!(world.see("ecid=tablet", 3), "2");
    assert_eq!(world.see("crmid=Kevin ecid=tablet", 4), "1");
    assert_eq!((world.of("ecid=tablet"), world.of("crmid=Nora")), ("1".into(), "2".into()));
    world.graph.check().expect("sound");
}

#[test]
fn a_displaced_link_does_not_come_back_by_itself() {
    let mut world = World::new(
        "[workspace]\nconflict = \"replay\"\nsurvivor = \"strongest_identifier\"\n\
         [namespaces.crmid]\npriority = 1\nlimit = 1\n[namespaces.login_id]\npriority = 2\n\
         [namespaces.ecid]\npriority = 3\n",
    );
    world.see("crmid=Tom login_id=A", 1);
    world.see("crmid=Summer login_id=C", 2);
    world.see("crmid=Summer login_id=C ecid=111", 3);
    world.see("login_id=A ecid=111", 4);
    assert_eq!(world.of("ecid=111"), world.of("crmid=Tom"));
    world.see("crmid=Tom ecid=999", 5);
    assert_eq!(world.of("ecid=111"), world.of("crmid=Tom"));
    assert_ne!(world.of("ecid=111"), world.of("crmid=Summer"));
    world.graph.check().expect("sound");
}

#[test]
fn a_full_graph_evicts_the_oldest_cookie() {
    let mut world = World::new(
        "[workspace]\nconflict = \"replay\"\nidentifiers_max = 4\nover_limit = \"evict_by_kind\"\n\
         evict_order = [\"cookie\", \"device\"]\n[namespaces.crmid]\npriority = 1\nlimit = 1\n\
         [namespaces.idfa]\npriority = 2\nkind = \"device\"\n[namespaces.ecid]\npriority = 3\nkind = \"cookie\"\n",
    );
    for (second, ids) in (1..).zip(["idfa=i1", "ecid=e1", "ecid=e2", "ecid=e3"]) {
        world.see(&format!("crmid=Alice {ids}"), second);
    }
    assert_eq!(
        (world.of("ecid=e1"), world.of("idfa=i1"), world.of("ecid=e3")),
        ("-".into(), "1".into(), "1".into())
    );
    assert_eq!(world.see("ecid=e1", 9), "2");
    world.graph.check().expect("sound");
}

const EXPLICIT: &str = "[workspace]\ntrigger = \"explicit\"\n[namespaces.user]\npriority = 1\n\
                        login = true\n[namespaces.device]\npriority = 2\nshared = true\n";

#[test]
fn a_shared_source_joins_nobody() {
    let mut world = World::new(EXPLICIT);
    for user in ["1", "2"] {
        world.verb(Verb::Login, &format!("user={user} device=kiosk"), "", 1);
    }
    assert_eq!(world.of("device=kiosk"), "1,2");
    assert_eq!(world.verb(Verb::Login, "user=3", "device=kiosk", 2), "3");
    assert_eq!(world.verb(Verb::Link, "user=3", "device=kiosk", 3), "3");
    assert_eq!((world.of("device=kiosk"), world.of("user=1")), ("1,2,3".into(), "1".into()));
}

#[test]
fn a_named_profile_keeps_what_is_seen_with_it_under_replay() {
    let mut world = World::new(
        "[workspace]\nconflict = \"replay\"\n[namespaces.a]\npriority = 1\nlimit = 1\n\
         [namespaces.b]\npriority = 2\n",
    );
    world.see("a=1", 1);
    let event = Event { profile: Some(ProfileNumber(1)), ..event_of("b=1", 2) };
    assert_eq!(shown(&world.resolve(&event).expect("a good event")), "1");
    assert_eq!(world.of("b=1"), "1");
    let event = Event { profile: Some(ProfileNumber(1)), ..event_of("a=2", 3) };
    assert_eq!(shown(&world.resolve(&event).expect("a good event")), "1 2:Displaced");
    world.graph.check().expect("sound");
}

#[test]
fn a_link_takes_back_a_split() {
    let mut world = World::preset("adobe");
    world.see("crmid=1 ecid=1", 1);
    let split = SplitProfile {
        operation: Operation::default(),
        profile: ProfileNumber(1),
        taken: Taken::These(sent("ecid=1")),
        together: false,
    };
    let now = world.now();
    let decision = world.graph.decide_split(&split, now).expect("a good command");
    world.apply(crate::Change::EventResolved(decision.resolved));
    assert_eq!(world.see("crmid=1 ecid=1", 2), "1 1:DeniedLink");
    assert_eq!(world.verb(Verb::Link, "crmid=1", "ecid=1", 3), "1");
    assert_eq!(world.of("ecid=1"), "1");
    world.graph.check().expect("sound");
}

#[test]
fn an_immutable_value_stays_alone_under_every_policy() {
    for (conflict, limit) in [("drop_lowest", 5), ("keep_first", 5), ("replay", 5)] {
        let mut world = World::new(&format!(
            "[workspace]\nconflict = \"{conflict}\"\n[namespaces.user]\npriority = 1\n\
             limit = {limit}\nimmutable = true\n[namespaces.device]\npriority = 2\n"
        ));
        world.see("user=1 device=d", 1);
        world.see("user=2 device=d", 2);
        assert_ne!(world.of("user=1"), world.of("user=2"), "{conflict}");
    }
}

#[test]
fn a_hash_goes_where_its_value_goes() {
    let mut world = World::new(
        "[namespaces.user]\npriority = 1\n[namespaces.email]\npriority = 2\n\
         [namespaces.email_hash]\npriority = 3\nsha256_of = \"email\"\n",
    );
    world.see("user=5 email=b", 1);
    let hash = |value| format!("email_hash={}", crate::identifier::sha256_hex(value));
    assert_eq!(world.of(&hash("b")), "1");
    let command = ModifyIdentifiers {
        operation: Operation::default(),
        profile: ProfileNumber(1),
        changes: vec![IdentifierChange {
            namespace: "email".into(),
            old: Some("b".into()),
            new: Some("c".into()),
        }],
    };
    let now = world.now();
    let decision = world.graph.decide_modify(&command, now).expect("a good command");
    world.apply(crate::Change::EventResolved(decision.resolved));
    assert_eq!((world.of(&hash("b")), world.of(&hash("c"))), ("-".into(), "1".into()));
    assert_eq!(world.see("user=6 email=b", 2), "2");
}

#[test]
fn a_former_id_is_neither_split_off_nor_removed() {
    let mut world = World::preset("segment");
    let import = ImportProfile { former_id: "old".into(), ..ImportProfile::default() };
    let now = world.now();
    let decision = world.graph.decide_import(&import, now).expect("a good command");
    world.apply(crate::Change::EventResolved(decision.resolved));
    let split = SplitProfile {
        operation: Operation::default(),
        profile: ProfileNumber(1),
        taken: Taken::These(sent("former_id=old")),
        together: false,
    };
    assert!(world.graph.decide_split(&split, now).is_err());
    let command = ModifyIdentifiers {
        operation: Operation::default(),
        profile: ProfileNumber(1),
        changes: vec![IdentifierChange {
            namespace: "former_id".into(),
            old: Some("old".into()),
            new: None,
        }],
    };
    let decision = world.graph.decide_modify(&command, now).expect("a good command");
    assert!(!decision.teaches || decision.resolved.identifiers[0].verdict.reason().is_some());
}

#[test]
fn an_alias_is_used_once_even_by_its_own_profile() {
    let mut world = World::preset("mixpanel-original");
    assert_eq!(world.verb(Verb::Link, "distinct_id=A", "distinct_id=B", 1), "1");
    assert_eq!(world.verb(Verb::Link, "distinct_id=C", "distinct_id=B", 2), "2 B:SourceUsed");
    assert_eq!(world.verb(Verb::Link, "distinct_id=A", "distinct_id=B", 3), "1 B:SourceUsed");
}

#[test]
fn an_alias_that_was_on_the_profile_before_is_used_too() {
    let mut world = World::preset("mixpanel-original");
    assert_eq!(world.verb(Verb::Link, "distinct_id=A", "distinct_id=B", 1), "1");
    assert_eq!(world.verb(Verb::Link, "distinct_id=B", "distinct_id=A", 2), "1");
    assert_eq!(world.verb(Verb::Link, "distinct_id=C", "distinct_id=A", 3), "2 A:SourceUsed");
}

const REPLAY: &str = "[namespaces.a]\npriority = 1\n[namespaces.b]\npriority = 2\n";

/// A merge that passes a cap is refused under replay as elsewhere, and names whom it met.
#[test]
fn caps_hold_under_replay() {
    for (cap, rule) in [
        ("merges_max = 0", Rule::MergeLimit),
        ("moved_max = 1", Rule::MovedLimit),
        ("identifiers_max = 5", Rule::IdentifierLimit),
    ] {
        let rules = format!("[workspace]\nconflict = \"replay\"\n{cap}\n{REPLAY}");
        let mut world = World::new(&rules);
        world.see("a=1 b=1 b=3 b=5", 1);
        world.see("a=2 b=2", 2);
        let event = event_of("a=1 a=2", 3);
        let decision = world.resolve(&event).expect("a good event");
        let refused = decision.resolved.identifiers[1].verdict.reason().expect("it is too much");
        assert_eq!((refused.rule, refused.collided), (rule, Some(ProfileNumber(2))), "{cap}");
        assert!(refused.limit.as_ref().is_some_and(|limit| limit.namespace.is_none()));
        assert_eq!((world.of("a=1"), world.of("a=2")), ("1".into(), "2".into()), "{cap}");
        // One more of the stronger profile is none of this.
        world.see("a=2 b=4", 4);
        assert_eq!(world.of("b=4"), "2", "{cap}");
        world.graph.check().expect("sound");
    }
}

/// A full profile takes nothing more.
#[test]
fn identifiers_have_no_room_on_a_full_profile_under_replay() {
    let rules = format!("[workspace]\nconflict = \"replay\"\nidentifiers_max = 2\n{REPLAY}");
    let mut world = World::new(&rules);
    let all = world.see("a=1 b=1 b=2 b=3", 1);
    assert_eq!(all, "1 2:IdentifierLimit 3:IdentifierLimit");
    assert_eq!(world.see("a=1 b=4", 2), "1 4:IdentifierLimit");
}

fn split(world: &mut World, profile: u32, ids: &str, together: bool) {
    let command = SplitProfile {
        operation: Operation::default(),
        profile: ProfileNumber(profile),
        taken: Taken::These(sent(ids)),
        together,
    };
    let now = world.now();
    let decision = world.graph.decide_split(&command, now).expect("a good command");
    world.apply(crate::Change::EventResolved(decision.resolved));
}

/// What was split stays apart whatever is seen: by a third, by a link that never was, and under
/// rules that keep no evidence.
#[test]
fn what_was_split_stays_apart_whatever_is_seen() {
    for conflict in ["replay", "drop_lowest", "legacy_2020", "keep_first", "refuse"] {
        let rules = format!("[workspace]\nconflict = \"{conflict}\"\n{REPLAY}");
        let mut world = World::new(&rules);
        world.see("a=1 b=1", 1);
        world.see("b=1 b=2", 2);
        split(&mut world, 1, "b=2", false);
        for (second, seen) in (3..).zip(["a=1 b=2", "b=1 b=2", "a=1 b=1 b=2", "a=1 b=2"]) {
            world.see(seen, second);
            let (one, two) = (world.of("a=1"), world.of("b=2"));
            assert_eq!((one, world.of("b=1"), two), ("1".into(), "1".into(), "2".into()));
        }
        assert_eq!(world.see("a=1 b=2", 8), "1 2:DeniedLink", "{conflict}");
        // What comes later to a side is on it.
        world.see("b=2 b=3", 9);
        world.see("a=1 b=3", 10);
        assert_ne!(world.of("a=1"), world.of("b=2"), "{conflict}");
        assert_eq!(world.verb(Verb::Link, "a=1", "b=2", 11), "1", "{conflict}");
        assert_eq!((world.see("a=1 b=2", 12), world.of("b=2")), ("1".into(), "1".into()));
        world.graph.check().expect("sound");
    }
}

/// An identifier that changed profiles, and profiles that others took in, are still apart.
#[test]
fn partings_are_inherited_by_survivors() {
    let mut world = World::new(REPLAY);
    world.see("a=1 b=1 b=2", 1);
    split(&mut world, 1, "b=2", false);
    world.see("a=3", 2);
    world.see("a=3 b=1", 3);
    world.see("a=4 b=2", 4);
    assert_eq!(world.see("a=3 a=4", 5), "1 4:DeniedLink");
    let command = MergeProfiles {
        operation: Operation::default(),
        target: ProfileNumber(1),
        sources: vec![Some(ProfileNumber(2))],
        force: false,
    };
    let now = world.now();
    let decision = world.graph.decide_merge(&command, now).expect("a good command");
    world.apply(crate::Change::EventResolved(decision.resolved));
    assert_eq!((world.see("a=1 b=2", 6), world.of("b=2")), ("1".into(), "1".into()));
}

/// What several profiles hold can be no one's alone: rules that say so are refused by name.
#[test]
fn a_namespace_stays_shared_while_several_hold_an_identifier_of_it() {
    let kiosk = |how: &str| {
        let user = "[namespaces.user]\npriority = 1\nlimit = 1\n";
        format!("{user}[namespaces.kiosk]\npriority = 2\n{how}")
    };
    let mut world = World::new(&kiosk("shared = true"));
    world.see("user=1 kiosk=k", 1);
    world.see("user=2 kiosk=k", 2);
    for how in ["exclusive = true", "limit = 1"] {
        let rules = kiosk(how);
        let refused = world.graph.decide_rules(rules.as_str(), None).map(|_| ());
        let Err(Refusal::InvalidRules(problems)) = refused else { panic!("{refused:?}") };
        assert_eq!((problems[0].line, &*problems[0].key), (4, "namespaces.kiosk.shared"));
        assert!(problems[0].message.contains("on several profiles: 1;"), "{problems:?}");
    }
    // Left out of the rules it is nobody's finder; once they are one person it may be theirs.
    world.set_rules("[namespaces.user]\npriority = 1\n");
    world.see("user=1 user=2", 3);
    world.set_rules(&kiosk("exclusive = true"));
    assert_eq!((world.see("user=3 kiosk=k", 4), world.of("kiosk=k")), ("3".into(), "3".into()));
    world.graph.check().expect("sound");
}
