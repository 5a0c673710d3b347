//! A call's turn at the graphs to decide: each decision and its record are made under one hold
//! of the store's lock, and there is one way from a decision to the log.

use std::panic::AssertUnwindSafe;
use std::sync::{MutexGuard, PoisonError};
use std::time::Instant;

use ipse_core::change::Verb;
use ipse_core::decide::{ErasureDecision, Moment};
use ipse_core::graph::Receipt;
use ipse_core::{Change, Decision, Graph, Record, Timestamp};
use ipse_store::{Locked, LogPosition, WorkspaceIndex};

use crate::admission::Size;
use crate::dispatch::{Answer, Dispatch, Handled, Refused};
use crate::encode::Encoder;
use crate::erase::newest_receipt;
use crate::fault::catching;
use crate::limits::{STORAGE_RETRY_DELAY_MS, WRITE_QUEUE_RETRY_DELAY_MS};
use crate::look::Look;
use crate::resolution::Resolution;
use crate::status::{Reason, Status};

/// A look at the graphs of a call that may write.
pub(crate) struct Turn<'d> {
    look: Look<'d>,
    /// What the call asks for; events in JSON may ask for something else.
    verb: Verb,
    now: Timestamp,
    read_only: bool,
    /// What the decisions up to now rest on.
    rests_on: LogPosition,
    /// Held by a call of many things, and let go after the graphs: two that took turns with each
    /// other would both end as late as the later one, and every change between them costs.
    _alone: Option<MutexGuard<'d, ()>>,
}

impl Dispatch {
    /// Locks the graphs for a call that decides. The queue is looked at before anything is
    /// decided, and not again: a batch that was let in is done to its end, so that nothing has
    /// to be taken back or sent again, and the queue may pass its bound by its records.
    pub(crate) fn turn(
        &self,
        workspace: &str,
        verb: Verb,
        read_only: bool,
        now: Timestamp,
    ) -> Result<Turn<'_>, Refused> {
        self.turn_of(Size::One, workspace, verb, read_only, now)
    }

    /// The same for a call of many events or profiles, of which one has its turns at a time.
    pub(crate) fn turn_of(
        &self,
        size: Size,
        workspace: &str,
        verb: Verb,
        read_only: bool,
        now: Timestamp,
    ) -> Result<Turn<'_>, Refused> {
        let alone = matches!(size, Size::Many(_))
            .then(|| self.long_turns.lock().unwrap_or_else(PoisonError::into_inner));
        let look = self.look(workspace)?;
        if !read_only {
            check_writable(&look.locked)?;
            self.admission.check_log(self.store.expected_wait(), size)?;
        }
        // Last: what is refused for another reason takes nothing from the workspace's share.
        self.admission.take(look.workspace(), size, Instant::now())?;
        Ok(Turn { look, verb, now, read_only, rests_on: LogPosition(0), _alone: alone })
    }
}

