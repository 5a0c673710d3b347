//! Ceilings on memory: how much the graphs may hold, and how much of that is left.
//!
//! They bind what is decided from now on, never what is there: a log that was written under
//! higher ones is recovered whole, and what is decided next is refused what it would add.

use ipse_core::decide::{Ceiling, CeilingOf, Room};
use ipse_core::graph::Memory;

/// How much may be held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ceilings {
    /// By all workspaces together.
    pub process: Memory,
    /// By each workspace.
    pub workspace: Memory,
}

impl Ceilings {
    /// As much as there is.
    pub const UNBOUNDED: Ceilings = Ceilings {
        process: Memory { identifiers: u64::MAX, bytes: u64::MAX },
        workspace: Memory { identifiers: u64::MAX, bytes: u64::MAX },
    };

    /// What is left to a workspace that holds so much, of all that the process holds.
    pub(crate) fn room(&self, workspace: Memory, process: Memory) -> Room {
        let of_workspace = room(CeilingOf::Workspace, &self.workspace, workspace);
        let of_process = room(CeilingOf::Process, &self.process, process);
        let nearest = if of_workspace.identifiers <= of_process.identifiers {
            of_workspace
        } else {
            of_process
        };
        Room { bytes: of_workspace.bytes && of_process.bytes, ..nearest }
    }
}

fn room(of: CeilingOf, ceiling: &Memory, held: Memory) -> Room {
    if held.bytes >= ceiling.bytes {
        let ceiling = Ceiling { of, what: "bytes", bound: ceiling.bytes };
        return Room { identifiers: 0, bytes: false, ceiling };
    }
    let bound = ceiling.identifiers;
    Room {
        identifiers: bound.saturating_sub(held.identifiers),
        bytes: true,
        ceiling: Ceiling { of, what: "identifiers", bound },
    }
}
