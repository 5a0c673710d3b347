//! Commands: what each answers, that a repeat gets the recorded answer, that a preview writes
//! nothing, and how they are refused.

mod support;

use ipse_rpc::proto::v1;
use ipse_rpc::{Dispatch, Reply};
use support::*;

const RULES: &str = r#"
[workspace]
trigger = "explicit"
survivor = "target"
attribute_history = true

[commands.link]
source_once = true

[namespaces.user_id]
priority = 1
limit = 5
login = true

[namespaces.email]
priority = 2
limit = 5
normalise = "email"

[namespaces.device_id]
priority = 3
limit = 100
"#;

fn link(target: &str, sources: &str) -> v1::LinkIdentifiersRequest {
    v1::LinkIdentifiersRequest {
        event: Some(event(target)),
        sources: identifiers(sources),
        ..Default::default()
    }
}

fn modify(profile: &str, changes: &[(&str, &str, &str)]) -> v1::ModifyIdentifiersRequest {
    let change = |&(namespace, old, new): &(&str, &str, &str)| v1::IdentifierChange {
        namespace: namespace.to_owned(),
        old_value: old.to_owned(),
        new_value: new.to_owned(),
    };
    v1::ModifyIdentifiersRequest {
        profile: by_identifier(profile),
        changes: changes.iter().map(change).collect(),
        ..Default::default()
    }
}

fn merge(target: &str, sources: &[&str]) -> v1::MergeProfilesRequest {
    v1::MergeProfilesRequest {
        target: by_identifier(target),
        sources: sources.iter().filter_map(|pair| by_identifier(pair)).collect(),
        ..Default::default()
    }
}

fn split(profile: &str, taken: &str) -> v1::SplitProfileRequest {
    v1::SplitProfileRequest {
        profile: by_identifier(profile),
        identifiers: identifiers(taken),
        ..Default::default()
    }
}

fn attribute(
    source: &str,
    destination: &str,
    start_s: i64,
    end_s: i64,
) -> v1::AttributeHistoryRequest {
    v1::AttributeHistoryRequest {
        source_profile: by_identifier(source),
        destination_profile: by_identifier(destination),
        start_time: wire_time(start_s * 1_000),
        end_time: wire_time(end_s * 1_000),
        ..Default::default()
    }
}

fn imported(former_id: &str, pairs: &str) -> v1::ImportedProfile {
    let identifier =
        |identifier| v1::ImportedIdentifier { identifier: Some(identifier), attached_time: None };
    v1::ImportedProfile {
        former_id: former_id.to_owned(),
        identifiers: identifiers(pairs).into_iter().map(identifier).collect(),
        ..Default::default()
    }
}

fn import(profiles: Vec<v1::ImportedProfile>) -> v1::ImportProfilesRequest {
    v1::ImportProfilesRequest { profiles, ..Default::default() }
}

fn position(server: &Dispatch) -> u64 {
    server.store().lock().position().0
}

fn moves(resolution: &v1::Resolution) -> Vec<(String, &str)> {
    let show = |moved: &v1::IdentifierMove| moved.identifier.clone().expect("set").value;
    resolution.moves.iter().map(|moved| (show(moved), moved.to_profile_id.as_str())).collect()
}

