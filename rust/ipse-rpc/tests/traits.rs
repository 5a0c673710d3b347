//! Traits over the wire: what did not count is told, and merges keep the order of the request.

mod support;

use ipse_rpc::Dispatch;
use ipse_rpc::proto::v1;
use ipse_rpc::proto::v1::r#trait::Value;
use support::*;

const DAY_MS: i64 = 86_400_000;

fn sent(name: &str, value: &str, set_once: bool) -> v1::Trait {
    v1::Trait { name: name.into(), value: Some(Value::StringValue(value.into())), set_once }
}

fn with_traits(pairs: &str, ms: i64, traits: Vec<v1::Trait>) -> v1::Event {
    v1::Event { timestamp: wire_time(ms), traits, ..event(pairs) }
}

fn ignored(resolution: &v1::Resolution) -> Vec<String> {
    let shown = |ignored: &v1::IgnoredTrait| {
        let reason = ignored.reason().as_str_name();
        format!("{} {}", ignored.name, reason.trim_start_matches("TRAIT_REASON_"))
    };
    resolution.ignored_traits.iter().map(shown).collect()
}

fn traits_of(server: &Dispatch, pair: &str) -> Vec<String> {
    let value = |held: &v1::Trait| match &held.value {
        Some(Value::StringValue(text)) => format!("{}={text}", held.name),
        other => format!("{}={other:?}", held.name),
    };
    profile(server, by_identifier(pair)).traits.iter().map(value).collect()
}

#[test]
fn traits_that_do_not_count_are_told_and_told_again() {
    let server = in_memory();
    let all = vec![sent("plan", "free", false), sent("page", "a", true), sent("x", "1", false)];
    let first = resolved(&server, with_traits("user_id=u1", NOW_MS, all));
    assert!(first.ignored_traits.is_empty());
    let late = || vec![sent("plan", "old", false), sent("page", "b", true), sent("x", "1", false)];
    let event = v1::Event {
        event_id: "e1".into(),
        ..with_traits("user_id=u1 anonymous_id=a1", NOW_MS - DAY_MS, late())
    };
    let told = ["page SET_ALREADY", "plan OLDER"];
    let preview = v1::ResolveEventRequest { read_only: true, ..resolve(event.clone()) };
    let preview: v1::ResolveEventResponse = ask(&server, "ResolveEvent", &preview);
    assert_eq!(ignored(&preview.resolution.expect("set")), told);
    assert_eq!(ignored(&resolved(&server, event.clone())), told);
    let newer = vec![sent("plan", "old", false), sent("page", "b", false)];
    resolved(&server, with_traits("user_id=u1", NOW_MS + 1_000, newer));
    let again = resolved(&server, event);
    assert!(again.repeated);
    assert_eq!(ignored(&again), told);
    let nobodys = resolved(&server, with_traits("", NOW_MS, vec![sent("plan", "free", false)]));
    assert_eq!(ignored(&nobodys), ["plan UNRESOLVED"]);
}

#[test]
fn commands_and_imports_tell_it_too() {
    let server = in_memory();
    resolved(&server, with_traits("user_id=u1", NOW_MS, vec![sent("plan", "free", false)]));
    let event = v1::Event {
        event_id: "op".into(),
        ..with_traits("user_id=u1", NOW_MS - 1, vec![sent("plan", "old", false)])
    };
    let login = v1::LoginRequest {
        event: Some(event),
        anonymous_identifiers: identifiers("anonymous_id=a1"),
        ..Default::default()
    };
    for repeated in [false, true] {
        let answer: v1::LoginResponse = ask(&server, "Login", &login);
        let resolution = answer.resolution.expect("set");
        assert_eq!(resolution.repeated, repeated);
        assert_eq!(ignored(&resolution), ["plan OLDER"]);
    }
    let of_import = |name: &str, value: &str, ms| v1::ImportedTrait {
        r#trait: Some(sent(name, value, false)),
        set_time: wire_time(ms),
    };
    let imported = v1::ImportedProfile {
        former_id: "old-1".into(),
        identifiers: vec![v1::ImportedIdentifier {
            identifier: Some(identifier("user_id=u1")),
            attached_time: None,
        }],
        traits: vec![of_import("plan", "gift", NOW_MS - 5), of_import("city", "Lviv", NOW_MS - 5)],
        ..Default::default()
    };
    let import = v1::ImportProfilesRequest { profiles: vec![imported], ..Default::default() };
    let answer: v1::ImportProfilesResponse = ask(&server, "ImportProfiles", &import);
    let Some(v1::import_profiles_result::Result::Resolution(resolution)) =
        &answer.results[0].result
    else {
        panic!("{answer:?}");
    };
    assert_eq!(ignored(resolution), ["plan OLDER"]);
    assert_eq!(traits_of(&server, "user_id=u1"), ["city=Lviv", "plan=free"]);
}

#[test]
fn sources_of_a_merge_fill_gaps_in_the_order_of_the_request() {
    const RULES: &str = "[workspace]\nsurvivor = \"target\"\n[traits]\n\
         survivorship = \"survivor\"\n[namespaces.user_id]\nlimit = \"none\"";
    let server = with_rules(RULES);
    let ids: Vec<String> = ["one", "two", "three"]
        .into_iter()
        .map(|name| {
            let traits = if name == "one" { vec![] } else { vec![sent("plan", name, false)] };
            let pair = format!("user_id={name}");
            resolved(&server, with_traits(&pair, NOW_MS, traits)).profile_id
        })
        .collect();
    let request = v1::MergeProfilesRequest {
        target: by_identifier("user_id=one"),
        sources: [by_id(&ids[2]), by_id(&ids[1])].into_iter().flatten().collect(),
        ..Default::default()
    };
    let answer: v1::MergeProfilesResponse = ask(&server, "MergeProfiles", &request);
    let merged = answer.resolution.expect("set");
    assert_eq!(merged.absorbed_profile_ids, [ids[2].clone(), ids[1].clone()]);
    assert_eq!(traits_of(&server, "user_id=two"), ["plan=three"]);
}
