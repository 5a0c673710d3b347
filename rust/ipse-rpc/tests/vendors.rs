//! Other systems' raw events, replayed under their presets.

mod support;

use ipse_core::rules::preset;
use ipse_rpc::Dispatch;
use ipse_rpc::proto::v1;
use support::*;

fn server_with(name: &str) -> Dispatch {
    let server = in_memory();
    let rules_toml = preset(name).expect("a preset").to_owned();
    let _: v1::SetRulesResponse =
        ask(&server, "SetRules", &v1::SetRulesRequest { rules_toml, ..Default::default() });
    server
}

fn replay(server: &Dispatch, events: &[&str]) -> Vec<v1::Resolution> {
    events.iter().map(|json| resolved(server, raw(json))).collect()
}

#[test]
fn posthog_verbs_join_what_they_name() {
    let server = server_with("posthog");
    let events = replay(
        &server,
        &[
            r#"{"uuid":"1","event":"$pageview","distinct_id":"a1","properties":{}}"#,
            r#"{"uuid":"2","event":"$identify","distinct_id":"u1","properties":{
                "$anon_distinct_id":"a1","$set":{"plan":"pro"}}}"#,
            r#"{"uuid":"3","event":"$pageview","distinct_id":"u2","properties":{}}"#,
            r#"{"uuid":"4","event":"$identify","distinct_id":"u3","properties":{
                "$anon_distinct_id":"u1"}}"#,
            r#"{"uuid":"5","event":"$merge_dangerously","distinct_id":"u3","properties":{
                "alias":"u1"}}"#,
        ],
    );
    assert_eq!(events[1].profile_id, events[0].profile_id);
    assert!(events[1].known && !events[2].known);
    assert_eq!(
        verdicts(&events[1]),
        ["distinct_id=u1 ATTACHED", "distinct_id=a1 ALREADY_ATTACHED"]
    );
    // One who was identified is not joined to another, but by force.
    assert_ne!(events[3].profile_id, events[0].profile_id);
    assert_eq!(events[4].profile_id, events[3].profile_id);
    assert_eq!(profile(&server, by_id(&events[0].profile_id)).profile_id, events[3].profile_id);
}

#[test]
fn mixpanel_original_verbs_join_what_they_name() {
    let server = server_with("mixpanel-original");
    let anonymous = "3f2504e0-4f89-41d3-9a0c-0305e82c3301";
    let identify = format!(
        r#"{{"event":"$identify","properties":{{"distinct_id":"u","$anon_distinct_id":"{anonymous}"}}}}"#
    );
    let seen =
        format!(r#"{{"event":"Open","properties":{{"distinct_id":"{anonymous}","time":1}}}}"#);
    let events = replay(
        &server,
        &[
            &seen,
            &identify,
            r#"{"event":"Open","properties":{"distinct_id":"v"}}"#,
            r#"{"event":"$merge","properties":{"$distinct_ids":["u","v"]}}"#,
            r#"{"event":"Open","properties":{"distinct_id":"v"}}"#,
        ],
    );
    assert_eq!(events[1].profile_id, events[0].profile_id);
    assert_ne!(events[2].profile_id, events[0].profile_id);
    assert_eq!(events[4].profile_id, events[0].profile_id);
}

#[test]
fn adobe_moves_a_shared_device() {
    let server = server_with("adobe");
    let events = replay(
        &server,
        &[
            r#"{"_id":"1","identityMap":{"CRMID":[{"id":"Kevin"}],"ECID":[{"id":"tablet"}]}}"#,
            r#"{"_id":"2","identityMap":{"CRMID":[{"id":"Nora"}],"ECID":[{"id":"tablet"}]}}"#,
            r#"{"_id":"3","identityMap":{"ECID":[{"id":"tablet"}]}}"#,
        ],
    );
    assert_ne!(events[0].profile_id, events[1].profile_id);
    assert_eq!(events[2].profile_id, events[1].profile_id);
}

#[test]
fn esputnik_contacts_keep_what_is_theirs() {
    let server = server_with("esputnik");
    let events = replay(
        &server,
        &[
            r#"{"channels":[{"type":"mobilepush","value":"T1"}]}"#,
            r#"{"externalCustomerId":"X1","channels":[{"type":"mobilepush","value":"T1"}]}"#,
            r#"{"externalCustomerId":"X2","channels":[{"type":"mobilepush","value":"T1"}]}"#,
            r#"{"eventTypeKey":"open","params":[{"name":"pushToken","value":"T1"}]}"#,
        ],
    );
    assert_eq!(events[1].profile_id, events[0].profile_id);
    assert_ne!(events[2].profile_id, events[0].profile_id);
    assert_eq!(events[3].profile_id, events[2].profile_id);
}