#[test]
fn a_login_joins_what_was_anonymous() {
    let server = in_memory();
    let anonymous = resolved(&server, event("anonymous_id=a1"));
    let request = v1::LoginRequest {
        event: Some(event("user_id=u1")),
        anonymous_identifiers: identifiers("anonymous_id=a1"),
        ..Default::default()
    };
    let preview = v1::LoginRequest { read_only: true, ..request.clone() };
    let before = position(&server);
    let answer: v1::LoginResponse = ask(&server, "Login", &preview);
    assert!(!answer.resolution.expect("set").recorded);
    assert_eq!(position(&server), before);
    let answer: v1::LoginResponse = ask(&server, "Login", &request);
    let resolution = answer.resolution.expect("set");
    assert_eq!(resolution.profile_id, anonymous.profile_id);
    assert!(resolution.known && resolution.recorded);
    assert_eq!(verdicts(&resolution), ["user_id=u1 ATTACHED", "anonymous_id=a1 ALREADY_ATTACHED"]);
    assert_eq!(figure(&server, "commands_login_total"), 1);

    let request = v1::LogoutRequest { event: Some(event("anonymous_id=a1")), ..Default::default() };
    let answer: v1::LogoutResponse = ask(&server, "Logout", &request);
    assert_eq!(answer.resolution.expect("set").profile_id, anonymous.profile_id);
    assert_eq!(figure(&server, "commands_logout_total"), 1);
}

#[test]
fn an_event_says_by_what_it_is_attributed() {
    use v1::profile_lookup::Lookup;
    let by = |resolution: v1::Resolution| resolution.attributed_by.and_then(|by| by.lookup);
    let server = in_memory();
    let ann = resolved(&server, event("user_id=u1"));
    assert_eq!(by(ann.clone()), Some(Lookup::ProfileId(ann.profile_id)));
    assert_eq!(by(resolved(&server, event("shoe=42"))), None);
    let preview = v1::ResolveEventRequest { read_only: true, ..resolve(event("user_id=u2")) };
    let preview: v1::ResolveEventResponse = ask(&server, "ResolveEvent", &preview);
    assert_eq!(by(preview.resolution.expect("set")), None);
    let rules = RULES.replacen("[workspace]", "[workspace]\nanonymous_history = \"moves\"", 1);
    let server = with_rules(&rules);
    let device = Some(Lookup::Identifier(identifier("device_id=d1")));
    assert_eq!(by(resolved(&server, event("device_id=d1"))), device);
}

#[test]
fn a_link_joins_sources_as_far_as_guards_let_it() {
    let server = with_rules(RULES);
    let user = resolved(&server, event("user_id=u1"));
    let device = resolved(&server, event("device_id=d1"));
    assert_ne!(user.profile_id, device.profile_id);
    let request = link("user_id=u1", "device_id=d1");
    let answer: v1::LinkIdentifiersResponse = ask(&server, "LinkIdentifiers", &request);
    let resolution = answer.resolution.expect("set");
    assert_eq!(resolution.decision(), v1::Decision::Merged);
    assert_eq!(resolution.profile_id, user.profile_id);
    assert_eq!(resolution.absorbed_profile_ids, [device.profile_id]);
    resolved(&server, event("user_id=u2"));
    let again = link("user_id=u2", "device_id=d1");
    let answer: v1::LinkIdentifiersResponse = ask(&server, "LinkIdentifiers", &again);
    let resolution = answer.resolution.expect("set");
    let last = resolution.verdicts.last().expect("the source's");
    assert_eq!((last.verdict(), last.rule()), (v1::Verdict::Refused, v1::Rule::SourceUsed));
    assert_eq!(last.collided_profile_id, user.profile_id);
    assert_ne!(resolution.profile_id, user.profile_id);
}

