//! The mappings by which raw events are read, kept outside the store's lock.
//!
//! Reading JSON is the longest part of resolving a raw event and must not hold the lock. So
//! the mapping in force is shared under the version of its rules; who then finds another
//! version in force reads the event again.

use std::sync::{Arc, Mutex, PoisonError};

use ipse_core::Graph;
use ipse_core::change::RulesVersion;
use ipse_core::rules::Mapping;
use ipse_store::WorkspaceIndex;

/// One mapping for each workspace, as new as the last event that needed it.
#[derive(Debug, Default)]
pub(crate) struct Mappings(Mutex<Vec<Option<VersionedMapping>>>);

/// A mapping and the rules it is part of. The default reads nothing and is part of none.
#[derive(Clone, Debug, Default)]
pub(crate) struct VersionedMapping {
    /// A name may be another workspace's by now.
    pub(crate) workspace: Option<WorkspaceIndex>,
    pub(crate) version: RulesVersion,
    pub(crate) mapping: Arc<Mapping>,
}

impl Mappings {
    /// Forgets that of a workspace that is gone.
    pub(crate) fn forget(&self, workspace: WorkspaceIndex) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = known.get_mut(workspace.0 as usize) {
            *entry = None;
        }
    }

    /// The mapping in force.
    pub(crate) fn of(&self, workspace: WorkspaceIndex, graph: &Graph) -> VersionedMapping {
        // Each entry is whole or absent at every moment, so a panic elsewhere harms nothing.
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = workspace.0 as usize;
        if known.len() <= at {
            known.resize_with(at + 1, || None);
        }
        let version = graph.rules_version();
        let entry = known[at].take().filter(|entry| entry.version == version);
        let entry = entry.unwrap_or_else(|| VersionedMapping {
            workspace: Some(workspace),
            version,
            mapping: Arc::new(graph.rules().mapping().clone()),
        });
        known[at].insert(entry).clone()
    }
}
