//! Every refusal of the wire, what it looks like, and which comes first.

mod support;

use std::collections::BTreeSet;

use ipse_core::graph::Memory;
use ipse_core::rules::preset;
use ipse_rpc::proto::v1;
use ipse_rpc::{Bounds, Dispatch, Reply};
use ipse_store::{Ceilings, LogPosition, Options, Recovery, Store};
use prost::Message;
use support::*;

const DAY_MS: i64 = 86_400_000;

fn rules_with(namespaces: std::ops::Range<u32>) -> String {
    namespaces.map(|number| format!("[namespaces.n{number}]\nlimit = 1\n")).collect()
}

fn set_rules(text: &str) -> v1::SetRulesRequest {
    v1::SetRulesRequest { rules_toml: text.to_owned(), ..Default::default() }
}

/// A server whose queue is full from the beginning.
fn with_full_queue(dir: &std::path::Path) -> Dispatch {
    on_disk(dir, Options { write_queue_bytes_max: 0, ..Options::default() })
}

/// What the holder of [`guarded`]'s only token sends.
const READER: Option<&[u8]> = Some(b"Bearer r");

/// A server with a token that reads the workspace `default`.
fn guarded() -> Dispatch {
    let hash = ipse_core::identifier::sha256_hex("r");
    let text = format!("role = \"read\"\nworkspaces = [\"default\"]\nsha256 = \"{hash}\"");
    let tokens = ipse_rpc::Tokens::parse(&format!("[tokens.reader]\n{text}\n"));
    in_memory().guarded_by(tokens.expect("a good file"))
}

/// A read of a profile that was erased.
fn read_of_erased() -> Reply {
    let server = in_memory();
    let profile_id = resolved(&server, event("email=ann@x")).profile_id;
    let lookup = by_identifier("email=ann@x");
    let deletion = v1::DeleteProfileRequest { profile: lookup, ..Default::default() };
    let _: v1::DeleteProfileResponse = ask(&server, "DeleteProfile", &deletion);
    let read = v1::GetProfileRequest { lookup: by_id(&profile_id), ..Default::default() };
    call(&server, "GetProfile", &read)
}

/// A server that holds as many bytes for its callers as it may.
fn loaded() -> Dispatch {
    let server = in_memory();
    server.set_bounds(Bounds { held_bytes_max: 1, ..Bounds::default() });
    server.hold(1);
    server
}

/// A server that may hold no identifier.
fn without_memory() -> Dispatch {
    let none = Memory { identifiers: 0, bytes: u64::MAX };
    let store = Store::in_memory(7);
    let bounded = store.bounded_by(Ceilings { workspace: none, ..Ceilings::UNBOUNDED });
    started(bounded, Recovery::default())
}

/// A server whose workspace has sent all that it may for now.
fn busy() -> Dispatch {
    let server = in_memory();
    let bounds = Bounds { workspace_events_per_s_max: 1, workspace_burst: 1, ..Bounds::default() };
    server.set_bounds(bounds);
    resolved(&server, event("email=first@x"));
    server
}

/// A read as of a record that is no longer kept: the past goes by about a thousand records.
fn read_of_forgotten(dir: &std::path::Path) -> Reply {
    let none = Options { history_retention_days: 0, history_retention_bytes: 0, ..<_>::default() };
    let server = on_disk(dir, Options { segment_size_bytes: 4_096, ..none });
    for number in 0..2_500 {
        resolved(&server, event(&format!("email=a{number}@x")));
        if number % 500 == 499 {
            let _: v1::CheckpointResponse = ask(&server, "Checkpoint", &v1::CheckpointRequest {});
        }
    }
    let as_of = Some(v1::AsOf { moment: Some(v1::as_of::Moment::SequenceNumber(1)) });
    let lookup = by_identifier("email=a9@x");
    call(&server, "GetProfile", &v1::GetProfileRequest { lookup, as_of, ..Default::default() })
}

/// An undoing of a merge that a later one was built on.
fn undo_of_a_part() -> Reply {
    let server = in_memory();
    let ids = ["email=a@x", "email=b@x", "email=c@x"];
    let [a, b, c] = ids.map(|pair| resolved(&server, event(pair)).profile_id);
    for source in [&b, &c] {
        let (target, sources) = (by_id(&a), by_id(source).into_iter().collect());
        let merge = v1::MergeProfilesRequest { target, sources, ..Default::default() };
        let _: v1::MergeProfilesResponse = ask(&server, "MergeProfiles", &merge);
    }
    let undo = v1::RevertMergeRequest { absorbed_profile_id: b, ..Default::default() };
    call(&server, "RevertMerge", &undo)
}

