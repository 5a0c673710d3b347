//! A dispatch to call, and messages to call it with.
#![allow(dead_code, reason = "each test file uses a part")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ipse_core::Timestamp;
use ipse_rpc::proto::{rpc, v1};
use ipse_rpc::{Dispatch, METHODS, Reply};
use ipse_store::simulated::SimulatedDisk;
use ipse_store::{LogPosition, Options, Recovery, Store};
use prost::Message;

/// 2024-01-01T00:00:00Z, the clock of all tests.
pub(crate) const NOW_MS: i64 = 1_704_067_200_000;

pub(crate) fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(ms).expect("a time within range")
}

/// A server in memory, with the workspace `default`.
pub(crate) fn in_memory() -> Dispatch {
    started(Store::in_memory(7), Recovery::default())
}

/// A server on a directory.
pub(crate) fn on_disk(dir: &std::path::Path, options: Options) -> Dispatch {
    let (store, recovery) = Store::open(dir, options, 7).expect("a directory of ours");
    started(store, recovery)
}

/// Size of the segments of a server on a simulated disk.
pub(crate) const SEGMENT_BYTES: u64 = 64 << 10;

/// A server on a simulated disk.
pub(crate) fn on_simulated(disk: &SimulatedDisk) -> Dispatch {
    let options = Options { segment_size_bytes: SEGMENT_BYTES, ..Options::default() };
    let opened = Store::open_on(Arc::new(disk.clone()), Path::new("/data"), options, 7);
    let (store, recovery) = opened.expect("a disk of ours");
    started(store, recovery)
}

/// A server that has no space for anything but its first segment.
pub(crate) fn with_full_disk() -> (Dispatch, SimulatedDisk) {
    let disk = SimulatedDisk::new(1);
    disk.resize(Some(SEGMENT_BYTES + SEGMENT_BYTES / 2));
    let server = on_simulated(&disk);
    wait_until("the disk is full", || figure(&server, "storage_full") == 1);
    (server, disk)
}

/// Waits for what another thread does.
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(60), "{what}: not within a minute");
        std::thread::yield_now();
    }
}

pub(crate) fn started(store: Store, recovery: Recovery) -> Dispatch {
    let dispatch = Dispatch::new(store, recovery, at(NOW_MS));
    dispatch.ensure_default_workspace(at(NOW_MS)).expect("it is free or there");
    dispatch
}

pub(crate) fn call(dispatch: &Dispatch, method: &str, request: &impl Message) -> Reply {
    let ending = format!("/{method}");
    let found = METHODS.iter().find(|known| known.name.ends_with(&ending));
    let method = found.map_or("/ipse.v1.IdentityService/None", |found| found.name);
    dispatch.call(method, &request.encode_to_vec(), None, None, at(NOW_MS))
}

/// The answer of a call that must not be refused, and the position it rests on.
pub(crate) fn answered<M: Message + Default>(
    dispatch: &Dispatch,
    method: &str,
    request: &impl Message,
) -> (M, LogPosition) {
    let reply = call(dispatch, method, request);
    let bytes = reply.result.unwrap_or_else(|status| panic!("{method} refused: {status:?}"));
    (M::decode(bytes.as_slice()).expect("an answer of its method"), reply.position)
}

/// The answer alone.
pub(crate) fn ask<M: Message + Default>(
    dispatch: &Dispatch,
    method: &str,
    request: &impl Message,
) -> M {
    answered(dispatch, method, request).0
}

/// A refusal, taken apart as a client would.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) code: i32,
    pub(crate) reason: String,
    pub(crate) metadata: BTreeMap<String, String>,
    pub(crate) fields: Vec<String>,
    pub(crate) retries: bool,
    pub(crate) message: String,
    pub(crate) position: LogPosition,
}

