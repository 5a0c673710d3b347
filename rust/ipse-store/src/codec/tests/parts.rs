//! Parts of any content: what is well formed, not what is possible.

use std::borrow::Cow;

use ipse_core::SequenceNumber;
use ipse_core::change::RulesVersion;
use ipse_core::snapshot::{
    AnonymousSeenPart, AttributionsPart, DeparturesPart, EvidencePart, HoldersPart,
    IdentifiersPart, LastSeenPart, LinksPart, Part, PartingsPart, PastEdgesPart, PastHoldingsPart,
    ProfilesPart, RememberedEventsPart, RememberedRefusalsPart, TimelinePart, TraitsPart,
    WorkspacePart,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::super::SnapshotPart;
use super::records::{event, number, target, text, time, trait_reason, trait_value, verdict};
use crate::positions::Mark;

const ROWS: usize = 3;

pub(super) fn part() -> impl Strategy<Value = SnapshotPart> {
    let mark = |(sequence, position)| Mark { sequence: SequenceNumber(sequence), position };
    prop_oneof![
        graph_part().prop_map(SnapshotPart::Graph),
        vec((number(), number()).prop_map(mark), ROWS).prop_map(SnapshotPart::Positions),
    ]
}

fn graph_part() -> impl Strategy<Value = Part> {
    prop_oneof![
        workspace().prop_map(Part::Workspace),
        profiles().prop_map(Part::Profiles),
        identifiers().prop_map(Part::Identifiers),
        links().prop_map(Part::Links),
        holders().prop_map(Part::Holders),
        evidence().prop_map(Part::Evidence),
        attributions().prop_map(Part::Attributions),
        departures().prop_map(Part::Departures),
        partings().prop_map(Part::Partings),
        traits().prop_map(Part::Traits),
        remembered_events().prop_map(Part::RememberedEvents),
        (sequences(), sequences()).prop_map(|(hash, sequence)| {
            Part::RememberedRefusals(RememberedRefusalsPart { hash, sequence })
        }),
        (numbers(), numbers())
            .prop_map(|(identifier, day)| Part::LastSeen(LastSeenPart { identifier, day })),
        (numbers(), numbers())
            .prop_map(|(profile, day)| Part::AnonymousSeen(AnonymousSeenPart { profile, day })),
        past_holdings().prop_map(Part::PastHoldings),
        past_edges().prop_map(Part::PastEdges),
        (sequences(), times(), vec(vec(any::<u8>(), 0..300), ROWS)).prop_map(
            |(first, time, moments)| Part::Timeline(TimelinePart { first, time, moments })
        ),
    ]
}

fn strings() -> impl Strategy<Value = Vec<String>> {
    vec(text().prop_map(Cow::into_owned), ROWS)
}

fn sequences() -> impl Strategy<Value = Vec<u64>> {
    vec(number(), ROWS)
}

fn numbers() -> impl Strategy<Value = Vec<u32>> {
    vec(any::<u32>(), ROWS)
}

fn times() -> impl Strategy<Value = Vec<i64>> {
    vec(any::<i64>(), ROWS)
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), ROWS)
}

fn workspace() -> impl Strategy<Value = WorkspacePart> {
    let numbers = (any::<[u8; 16]>(), time(), number(), any::<u32>(), any::<u128>());
    (strings(), numbers).prop_map(|(names, (profile_key, time, sequence, version, state_hash))| {
        WorkspacePart {
            name: names[0].clone(),
            profile_key,
            created_time: time,
            sequence: SequenceNumber(sequence),
            log_time: time,
            rules_version: RulesVersion(version),
            rules: names[1].clone(),
            namespaces: names,
            state_hash,
            oldest_past: SequenceNumber(sequence),
        }
    })
}

fn profiles() -> impl Strategy<Value = ProfilesPart> {
    let merges = (sequences(), vec(any::<u16>(), ROWS));
    (numbers(), merges, numbers(), sequences(), times(), bytes()).prop_map(
        |(parent, merges, bearer, created_sequence, created_time, flags)| ProfilesPart {
            parent,
            merged_sequence: merges.0,
            bearer,
            created_sequence,
            created_time,
            merge_rank: merges.1,
            flags,
        },
    )
}

