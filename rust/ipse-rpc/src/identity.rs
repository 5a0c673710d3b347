//! The methods of IdentityService that resolve events.
//!
//! One event is a batch of one: there is one path from a request to the graph. A batch is
//! read outside the store's lock, then decided and committed under it in one go, so that its
//! events are neighbours in the log and nothing of another caller comes between.

use std::panic::AssertUnwindSafe;

use ipse_core::change::{ProfileNumber, Reason as RuleReason, Rule, Verdict};
use ipse_core::{
    Change, Decision, EventResolved, Graph, ObservedIdentifier, SequenceNumber, Target, Timestamp,
};
use ipse_store::{Locked, LogPosition, WorkspaceIndex};

use crate::convert::{ReadEvent, refused};
use crate::dispatch::{Answer, Dispatch, Handled, Refused, find_workspace};
use crate::encode::Encoder;
use crate::extract::Ignored;
use crate::fault::catching;
use crate::limits::{EVENTS_MAX, WRITE_QUEUE_RETRY_DELAY_MS};
use crate::mappings::VersionedMapping;
use crate::proto::v1;
use crate::request;
use crate::status::{Reason, Status};

/// Events of one workspace, with what the whole call says about them.
struct Batch<'a> {
    workspace: &'a str,
    events: &'a [request::Event<'a>],
    read_only: bool,
    now: Timestamp,
}

/// An event's fate, before it is encoded.
struct Resolution<'a> {
    resolved: EventResolved<'a>,
    known: bool,
    sequence: SequenceNumber,
    recorded: bool,
    repeated: bool,
    read_only: bool,
    ignored: &'a [Ignored],
}

/// What became of one event.
type Outcome<'a> = Result<&'a Resolution<'a>, Status>;

