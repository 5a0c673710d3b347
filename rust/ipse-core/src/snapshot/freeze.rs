//! A consistent view of a graph, and its way into parts.

use std::collections::VecDeque;
use std::hash::Hash;
use std::sync::Arc;

use crate::change::SequenceNumber;
use crate::graph::Graph;
use crate::graph::attributed::AttributedBy;
use crate::graph::attributions::{AttributionView, Attributions};
use crate::graph::departures::Departures;
use crate::graph::ended::{Ended, EndedRows};
use crate::graph::erasures::{Erasures, PendingErasure, Receipt};
use crate::graph::evidence::{Evidence, EvidenceLink};
use crate::graph::holders::{Holder, Holders};
use crate::graph::identifiers::{IdentifierId, IdentifierRows, NO_NODE};
use crate::graph::links::{FurtherLinks, Link};
use crate::graph::partings::{Partings, Side};
use crate::graph::past::{PastEdge, PastHolding};
use crate::graph::profiles::Profiles;
use crate::graph::remembered::{RememberedEvent, RememberedRefusal};
use crate::graph::sharded::Sharded;
use crate::graph::timeline::{Block, Timeline};
use crate::graph::traits::{TraitRow, Traits};
use crate::time::Day;
use crate::union_find::Node;

use super::{
    AnonymousSeenPart, AttributionsPart, DeparturesPart, ErasuresPart, EvidencePart, HoldersPart,
    IdentifiersPart, LastSeenPart, LinksPart, PART_ROWS_MAX, Part, PartingsPart, PastEdgesPart,
    PastHoldingsPart, PendingErasuresPart, ProfilesPart, RememberedEventsPart,
    RememberedRefusalsPart, SuppressionsPart, TimelinePart, TraitsPart, WorkspacePart,
};

/// Blocks of one part: they are long rows.
const BLOCKS: usize = 1_024;

/// A consistent view of a graph, taken at the cost of some reference counts.
#[derive(Debug)]
pub struct Frozen {
    workspace: WorkspacePart,
    profiles: Profiles,
    identifiers: IdentifierRows,
    further_links: FurtherLinks,
    holders: Holders,
    evidence: Evidence,
    attributions: Attributions,
    departures: Departures,
    partings: Partings,
    traits: Traits,
    remembered_events: VecDeque<Arc<RememberedEvent>>,
    remembered_refusals: VecDeque<RememberedRefusal>,
    erasures: Erasures,
    last_seen: Sharded<IdentifierId, Day>,
    anonymous_seen: Sharded<Node, Day>,
    past_holdings: EndedRows<PastHolding>,
    past_edges: EndedRows<PastEdge>,
    timeline: Timeline,
}

impl Graph {
    /// A view of the graph as it is now. The graph goes on; it copies a chunk before its
    /// first change while the view still holds it.
    ///
    /// # Panics
    ///
    /// Before record 1: there is nothing to view.
    pub fn freeze(&self) -> Frozen {
        let workspace = self.workspace();
        Frozen {
            workspace: WorkspacePart {
                name: workspace.name.to_string(),
                profile_key: workspace.profile_key,
                created_time: workspace.created_time,
                sequence: self.sequence,
                log_time: self.log_time,
                rules_version: workspace.rules_version,
                rules: workspace.rules_text.to_string(),
                namespaces: workspace.namespaces.names().iter().map(|n| n.to_string()).collect(),
                state_hash: self.state_hash(),
                oldest_past: self.past.oldest,
            },
            profiles: self.profiles.clone(),
            identifiers: self.identifiers.rows.clone(),
            further_links: self.further_links.clone(),
            holders: self.holders.clone(),
            evidence: self.evidence.clone(),
            attributions: self.attributions.clone(),
            departures: self.departures.clone(),
            partings: self.partings.clone(),
            traits: self.traits.clone(),
            remembered_events: self.remembered_events.freeze(),
            remembered_refusals: self.remembered_refusals.freeze(),
            erasures: self.erasures.clone(),
            last_seen: self.last_seen.freeze(),
            anonymous_seen: self.anonymous_seen.freeze(),
            past_holdings: self.past.holdings.freeze(),
            past_edges: self.past.edges.freeze(),
            timeline: self.past.timeline.clone(),
        }
    }
}

impl Frozen {
    /// The newest record of the view.
    pub fn sequence(&self) -> SequenceNumber {
        self.workspace.sequence
    }

