//! Whether the memory that a graph says it takes is what the process takes, and how long events
//! wait while its tables grow.
//!
//! `cargo run --release -p ipse-core --example memory_cost -- WORKLOAD [PEOPLE] [ROUNDS]`
//!
//! WORKLOAD is `plain` (four identifiers a person), `traits` (with five traits, and event ids),
//! `evidence` (rules that keep the evidence of each link) or `shared` (devices that several people
//! hold). Prints one JSON object: `error_percent` is how far `estimated_bytes` is from
//! `resident_bytes`, and `bytes_per_identifier` how the estimate is made up. `event_ms_max` is the
//! longest that one event took. The machine holds an event up now and then for reasons of its own:
//! of each event the shortest of so many rounds counts, and three tell the two apart.

#![allow(clippy::print_stdout, reason = "its output is its purpose")]

mod support;

use std::time::Instant;

use ipse_core::{Change, Event, Graph, SentIdentifier, SentTrait, TraitValue};
use support::{apply, now, resident_bytes};

const RULES: &str = "[namespaces.user]\npriority = 1\nlimit = \"none\"\n\
                     [namespaces.email]\npriority = 2\nlimit = \"none\"\n\
                     [namespaces.cookie]\npriority = 3\nlimit = \"none\"\n\
                     [namespaces.device]\npriority = 4\nlimit = \"none\"\n";

fn main() {
    let argument = |at| std::env::args().nth(at);
    let workload = argument(1).unwrap_or_else(|| "plain".to_owned());
    let number =
        |at, default: u32| argument(at).map_or(default, |text| text.parse().expect("a number"));
    let (people, rounds) = (number(2, 250_000), number(3, 1));
    let mut least_ns = vec![u32::MAX; 2 * people as usize];
    let mut graph = new_graph(&workload);
    let empty = graph.memory().bytes;
    let before = resident_bytes();
    fill(&mut graph, &workload, &mut least_ns);
    let resident = resident_bytes() - before;
    for _ in 1..rounds {
        fill(&mut new_graph(&workload), &workload, &mut least_ns);
    }
    let memory = graph.memory();
    let estimated = memory.bytes - empty;
    println!(
        "{{\"workload\": \"{workload}\", \"identifiers\": {}, \"estimated_bytes\": {estimated}, \
         \"resident_bytes\": {resident}, \"error_percent\": {:.1}, \
         \"bytes_per_identifier\": {{{}}}, \"event_ms_max\": {:.2}}}",
        memory.identifiers,
        (estimated as f64 / resident as f64 - 1.0) * 100.0,
        parts(&graph),
        least_ns.iter().max().map_or(0.0, |&nanos| f64::from(nanos) / 1e6)
    );
}

/// Lets all people come; nanoseconds of each event where they are fewer than before.
fn fill(graph: &mut Graph, workload: &str, least_ns: &mut [u32]) {
    for (number, least_ns) in (0..).zip(least_ns.chunks_mut(2)) {
        let person = Person::new(number, workload == "shared");
        for (shown, least) in [&[2, 3][..], &[0, 1, 2, 3]].into_iter().zip(least_ns) {
            let start = Instant::now();
            person.shows(graph, shown, workload == "traits");
            let nanos = u32::try_from(start.elapsed().as_nanos()).unwrap_or(u32::MAX);
            *least = nanos.min(*least);
        }
    }
}

/// What each part takes of an identifier.
fn parts(graph: &Graph) -> String {
    let identifiers = graph.counts().identifiers as f64;
    let each =
        |(name, bytes): (&str, u64)| format!("\"{name}\": {:.1}", bytes as f64 / identifiers);
    let parts = graph.memory_parts().into_iter().filter(|(_, bytes)| *bytes > 0);
    parts.map(each).collect::<Vec<_>>().join(", ")
}

struct Person {
    number: u32,
    identifiers: [(&'static str, String); 4],
}

impl Person {
    fn new(number: u32, shares: bool) -> Person {
        let n = u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let device = if shares { u64::from(number / 3) } else { n };
        let identifiers = [
            ("user", format!("user-{n:016x}")),
            ("email", format!("{n:012x}@example.com")),
            ("cookie", format!("anon-{n:016x}")),
            ("device", format!("device-{device:016x}")),
        ];
        Person { number, identifiers }
    }

    fn shows(&self, graph: &mut Graph, shown: &[usize], has_traits: bool) {
        let sent =
            |&at: &usize| SentIdentifier::new(self.identifiers[at].0, &self.identifiers[at].1);
        let set = |name: usize| SentTrait {
            name: format!("trait-{name}").into(),
            value: Some(TraitValue::Text(format!("value {name} of {}", self.number).into())),
            set_once: false,
        };
        let event_id = format!("event-{}-{}", self.number, shown.len());
        let event = Event {
            event_id: if has_traits { &event_id } else { "" },
            identifiers: shown.iter().map(sent).collect(),
            traits: (0..if has_traits { 5 } else { 0 }).map(set).collect(),
            ..Event::default()
        };
        let decision = graph.decide(&event, now()).expect("nothing is refused");
        apply(graph, Change::EventResolved(decision.resolved));
    }
}

fn new_graph(workload: &str) -> Graph {
    let rules = match workload {
        "evidence" => format!("[workspace]\nconflict = \"replay\"\n{RULES}"),
        "shared" => format!("[workspace]\nconflict = \"keep_first\"\n{RULES}shared = true\n"),
        _ => RULES.to_owned(),
    };
    let mut graph = Graph::new(7);
    let created = Change::WorkspaceCreated {
        name: "bench".into(),
        profile_key: [7; 16],
        rules: rules.as_str().into(),
    };
    apply(&mut graph, created);
    graph
}
