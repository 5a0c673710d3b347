//! Identifiers that leave profiles, and identifiers that several hold.

use super::*;
use crate::change::{HistoryAttribution, Imported, MergeVerdict, SourceMerge};
use crate::identifier::FORMER_ID;

const RULES_WITH_LIMIT: &str = "[namespaces.user]\nlimit = 1\n[namespaces.device]\nlimit = 9\n[namespaces.kiosk]\nlimit = 9\nshared = true\n";

#[test]
fn a_transfer_takes_counts_and_knowledge_along() {
    let mut world = World::new(RULES);
    world.create(&[("user", "a"), ("device", "1"), ("device", "2")]);
    world.create(&[("device", "3")]);
    let from = ProfileNumber(1);
    let taken = ["user", "device"].map(|namespace| {
        let value = if namespace == "user" { "a" } else { "2" };
        observed((namespace, value), Verdict::Transferred { from })
    });
    world.resolve(event(found(2), taken.to_vec()));
    assert_eq!(world.held(1), "device=1");
    assert_eq!(world.held(2), "device=2 device=3 user=a");
    assert_eq!((world.known(1), world.known(2)), (false, true));
    let view = world.graph.profile(from).expect("it stays");
    assert_eq!(view.changed_sequence(), SequenceNumber(4));
}

#[test]
fn what_leaves_a_merged_profile_leaves_every_node_above() {
    let mut world = World::new(RULES);
    world.create(&[("device", "1")]);
    world.create(&[("user", "a"), ("device", "2")]);
    world.create(&[("device", "3")]);
    world.merge(1, &[2, 3]);
    assert!(world.known(1));
    let removed = vec![observed(("user", "a"), Verdict::Removed)];
    world.resolve(with_verb(event(found(1), removed), Verb::Modify, Extra::default()));
    assert_eq!(world.held(1), "device=1 device=2 device=3");
    assert!(!world.known(1));
    assert!(world.graph.lookup("user", "a").expect("a namespace").is_none());

    world.resolve(event(found(1), vec![observed(("user", "a"), Verdict::Attached)]));
    assert!(world.known(1));
    let lookup = world.graph.lookup("user", "a").expect("a namespace").expect("a holder");
    assert_eq!(lookup.number(), ProfileNumber(1));
}

#[test]
fn a_shared_identifier_is_on_many_profiles_and_outlives_its_first() {
    let mut world = World::new(RULES);
    world.create(&[("user", "a"), ("kiosk", "k")]);
    world.create(&[("user", "b"), ("kiosk", "k")]);
    world.create(&[("user", "c"), ("kiosk", "k")]);
    let owners = |world: &World| {
        let owners = world.graph.owners("kiosk", "k").expect("a namespace");
        owners.iter().map(|owner| owner.number().0).collect::<Vec<_>>()
    };
    assert_eq!(owners(&world), [1, 2, 3]);
    let held = world.graph.profile(ProfileNumber(2)).expect("created").identifiers();
    assert_eq!(held[0].sequence, SequenceNumber(3), "as this profile holds it");

    let removed = vec![observed(("kiosk", "k"), Verdict::Removed)];
    world.resolve(with_verb(event(found(1), removed), Verb::Modify, Extra::default()));
    assert_eq!(owners(&world), [2, 3]);
    world.merge(3, &[2]);
    assert_eq!(owners(&world), [3]);
    assert_eq!(world.held(3), "kiosk=k user=b user=c");

    let evicted = moved(("kiosk", "k"), 3, None, MoveCause::Evicted);
    let attached = vec![observed(("device", "1"), Verdict::Attached)];
    world.resolve(with_verb(event(found(3), attached), Verb::Observe, moves(vec![evicted])));
    assert_eq!(owners(&world), [0; 0]);
    assert_eq!(world.held(3), "device=1 user=b user=c");
}

#[test]
fn a_shared_identifier_moves_from_one_profile_to_another_that_it_leaves() {
    let mut world =
        World::new(&format!("[workspace]\nconflict = \"replay\"\n{}", RULES_WITH_LIMIT));
    let kiosk = ("kiosk", "k");
    world.create(&[("device", "a"), kiosk]);
    world.create(&[("device", "b"), kiosk]);
    let passed_on = vec![
        moved(kiosk, 1, Some(3), MoveCause::Displaced),
        moved(kiosk, 2, Some(1), MoveCause::Displaced),
    ];
    let shown = vec![observed(("device", "a"), Verdict::AlreadyAttached)];
    let passes_on = with_verb(event(found(1), shown), Verb::Observe, moves(passed_on));
    world.resolve(passes_on.clone());
    let owners = world.graph.owners("kiosk", "k").expect("a namespace");
    assert_eq!(owners.iter().map(|owner| owner.number().0).collect::<Vec<_>>(), [3, 1]);
    let mut back = passes_on;
    back.extra = Some(Box::new(moves(vec![moved(kiosk, 1, Some(3), MoveCause::Displaced)])));
    assert!(world.refusal(back).contains("moves to profile 3, which has it already"));
}