    /// The view, part by part, in the order that [`super::Loader`] wants. Each table is given
    /// back as soon as it has passed.
    pub fn into_parts(self) -> Box<dyn Iterator<Item = Part> + Send> {
        let Frozen { identifiers, .. } = self;
        let identifiers = Arc::new(identifiers);
        Box::new(
            std::iter::once(Part::Workspace(self.workspace))
                .chain(profile_parts(self.profiles))
                .chain(identifier_parts(identifiers.clone()))
                .chain(first_link_parts(identifiers))
                .chain(further_link_parts(self.further_links))
                .chain(parts_of(self.holders.into_shards(), holders_part))
                .chain(parts_of(self.evidence.into_shards(), evidence_part))
                .chain(parts_of(self.attributions.into_shards(), attributions_part))
                .chain(parts_of(self.departures.into_shards(), departures_part))
                .chain(parts_of(self.partings.into_shards(), partings_part))
                .chain(trait_parts(self.traits))
                .chain(event_parts(self.remembered_events))
                .chain(refusal_parts(self.remembered_refusals))
                .chain(erasure_parts(self.erasures))
                .chain(parts_of(day_rows(self.last_seen), last_seen_part))
                .chain(parts_of(day_rows(self.anonymous_seen), anonymous_seen_part))
                .chain(parts_of(self.past_holdings.into_chunks(), past_holdings_part))
                .chain(parts_of(self.past_edges.into_chunks(), past_edges_part))
                .chain(timeline_parts(self.timeline)),
        )
    }
}

/// The first row of each part of a table with `rows` rows.
fn starts(rows: u32) -> impl Iterator<Item = std::ops::Range<u32>> + Send {
    let step = PART_ROWS_MAX as u32;
    (0..rows).step_by(PART_ROWS_MAX).map(move |start| start..rows.min(start.saturating_add(step)))
}

fn profile_parts(profiles: Profiles) -> impl Iterator<Item = Part> + Send {
    starts(profiles.len()).map(move |range| {
        let mut part = ProfilesPart::default();
        for node in range {
            let (created_sequence, created_time) = profiles.created(node);
            let (parent, merged) = match profiles.parent(node) {
                Some((parent, merged)) => (parent + 1, merged.0),
                None => (0, 0),
            };
            part.parent.push(parent);
            part.merged_sequence.push(merged);
            part.bearer.push(profiles.bearer(node).0);
            part.created_sequence.push(created_sequence.0);
            part.created_time.push(created_time.as_millis());
            let marks = profiles.marks(node);
            let known = if marks.known { ProfilesPart::MARKED_KNOWN } else { 0 };
            let survived = if marks.survived { ProfilesPart::SURVIVED } else { 0 };
            let erased = if marks.erased { ProfilesPart::ERASED } else { 0 };
            let joined = if marks.joined_known { ProfilesPart::JOINED_KNOWN } else { 0 };
            part.flags.push(known | survived | erased | joined);
            part.merge_rank.push(marks.merge_rank);
        }
        Part::Profiles(part)
    })
}

fn identifier_parts(rows: Arc<IdentifierRows>) -> impl Iterator<Item = Part> + Send {
    starts(rows.len()).map(move |range| {
        let mut part = IdentifiersPart::default();
        for id in range.map(IdentifierId) {
            let row = rows.row(id);
            part.namespace.push(row.namespace);
            part.value.push(rows.value(id));
            part.profile.push(if row.node == NO_NODE { 0 } else { row.node + 1 });
            part.attached_sequence.push(row.attached_sequence().0);
            part.attached_time.push(row.attached_time().as_millis());
            part.flags.push(if row.was_source() { IdentifiersPart::SOURCE } else { 0 });
        }
        Part::Identifiers(part)
    })
}

fn first_link_parts(rows: Arc<IdentifierRows>) -> impl Iterator<Item = Part> + Send {
    starts(rows.len()).map(move |range| {
        let first = |weaker| {
            let (stronger, sequence) = rows.link(weaker)?;
            Some(Link { stronger, weaker, sequence })
        };
        links_part(&range.map(IdentifierId).filter_map(first).collect::<Vec<_>>())
    })
}

fn further_link_parts(further: FurtherLinks) -> impl Iterator<Item = Part> + Send {
    parts_of(further.into_shards(), |links| links_part(&links))
}

/// The parts of a table whose shards come one by one.
fn parts_of<T: Send>(
    shards: impl Iterator<Item = Vec<T>> + Send,
    part: impl Fn(Vec<T>) -> Part + Copy + Send,
) -> impl Iterator<Item = Part> + Send {
    shards.flat_map(move |rows| chunks(rows.into_iter()).map(part))
}

fn holders_part(rows: Vec<(IdentifierId, Holder)>) -> Part {
    let mut part = HoldersPart::default();
    for (id, holder) in rows {
        part.identifier.push(id.0);
        part.profile.push(holder.node + 1);
        part.sequence.push(holder.sequence.0);
        part.time.push(holder.time.as_millis());
    }
    Part::Holders(part)
}

