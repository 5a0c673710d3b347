//! Letting identifiers expire: no method, but what whoever runs the engine does now and then.

use ipse_core::Timestamp;
use ipse_core::change::Verb;

use crate::dispatch::Dispatch;
use crate::status::Status;

impl Dispatch {
    /// Lets expire what the rules keep no longer, in turns between which others get in; how many
    /// identifiers that was. What the log has no room for now is for the next time.
    pub fn expire(&self, now: Timestamp) -> u64 {
        if self.failure().is_some() {
            return 0;
        }
        let locked = self.store().lock();
        let graphs = locked.workspaces().map(|index| locked.graph(index));
        let expiring = graphs.filter(|graph| graph.rules().has_expiry());
        let names: Vec<String> = expiring.map(|graph| graph.name().to_owned()).collect();
        drop(locked);
        let mut expired = 0;
        for name in names {
            if self.expire_in(&name, now, &mut expired).is_err() {
                break;
            }
        }
        expired
    }

    fn expire_in(&self, workspace: &str, now: Timestamp, expired: &mut u64) -> Result<(), Status> {
        let turn = self.turn(workspace, Verb::Observe, false, now);
        let mut turn = turn.map_err(|refused| refused.status)?;
        loop {
            match turn.expire()? {
                0 => return Ok(()),
                count => *expired += count as u64,
            }
            turn = turn.go_on()?;
        }
    }
}
