//! What evidence costs: time per event on components of several sizes, and on a kiosk.
//!
//! `cargo run --release -p ipse-core --example replay_cost`
//!
//! A component is one person with many cookies: a steady event shows two of them, a clash
//! brings in another person's id, so that all links are put in order. The kiosk is one cookie
//! that is seen with 20,000 people, each once. Prints microseconds per event.

#![allow(clippy::print_stdout, reason = "its output is its purpose")]

use std::hint::black_box;
use std::time::Instant;

use ipse_core::rules::RulesText;
use ipse_core::{Change, Event, Graph, Record, SentIdentifier, SequenceNumber, Timestamp};

const RULES: &str = "[workspace]\nconflict = \"replay\"\nidentifiers_max = 1000\n\
    over_limit = \"evict_oldest\"\n[namespaces.crmid]\npriority = 1\nlimit = 1\n\
    [namespaces.ecid]\npriority = 2\nlimit = \"none\"\n";
const ROUNDS: u32 = 200;
const USERS: u32 = 20_000;

fn main() {
    for size in [50, 300, 999] {
        let mut graph = begin();
        for cookie in 1..size {
            see(&mut graph, &[("crmid", "1".into()), ("ecid", cookie.to_string())]);
        }
        see(&mut graph, &[("crmid", "2".into())]);
        let steady = [("ecid", "1".into()), ("ecid", "2".into())];
        let clash = [("crmid", "2".into()), ("ecid", "1".into())];
        let full = [("crmid", "1".into()), ("ecid", "new".into())];
        println!(
            "{size} identifiers: steady {:.1}, clash {:.1}, one more {:.1}",
            cost(&graph, &steady),
            cost(&graph, &clash),
            cost(&graph, &full)
        );
    }
    let mut graph = begin();
    for tenth in 0..10 {
        let begun = Instant::now();
        for user in tenth * USERS / 10..(tenth + 1) * USERS / 10 {
            see(&mut graph, &[("crmid", user.to_string()), ("ecid", "kiosk".into())]);
        }
        let micros = begun.elapsed().as_secs_f64() * 1e6 / f64::from(USERS / 10);
        println!(
            "kiosk, users {} to {}: {micros:.1}",
            tenth * USERS / 10,
            (tenth + 1) * USERS / 10
        );
    }
}

fn begin() -> Graph {
    let mut graph = Graph::new(1);
    let rules = RulesText::from(RULES);
    apply(
        &mut graph,
        Change::WorkspaceCreated { name: "cost".into(), profile_key: [1; 16], rules },
    );
    graph
}

fn apply(graph: &mut Graph, change: Change<'_>) {
    let sequence = SequenceNumber(graph.sequence().0 + 1);
    graph.apply(&Record { sequence, log_time: now(sequence.0), change });
}

fn now(sequence: u64) -> Timestamp {
    let millis = i64::try_from(sequence).expect("few records");
    Timestamp::from_millis(1_600_000_000_000 + millis).expect("in range")
}

fn see(graph: &mut Graph, shown: &[(&'static str, String)]) {
    let event = event(shown);
    let time = now(graph.sequence().0 + 1);
    let decision = graph.decide(&event, time).expect("a good event");
    if decision.teaches {
        apply(graph, Change::EventResolved(decision.resolved));
    }
}

/// Microseconds to decide on an event.
fn cost(graph: &Graph, shown: &[(&'static str, String)]) -> f64 {
    let event = event(shown);
    let begun = Instant::now();
    for _ in 0..ROUNDS {
        black_box(graph.decide(&event, now(graph.sequence().0 + 1)).expect("a good event"));
    }
    begun.elapsed().as_secs_f64() * 1e6 / f64::from(ROUNDS)
}

fn event<'a>(shown: &'a [(&'static str, String)]) -> Event<'a> {
    let sent =
        |(namespace, value): &'a (&'static str, String)| SentIdentifier::new(*namespace, value);
    Event { kind: "track", identifiers: shown.iter().map(sent).collect(), ..Event::default() }
}
