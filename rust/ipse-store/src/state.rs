//! The graphs of all workspaces and how far each has come: what the log is about.
//!
//! A value without files or threads. Live commits and replay go through it alike.

use std::collections::HashMap;

use ipse_core::change::Verb;
use ipse_core::graph::Memory;
use ipse_core::snapshot::Loader;
use ipse_core::{Change, Graph, Record, Timestamp};

use crate::codec::SnapshotPart;
use crate::error::Unreadable;
use crate::inventory::Summary;
use crate::planted::{Fault, is_planted};
use crate::positions::Positions;
use crate::snapshot::FrozenWorkspace;
use crate::unsynced::Unsynced;

/// Records appended over all workspaces, from 1; 0 is nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogPosition(pub u64);

/// Number of a workspace: dense, from 0, in order of creation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkspaceIndex(pub u32);

/// All workspaces at one log position.
pub(crate) struct State {
    hash_seed: u64,
    position: LogPosition,
    workspaces: Vec<Workspace>,
    by_name: HashMap<String, WorkspaceIndex>,
    /// What all graphs take together.
    memory: Memory,
}

struct Workspace {
    graph: Graph,
    /// Of its newest record.
    position: LogPosition,
    positions: Positions,
    unsynced: Unsynced,
    /// What the graph takes.
    memory: Memory,
}

/// Builds a [`State`] from the parts of a snapshot.
pub(crate) struct StateLoader {
    state: State,
    current: Option<(u32, Loader, Positions)>,
}

impl State {
    pub(crate) fn new(hash_seed: u64) -> State {
        State {
            hash_seed,
            position: LogPosition(0),
            workspaces: Vec::new(),
            by_name: HashMap::new(),
            memory: Memory::default(),
        }
    }

    pub(crate) fn position(&self) -> LogPosition {
        self.position
    }

    /// When the newest record was logged, in seconds since 1970.
    pub(crate) fn log_time_s(&self) -> u64 {
        let times = self.workspaces.iter().map(|each| each.graph.log_time().as_millis());
        times.max().map_or(0, |newest| u64::try_from(newest / 1_000).unwrap_or(0))
    }

    pub(crate) fn workspace(&self, name: &str) -> Option<WorkspaceIndex> {
        self.by_name.get(name).copied()
    }

    pub(crate) fn indexes(&self) -> impl Iterator<Item = WorkspaceIndex> + use<> {
        (0..self.count()).map(WorkspaceIndex)
    }

    pub(crate) fn graph(&self, workspace: WorkspaceIndex) -> &Graph {
        &self.at(workspace).graph
    }

    pub(crate) fn workspace_position(&self, workspace: WorkspaceIndex) -> LogPosition {
        self.at(workspace).position
    }

    /// What the records of a workspace that are not on disk yet have changed.
    pub(crate) fn unsynced(&self, workspace: WorkspaceIndex) -> &Unsynced {
        &self.at(workspace).unsynced
    }

    /// Keeps in mind that a record was just committed that is not on disk yet, and forgets those
    /// through `synced`.
    pub(crate) fn note_unsynced(
        &mut self,
        workspace: WorkspaceIndex,
        record: &Record<'_>,
        synced: LogPosition,
    ) {
        let position = self.position;
        let unsynced = &mut self.at_mut(workspace).unsynced;
        unsynced.add(position, record.sequence, &record.change);
        unsynced.forget(synced);
    }

    /// What all graphs take together.
    pub(crate) fn memory(&self) -> Memory {
        self.memory
    }

    /// What a workspace's graph takes.
    pub(crate) fn workspace_memory(&self, workspace: WorkspaceIndex) -> Memory {
        self.at(workspace).memory
    }

    /// What each workspace is that is not gone, in order of their numbers.
    pub(crate) fn summaries(&self) -> Vec<Summary> {
        let live = self.workspaces.iter().filter(|workspace| !workspace.graph.is_gone());
        let summary = |workspace: &Workspace| Summary {
            name: workspace.graph.name().to_owned(),
            sequence: workspace.graph.sequence().0,
            state_hash: workspace.graph.state_hash(),
        };
        live.map(summary).collect()
    }

