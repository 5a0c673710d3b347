//! Recomputing what apply keeps up to date, to find out whether it did.

use std::collections::BTreeMap;

use crate::limits::PARTINGS_MAX;
use crate::union_find::Node;

use super::Graph;
use super::anonymous::anonymous_seen_hash;
use super::attributions::attribution_hash;
use super::departures::departure_hash;
use super::erasures::{pending_hash, receipt_hash, suppression_hash};
use super::evidence::evidence_hash;
use super::holders::holder_hash;
use super::identifiers::IdentifierId;
use super::last_seen::last_seen_hash;
use super::links::link_hash;
use super::partings::parting_hash;
use super::remembered::event_hash;
use super::state_hash::StateHash;
use super::traits::trait_hash;

impl Graph {
    /// Recomputes every index, counter and sum from the records of state, and says what does
    /// not agree. Takes time and memory in proportion to the graph.
    pub fn check(&self) -> Result<(), String> {
        self.check_identifiers()?;
        self.check_holders()?;
        self.check_evidence()?;
        for node in 0..self.profiles.len() {
            self.check_profile(node)?;
        }
        self.check_noted()?;
        self.check_partings()?;
        let links = self.links().count() as u64;
        agree("links", self.link_count, links)?;
        agree("pairs", self.pair_counts.sorted(), self.counted_pairs().sorted())?;
        self.check_last_seen()?;
        self.check_anonymous_seen()?;
        let absorbed = (0..self.profiles.len()).filter(|&n| self.profiles.parent(n).is_some());
        let ids = (0..self.identifiers.rows.len()).map(IdentifierId);
        let blanks = ids.filter(|&id| self.identifiers.rows.row(id).is_blank()).count();
        agree("erased identifiers", self.identifiers.blanks() as usize, blanks)?;
        let is_erased =
            |n: &Node| self.profiles.is_erased(*n) && self.profiles.parent(*n).is_none();
        let erased = (0..self.profiles.len()).filter(is_erased).count() as u32;
        agree("erased profiles", self.profiles.erased_profiles(), erased)?;
        agree("sizes", self.profiles.sizes(), self.recounted_sizes())?;
        agree("absorbed profiles", self.profiles.absorbed(), absorbed.count() as u32)?;
        agree("the state hash", self.state.get(), self.recomputed_state().get())
    }

    fn check_last_seen(&self) -> Result<(), String> {
        let ids = (0..self.identifiers.rows.len()).map(IdentifierId);
        let kept = ids.filter(|&id| self.may_expire(id) && self.last_seen.of(id).is_some());
        let expiring = (0..self.identifiers.rows.len()).map(IdentifierId);
        let expiring = expiring.filter(|&id| self.may_expire(id)).count();
        agree("identifiers that may expire", kept.count(), expiring)?;
        agree("days of identifiers", self.last_seen.len(), (expiring, expiring))
    }

    fn check_anonymous_seen(&self) -> Result<(), String> {
        let expiring = (0..self.profiles.len()).filter(|&node| self.may_expire_whole(node));
        let expiring: Vec<Node> = expiring.collect();
        let lacks = expiring.iter().find(|&&root| self.anonymous_seen.of(root).is_none());
        agree("a profile that may expire without a day", lacks, None)?;
        let count = expiring.len();
        agree("days of profiles", self.anonymous_seen.len(), (count, count))
    }

    fn recounted_sizes(&self) -> BTreeMap<u32, u32> {
        let mut sizes = BTreeMap::new();
        let roots = (0..self.profiles.len()).filter(|&node| self.profiles.parent(node).is_none());
        for size in roots.map(|root| self.profiles.identifier_count(root)).filter(|&size| size > 0)
        {
            *sizes.entry(size).or_default() += 1;
        }
        sizes
    }

    fn check_identifiers(&self) -> Result<(), String> {
        let mut listed = vec![0u32; self.identifiers.rows.len() as usize];
        for node in 0..self.profiles.len() {
            for id in self.listed_of_node(node) {
                listed[id.0 as usize] += 1;
                let holder = self.identifiers.rows.row(id).node;
                agree(&format!("the holder of identifier {}", id.0), holder, node)?;
            }
        }
        for id in (0..self.identifiers.rows.len()).map(IdentifierId) {
            let row = self.identifiers.rows.row(id);
            let found = self.identifiers.find(row.namespace, self.identifiers.rows.value(id));
            let expected = (!row.is_blank()).then_some(id);
            agree(&format!("the index entry of identifier {}", id.0), found, expected)?;
            let held = u32::from(row.holder().is_some());
            agree(&format!("identifier {} in its node's list", id.0), held, listed[id.0 as usize])?;
        }
        Ok(())
    }

    fn check_holders(&self) -> Result<(), String> {
        let mut further = 0;
        for id in (0..self.identifiers.rows.len()).map(IdentifierId) {
            let row = self.identifiers.rows.row(id);
            let what = |what: &str| format!("{what} of identifier {}", id.0);
            let holders = self.holders.of(id);
            let flag = row.has_further_holders();
            agree(&what("the further holders"), flag, !holders.is_empty())?;
            let all: Vec<_> = row.holder().into_iter().chain(holders.iter().copied()).collect();
            let in_order = all.windows(2).all(|pair| pair[0].sequence <= pair[1].sequence)
                && holders.windows(2).all(|pair| pair[0].place() < pair[1].place());
            agree(&what("the order of the holders"), in_order, true)?;
            let mut nodes: Vec<Node> = all.iter().map(|holder| holder.node).collect();
            nodes.sort_unstable();
            nodes.dedup();
            agree(
                &what("distinct holders"),
                nodes.len(),
                holders.len() + usize::from(row.holder().is_some()),
            )?;
            agree(&what("a first holder"), row.holder().is_some() || holders.is_empty(), true)?;
            let known = |node: Node| self.holders.of_node(node).contains(&id);
            let both_ways = holders.iter().all(|holder| known(holder.node));
            agree(&what("the nodes' side of the holders"), both_ways, true)?;
            further += holders.len();
        }
        let of_nodes: usize = self.holders.iter_nodes().map(|(_, ids)| ids.len()).sum();
        agree("further holders", of_nodes, further)
    }

