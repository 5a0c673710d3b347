//! A server whose disk is full: writes are refused by name, everything else goes on.

mod support;

use std::path::Path;

use ipse_rpc::proto::v1;
use ipse_store::format::SPARE_NAMES;
use ipse_store::simulated::SimulatedDisk;
use support::*;

fn batch(events: Vec<v1::Event>) -> v1::ResolveEventsRequest {
    v1::ResolveEventsRequest { events, ..Default::default() }
}

#[test]
fn reads_and_previews_go_on_and_writes_are_taken_again_with_space() {
    let (server, disk) = with_full_disk();
    let sent = resolve(event("email=a@x"));
    let preview = v1::ResolveEventRequest { read_only: true, ..sent.clone() };
    let answer: v1::ResolveEventResponse = ask(&server, "ResolveEvent", &preview);
    assert_eq!(answer.resolution.expect("set").decision, v1::Decision::Created as i32);
    let _: v1::GetStatsResponse = ask(&server, "GetStats", &v1::GetStatsRequest {});

    let before = server.store().lock().position();
    let login = v1::LoginRequest { event: Some(event("email=a@x")), ..Default::default() };
    let rules = v1::SetRulesRequest {
        rules_toml: "[namespaces.email]\nlimit = 1\n".into(),
        ..Default::default()
    };
    let workspace = v1::CreateWorkspaceRequest { name: "more".into(), ..Default::default() };
    for reply in [
        call(&server, "ResolveEvent", &sent),
        call(&server, "ResolveEvents", &batch(vec![event("email=a@x")])),
        call(&server, "Login", &login),
        call(&server, "SetRules", &rules),
        call(&server, "CreateWorkspace", &workspace),
        call(&server, "Checkpoint", &v1::CheckpointRequest {}),
    ] {
        let refusal = refused(reply);
        assert_eq!((refusal.reason.as_str(), refusal.code), ("STORAGE_FULL", 8), "{refusal:?}");
        assert!(refusal.retries, "{refusal:?}");
    }
    assert_eq!(server.store().lock().position(), before);
    let preview = v1::SetRulesRequest { read_only: true, ..rules };
    let _: v1::SetRulesResponse = ask(&server, "SetRules", &preview);

    disk.resize(None);
    wait_until("there is space", || figure(&server, "storage_full") == 0);
    let answer: v1::ResolveEventResponse = ask(&server, "ResolveEvent", &sent);
    assert_eq!(answer.resolution.expect("set").decision, v1::Decision::Created as i32);
    let _: v1::CheckpointResponse = ask(&server, "Checkpoint", &v1::CheckpointRequest {});
    assert_eq!(server.failure(), None);
}

#[test]
fn a_batch_that_fills_the_disk_is_taken_up_to_there() {
    let disk = SimulatedDisk::new(1);
    disk.resize(Some(2 * SEGMENT_BYTES + 1_024));
    let server = on_simulated(&disk);
    let length = |name: &str| disk.read(&Path::new("/data").join(name)).map_or(0, |b| b.len());
    let is_reserved = || length(SPARE_NAMES[0]) as u64 == SEGMENT_BYTES;
    wait_until("the first spare is made", || is_reserved() && length("MANIFEST.tmp") > 0);
    let events = |round: usize| (0..500).map(move |n| event(&format!("email=p{n}@r{round}")));
    let mut taken = 0;
    for round in 0.. {
        let reply = call(&server, "ResolveEvents", &batch(events(round).collect()));
        let Ok(bytes) = reply.result else { break };
        let answer: v1::ResolveEventsResponse = prost::Message::decode(&bytes[..]).expect("ours");
        let whether = |result: &v1::ResolveEventsResult| match &result.result {
            Some(v1::resolve_events_result::Result::Resolution(_)) => true,
            Some(v1::resolve_events_result::Result::Error(error)) => {
                assert_eq!(error.reason, "STORAGE_FULL");
                false
            }
            None => panic!("neither"),
        };
        let fates: Vec<bool> = answer.results.iter().map(whether).collect();
        assert!(fates.is_sorted_by(|one, next| one >= next), "none after the first refusal");
        taken += fates.iter().filter(|fate| **fate).count();
        assert_eq!(server.store().wait_synced(reply.position, None), Ok(true));
        assert!(round < 50, "the disk is full by now");
    }
    assert!(taken > 0);
    assert_eq!(server.failure(), None);
    drop(server);
    let server = on_simulated(&disk);
    let last = by_identifier("email=p0@r0");
    assert_eq!(profile(&server, last).identifiers.len(), 1);
    assert_eq!(figure(&server, "profiles"), taken as u64);
}
