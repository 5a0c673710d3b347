//! What the largest commands cost, and events on a large profile: milliseconds of one turn.
//!
//! `cargo run --release -p ipse-core --example command_cost`
//!
//! Each runs under the writer's lock and holds everybody up for as long. Prints one JSON
//! object; of an event, the mean of a hundred.

#![allow(clippy::print_stdout, reason = "its output is its purpose")]

use std::time::Instant;

use ipse_core::change::ProfileNumber;
use ipse_core::command::{ImportProfile, ImportedIdentifier, Operation, SplitProfile, Taken};
use ipse_core::rules::RulesText;
use ipse_core::{
    Change, Decision, Event, Graph, Record, SentIdentifier, SequenceNumber, Timestamp,
};

const NAMESPACES: &str = "[namespaces.email]\npriority = 1\nlimit = \"none\"\n\
                          [namespaces.phone]\npriority = 2\nlimit = \"none\"\nlogin = true\n\
                          [namespaces.device]\npriority = 3\nlimit = \"none\"\nPER";
const PAIRS: &str = "per = { phone = 1 }\n";
const LARGE: u32 = 20_000;

fn main() {
    let roomy = "identifiers_max = 65000\n";
    println!(
        "{{\"import_of_1000_ms\": {:.2}, \"import_of_1000_keep_first_ms\": {:.2}, \
         \"import_of_1000_by_days_ms\": {:.2}, \"import_of_1000_with_pair_limits_ms\": {:.2}, \
         \"split_of_1000_ms\": {:.2}, \"split_of_1000_of_20000_ms\": {:.2}, \
         \"event_with_pair_limits_ms\": {:.4}, \
         \"event_with_pair_limits_of_20000_ms\": {:.4}, \"eviction_of_1000_of_20000_ms\": {:.2}}}",
        import(roomy, "", "none"),
        import(&format!("{roomy}conflict = \"keep_first\"\n"), "", "none"),
        import(roomy, "", "{ values = 1000, window = \"daily\" }"),
        import(roomy, PAIRS, "none"),
        split(roomy, 1_000),
        split(roomy, LARGE),
        paired(roomy, 100),
        paired(roomy, LARGE),
        eviction(roomy),
    );
}

fn rules(workspace: &str, per: &str, limit: &str) -> String {
    let limit = if limit == "none" { "\"none\"" } else { limit };
    let namespaces = NAMESPACES.replace("PER", per);
    format!("[workspace]\n{workspace}{}", namespaces.replace("\"none\"", limit))
}

/// A profile of a thousand identifiers comes in.
fn import(workspace: &str, per: &str, limit: &str) -> f64 {
    let mut graph = new_graph(&rules(workspace, per, limit));
    let one = |n: u32| {
        // One phone, which every device may be seen with.
        let namespace = if n == 1 { "phone" } else { ["email", "device"][n as usize % 2] };
        ImportedIdentifier { sent: sent(namespace, n), time: Some(at(i64::from(n) * 50)) }
    };
    let command =
        ImportProfile { identifiers: (0..1_000).map(one).collect(), ..ImportProfile::default() };
    let start = Instant::now();
    let decision = graph.decide_import(&command, at(100_000)).expect("it comes in");
    commit(&mut graph, decision);
    millis(start)
}

/// A thousand identifiers leave the profile that holds them, each for itself.
fn split(workspace: &str, held: u32) -> f64 {
    let mut graph = new_graph(&rules(workspace, "", "none"));
    fill(&mut graph, held);
    let command = SplitProfile {
        operation: Operation::default(),
        profile: ProfileNumber(1),
        taken: Taken::These((0..1_000).map(|n| sent("phone", n)).collect()),
        together: false,
    };
    let start = Instant::now();
    let decision = graph.decide_split(&command, at(100_000)).expect("it is split");
    commit(&mut graph, decision);
    millis(start)
}

/// Events that show a pair that is limited, on a profile of that many identifiers.
fn paired(workspace: &str, held: u32) -> f64 {
    let mut graph = new_graph(&rules(workspace, PAIRS, "none"));
    fill(&mut graph, held);
    let shown = |n| vec![sent("email", 0), sent("phone", n), sent("device", n)];
    let events: Vec<Event<'_>> = (0..100).map(|n| event(shown(n))).collect();
    let start = Instant::now();
    for event in &events {
        let decision = graph.decide(event, at(2)).expect("it is resolved");
        commit(&mut graph, decision);
    }
    millis(start) / 100.0
}

/// An event on a profile that a lowered cap left much too full.
fn eviction(workspace: &str) -> f64 {
    let mut graph = new_graph(&rules(workspace, "", "none"));
    fill(&mut graph, LARGE);
    let tight = "identifiers_max = 1000\nover_limit = \"evict_oldest\"\n";
    let text = rules(tight, "", "none");
    let change = graph.decide_rules(&*text, None).expect("good rules").expect("new rules");
    apply(&mut graph, change);
    let event = event(vec![sent("email", 0), sent("phone", LARGE)]);
    let start = Instant::now();
    let decision = graph.decide(&event, at(2)).expect("it is resolved");
    commit(&mut graph, decision);
    millis(start)
}

/// Makes a profile of an e-mail and phones.
fn fill(graph: &mut Graph, held: u32) {
    for first in (0..held).step_by(50) {
        let phones = (first..held.min(first + 50)).map(|n| sent("phone", n));
        let event = event(std::iter::once(sent("email", 0)).chain(phones).collect());
        let decision = graph.decide(&event, at(1)).expect("it is resolved");
        commit(graph, decision);
    }
}

fn event(identifiers: Vec<SentIdentifier<'_>>) -> Event<'_> {
    Event { identifiers, ..Event::default() }
}

fn sent(namespace: &'static str, n: u32) -> SentIdentifier<'static> {
    SentIdentifier::new(namespace, format!("{namespace}-{n:08}"))
}

fn new_graph(rules: &str) -> Graph {
    let mut graph = Graph::new(7);
    let rules = RulesText::from(rules);
    let change = Change::WorkspaceCreated { name: "cost".into(), profile_key: [7; 16], rules };
    apply(&mut graph, change);
    graph
}

fn commit(graph: &mut Graph, decision: Decision<'_>) {
    if decision.teaches {
        apply(graph, Change::EventResolved(decision.resolved));
    }
}

/// Applies a change as the store does, which reads back what it is about to write.
fn apply(graph: &mut Graph, change: Change<'_>) {
    let sequence = SequenceNumber(graph.sequence().0 + 1);
    let record = Record { sequence, log_time: at(3), change };
    assert_eq!(graph.validate(&record), Ok(()), "what is decided can be read back");
    graph.apply(&record);
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(1_600_000_000_000 + seconds * 1_000).expect("it is within range")
}

fn millis(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1_000.0
}
