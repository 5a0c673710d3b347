//! Deleting a workspace: the graph becomes an empty one without a name, which keeps a receipt.

use crate::change::{RulesVersion, WorkspaceDeleted};
use crate::graph::erasures::{PendingErasure, Receipt};
use crate::graph::past::Past;
use crate::graph::{Graph, Workspace};
use crate::rules::RulesText;

use super::Namespaces;

/// Nothing is decided by them any more: a workspace has rules.
const RULES: &str = "[namespaces.none]\n";

impl Graph {
    pub(super) fn delete(&mut self, deleted: &WorkspaceDeleted) {
        self.clear(deleted.key);
        self.restore_receipt(Receipt::of_deletion(deleted, self.sequence, self.log_time));
        self.restore_pending(PendingErasure {
            sequence: self.sequence,
            profiles: Vec::new(),
            identifiers: Vec::new(),
        });
    }

    /// The same of what was there before, when its records are gone.
    pub(super) fn clear(&mut self, profile_key: [u8; 16]) {
        let rules = RulesText::from(RULES);
        *self = Graph {
            workspace: Some(Workspace {
                name: "".into(),
                profile_key,
                created_time: self.log_time,
                rules_version: RulesVersion(1),
                rules_text: rules.text().into(),
                namespaces: Namespaces::new(super::parsed(&rules)),
            }),
            sequence: self.sequence,
            log_time: self.log_time,
            past: Past::beginning_at(self.sequence),
            // Nothing is put into its tables, by keys chosen to collide or any others.
            ..Graph::new(0)
        };
    }
}