    /// Where the log has a workspace's records.
    pub(crate) fn positions(&self, workspace: WorkspaceIndex) -> &Positions {
        &self.at(workspace).positions
    }

    /// Drops what leads to records before a log position, and as many rows of each workspace's past
    /// as are asked for; says whether all of it is gone.
    pub(crate) fn forget_before(&mut self, position: u64, rows_max: usize) -> bool {
        let mut is_gone = true;
        for workspace in &mut self.workspaces {
            workspace.positions.forget_before(position);
            let first = workspace.positions.marks().first().map(|mark| mark.sequence);
            let is_kept = workspace.position.0 >= position;
            let oldest = first.filter(|_| is_kept).unwrap_or(workspace.graph.sequence());
            is_gone &= workspace.graph.forget_past(oldest, rows_max);
        }
        is_gone
    }

    pub(crate) fn freeze(&self) -> Vec<FrozenWorkspace> {
        let freeze = |workspace: &Workspace| FrozenWorkspace {
            graph: workspace.graph.freeze(),
            positions: workspace.positions.clone(),
        };
        self.workspaces.iter().map(freeze).collect()
    }

    /// Applies a change that was decided on this state, unless its record could not be read back.
    pub(crate) fn commit<'c>(
        &mut self,
        workspace: WorkspaceIndex,
        log_time: Timestamp,
        change: Change<'c>,
    ) -> Result<Record<'c>, Unreadable> {
        let graph = &self.at(workspace).graph;
        let mut record = Record { sequence: graph.sequence(), log_time, change };
        record.sequence.0 += 1;
        if record.sequence.0 > 1 {
            record.log_time = record.log_time.max(graph.log_time());
        }
        if is_looked_at_twice(&record.change) || graph.is_gone() {
            graph.validate(&record).map_err(|invalid| Unreadable {
                verb: verb_of(&record.change),
                workspace: graph.name().to_owned(),
                sequence: record.sequence,
                problem: invalid.0,
            })?;
        }
        self.apply(workspace, &record);
        self.count_memory(workspace);
        Ok(record)
    }

    /// Makes room for a workspace; its first record is to be committed at once.
    pub(crate) fn add_workspace(&mut self, name: &str) -> WorkspaceIndex {
        let workspace = WorkspaceIndex(self.count());
        self.add_graph(name, Graph::new(self.hash_seed), Positions::default());
        workspace
    }

    /// Applies a record that was read back, or says why it is impossible. What graphs take is
    /// counted after all of them, see [`State::count_all_memory`].
    pub(crate) fn replay(&mut self, workspace: u32, record: &Record<'_>) -> Result<(), String> {
        let workspace = WorkspaceIndex(workspace);
        if workspace.0 == self.count() {
            return self.replay_creation(workspace, record);
        }
        if workspace.0 > self.count() {
            return Err(format!("workspace {} was not created before", workspace.0));
        }
        if !is_planted(Fault::SkipReadBack) {
            self.graph(workspace).validate(record).map_err(|invalid| invalid.0)?;
        }
        self.apply(workspace, record);
        Ok(())
    }

    /// Fetches what replaying records of a workspace will look at.
    pub(crate) fn read_ahead<'r>(
        &self,
        workspace: u32,
        records: impl IntoIterator<Item = &'r Record<'r>>,
    ) {
        if workspace < self.count() {
            self.graph(WorkspaceIndex(workspace)).read_records_ahead(records);
        }
    }

    fn replay_creation(
        &mut self,
        workspace: WorkspaceIndex,
        record: &Record<'_>,
    ) -> Result<(), String> {
        let name: &str = match &record.change {
            Change::WorkspaceCreated { name, .. } => name,
            Change::Gone => "",
            _ => return Err(format!("workspace {} was not created before", workspace.0)),
        };
        if self.workspace(name).is_some() {
            return Err(format!("workspace `{name}` was created before"));
        }
        let graph = Graph::new(self.hash_seed);
        graph.validate(record).map_err(|invalid| invalid.0)?;
        self.add_graph(name, graph, Positions::default());
        self.apply(workspace, record);
        Ok(())
    }

    fn apply(&mut self, workspace: WorkspaceIndex, record: &Record<'_>) {
        self.position.0 += 1;
        if matches!(record.change, Change::WorkspaceDeleted(_) | Change::Gone) {
            self.by_name.retain(|_, known| *known != workspace);
        }
        let position = self.position;
        let workspace = self.at_mut(workspace);
        workspace.graph.apply(record);
        workspace.position = position;
        workspace.positions.note(record.sequence, position.0);
    }

    /// Counts what all graphs take.
    pub(crate) fn count_all_memory(&mut self) {
        self.indexes().for_each(|workspace| self.count_memory(workspace));
    }

    fn count_memory(&mut self, workspace: WorkspaceIndex) {
        let workspace = self.at_mut(workspace);
        let after = workspace.graph.memory();
        let before = std::mem::replace(&mut workspace.memory, after);
        self.memory = self.memory - before + after;
    }

    fn add_graph(&mut self, name: &str, graph: Graph, positions: Positions) {
        // One that is gone has none, and there may be many.
        if !name.is_empty() {
            self.by_name.insert(name.to_owned(), WorkspaceIndex(self.count()));
        }
        let memory = graph.memory();
        self.memory = self.memory + memory;
        let (position, unsynced) = (self.position, Unsynced::default());
        self.workspaces.push(Workspace { graph, position, positions, unsynced, memory });
    }

    fn count(&self) -> u32 {
        u32::try_from(self.workspaces.len()).expect("memory ends long before 2^32 workspaces")
    }

    fn at(&self, workspace: WorkspaceIndex) -> &Workspace {
        &self.workspaces[usize::try_from(workspace.0).expect("addresses have 32 bits")]
    }

    fn at_mut(&mut self, workspace: WorkspaceIndex) -> &mut Workspace {
        &mut self.workspaces[usize::try_from(workspace.0).expect("addresses have 32 bits")]
    }
}

