//! Calls of one kind, request bytes in and answer bytes out, as often as is asked.
//!
//! `cargo run --release -p ipse-rpc --example calls -- KIND CALLS`
//!
//! KIND is `steady` (an event of a known person that teaches nothing), `teaching` (one that creates
//! a person of three identifiers), `batch` (100 steady events), `raw` (100 steady events as JSON of
//! about 600 bytes) or `profile` (a read by identifier).
//! Made for callgrind: the difference between two numbers of calls is what they cost, free of
//! everything else.

#![allow(clippy::print_stdout, reason = "its output is its purpose")]

use std::error::Error;

use ipse_core::Timestamp;
use ipse_rpc::Dispatch;
use ipse_rpc::proto::v1;
use ipse_store::{Recovery, Store};
use prost::Message;

const RESOLVE_EVENT: &str = "/ipse.v1.IdentityService/ResolveEvent";
const RESOLVE_EVENTS: &str = "/ipse.v1.IdentityService/ResolveEvents";
const GET_PROFILE: &str = "/ipse.v1.IdentityService/GetProfile";
const NOW_MS: i64 = 1_767_225_600_000;
const PEOPLE: usize = 1_000;
const BATCH_EVENTS: usize = 100;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let kind = arguments.next().unwrap_or_else(|| "steady".to_owned());
    let calls: usize = arguments.next().map_or(Ok(10_000), |text| text.parse())?;
    let now = Timestamp::from_millis(NOW_MS).ok_or("a time of this century")?;
    let dispatch = Dispatch::new(Store::in_memory(1), Recovery::default(), now);
    dispatch.ensure_default_workspace(now).map_err(|status| status.message().to_owned())?;
    let people: Vec<Vec<u8>> = (0..PEOPLE).map(event_of).collect();
    for request in &people {
        let known = dispatch.call(RESOLVE_EVENT, request, None, None, now).result;
        known.map_err(|status| status.message().to_owned())?;
    }
    let (method, request): (_, fn(usize) -> Vec<u8>) = match &*kind {
        "steady" => (RESOLVE_EVENT, event_of),
        "teaching" => (RESOLVE_EVENT, |at| event_of(PEOPLE + at)),
        "batch" => (RESOLVE_EVENTS, batch_from),
        "raw" => (RESOLVE_EVENTS, raw_batch_from),
        "profile" => (GET_PROFILE, lookup_of),
        _ => {
            return Err(format!("{kind:?} is none of steady, teaching, batch, raw, profile").into());
        }
    };
    let different = if kind == "teaching" { calls } else { PEOPLE };
    let requests: Vec<Vec<u8>> = (0..different).map(request).collect();
    let bytes = count_calls(&dispatch, method, &requests, calls)?;
    println!("{{\"kind\": \"{kind}\", \"calls\": {calls}, \"answer_bytes\": {bytes}}}");
    Ok(())
}

/// Kept whole, so that its instructions can be counted apart; the bytes of all answers.
#[inline(never)]
fn count_calls(
    dispatch: &Dispatch,
    method: &str,
    requests: &[Vec<u8>],
    calls: usize,
) -> Result<usize, String> {
    let now = Timestamp::from_millis(NOW_MS).expect("it is within range");
    let answer = |request: &Vec<u8>| dispatch.call(method, request, None, None, now).result;
    let answers = requests.iter().cycle().take(calls).map(answer);
    answers
        .map(|answer| answer.map(|bytes| bytes.len()))
        .sum::<Result<usize, _>>()
        .map_err(|status| status.message().to_owned())
}

fn event_of(person: usize) -> Vec<u8> {
    v1::ResolveEventRequest { event: Some(event(person)), ..Default::default() }.encode_to_vec()
}

fn batch_from(first: usize) -> Vec<u8> {
    let events = (first..).take(BATCH_EVENTS).map(|at| event(at % PEOPLE)).collect();
    v1::ResolveEventsRequest { events, ..Default::default() }.encode_to_vec()
}

/// What a browser's SDK sends of a person who is known; most of it says nothing of who that is.
fn raw_batch_from(first: usize) -> Vec<u8> {
    let events = (first..).take(BATCH_EVENTS).map(|at| raw_event(at % PEOPLE)).collect();
    v1::ResolveEventsRequest { events, ..Default::default() }.encode_to_vec()
}

fn raw_event(person: usize) -> v1::Event {
    let raw_json = format!(
        r#"{{"type":"track","anonymousId":"anonymous_id-{person:012}","userId":"user_id-{person:012}",
        "context":{{"library":{{"name":"analytics.js","version":"2.1.0"}},"page":{{"path":"/shoes/7"}},
        "userAgent":"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)",
        "timezone":"Europe/Berlin","screen":{{"width":1920,"height":1080,"density":2}},
        "campaign":{{"name":"autumn","source":"newsletter","medium":"email","term":"shoes"}},
        "referrer":{{"type":"search","url":"https://www.example.com/search?q=running+shoes"}},
        "locale":"en-GB"}},"event":"Product Viewed","properties":{{"sku":"shoe-7","price":79.9}}}}"#
    );
    v1::Event { raw_json: raw_json.into_bytes(), ..Default::default() }
}

fn lookup_of(person: usize) -> Vec<u8> {
    let lookup = v1::ProfileLookup {
        lookup: Some(v1::profile_lookup::Lookup::Identifier(identifier("user_id", person))),
    };
    v1::GetProfileRequest { lookup: Some(lookup), ..Default::default() }.encode_to_vec()
}

fn event(person: usize) -> v1::Event {
    v1::Event {
        r#type: "track".to_owned(),
        source: "web".to_owned(),
        identifiers: ["user_id", "anonymous_id", "ios.id"].map(|n| identifier(n, person)).to_vec(),
        ..Default::default()
    }
}

fn identifier(namespace: &str, person: usize) -> v1::Identifier {
    v1::Identifier { namespace: namespace.to_owned(), value: format!("{namespace}-{person:012}") }
}
