//! Records of the log, read by their numbers, and how they are told.

use std::collections::BTreeMap;

use ipse_core::change::Verb;
use ipse_core::{AttributedBy, Change, EventResolved, Graph, Record, SequenceNumber, Timestamp};
use ipse_store::{LogPosition, WorkspaceIndex};

use crate::convert::wire_time;
use crate::dispatch::Dispatch;
use crate::encode::Encoder;
use crate::proto::v1;
use crate::resolution::{Resolution, unless_erased};
use crate::status::Status;

/// Records by number, those that the log still keeps.
pub(crate) struct Logged(BTreeMap<SequenceNumber, Kept>);

/// What is told of a record.
struct Kept {
    log_time: Timestamp,
    kind: v1::RecordKind,
    event: Option<Resolution<'static>>,
}

impl Logged {
    /// Reads records, whose numbers ascend, once everything up to `position` is on disk: not
    /// with the graphs locked.
    pub(crate) fn read(
        dispatch: &Dispatch,
        workspace: WorkspaceIndex,
        position: LogPosition,
        sequences: &[SequenceNumber],
    ) -> Result<Logged, Status> {
        let failed = |error: String| dispatch.internal(format!("reading the log: {error}"));
        let store = &dispatch.store;
        store.wait_synced(position, None).map_err(|error| failed(error.to_string()))?;
        let mut kept = BTreeMap::new();
        store
            .read_records_at(workspace, sequences, &mut |record| {
                kept.insert(record.sequence, Kept::of(record));
            })
            .map_err(|error| failed(error.to_string()))?;
        Ok(Logged(kept))
    }

    /// Writes the fields of a `LoggedRecord`.
    pub(crate) fn encode(&self, sequence: SequenceNumber, graph: &Graph, out: &mut Encoder) {
        out.number(1, sequence.0);
        let Some(kept) = self.0.get(&sequence) else { return out.bool(2, true) };
        out.encoded(3, &wire_time(kept.log_time));
        out.number(4, kept.kind as u64);
        if let Some(told) = &kept.event {
            let event = &told.resolved;
            out.string(5, unless_erased(&event.event_id));
            out.string(6, &event.kind);
            out.string(7, &event.source);
            out.encoded(8, &wire_time(event.timestamp));
            out.message(9, |out| told.encode(&[], graph, out));
            told.encode_merges(10, graph, out);
            event.traits.iter().for_each(|set| out.element(11, &set.name));
            told.encode_reverted(12, graph, out);
        }
    }
}

impl Kept {
    fn of(record: &Record<'_>) -> Kept {
        let event = match &record.change {
            Change::EventResolved(event) => Some(told(event.to_static(), record.sequence)),
            _ => None,
        };
        Kept { log_time: record.log_time, kind: kind_of(&record.change), event }
    }
}

/// What a record is of.
pub(crate) fn kind_of(change: &Change<'_>) -> v1::RecordKind {
    match change {
        Change::EventResolved(event) => kind_of_verb(event.verb),
        Change::Erased(_)
        | Change::ErasureCompleted(_)
        | Change::WorkspaceDeleted(_)
        | Change::Gone => v1::RecordKind::Erasure,
        Change::Expired(_) => v1::RecordKind::Expiry,
        Change::WorkspaceCreated { .. } | Change::RulesSet { .. } => v1::RecordKind::Rules,
    }
}

/// What callers were told of an event when it was recorded, as far as its record says.
fn told(resolved: EventResolved<'static>, sequence: SequenceNumber) -> Resolution<'static> {
    Resolution {
        resolved,
        known: false,
        attributed_by: AttributedBy::Nobody,
        sequence,
        recorded: true,
        repeated: false,
        read_only: false,
    }
}

fn kind_of_verb(verb: Verb) -> v1::RecordKind {
    match verb {
        Verb::Observe => v1::RecordKind::Observe,
        Verb::Login => v1::RecordKind::Login,
        Verb::Logout => v1::RecordKind::Logout,
        Verb::Link => v1::RecordKind::Link,
        Verb::Modify => v1::RecordKind::Modify,
        Verb::Merge => v1::RecordKind::Merge,
        Verb::Split => v1::RecordKind::Split,
        Verb::AttributeHistory => v1::RecordKind::AttributeHistory,
        Verb::Import => v1::RecordKind::Import,
        Verb::Revert => v1::RecordKind::Revert,
        Verb::Deny => v1::RecordKind::Deny,
    }
}
