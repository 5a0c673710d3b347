//! Reading the rows of parts: columns of equal length, numbers that can be what they claim.
//!
//! Knows single rows only; whether rows fit together is for the reader to find out.

use crate::change::{
    ErasureCompleted, EventResolved, ProfileNumber, RulesVersion, SequenceNumber, TraitReason,
    Verdict,
};
use crate::graph::attributed::AttributedBy;
use crate::graph::attributions::AttributionView;
use crate::graph::chunked::PackedTime;
use crate::graph::ended::Ended;
use crate::graph::erasures::{PendingErasure, Receipt};
use crate::graph::evidence::{EvidenceLink, LinkState};
use crate::graph::holders::Holder;
use crate::graph::identifiers::{IdentifierId, NO_NODE};
use crate::graph::links::Link;
use crate::graph::partings::Side;
use crate::graph::past::{PastEdge, PastHolding};
use crate::graph::profiles::NodeMarks;
use crate::graph::remembered::{RankedVerdict, RefusalHash, RememberedEvent, RememberedRefusal};
use crate::graph::timeline::{Block, Moment};
use crate::graph::traits::TraitRow;
use crate::time::{Day, Timestamp};

use super::{
    AnonymousSeenPart, AttributionsPart, DeparturesPart, ErasuresPart, EvidencePart, HoldersPart,
    IdentifiersPart, InvalidPart, LastSeenPart, LinksPart, PART_ROWS_MAX, PartingsPart,
    PastEdgesPart, PastHoldingsPart, PendingErasuresPart, ProfilesPart, RememberedEventsPart,
    RememberedRefusalsPart, TimelinePart, TraitsPart,
};

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

/// What a row of profiles notes of a node.
pub(super) fn marks_of(part: &ProfilesPart, row: usize) -> Result<NodeMarks, InvalidPart> {
    let (flags, merge_rank) = (part.flags[row], part.merge_rank[row]);
    let possible = ProfilesPart::MARKED_KNOWN
        | ProfilesPart::SURVIVED
        | ProfilesPart::ERASED
        | ProfilesPart::JOINED_KNOWN;
    ensure(flags & !possible == 0, || format!("a profile has the flags {flags:#x}"))?;
    Ok(NodeMarks {
        known: flags & ProfilesPart::MARKED_KNOWN != 0,
        joined_known: flags & ProfilesPart::JOINED_KNOWN != 0,
        survived: flags & ProfilesPart::SURVIVED != 0,
        merge_rank,
        erased: flags & ProfilesPart::ERASED != 0,
    })
}

/// Who holds the identifier of a row first ([`NO_NODE`] for nobody), and whether it was a source.
pub(super) fn holder_of(part: &IdentifiersPart, row: usize) -> Result<(Holder, bool), InvalidPart> {
    let flags = part.flags[row];
    ensure(flags & !IdentifiersPart::SOURCE == 0, || {
        format!("an identifier has the flags {flags:#x}")
    })?;
    let holder = Holder {
        node: part.profile[row].checked_sub(1).unwrap_or(NO_NODE),
        sequence: sequence(part.attached_sequence[row])?,
        time: kept_time(part.attached_time[row])?,
    };
    Ok((holder, flags & IdentifiersPart::SOURCE != 0))
}

/// The further holders of a part.
pub(super) fn holders_of(part: &HoldersPart) -> Result<Vec<(IdentifierId, Holder)>, InvalidPart> {
    let rows = part.identifier.len();
    columns(rows, &part.other_columns())?;
    let holder = |row: usize| {
        let profile = part.profile[row];
        ensure(profile != 0, || "a further holder is nobody".to_owned())?;
        let (sequence, time) = (sequence(part.sequence[row])?, time(part.time[row])?);
        Ok((IdentifierId(part.identifier[row]), Holder { node: profile - 1, sequence, time }))
    };
    (0..rows).map(holder).collect()
}

