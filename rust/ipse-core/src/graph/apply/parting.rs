//! What a record means for who must stay apart.

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::change::{EventResolved, Move, MoveCause, ProfileNumber};
use crate::limits::PARTED_STAYING_MAX;
use crate::union_find::Node;

use crate::graph::Graph;
use crate::graph::evidence::{EvidenceLink, LinkState};
use crate::graph::identifiers::IdentifierId;
use crate::graph::partings::{Side, Sides, parting_hash};

impl Graph {
    /// Parts what a split took out of a profile from what it left there, and from what it took
    /// out into another.
    pub(super) fn part_all(&mut self, moves: &[Move<'_>]) {
        let mut taken: Vec<(IdentifierId, u32)> = Vec::new();
        let mut profiles: Vec<ProfileNumber> = Vec::new();
        let mut behind = None;
        for moved in moves.iter().filter(|moved| moved.cause == MoveCause::Split) {
            let id = self.find_recorded(&moved.namespace, &moved.value);
            let (Some(id), Some(to)) = (id, moved.to) else { continue };
            behind = behind.or(self.profiles.node(moved.from));
            if profiles.last() != Some(&to) {
                profiles.push(to);
            }
            taken.push((id, u32::try_from(profiles.len()).expect("splits are bounded")));
        }
        let Some(behind) = behind.map(|node| self.profiles.root(node)) else { return };
        self.part(&self.strongest_of(behind), &taken);
    }

    /// Parts the two identifiers of a record that says that they are of different people.
    pub(super) fn deny(&mut self, event: &EventResolved<'_>) {
        let ids = event
            .identifiers
            .iter()
            .filter_map(|observed| self.find_recorded(&observed.namespace, &observed.value));
        let ids: Vec<IdentifierId> = ids.collect();
        if let [a, b] = ids[..] {
            self.part(&[a], &[(b, 1)]);
        }
    }

    /// Parts the profiles with two roots.
    pub(super) fn part_sides(&mut self, one: Node, other: Node) {
        let others = self.strongest_of(other).into_iter().map(|id| (id, 1));
        self.part(&self.strongest_of(one), &others.collect::<Vec<_>>());
    }

    /// Parts some identifiers, on the side 0 of a new parting, from others on theirs.
    pub(super) fn part(&mut self, staying: &[IdentifierId], taken: &[(IdentifierId, u32)]) {
        let mut sides: HashMap<IdentifierId, u32, FixedState> =
            staying.iter().map(|&id| (id, 0)).collect();
        sides.extend(taken.iter().copied());
        for &(id, _) in taken {
            self.cut_links(id, &sides);
        }
        let by = self.sequence;
        sides.into_iter().for_each(|(id, side)| self.set_side(id, Side { by, side }));
    }

    /// Makes one what was parted and someone's word has put on one profile.
    pub(super) fn reunite(&mut self, root: Node) {
        if self.partings.is_empty() {
            return;
        }
        let reunited = Sides::of_profile(self, root).reunited();
        if reunited.is_empty() {
            return;
        }
        for id in self.identifiers_of_profile(root) {
            for side in self.partings.of(id).to_vec() {
                if let Some((_, to)) = reunited.iter().find(|(from, _)| *from == side) {
                    self.set_side(id, *to);
                }
            }
        }
    }

    pub(super) fn set_side(&mut self, id: IdentifierId, side: Side) {
        self.state.add(parting_hash(id, side));
        if let Some(before) = self.partings.set(id, side) {
            self.state.remove(parting_hash(id, before));
        }
    }

    /// The strongest identifiers of a profile, as many as a parting keeps.
    fn strongest_of(&self, root: Node) -> Vec<IdentifierId> {
        let mut ids = self.identifiers_of_profile(root);
        ids.retain(|&id| !self.is_former_id(id));
        ids.sort_by_key(|&id| (self.strength_of(id), id));
        ids.truncate(PARTED_STAYING_MAX);
        ids
    }

    /// Displaces the links of an identifier with those on other sides: no evidence before the
    /// parting speaks against it.
    fn cut_links(&mut self, id: IdentifierId, sides: &HashMap<IdentifierId, u32, FixedState>) {
        let own = sides.get(&id);
        let is_cut = |link: &&EvidenceLink| {
            let other = sides.get(&link.other);
            other.is_some() && other != own && !matches!(link.state, LinkState::Displaced { .. })
        };
        let cut: Vec<EvidenceLink> = self.evidence.of(id).iter().filter(is_cut).copied().collect();
        for link in cut {
            self.displace(id, link.other, link.last_time);
        }
    }
}