/// One call for each reason, with the field that is at fault.
fn one_of_each() -> Vec<(&'static str, i32, &'static str, Reply)> {
    let dir = tempfile::tempdir().expect("a directory");
    let server = in_memory();
    resolved(&server, v1::Event { event_id: "e1".into(), ..event("email=ann@x") });
    let big = v1::Event { raw_json: vec![b' '; 65_537], ..Default::default() };
    let ahead = v1::Event { timestamp: wire_time(NOW_MS + DAY_MS + 1_000), ..event("email=a@x") };
    let both = v1::Event { raw_json: b"{}".to_vec(), ..event("email=a@x") };
    let reused = v1::Event { event_id: "e1".into(), ..event("email=bob@x") };
    let page = v1::GetProfileRequest {
        lookup: by_identifier("email=ann@x"),
        page_token: "00".into(),
        ..Default::default()
    };
    let nobody =
        v1::GetProfileRequest { lookup: by_identifier("email=no@x"), ..Default::default() };
    let nowhere =
        v1::ResolveEventRequest { workspace: "nowhere".into(), ..resolve(event("email=a@x")) };
    let exists = v1::CreateWorkspaceRequest { name: "default".into(), ..Default::default() };
    let stale = v1::SetRulesRequest {
        expected_version: 7,
        ..set_rules(preset("segment").expect("built in"))
    };
    let closed = in_memory();
    closed.close(false).expect("nothing to sync");
    let full = with_full_queue(&dir.path().join("full"));
    let crowded = in_memory();
    call(&crowded, "SetRules", &set_rules(&rules_with(0..200))).result.expect("room for 200");
    let bare = on_disk(&dir.path().join("gone"), Options::default());
    // Renamed, not removed: the writer may be reserving space in it.
    std::fs::rename(dir.path().join("gone"), dir.path().join("elsewhere")).expect("ours");
    let resolve_method = "/ipse.v1.IdentityService/ResolveEvent";
    let (too_full, _) = with_full_disk();
    vec![
        ("MALFORMED_REQUEST", 3, "", server.call(resolve_method, b"\xff", None, None, at(NOW_MS))),
        (
            "INVALID_FIELD",
            3,
            "event.identifiers[0].namespace",
            call(&server, "ResolveEvent", &resolve(event("E-Mail=a@x"))),
        ),
        ("LIMIT_EXCEEDED", 3, "event.raw_json", call(&server, "ResolveEvent", &resolve(big))),
        ("MALFORMED_JSON", 3, "event.raw_json", call(&server, "ResolveEvent", &resolve(raw("[]")))),
        (
            "EVENT_FORM_AMBIGUOUS",
            3,
            "event.raw_json",
            call(&server, "ResolveEvent", &resolve(both)),
        ),
        (
            "TIMESTAMP_IN_FUTURE",
            3,
            "event.timestamp",
            call(&server, "ResolveEvent", &resolve(ahead)),
        ),
        ("INVALID_RULES", 3, "rules_toml", call(&server, "SetRules", &set_rules("namespaces = 1"))),
        ("INVALID_PAGE_TOKEN", 3, "page_token", call(&server, "GetProfile", &page)),
        ("WORKSPACE_NOT_FOUND", 5, "workspace", call(&server, "ResolveEvent", &nowhere)),
        ("PROFILE_NOT_FOUND", 5, "lookup.identifier", call(&server, "GetProfile", &nobody)),
        ("WORKSPACE_EXISTS", 6, "name", call(&server, "CreateWorkspace", &exists)),
        ("EVENT_ID_REUSED", 6, "event.event_id", call(&server, "ResolveEvent", &resolve(reused))),
        ("RULES_VERSION_MISMATCH", 9, "expected_version", call(&server, "SetRules", &stale)),
        ("WRITE_QUEUE_FULL", 8, "", call(&full, "ResolveEvent", &resolve(event("email=a@x")))),
        ("STORAGE_FULL", 8, "", call(&too_full, "ResolveEvent", &resolve(event("email=a@x")))),
        ("CAPACITY_EXCEEDED", 8, "", call(&crowded, "SetRules", &set_rules(&rules_with(200..450)))),
        ("NOT_SERVING", 14, "", call(&closed, "GetStats", &v1::GetStatsRequest {})),
        ("METHOD_NOT_FOUND", 12, "", call(&server, "DropEverything", &v1::GetStatsRequest {})),
        ("INTERNAL", 13, "", call(&bare, "Checkpoint", &v1::CheckpointRequest {})),
        ("DEADLINE_EXCEEDED", 4, "", server.call(resolve_method, b"", None, Some(0), at(NOW_MS))),
        ("UNAUTHENTICATED", 16, "", guarded().call(resolve_method, b"", None, None, at(NOW_MS))),
        ("PERMISSION_DENIED", 7, "", guarded().call(resolve_method, b"", READER, None, at(NOW_MS))),
        ("ERASED", 5, "lookup.profile_id", read_of_erased()),
        ("OVERLOADED", 8, "", call(&loaded(), "GetProfile", &v1::GetProfileRequest::default())),
        (
            "CEILING_REACHED",
            8,
            "",
            call(&without_memory(), "ResolveEvent", &resolve(event("email=a@x"))),
        ),
        ("HISTORY_EXPIRED", 9, "", read_of_forgotten(&dir.path().join("short"))),
        ("MERGE_BUILT_ON", 9, "absorbed_profile_id", undo_of_a_part()),
        ("RATE_LIMITED", 8, "", call(&busy(), "ResolveEvent", &resolve(event("email=a@x")))),
    ]
}