/// The links of a part, each from its smaller end.
pub(super) fn evidence_of(
    part: &EvidencePart,
) -> Result<Vec<(IdentifierId, EvidenceLink)>, InvalidPart> {
    let rows = part.a.len();
    columns(rows, &part.other_columns())?;
    let link = |row: usize| {
        let (a, b) = (part.a[row], part.b[row]);
        ensure(a < b, || format!("evidence links {a} with {b}"))?;
        let (number, by) = (part.state[row], sequence(part.displaced_by[row])?);
        let state = LinkState::from_numbers(number, by);
        let state = state.ok_or_else(|| {
            InvalidPart(format!("evidence is in state {number}, displaced by {by}"))
        })?;
        let link = EvidenceLink {
            other: IdentifierId(b),
            first: sequence(part.first[row])?,
            last_time: time(part.last_time[row])?,
            last_sequence: sequence(part.last_sequence[row])?,
            state,
        };
        ensure(link.first <= link.last_sequence, || {
            format!(
                "evidence was first seen by record {}, last by {}",
                link.first, link.last_sequence
            )
        })?;
        Ok((IdentifierId(a), link))
    };
    (0..rows).map(link).collect()
}

/// The attributions of history of a part.
pub(super) fn attributions_of(
    part: &AttributionsPart,
) -> Result<Vec<AttributionView>, InvalidPart> {
    let rows = part.source.len();
    columns(rows, &part.other_columns())?;
    let attribution = |row: usize| {
        let attribution = AttributionView {
            source: ProfileNumber(part.source[row]),
            destination: ProfileNumber(part.destination[row]),
            start: time(part.start[row])?,
            end: time(part.end[row])?,
            sequence: sequence(part.sequence[row])?,
        };
        ensure(attribution.source != attribution.destination, || {
            format!("history of profile {} is attributed to itself", attribution.source)
        })?;
        ensure(attribution.start <= attribution.end, || {
            format!("history is attributed from {} to {}", attribution.start, attribution.end)
        })?;
        Ok(attribution)
    };
    (0..rows).map(attribution).collect()
}

/// The departures of a part, each with the number of its profile.
pub(super) fn departures_of(
    part: &DeparturesPart,
) -> Result<Vec<(u32, SequenceNumber)>, InvalidPart> {
    columns(part.profile.len(), &part.other_columns())?;
    let rows = part.profile.iter().zip(&part.sequence);
    rows.map(|(&profile, &number)| Ok((profile, sequence(number)?))).collect()
}

/// The days of a part, each with its identifier.
pub(super) fn last_seen_of(part: &LastSeenPart) -> Result<Vec<(IdentifierId, Day)>, InvalidPart> {
    columns(part.identifier.len(), &part.other_columns())?;
    let rows = part.identifier.iter().zip(&part.day);
    let seen = |(&id, &day): (&u32, &u32)| {
        ensure(Day(day).is_kept(), || format!("identifier {id} was seen on day {day}"))?;
        Ok((IdentifierId(id), Day(day)))
    };
    rows.map(seen).collect()
}

/// The days of a part, each with the root of its profile.
pub(super) fn anonymous_seen_of(part: &AnonymousSeenPart) -> Result<Vec<(u32, Day)>, InvalidPart> {
    columns(part.profile.len(), &part.other_columns())?;
    let rows = part.profile.iter().zip(&part.day);
    let seen = |(&root, &day): (&u32, &u32)| {
        ensure(Day(day).is_kept(), || format!("profile {root} was seen on day {day}"))?;
        Ok((root, Day(day)))
    };
    rows.map(seen).collect()
}

/// The sides of a part, each with its identifier.
pub(super) fn partings_of(part: &PartingsPart) -> Result<Vec<(IdentifierId, Side)>, InvalidPart> {
    columns(part.identifier.len(), &part.other_columns())?;
    let rows = part.identifier.iter().zip(&part.sequence).zip(&part.side);
    let side = |((&id, &by), &side): ((&u32, &u64), &u32)| {
        Ok((IdentifierId(id), Side { by: sequence(by)?, side }))
    };
    rows.map(side).collect()
}

/// The traits of a part, each with the number of its profile.
pub(super) fn traits_of(part: TraitsPart) -> Result<Vec<(u32, TraitRow)>, InvalidPart> {
    columns(part.profile.len(), &part.other_columns())?;
    let texts = part.name.into_iter().zip(part.value);
    let held = |(row, (name, value)): (usize, (String, _))| {
        let (time, sequence) = (time(part.time[row])?, sequence(part.sequence[row])?);
        let by = part.by[row];
        Ok((part.profile[row], TraitRow { name: name.into(), value, time, sequence, by }))
    };
    texts.enumerate().map(held).collect()
}

