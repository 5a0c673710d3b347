//! From parts back to a graph. Everything a part claims is checked before it is used.

use std::sync::Arc;

use crate::change::{ProfileNumber, SequenceNumber};
use crate::graph::ended::{Ended, EndedTable};
use crate::graph::identifiers::{IdentifierId, NO_NODE};
use crate::graph::links::Link;
use crate::graph::namespaces::Namespaces;
use crate::graph::{Graph, Workspace};
use crate::identifier::{FORMER_ID, is_namespace_name};
use crate::limits::{IDENTIFIER_VALUE_BYTES_MAX, NAMESPACES_MAX, PARTINGS_MAX, PAST_ROWS_MAX};
use crate::rules::Rules;

use super::rows::{
    Checked, anonymous_seen_of, attributions_of, blocks_of, columns, departures_of, ensure,
    events_of, evidence_of, holder_of, holders_of, kept_time, last_seen_of, links_of, marks_of,
    partings_of, past_edges_of, past_holdings_of, pending_of, receipts_of, refusals_of, sequence,
    traits_of,
};
use super::{
    AnonymousSeenPart, AttributionsPart, DeparturesPart, EvidencePart, HoldersPart,
    IdentifiersPart, InvalidPart, LastSeenPart, LinksPart, Part, PartingsPart, PastEdgesPart,
    PastHoldingsPart, ProfilesPart, RememberedEventsPart, RememberedRefusalsPart, SuppressionsPart,
    TimelinePart, TraitsPart, WorkspacePart,
};

/// The deepest that a tree of 2^32 nodes, joined by size, can be.
const DEPTH_MAX: u8 = 32;

/// Builds a graph from parts.
#[derive(Debug)]
pub struct Loader {
    graph: Graph,
    /// Of the part before: parts come in the order of their kinds.
    kind: u8,
    /// Parent (from 1) and merge of each profile node; edges are set when all nodes are there.
    edges: Vec<(u32, SequenceNumber)>,
    /// Links that do not lie in rows; they are set together, too.
    further_links: Vec<Link>,
    state_hash: u128,
}

impl Loader {
    /// Begins an empty graph with a seed for its hash tables.
    pub fn new(hash_seed: u64) -> Loader {
        let (edges, further_links) = (Vec::new(), Vec::new());
        Loader { graph: Graph::new(hash_seed), kind: 0, edges, further_links, state_hash: 0 }
    }

    /// Takes the next part, or says what is impossible about it.
    pub fn add(&mut self, part: Part) -> Checked {
        let kind = kind_of(&part);
        let in_order = if kind == 1 { self.kind == 0 } else { self.kind >= 1 && kind >= self.kind };
        ensure(in_order, || "its parts are out of order".to_owned())?;
        self.kind = kind;
        match part {
            Part::Workspace(part) => self.add_workspace(part),
            Part::Profiles(part) => self.add_profiles(&part),
            Part::Identifiers(part) => self.add_identifiers(&part),
            Part::Links(part) => self.add_links(&part),
            Part::Holders(part) => self.add_holders(&part),
            Part::Evidence(part) => self.add_evidence(&part),
            Part::Attributions(part) => self.add_attributions(&part),
            Part::Departures(part) => self.add_departures(&part),
            Part::Partings(part) => self.add_partings(&part),
            Part::Traits(part) => self.add_traits(part),
            Part::RememberedEvents(part) => self.add_events(part),
            Part::RememberedRefusals(part) => self.add_refusals(&part),
            Part::Suppressions(part) => self.add_suppressions(&part),
            Part::Erasures(part) => {
                receipts_of(&part)?.into_iter().for_each(|row| self.graph.restore_receipt(row));
                Ok(())
            }
            Part::PendingErasures(part) => {
                pending_of(part)?.into_iter().for_each(|row| self.graph.restore_pending(row));
                Ok(())
            }
            Part::LastSeen(part) => self.add_last_seen(&part),
            Part::AnonymousSeen(part) => self.add_anonymous_seen(&part),
            Part::PastHoldings(part) => self.add_past_holdings(&part),
            Part::PastEdges(part) => self.add_past_edges(&part),
            Part::Timeline(part) => self.add_timeline(part),
        }
    }