#[test]
fn identifiers_of_a_profile_are_changed() {
    let server = with_rules(RULES);
    let ann = resolved(&server, event("user_id=u1 email=old@x device_id=d1"));
    let bob = resolved(&server, event("user_id=u2 device_id=d2"));
    let request = v1::ModifyIdentifiersRequest {
        operation_id: "op1".into(),
        ..modify(
            "email=old@x",
            &[
                ("email", "old@x", "New@X"),
                ("device_id", "d1", ""),
                ("device_id", "", "d2"),
                ("email", "no@x", ""),
            ],
        )
    };
    let read_only = v1::ModifyIdentifiersRequest { read_only: true, ..request.clone() };
    let before = position(&server);
    let preview: v1::ModifyIdentifiersResponse = ask(&server, "ModifyIdentifiers", &read_only);
    assert_eq!(position(&server), before);
    let first: v1::ModifyIdentifiersResponse = ask(&server, "ModifyIdentifiers", &request);
    let first = first.resolution.expect("set");
    let expected = [
        "email=old@x REMOVED",
        "email=new@x ATTACHED",
        "device_id=d1 REMOVED",
        "device_id=d2 TRANSFERRED",
        "email=no@x REFUSED",
    ];
    assert_eq!(verdicts(&first), expected);
    assert_eq!(verdicts(&preview.resolution.expect("set")), expected);
    assert_eq!(first.profile_id, ann.profile_id);
    assert_eq!(first.verdicts[3].collided_profile_id, bob.profile_id);
    assert_eq!(first.verdicts[4].rule(), v1::Rule::NotAttached);
    assert_eq!(first.verdicts[1].raw_value, "New@X");

    let found = profile(&server, by_identifier("email=new@x"));
    assert_eq!((found.profile_id, found.identifier_count), (ann.profile_id, 3));
    assert_eq!(profile(&server, by_id(&bob.profile_id)).identifier_count, 1);
    assert_eq!(figure(&server, "commands_modify_total"), 1);
}

#[test]
fn a_repeated_operation_gets_the_recorded_answer() {
    let server = with_rules(RULES);
    resolved(&server, event("user_id=u1 email=old@x"));
    let request = v1::ModifyIdentifiersRequest {
        operation_id: "op1".into(),
        ..modify("email=old@x", &[("email", "old@x", "new@x")])
    };
    let (first, written) =
        answered::<v1::ModifyIdentifiersResponse>(&server, "ModifyIdentifiers", &request);
    let first = first.resolution.expect("set");
    // The lookup finds nobody by now, and the operation is known all the same.
    let (again, position) =
        answered::<v1::ModifyIdentifiersResponse>(&server, "ModifyIdentifiers", &request);
    let again = again.resolution.expect("set");
    assert!(again.repeated && again.recorded && !first.repeated);
    assert_eq!(v1::Resolution { repeated: false, ..again }, first);
    assert_eq!(position, written);
    assert_eq!(figure(&server, "commands_repeated_total"), 1);

    let other = v1::ModifyIdentifiersRequest {
        operation_id: "op1".into(),
        ..modify("user_id=u1", &[("email", "", "more@x")])
    };
    let refusal = refused(call(&server, "ModifyIdentifiers", &other));
    assert_eq!((&*refusal.reason, &*refusal.fields[0]), ("EVENT_ID_REUSED", "operation_id"));
    assert!(refusal.message.contains("another operation of this id"), "{}", refusal.message);
    let merge = v1::MergeProfilesRequest {
        operation_id: "op1".into(),
        ..merge("user_id=u1", &["user_id=u1"])
    };
    assert_eq!(refused(call(&server, "MergeProfiles", &merge)).reason, "EVENT_ID_REUSED");
}

#[test]
fn a_merge_has_a_verdict_for_each_source() {
    let server = with_rules(RULES);
    let target = resolved(&server, event("user_id=u1"));
    let one = resolved(&server, event("device_id=d1"));
    let two = resolved(&server, event("device_id=d2"));
    let request = v1::MergeProfilesRequest {
        operation_id: "m1".into(),
        ..merge("user_id=u1", &["device_id=d1", "device_id=no", "user_id=u1", "device_id=d2"])
    };
    let answer: v1::MergeProfilesResponse = ask(&server, "MergeProfiles", &request);
    let show = |answer: &v1::MergeProfilesResponse| {
        let show = |source: &v1::SourceVerdict| {
            let word = source.verdict().as_str_name().trim_start_matches("MERGE_VERDICT_");
            format!("{} {word}", source.profile_id)
        };
        answer.sources.iter().map(show).collect::<Vec<_>>()
    };
    let expected = [
        format!("{} MERGED", one.profile_id),
        " NOT_FOUND".to_owned(),
        format!("{} ALREADY_MERGED", target.profile_id),
        format!("{} MERGED", two.profile_id),
    ];
    assert_eq!(show(&answer), expected);
    let resolution = answer.resolution.expect("set");
    assert_eq!(resolution.decision(), v1::Decision::Merged);
    assert_eq!(resolution.profile_id, target.profile_id);
    assert_eq!(resolution.absorbed_profile_ids, [one.profile_id, two.profile_id]);
    let again: v1::MergeProfilesResponse = ask(&server, "MergeProfiles", &request);
    assert_eq!(show(&again), expected);
    assert!(again.resolution.expect("set").repeated);
    assert_eq!(figure(&server, "commands_merge_total"), 1);
}