#[test]
fn every_reason_is_given_with_its_code_and_field() {
    let mut seen = BTreeSet::new();
    for (reason, code, field, reply) in one_of_each() {
        let refusal = refused(reply);
        assert_eq!((refusal.reason.as_str(), refusal.code), (reason, code), "{refusal:?}");
        assert_eq!(refusal.fields.first().map_or("", String::as_str), field, "{refusal:?}");
        let for_now = ["WRITE_QUEUE_FULL", "OVERLOADED", "RATE_LIMITED", "STORAGE_FULL"];
        assert_eq!(refusal.retries, for_now.contains(&reason));
        seen.insert(reason);
    }
    let documented: BTreeSet<_> = (1..256)
        .filter_map(|number| v1::ErrorReason::try_from(number).ok())
        .map(|reason| reason.as_str_name().trim_start_matches("ERROR_REASON_"))
        .collect();
    assert_eq!(seen, documented);
}

#[test]
fn a_key_that_would_do_nothing_is_refused() {
    const BY_KEY: &str = "[workspace]\ntrigger = \"key\"\nkey = \"user\"\n[namespaces.user]\n\
         limit = 1\n[namespaces.token]\nexclusive = true\n[namespaces.kiosk]\nshared = true";
    let server = with_rules(BY_KEY);
    let keyed =
        |key: &str| v1::Event { key_namespace: key.into(), ..event("user=ann token=t kiosk=k") };
    for (key, problem) in [("card", "no namespace"), ("token", "exclusive"), ("kiosk", "shared")] {
        let refusal = refused(call(&server, "ResolveEvent", &resolve(keyed(key))));
        let found = (&*refusal.reason, &*refusal.fields[0]);
        assert_eq!(found, ("INVALID_FIELD", "event.key_namespace"));
        assert!(refusal.message.contains(problem), "{}", refusal.message);
        let login = v1::LoginRequest { event: Some(keyed(key)), ..Default::default() };
        assert_eq!(refused(call(&server, "Login", &login)).fields, ["event.key_namespace"]);
    }
    resolved(&server, keyed("user"));
    let plain = v1::Event { key_namespace: "card".into(), ..event("user_id=u1") };
    let refusal = refused(call(&in_memory(), "ResolveEvent", &resolve(plain)));
    assert_eq!(refusal.fields, ["event.key_namespace"]);
}

