//! The memory that is left: what needs more of it is kept out, and what is known still answers.
//!
//! How much there is comes in with each decision, so that the log holds what was decided and
//! replay asks for no setting. Identifiers that have no room are taken off the event like those
//! that a rule drops, the weakest first; if nothing is left that makes it somebody's, it is
//! refused as a whole, so that whoever sent it may try again. Only what identifiers and traits
//! add is kept out: links, merges and corrections of people who are there go on.

use crate::change::{Reason, Rule, Target};
use crate::graph::Graph;
use crate::time::Timestamp;

use super::Refusal;
use super::candidates::Candidate;
use super::resolve::{Resolved, because};

/// What a decision takes from outside.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// The server's clock.
    pub now: Timestamp,
    /// The memory that is left.
    pub room: Room,
}

/// The memory that is left to a workspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// How many more identifiers it may hold.
    pub identifiers: u64,
    /// Whether it may take more bytes. If it may not, it may not hold more identifiers either.
    pub bytes: bool,
    /// The ceiling that is nearest: whoever is refused is told of it.
    pub ceiling: Ceiling,
}

/// A bound on memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ceiling {
    /// Of what.
    pub of: CeilingOf,
    /// What is counted: `identifiers` or `bytes`.
    pub what: &'static str,
    /// How much there may be.
    pub bound: u64,
}

/// What a ceiling is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CeilingOf {
    /// Of one workspace.
    Workspace,
    /// Of all workspaces of the process together.
    Process,
}

impl Room {
    /// No end of it.
    pub const UNBOUNDED: Room = Room {
        identifiers: u64::MAX,
        bytes: true,
        ceiling: Ceiling { of: CeilingOf::Process, what: "bytes", bound: u64::MAX },
    };

    /// Takes off what there is no room for, the weakest first; whether that was anything.
    #[inline]
    pub(super) fn keep_out(&self, graph: &Graph, candidates: &mut [Candidate<'_>]) -> bool {
        self.identifiers < candidates.len() as u64 && self.keep_out_of(graph, candidates)
    }

    #[cold]
    fn keep_out_of(&self, graph: &Graph, candidates: &mut [Candidate<'_>]) -> bool {
        let mut left = self.identifiers;
        let mut is_short = false;
        for candidate in candidates.iter_mut().filter(|candidate| adds(graph, candidate)) {
            if left > 0 {
                left -= 1;
            } else {
                candidate.dropped = Some(Box::new(no_room()));
                is_short = true;
            }
        }
        is_short
    }

    /// Refuses what would be a new profile's if there were room. `is_short` says that something
    /// was kept out.
    #[inline]
    pub(super) fn check(&self, resolved: &Resolved<'_>, is_short: bool) -> Result<(), Refusal> {
        if self.bytes && !is_short { Ok(()) } else { self.check_new(resolved, is_short) }
    }

    #[cold]
    fn check_new(&self, resolved: &Resolved<'_>, is_short: bool) -> Result<(), Refusal> {
        let holds_any = || resolved.identifiers.iter().any(|observed| observed.verdict.is_kept());
        let has_room = match resolved.target {
            Target::Found(_) | Target::Merged { .. } => true,
            Target::Created(_) => self.bytes && (!is_short || holds_any()),
            Target::Unresolved => !is_short,
        };
        if has_room { Ok(()) } else { Err(Refusal::CeilingReached(self.ceiling)) }
    }
}

/// Why an identifier is kept out.
pub(super) fn no_room() -> Reason {
    because(Rule::Ceiling)
}

/// Whether a candidate would be one identifier more: one that was on somebody before is there.
pub(super) fn adds(graph: &Graph, candidate: &Candidate<'_>) -> bool {
    let is_there =
        || candidate.index.is_some_and(|at| graph.identifiers.find(at, &candidate.value).is_some());
    candidate.is_new() && !is_there()
}

impl From<Timestamp> for Moment {
    /// Where memory has no ceiling.
    fn from(now: Timestamp) -> Moment {
        Moment { now, room: Room::UNBOUNDED }
    }
}