#[test]
fn a_split_says_where_each_identifier_went() {
    let server = with_rules(RULES);
    let ann = resolved(&server, event("user_id=u1 device_id=d1 device_id=d2 device_id=d3"));
    let request = split("user_id=u1", "device_id=d1 device_id=d2");
    let preview = v1::SplitProfileRequest { read_only: true, ..request.clone() };
    let preview: v1::SplitProfileResponse = ask(&server, "SplitProfile", &preview);
    let preview = preview.resolution.expect("set");
    assert_eq!(moves(&preview), [("d1".to_owned(), ""), ("d2".to_owned(), "")]);
    let answer: v1::SplitProfileResponse = ask(&server, "SplitProfile", &request);
    let resolution = answer.resolution.expect("set");
    assert_eq!(resolution.profile_id, ann.profile_id);
    assert!(resolution.moves.iter().all(|moved| {
        moved.cause() == v1::MoveCause::Split && moved.from_profile_id == ann.profile_id
    }));
    for (value, to) in moves(&resolution) {
        let found = profile(&server, by_identifier(&format!("device_id={value}")));
        assert_eq!((found.profile_id.as_str(), found.identifier_count), (to, 1));
    }
    let together = v1::SplitProfileRequest {
        together: true,
        ..split("user_id=u1", "user_id=u1 device_id=d3")
    };
    let answer: v1::SplitProfileResponse = ask(&server, "SplitProfile", &together);
    let resolution = answer.resolution.expect("set");
    assert_eq!(resolution.moves[0].to_profile_id, resolution.moves[1].to_profile_id);
    assert_eq!(profile(&server, by_id(&ann.profile_id)).identifier_count, 0);
    let refusal = refused(call(&server, "SplitProfile", &split("device_id=d1", "user_id=u1")));
    assert_eq!((&*refusal.reason, &*refusal.fields[0]), ("INVALID_FIELD", "identifiers[0]"));
}

#[test]
fn history_is_attributed_once() {
    let server = with_rules(RULES);
    let device = resolved(&server, event("device_id=d1"));
    let user = resolved(&server, event("user_id=u1"));
    let request = v1::AttributeHistoryRequest {
        operation_id: "a1".into(),
        ..attribute("device_id=d1", "user_id=u1", 10, 20)
    };
    let preview = v1::AttributeHistoryRequest { read_only: true, ..request.clone() };
    let preview: v1::AttributeHistoryResponse = ask(&server, "AttributeHistory", &preview);
    assert!(preview.applied);
    assert_eq!(preview.attribution.expect("set").sequence_number, 0);
    let first: v1::AttributeHistoryResponse = ask(&server, "AttributeHistory", &request);
    let attribution = v1::HistoryAttribution {
        source_profile_id: device.profile_id.clone(),
        destination_profile_id: user.profile_id.clone(),
        start_time: wire_time(10_000),
        end_time: wire_time(20_000),
        sequence_number: first.sequence_number,
    };
    assert!(first.applied && !first.repeated);
    assert_eq!(first.attribution.as_ref(), Some(&attribution));
    let again: v1::AttributeHistoryResponse = ask(&server, "AttributeHistory", &request);
    assert!(again.repeated);
    assert_eq!(v1::AttributeHistoryResponse { repeated: false, ..again }, first);

    let overlap = attribute("device_id=d1", "user_id=u1", 15, 30);
    let overlap: v1::AttributeHistoryResponse = ask(&server, "AttributeHistory", &overlap);
    assert_eq!((overlap.applied, overlap.rule()), (false, v1::Rule::AttributionOverlap));
    assert_eq!(overlap.attribution.expect("set").sequence_number, 0);
    for id in [&device.profile_id, &user.profile_id] {
        assert_eq!(profile(&server, by_id(id)).attributions, std::slice::from_ref(&attribution));
    }
}

