//! What asking for a token costs a call: the same event of a known person, with and without.
//!
//! `cargo run --release -p ipse-rpc --example door_cost -- [CALLS]`
//!
//! Prints one JSON object: nanoseconds of a whole call without tokens, and what is added by a
//! token of everything, by one of a workspace, and by one of a workspace and a source, among
//! 1,000 tokens. Each is the best of several rounds, since others use the machine, too.

#![allow(clippy::print_stdout, reason = "its output is its purpose")]

use std::error::Error;
use std::time::Instant;

use ipse_core::Timestamp;
use ipse_core::identifier::sha256_hex;
use ipse_rpc::proto::v1;
use ipse_rpc::{Dispatch, Tokens};
use ipse_store::{Recovery, Store};
use prost::Message;

const METHOD: &str = "/ipse.v1.IdentityService/ResolveEvent";
/// As long as a real one.
const TOKEN: &str = "ipse_0123456789012345678901234567890123456789012";
const ROUNDS: usize = 15;

fn main() -> Result<(), Box<dyn Error>> {
    let calls: usize = std::env::args().nth(1).map_or(Ok(100_000), |text| text.parse())?;
    let now = Timestamp::from_millis(1_767_225_600_000).ok_or("a time of this century")?;
    let authorization = format!("Bearer {TOKEN}");
    let kinds = ["", "workspaces = [\"default\"]", "workspaces = [\"default\"]\nsource = \"web\""];
    let guarded: Vec<Dispatch> = kinds
        .into_iter()
        .map(|more| Ok(dispatch(now)?.guarded_by(Tokens::parse(&file(more))?)))
        .collect::<Result<_, Box<dyn Error>>>()?;
    let open = dispatch(now)?;
    let request = request();
    let mut best = [f64::INFINITY; 4];
    for _ in 0..ROUNDS {
        for (best, server) in best.iter_mut().zip(std::iter::once(&open).chain(&guarded)) {
            let started = Instant::now();
            for _ in 0..calls / ROUNDS {
                let shown = Some(authorization.as_bytes());
                let reply = server.call(METHOD, &request, shown, None, now);
                reply.result.map_err(|status| status.message().to_owned())?;
            }
            let ns = started.elapsed().as_nanos() as f64 / (calls / ROUNDS) as f64;
            *best = best.min(ns);
        }
    }
    let [open, any, workspace, source] = best;
    println!(
        "{{\"call_ns\": {open:.0}, \"token_ns\": {:.0}, \"workspace_ns\": {:.0}, \"source_ns\": {:.0}}}",
        any - open,
        workspace - open,
        source - open
    );
    Ok(())
}

fn dispatch(now: Timestamp) -> Result<Dispatch, Box<dyn Error>> {
    let dispatch = Dispatch::new(Store::in_memory(1), Recovery::default(), now);
    dispatch.ensure_default_workspace(now).map_err(|status| status.message().to_owned())?;
    Ok(dispatch)
}

fn file(more: &str) -> String {
    let entry = |name: String, token: &str, more: &str| {
        let hash = sha256_hex(token);
        format!("[tokens.{name}]\nrole = \"write\"\nsha256 = \"{hash}\"\n{more}\n")
    };
    let others = (0..999).map(|number| entry(format!("t-{number}"), &format!("{number}"), ""));
    others.chain([entry("mine".to_owned(), TOKEN, more)]).collect()
}

fn request() -> Vec<u8> {
    let identifier = |namespace: &str, value: &str| v1::Identifier {
        namespace: namespace.to_owned(),
        value: value.to_owned(),
    };
    let event = v1::Event {
        identifiers: vec![
            identifier("user_id", "ann"),
            identifier("email", "ann@example.com"),
            identifier("anonymous_id", "a-1"),
        ],
        ..Default::default()
    };
    v1::ResolveEventRequest { event: Some(event), ..Default::default() }.encode_to_vec()
}
