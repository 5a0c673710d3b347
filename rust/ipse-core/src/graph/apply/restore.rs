//! Only for [`crate::snapshot`]: puts back state that was validated part by part.

use crate::union_find::Node;

use crate::change::SequenceNumber;
use crate::graph::Graph;
use crate::graph::attributions::{AttributionView, attribution_hash};
use crate::graph::evidence::EvidenceLink;
use crate::graph::holders::Holder;
use crate::graph::identifiers::{IdentifierId, NO_NODE};
use crate::graph::links::Link;
use crate::graph::partings::Side;
use crate::graph::remembered::{RememberedEvent, RememberedRefusal, event_hash};
use crate::graph::traits::{TraitRow, trait_hash};

impl Graph {
    /// Puts back an identifier. None is found before [`Identifiers::index_all`].
    ///
    /// [`Identifiers::index_all`]: crate::graph::identifiers::Identifiers::index_all
    pub(crate) fn restore_identifier(
        &mut self,
        namespace: u16,
        value: &str,
        holder: Holder,
        was_source: bool,
    ) {
        let id = self.identifiers.restore(namespace, value, holder);
        if was_source {
            self.identifiers.row_mut(id).set_was_source();
        }
        match holder.node {
            NO_NODE => self.state.add(self.identifier_hash(id)),
            node => self.list(id, node),
        }
    }

    /// Puts back a link if it can lie in the row of its weaker identifier; says whether it does.
    /// The others follow by [`Graph::restore_further_links`].
    pub(crate) fn restore_link(&mut self, link: Link) -> bool {
        self.count_link(link);
        self.restore_first_link(link)
    }

    pub(crate) fn restore_holder(&mut self, id: IdentifierId, holder: Holder) {
        self.add_further_holder(id, holder);
    }

    pub(crate) fn restore_evidence(&mut self, id: IdentifierId, link: EvidenceLink) {
        self.set_evidence(id, link);
    }

    pub(crate) fn restore_attribution(&mut self, attribution: AttributionView) {
        self.state.add(attribution_hash(&attribution));
        self.attributions.add(attribution);
    }

    pub(crate) fn restore_departure(&mut self, node: Node, sequence: SequenceNumber) {
        self.set_departure(node, sequence);
    }

    pub(crate) fn restore_parting(&mut self, id: IdentifierId, side: Side) {
        self.set_side(id, side);
    }

    pub(crate) fn restore_trait(&mut self, node: Node, row: TraitRow) {
        self.state.add(trait_hash(node, &row));
        // Rows of one name come by record, and none replaces another.
        let after = Some(SequenceNumber(row.sequence.0 + 1));
        self.traits.set(node, row, after);
    }

    pub(crate) fn restore_event(&mut self, event: RememberedEvent) {
        self.state.add(event_hash(&event));
        let state = &mut self.state;
        self.remembered_events.insert(event, |forgotten| state.remove(event_hash(forgotten)));
    }

    pub(crate) fn restore_refusal(&mut self, refusal: RememberedRefusal) {
        self.state.add(refusal.state());
        self.remembered_refusals.insert(refusal);
    }

    /// Adds up the profile nodes, once their edges stand.
    pub(crate) fn restore_profile_hashes(&mut self) {
        for node in 0..self.profiles.len() {
            self.state.add(self.profiles.hash(node));
        }
    }
}
