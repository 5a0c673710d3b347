//! Reads as of a moment in the past: which record that is, and the graph as it was then.

use std::fmt;

use ipse_core::change::ProfileNumber;
use ipse_core::graph::{NotKept, PastView, ProfileView};
use ipse_core::{Graph, Refusal, SequenceNumber, Timestamp};

use crate::convert::sent_time;
use crate::proto::v1;
use crate::proto::v1::as_of::Moment;
use crate::status::Status;

/// A graph now, or as of a record.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Seen<'g> {
    Now(&'g Graph),
    Then(&'g Graph, PastView<'g>),
}

impl<'g> Seen<'g> {
    /// The graph as a request means it that was sent at `now`; `field` is where it says so.
    pub(crate) fn of(
        graph: &'g Graph,
        field: &str,
        as_of: Option<&v1::AsOf>,
        now: Timestamp,
    ) -> Result<Seen<'g>, Status> {
        let Some(as_of) = as_of else { return Ok(Seen::Now(graph)) };
        let sequence = sequence_of(graph, field, as_of, now)?;
        Ok(Seen::Then(graph, then(graph, field, sequence)?))
    }

    /// The graph as of a record, or now; not refused if it was not a moment ago, unless that has
    /// expired meanwhile.
    pub(crate) fn at(graph: &'g Graph, at: Option<SequenceNumber>) -> Result<Seen<'g>, Status> {
        match at {
            Some(at) => Ok(Seen::Then(graph, then(graph, "as_of", at)?)),
            None => Ok(Seen::Now(graph)),
        }
    }

    /// The record as of which it is, if it is not now.
    pub(crate) fn past(self) -> Option<SequenceNumber> {
        match self {
            Seen::Now(_) => None,
            Seen::Then(_, then) => Some(then.sequence()),
        }
    }

    /// The newest record of then.
    pub(crate) fn sequence(self) -> SequenceNumber {
        self.past().unwrap_or(self.graph().sequence())
    }

    pub(crate) fn graph(self) -> &'g Graph {
        match self {
            Seen::Now(graph) | Seen::Then(graph, _) => graph,
        }
    }

    pub(crate) fn profile(self, number: ProfileNumber) -> Option<ProfileView<'g>> {
        match self {
            Seen::Now(graph) => graph.profile(number),
            Seen::Then(_, then) => then.profile(number),
        }
    }

    pub(crate) fn lookup(
        self,
        namespace: &str,
        value: &str,
    ) -> Result<Option<ProfileView<'g>>, Refusal> {
        match self {
            Seen::Now(graph) => graph.lookup(namespace, value),
            Seen::Then(_, then) => then.lookup(namespace, value),
        }
    }

    pub(crate) fn owners(
        self,
        namespace: &str,
        value: &str,
    ) -> Result<Vec<ProfileView<'g>>, Refusal> {
        match self {
            Seen::Now(graph) => graph.owners(namespace, value),
            Seen::Then(_, then) => then.owners(namespace, value),
        }
    }

    pub(crate) fn find_canonical(self, id: &str) -> Option<ProfileView<'g>> {
        match self {
            Seen::Now(graph) => graph.find_canonical(id),
            Seen::Then(_, then) => then.find_canonical(id),
        }
    }

    pub(crate) fn find_former(self, id: &str) -> Option<ProfileView<'g>> {
        match self {
            Seen::Now(graph) => graph.find_former(id),
            Seen::Then(_, then) => then.find_former(id),
        }
    }
}

/// The record that a moment means.
fn sequence_of(
    graph: &Graph,
    field: &str,
    as_of: &v1::AsOf,
    now: Timestamp,
) -> Result<SequenceNumber, Status> {
    match &as_of.moment {
        Some(Moment::SequenceNumber(number)) => Ok(SequenceNumber(*number)),
        Some(Moment::LogTime(time)) => {
            let field = format!("{field}.log_time");
            let time = sent_time(Some(time), || field.clone())?.expect("one was sent");
            if time > now {
                return Err(Status::invalid_field(field, format!("is ahead: it is {now} now")));
            }
            graph.sequence_at(time).map_err(|not_kept| refused(not_kept, &time, field))
        }
        None => {
            Err(Status::invalid_field(field, "is not set: give a sequence number or a log time"))
        }
    }
}

fn then<'g>(
    graph: &'g Graph,
    field: &str,
    sequence: SequenceNumber,
) -> Result<PastView<'g>, Status> {
    graph.as_of(sequence).map_err(|not_kept| {
        refused(not_kept, &format!("record {sequence}"), format!("{field}.sequence_number"))
    })
}

fn refused(not_kept: NotKept, asked: &dyn fmt::Display, field: String) -> Status {
    match not_kept {
        NotKept::Expired { oldest } => Status::history_expired(asked, oldest),
        NotKept::Future { newest } => {
            let problem = format!("has not been written: the newest record is {newest}");
            Status::invalid_field(field, problem)
        }
    }
}
