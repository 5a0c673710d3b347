//! How long others wait while two large profiles are merged.
//!
//! `cargo run --release -p ipse-rpc --example merging -- [IDENTIFIERS]`
//!
//! Two profiles of IDENTIFIERS (100,000) each are merged, by an event that names both, and two
//! more by MergeProfiles. Another thread resolves an event of somebody else without a pause
//! meanwhile. Prints one JSON object per way: how long the merge took, and the longest that an
//! event did, during it and in as long a time before. In memory, so that no disk is measured.

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
identifiers_max = 1000000
merges_max = 100000
[namespaces.user]
priority = 1
limit = \"none\"
[namespaces.device]
priority = 2
limit = \"none\"
";
/// Identifiers of one event beside the user's.
const DEVICES: usize = 60;
const QUIET: Duration = Duration::from_millis(500);

fn main() -> Result<(), Box<dyn Error>> {
    let identifiers = std::env::args().nth(1).map_or(Ok(100_000), |text| text.parse())?;
    let server = Dispatch::new(Store::in_memory(7), Recovery::default(), now());
    server.ensure_default_workspace(now()).map_err(|status| status.message().to_owned())?;
    let rules = v1::SetRulesRequest { rules_toml: RULES.to_owned(), ..Default::default() };
    call(&server, "AdminService/SetRules", &rules.encode_to_vec());
    for user in ["a", "b", "c", "d"] {
        grow(&server, user, identifiers);
    }
    let both = event([("user", "a".to_owned()), ("user", "b".to_owned())]);
    let both = v1::ResolveEventRequest { event: Some(both), ..Default::default() };
    measure(&server, identifiers, "ResolveEvent", &both.encode_to_vec());
    let merge = v1::MergeProfilesRequest {
        target: Some(lookup("c")),
        sources: vec![lookup("d")],
        ..Default::default()
    };
    measure(&server, identifiers, "MergeProfiles", &merge.encode_to_vec());
    Ok(())
}

/// Attaches so many devices to a user.
fn grow(server: &Dispatch, user: &str, identifiers: usize) {
    for first in (0..identifiers).step_by(DEVICES) {
        let devices = first..(first + DEVICES).min(identifiers);
        let devices = devices.map(|number| ("device", format!("{user}-{number}")));
        let event = event(std::iter::once(("user", user.to_owned())).chain(devices));
        let request = v1::ResolveEventRequest { event: Some(event), ..Default::default() };
        call(server, "IdentityService/ResolveEvent", &request.encode_to_vec());
    }
}

fn measure(server: &Dispatch, identifiers: usize, method: &str, request: &[u8]) {
    let (merging, done) = (AtomicBool::new(false), AtomicBool::new(false));
    let (before, during, merge) = thread::scope(|scope| {
        let prober = scope.spawn(|| {
            let mut longest = [Duration::ZERO; 2];
            while !done.load(Ordering::Acquire) {
                let started = Instant::now();
                probe(server);
                let at = usize::from(merging.load(Ordering::Acquire));
                longest[at] = longest[at].max(started.elapsed());
            }
            longest
        });
        thread::sleep(QUIET);
        merging.store(true, Ordering::Release);
        let started = Instant::now();
        call(server, &format!("IdentityService/{method}"), request);
        let merge = started.elapsed();
        done.store(true, Ordering::Release);
        let [before, during] = prober.join().unwrap_or_default();
        (before, during, merge)
    });
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    println!(
        "{{\"method\": \"{method}\", \"identifiers\": {identifiers}, \"merge_ms\": {:.3}, \
         \"event_max_before_ms\": {:.3}, \"event_max_during_ms\": {:.3}}}",
        ms(merge),
        ms(before),
        ms(during),
    );
}

fn probe(server: &Dispatch) {
    let event = event([("user", "somebody".to_owned()), ("device", "else".to_owned())]);
    let request = v1::ResolveEventRequest { event: Some(event), ..Default::default() };
    call(server, "IdentityService/ResolveEvent", &request.encode_to_vec());
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

fn lookup(user: &str) -> v1::ProfileLookup {
    let identifier = v1::Identifier { namespace: "user".to_owned(), value: user.to_owned() };
    v1::ProfileLookup { lookup: Some(v1::profile_lookup::Lookup::Identifier(identifier)) }
}

fn event<'a>(identifiers: impl IntoIterator<Item = (&'a str, String)>) -> v1::Event {
    let identifier =
        |(namespace, value): (&str, String)| v1::Identifier { namespace: namespace.into(), value };
    v1::Event {
        identifiers: identifiers.into_iter().map(identifier).collect(),
        ..Default::default()
    }
}