#[test]
fn a_profile_full_of_attributions_says_so() {
    let server = with_rules(RULES);
    resolved(&server, event("device_id=d1"));
    resolved(&server, event("device_id=d2"));
    resolved(&server, event("user_id=u1"));
    let bound = ipse_core::limits::ATTRIBUTIONS_MAX as i64;
    for at in 0..bound {
        let request = attribute("device_id=d1", "user_id=u1", 2 * at, 2 * at + 1);
        let answer: v1::AttributeHistoryResponse = ask(&server, "AttributeHistory", &request);
        assert!(answer.applied);
    }
    for (source, field) in [("d1", "source_profile"), ("d2", "destination_profile")] {
        let source = format!("device_id={source}");
        let request = attribute(&source, "user_id=u1", 2 * bound, 2 * bound + 1);
        let refusal = refused(call(&server, "AttributeHistory", &request));
        assert_eq!((&*refusal.reason, &*refusal.fields[0]), ("LIMIT_EXCEEDED", field));
        assert!(refusal.message.contains("1000"), "{}", refusal.message);
    }
    let overlap = attribute("device_id=d1", "user_id=u1", 0, 1);
    let overlap: v1::AttributeHistoryResponse = ask(&server, "AttributeHistory", &overlap);
    assert_eq!(overlap.rule(), v1::Rule::AttributionOverlap);
}

#[test]
fn profiles_are_imported_each_by_itself() {
    let server = with_rules(RULES);
    let mut ann = imported("old-1", "user_id=u1 email=ann@x");
    ann.created_time = wire_time(1_000_000);
    ann.identifiers[1].attached_time = wire_time(2_000_000);
    ann.traits = vec![v1::ImportedTrait {
        r#trait: Some(v1::Trait {
            name: "city".into(),
            value: Some(v1::r#trait::Value::StringValue("Lviv".into())),
            ..Default::default()
        }),
        set_time: wire_time(3_000_000),
    }];
    let mut bad = imported("old-2", "user_id=u2 E-Mail=x");
    bad.known = true;
    let missing = v1::ImportedProfile {
        identifiers: vec![v1::ImportedIdentifier::default()],
        ..Default::default()
    };
    let request = import(vec![ann, bad, missing, imported("old-3", "device_id=d3")]);
    let show = |answer: &v1::ImportProfilesResponse| {
        let show = |result: &v1::ImportProfilesResult| match result.result.as_ref().expect("set") {
            v1::import_profiles_result::Result::Resolution(resolution) => {
                format!("{:?} {}", resolution.decision(), verdicts(resolution).join(" "))
            }
            v1::import_profiles_result::Result::Error(error) => {
                format!("{} {}", error.reason, error.field)
            }
        };
        answer.results.iter().map(show).collect::<Vec<_>>()
    };
    let before = position(&server);
    let preview = v1::ImportProfilesRequest { read_only: true, ..request.clone() };
    let preview: v1::ImportProfilesResponse = ask(&server, "ImportProfiles", &preview);
    assert_eq!(position(&server), before);
    let answer: v1::ImportProfilesResponse = ask(&server, "ImportProfiles", &request);
    let expected = [
        "Created user_id=u1 ATTACHED email=ann@x ATTACHED",
        "INVALID_FIELD profiles[1].identifiers[1].namespace",
        "INVALID_FIELD profiles[2].identifiers[0].identifier",
        "Created device_id=d3 ATTACHED",
    ];
    assert_eq!(show(&answer), expected);
    assert_eq!(show(&preview), expected);
    let again: v1::ImportProfilesResponse = ask(&server, "ImportProfiles", &request);
    assert!(show(&again)[0].starts_with("AlreadyAttached"), "{:?}", show(&again));

    let lookup = v1::profile_lookup::Lookup::FormerId("old-1".to_owned());
    let found = profile(&server, Some(v1::ProfileLookup { lookup: Some(lookup) }));
    assert_eq!(found.former_ids, ["old-1"]);
    assert_eq!(found.created_time, wire_time(1_000_000));
    let times: Vec<_> = found.identifiers.iter().map(|held| held.attached_time).collect();
    assert_eq!(times, [wire_time(1_000_000), wire_time(2_000_000)]);
    assert_eq!((found.identifier_count, found.traits.len()), (2, 1));
    assert_eq!(figure(&server, "commands_import_total"), 4);
    assert_eq!(figure(&server, "commands_refused_total"), 4);
}