/// The remembered events of a part, oldest first.
pub(super) fn events_of(part: RememberedEventsPart) -> Result<Vec<RememberedEvent>, InvalidPart> {
    columns(part.event_id.len(), &part.other_columns())?;
    let verdicts = part.verdicts.into_iter().zip(part.ranks);
    let ignored = part.ignored_names.into_iter().zip(part.ignored_reasons);
    let owned = part.event_id.into_iter().zip(part.target).zip(verdicts).zip(ignored);
    let mut events = Vec::with_capacity(part.digest.len());
    for (row, ((((event_id, target), verdicts), ignored), record)) in
        owned.zip(part.record).enumerate()
    {
        let event = RememberedEvent {
            event_id: event_id.into(),
            digest: part.digest[row],
            sequence: sequence(part.sequence[row])?,
            log_time: time(part.log_time[row])?,
            rules_version: RulesVersion(part.rules_version[row]),
            known: part.known[row],
            target,
            attributed_by: attributed_by_of(part.attributed_by[row], verdicts.0.len())?,
            verdicts: ranked(verdicts)?,
            ignored_traits: ignored_of(ignored)?,
            record: record.map(Box::new),
        };
        check_record(&event)?;
        events.push(event);
    }
    Ok(events)
}

fn attributed_by_of(number: u32, identifiers: usize) -> Result<AttributedBy, InvalidPart> {
    let place = match number {
        0 => return Ok(AttributedBy::Nobody),
        1 => return Ok(AttributedBy::Profile),
        number => u16::try_from(number - 2).ok().filter(|&at| usize::from(at) < identifiers),
    };
    let wrong = || InvalidPart(format!("an event of {identifiers} is attributed by {number}"));
    place.map(AttributedBy::Identifier).ok_or_else(wrong)
}

fn ranked(
    (verdicts, ranks): (Vec<Verdict>, Vec<u16>),
) -> Result<Box<[RankedVerdict]>, InvalidPart> {
    let mut sorted = ranks.clone();
    sorted.sort_unstable();
    let is_order = sorted.iter().zip(0..).all(|(&rank, place)| rank == place);
    ensure(is_order && ranks.len() == verdicts.len(), || {
        "verdicts of an event are in no order".to_owned()
    })?;
    let verdicts = ranks.into_iter().zip(verdicts);
    Ok(verdicts.map(|(rank, verdict)| RankedVerdict { rank, verdict }).collect())
}

fn ignored_of(
    (names, reasons): (Vec<u32>, Vec<TraitReason>),
) -> Result<Box<[(u32, TraitReason)]>, InvalidPart> {
    ensure(names.len() == reasons.len(), || "ignored traits without reasons".to_owned())?;
    Ok(names.into_iter().zip(reasons).collect())
}

/// The receipts of a part, oldest first.
pub(super) fn receipts_of(part: &ErasuresPart) -> Result<Vec<Receipt>, InvalidPart> {
    let rows = part.sequence.len();
    columns(rows, &part.other_columns())?;
    let receipt = |row: usize| {
        let flags = part.flags[row];
        let possible = ErasuresPart::SUPPRESS | ErasuresPart::COMPLETED;
        ensure(flags & !possible == 0, || format!("an erasure has the flags {flags:#x}"))?;
        let number = sequence(part.sequence[row])?;
        let completed = ErasureCompleted {
            erasure: number,
            segments: part.segments[row],
            records: part.records[row],
            files: part.files[row],
        };
        Ok(Receipt {
            sequence: number,
            time: time(part.time[row])?,
            profiles: part.profiles[row],
            identifiers: part.identifiers[row],
            traits: part.traits[row],
            suppress: flags & ErasuresPart::SUPPRESS != 0,
            completed: (flags & ErasuresPart::COMPLETED != 0).then_some(completed),
            operation: part.operation[row],
            digest: part.digest[row],
        })
    };
    (0..rows).map(receipt).collect()
}

/// The pending erasures of a part, oldest first.
pub(super) fn pending_of(part: PendingErasuresPart) -> Result<Vec<PendingErasure>, InvalidPart> {
    columns(part.sequence.len(), &part.other_columns())?;
    let lists = part.profiles.into_iter().zip(part.identifiers);
    let rows = part.sequence.into_iter().zip(lists);
    let pending = |(number, (profiles, identifiers))| {
        Ok(PendingErasure { sequence: sequence(number)?, profiles, identifiers })
    };
    rows.map(pending).collect()
}