pub(crate) fn refused(reply: Reply) -> Refusal {
    let position = reply.position;
    let status = reply.result.expect_err("a refusal").encode();
    let status = rpc::Status::decode(status.as_slice()).expect("a google.rpc.Status");
    let of_type = |name: &str| {
        let found = status.details.iter().find(|any| any.type_url.ends_with(name));
        found.map(|any| any.value.as_slice())
    };
    let info = of_type("ErrorInfo").expect("one ErrorInfo always");
    let info = rpc::ErrorInfo::decode(info).expect("its type says so");
    assert_eq!(info.domain, "ipse");
    let bad = of_type("BadRequest").map(|bytes| rpc::BadRequest::decode(bytes).expect("its type"));
    Refusal {
        code: status.code,
        reason: info.reason,
        metadata: info.metadata,
        fields: bad.unwrap_or_default().field_violations.into_iter().map(|v| v.field).collect(),
        retries: of_type("RetryInfo").is_some(),
        message: status.message,
        position,
    }
}

/// `email=ann@x user_id=u1`, as an event's identifiers.
pub(crate) fn identifiers(text: &str) -> Vec<v1::Identifier> {
    text.split_whitespace().map(identifier).collect()
}

pub(crate) fn identifier(pair: &str) -> v1::Identifier {
    let (namespace, value) = pair.split_once('=').expect("namespace=value");
    v1::Identifier { namespace: namespace.to_owned(), value: value.to_owned() }
}

/// An event that carries these identifiers and nothing else.
pub(crate) fn event(text: &str) -> v1::Event {
    v1::Event { identifiers: identifiers(text), ..Default::default() }
}

pub(crate) fn raw(json: &str) -> v1::Event {
    v1::Event { raw_json: json.as_bytes().to_vec(), ..Default::default() }
}

pub(crate) fn resolve(event: v1::Event) -> v1::ResolveEventRequest {
    v1::ResolveEventRequest { event: Some(event), ..Default::default() }
}

pub(crate) fn resolved(dispatch: &Dispatch, event: v1::Event) -> v1::Resolution {
    let answer: v1::ResolveEventResponse = ask(dispatch, "ResolveEvent", &resolve(event));
    answer.resolution.expect("an answer has one")
}

pub(crate) fn by_identifier(pair: &str) -> Option<v1::ProfileLookup> {
    let lookup = v1::profile_lookup::Lookup::Identifier(identifier(pair));
    Some(v1::ProfileLookup { lookup: Some(lookup) })
}

pub(crate) fn by_id(id: &str) -> Option<v1::ProfileLookup> {
    let lookup = v1::profile_lookup::Lookup::ProfileId(id.to_owned());
    Some(v1::ProfileLookup { lookup: Some(lookup) })
}

pub(crate) fn profile(dispatch: &Dispatch, lookup: Option<v1::ProfileLookup>) -> v1::Profile {
    let request = v1::GetProfileRequest { lookup, ..Default::default() };
    let answer: v1::GetProfileResponse = ask(dispatch, "GetProfile", &request);
    answer.profile.expect("an answer has one")
}

/// A server in memory whose workspace has these rules.
pub(crate) fn with_rules(rules_toml: &str) -> Dispatch {
    let server = in_memory();
    let set = v1::SetRulesRequest { rules_toml: rules_toml.to_owned(), ..Default::default() };
    let _: v1::SetRulesResponse = ask(&server, "SetRules", &set);
    server
}

pub(crate) fn wire_time(ms: i64) -> Option<prost_types::Timestamp> {
    Some(prost_types::Timestamp { seconds: ms / 1_000, nanos: 0 })
}

pub(crate) fn mask(paths: &[&str]) -> Option<prost_types::FieldMask> {
    Some(prost_types::FieldMask { paths: paths.iter().map(|&path| path.to_owned()).collect() })
}

/// `email=ann@x ATTACHED`, for each verdict of an answer.
pub(crate) fn verdicts(resolution: &v1::Resolution) -> Vec<String> {
    let show = |verdict: &v1::IdentifierVerdict| {
        let identifier = verdict.identifier.as_ref().expect("set");
        let word = verdict.verdict().as_str_name().trim_start_matches("VERDICT_");
        format!("{}={} {word}", identifier.namespace, identifier.value)
    };
    resolution.verdicts.iter().map(show).collect()
}

/// The count of a figure.
pub(crate) fn figure(server: &Dispatch, name: &str) -> u64 {
    let figures = server.figures();
    figures.into_iter().find(|&(found, _)| found == name).expect("a figure").1
}
