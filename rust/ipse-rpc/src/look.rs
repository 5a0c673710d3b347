//! A call's look at the graphs, and how a long call looks in turns.
//!
//! Whoever looks holds the store's lock, and everyone else waits. So a call that has many
//! things to do goes on from one to the next by [`Look::go_on`], which is the one place where
//! others get in between. A turn is as long as it lasts and not as many things as it does: what
//! one event costs is up to the rules and to the profiles that it meets, and what the others
//! wait for is time. Between two turns anything may have changed but what never does: numbers of
//! profiles stay, and the log's position only grows, so that an answer that waits for its last
//! turn's position leads the disk in nothing. If the workspace was deleted meanwhile, there is no
//! next turn.

use std::time::{Duration, Instant};

use ipse_core::change::ProfileNumber;
use ipse_core::{Graph, RestsOn, SequenceNumber};
use ipse_store::{Locked, LogPosition, WorkspaceIndex};

use crate::dispatch::{Dispatch, Refused, find_workspace};
use crate::limits::TURN_MS_MAX;
use crate::status::{Reason, Status};

/// The graphs, locked to look at one workspace.
pub(crate) struct Look<'d> {
    pub(crate) dispatch: &'d Dispatch,
    pub(crate) locked: Locked<'d>,
    workspace: WorkspaceIndex,
    /// When this turn was first asked whether it goes on: a call of one thing is never timed.
    began: Option<Instant>,
}

impl Dispatch {
    /// Locks the graphs.
    pub(crate) fn look(&self, workspace: &str) -> Result<Look<'_>, Refused> {
        let locked = self.lock()?;
        let workspace = find_workspace(&locked, "workspace", workspace)?;
        Ok(Look { dispatch: self, locked, workspace, began: None })
    }
}

impl Look<'_> {
    /// The workspace's graph as it is now.
    pub(crate) fn graph(&self) -> &Graph {
        self.locked.graph(self.workspace)
    }

    pub(crate) fn workspace(&self) -> WorkspaceIndex {
        self.workspace
    }

    /// The position that everything said up to now rests on.
    pub(crate) fn position(&self) -> LogPosition {
        self.locked.workspace_position(self.workspace)
    }

    /// The position that an answer about a profile rests on, and the newest record of that.
    pub(crate) fn position_of(
        &self,
        profile: Option<ProfileNumber>,
        rests_on: RestsOn,
    ) -> (LogPosition, SequenceNumber) {
        match (rests_on, profile) {
            (RestsOn::Target, Some(profile)) => {
                self.locked.profile_position(self.workspace, profile)
            }
            _ => (self.position(), self.graph().sequence()),
        }
    }

    /// To be asked between two things that a call does: a turn that has lasted its time ends,
    /// and the next begins when all who wait have been. Refused if the server closes meanwhile.
    pub(crate) fn go_on(mut self) -> Result<Self, Status> {
        let began = *self.began.get_or_insert_with(Instant::now);
        if began.elapsed() < Duration::from_millis(TURN_MS_MAX) {
            return Ok(self);
        }
        let Look { dispatch, locked, workspace, .. } = self;
        let locked = locked.give_way();
        dispatch.check_open()?;
        if locked.graph(workspace).is_gone() {
            let problem = "the workspace was deleted while the call was carried out";
            return Err(Status::new(Reason::WorkspaceNotFound, problem));
        }
        Ok(Look { dispatch, locked, workspace, began: None })
    }

    /// Does `step` for each item, in turns.
    pub(crate) fn for_each<T>(
        self,
        items: impl IntoIterator<Item = T>,
        mut step: impl FnMut(&Self, T),
    ) -> Result<Self, Status> {
        let mut look = self;
        for (at, item) in items.into_iter().enumerate() {
            if at > 0 {
                look = look.go_on()?;
            }
            step(&look, item);
        }
        Ok(look)
    }
}
