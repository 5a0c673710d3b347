//! What a record means for links as evidence.

use crate::change::{EventResolved, Verb};
use crate::limits::EVENT_IDENTIFIERS_MAX;
use crate::time::Timestamp;

use crate::graph::Graph;
use crate::graph::evidence::{EvidenceLink, LinkState, evidence_hash};
use crate::graph::identifiers::IdentifierId;

impl Graph {
    /// Takes every pair of identifiers that a record kept as seen together, then displaces what
    /// it displaced.
    pub(super) fn observe_all(&mut self, event: &EventResolved<'_>, kept: &[IdentifierId]) {
        let ids = kept.iter().copied().filter(|&id| !self.is_former_id(id));
        let ids: Vec<IdentifierId> = ids.collect();
        let forces = event.verb == Verb::Link;
        // A whole profile that comes in is linked as a star: pairs would be half a million.
        let centres = if ids.len() > EVENT_IDENTIFIERS_MAX { 1 } else { ids.len() };
        for (at, &a) in ids[..centres].iter().enumerate() {
            for &b in &ids[at + 1..] {
                self.observe(a, b, event.timestamp, forces);
            }
        }
        for pair in event.extra.iter().flat_map(|extra| &extra.displaced) {
            let a = self.find_recorded(&pair.a.0, &pair.a.1);
            let b = self.find_recorded(&pair.b.0, &pair.b.1);
            let (Some(a), Some(b)) = (a, b) else { continue };
            self.displace(a, b, event.timestamp);
        }
    }

    fn observe(&mut self, a: IdentifierId, b: IdentifierId, time: Timestamp, forces: bool) {
        let held = self.evidence.between(a, b).copied();
        let link = EvidenceLink {
            other: b,
            first: held.map_or(self.sequence, |held| held.first),
            last_time: held.map_or(time, |held| held.last_time.max(time)),
            last_sequence: self.sequence,
            state: match held.map(|held| held.state) {
                _ if forces => LinkState::Forced,
                Some(LinkState::Forced) => LinkState::Forced,
                None | Some(LinkState::Active | LinkState::Displaced { .. }) => LinkState::Active,
            },
        };
        self.set_evidence(a, link);
    }

    /// Displaces a link; one that never held is there from now on, so that its evidence is.
    pub(super) fn displace(&mut self, a: IdentifierId, b: IdentifierId, time: Timestamp) {
        let held = self.evidence.between(a, b).copied().unwrap_or(EvidenceLink {
            other: b,
            first: self.sequence,
            last_time: time,
            last_sequence: self.sequence,
            state: LinkState::Active,
        });
        let state = LinkState::Displaced { by: self.sequence };
        self.set_evidence(a, EvidenceLink { state, ..held });
        for end in [a, b] {
            if let Some(forgotten) = self.evidence.remove_oldest_displaced(end) {
                self.state.remove(evidence_hash(end, &forgotten));
            }
        }
    }

    pub(super) fn set_evidence(&mut self, a: IdentifierId, link: EvidenceLink) {
        self.state.add(evidence_hash(a, &link));
        if let Some(before) = self.evidence.set(a, link) {
            self.state.remove(evidence_hash(a, &before));
        }
    }

    /// Removes all evidence of an identifier, which someone took off its profile for good.
    pub(super) fn forget_evidence(&mut self, id: IdentifierId) {
        for link in self.evidence.remove_of(id) {
            self.state.remove(evidence_hash(id, &link));
        }
    }
}
