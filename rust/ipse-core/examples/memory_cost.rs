//! Whether the memory that a graph says it takes is what the process takes.
//!
//! `cargo run --release -p ipse-core --example memory_cost -- WORKLOAD [PEOPLE]`
//!
//! WORKLOAD is `plain` (four identifiers a person), `traits` (with five traits, and event ids),
//! `evidence` (rules that keep the evidence of each link) or `shared` (devices that several people
//! hold). Prints one JSON object: `error_percent` is how far `estimated_bytes` is from
//! `resident_bytes`.

#![allow(clippy::print_stdout, reason = "its output is its purpose")]

mod support;

use ipse_core::{Change, Event, Graph, SentIdentifier, SentTrait, TraitValue};
use support::{apply, now, resident_bytes};

const RULES: &str = "[namespaces.user]\npriority = 1\nlimit = \"none\"\n\
                     [namespaces.email]\npriority = 2\nlimit = \"none\"\n\
                     [namespaces.cookie]\npriority = 3\nlimit = \"none\"\n\
                     [namespaces.device]\npriority = 4\nlimit = \"none\"\n";

fn main() {
    let argument = |at| std::env::args().nth(at);
    let workload = argument(1).unwrap_or_else(|| "plain".to_owned());
    let people = argument(2).map_or(250_000, |text| text.parse().expect("a number"));
    let mut graph = new_graph(&workload);
    let empty = graph.memory().bytes;
    let before = resident_bytes();
    for number in 0..people {
        let person = Person::new(number, workload == "shared");
        for shown in [&[2, 3][..], &[0, 1, 2, 3]] {
            person.shows(&mut graph, shown, workload == "traits");
        }
    }
    let resident = resident_bytes() - before;
    let memory = graph.memory();
    let estimated = memory.bytes - empty;
    println!(
        "{{\"workload\": \"{workload}\", \"identifiers\": {}, \"estimated_bytes\": {estimated}, \
         \"resident_bytes\": {resident}, \"error_percent\": {:.1}}}",
        memory.identifiers,
        (estimated as f64 / resident as f64 - 1.0) * 100.0
    );
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