#[test]
fn a_long_import_lets_others_in_between() {
    let server = with_rules(RULES);
    let count = 1_000;
    let devices: String = (0..20).map(|number| format!("device_id=d{number}-P ")).collect();
    let profiles = (0..count)
        .map(|number| imported(&format!("p{number}"), &devices.replace('P', &number.to_string())))
        .collect();
    let answer: v1::ImportProfilesResponse = ask(&server, "ImportProfiles", &import(profiles));
    assert_eq!(answer.results.len(), count);
    let list: v1::ListProfilesResponse = ask(
        &server,
        "ListProfiles",
        &v1::ListProfilesRequest { page_size: 1_000, ..Default::default() },
    );
    assert_eq!(list.profiles.len(), count);
    assert!(list.profiles.iter().all(|profile| profile.identifier_count == 20));
}

#[test]
fn a_trait_is_set_once() {
    use v1::r#trait::Value;
    let server = in_memory();
    let with = |value: &str, set_once| v1::Event {
        traits: vec![v1::Trait {
            name: "first_page".into(),
            value: Some(Value::StringValue(value.into())),
            set_once,
        }],
        ..event("user_id=u1")
    };
    resolved(&server, with("a", true));
    resolved(&server, with("b", true));
    let value = |server: &_| profile(server, by_identifier("user_id=u1")).traits[0].value.clone();
    assert_eq!(value(&server), Some(Value::StringValue("a".into())));
    resolved(&server, v1::Event { timestamp: wire_time(NOW_MS + 1_000), ..with("c", false) });
    assert_eq!(value(&server), Some(Value::StringValue("c".into())));
}

#[test]
fn rules_are_explained() {
    let request = v1::ValidateRulesRequest { rules_toml: RULES.to_owned() };
    let answer: v1::ValidateRulesResponse = ask(&in_memory(), "ValidateRules", &request);
    assert!(answer.problems.is_empty() && !answer.explanation.is_empty());
}