fn evidence_part(rows: Vec<(IdentifierId, EvidenceLink)>) -> Part {
    let mut part = EvidencePart::default();
    for (a, link) in rows {
        let (state, displaced_by) = link.state.numbers();
        part.a.push(a.0);
        part.b.push(link.other.0);
        part.first.push(link.first.0);
        part.last_time.push(link.last_time.as_millis());
        part.last_sequence.push(link.last_sequence.0);
        part.state.push(state);
        part.displaced_by.push(displaced_by.0);
    }
    Part::Evidence(part)
}

fn attributions_part(rows: Vec<AttributionView>) -> Part {
    let mut part = AttributionsPart::default();
    for attribution in rows {
        part.source.push(attribution.source.0);
        part.destination.push(attribution.destination.0);
        part.start.push(attribution.start.as_millis());
        part.end.push(attribution.end.as_millis());
        part.sequence.push(attribution.sequence.0);
    }
    Part::Attributions(part)
}

fn departures_part(rows: Vec<(u32, SequenceNumber)>) -> Part {
    Part::Departures(DeparturesPart {
        profile: rows.iter().map(|(node, _)| node + 1).collect(),
        sequence: rows.iter().map(|(_, sequence)| sequence.0).collect(),
    })
}

fn partings_part(rows: Vec<(IdentifierId, Side)>) -> Part {
    Part::Partings(PartingsPart {
        identifier: rows.iter().map(|(id, _)| id.0).collect(),
        sequence: rows.iter().map(|(_, side)| side.by.0).collect(),
        side: rows.iter().map(|(_, side)| side.side).collect(),
    })
}

fn day_rows<K: Copy + Eq + Hash + Send + Sync>(
    days: Sharded<K, Day>,
) -> impl Iterator<Item = Vec<(K, Day)>> + Send {
    days.into_shards().map(|shard| shard.iter().map(|(&key, &day)| (key, day)).collect())
}

fn last_seen_part(rows: Vec<(IdentifierId, Day)>) -> Part {
    Part::LastSeen(LastSeenPart {
        identifier: rows.iter().map(|(id, _)| id.0).collect(),
        day: rows.iter().map(|(_, day)| day.0).collect(),
    })
}

fn anonymous_seen_part(rows: Vec<(Node, Day)>) -> Part {
    Part::AnonymousSeen(AnonymousSeenPart {
        profile: rows.iter().map(|(root, _)| *root).collect(),
        day: rows.iter().map(|(_, day)| day.0).collect(),
    })
}

fn past_holdings_part(rows: Vec<Ended<PastHolding>>) -> Part {
    Part::PastHoldings(PastHoldingsPart {
        identifier: rows.iter().map(|row| row.a).collect(),
        profile: rows.iter().map(|row| row.b + 1).collect(),
        from: rows.iter().map(|row| row.from().0).collect(),
        until: rows.iter().map(|row| row.until().0).collect(),
        time: rows.iter().map(|row| row.what.time.get().as_millis()).collect(),
        several: rows.iter().map(|row| row.what.several).collect(),
    })
}

fn past_edges_part(rows: Vec<Ended<PastEdge>>) -> Part {
    Part::PastEdges(PastEdgesPart {
        profile: rows.iter().map(|row| row.a + 1).collect(),
        parent: rows.iter().map(|row| row.b + 1).collect(),
        from: rows.iter().map(|row| row.from().0).collect(),
        until: rows.iter().map(|row| row.until().0).collect(),
        bearer: rows.iter().map(|row| row.what.bearer.0).collect(),
        merge_rank: rows.iter().map(|row| row.what.rank).collect(),
        survived: rows.iter().map(|row| row.what.survived).collect(),
    })
}

fn timeline_parts(timeline: Timeline) -> impl Iterator<Item = Part> + Send {
    chunks_of(BLOCKS, timeline.into_blocks()).map(|blocks: Vec<Block>| {
        Part::Timeline(TimelinePart {
            first: blocks.iter().map(|block| block.first).collect(),
            time: blocks.iter().map(|block| block.time).collect(),
            moments: blocks.into_iter().map(|block| block.moments).collect(),
        })
    })
}

fn links_part(links: &[Link]) -> Part {
    Part::Links(LinksPart {
        stronger: links.iter().map(|link| link.stronger.0).collect(),
        weaker: links.iter().map(|link| link.weaker.0).collect(),
        sequence: links.iter().map(|link| link.sequence.0).collect(),
    })
}

fn trait_parts(traits: Traits) -> impl Iterator<Item = Part> + Send {
    traits.into_shards().flat_map(|nodes| {
        let rows = |(node, rows): (u32, Arc<Vec<TraitRow>>)| {
            (0..rows.len()).map(move |at| (node, rows[at].clone()))
        };
        chunks(nodes.into_iter().flat_map(rows)).map(traits_part)
    })
}