/// Whether a record is judged before it is written as recovery will judge it. Everything is in
/// debug builds, and so in all tests. In others plain events are not: there are too many of
/// them to find each identifier once more, and they decide the least. Nor are rules: to judge
/// them is to compile them again, with the graphs locked.
fn is_looked_at_twice(change: &Change<'_>) -> bool {
    cfg!(debug_assertions)
        || match change {
            Change::EventResolved(event) => event.verb != Verb::Observe || event.extra.is_some(),
            Change::Erased(_)
            | Change::ErasureCompleted(_)
            | Change::WorkspaceDeleted(_)
            | Change::Gone
            | Change::Expired(_) => true,
            Change::WorkspaceCreated { .. } | Change::RulesSet { .. } => false,
        }
}

fn verb_of(change: &Change<'_>) -> Option<Verb> {
    match change {
        Change::EventResolved(event) => Some(event.verb),
        Change::WorkspaceCreated { .. }
        | Change::RulesSet { .. }
        | Change::Erased(_)
        | Change::ErasureCompleted(_)
        | Change::WorkspaceDeleted(_)
        | Change::Gone
        | Change::Expired(_) => None,
    }
}

impl StateLoader {
    pub(crate) fn new(hash_seed: u64) -> StateLoader {
        StateLoader { state: State::new(hash_seed), current: None }
    }