    /// The graph, if the parts were whole and give the state hash that they promised.
    pub fn finish(mut self) -> Result<Graph, InvalidPart> {
        ensure(self.kind >= 1, || "it has no workspace part".to_owned())?;
        let are_distinct = self.graph.identifiers.index_all();
        ensure(are_distinct, || "an identifier stands twice".to_owned())?;
        let further_links = std::mem::take(&mut self.further_links);
        let are_distinct = self.graph.restore_further_links(further_links);
        ensure(are_distinct, || "a link stands twice".to_owned())?;
        self.set_edges()?;
        self.graph.restore_profile_hashes();
        self.check_anonymous_seen()?;
        self.check_timeline()?;
        let (found, promised) = (self.graph.state_hash(), self.state_hash);
        ensure(found == promised, || {
            format!("its state hash is {found:032x}, but {promised:032x} was promised")
        })?;
        Ok(self.graph)
    }

    fn add_workspace(&mut self, part: WorkspacePart) -> Checked {
        let rules = check_workspace(&part)?;
        let namespaces = Namespaces::with_names(rules, &part.namespaces);
        ensure(namespaces.names().len() == part.namespaces.len(), || {
            "its namespaces lack some of its rules".to_owned()
        })?;
        self.graph.workspace = Some(Workspace {
            name: part.name.into(),
            profile_key: part.profile_key,
            created_time: part.created_time,
            rules_version: part.rules_version,
            rules_text: part.rules.into(),
            namespaces,
        });
        self.graph.sequence = sequence(part.sequence.0)?;
        self.graph.log_time = part.log_time;
        let oldest = sequence(part.oldest_past.0)?;
        ensure(oldest <= self.graph.sequence, || format!("its past begins with {oldest}"))?;
        self.graph.past.oldest = oldest;
        self.state_hash = part.state_hash;
        Ok(())
    }

    fn add_profiles(&mut self, part: &ProfilesPart) -> Checked {
        let rows = part.parent.len();
        columns(rows, &part.other_columns())?;
        for row in 0..rows {
            let created_time = kept_time(part.created_time[row])?;
            let created = sequence(part.created_sequence[row])?;
            self.edges.push((part.parent[row], sequence(part.merged_sequence[row])?));
            let bearer = ProfileNumber(part.bearer[row]);
            ensure(bearer.0 != 0, || "a profile bears no id".to_owned())?;
            let marks = marks_of(part, row)?;
            let is_root = part.parent[row] == 0;
            self.graph.profiles.restore(bearer, created, created_time, marks, is_root);
        }
        Ok(())
    }

    fn add_identifiers(&mut self, part: &IdentifiersPart) -> Checked {
        let rows = part.namespace.len();
        columns(rows, &part.other_columns())?;
        for (row, value) in part.value.iter().enumerate() {
            let namespace = part.namespace[row];
            let known = self.graph.namespaces().names().len();
            ensure(usize::from(namespace) < known, || format!("namespace {namespace} of {known}"))?;
            ensure(value.len() <= IDENTIFIER_VALUE_BYTES_MAX, || {
                format!("an identifier has {} bytes", value.len())
            })?;
            ensure(self.graph.identifiers.has_room(), || "too many identifiers".to_owned())?;
            let (holder, was_source) = holder_of(part, row)?;
            if holder.node != NO_NODE {
                self.node(part.profile[row])?;
            }
            self.graph.restore_identifier(namespace, value, holder, was_source);
        }
        Ok(())
    }

    fn add_links(&mut self, part: &LinksPart) -> Checked {
        let identifiers = self.graph.identifiers.rows.len();
        for link in links_of(part)? {
            let (stronger, weaker) = (link.stronger.0, link.weaker.0);
            let possible = stronger != weaker && stronger.max(weaker) < identifiers;
            ensure(possible, || format!("a link of {stronger} and {weaker} of {identifiers}"))?;
            if !self.graph.restore_link(link) {
                self.further_links.push(link);
            }
        }
        Ok(())
    }

    fn add_holders(&mut self, part: &HoldersPart) -> Checked {
        for (id, holder) in holders_of(part)? {
            self.identifier(id)?;
            self.node(holder.node + 1)?;
            let first = self.graph.identifiers.rows.row(id).holder();
            let follows = first.is_some_and(|first| first.sequence <= holder.sequence);
            let mut held = first.into_iter().chain(self.graph.further_holders(id).iter().copied());
            let is_held = held.any(|held| held.node == holder.node);
            ensure(follows && !is_held, || {
                format!("profile {} cannot be a further holder", holder.node + 1)
            })?;
            self.graph.restore_holder(id, holder);
        }
        Ok(())
    }

    fn add_evidence(&mut self, part: &EvidencePart) -> Checked {
        for (a, link) in evidence_of(part)? {
            self.identifier(link.other)?;
            ensure(self.graph.evidence.between(a, link.other).is_none(), || {
                format!("evidence links {} and {} twice", a.0, link.other.0)
            })?;
            self.graph.restore_evidence(a, link);
        }
        Ok(())
    }

