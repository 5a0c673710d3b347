//! Links of the pairs that the rules in force limit.
//!
//! A record links its strongest identifier with each of the others; where rules limit pairs,
//! every limited pair that it keeps is linked, too, so that what was seen together is known
//! exactly. What a command or an import adds to a profile is seen with all that is there.

use crate::change::{EventResolved, Verb, Verdict};
use crate::union_find::Node;

use crate::graph::Graph;
use crate::graph::identifiers::IdentifierId;
use crate::graph::links::Link;

impl Graph {
    pub(super) fn link_pairs(
        &mut self,
        root: Node,
        event: &EventResolved<'_>,
        kept: &[IdentifierId],
    ) {
        let is_limited = |id: &IdentifierId| self.is_pair_limited(*id);
        let kept: Vec<IdentifierId> = kept.iter().copied().filter(is_limited).collect();
        for (at, &a) in kept.iter().enumerate() {
            kept[at + 1..].iter().for_each(|&b| self.link_pair(a, b));
        }
        if matches!(event.verb, Verb::Modify | Verb::Import) {
            self.link_beside(root, event);
        }
    }

    /// Links what a record adds with what the profile holds.
    fn link_beside(&mut self, root: Node, event: &EventResolved<'_>) {
        let is_new =
            |verdict: &Verdict| matches!(verdict, Verdict::Attached | Verdict::Transferred { .. });
        let new = event.identifiers.iter().filter(|observed| is_new(&observed.verdict));
        let new = new.map(|observed| self.expect_identifier(observed));
        let is_limited = |id: &IdentifierId| self.is_pair_limited(*id);
        let new: Vec<IdentifierId> = new.filter(is_limited).collect();
        if new.is_empty() {
            return;
        }
        let mut held = self.identifiers_of_profile(root);
        held.retain(is_limited);
        for a in new {
            held.iter().for_each(|&b| self.link_pair(a, b));
        }
    }

    /// Whether rules limit what an identifier is seen with, or what is seen with it.
    fn is_pair_limited(&self, id: IdentifierId) -> bool {
        self.namespaces().has_pair_limit(self.identifiers.rows.row(id).namespace)
    }

    /// Links two identifiers if the rules in force limit such pairs.
    fn link_pair(&mut self, a: IdentifierId, b: IdentifierId) {
        let namespaces = self.namespaces();
        let of = |id: IdentifierId| self.identifiers.rows.row(id).namespace;
        let (of_a, of_b) = (of(a), of(b));
        if !namespaces.is_pair_limited(of_a, of_b) {
            return;
        }
        let order = |index: u16| namespaces.order_of(Some(index), namespaces.name(index));
        let is_a_stronger = order(of_a) < order(of_b);
        let (stronger, weaker) = if is_a_stronger { (a, b) } else { (b, a) };
        self.link(Link { stronger, weaker, sequence: self.sequence });
    }
}
