//! What calls answer, field by field.

mod support;

use ipse_rpc::proto::v1;
use ipse_store::{LogPosition, Options};
use prost::Message;
use support::*;

#[test]
fn a_journey_from_stranger_to_known() {
    let server = in_memory();
    let created = resolved(&server, event("anonymous_id=a1"));
    assert_eq!(created.decision(), v1::Decision::Created);
    assert!(created.created && created.recorded && !created.known && !created.repeated);
    assert_eq!((created.sequence_number, created.rules_version), (2, 1));
    assert_eq!(verdicts(&created), ["anonymous_id=a1 ATTACHED"]);

    let attached = resolved(&server, event("anonymous_id=a1 user_id=u1"));
    assert_eq!(attached.decision(), v1::Decision::Attached);
    assert!(attached.known && !attached.created && attached.recorded);
    assert_eq!(attached.profile_id, created.profile_id);
    assert_eq!(verdicts(&attached), ["user_id=u1 ATTACHED", "anonymous_id=a1 ALREADY_ATTACHED"]);

    let steady = resolved(&server, event("anonymous_id=a1 user_id=u1"));
    assert_eq!(steady.decision(), v1::Decision::AlreadyAttached);
    assert!(!steady.recorded);
    assert_eq!(steady.sequence_number, 3);

    let other = resolved(&server, event("email=ann@x"));
    let merged = resolved(&server, event("email=ann@x user_id=u1"));
    assert_eq!(merged.decision(), v1::Decision::Merged);
    assert_eq!(merged.profile_id, created.profile_id);
    assert_eq!(merged.absorbed_profile_ids, std::slice::from_ref(&other.profile_id));

    let absorbed = profile(&server, by_id(&other.profile_id));
    assert_eq!(absorbed.profile_id, created.profile_id);
    assert_eq!(absorbed.absorbed_profile_ids, [other.profile_id]);
    assert_eq!((absorbed.merge_count, absorbed.identifier_count), (1, 3));
    assert!(absorbed.known);
}