    fn add_attributions(&mut self, part: &AttributionsPart) -> Checked {
        for attribution in attributions_of(part)? {
            let source = self.node(attribution.source.0)?;
            self.node(attribution.destination.0)?;
            let held = self.graph.attributions.of_node(source);
            ensure(held.iter().all(|held| held.sequence != attribution.sequence), || {
                format!("record {} attributes history twice", attribution.sequence)
            })?;
            self.graph.restore_attribution(attribution);
        }
        Ok(())
    }

    fn add_departures(&mut self, part: &DeparturesPart) -> Checked {
        for (profile, sequence) in departures_of(part)? {
            let node = self.node(profile)?;
            ensure(self.graph.departures.of(node).is_none(), || {
                format!("profile {profile} departs twice")
            })?;
            self.graph.restore_departure(node, sequence);
        }
        Ok(())
    }

    fn add_partings(&mut self, part: &PartingsPart) -> Checked {
        for (id, side) in partings_of(part)? {
            self.identifier(id)?;
            let held = self.graph.partings.of(id);
            let is_new = held.len() < PARTINGS_MAX && held.iter().all(|held| held.by != side.by);
            ensure(is_new, || format!("identifier {} is parted twice by {}", id.0, side.by))?;
            self.graph.restore_parting(id, side);
        }
        Ok(())
    }

    fn add_traits(&mut self, part: TraitsPart) -> Checked {
        for (profile, row) in traits_of(part)? {
            let node = self.node(profile)?;
            self.graph.restore_trait(node, row);
        }
        Ok(())
    }

    fn add_events(&mut self, part: RememberedEventsPart) -> Checked {
        for event in events_of(part)? {
            let held = self.graph.remembered_events.find(&event.event_id, event.log_time);
            ensure(held.is_none(), || "a remembered event stands twice".to_owned())?;
            self.graph.restore_event(event);
        }
        Ok(())
    }

    fn add_refusals(&mut self, part: &RememberedRefusalsPart) -> Checked {
        for refusal in refusals_of(part)? {
            let is_new = !self.graph.remembered_refusals.contains(refusal.refusal);
            ensure(is_new, || "a remembered refusal stands twice".to_owned())?;
            self.graph.restore_refusal(refusal);
        }
        Ok(())
    }

    fn add_suppressions(&mut self, part: &SuppressionsPart) -> Checked {
        columns(part.hash.len(), &[])?;
        for &hash in &part.hash {
            let is_new = self.graph.restore_suppression(hash);
            ensure(is_new, || "a suppression stands twice".to_owned())?;
        }
        Ok(())
    }

    fn add_last_seen(&mut self, part: &LastSeenPart) -> Checked {
        for (id, day) in last_seen_of(part)? {
            self.identifier(id)?;
            let is_new = self.graph.last_seen.of(id).is_none() && self.graph.may_expire(id);
            ensure(is_new, || format!("identifier {} was not to be seen", id.0))?;
            self.graph.set_last_seen(id, day);
        }
        Ok(())
    }

    fn add_anonymous_seen(&mut self, part: &AnonymousSeenPart) -> Checked {
        for (root, day) in anonymous_seen_of(part)? {
            let is_new = self.graph.anonymous_seen.of(root).is_none();
            ensure(is_new, || format!("the day of profile {root} stands twice"))?;
            self.graph.set_anonymous_seen(root, day);
        }
        Ok(())
    }

    fn add_past_holdings(&mut self, part: &PastHoldingsPart) -> Checked {
        for ended in past_holdings_of(part)? {
            self.identifier(IdentifierId(ended.a))?;
            self.node(ended.b + 1)?;
            follow(&mut self.graph.past.holdings, ended, self.graph.sequence)?;
        }
        Ok(())
    }

    fn add_past_edges(&mut self, part: &PastEdgesPart) -> Checked {
        for ended in past_edges_of(part)? {
            for profile in [ended.a + 1, ended.b + 1, ended.what.bearer.0] {
                self.node(profile)?;
            }
            follow(&mut self.graph.past.edges, ended, self.graph.sequence)?;
        }
        Ok(())
    }

    fn add_timeline(&mut self, part: TimelinePart) -> Checked {
        for (block, end) in blocks_of(part)? {
            let (next, time) = self.graph.past.timeline.end();
            let follows = next == 0 || (block.first == next && block.time >= time);
            ensure(follows, || format!("times from record {} on follow {next}", block.first))?;
            self.graph.past.timeline.restore(block, end);
        }
        Ok(())
    }