/// Hears what became of each event, in order.
trait Told: FnMut(Outcome<'_>, &Graph) {}
impl<F: FnMut(Outcome<'_>, &Graph)> Told for F {}

impl Dispatch {
    pub(crate) fn resolve_event(&self, request: &[u8], now: Timestamp) -> Handled {
        let request: request::ResolveEvent<'_> = request::read(request)?;
        let Some(event) = &request.event else {
            return Err(Status::invalid_field("event", "is missing").into());
        };
        let batch = Batch {
            workspace: request.workspace,
            events: std::slice::from_ref(event),
            read_only: request.read_only,
            now,
        };
        let mut out = Encoder::default();
        let mut refusal = None;
        let position = self.resolve_batch(&batch, |result, graph| match result {
            Ok(resolution) => out.message(1, |out| resolution.encode(graph, out)),
            Err(status) => refusal = Some(status),
        })?;
        match refusal {
            Some(status) => Err(Refused { position, status }),
            None => Ok(Answer { position, bytes: out.into_bytes() }),
        }
    }

    pub(crate) fn resolve_events(&self, request: &[u8], now: Timestamp) -> Handled {
        let request: request::ResolveEvents<'_> = request::read(request)?;
        let count = request.event_count;
        if count > EVENTS_MAX {
            return Err(Status::limit_exceeded("events", "events", EVENTS_MAX, count).into());
        }
        let batch = Batch {
            workspace: request.workspace,
            events: &request.events,
            read_only: request.read_only,
            now,
        };
        let mut out = Encoder::default();
        let position = self.resolve_batch(&batch, |result, graph| {
            out.message(1, |out| match result {
                Ok(resolution) => out.message(1, |out| resolution.encode(graph, out)),
                Err(status) => out.encoded(2, &v1::ItemError::from(status)),
            });
        })?;
        Ok(Answer { position, bytes: out.into_bytes() })
    }

    /// Resolves events in order; each result is told with the graph as that event left it.
    /// Gives the position that all of them rest on.
    fn resolve_batch(
        &self,
        batch: &Batch<'_>,
        mut told: impl Told,
    ) -> Result<LogPosition, Refused> {
        let mapping = self.mapping(batch)?;
        self.resolve_read_by(mapping, batch, &mut told)
    }

    /// [`Dispatch::resolve_batch`], beginning with a mapping that need not be in force any more.
    fn resolve_read_by(
        &self,
        mut mapping: VersionedMapping,
        batch: &Batch<'_>,
        told: &mut impl Told,
    ) -> Result<LogPosition, Refused> {
        loop {
            let read = |event| ReadEvent::read(event, &mapping.mapping);
            let events: Vec<_> = batch.events.iter().map(read).collect();
            let mut locked = self.lock()?;
            let workspace = find_workspace(&locked, "workspace", batch.workspace)?;
            if batch.has_raw() && locked.graph(workspace).rules_version() != mapping.version {
                // Rules were set since the events were read: read them by the new ones.
                let newest = self.mappings.of(workspace, locked.graph(workspace));
                drop((events, locked));
                mapping = newest;
                continue;
            }
            if !batch.read_only && locked.queue_is_full() {
                return Err(write_queue_full().into());
            }
            for event in events {
                self.resolve_one(batch, &mut locked, workspace, event, told);
            }
            return Ok(locked.workspace_position(workspace));
        }
    }

    fn resolve_one(
        &self,
        batch: &Batch<'_>,
        locked: &mut Locked<'_>,
        workspace: WorkspaceIndex,
        event: Result<ReadEvent<'_>, Status>,
        told: &mut impl Told,
    ) {
        let refuse = |status, graph: &Graph, told: &mut dyn FnMut(Outcome<'_>, &Graph)| {
            self.count(batch, None);
            told(Err(status), graph);
        };
        let graph = locked.graph(workspace);
        let mut read = match event {
            Ok(read) => read,
            Err(status) => return refuse(status, graph, told),
        };
        let (place, ignored) = (read.place, std::mem::take(&mut read.ignored));
        let profile = named_profile(graph, read.profile_id);
        let event = read.take(profile);
        // Deciding only reads. Catching its bugs here spares the lock, and so everyone else.
        let deciding = AssertUnwindSafe(|| graph.decide(&event, batch.now));
        match catching(deciding) {
            Err(panic) => refuse(self.panicked("decide", &panic), graph, told),
            Ok(Err(refusal)) => refuse(refused(refusal, place), graph, told),
            Ok(Ok(decision)) => {
                let resolution = commit(batch, locked, workspace, decision, &ignored);
                self.count(batch, Some(&resolution));
                told(Ok(&resolution), locked.graph(workspace));
            }
        }
    }

    fn mapping(&self, batch: &Batch<'_>) -> Result<VersionedMapping, Status> {
        if !batch.has_raw() {
            return Ok(VersionedMapping::default());
        }
        let locked = self.lock()?;
        let workspace = find_workspace(&locked, "workspace", batch.workspace)?;
        Ok(self.mappings.of(workspace, locked.graph(workspace)))
    }

    /// Counts an event; without a resolution it was refused.
    fn count(&self, batch: &Batch<'_>, resolution: Option<&Resolution<'_>>) {
        let metrics = &self.metrics;
        match resolution {
            _ if batch.read_only => metrics.previews.add(1),
            None => metrics.events_refused.add(1),
            Some(resolution) if resolution.repeated => metrics.events_repeated.add(1),
            Some(resolution) => {
                metrics.count_event(&resolution.resolved.target);
                metrics.events_recorded.add(u64::from(resolution.recorded));
            }
        }
    }
}

impl Batch<'_> {
    fn has_raw(&self) -> bool {
        self.events.iter().any(|event| !event.raw_json.is_empty())
    }
}

/// The profile that an event names. An id that is none of this workspace's becomes a number
/// that no profile has, so that the core refuses it, in its order of refusals.
fn named_profile(graph: &Graph, id: &str) -> Option<ProfileNumber> {
    const NOBODY: ProfileNumber = ProfileNumber(u32::MAX);
    (!id.is_empty()).then(|| graph.profile_number(id).unwrap_or(NOBODY))
}

/// Commits what was decided, if it is to be written.
fn commit<'a>(
    batch: &Batch<'_>,
    locked: &mut Locked<'_>,
    workspace: WorkspaceIndex,
    decision: Decision<'a>,
    ignored: &'a [Ignored],
) -> Resolution<'a> {
    let Decision { resolved, known, teaches, repeated } = decision;
    let read_only = batch.read_only;
    let resolution = |resolved, sequence, recorded| Resolution {
        resolved,
        known,
        sequence,
        recorded,
        repeated: repeated.is_some(),
        read_only,
        ignored,
    };
    if !teaches || read_only {
        let newest = locked.graph(workspace).sequence();
        let recorded = repeated.is_some() && !read_only;
        return resolution(resolved, repeated.unwrap_or(newest), recorded);
    }
    let (record, _) = locked.commit(workspace, batch.now, Change::EventResolved(resolved));
    let Change::EventResolved(resolved) = record.change else {
        unreachable!("the store gives back the change that it was given")
    };
    resolution(resolved, record.sequence, true)
}