#[test]
fn refusals_come_in_one_order() {
    // Each request has the fault it is refused for and every fault of those after it.
    let dir = tempfile::tempdir().expect("a directory");
    let full = with_full_queue(dir.path());
    let closed = in_memory();
    closed.close(false).expect("nothing to sync");
    let no_workspace =
        v1::ResolveEventRequest { workspace: "nowhere".into(), ..resolve(raw("[]")) };
    let oversized = vec![0xff; ipse_rpc::limits::REQUEST_BYTES_MAX + 1];
    let no_event = v1::ResolveEventRequest { workspace: "nowhere".into(), ..Default::default() };
    let method = "/ipse.v1.IdentityService/ResolveEvent";
    let now = at(NOW_MS);
    let guarded = guarded();
    let no_event_bytes = v1::ResolveEventRequest { read_only: true, ..no_event.clone() };
    let no_event_bytes = no_event_bytes.encode_to_vec();
    let cases: [(&str, Reply); 14] = [
        ("NOT_SERVING", closed.call("/none", &oversized, None, Some(0), now)),
        ("UNAUTHENTICATED", guarded.call("/none", &oversized, None, Some(0), now)),
        ("METHOD_NOT_FOUND", guarded.call("/none", &oversized, READER, Some(0), now)),
        ("DEADLINE_EXCEEDED", guarded.call(method, &oversized, READER, Some(0), now)),
        ("LIMIT_EXCEEDED", guarded.call(method, &oversized, READER, None, now)),
        ("MALFORMED_REQUEST", guarded.call(method, &oversized[..10], READER, None, now)),
        ("PERMISSION_DENIED", guarded.call(method, &no_event_bytes, READER, None, now)),
        ("METHOD_NOT_FOUND", full.call("/none", &oversized, None, Some(0), now)),
        ("DEADLINE_EXCEEDED", full.call(method, &oversized, None, Some(-1), now)),
        ("LIMIT_EXCEEDED", full.call(method, &oversized, None, Some(1), now)),
        ("MALFORMED_REQUEST", full.call(method, &oversized[..10], None, Some(1), now)),
        ("INVALID_FIELD", call(&full, "ResolveEvent", &no_event)),
        ("WORKSPACE_NOT_FOUND", call(&full, "ResolveEvent", &no_workspace)),
        ("WRITE_QUEUE_FULL", call(&full, "ResolveEvent", &resolve(raw("[]")))),
    ];
    for (reason, reply) in cases {
        assert_eq!(refused(reply).reason, reason);
    }
}

#[test]
fn refusals_of_one_event_come_in_one_order() {
    let server = in_memory();
    resolved(&server, v1::Event { event_id: "e1".into(), ..event("email=ann@x") });
    let worst = v1::Event {
        event_id: "e1".into(),
        timestamp: wire_time(NOW_MS + 2 * DAY_MS),
        profile_id: "nobody".into(),
        source: "x".repeat(129),
        ..event("email=bob@x")
    };
    let no_limit = v1::Event { source: String::new(), ..worst.clone() };
    let no_future = v1::Event { timestamp: wire_time(NOW_MS), ..no_limit.clone() };
    let no_profile = v1::Event { profile_id: String::new(), ..no_future.clone() };
    let cases = [
        ("LIMIT_EXCEEDED", "event.source", worst),
        ("TIMESTAMP_IN_FUTURE", "event.timestamp", no_limit),
        ("PROFILE_NOT_FOUND", "event.profile_id", no_future),
        ("EVENT_ID_REUSED", "event.event_id", no_profile),
    ];
    for (reason, field, event) in cases {
        let refusal = refused(call(&server, "ResolveEvent", &resolve(event)));
        assert_eq!((refusal.reason.as_str(), refusal.fields[0].as_str()), (reason, field));
    }
}