    /// Takes the next part; workspaces come in order.
    pub(crate) fn add(&mut self, workspace: u32, part: SnapshotPart) -> Result<(), String> {
        if self.current.as_ref().is_none_or(|(current, ..)| *current != workspace) {
            self.finish_workspace()?;
            if workspace != self.state.count() {
                return Err(format!("workspace {workspace} is out of order"));
            }
            let loader = Loader::new(self.state.hash_seed);
            self.current = Some((workspace, loader, Positions::default()));
        }
        match (&mut self.current, part) {
            (Some((_, loader, _)), SnapshotPart::Graph(part)) => {
                loader.add(part).map_err(|invalid| invalid.0)
            }
            (Some((_, _, positions)), SnapshotPart::Positions(marks)) => positions.extend(marks),
            (None, _) => Ok(()),
        }
    }

    /// The state at a log position, once all parts are there.
    pub(crate) fn finish(mut self, position: u64) -> Result<State, String> {
        self.finish_workspace()?;
        self.state.position = LogPosition(position);
        for workspace in &mut self.state.workspaces {
            workspace.position = self.state.position;
        }
        Ok(self.state)
    }

    fn finish_workspace(&mut self) -> Result<(), String> {
        let Some((_, loader, positions)) = self.current.take() else {
            return Ok(());
        };
        let graph = loader.finish().map_err(|invalid| invalid.0)?;
        let name = graph.name().to_owned();
        if self.state.workspace(&name).is_some() {
            return Err(format!("workspace `{name}` is there twice"));
        }
        self.state.add_graph(&name, graph, positions);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use ipse_core::{Event, SentIdentifier, SequenceNumber};

    use super::*;

    #[test]
    fn what_could_not_be_read_back_changes_nothing_and_is_told_without_values() {
        let now = Timestamp::from_millis(0).expect("within range");
        let mut state = State::new(1);
        let workspace = state.add_workspace("shop");
        let created = Change::WorkspaceCreated {
            name: "shop".into(),
            profile_key: [7; 16],
            rules: "[namespaces.email]\n".into(),
        };
        state.commit(workspace, now, created).expect("the first record");
        let email = SentIdentifier::new("email", "ann@example.com");
        let event = Event { identifiers: vec![email], ..Event::default() };
        let decision = state.graph(workspace).decide(&event, now).expect("a good event");
        let mut resolved = decision.resolved;
        resolved.verb = Verb::Merge;
        let hash = state.graph(workspace).state_hash();

        let refused = state.commit(workspace, now, Change::EventResolved(resolved));

        let text = refused.expect_err("a merge that creates a profile").to_string();
        assert!(text.contains("Merge in workspace `shop`, record 2: "), "{text}");
        assert!(!text.contains("ann"), "{text}");
        assert_eq!(state.graph(workspace).state_hash(), hash);
        assert_eq!(state.position(), LogPosition(1));
    }

    #[test]
    fn the_past_is_forgotten_with_the_log_that_it_is_of() {
        let now = Timestamp::from_millis(0).expect("within range");
        let mut state = State::new(1);
        let created = |name: &'static str| Change::WorkspaceCreated {
            name: name.into(),
            profile_key: [7; 16],
            rules: "[namespaces.email]\n".into(),
        };
        let [idle, busy] = ["idle", "busy"].map(|name| {
            let workspace = state.add_workspace(name);
            state.commit(workspace, now, created(name)).expect("the first record");
            workspace
        });
        for number in 0..3_000 {
            let email = SentIdentifier::new("email", format!("{number}@example.com"));
            let event = Event { identifiers: vec![email], ..Event::default() };
            let decision = state.graph(busy).decide(&event, now).expect("a good event");
            let change = Change::EventResolved(decision.resolved.to_static());
            state.commit(busy, now, change).expect("it is possible");
        }
        assert!(state.forget_before(2_500, 9));
        let oldest = state.graph(busy).oldest_past().0;
        assert!((2_499 - 1_024..=2_499).contains(&oldest), "{oldest}");
        assert!(state.graph(busy).as_of(SequenceNumber(oldest)).is_ok());
        assert!(state.graph(busy).as_of(SequenceNumber(oldest - 1)).is_err());
        assert_eq!(state.graph(idle).oldest_past(), SequenceNumber(0), "it began with it");
    }
}