#[test]
fn commands_are_refused_by_field() {
    let server = with_rules(RULES);
    resolved(&server, event("user_id=u1"));
    resolved(&server, event("user_id=u2"));
    let login = |event: Option<v1::Event>, anonymous: usize| v1::LoginRequest {
        event,
        anonymous_identifiers: vec![identifier("device_id=d1"); anonymous],
        ..Default::default()
    };
    let bad_source = v1::LoginRequest {
        anonymous_identifiers: identifiers("device_id=d1 No=1"),
        ..login(Some(event("user_id=u1")), 0)
    };
    let add = ("email", "", "a@x");
    let no_profile = v1::ModifyIdentifiersRequest { profile: None, ..modify("email=no@x", &[add]) };
    let long_id = v1::SplitProfileRequest {
        operation_id: "x".repeat(129),
        ..split("user_id=u1", "user_id=u1")
    };
    let ahead = v1::MergeProfilesRequest {
        timestamp: wire_time(NOW_MS + 2 * 86_400_000),
        ..merge("user_id=u1", &["user_id=u2"])
    };
    let no_source = v1::MergeProfilesRequest {
        sources: vec![v1::ProfileLookup::default()],
        ..merge("user_id=u1", &[])
    };
    let no_end = v1::AttributeHistoryRequest {
        end_time: None,
        ..attribute("user_id=u1", "user_id=u2", 1, 2)
    };
    let cases: Vec<(&str, &str, Reply)> = vec![
        ("event", "INVALID_FIELD", call(&server, "Login", &login(None, 0))),
        ("event", "INVALID_FIELD", call(&server, "Logout", &v1::LogoutRequest::default())),
        ("event.raw_json", "INVALID_FIELD", call(&server, "Login", &login(Some(raw("{}")), 0))),
        (
            "anonymous_identifiers",
            "LIMIT_EXCEEDED",
            call(&server, "Login", &login(Some(event("user_id=u1")), 65)),
        ),
        (
            "anonymous_identifiers[1].namespace",
            "INVALID_FIELD",
            call(&server, "Login", &bad_source),
        ),
        (
            "sources[0].namespace",
            "INVALID_FIELD",
            call(&server, "LinkIdentifiers", &link("user_id=u1", "No=1")),
        ),
        (
            "changes",
            "INVALID_FIELD",
            call(&server, "ModifyIdentifiers", &modify("user_id=u1", &[])),
        ),
        (
            "changes",
            "LIMIT_EXCEEDED",
            call(&server, "ModifyIdentifiers", &modify("user_id=u1", &[add; 65])),
        ),
        (
            "changes[1]",
            "INVALID_FIELD",
            call(&server, "ModifyIdentifiers", &modify("user_id=u1", &[add, ("email", "", "")])),
        ),
        ("profile", "INVALID_FIELD", call(&server, "ModifyIdentifiers", &no_profile)),
        (
            "profile.identifier",
            "PROFILE_NOT_FOUND",
            call(&server, "ModifyIdentifiers", &modify("email=no@x", &[add])),
        ),
        (
            "profile.identifier.namespace",
            "INVALID_FIELD",
            call(&server, "ModifyIdentifiers", &modify("no=x", &[add])),
        ),
        ("sources", "INVALID_FIELD", call(&server, "MergeProfiles", &merge("user_id=u1", &[]))),
        (
            "sources",
            "LIMIT_EXCEEDED",
            call(&server, "MergeProfiles", &merge("user_id=u1", &["user_id=u2"; 65])),
        ),
        ("sources[0]", "INVALID_FIELD", call(&server, "MergeProfiles", &no_source)),
        (
            "target.identifier",
            "PROFILE_NOT_FOUND",
            call(&server, "MergeProfiles", &merge("user_id=no", &["user_id=u2"])),
        ),
        ("timestamp", "INVALID_FIELD", call(&server, "MergeProfiles", &ahead)),
        ("identifiers", "INVALID_FIELD", call(&server, "SplitProfile", &split("user_id=u1", ""))),
        (
            "identifiers",
            "LIMIT_EXCEEDED",
            call(&server, "SplitProfile", &split("user_id=u1", &"device_id=d ".repeat(1_001))),
        ),
        ("operation_id", "LIMIT_EXCEEDED", call(&server, "SplitProfile", &long_id)),
        ("end_time", "INVALID_FIELD", call(&server, "AttributeHistory", &no_end)),
        (
            "end_time",
            "INVALID_FIELD",
            call(&server, "AttributeHistory", &attribute("user_id=u1", "user_id=u2", 2, 1)),
        ),
        (
            "source_profile.identifier",
            "PROFILE_NOT_FOUND",
            call(&server, "AttributeHistory", &attribute("user_id=no", "user_id=no", 1, 2)),
        ),
        (
            "destination_profile.identifier",
            "PROFILE_NOT_FOUND",
            call(&server, "AttributeHistory", &attribute("user_id=u1", "user_id=no", 1, 2)),
        ),
        (
            "destination_profile",
            "INVALID_FIELD",
            call(&server, "AttributeHistory", &attribute("user_id=u1", "user_id=u1", 1, 2)),
        ),
        (
            "profiles",
            "LIMIT_EXCEEDED",
            call(&server, "ImportProfiles", &import(vec![Default::default(); 1_001])),
        ),
        (
            "source",
            "LIMIT_EXCEEDED",
            call(
                &server,
                "ImportProfiles",
                &v1::ImportProfilesRequest { source: "x".repeat(129), ..import(vec![]) },
            ),
        ),
    ];
    let before = figure(&server, "calls_refused_total");
    for (field, reason, reply) in cases {
        let refusal = refused(reply);
        let found = (refusal.fields[0].as_str(), refusal.reason.as_str());
        assert_eq!(found, (field, reason), "{refusal:?}");
    }
    assert_eq!(before, 27);
}