#[test]
fn fields_are_refused_by_name() {
    let server = in_memory();
    let with = |change: fn(&mut v1::Event)| {
        let mut event = event("email=a@x");
        change(&mut event);
        call(&server, "ResolveEvent", &resolve(event))
    };
    let trait_of = |value| v1::Trait { name: "t".into(), value: Some(value), ..Default::default() };
    let traits = |value| {
        let event = v1::Event { traits: vec![trait_of(value)], ..event("email=a@x") };
        call(&server, "ResolveEvent", &resolve(event))
    };
    use v1::r#trait::Value;
    let lookup = |lookup| v1::GetProfileRequest { lookup, ..Default::default() };
    let cases: Vec<(&str, &str, Reply)> = vec![
        (
            "event",
            "INVALID_FIELD",
            call(&server, "ResolveEvent", &v1::ResolveEventRequest::default()),
        ),
        ("event.event_id", "LIMIT_EXCEEDED", with(|event| event.event_id = "x".repeat(129))),
        ("event.type", "LIMIT_EXCEEDED", with(|event| event.r#type = "x".repeat(65))),
        ("event.key_namespace", "INVALID_FIELD", with(|event| event.key_namespace = "No".into())),
        (
            "event.identifiers[0].value",
            "INVALID_FIELD",
            with(|event| event.identifiers[0].value.clear()),
        ),
        (
            "event.identifiers[0].value",
            "LIMIT_EXCEEDED",
            with(|event| event.identifiers[0].value = "x".repeat(1_025)),
        ),
        (
            "event.identifiers",
            "LIMIT_EXCEEDED",
            with(|event| event.identifiers = vec![identifier("email=a@x"); 65]),
        ),
        (
            "event.timestamp",
            "INVALID_FIELD",
            with(|event| {
                event.timestamp = Some(prost_types::Timestamp { seconds: i64::MAX, nanos: 0 })
            }),
        ),
        (
            "event.timestamp",
            "INVALID_FIELD",
            with(|event| event.timestamp = Some(prost_types::Timestamp { seconds: 0, nanos: -1 })),
        ),
        ("event.traits[0].number_value", "INVALID_FIELD", traits(Value::NumberValue(f64::NAN))),
        ("event.traits[0].json_value", "INVALID_FIELD", traits(Value::JsonValue("{".into()))),
        ("event.traits[0].json_value", "INVALID_FIELD", traits(Value::JsonValue("1".into()))),
        (
            "event.raw_json.timestamp",
            "INVALID_FIELD",
            call(&server, "ResolveEvent", &resolve(raw(r#"{"timestamp":"x"}"#))),
        ),
        (
            "event.raw_json",
            "LIMIT_EXCEEDED",
            call(
                &server,
                "ResolveEvent",
                &resolve(raw(&format!(r#"{{"messageId":"{}"}}"#, "x".repeat(129)))),
            ),
        ),
        ("lookup", "INVALID_FIELD", call(&server, "GetProfile", &lookup(None))),
        (
            "lookup.profile_id",
            "PROFILE_NOT_FOUND",
            call(&server, "GetProfile", &lookup(by_id("ip_x"))),
        ),
        (
            "lookup.identifier.namespace",
            "INVALID_FIELD",
            call(&server, "GetProfile", &lookup(by_identifier("no=x"))),
        ),
        (
            "lookup.identifier.value",
            "INVALID_FIELD",
            call(&server, "GetProfile", &lookup(by_identifier("email="))),
        ),
        (
            "page_size",
            "INVALID_FIELD",
            call(
                &server,
                "ListWorkspaces",
                &v1::ListWorkspacesRequest { page_size: -1, ..Default::default() },
            ),
        ),
        (
            "events",
            "LIMIT_EXCEEDED",
            call(
                &server,
                "ResolveEvents",
                &v1::ResolveEventsRequest {
                    events: vec![v1::Event::default(); 1_001],
                    ..Default::default()
                },
            ),
        ),
        (
            "lookups",
            "LIMIT_EXCEEDED",
            call(
                &server,
                "BatchGetProfiles",
                &v1::BatchGetProfilesRequest {
                    lookups: vec![v1::ProfileLookup::default(); 1_001],
                    ..Default::default()
                },
            ),
        ),
        (
            "rules_toml",
            "LIMIT_EXCEEDED",
            call(
                &server,
                "ValidateRules",
                &v1::ValidateRulesRequest { rules_toml: "#".repeat(262_145) },
            ),
        ),
        (
            "name",
            "INVALID_FIELD",
            call(
                &server,
                "CreateWorkspace",
                &v1::CreateWorkspaceRequest { name: "No".into(), ..Default::default() },
            ),
        ),
        (
            "name",
            "WORKSPACE_NOT_FOUND",
            call(&server, "GetWorkspace", &v1::GetWorkspaceRequest { name: "none".into() }),
        ),
    ];
    for (field, reason, reply) in cases {
        let refusal = refused(reply);
        assert_eq!(
            (refusal.fields[0].as_str(), refusal.reason.as_str()),
            (field, reason),
            "{refusal:?}"
        );
    }
}

#[test]
fn a_long_id_in_json_is_refused_by_what_it_becomes() {
    let server = in_memory();
    let json = format!(r#"{{"messageId":"{}"}}"#, "x".repeat(129));
    let refusal = refused(call(&server, "ResolveEvent", &resolve(raw(&json))));
    let message = "event.raw_json: 129 bytes of event.event_id, at most 128 are allowed";
    assert_eq!((refusal.reason.as_str(), refusal.message.as_str()), ("LIMIT_EXCEEDED", message));
}

#[test]
fn what_is_refused_is_not_written() {
    let server = in_memory();
    let before = server.store().lock().position();
    for (_, _, _, reply) in one_of_each() {
        drop(reply);
    }
    let late = resolve(event("email=a@x")).encode_to_vec();
    server.call("/ipse.v1.IdentityService/ResolveEvent", &late, None, Some(0), at(NOW_MS));
    call(&server, "ResolveEvent", &resolve(raw("{\"userId\":\"u\",\"timestamp\":\"x\"}")));
    assert_eq!(server.store().lock().position(), before);
}

#[test]
fn that_a_workspace_is_gone_waits_for_its_deletion() {
    let server = in_memory();
    let shop = v1::CreateWorkspaceRequest { name: "shop".into(), ..Default::default() };
    call(&server, "CreateWorkspace", &shop).result.expect("it is free");
    let delete = v1::DeleteWorkspaceRequest { name: "shop".into(), ..Default::default() };
    let asked = v1::DeleteWorkspaceRequest { read_only: true, ..delete.clone() };
    call(&server, "DeleteWorkspace", &asked).result.expect("a question");
    call(&server, "DeleteWorkspace", &delete).result.expect("it is there");
    let newest = server.store().lock().position();
    let resolve =
        v1::ResolveEventRequest { workspace: "shop".into(), ..resolve(event("email=a@x")) };
    for reply in
        [call(&server, "DeleteWorkspace", &delete), call(&server, "ResolveEvent", &resolve)]
    {
        let refusal = refused(reply);
        assert_eq!((&*refusal.reason, refusal.position), ("WORKSPACE_NOT_FOUND", newest));
    }
    call(&server, "CreateWorkspace", &shop).result.expect("it is free again");
}

#[test]
fn a_refusal_that_tells_of_a_record_waits_for_it() {
    let server = in_memory();
    resolved(&server, v1::Event { event_id: "e1".into(), ..event("email=ann@x") });
    let newest = server.store().lock().position();
    let reused = v1::Event { event_id: "e1".into(), ..event("email=bob@x") };
    let refusal = refused(call(&server, "ResolveEvent", &resolve(reused)));
    assert_eq!(refusal.position, newest);
    assert_eq!(refusal.metadata["sequence_number"], "2");
    let exists = v1::CreateWorkspaceRequest { name: "default".into(), ..Default::default() };
    assert_eq!(refused(call(&server, "CreateWorkspace", &exists)).position, newest);
    let malformed =
        refused(server.call("/ipse.v1.AdminService/GetStats", b"\xff", None, None, at(NOW_MS)));
    assert_eq!(malformed.position, LogPosition(0));
}

#[test]
fn a_bug_is_told_by_an_id_only() {
    let dir = tempfile::tempdir().expect("a directory");
    let data = dir.path().join("data");
    let server = on_disk(&data, Options::default());
    std::fs::remove_dir_all(&data).expect("ours");
    let refusal = refused(call(&server, "Checkpoint", &v1::CheckpointRequest {}));
    assert_eq!(refusal.reason, "INTERNAL");
    let path = data.to_string_lossy().into_owned();
    assert!(!refusal.message.contains(&path), "{}", refusal.message);
    let faults = server.take_faults();
    assert_eq!(faults.len(), 1);
    assert_eq!(faults[0].id, refusal.metadata["id"]);
    assert!(faults[0].text.contains(&path), "{}", faults[0].text);
}

#[test]
fn reads_and_previews_go_on_while_the_queue_is_full() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = with_full_queue(dir.path());
    let preview = v1::ResolveEventRequest { read_only: true, ..resolve(event("email=a@x")) };
    let answer: v1::ResolveEventResponse = ask(&server, "ResolveEvent", &preview);
    assert_eq!(answer.resolution.expect("set").decision, v1::Decision::Created as i32);
    let _: v1::GetStatsResponse = ask(&server, "GetStats", &v1::GetStatsRequest {});
    let refusal = refused(call(
        &server,
        "ResolveEvents",
        &v1::ResolveEventsRequest { events: vec![event("email=a@x")], ..Default::default() },
    ));
    assert_eq!(refusal.reason, "WRITE_QUEUE_FULL");
}

#[test]
fn after_a_panic_among_the_graphs_nothing_is_answered() {
    ipse_rpc::keep_panics_for_the_log();
    let server = in_memory();
    let broken = std::thread::scope(|scope| {
        let holder = scope.spawn(|| {
            let _locked = server.store().lock();
            std::panic::resume_unwind(Box::new("a bug"));
        });
        holder.join()
    });
    assert!(broken.is_err());
    assert!(server.failure().is_some());
    let stats = v1::GetStatsRequest {};
    assert_eq!(refused(call(&server, "GetStats", &stats)).reason, "NOT_SERVING");
    assert!(server.figures().contains(&("calls_refused_total", 1)));
    server.close(true).expect("closing needs no graphs in memory");
}
