//! Reading the rows of parts: columns of equal length, numbers that can be what they claim.
//!
//! Knows single rows only; whether rows fit together is for the reader to find out.

use crate::change::{RulesVersion, SequenceNumber};
use crate::graph::identifiers::IdentifierId;
use crate::graph::links::Link;
use crate::graph::remembered::RememberedEvent;
use crate::graph::traits::TraitRow;
use crate::time::Timestamp;

use super::{InvalidPart, LinksPart, PART_ROWS_MAX, RememberedEventsPart, TraitsPart};

pub(super) type Checked = Result<(), InvalidPart>;

/// The links of a part.
pub(super) fn links_of(part: &LinksPart) -> Result<Vec<Link>, InvalidPart> {
    let rows = part.stronger.len();
    columns(rows, &part.other_columns())?;
    let link = |row: usize| {
        Ok(Link {
            stronger: IdentifierId(part.stronger[row]),
            weaker: IdentifierId(part.weaker[row]),
            sequence: sequence(part.sequence[row])?,
        })
    };
    (0..rows).map(link).collect()
}

/// The traits of a part, each with the number of its profile.
pub(super) fn traits_of(part: TraitsPart) -> Result<Vec<(u32, TraitRow)>, InvalidPart> {
    columns(part.profile.len(), &part.other_columns())?;
    let texts = part.name.into_iter().zip(part.value);
    let held = |(row, (name, value)): (usize, (String, _))| {
        let (time, sequence) = (time(part.time[row])?, sequence(part.sequence[row])?);
        Ok((part.profile[row], TraitRow { name: name.into(), value, time, sequence }))
    };
    texts.enumerate().map(held).collect()
}

/// The remembered events of a part, oldest first.
pub(super) fn events_of(part: RememberedEventsPart) -> Result<Vec<RememberedEvent>, InvalidPart> {
    columns(part.event_id.len(), &part.other_columns())?;
    let owned = part.event_id.into_iter().zip(part.target).zip(part.verdicts);
    let mut events = Vec::with_capacity(part.digest.len());
    for (row, ((event_id, target), verdicts)) in owned.enumerate() {
        events.push(RememberedEvent {
            event_id: event_id.into(),
            digest: part.digest[row],
            sequence: sequence(part.sequence[row])?,
            log_time: time(part.log_time[row])?,
            rules_version: RulesVersion(part.rules_version[row]),
            known: part.known[row],
            target,
            verdicts: verdicts.into(),
        });
    }
    Ok(events)
}

pub(super) fn columns(rows: usize, others: &[usize]) -> Checked {
    ensure(rows <= PART_ROWS_MAX, || format!("a part has {rows} rows"))?;
    ensure(others.iter().all(|&other| other == rows), || {
        format!("columns of {rows} and {others:?} rows")
    })
}

pub(super) fn time(millis: i64) -> Result<Timestamp, InvalidPart> {
    Timestamp::from_millis(millis).ok_or_else(|| InvalidPart(format!("{millis} is no time")))
}

pub(super) fn sequence(number: u64) -> Result<SequenceNumber, InvalidPart> {
    ensure(number < 1 << 48, || format!("{number} is no sequence number"))?;
    Ok(SequenceNumber(number))
}

pub(super) fn ensure(holds: bool, reason: impl FnOnce() -> String) -> Checked {
    if holds { Ok(()) } else { Err(InvalidPart(reason())) }
}
