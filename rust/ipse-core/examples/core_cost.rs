//! What the core costs: time of events that teach and of events that do not, and memory.
//!
//! `cargo run --release -p ipse-core --example core_cost -- [IDENTIFIERS] [STEADY_EVENTS]`
//!
//! People hold four identifiers each (a user id, an e-mail, an anonymous id and a device),
//! values of about 20 bytes, and come in two events: anonymous, then logged in. Steady events
//! show three identifiers that are known. Prints one JSON object. `teaching_ms_max` is the longest
//! that a few events took while tables grew, `idle_ms_max` the longest that the machine kept this
//! thread waiting while it did nothing but look at the clock for as long.

#![allow(clippy::print_stdout, reason = "its output is its purpose")]

mod support;

use std::hint::black_box;
use std::time::{Duration, Instant};

use ipse_core::rules::{RulesText, preset};
use ipse_core::{Change, Event, Graph, SentIdentifier, Timestamp};
use support::{apply, now, resident_bytes};

const PER_PERSON: u32 = 4;

struct Person([String; 4]);

impl Person {
    fn new(number: u32) -> Person {
        // Spread, so that neighbours in the tables are not neighbours in the workload.
        let n = u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Person([
            format!("user-{n:016x}"),
            format!("{n:012x}@example.com"),
            format!("anon-{n:016x}"),
            format!("device-{n:016x}"),
        ])
    }

    fn event(&self, shown: &[(&'static str, usize)]) -> Event<'_> {
        let sent =
            |&(namespace, at): &(&'static str, usize)| SentIdentifier::new(namespace, &self.0[at]);
        Event {
            kind: "track",
            source: "web",
            timestamp: Timestamp::from_millis(1_600_000_000_000),
            identifiers: shown.iter().map(sent).collect(),
            ..Event::default()
        }
    }
}

const ANONYMOUS: &[(&str, usize)] = &[("anonymous_id", 2), ("ios.id", 3)];
const LOGGED_IN: &[(&str, usize)] =
    &[("user_id", 0), ("email", 1), ("anonymous_id", 2), ("ios.id", 3)];
const STEADY: &[(&str, usize)] = &[("user_id", 0), ("anonymous_id", 2), ("ios.id", 3)];

fn main() {
    let argument = |at, default: u32| {
        std::env::args().nth(at).map_or(default, |text| text.parse().expect("a number"))
    };
    let people = argument(1, 1_000_000) / PER_PERSON;
    let steady_events = argument(2, 3_000_000);

    let before = resident_bytes();
    let mut graph = new_graph();
    let loading = Instant::now();
    let (load_ns, longest) = load(&mut graph, people);
    let loading = loading.elapsed();
    let resident = resident_bytes() - before;
    let steady_ns = steady(&graph, people, steady_events);

    let identifiers = graph.counts().identifiers;
    println!(
        "{{\"identifiers\": {identifiers}, \"teaching_events_per_second\": {:.0}, \
         \"steady_events_per_second\": {:.0}, \"resident_bytes_per_identifier\": {:.1}, \
         \"teaching_ms_max\": {:.2}, \"idle_ms_max\": {:.2}}}",
        1e9 / load_ns,
        1e9 / steady_ns,
        resident as f64 / identifiers as f64,
        longest.as_secs_f64() * 1e3,
        idle(loading).as_secs_f64() * 1e3
    );
}

fn new_graph() -> Graph {
    let mut graph = Graph::new(7);
    let rules = preset("segment").expect("the preset ships with the core");
    apply(
        &mut graph,
        Change::WorkspaceCreated {
            name: "bench".into(),
            profile_key: [7; 16],
            rules: RulesText::from(rules),
        },
    );
    graph
}

/// Creates everybody; nanoseconds of an event once it is made, as of steady ones, and the longest
/// that a few took.
fn load(graph: &mut Graph, people: u32) -> (f64, Duration) {
    let (mut spent, mut longest) = (0, Duration::ZERO);
    for batch in batches(people) {
        let people: Vec<Person> = batch.map(Person::new).collect();
        for shown in [ANONYMOUS, LOGGED_IN] {
            let mut events: Vec<Event<'_>> =
                people.iter().map(|person| person.event(shown)).collect();
            let start = thread_nanoseconds();
            longest = longest.max(teach_all(graph, &mut events));
            spent += thread_nanoseconds() - start;
        }
    }
    (spent as f64 / (2.0 * f64::from(people)), longest)
}

/// Kept whole, so that its instructions can be counted apart; the longest that those took that
/// are read ahead of together.
#[inline(never)]
fn teach_all(graph: &mut Graph, events: &mut [Event<'_>]) -> Duration {
    let mut longest = Duration::ZERO;
    for events in events.chunks_mut(Graph::READ_AHEAD_EVENTS) {
        let start = Instant::now();
        graph.read_ahead(events.iter_mut().map(|event| &mut event.identifiers));
        for event in &*events {
            let decision = graph.decide(event, now()).expect("nothing is refused");
            assert!(decision.teaches, "everything here is new");
            apply(graph, Change::EventResolved(decision.resolved));
        }
        longest = longest.max(start.elapsed());
    }
    longest
}

/// The longest pause of a thread that does nothing for a while.
fn idle(time: Duration) -> Duration {
    let start = Instant::now();
    let (mut last, mut longest) = (start, Duration::ZERO);
    while last - start < time {
        let now = Instant::now();
        longest = longest.max(now - last);
        last = now;
    }
    longest
}

/// Kept whole, so that its instructions can be counted apart.
#[inline(never)]
fn decide_all(graph: &Graph, events: &mut [Event<'_>]) {
    for events in events.chunks_mut(Graph::READ_AHEAD_EVENTS) {
        graph.read_ahead(events.iter_mut().map(|event| &mut event.identifiers));
        for event in &*events {
            let decision = graph.decide(event, now()).expect("nothing is refused");
            assert!(!decision.teaches, "everything is known");
            black_box(&decision);
        }
    }
}

/// Shows known people again, in a scattered order; nanoseconds of an event.
fn steady(graph: &Graph, people: u32, events: u32) -> f64 {
    let mut spent = 0;
    for batch in batches(events) {
        let scattered = |n: u32| Person::new(n.wrapping_mul(2_654_435_761) % people);
        let people: Vec<Person> = batch.map(scattered).collect();
        let mut events: Vec<Event<'_>> = people.iter().map(|person| person.event(STEADY)).collect();
        let start = thread_nanoseconds();
        decide_all(graph, &mut events);
        spent += thread_nanoseconds() - start;
    }
    spent as f64 / f64::from(events)
}

fn batches(total: u32) -> impl Iterator<Item = std::ops::Range<u32>> {
    (0..total).step_by(1_000).map(move |start| start..total.min(start + 1_000))
}

/// Nanoseconds for which this thread has had a processor so far: what work takes, whatever else the
/// machine does. 0 where the system does not say.
fn thread_nanoseconds() -> u64 {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    told.split_whitespace().next().and_then(|text| text.parse().ok()).unwrap_or_default()
}
