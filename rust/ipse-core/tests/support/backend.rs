//! Where a graph under test is held. The runners know this trait and nothing behind it.

use ipse_core::{Change, Graph, Timestamp};

/// Holds workspaces, of which the newest is the one spoken to.
pub(crate) trait Backend {
    /// Begins a workspace with rules that are known to be good.
    fn create_workspace(&mut self, name: &str, rules: &str, now: Timestamp);
    /// Looks at the newest workspace's graph.
    fn read<T>(&self, look: impl FnOnce(&Graph) -> T) -> T;
    /// Makes a decided change the newest record.
    fn commit(&mut self, now: Timestamp, change: Change<'_>);
    /// Loses everything that is not on disk and comes back.
    fn crash(&mut self);
    /// Stops in good order and comes back.
    fn restart(&mut self);
    /// Passes the state through a snapshot.
    fn checkpoint(&mut self);
}

/// Says where two graphs differ, in words short enough to read.
pub(crate) fn assert_same(what: &str, expected: &Graph, actual: &Graph) {
    let (left, right) = (expected.dump(), actual.dump());
    if let Some((a, b)) = left.lines().zip(right.lines()).find(|(a, b)| a != b) {
        panic!("{what}: the dump differs\n  expected {a}\n  actual   {b}");
    }
    assert_eq!(left, right, "{what}: one dump is longer");
    assert_eq!(expected.state_hash(), actual.state_hash(), "{what}: state hash");
    assert_eq!(expected.sequence(), actual.sequence(), "{what}: sequence");
    assert_eq!(expected.counts(), actual.counts(), "{what}: counts");
    if let Err(problem) = actual.check() {
        panic!("{what}: the graph does not hold together: {problem}");
    }
}
