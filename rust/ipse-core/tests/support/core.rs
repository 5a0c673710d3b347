//! The bare core as a backend. It has no disk: a crash is a replay of every record on a
//! fresh graph, a checkpoint a passage through snapshot parts, and both must give the
//! same graph.

use ipse_core::change::Record;
use ipse_core::snapshot::Loader;
use ipse_core::{Change, Graph, SequenceNumber, Timestamp};

use super::backend::{Backend, assert_same};
use super::owned;

/// One graph and its records. Older workspaces are forgotten.
pub(crate) struct CoreBackend {
    graph: Graph,
    records: Vec<Record<'static>>,
    seed: u64,
}

impl CoreBackend {
    pub(crate) fn new() -> CoreBackend {
        CoreBackend { graph: Graph::new(1), records: Vec::new(), seed: 1 }
    }

    pub(crate) fn records(&self) -> &[Record<'static>] {
        &self.records
    }

    pub(crate) fn graph(&self) -> &Graph {
        &self.graph
    }

    /// A seed is not state: each graph that comes back has another one.
    fn next_seed(&mut self) -> u64 {
        self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        self.seed
    }
}

impl Backend for CoreBackend {
    fn create_workspace(&mut self, name: &str, rules: &str, now: Timestamp) {
        self.graph = Graph::new(self.seed);
        self.records.clear();
        let change = Change::WorkspaceCreated {
            name: name.into(),
            profile_key: *b"a fixed key, 16B",
            rules: rules.into(),
        };
        self.commit(now, change);
    }

    fn read<T>(&self, look: impl FnOnce(&Graph) -> T) -> T {
        look(&self.graph)
    }

    fn commit(&mut self, now: Timestamp, change: Change<'_>) {
        let sequence = SequenceNumber(self.graph.sequence().0 + 1);
        let record = Record { sequence, log_time: now, change };
        if let Err(problem) = self.graph.validate(&record) {
            panic!("a decided record is not valid: {} in {record:?}", problem.0);
        }
        self.graph.apply(&record);
        self.records.push(owned::record(&record));
    }

    fn crash(&mut self) {
        let seed = self.next_seed();
        let replayed = replay(&self.records, seed);
        assert_same("replay", &self.graph, &replayed);
        self.graph = replayed;
    }

    fn restart(&mut self) {
        self.checkpoint();
    }

    fn checkpoint(&mut self) {
        let seed = self.next_seed();
        let loaded = reload(&self.graph, seed);
        assert_same("snapshot", &self.graph, &loaded);
        self.graph = loaded;
    }
}

/// The graph that records make.
pub(crate) fn replay(records: &[Record<'_>], seed: u64) -> Graph {
    let mut graph = Graph::new(seed);
    for record in records {
        if let Err(problem) = graph.validate(record) {
            panic!("a record does not replay: {} in {record:?}", problem.0);
        }
        graph.apply(record);
    }
    graph
}

/// The graph after a passage through snapshot parts.
pub(crate) fn reload(graph: &Graph, seed: u64) -> Graph {
    let mut loader = Loader::new(seed);
    for part in graph.freeze().into_parts() {
        if let Err(problem) = loader.add(part) {
            panic!("a snapshot part of a live graph is not valid: {}", problem.0);
        }
    }
    match loader.finish() {
        Ok(loaded) => loaded,
        Err(problem) => panic!("the parts of a live graph do not load: {}", problem.0),
    }
}
