//! How long one event waits while another caller's batch is at the graphs.
//!
//! `cargo run --release -p ipse-rpc --example waiting -- [MERGES]`
//!
//! One profile is made costly: MERGES profiles were merged into it, each with a value of a
//! trait that is kept as a union, under rules with pair limits. One thread sends batches of
//! 1,000 that all mean this profile; another resolves an event of somebody else each
//! millisecond. Prints one JSON object per method: how long a batch took, and how long the
//! event did. The first line is without batches. In memory, so that no disk is measured.

#![allow(clippy::print_stdout, reason = "its output is its purpose")]

use std::error::Error;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ipse_core::Timestamp;
use ipse_rpc::Dispatch;
use ipse_rpc::proto::v1;
use ipse_store::{Recovery, Store};
use prost::Message;

const RULES: &str = "\
[workspace]
conflict = \"keep_first\"
identifiers_max = 100000
merges_max = 100000
[traits]
survivorship = \"union\"
[namespaces.user]
priority = 1
limit = \"none\"
per = { device = 50 }
[namespaces.email]
priority = 2
limit = \"none\"
per = { user = 3 }
[namespaces.device]
priority = 3
limit = \"none\"
per = { user = 3 }
";
const BATCH: usize = 1_000;
const PROBES_MIN: usize = 60;
const BATCHES_MIN: usize = 3;

fn main() -> Result<(), Box<dyn Error>> {
    let merges = std::env::args().nth(1).map_or(Ok(500), |text| text.parse())?;
    let server = Dispatch::new(Store::in_memory(7), Recovery::default(), now());
    server.ensure_default_workspace(now()).map_err(|status| status.message().to_owned())?;
    let rules_toml = RULES.to_owned();
    let rules = v1::SetRulesRequest { rules_toml, ..Default::default() };
    call(&server, "AdminService/SetRules", &rules.encode_to_vec());
    for number in 0..merges {
        resolve(&server, &[("email", &format!("{number}@example.com"))], Some(number));
        resolve(&server, &[("user", "u"), ("email", &format!("{number}@example.com"))], None);
    }
    measure(&server, "none", &[]);
    measure(&server, "ResolveEvents", &events(merges));
    measure(&server, "BatchGetProfiles", &gets());
    measure(&server, "TranslateIdentities", &translations());
    Ok(())
}

/// Sends batches on one thread and events on another, until there are enough of both.
fn measure(server: &Dispatch, method: &str, batch: &[u8]) {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let batches = scope.spawn(|| {
            let mut times = Vec::new();
            let has_enough = |count| count >= BATCHES_MIN && stop.load(Ordering::Acquire);
            while !(batch.is_empty() || has_enough(times.len())) {
                let started = Instant::now();
                call(server, &format!("IdentityService/{method}"), batch);
                times.push(started.elapsed());
            }
            stop.store(true, Ordering::Release);
            times
        });
        let mut waits = Vec::new();
        while waits.len() < PROBES_MIN || !(batch.is_empty() || batches.is_finished()) {
            thread::sleep(Duration::from_millis(1));
            let started = Instant::now();
            resolve(server, &[("user", "somebody"), ("email", "else@example.com")], None);
            waits.push(started.elapsed());
            if waits.len() == PROBES_MIN {
                stop.store(true, Ordering::Release);
            }
        }
        let times = batches.join().unwrap_or_default();
        print(method, times, waits);
    });
}

fn print(method: &str, mut batches: Vec<Duration>, mut waits: Vec<Duration>) {
    batches.sort();
    waits.sort();
    let at = |times: &[Duration], part: f64| {
        let nth = (times.len() as f64 * part) as usize;
        let time = times.get(nth.min(times.len().saturating_sub(1))).copied();
        time.unwrap_or_default().as_secs_f64() * 1e3
    };
    println!(
        "{{\"method\": \"{method}\", \"batch_ms\": {:.1}, \"events\": {}, \"event_p50_ms\": {:.3}, \
         \"event_p99_ms\": {:.3}, \"event_max_ms\": {:.3}}}",
        at(&batches, 0.5),
        waits.len(),
        at(&waits, 0.5),
        at(&waits, 0.99),
        at(&waits, 1.0),
    );
}

fn now() -> Timestamp {
    Timestamp::from_millis(1_767_225_600_000).expect("a time within range")
}

fn call(server: &Dispatch, method: &str, request: &[u8]) {
    let reply = server.call(&format!("/ipse.v1.{method}"), request, None, None, now());
    if let Err(status) = reply.result {
        panic!("{method}: {}", status.message());
    }
}

fn identifier((namespace, value): &(&str, &str)) -> v1::Identifier {
    v1::Identifier { namespace: (*namespace).to_owned(), value: (*value).to_owned() }
}

fn event(identifiers: &[(&str, &str)], tag: Option<usize>) -> v1::Event {
    let tag = tag.map(|number| v1::Trait {
        name: "tag".to_owned(),
        value: Some(v1::r#trait::Value::StringValue(format!("tag-{number}"))),
        ..Default::default()
    });
    let traits = tag.into_iter().collect();
    let identifiers = identifiers.iter().map(identifier).collect();
    v1::Event { identifiers, traits, ..Default::default() }
}

fn resolve(server: &Dispatch, identifiers: &[(&str, &str)], tag: Option<usize>) {
    let event = Some(event(identifiers, tag));
    let request = v1::ResolveEventRequest { event, ..Default::default() };
    call(server, "IdentityService/ResolveEvent", &request.encode_to_vec());
}

fn events(merges: usize) -> Vec<u8> {
    let nth = |number: usize| {
        let email = format!("{}@example.com", number % merges);
        event(&[("user", "u"), ("email", &email), ("device", "d")], Some(number % merges))
    };
    let events = (0..BATCH).map(nth).collect();
    v1::ResolveEventsRequest { events, ..Default::default() }.encode_to_vec()
}

fn lookups() -> Vec<v1::ProfileLookup> {
    let lookup = v1::profile_lookup::Lookup::Identifier(identifier(&("user", "u")));
    vec![v1::ProfileLookup { lookup: Some(lookup) }; BATCH]
}

fn gets() -> Vec<u8> {
    v1::BatchGetProfilesRequest { lookups: lookups(), ..Default::default() }.encode_to_vec()
}

fn translations() -> Vec<u8> {
    let targets =
        vec![v1::IdentityTarget { namespaces: vec!["email".to_owned()], ..Default::default() }];
    let request =
        v1::TranslateIdentitiesRequest { lookups: lookups(), targets, ..Default::default() };
    request.encode_to_vec()
}