#[test]
fn nothing_usable_is_an_answer() {
    let server = in_memory();
    let resolution = resolved(&server, raw(r#"{"type":"track","userId":null}"#));
    assert_eq!(resolution.decision(), v1::Decision::Unresolved);
    assert_eq!((resolution.profile_id.as_str(), resolution.recorded), ("", false));
    assert_eq!(
        resolution.ignored,
        [v1::IgnoredField { path: "userId".into(), reason: "null".into() }]
    );
}

#[test]
fn a_raw_event_is_not_refused_for_having_too_much() {
    let server = in_memory();
    let element = |number: usize| {
        format!(r#"{{"id":"{number}","type":"email","collection":"users","encoding":"none"}}"#)
    };
    let elements: Vec<_> = (0..65).map(element).collect();
    let traits: Vec<_> = (0..301).map(|number| format!(r#""t{number}":{number}"#)).collect();
    let json = format!(
        r#"{{"userId":"{}","traits":{{{}}},"context":{{"externalIds":[{}]}}}}"#,
        "x".repeat(1_025),
        traits.join(","),
        elements.join(","),
    );
    let resolution = resolved(&server, raw(&json));
    assert_eq!(resolution.decision(), v1::Decision::Created);
    assert_eq!(resolution.verdicts.len(), 64);
    let ignored: Vec<_> = resolution.ignored.iter().map(|field| field.path.as_str()).collect();
    assert_eq!(ignored, ["userId", "context.externalIds[64].id", "traits.t99"]);
}

#[test]
fn dropped_identifiers_say_why() {
    let server = in_memory();
    let first = resolved(&server, event("user_id=u1 email=ann@x"));
    let resolution = resolved(&server, event("user_id=u2 email=ann@x shoe=42 anonymous_id=-1"));
    assert_eq!(resolution.decision(), v1::Decision::Created);
    let find = |namespace: &str| {
        let is = |verdict: &&v1::IdentifierVerdict| {
            verdict.identifier.as_ref().expect("set").namespace == namespace
        };
        resolution.verdicts.iter().find(is).expect("a verdict for each")
    };
    let email = find("email");
    assert_eq!((email.verdict(), email.rule()), (v1::Verdict::Dropped, v1::Rule::ValueLimit));
    assert_eq!((email.limit_namespace.as_str(), email.limit), ("user_id", 1));
    assert_eq!(email.collided_profile_id, first.profile_id);
    assert_eq!(email.violation, "Identifier value limit exceeded");
    assert_eq!(find("shoe").rule(), v1::Rule::UnknownNamespace);
    assert_eq!(find("anonymous_id").rule(), v1::Rule::BlockedValue);
    assert_eq!(find("anonymous_id").violation, "ID value blocked");
}

#[test]
fn an_event_that_comes_again_gets_its_recorded_answer() {
    let server = in_memory();
    let first = r#"{"messageId":"m1","type":"identify","userId":"u1","traits":{"a":1},
        "timestamp":"2024-01-01T00:00:00Z","sentAt":"2024-01-01T00:00:01Z"}"#;
    let again = r#"{"sentAt":"2024-01-01T00:09:00Z","timestamp":"2024-01-01T01:00:00+01:00",
        "traits":{"a":1},"userId":"u1","type":"identify","messageId":"m1"}"#;
    let recorded = resolved(&server, raw(first));
    resolved(&server, event("user_id=u1 email=ann@x"));
    let repeated = resolved(&server, raw(again));
    assert_eq!(repeated, v1::Resolution { repeated: true, ..recorded });
    let other = again.replace("\"a\":1", "\"a\":2");
    let refusal = refused(call(&server, "ResolveEvent", &resolve(raw(&other))));
    assert_eq!(
        (refusal.reason.as_str(), refusal.fields[0].as_str()),
        ("EVENT_ID_REUSED", "event.raw_json")
    );
}

#[test]
fn a_preview_writes_nothing_and_names_nobody_new() {
    let server = in_memory();
    let before = server.store().lock().position();
    let preview = |text: &str| {
        let request = v1::ResolveEventRequest { read_only: true, ..resolve(event(text)) };
        let answer: v1::ResolveEventResponse = ask(&server, "ResolveEvent", &request);
        answer.resolution.expect("set")
    };
    let created = preview("email=ann@x");
    assert_eq!((created.decision(), created.created), (v1::Decision::Created, true));
    assert_eq!((created.profile_id.as_str(), created.recorded), ("", false));
    assert_eq!(server.store().lock().position(), before);
    let real = resolved(&server, event("email=ann@x"));
    let attached = preview("email=ann@x user_id=u1");
    assert_eq!(attached.profile_id, real.profile_id);
    assert_eq!((attached.decision(), attached.recorded), (v1::Decision::Attached, false));
    assert_eq!(profile(&server, by_identifier("email=ann@x")).identifier_count, 1);
}

#[test]
fn a_batch_succeeds_in_parts_and_in_order() {
    let server = in_memory();
    let request = v1::ResolveEventsRequest {
        events: vec![
            event("email=ann@x"),
            event("E-Mail=ann@x"),
            raw("{"),
            event("email=ann@x user_id=u1"),
            v1::Event::default(),
        ],
        ..Default::default()
    };
    let (answer, position) =
        answered::<v1::ResolveEventsResponse>(&server, "ResolveEvents", &request);
    let show = |result: v1::ResolveEventsResult| match result.result.expect("set") {
        v1::resolve_events_result::Result::Resolution(resolution) => {
            resolution.decision().as_str_name().to_owned()
        }
        v1::resolve_events_result::Result::Error(error) => {
            format!("{} {} {}", error.code, error.reason, error.field)
        }
    };
    let results: Vec<_> = answer.results.into_iter().map(show).collect();
    assert_eq!(
        results,
        [
            "DECISION_CREATED",
            "3 INVALID_FIELD event.identifiers[0].namespace",
            "3 MALFORMED_JSON event.raw_json",
            "DECISION_ATTACHED",
            "DECISION_UNRESOLVED",
        ]
    );
    assert_eq!(position, LogPosition(3));
    let empty = v1::ResolveEventsRequest::default();
    let answer: v1::ResolveEventsResponse = ask(&server, "ResolveEvents", &empty);
    assert!(answer.results.is_empty());
}

#[test]
fn identifiers_come_in_pages() {
    let server = in_memory();
    let rules = "[namespaces.n]\nlimit = 10000\n[namespaces.m]\nlimit = 5\n";
    let set = v1::SetRulesRequest { rules_toml: rules.into(), ..Default::default() };
    let _: v1::SetRulesResponse = ask(&server, "SetRules", &set);
    for number in 0..25 {
        resolved(&server, event(&format!("m=key n=v{number:02}")));
    }
    let page = |page_size, page_token: &str| {
        let request = v1::GetProfileRequest {
            lookup: by_identifier("m=key"),
            page_size,
            page_token: page_token.into(),
            ..Default::default()
        };
        let answer: v1::GetProfileResponse = ask(&server, "GetProfile", &request);
        answer.profile.expect("set")
    };
    let values = |profile: &v1::Profile| -> Vec<String> {
        let value = |held: &v1::ProfileIdentifier| held.identifier.clone().expect("set").value;
        profile.identifiers.iter().map(value).collect()
    };
    let whole = values(&page(0, ""));
    assert_eq!(whole.len(), 26);
    let (mut read, mut token) = (Vec::new(), String::new());
    loop {
        let next = page(10, &token);
        read.extend(values(&next));
        token = next.next_page_token;
        if token.is_empty() {
            break;
        }
        // One more in between: not shown before its place has passed, and nothing twice.
        resolved(&server, event("m=key n=v99"));
    }
    read.retain(|value| value != "v99");
    assert_eq!(read, whole);
    let other = v1::GetProfileRequest {
        lookup: by_id(&resolved(&server, event("n=alone")).profile_id),
        page_token: page(1, "").next_page_token,
        ..Default::default()
    };
    assert_eq!(refused(call(&server, "GetProfile", &other)).reason, "INVALID_PAGE_TOKEN");
}

#[test]
fn profiles_are_read_in_batches() {
    let server = in_memory();
    let ann = resolved(&server, event("email=ann@x anonymous_id=a1"));
    let request = v1::BatchGetProfilesRequest {
        lookups: [
            by_identifier("email=ann@x"),
            by_identifier("email=no@x"),
            by_id(&ann.profile_id),
        ]
        .into_iter()
        .flatten()
        .chain([v1::ProfileLookup::default()])
        .collect(),
        page_size: 1,
        ..Default::default()
    };
    let answer: v1::BatchGetProfilesResponse = ask(&server, "BatchGetProfiles", &request);
    let show = |result: &v1::BatchGetProfilesResult| match result.result.as_ref().expect("set") {
        v1::batch_get_profiles_result::Result::Profile(profile) => profile.profile_id.clone(),
        v1::batch_get_profiles_result::Result::Error(error) => {
            format!("{} {}", error.reason, error.field)
        }
    };
    let results: Vec<_> = answer.results.iter().map(show).collect();
    assert_eq!(
        results,
        [
            ann.profile_id.as_str(),
            "PROFILE_NOT_FOUND lookup.identifier",
            ann.profile_id.as_str(),
            "INVALID_FIELD lookup",
        ]
    );
    assert_eq!(answer.sequence_number, 2);
    let Some(v1::batch_get_profiles_result::Result::Profile(first)) = &answer.results[0].result
    else {
        panic!("a profile")
    };
    let next = v1::GetProfileRequest {
        lookup: by_id(&ann.profile_id),
        page_token: first.next_page_token.clone(),
        ..Default::default()
    };
    let rest: v1::GetProfileResponse = ask(&server, "GetProfile", &next);
    assert_eq!(rest.profile.expect("set").identifiers.len(), 1);
}

#[test]
fn a_batch_that_is_full_refuses_the_rest() {
    use v1::batch_get_profiles_result::Result as Found;
    let server = in_memory();
    let text = v1::r#trait::Value::StringValue("x".repeat(8_192));
    let big = |number| v1::Trait {
        name: format!("t{number}"),
        value: Some(text.clone()),
        ..Default::default()
    };
    resolved(&server, v1::Event { traits: (0..300).map(big).collect(), ..event("email=big@x") });
    resolved(&server, event("email=small@x"));
    let lookups = |pairs: &[&str]| v1::BatchGetProfilesRequest {
        lookups: pairs.iter().filter_map(|pair| by_identifier(pair)).collect(),
        ..Default::default()
    };
    let mut pairs = vec!["email=big@x"; 8];
    pairs.extend(["email=small@x", "email=no@x"]);
    let answer: v1::BatchGetProfilesResponse = ask(&server, "BatchGetProfiles", &lookups(&pairs));
    assert!(answer.encoded_len() < ipse_rpc::limits::BATCH_GET_RESPONSE_BYTES_MAX);
    let show = |result: v1::BatchGetProfilesResult| match result.result.expect("set") {
        Found::Profile(_) => "found".to_owned(),
        Found::Error(error) => format!("{} {}", error.reason, error.field),
    };
    let results: Vec<_> = answer.results.into_iter().map(show).collect();
    assert_eq!(results[..6], ["found"; 6]);
    assert_eq!(results[6..9], ["LIMIT_EXCEEDED lookups"; 3]);
    assert_eq!(results[9], "PROFILE_NOT_FOUND lookup.identifier");
}

#[test]
fn previews_are_counted_apart() {
    let server = in_memory();
    for text in ["email=ann@x", "E-Mail=ann@x"] {
        let request = v1::ResolveEventRequest { read_only: true, ..resolve(event(text)) };
        drop(call(&server, "ResolveEvent", &request));
    }
    let figure = |name| figure(&server, name);
    assert_eq!(figure("previews_total"), 2);
    assert_eq!((figure("events_created_total"), figure("events_refused_total")), (0, 0));
    resolved(&server, event("email=ann@x"));
    assert_eq!((figure("previews_total"), figure("events_created_total")), (2, 1));
}

#[test]
fn stats_tell_of_nothing_newer_than_they_rest_on() {
    let server = in_memory();
    let is_done = std::sync::atomic::AtomicBool::new(false);
    let ordering = std::sync::atomic::Ordering::Relaxed;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut numbers = 0..;
            while !is_done.load(ordering) {
                let number = numbers.next().expect("endless");
                resolved(&server, event(&format!("anonymous_id=a{number}")));
            }
        });
        for _ in 0..20_000 {
            let (stats, position): (v1::GetStatsResponse, _) =
                answered(&server, "GetStats", &v1::GetStatsRequest {});
            let records: u64 = stats.workspaces.iter().map(|told| told.sequence_number).sum();
            // Not asserted here: a panic would leave the other thread running for ever.
            let is_right = records == stats.log_position && position.0 == stats.log_position;
            if !is_right || stats.synced_log_position > stats.log_position {
                is_done.store(true, ordering);
                panic!("{stats:?} rests on {position:?}");
            }
        }
        is_done.store(true, ordering);
    });
}

