//! Which of two values a merged profile has.

use super::*;

fn world(policy: &str) -> World {
    let mut world = World::new(&format!("{RULES}\n[traits]\nsurvivorship = \"{policy}\"\n"));
    for value in ["a", "b", "c", "d"] {
        world.create(&[("device", value)]);
    }
    world
}

fn value(world: &World, profile: u32) -> Option<String> {
    let view = world.graph.profile(ProfileNumber(profile)).expect("it was created");
    let text = |value: &TraitValue<'_>| match value {
        TraitValue::Integer(number) => number.to_string(),
        TraitValue::Json(text) => text.to_string(),
        other => format!("{other:?}"),
    };
    view.traits().first().map(|(_, value)| text(value))
}

/// Profiles 1 and 2 have the values 10, older, and 3, newer; 2 survives the merge of both
/// whatever the sizes. What would come of a merge is what comes of it.
fn merged(policy: &str, larger: u32) -> World {
    let mut world = world(policy);
    world.set(1, "n", Some(10), 1);
    world.set(2, "n", Some(3), 2);
    world.merge(larger, &[3]);
    let root = |profile: u32| world.graph.profiles.root(profile - 1);
    let foretold = world.graph.folded_traits(vec![root(2), root(1)]).get("n");
    let foretold = foretold.map(|folded| folded.value.map(Cow::into_owned));
    world.merge(2, &[1]);
    let root = world.graph.profiles.root(0);
    let folded = world.graph.folded_traits(vec![root]).get("n");
    assert_eq!(folded.map(|folded| folded.value.map(Cow::into_owned)), foretold);
    world
}

#[test]
fn each_policy_chooses_whichever_tree_was_larger() {
    let cases = [
        ("newest", "3"),
        ("oldest", "10"),
        ("survivor", "3"),
        ("absorbed", "10"),
        ("survivor_only", "3"),
        ("union", "[3,10]"),
        ("sum", "13"),
        ("min", "3"),
        ("max", "10"),
    ];
    for (policy, expected) in cases {
        for larger in [1, 2] {
            let world = merged(policy, larger);
            assert_eq!(value(&world, 2).as_deref(), Some(expected), "{policy}, {larger} larger");
        }
    }
}

#[test]
fn what_is_set_after_a_merge_overrides_it_until_the_next() {
    let mut world = merged("sum", 1);
    world.set(2, "n", Some(100), 5);
    assert_eq!(value(&world, 2).as_deref(), Some("100"));
    world.set(4, "n", Some(7), 6);
    world.merge(4, &[2]);
    assert_eq!(value(&world, 4).as_deref(), Some("107"));
    world.set(4, "n", None, 7);
    assert_eq!(value(&world, 4), None);
}

#[test]
fn merges_within_merges_are_folded_inside_out() {
    let mut world = world("survivor");
    world.set(3, "n", Some(1), 1);
    world.set(4, "n", Some(2), 2);
    world.merge(4, &[3]);
    world.merge(1, &[4, 2]);
    assert_eq!(value(&world, 1).as_deref(), Some("2"), "of the one that survived inside");

    let mut world = self::world("survivor_only");
    world.set(3, "n", Some(1), 1);
    world.merge(4, &[3]);
    assert_eq!(value(&world, 4), None, "the survivor has none");
}

#[test]
fn several_merged_at_once_go_in_the_order_of_their_record() {
    for (absorbed, expected) in [([2, 3, 4], "[1,2,3,4]"), ([4, 2, 3], "[1,4,2,3]")] {
        let mut world = world("union");
        for profile in 1..=4 {
            world.set(profile, "n", Some(i64::from(profile)), 1);
        }
        world.merge(1, &absorbed);
        assert_eq!(value(&world, 1).as_deref(), Some(expected));
    }
}

#[test]
fn a_removed_trait_counts_where_age_decides() {
    let merged = |policy: &str| {
        let mut world = world(policy);
        world.set(1, "n", Some(10), 1);
        world.set(2, "n", None, 2);
        world.merge(2, &[1]);
        value(&world, 2)
    };
    assert_eq!(merged("newest"), None);
    assert_eq!(merged("oldest").as_deref(), Some("10"));
    assert_eq!(merged("survivor").as_deref(), Some("10"));
    assert_eq!(merged("sum").as_deref(), Some("10"));
    assert_eq!(merged("survivor_only"), None);
}

#[test]
fn a_trait_has_its_own_rule() {
    let rules =
        format!("{RULES}\n[traits]\nsurvivorship = \"newest\"\n[traits.by_name]\nn = \"max\"");
    let mut world = World::new(&rules);
    world.create(&[("device", "a")]);
    world.create(&[("device", "b")]);
    for (profile, value) in [(1, 10), (2, 3)] {
        world.set(profile, "n", Some(value), i64::from(profile));
        world.set(profile, "o", Some(value), i64::from(profile));
    }
    world.merge(1, &[2]);
    let view = world.graph.profile(ProfileNumber(1)).expect("it was created");
    let values: Vec<_> = view.traits().into_iter().map(|(_, value)| value.into_owned()).collect();
    assert_eq!(values, [TraitValue::Integer(10), TraitValue::Integer(3)]);
}
