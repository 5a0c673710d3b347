//! What an answer waits for, while the disk is busy with other people's records.

mod support;

use ipse_rpc::Dispatch;
use ipse_rpc::proto::v1;
use ipse_store::LogPosition;
use ipse_store::simulated::SimulatedDisk;
use support::*;

/// A server that knows Ann and Bob, all of it on its disk.
fn server_on(disk: &SimulatedDisk) -> Dispatch {
    let server = on_simulated(disk);
    for who in ["email=ann@x user_id=ann", "email=bob@x user_id=bob"] {
        resolved(&server, event(who));
    }
    let newest = server.store().lock().position();
    assert_eq!(server.store().wait_synced(newest, None), Ok(true));
    server
}

/// The position and the sequence number that the answer to an event rests on.
fn resolving(server: &Dispatch, identifiers: &str) -> (LogPosition, u64) {
    let request = resolve(event(identifiers));
    let (answer, position): (v1::ResolveEventResponse, _) =
        answered(server, "ResolveEvent", &request);
    (position, answer.resolution.expect("set").sequence_number)
}

/// The same of a read.
fn reading(server: &Dispatch, lookup: Option<v1::ProfileLookup>) -> (LogPosition, u64) {
    let request = v1::GetProfileRequest { lookup, ..Default::default() };
    let (answer, position): (v1::GetProfileResponse, _) = answered(server, "GetProfile", &request);
    (position, answer.sequence_number)
}

#[test]
fn what_is_on_disk_is_told_while_others_are_written() {
    let disk = SimulatedDisk::new(1);
    let server = server_on(&disk);
    let held = disk.hold();
    let (synced, before) = (server.store().synced(), server.store().lock().position().0);

    let (position, created) = resolving(&server, "email=cid@x user_id=cid");
    assert!(position > synced, "it is written");
    for (told, sequence) in [
        resolving(&server, "email=ann@x user_id=ann"),
        reading(&server, by_identifier("email=ann@x")),
        reading(&server, by_id(&profile(&server, by_identifier("user_id=bob")).profile_id)),
    ] {
        assert!(told <= synced, "{told:?} is not on disk");
        assert_eq!(sequence, before, "the answer names no record that may be lost");
    }

    // What the record changed waits for it, and what knows of its absence or presence.
    let waiting = (position, created);
    assert_eq!(resolving(&server, "email=cid@x user_id=cid"), waiting);
    assert_eq!(reading(&server, by_identifier("user_id=cid")), waiting);
    let nobody = v1::GetProfileRequest { lookup: by_identifier("user_id=eve"), ..<_>::default() };
    assert_eq!(refused(call(&server, "GetProfile", &nobody)).position, position);
    let lookups = vec![by_identifier("user_id=ann").expect("set")];
    let batch = v1::BatchGetProfilesRequest { lookups, ..Default::default() };
    assert_eq!(
        answered::<v1::BatchGetProfilesResponse>(&server, "BatchGetProfiles", &batch).1,
        position
    );

    // A batch waits for what any of its events rests on.
    let events = vec![event("email=cid@x user_id=cid"), event("email=ann@x user_id=ann")];
    let batch = v1::ResolveEventsRequest { events, ..Default::default() };
    let (_, rests_on) = answered::<v1::ResolveEventsResponse>(&server, "ResolveEvents", &batch);
    assert_eq!(rests_on, position);

    drop(held);
    assert_eq!(server.store().wait_synced(position, None), Ok(true));
    assert_eq!(resolving(&server, "email=ann@x user_id=ann").1, created);
}

#[test]
fn who_was_joined_is_told_when_the_merge_is_on_disk() {
    let disk = SimulatedDisk::new(1);
    let server = server_on(&disk);
    let anonymous = resolved(&server, event("anonymous_id=x")).profile_id;
    let newest = server.store().lock().position();
    assert_eq!(server.store().wait_synced(newest, None), Ok(true));

    let held = disk.hold();
    let joined = resolving(&server, "anonymous_id=x user_id=ann");
    for lookup in [by_identifier("email=ann@x"), by_identifier("anonymous_id=x"), by_id(&anonymous)]
    {
        assert_eq!(reading(&server, lookup), joined);
    }
    let (bobs, _) = reading(&server, by_identifier("email=bob@x"));
    assert!(bobs < joined.0, "Bob has nothing to do with it");
    drop(held);
}

#[test]
fn other_rules_are_waited_for_by_everyone() {
    let disk = SimulatedDisk::new(1);
    let server = server_on(&disk);
    let held = disk.hold();
    let rules_toml = "[namespaces.email]\nlimit = 1\n[namespaces.user_id]\nlimit = 1\n".to_owned();
    let set = v1::SetRulesRequest { rules_toml, ..Default::default() };
    let (rules, position) = answered::<v1::SetRulesResponse>(&server, "SetRules", &set);
    let waiting = (position, rules.sequence_number);
    assert_eq!(reading(&server, by_identifier("email=ann@x")), waiting);
    assert_eq!(resolving(&server, "email=ann@x user_id=ann"), waiting);
    drop(held);
}