#[test]
fn refusals_of_a_command_come_in_one_order() {
    let server = with_rules(RULES);
    resolved(&server, event("user_id=u1"));
    let used = v1::ModifyIdentifiersRequest {
        operation_id: "op1".into(),
        ..modify("user_id=u1", &[("email", "", "a@x")])
    };
    let _: v1::ModifyIdentifiersResponse = ask(&server, "ModifyIdentifiers", &used);
    // Each has the fault it is refused for and those of the ones after it.
    let nobody = v1::ModifyIdentifiersRequest {
        profile: by_identifier("user_id=no"),
        ..modify("user_id=no", &[("email", "", "b@x"), ("email", "", "c@x")])
    };
    let reused = v1::ModifyIdentifiersRequest { operation_id: "op1".into(), ..nobody.clone() };
    let nowhere = v1::ModifyIdentifiersRequest { workspace: "nowhere".into(), ..reused.clone() };
    let no_time = v1::ModifyIdentifiersRequest {
        timestamp: Some(prost_types::Timestamp { seconds: 0, nanos: -1 }),
        ..nowhere.clone()
    };
    let cases = [
        ("INVALID_FIELD", no_time),
        ("WORKSPACE_NOT_FOUND", nowhere),
        ("EVENT_ID_REUSED", reused),
        ("PROFILE_NOT_FOUND", nobody),
    ];
    for (reason, request) in cases {
        assert_eq!(refused(call(&server, "ModifyIdentifiers", &request)).reason, reason);
    }
}

#[test]
fn commands_wait_for_room_in_the_queue() {
    let dir = tempfile::tempdir().expect("a directory");
    let options = ipse_store::Options { write_queue_bytes_max: 0, ..Default::default() };
    let server = on_disk(dir.path(), options);
    let request = import(vec![imported("p1", "email=ann@x")]);
    assert_eq!(refused(call(&server, "ImportProfiles", &request)).reason, "WRITE_QUEUE_FULL");
    let preview = v1::ImportProfilesRequest { read_only: true, ..request };
    let answer: v1::ImportProfilesResponse = ask(&server, "ImportProfiles", &preview);
    assert_eq!(answer.results.len(), 1);
    let login = v1::LoginRequest { event: Some(event("user_id=u1")), ..Default::default() };
    assert_eq!(refused(call(&server, "Login", &login)).reason, "WRITE_QUEUE_FULL");
    let merge = merge("user_id=u1", &["user_id=u2"]);
    assert_eq!(refused(call(&server, "MergeProfiles", &merge)).reason, "WRITE_QUEUE_FULL");
}