impl Turn<'_> {
    /// The workspace's graph as it is now.
    pub(crate) fn graph(&self) -> &Graph {
        self.look.graph()
    }

    pub(crate) fn workspace(&self) -> WorkspaceIndex {
        self.look.workspace()
    }

    /// The clock, and the memory that is left.
    pub(crate) fn moment(&self) -> Moment {
        Moment { now: self.now, room: self.look.locked.room(self.look.workspace()) }
    }

    /// The position that the workspace's newest state rests on.
    pub(crate) fn position(&self) -> LogPosition {
        self.look.position()
    }

    /// Decides for each item by `step`, in turns, and gives the position that all of it rests on.
    /// If the server closes meanwhile what was done is done, and `step` hears why the rest is not.
    pub(crate) fn for_each<T>(
        self,
        items: impl IntoIterator<Item = T>,
        mut step: impl FnMut(Result<&mut Self, Status>, T),
    ) -> LogPosition {
        let mut rests_on = LogPosition(0);
        let mut turn = Ok(self);
        for (at, item) in items.into_iter().enumerate() {
            if at > 0 {
                turn = turn.and_then(Turn::go_on);
            }
            step(turn.as_mut().map_err(|closing| closing.clone()), item);
            if let Ok(turn) = &turn {
                rests_on = turn.rests_on;
            }
        }
        rests_on
    }

    /// Refuses the whole call before anything is decided.
    pub(crate) fn refuse(&self, status: Status) -> Refused {
        Refused { position: self.position(), status: self.count_refusal(status) }
    }

    /// Decides, commits what was decided if it is to be written, and counts it.
    pub(crate) fn carry_out<'c>(
        &mut self,
        decide: impl FnOnce(&Graph) -> Result<Decision<'c>, Status>,
    ) -> Result<Resolution<'c>, Status> {
        if !self.read_only && self.look.locked.storage_is_full() {
            // Since an item of the same call.
            return Err(self.refuse_item(storage_full()));
        }
        match self.decide(decide).and_then(|decision| self.commit(decision)) {
            Ok(resolution) => {
                self.look.dispatch.metrics.count_resolution(&resolution);
                Ok(resolution)
            }
            Err(status) => Err(self.refuse_item(status)),
        }
    }

    /// Refuses one thing that the call asks for.
    pub(crate) fn refuse_item(&mut self, status: Status) -> Status {
        self.rests_on = self.position();
        self.count_refusal(status)
    }

    /// Counts a refusal, and gives it back.
    fn count_refusal(&self, status: Status) -> Status {
        self.look.dispatch.metrics.count_refusal(self.verb, self.read_only);
        status
    }

    /// The answer to a call that decides once: what `encode` writes.
    pub(crate) fn answer<'c>(
        mut self,
        decide: impl FnOnce(&Graph) -> Result<Decision<'c>, Status>,
        encode: impl FnOnce(&Resolution<'c>, &Graph, &mut Encoder),
    ) -> Handled {
        match self.carry_out(decide) {
            Ok(resolution) => {
                let mut out = Encoder::default();
                encode(&resolution, self.graph(), &mut out);
                Ok(Answer { position: self.rests_on, bytes: out.into_bytes() })
            }
            Err(status) => Err(Refused { position: self.rests_on, status }),
        }
    }

    pub(crate) fn go_on(self) -> Result<Self, Status> {
        Ok(Turn { look: self.look.go_on()?, ..self })
    }

    /// Decides what to erase, and erases it unless the call only asks; the receipt, and whether
    /// it was carried out before.
    pub(crate) fn erase(
        &mut self,
        decide: impl FnOnce(&Graph) -> Result<ErasureDecision, Status>,
    ) -> Result<(Receipt, bool), Status> {
        let erased = match self.decide(decide).map_err(|status| self.count_refusal(status))? {
            ErasureDecision::Repeated(receipt) => return Ok((receipt, true)),
            ErasureDecision::New(erased) => erased,
        };
        if self.read_only {
            return Ok((Receipt::planned(&erased, self.now), false));
        }
        self.write(Change::Erased(erased)).map_err(|status| self.count_refusal(status))?;
        Ok((*newest_receipt(self.graph()), false))
    }

    /// Lets as many identifiers expire as one record names; how many that was.
    pub(crate) fn expire(&mut self) -> Result<usize, Status> {
        let Some(expired) = self.decide(|graph| Ok(graph.decide_expiry(self.now)))? else {
            return Ok(0);
        };
        let count = expired.identifiers.len();
        self.write(Change::Expired(expired))?;
        Ok(count)
    }

    /// Deciding only reads. Catching its bugs here spares the lock, and so everyone else.
    fn decide<T>(&self, decide: impl FnOnce(&Graph) -> Result<T, Status>) -> Result<T, Status> {
        catching(AssertUnwindSafe(|| decide(self.graph())))
            .unwrap_or_else(|panic| Err(self.look.dispatch.panicked("decide", &panic)))
    }

    /// Commits a change, unless the disk has no space for it.
    fn write<'c>(&mut self, change: Change<'c>) -> Result<Record<'c>, Status> {
        let workspace = self.look.workspace();
        let change = self.look.locked.with_space(workspace, change);
        let change = change.ok_or_else(storage_full)?;
        let committed = self.look.locked.commit(workspace, self.now, change);
        let (record, _) = committed.map_err(|bug| self.look.dispatch.internal(bug.to_string()))?;
        Ok(record)
    }

    /// Writes what is to be written, unless the disk has no space for it: nothing is done then.
    fn commit<'c>(&mut self, decision: Decision<'c>) -> Result<Resolution<'c>, Status> {
        let Decision { resolved, known, teaches, repeated, attributed_by, rests_on } = decision;
        let read_only = self.read_only;
        let resolution = |resolved, sequence, recorded| Resolution {
            resolved,
            known,
            attributed_by,
            sequence,
            recorded,
            repeated: repeated.is_some(),
            read_only,
        };
        if !teaches || read_only {
            let (position, newest) = self.look.position_of(resolved.target.profile(), rests_on);
            self.rests_on = self.rests_on.max(position);
            let recorded = repeated.is_some() && !read_only;
            return Ok(resolution(resolved, repeated.unwrap_or(newest), recorded));
        }
        let record = self.write(Change::EventResolved(resolved))?;
        self.rests_on = self.position();
        let Change::EventResolved(resolved) = record.change else {
            unreachable!("the store gives back the change that it was given")
        };
        Ok(resolution(resolved, record.sequence, true))
    }
}

/// Refuses what writes while nothing may be written, before anything is decided.
pub(crate) fn check_writable(locked: &Locked<'_>) -> Result<(), Status> {
    if locked.storage_is_full() {
        return Err(storage_full());
    }
    if locked.queue_is_full() {
        return Err(write_queue_full());
    }
    Ok(())
}

/// RESOURCE_EXHAUSTED, with the time to wait.
pub(crate) fn storage_full() -> Status {
    Status::new(
        Reason::StorageFull,
        "the server's disk is too full to write more; nothing was done, reads go on: try again \
         when there is space",
    )
    .retry_after_ms(STORAGE_RETRY_DELAY_MS)
}

/// RESOURCE_EXHAUSTED, with the time to wait.
fn write_queue_full() -> Status {
    Status::new(
        Reason::WriteQueueFull,
        "more writes wait for the disk than the queue may hold: try again after the delay",
    )
    .retry_after_ms(WRITE_QUEUE_RETRY_DELAY_MS)
}
