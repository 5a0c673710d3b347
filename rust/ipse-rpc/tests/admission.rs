//! Who is let in when there is too much to do, as callers of each method meet it.
#![allow(clippy::expect_used, reason = "a test says what it expects by failing")]

mod support;

use ipse_rpc::proto::v1;
use ipse_rpc::{Bounds, Dispatch};
use support::*;

fn bounded(bounds: Bounds) -> Dispatch {
    let server = in_memory();
    resolved(&server, event("user_id=ann"));
    server.set_bounds(bounds);
    server
}

fn events(count: usize) -> v1::ResolveEventsRequest {
    let events = (0..count).map(|at| event(&format!("user_id=u{at}"))).collect();
    v1::ResolveEventsRequest { events, ..Default::default() }
}

fn of_ann() -> v1::GetProfileRequest {
    v1::GetProfileRequest { lookup: by_identifier("user_id=ann"), ..Default::default() }
}

fn reason(reply: ipse_rpc::Reply) -> Option<String> {
    reply.result.is_err().then(|| refused(reply).reason)
}

#[test]
fn what_may_be_large_waits_while_too_much_is_held_and_the_rest_goes_on() {
    let server = bounded(Bounds { held_bytes_max: 100, ..Bounds::default() });
    server.hold(100);
    let overloaded = Some("OVERLOADED".to_owned());
    assert_eq!(reason(call(&server, "GetProfile", &of_ann())), overloaded);
    assert_eq!(reason(call(&server, "ResolveEvents", &events(2))), overloaded);
    assert_eq!(
        reason(call(&server, "ImportProfiles", &v1::ImportProfilesRequest::default())),
        overloaded
    );
    assert_eq!(reason(call(&server, "ResolveEvent", &resolve(event("user_id=ann")))), None);
    assert_eq!(reason(call(&server, "GetStats", &v1::GetStatsRequest {})), None);
    server.release(1);
    assert_eq!(reason(call(&server, "GetProfile", &of_ann())), None);
}

#[test]
fn a_workspace_beyond_its_rate_is_told_when_to_come_back_and_others_are_not() {
    let bounds = Bounds { workspace_events_per_s_max: 1, workspace_burst: 3, ..Bounds::default() };
    let server = bounded(bounds);
    let other = v1::CreateWorkspaceRequest { name: "other".into(), ..Default::default() };
    call(&server, "CreateWorkspace", &other).result.expect("it is free");
    let before = server.store().lock().position();

    assert_eq!(reason(call(&server, "ResolveEvents", &events(10))), None, "something was left");
    let after = server.store().lock().position();
    assert!(after > before);
    for (method, request) in [("ResolveEvents", events(2)), ("ResolveEvents", events(1))] {
        let found = reason(call(&server, method, &request));
        assert_eq!(found.as_deref(), Some("RATE_LIMITED"));
    }
    let preview = v1::ResolveEventRequest { read_only: true, ..resolve(event("user_id=ann")) };
    let found = reason(call(&server, "ResolveEvent", &preview));
    assert_eq!(found.as_deref(), Some("RATE_LIMITED"), "it costs as much as if it were written");
    assert_eq!(server.store().lock().position(), after, "nothing of them was written");

    assert_eq!(reason(call(&server, "GetProfile", &of_ann())), None);
    let elsewhere =
        v1::ResolveEventRequest { workspace: "other".into(), ..resolve(event("user_id=ann")) };
    assert_eq!(reason(call(&server, "ResolveEvent", &elsewhere)), None);
}

#[test]
fn what_is_refused_for_another_reason_takes_nothing_of_the_share() {
    let bounds = Bounds { workspace_events_per_s_max: 1, workspace_burst: 1, ..Bounds::default() };
    let server = bounded(bounds);
    for _ in 0..5 {
        let nowhere = v1::ResolveEventRequest {
            workspace: "nowhere".into(),
            ..resolve(event("user_id=ann"))
        };
        let found = reason(call(&server, "ResolveEvent", &nowhere));
        assert_eq!(found.as_deref(), Some("WORKSPACE_NOT_FOUND"));
    }
    assert_eq!(reason(call(&server, "ResolveEvent", &resolve(event("user_id=ann")))), None);
}

#[test]
fn the_line_of_long_calls_counts_what_it_refuses() {
    let server = bounded(Bounds { held_bytes_max: 10, ..Bounds::default() });
    server.join_line(10, None).expect("nothing is held yet");
    let status = server.join_line(1, None).expect_err("too much is held");
    assert!(status.retry_delay_ms().is_some());
    assert!(server.figures().contains(&("long_calls_waiting", 1)));
    assert!(server.figures().contains(&("held_bytes", 10)));
    assert!(server.figures().contains(&("overload_refusals_total", 1)));
    server.leave_line(10, true);
    assert!(server.figures().contains(&("long_calls_waiting", 0)));
    assert!(server.figures().contains(&("held_bytes", 0)));
}

#[test]
fn what_rules_refuse_is_counted_by_rule() {
    let server = in_memory();
    assert_eq!(server.refused_identifiers(), []);
    for _ in 0..2 {
        resolved(&server, event("user_id=ann user_id=bob"));
    }
    let found = server.refused_identifiers();
    assert!(found.iter().map(|&(_, count)| count).sum::<u64>() >= 2, "{found:?}");
}