#[test]
fn a_split_makes_profiles_in_order() {
    let mut world = World::new(RULES);
    world.create(&[("user", "a"), ("device", "1"), ("device", "2"), ("device", "3")]);
    let split = [("1", 2), ("2", 3), ("3", 2)]
        .map(|(value, to)| moved(("device", value), 1, Some(to), MoveCause::Split));
    world.resolve(with_verb(event(found(1), Vec::new()), Verb::Split, moves(split.to_vec())));
    assert_eq!(world.held(1), "user=a");
    assert_eq!(world.held(2), "device=1 device=3");
    assert_eq!(world.held(3), "device=2");
}

#[test]
fn a_mark_makes_a_profile_known_for_good() {
    let mut world = World::new(RULES);
    world.create(&[("device", "1")]);
    world.create(&[("user", "a"), ("user", "b")]);
    let marks = Extra { marks_known: true, sources: 1, ..Extra::default() };
    let shown = vec![observed(("device", "1"), Verdict::AlreadyAttached)];
    world.resolve(with_verb(event(found(1), shown), Verb::Link, marks));
    assert!(world.known(1));
    let row = world.graph.identifiers.rows.row(world.id(("device", "1")));
    assert!(row.was_source());
    world.merge(2, &[1]);
    let from = ProfileNumber(2);
    for value in ["a", "b"] {
        let number = ProfileNumber(world.graph.profiles.len() + 1);
        let taken = vec![observed(("user", value), Verdict::Transferred { from })];
        world.resolve(event(Target::Created(number), taken));
    }
    assert!(world.known(2), "by the mark alone");
    world
        .write(Change::RulesSet { version: RulesVersion(2), rules: "[namespaces.user]".into() })
        .expect("rules");
    assert_eq!((world.known(2), world.known(3)), (true, false));
}

#[test]
fn an_import_brings_times_and_a_former_id_that_does_not_count() {
    let mut world = World::new(RULES);
    let identifiers = vec![
        observed(("user", "a"), Verdict::Attached),
        observed((FORMER_ID, "old-1"), Verdict::Attached),
    ];
    let imported = Imported {
        created_time: at(-100),
        identifier_times: vec![at(-50), at(-100)],
        trait_times: vec![at(-70)],
    };
    let mut record = with_verb(
        event(Target::Created(ProfileNumber(1)), identifiers),
        Verb::Import,
        Extra { imported: Some(imported), ..Extra::default() },
    );
    record.traits = vec![TraitSet { name: "n".into(), value: Some(TraitValue::Bool(true)) }];
    record.event_id = "import-1".into();
    world.resolve(record.clone());
    let view = world.graph.find_former("old-1").expect("it resolves");
    assert_eq!((view.number(), view.created_time()), (ProfileNumber(1), at(-100)));
    assert_eq!(view.identifiers()[0].attached_time, at(-50));
    assert_eq!((view.former_ids(), view.identifier_count()), (vec!["old-1"], 1));
    let remembered = world.graph.remembered_events.find("import-1", at(3)).expect("remembered");
    assert_eq!(remembered.record.as_deref(), Some(&record));

    world.create(&[("user", "b")]);
    world.merge(2, &[1]);
    let view = world.graph.find_former("old-1").expect("it resolves for ever");
    assert_eq!((view.number(), view.created_time()), (ProfileNumber(2), at(-100)));
}

#[test]
fn attributions_stay_with_both_their_ends() {
    let mut world = World::new(RULES);
    for value in ["a", "b", "c"] {
        world.create(&[("user", value)]);
    }
    let attribution = HistoryAttribution {
        source: ProfileNumber(1),
        destination: ProfileNumber(2),
        start: at(0),
        end: at(9),
        refused: None,
    };
    let extra = Extra { attribution: Some(attribution), ..Extra::default() };
    world.resolve(with_verb(event(found(2), Vec::new()), Verb::AttributeHistory, extra));
    world.resolve(with_verb(
        event(
            Target::Merged { survivor: ProfileNumber(3), absorbed: vec![ProfileNumber(2)] },
            vec![],
        ),
        Verb::Merge,
        Extra {
            merges: vec![SourceMerge {
                profile: Some(ProfileNumber(2)),
                verdict: MergeVerdict::Merged,
            }],
            ..Extra::default()
        },
    ));
    for profile in [1, 3] {
        let view = world.graph.profile(ProfileNumber(profile)).expect("it was created");
        let [attribution] = view.attributions()[..] else { panic!("one attribution") };
        assert_eq!(attribution.destination, ProfileNumber(2));
    }
}

#[test]
fn a_scan_passes_every_number_and_shows_those_that_live() {
    let mut world = World::new(RULES);
    for value in ["a", "b", "c"] {
        world.create(&[("device", value)]);
    }
    world.merge(1, &[2]);
    let scanned = world.graph.profiles_after(Some(ProfileNumber(1)));
    let scanned: Vec<_> = scanned.map(|(number, view)| (number.0, view.is_some())).collect();
    assert_eq!(scanned, [(2, false), (3, true)]);
}