fn traits_part(rows: Vec<(u32, TraitRow)>) -> Part {
    let mut part = TraitsPart::default();
    for (node, row) in rows {
        part.profile.push(node + 1);
        part.name.push(row.name.into());
        part.value.push(row.value);
        part.time.push(row.time.as_millis());
        part.sequence.push(row.sequence.0);
        part.by.push(row.by);
    }
    Part::Traits(part)
}

fn event_parts(events: VecDeque<Arc<RememberedEvent>>) -> impl Iterator<Item = Part> + Send {
    chunks(events.into_iter()).map(|events| {
        let mut part = RememberedEventsPart::default();
        for event in events {
            part.event_id.push(event.event_id.to_string());
            part.digest.push(event.digest);
            part.sequence.push(event.sequence.0);
            part.log_time.push(event.log_time.as_millis());
            part.rules_version.push(event.rules_version.0);
            part.known.push(event.known);
            part.target.push(event.target.clone());
            part.attributed_by.push(match event.attributed_by {
                AttributedBy::Nobody => 0,
                AttributedBy::Profile => 1,
                AttributedBy::Identifier(place) => u32::from(place) + 2,
            });
            part.verdicts.push(event.verdicts.iter().map(|then| then.verdict.clone()).collect());
            part.ranks.push(event.verdicts.iter().map(|then| then.rank).collect());
            part.ignored_names.push(event.ignored_traits.iter().map(|&(name, _)| name).collect());
            let reasons = event.ignored_traits.iter().map(|&(_, reason)| reason);
            part.ignored_reasons.push(reasons.collect());
            part.record.push(event.record.as_deref().cloned());
        }
        Part::RememberedEvents(part)
    })
}

fn refusal_parts(refusals: VecDeque<RememberedRefusal>) -> impl Iterator<Item = Part> + Send {
    chunks(refusals.into_iter()).map(|refusals| {
        let part = refusals.iter().map(|remembered| (remembered.refusal.0, remembered.by.0));
        let (hash, sequence) = part.unzip();
        Part::RememberedRefusals(RememberedRefusalsPart { hash, sequence })
    })
}

fn erasure_parts(erasures: Erasures) -> impl Iterator<Item = Part> + Send {
    let receipts: Vec<Receipt> = erasures.receipts().copied().collect();
    let pending = erasures.pending().to_vec();
    let suppressed = parts_of(erasures.into_suppressed_shards(), |hash| {
        Part::Suppressions(SuppressionsPart { hash })
    });
    suppressed
        .chain(chunks(receipts.into_iter()).map(receipts_part))
        .chain(chunks(pending.into_iter()).map(pending_part))
}

fn receipts_part(receipts: Vec<Receipt>) -> Part {
    let mut part = ErasuresPart::default();
    for receipt in receipts {
        let suppress = if receipt.suppress { ErasuresPart::SUPPRESS } else { 0 };
        let completed = receipt.completed.map_or(0, |_| ErasuresPart::COMPLETED);
        let how = receipt.completed.unwrap_or_default();
        part.sequence.push(receipt.sequence.0);
        part.time.push(receipt.time.as_millis());
        part.operation.push(receipt.operation);
        part.digest.push(receipt.digest);
        part.profiles.push(receipt.profiles);
        part.identifiers.push(receipt.identifiers);
        part.traits.push(receipt.traits);
        part.flags.push(suppress | completed);
        part.segments.push(how.segments);
        part.records.push(how.records);
        part.files.push(how.files);
    }
    Part::Erasures(part)
}

fn pending_part(erasures: Vec<PendingErasure>) -> Part {
    let mut part = PendingErasuresPart::default();
    for pending in erasures {
        part.sequence.push(pending.sequence.0);
        part.profiles.push(pending.profiles);
        part.identifiers.push(pending.identifiers);
    }
    Part::PendingErasures(part)
}

/// A list in pieces of at most [`PART_ROWS_MAX`], made as they are asked for.
fn chunks<T: Send>(list: impl Iterator<Item = T> + Send) -> impl Iterator<Item = Vec<T>> + Send {
    chunks_of(PART_ROWS_MAX, list)
}

fn chunks_of<T: Send>(
    rows: usize,
    list: impl Iterator<Item = T> + Send,
) -> impl Iterator<Item = Vec<T>> + Send {
    let mut rest = list;
    std::iter::from_fn(move || {
        let chunk: Vec<T> = rest.by_ref().take(rows).collect();
        (!chunk.is_empty()).then_some(chunk)
    })
}