    fn check_evidence(&self) -> Result<(), String> {
        for (id, link) in self.evidence.iter_ends() {
            let what = |what: &str| format!("{what} of {} and {}", id.0, link.other.0);
            let back = self.evidence.between(link.other, id);
            let mirrored = super::evidence::EvidenceLink { other: id, ..*link };
            agree(&what("the other end of the link"), back, Some(&mirrored))?;
            let possible = id != link.other
                && link.other.0 < self.identifiers.rows.len()
                && link.first <= link.last_sequence
                && link.last_sequence <= self.sequence;
            agree(&what("a possible link"), possible, true)?;
        }
        Ok(())
    }

    fn check_profile(&self, node: Node) -> Result<(), String> {
        let tree = self.profiles.tree(node);
        let what = |what: &str| format!("{what} of profile {}", node + 1);
        agree(&what("merges"), self.profiles.merges(node) as usize + 1, tree.len())?;
        let ids: Vec<IdentifierId> =
            tree.iter().flat_map(|&node| self.identifiers_of_node(node)).collect();
        let counted = ids.iter().filter(|&&id| !self.is_former_id(id)).count();
        agree(&what("identifiers"), self.profiles.identifier_count(node) as usize, counted)?;
        let logs_in = |id: &IdentifierId| {
            let namespace = self.identifiers.rows.row(*id).namespace;
            self.namespaces().rules_of(namespace).is_some_and(|rules| rules.login)
        };
        let marked = tree.iter().any(|&below| self.profiles.marked_known(below));
        agree(&what("known"), self.profiles.known(node), marked || ids.iter().any(logs_in))?;
        let holds_none = ids.is_empty() && self.traits.of_node(node).is_empty();
        agree(&what("nothing"), !self.profiles.is_erased(node) || holds_none, true)?;
        let root = self.profiles.root(node);
        let same_root = tree.iter().all(|&below| self.profiles.root(below) == root);
        agree(&what("the root"), same_root, true)
    }

    /// Attributions hang on both their ends; nothing is newer than the newest record.
    fn check_noted(&self) -> Result<(), String> {
        for attribution in self.attributions.iter() {
            let destination = self.attributions.of_node(attribution.destination.0 - 1);
            let what = format!("the destination of attribution {}", attribution.sequence);
            agree(&what, destination.contains(attribution), true)?;
            agree(&what, attribution.sequence <= self.sequence, true)?;
        }
        let ends = 2 * self.attributions.iter().count();
        agree("ends of attributions", self.attributions.ends(), ends)?;
        for (node, sequence) in self.departures.iter() {
            let possible = node < self.profiles.len() && sequence <= self.sequence;
            agree(&format!("a departure of profile {}", node + 1), possible, true)?;
        }
        Ok(())
    }

    fn check_partings(&self) -> Result<(), String> {
        for (id, side) in self.partings.iter() {
            let all = self.partings.of(id);
            let possible = id.0 < self.identifiers.rows.len()
                && side.by <= self.sequence
                && all.len() <= PARTINGS_MAX
                && all.windows(2).all(|pair| pair[0].by < pair[1].by);
            agree(&format!("the partings of identifier {}", id.0), possible, true)?;
        }
        Ok(())
    }

    fn recomputed_state(&self) -> StateHash {
        let mut state = StateHash::default();
        (0..self.profiles.len()).for_each(|node| state.add(self.profiles.hash(node)));
        let ids = (0..self.identifiers.rows.len()).map(IdentifierId);
        ids.for_each(|id| state.add(self.identifier_hash(id)));
        self.links().for_each(|link| state.add(link_hash(link)));
        self.holders.iter().for_each(|(id, holder)| state.add(holder_hash(id, &holder)));
        self.evidence.iter().for_each(|(id, link)| state.add(evidence_hash(id, link)));
        self.attributions.iter().for_each(|row| state.add(attribution_hash(row)));
        self.last_seen.iter().for_each(|(id, day)| state.add(last_seen_hash(id, day)));
        let seen = self.anonymous_seen.iter();
        seen.for_each(|(root, day)| state.add(anonymous_seen_hash(root, day)));
        self.departures.iter().for_each(|(node, by)| state.add(departure_hash(node, by)));
        self.partings.iter().for_each(|(id, side)| state.add(parting_hash(id, side)));
        for (node, rows) in self.traits.iter() {
            rows.iter().for_each(|row| state.add(trait_hash(node, row)));
        }
        self.remembered_events.iter().for_each(|event| state.add(event_hash(event)));
        self.remembered_refusals.iter().for_each(|refusal| state.add(refusal.state()));
        self.erasures.suppressed().for_each(|hash| state.add(suppression_hash(hash)));
        self.erasures.pending().iter().for_each(|pending| state.add(pending_hash(pending)));
        self.erasures.receipts().for_each(|receipt| state.add(receipt_hash(receipt)));
        state
    }
}

fn agree<T: PartialEq + std::fmt::Debug>(what: &str, kept: T, recomputed: T) -> Result<(), String> {
    if kept == recomputed {
        return Ok(());
    }
    Err(format!("{what}: kept {kept:?}, recomputed {recomputed:?}"))
}