fn identifiers() -> impl Strategy<Value = IdentifiersPart> {
    (vec(any::<u16>(), ROWS), strings(), numbers(), sequences(), times(), bytes()).prop_map(
        |(namespace, values, profile, attached_sequence, attached_time, flags)| {
            let value = values.iter().map(String::as_str).collect();
            IdentifiersPart { namespace, value, profile, attached_sequence, attached_time, flags }
        },
    )
}

fn links() -> impl Strategy<Value = LinksPart> {
    (numbers(), numbers(), sequences()).prop_map(|(stronger, weaker, sequence)| LinksPart {
        stronger,
        weaker,
        sequence,
    })
}

fn holders() -> impl Strategy<Value = HoldersPart> {
    (numbers(), numbers(), sequences(), times()).prop_map(
        |(identifier, profile, sequence, time)| HoldersPart { identifier, profile, sequence, time },
    )
}

fn evidence() -> impl Strategy<Value = EvidencePart> {
    let sequences = (sequences(), sequences(), sequences());
    (numbers(), numbers(), sequences, times(), bytes()).prop_map(
        |(a, b, (first, last_sequence, displaced_by), last_time, state)| EvidencePart {
            a,
            b,
            first,
            last_time,
            last_sequence,
            state,
            displaced_by,
        },
    )
}

fn attributions() -> impl Strategy<Value = AttributionsPart> {
    (numbers(), numbers(), times(), times(), sequences()).prop_map(
        |(source, destination, start, end, sequence)| AttributionsPart {
            source,
            destination,
            start,
            end,
            sequence,
        },
    )
}

fn partings() -> impl Strategy<Value = PartingsPart> {
    (numbers(), sequences(), numbers()).prop_map(|(identifier, sequence, side)| PartingsPart {
        identifier,
        sequence,
        side,
    })
}

fn departures() -> impl Strategy<Value = DeparturesPart> {
    (numbers(), sequences()).prop_map(|(profile, sequence)| DeparturesPart { profile, sequence })
}

fn past_holdings() -> impl Strategy<Value = PastHoldingsPart> {
    let sequences = (sequences(), sequences());
    (numbers(), numbers(), sequences, times(), vec(any::<bool>(), ROWS)).prop_map(
        |(identifier, profile, (from, until), time, several)| PastHoldingsPart {
            identifier,
            profile,
            from,
            until,
            time,
            several,
        },
    )
}

fn past_edges() -> impl Strategy<Value = PastEdgesPart> {
    let (sequences, ranks) = ((sequences(), sequences()), vec(any::<u16>(), ROWS));
    (numbers(), numbers(), sequences, numbers(), ranks, vec(any::<bool>(), ROWS)).prop_map(
        |(profile, parent, (from, until), bearer, merge_rank, survived)| PastEdgesPart {
            profile,
            parent,
            from,
            until,
            bearer,
            merge_rank,
            survived,
        },
    )
}

fn traits() -> impl Strategy<Value = TraitsPart> {
    (numbers(), strings(), vec(trait_value(), ROWS), times(), sequences(), numbers()).prop_map(
        |(profile, name, value, time, sequence, by)| TraitsPart {
            profile,
            name,
            value,
            time,
            sequence,
            by,
        },
    )
}

fn remembered_events() -> impl Strategy<Value = RememberedEventsPart> {
    let head = (strings(), vec(any::<u128>(), ROWS), sequences(), times(), numbers());
    let verdicts = (vec(vec(verdict(), 0..5), ROWS), vec(vec(any::<u16>(), 0..5), ROWS));
    let ignored = (vec(vec(any::<u32>(), 0..5), ROWS), vec(vec(trait_reason(), 0..5), ROWS));
    let answers = (vec(target(), ROWS), numbers(), verdicts, ignored);
    (head, vec(any::<bool>(), ROWS), answers, vec(option::of(event()), ROWS)).prop_map(
        |(head, known, (target, attributed_by, verdicts, ignored), record)| RememberedEventsPart {
            event_id: head.0,
            digest: head.1,
            sequence: head.2,
            log_time: head.3,
            rules_version: head.4,
            known,
            target,
            attributed_by,
            verdicts: verdicts.0,
            ranks: verdicts.1,
            ignored_names: ignored.0,
            ignored_reasons: ignored.1,
            record,
        },
    )
}