impl Resolution<'_> {
    fn encode(&self, graph: &Graph, out: &mut Encoder) {
        let target = &self.resolved.target;
        if let Some(profile) = self.profile() {
            out.string(1, graph.profile_id(profile).as_str());
        }
        out.number(2, self.decision() as u64);
        out.bool(3, matches!(target, Target::Created(_)));
        out.bool(4, self.known);
        for identifier in &self.resolved.identifiers {
            out.message(5, |out| encode_verdict(identifier, graph, out));
        }
        for &absorbed in target.absorbed() {
            out.element(6, graph.profile_id(absorbed).as_str());
        }
        out.number(7, self.sequence.0);
        out.bool(8, self.recorded);
        out.bool(9, self.repeated);
        out.number(10, u64::from(self.resolved.rules_version.0));
        for ignored in self.ignored {
            out.message(11, |out| {
                out.string(1, &ignored.path);
                out.string(2, ignored.reason);
            });
        }
    }

    /// The profile to name. One that would be created has no id yet: whoever is created next
    /// will get it.
    fn profile(&self) -> Option<ProfileNumber> {
        match self.resolved.target {
            Target::Created(_) if self.read_only && !self.repeated => None,
            _ => self.resolved.target.profile(),
        }
    }

    fn decision(&self) -> v1::Decision {
        let attaches = |observed: &ObservedIdentifier<'_>| observed.verdict == Verdict::Attached;
        match self.resolved.target {
            Target::Unresolved => v1::Decision::Unresolved,
            Target::Created(_) => v1::Decision::Created,
            Target::Merged { .. } => v1::Decision::Merged,
            Target::Found(_) if self.resolved.identifiers.iter().any(attaches) => {
                v1::Decision::Attached
            }
            Target::Found(_) => v1::Decision::AlreadyAttached,
        }
    }
}

fn encode_verdict(observed: &ObservedIdentifier<'_>, graph: &Graph, out: &mut Encoder) {
    out.message(1, |out| {
        out.string(1, &observed.namespace);
        out.string(2, &observed.value);
    });
    out.string(2, observed.raw.as_deref().unwrap_or_default());
    out.number(3, verdict_on_wire(&observed.verdict) as u64);
    if let Some(reason) = observed.verdict.reason() {
        encode_reason(reason, graph, out);
    }
}

fn encode_reason(reason: &RuleReason, graph: &Graph, out: &mut Encoder) {
    out.number(4, rule_on_wire(reason.rule) as u64);
    if let Some(limit) = &reason.limit {
        out.string(5, limit.namespace.as_deref().unwrap_or_default());
        out.number(6, u64::from(limit.value));
    }
    if let Some(profile) = reason.collided {
        out.string(7, graph.profile_id(profile).as_str());
    }
    out.string(8, reason.rule.violation());
}

fn verdict_on_wire(verdict: &Verdict) -> v1::Verdict {
    match verdict {
        Verdict::Attached => v1::Verdict::Attached,
        Verdict::AlreadyAttached => v1::Verdict::AlreadyAttached,
        Verdict::Dropped(_) => v1::Verdict::Dropped,
        Verdict::Refused(_) => v1::Verdict::Refused,
    }
}

fn rule_on_wire(rule: Rule) -> v1::Rule {
    match rule {
        Rule::UnknownNamespace => v1::Rule::UnknownNamespace,
        Rule::InvalidValue => v1::Rule::InvalidValue,
        Rule::BlockedValue => v1::Rule::BlockedValue,
        Rule::ValueLimit => v1::Rule::ValueLimit,
        Rule::ValueTimeLimit => v1::Rule::ValueTimeLimit,
        Rule::MergeLimit => v1::Rule::MergeLimit,
        Rule::IdentifierLimit => v1::Rule::IdentifierLimit,
    }
}

/// Asked before anything is decided, so that nothing has to be taken back.
pub(crate) fn write_queue_full() -> Status {
    Status::new(
        Reason::WriteQueueFull,
        "more writes wait for the disk than the queue may hold: try again after the delay",
    )
    .retry_after_ms(WRITE_QUEUE_RETRY_DELAY_MS)
}

#[cfg(test)]
mod tests {
    use ipse_store::{Recovery, Store};
    use prost::Message;

    use super::*;

    #[test]
    fn an_event_that_was_read_by_older_rules_is_read_again() {
        let now = Timestamp::from_millis(0).expect("within range");
        let dispatch = Dispatch::new(Store::in_memory(1), Recovery::default(), now);
        dispatch.ensure_default_workspace(now).expect("it is free");
        let raw_json = br#"{"userId":"u1","who":"w1"}"#;
        let event = request::Event { raw_json, ..Default::default() };
        let events = std::slice::from_ref(&event);
        let batch = Batch { workspace: "", events, read_only: false, now };

        let stale = dispatch.mapping(&batch).expect("the default workspace");
        let rules_toml = "[namespaces.who]\nlimit = 1\nfrom = \"who\"\n".to_owned();
        let request = v1::SetRulesRequest { rules_toml, ..Default::default() };
        dispatch.set_rules(&request.encode_to_vec(), now).expect("good rules");

        let mut seen = Vec::new();
        let told = &mut |outcome: Outcome<'_>, _: &Graph| {
            let resolved = &outcome.expect("a good event").resolved;
            let shown = |found: &ObservedIdentifier<'_>| format!("{}", found.namespace);
            seen.extend(resolved.identifiers.iter().map(shown));
            assert_eq!(resolved.rules_version.0, 2);
        };
        dispatch.resolve_read_by(stale, &batch, told).expect("room in the queue");
        assert_eq!(seen, ["who"]);
    }
}