#[test]
fn traits_are_kept_with_their_kinds() {
    use v1::r#trait::Value;
    let server = in_memory();
    let values = [
        ("a", Value::StringValue(String::new())),
        ("b", Value::IntegerValue(i64::MIN)),
        ("c", Value::NumberValue(-0.5)),
        ("d", Value::BoolValue(false)),
        ("e", Value::JsonValue(r#"{"x":[1]}"#.into())),
    ];
    let sent: Vec<_> = values
        .map(|(name, value)| v1::Trait {
            name: name.into(),
            value: Some(value),
            ..Default::default()
        })
        .into();
    resolved(&server, v1::Event { traits: sent.clone(), ..event("email=ann@x") });
    let found = profile(&server, by_identifier("email=ann@x"));
    assert_eq!(found.traits, sent);
    let removed = v1::Trait { name: "a".into(), ..Default::default() };
    let time = Some(prost_types::Timestamp { seconds: NOW_MS / 1_000 + 1, nanos: 0 });
    resolved(&server, v1::Event { traits: vec![removed], timestamp: time, ..event("email=ann@x") });
    assert_eq!(profile(&server, by_identifier("email=ann@x")).traits, sent[1..]);
}

#[test]
fn fields_beside_raw_json_win_over_those_in_it() {
    let server = in_memory();
    let json = r#"{"messageId":"in","type":"in","timestamp":"bad","userId":"u1"}"#;
    let event = v1::Event {
        event_id: "out".into(),
        r#type: "out".into(),
        timestamp: Some(prost_types::Timestamp { seconds: 5, nanos: 0 }),
        ..raw(json)
    };
    assert!(resolved(&server, event.clone()).created);
    assert!(resolved(&server, event).repeated);
    let found = profile(&server, by_identifier("user_id=u1"));
    assert_eq!(found.identifiers[0].attached_time.expect("set").seconds, 5);
}

#[test]
fn raw_events_are_read_by_the_rules_in_force() {
    let server = in_memory();
    let json = r#"{"who":"w1"}"#;
    assert_eq!(resolved(&server, raw(json)).decision(), v1::Decision::Unresolved);
    let rules = "[namespaces.who]\nlimit = 1\nfrom = \"who\"\n";
    let set = v1::SetRulesRequest { rules_toml: rules.into(), ..Default::default() };
    let answer: v1::SetRulesResponse = ask(&server, "SetRules", &set);
    assert_eq!((answer.version, answer.sequence_number), (2, 2));
    let resolution = resolved(&server, raw(json));
    assert_eq!((resolution.decision(), resolution.rules_version), (v1::Decision::Created, 2));
}

#[test]
fn rules_are_versions() {
    let server = in_memory();
    let get = |server: &_| -> v1::GetRulesResponse {
        ask(server, "GetRules", &v1::GetRulesRequest::default())
    };
    let first = get(&server);
    assert_eq!(first.version, 1);
    let set = |text: &str, expected_version, read_only| -> v1::SetRulesResponse {
        let rules_toml = text.to_owned();
        let request =
            v1::SetRulesRequest { rules_toml, expected_version, read_only, ..Default::default() };
        ask(&server, "SetRules", &request)
    };
    let text = "[namespaces.email]\nlimit = 3\n";
    assert_eq!(set(&first.rules_toml, 1, false).version, 1);
    assert_eq!(set(text, 1, true).version, 2);
    assert_eq!(get(&server), first);
    assert_eq!(set(text, 1, false).version, 2);
    assert_eq!(get(&server).rules_toml, text);
    let check = |text: &str| -> v1::ValidateRulesResponse {
        ask(&server, "ValidateRules", &v1::ValidateRulesRequest { rules_toml: text.into() })
    };
    assert!(check(text).problems.is_empty());
    let problem = &check("[namespaces.email]\nlimits = 3\n").problems[0];
    assert_eq!(problem.line, 2, "{problem:?}");
    assert!(problem.key.starts_with("namespaces.email"), "{problem:?}");
}

#[test]
fn workspaces_are_islands() {
    let server = in_memory();
    for name in ["shop", "blog"] {
        let request = v1::CreateWorkspaceRequest { name: name.into(), ..Default::default() };
        let created: v1::CreateWorkspaceResponse = ask(&server, "CreateWorkspace", &request);
        assert_eq!(created.workspace.expect("set").sequence_number, 1);
    }
    let here = v1::ResolveEventRequest { workspace: "shop".into(), ..resolve(event("email=a@x")) };
    let (answer, position) = answered::<v1::ResolveEventResponse>(&server, "ResolveEvent", &here);
    assert_eq!((answer.resolution.expect("set").sequence_number, position), (2, LogPosition(4)));
    let there = v1::GetProfileRequest { lookup: by_identifier("email=a@x"), ..Default::default() };
    let refusal = refused(call(&server, "GetProfile", &there));
    assert_eq!((refusal.reason.as_str(), refusal.position), ("PROFILE_NOT_FOUND", LogPosition(1)));

    let (mut names, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = v1::ListWorkspacesRequest { page_size: 2, page_token };
        let answer: v1::ListWorkspacesResponse = ask(&server, "ListWorkspaces", &request);
        names.extend(answer.workspaces.into_iter().map(|workspace| workspace.name));
        page_token = answer.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(names, ["blog", "default", "shop"]);
    let shop: v1::GetWorkspaceResponse =
        ask(&server, "GetWorkspace", &v1::GetWorkspaceRequest { name: "shop".into() });
    let shop = shop.workspace.expect("set");
    assert_eq!((shop.profile_count, shop.identifier_count, shop.state_hash.len()), (1, 1, 32));
}

#[test]
fn what_was_answered_is_there_after_a_restart() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = on_disk(dir.path(), Options::default());
    let first = resolved(&server, event("email=ann@x"));
    let made: v1::CheckpointResponse = ask(&server, "Checkpoint", &v1::CheckpointRequest {});
    assert_eq!(made.log_position, 2);
    let (answer, position) = answered::<v1::ResolveEventResponse>(
        &server,
        "ResolveEvent",
        &resolve(event("email=ann@x user_id=u1")),
    );
    assert_eq!(server.store().wait_synced(position, None), Ok(true));
    let before: v1::GetWorkspaceResponse =
        ask(&server, "GetWorkspace", &v1::GetWorkspaceRequest::default());
    server.close(false).expect("a good disk");
    server.close(true).expect("closing again is harmless");
    drop(server);

    let server = on_disk(dir.path(), Options::default());
    let after: v1::GetWorkspaceResponse =
        ask(&server, "GetWorkspace", &v1::GetWorkspaceRequest::default());
    assert_eq!(after, before);
    let again = resolved(&server, event("email=ann@x user_id=u1"));
    assert_eq!(again.profile_id, first.profile_id);
    assert_eq!(Some(again.sequence_number), answer.resolution.map(|known| known.sequence_number));
    let stats: v1::GetStatsResponse = ask(&server, "GetStats", &v1::GetStatsRequest {});
    let recovery = stats.recovery.expect("set");
    assert_eq!((recovery.snapshot_log_position, recovery.replayed_record_count), (2, 1));
    assert!(recovery.clean_shutdown);
    assert_eq!((stats.sync.as_str(), stats.log_position), ("always", 3));
}
