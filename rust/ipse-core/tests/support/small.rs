//! A graph of a few people, and events of `namespace=value`: for stories that texts cannot tell.

use ipse_core::{Change, Event, Graph, Record, SentIdentifier, SequenceNumber, Timestamp};

/// A workspace with these rules.
pub(crate) fn graph(rules: &str, now: Timestamp) -> Graph {
    let mut graph = Graph::new(1);
    let created =
        Change::WorkspaceCreated { name: "shop".into(), profile_key: [7; 16], rules: rules.into() };
    commit(&mut graph, now, created);
    graph
}

/// Applies what was decided, as a record that could be read back.
pub(crate) fn commit(graph: &mut Graph, now: Timestamp, change: Change<'_>) {
    let record = Record { sequence: SequenceNumber(graph.sequence().0 + 1), log_time: now, change };
    graph.validate(&record).expect("what was decided is possible");
    graph.apply(&record);
    graph.check().expect("apply keeps what it counts");
}

/// An event that shows identifiers.
pub(crate) fn seen<'a>(identifiers: &[&'a str]) -> Event<'a> {
    let identifiers = identifiers.iter().map(|text| sent(text)).collect();
    Event { identifiers, ..Event::default() }
}

/// An identifier.
pub(crate) fn sent(text: &str) -> SentIdentifier<'_> {
    let (namespace, value) = text.split_once('=').expect("namespace=value");
    SentIdentifier::new(namespace, value)
}