    /// Whether times are there from the oldest record as of which the past is known to the newest.
    fn check_timeline(&self) -> Checked {
        let Graph { past, sequence, log_time, .. } = &self.graph;
        let (first, end) = (past.timeline.first(), past.timeline.end());
        let whole = first <= past.oldest.0.max(1) && end == (sequence.0 + 1, log_time.as_millis());
        ensure(whole, || format!("its times are those of records {first} to {}", end.0))
    }

    /// Once edges and marks stand: only then it is clear who is anonymous.
    fn check_anonymous_seen(&self) -> Checked {
        let nodes = self.graph.profiles.len();
        self.graph.anonymous_seen.iter().try_for_each(|(root, _)| {
            let may_be = root < nodes && self.graph.may_expire_whole(root);
            ensure(may_be, || format!("profile {root} was not to be seen"))
        })
    }

    /// Sets the edges of all merges, children before their parents, so that each node's
    /// counts are whole when it is hung below another.
    fn set_edges(&mut self) -> Checked {
        let nodes = self.edges.len();
        let mut children = vec![0u32; nodes];
        for &(parent, _) in &self.edges {
            if parent != 0 {
                let parent = self.node(parent)?;
                children[parent as usize] += 1;
            }
        }
        let mut depths = vec![0u8; nodes];
        let is_leaf = |&node: &usize| children[node] == 0;
        let mut ready: Vec<usize> = (0..nodes).filter(is_leaf).collect();
        let mut done = 0;
        while let Some(node) = ready.pop() {
            done += 1;
            let (parent, merged) = self.edges[node];
            let Some(parent) = parent.checked_sub(1) else {
                continue;
            };
            self.graph.profiles.restore_edge(node as u32, parent, merged);
            let depth = depths[node] + 1;
            // Unions are by size: each step up at least doubles the nodes below.
            ensure(depth <= DEPTH_MAX, || "its merges are too deep".to_owned())?;
            depths[parent as usize] = depths[parent as usize].max(depth);
            children[parent as usize] -= 1;
            if children[parent as usize] == 0 {
                ready.push(parent as usize);
            }
        }
        ensure(done == nodes, || "its merges go in a circle".to_owned())?;
        let bears = |node: u32| self.node(self.graph.profiles.bearer(node).0).map(|_| ());
        (0..nodes as u32).try_for_each(bears)
    }

    fn identifier(&self, id: IdentifierId) -> Checked {
        let identifiers = self.graph.identifiers.rows.len();
        ensure(id.0 < identifiers, || format!("identifier {} of {identifiers}", id.0))
    }

    fn node(&self, profile: u32) -> Result<u32, InvalidPart> {
        let node = self.graph.profiles.node(ProfileNumber(profile));
        node.ok_or_else(|| InvalidPart(format!("profile {profile} does not exist")))
    }
}

/// Adds what ended after all that is there, and not after the newest record.
fn follow<T: Copy>(table: &mut EndedTable<T>, ended: Ended<T>, newest: SequenceNumber) -> Checked {
    let until = ended.until();
    let follows = table.newest().is_none_or(|before| before <= until) && until <= newest;
    ensure(follows && table.len() < PAST_ROWS_MAX, || format!("something ended with {until}"))?;
    table.add(ended);
    Ok(())
}

/// What a workspace part says, if it can be one; gives its rules.
pub(super) fn check_workspace(part: &WorkspacePart) -> Result<Arc<Rules>, InvalidPart> {
    let rules = Rules::from_toml(&part.rules)
        .map_err(|problems| InvalidPart(format!("its rules have {} problems", problems.len())))?;
    let names = &part.namespaces;
    let others = names.iter().filter(|name| **name != FORMER_ID).count();
    let named = others <= NAMESPACES_MAX && names.iter().all(|n| is_namespace_name(n));
    ensure(named, || "it has impossible namespaces".to_owned())?;
    Ok(Arc::new(rules))
}

fn kind_of(part: &Part) -> u8 {
    match part {
        Part::Workspace(_) => 1,
        Part::Profiles(_) => 2,
        Part::Identifiers(_) => 3,
        Part::Links(_) => 4,
        Part::Holders(_) => 5,
        Part::Evidence(_) => 6,
        Part::Attributions(_) => 7,
        Part::Departures(_) => 8,
        Part::Partings(_) => 9,
        Part::Traits(_) => 10,
        Part::RememberedEvents(_) => 11,
        Part::RememberedRefusals(_) => 12,
        Part::Suppressions(_) => 13,
        Part::Erasures(_) => 14,
        Part::PendingErasures(_) => 15,
        Part::LastSeen(_) => 16,
        Part::AnonymousSeen(_) => 17,
        Part::PastHoldings(_) => 18,
        Part::PastEdges(_) => 19,
        Part::Timeline(_) => 20,
    }
}