/// The remembered refusals of a part, oldest first.
pub(super) fn refusals_of(
    part: &RememberedRefusalsPart,
) -> Result<Vec<RememberedRefusal>, InvalidPart> {
    columns(part.hash.len(), &[part.sequence.len()])?;
    let rows = part.hash.iter().zip(&part.sequence);
    let refusal =
        |(&hash, &by)| Ok(RememberedRefusal { refusal: RefusalHash(hash), by: sequence(by)? });
    rows.map(refusal).collect()
}

/// The identifiers of a part that left nodes, each with its node.
pub(super) fn past_holdings_of(
    part: &PastHoldingsPart,
) -> Result<Vec<Ended<PastHolding>>, InvalidPart> {
    let rows = part.identifier.len();
    columns(rows, &part.other_columns())?;
    let ended = |row: usize| {
        let (time, several) = (PackedTime::new(kept_time(part.time[row])?), part.several[row]);
        let ends = (part.identifier[row], node_of(part.profile[row])?);
        ended(ends, (part.from[row], part.until[row]), PastHolding { time, several })
    };
    (0..rows).map(ended).collect()
}

/// The edges of a part that were cut, each with child and parent.
pub(super) fn past_edges_of(part: &PastEdgesPart) -> Result<Vec<Ended<PastEdge>>, InvalidPart> {
    let rows = part.profile.len();
    columns(rows, &part.other_columns())?;
    let ended = |row: usize| {
        let how = PastEdge {
            bearer: ProfileNumber(node_of(part.bearer[row])? + 1),
            rank: part.merge_rank[row],
            survived: part.survived[row],
        };
        let ends = (node_of(part.profile[row])?, node_of(part.parent[row])?);
        ended(ends, (part.from[row], part.until[row]), how)
    };
    (0..rows).map(ended).collect()
}

fn ended<T>(ends: (u32, u32), numbers: (u64, u64), what: T) -> Result<Ended<T>, InvalidPart> {
    let (from, until) = (sequence(numbers.0)?, sequence(numbers.1)?);
    ensure(from < until, || format!("what began with {from} ended with {until}"))?;
    Ok(Ended::new(ends, from, until, what))
}

fn node_of(profile: u32) -> Result<u32, InvalidPart> {
    profile.checked_sub(1).ok_or_else(|| InvalidPart("what has ended was nobody's".to_owned()))
}

/// The blocks of a part, each with its end.
pub(super) fn blocks_of(part: TimelinePart) -> Result<Vec<(Block, Moment)>, InvalidPart> {
    columns(part.first.len(), &[part.time.len(), part.moments.len()])?;
    let rows = part.first.into_iter().zip(part.time).zip(part.moments);
    let block = |((first, time), moments)| {
        let block = Block { first, time, moments };
        let end = block.end().filter(|end| sequence(end.0).is_ok());
        let end = end.ok_or_else(|| InvalidPart(format!("no times from record {first} on")))?;
        Ok((block, end))
    };
    rows.map(block).collect()
}

/// Whether the record that an event remembers is its own.
fn check_record(event: &RememberedEvent) -> Checked {
    let Some(record) = &event.record else { return Ok(()) };
    let EventResolved { event_id, digest, rules_version, target, identifiers, .. } = &**record;
    let is_own = **event_id == *event.event_id
        && *digest == event.digest
        && *rules_version == event.rules_version
        && *target == event.target
        && identifiers.len() == event.verdicts.len();
    ensure(is_own, || format!("record {} is remembered as another", event.sequence))
}

pub(super) fn columns(rows: usize, others: &[usize]) -> Checked {
    ensure(rows <= PART_ROWS_MAX, || format!("a part has {rows} rows"))?;
    ensure(others.iter().all(|&other| other == rows), || {
        format!("columns of {rows} and {others:?} rows")
    })
}

/// A time that a row of a profile or an identifier can keep.
pub(super) fn kept_time(millis: i64) -> Result<Timestamp, InvalidPart> {
    let kept = time(millis)?;
    ensure(kept <= Timestamp::KEPT_MAX, || format!("{kept} is too far ahead"))?;
    Ok(kept)
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
