//! The graphs of all workspaces and how far each has come: what the log is about.
//!
//! A value without files or threads. Live commits and replay go through it alike.

use std::collections::HashMap;

use ipse_core::snapshot::{Frozen, Loader, Part};
use ipse_core::{Change, Graph, Record, Timestamp};

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
}

struct Workspace {
    graph: Graph,
    /// Of its newest record.
    position: LogPosition,
}

/// Builds a [`State`] from the parts of a snapshot.
pub(crate) struct StateLoader {
    state: State,
    current: Option<(u32, Loader)>,
}

impl State {
    pub(crate) fn new(hash_seed: u64) -> State {
        State {
            hash_seed,
            position: LogPosition(0),
            workspaces: Vec::new(),
            by_name: HashMap::new(),
        }
    }

    pub(crate) fn position(&self) -> LogPosition {
        self.position
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

    pub(crate) fn freeze(&self) -> Vec<Frozen> {
        self.workspaces.iter().map(|workspace| workspace.graph.freeze()).collect()
    }

    /// Applies a change that was decided on this state.
    pub(crate) fn commit<'c>(
        &mut self,
        workspace: WorkspaceIndex,
        log_time: Timestamp,
        change: Change<'c>,
    ) -> Record<'c> {
        let graph = &self.at(workspace).graph;
        let mut record = Record { sequence: graph.sequence(), log_time, change };
        record.sequence.0 += 1;
        if record.sequence.0 > 1 {
            record.log_time = record.log_time.max(graph.log_time());
        }
        self.apply(workspace, &record);
        record
    }

    /// Makes room for a workspace; its first record is to be committed at once.
    pub(crate) fn add_workspace(&mut self, name: &str) -> WorkspaceIndex {
        let workspace = WorkspaceIndex(self.count());
        self.add_graph(name, Graph::new(self.hash_seed));
        workspace
    }

    /// Applies a record that was read back, or says why it is impossible.
    pub(crate) fn replay(&mut self, workspace: u32, record: &Record<'_>) -> Result<(), String> {
        let workspace = WorkspaceIndex(workspace);
        if workspace.0 == self.count() {
            return self.replay_creation(workspace, record);
        }
        if workspace.0 > self.count() {
            return Err(format!("workspace {} was not created before", workspace.0));
        }
        self.graph(workspace).validate(record).map_err(|invalid| invalid.0)?;
        self.apply(workspace, record);
        Ok(())
    }

    fn replay_creation(
        &mut self,
        workspace: WorkspaceIndex,
        record: &Record<'_>,
    ) -> Result<(), String> {
        let Change::WorkspaceCreated { name, .. } = &record.change else {
            return Err(format!("workspace {} was not created before", workspace.0));
        };
        if self.workspace(name).is_some() {
            return Err(format!("workspace `{name}` was created before"));
        }
        let graph = Graph::new(self.hash_seed);
        graph.validate(record).map_err(|invalid| invalid.0)?;
        self.add_graph(name, graph);
        self.apply(workspace, record);
        Ok(())
    }

    fn apply(&mut self, workspace: WorkspaceIndex, record: &Record<'_>) {
        self.position.0 += 1;
        let position = self.position;
        let workspace = self.at_mut(workspace);
        workspace.graph.apply(record);
        workspace.position = position;
    }

    fn add_graph(&mut self, name: &str, graph: Graph) {
        self.by_name.insert(name.to_owned(), WorkspaceIndex(self.count()));
        self.workspaces.push(Workspace { graph, position: self.position });
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

impl StateLoader {
    pub(crate) fn new(hash_seed: u64, position: u64) -> StateLoader {
        let mut state = State::new(hash_seed);
        state.position = LogPosition(position);
        StateLoader { state, current: None }
    }

    /// Takes the next part; workspaces come in order.
    pub(crate) fn add(&mut self, workspace: u32, part: Part) -> Result<(), String> {
        if self.current.as_ref().is_none_or(|(current, _)| *current != workspace) {
            self.finish_workspace()?;
            if workspace != self.state.count() {
                return Err(format!("workspace {workspace} is out of order"));
            }
            self.current = Some((workspace, Loader::new(self.state.hash_seed)));
        }
        match &mut self.current {
            Some((_, loader)) => loader.add(part).map_err(|invalid| invalid.0),
            None => Ok(()),
        }
    }

    pub(crate) fn finish(mut self) -> Result<State, String> {
        self.finish_workspace()?;
        Ok(self.state)
    }

    fn finish_workspace(&mut self) -> Result<(), String> {
        let Some((_, loader)) = self.current.take() else {
            return Ok(());
        };
        let graph = loader.finish().map_err(|invalid| invalid.0)?;
        let name = graph.name().to_owned();
        if self.state.workspace(&name).is_some() {
            return Err(format!("workspace `{name}` is there twice"));
        }
        self.state.add_graph(&name, graph);
        Ok(())
    }
}
