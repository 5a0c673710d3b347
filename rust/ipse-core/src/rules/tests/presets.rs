//! The presets, the lists that they block by, and what `explain` says.

use super::*;

fn of_preset(name: &str) -> Rules {
    Rules::from_toml(preset(name).expect("it ships")).expect("it is good")
}

#[test]
fn every_preset_is_good() {
    for name in preset_names() {
        let text = preset(name).expect("it ships");
        assert_eq!(problems(text), Vec::<String>::new(), "{name}");
    }
    assert!(preset(DEFAULT_PRESET).is_some());
    assert_eq!(preset("nobody"), None);
}

#[test]
fn presets_stand_in_the_order_of_their_systems() {
    let names: Vec<&str> = preset_names().collect();
    let expected = [
        "segment",
        "mparticle-conversion",
        "mparticle-link",
        "mparticle-isolation",
        "mparticle-best-match",
        "esputnik",
        "mixpanel-simplified",
        "posthog",
        "adobe",
        "mixpanel-original",
    ];
    assert_eq!(names, expected);
}

#[test]
fn every_preset_explains_itself() {
    for name in preset_names() {
        let rules = of_preset(name);
        let lines = rules.explain();
        assert!(lines.len() > rules.namespaces().len(), "{name}");
        for line in &lines {
            assert!(line.ends_with('.') && !line.contains("  "), "{name}: {line}");
        }
        assert_eq!(lines, of_preset(name).explain(), "{name}");
    }
}

#[test]
fn a_file_that_mixes_policies_of_several_systems_is_good_and_explained() {
    let rules = Rules::from_toml(include_str!("mixed.toml")).expect("the rules are good");
    let expected: Vec<&str> = include_str!("mixed.txt").lines().collect();
    let found = rules.explain();
    assert_eq!(found, expected, "{}", found.join("\n"));
}

#[test]
fn mparticles_strategies_differ_as_documented() {
    let of = |name: &str| {
        let rules = of_preset(name);
        (rules.new_known, rules.logout, rules.attributes_history, rules.has_logins())
    };
    let (convert, create) = (NewKnown::Convert, NewKnown::Create);
    assert_eq!(of("mparticle-conversion"), (convert, Logout::Create, true, true));
    assert_eq!(of("mparticle-link"), (create, Logout::Create, true, true));
    assert_eq!(of("mparticle-isolation"), (create, Logout::Return, false, true));
    assert_eq!(of("mparticle-best-match"), (convert, Logout::Stay, false, false));
    let rules = of_preset("mparticle-link");
    let shared = rules.namespaces().iter().filter(|namespace| !namespace.shared);
    let unique: Vec<&str> = shared.map(|namespace| &*namespace.name).collect();
    assert_eq!(unique, ["customerid", "email"]);
    assert!(of_preset("mparticle-best-match").namespaces().iter().all(|n| n.shared));
}

#[test]
fn every_list_is_good() {
    for name in blocked_list_names() {
        let text = format!("[namespaces.a]\nblocked = [{{ list = {name:?} }}, \"mine\"]");
        let rules = Rules::from_toml(&text).expect("the list is good");
        let blocked = &rules.namespace("a").expect("it is named").blocked;
        assert!(blocked.contains("mine") && blocked.contains("null"), "{name}");
        assert!(!blocked.contains("ann@example.com"), "{name}");
    }
    assert!(blocked_list("nobody").is_none());
    check(
        "[namespaces.a]\nblocked = [{ list = \"nobody\" }]",
        "line 2: namespaces.a.blocked[0].list: \"nobody\" is not one of: segment, mixpanel, posthog",
    );
    check(
        "[namespaces.a]\nblocked = [{ list = \"posthog\", regex = \"x\" }]",
        "line 2: namespaces.a.blocked[0]: is a string, or a table with one of",
    );
}

#[test]
fn posthogs_list_is_exact() {
    let rules = of_preset("posthog");
    let blocked = &rules.namespace("distinct_id").expect("it is named").blocked;
    let any_case =
        "anonymous guest distinctid distinct_id id not_authenticated email undefined true false";
    let exact = ["[object Object]", "NaN", "None", "none", "null", "0", "undefined"];
    let any_case = any_case.split(' ').flat_map(|word| {
        let capitalised = word[..1].to_uppercase() + &word[1..];
        [word.to_owned(), word.to_uppercase(), capitalised]
    });
    for word in any_case.chain(exact.map(str::to_owned)) {
        for value in [word.clone(), format!("'{word}'"), format!("\"{word}\"")] {
            assert!(blocked.contains(&value), "{value:?}");
        }
        for value in
            [format!("'{word}\""), format!("\"{word}"), format!("{word} "), format!("x{word}")]
        {
            assert!(!blocked.contains(&value), "{value:?}");
        }
    }
    for value in ["", " ", "\t\n ", "\u{a0}\u{feff}", "a\0b", &"é".repeat(401), &"x".repeat(401)] {
        assert!(blocked.contains(value), "{value:?}");
    }
    for value in ["nan", "NAN", "NULL", "NONE", "00", "[object object]", "gueſt", &"é".repeat(400)]
    {
        assert!(!blocked.contains(value), "{value:?}");
    }
}

#[test]
fn mixpanels_list_ignores_case() {
    let rules = of_preset("mixpanel-original");
    let blocked = &rules.namespace("distinct_id").expect("it is named").blocked;
    let words = "-1 0 00000000-0000-0000-0000-000000000000 <nil> [] anon anonymous false lmy47d \
                 n/a na nil none null true undefined unknown {}";
    for word in words.split_whitespace() {
        assert!(blocked.contains(word) && blocked.contains(&word.to_uppercase()), "{word}");
        assert!(!blocked.contains(&format!("{word}1")), "{word}");
    }
}

#[test]
fn mixpanels_original_login_takes_uuids_of_version_4_only() {
    let rules = of_preset("mixpanel-original");
    let pattern = rules.login_guards.source_pattern.as_ref().expect("it is set");
    assert!(pattern.is_match("3f0f1c2e-8f0a-4b6e-9d2a-1c2b3d4e5f60"));
    assert!(pattern.is_match("3F0F1C2E-8F0A-4B6E-AD2A-1C2B3D4E5F60"));
    for bad in [
        "3f0f1c2e-8f0a-1b6e-9d2a-1c2b3d4e5f60",
        "3f0f1c2e-8f0a-4b6e-cd2a-1c2b3d4e5f60",
        "3f0f1c2e8f0a4b6e9d2a1c2b3d4e5f60",
        "x3f0f1c2e-8f0a-4b6e-9d2a-1c2b3d4e5f60",
    ] {
        assert!(!pattern.is_match(bad), "{bad}");
    }
}
