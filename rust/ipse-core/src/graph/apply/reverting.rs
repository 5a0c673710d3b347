//! What a record means that undoes merges.

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::change::{Move, MoveCause, ProfileNumber, RevertedMerge, SequenceNumber};
use crate::union_find::Node;

use crate::graph::Graph;
use crate::graph::holders::Holder;
use crate::graph::identifiers::IdentifierId;
use crate::graph::merges::Merge;
use crate::graph::traits::{TraitRow, trait_hash};

impl Graph {
    /// Cuts the edges of merges, newest first, and puts what came to the whole since on the side
    /// that the record says. Both sides of the last, which is the one that was meant, are to stay
    /// apart; the others may be joined again by what events show.
    pub(super) fn revert(
        &mut self,
        survivor: ProfileNumber,
        reverted: &[RevertedMerge],
        moves: &[Move<'_>],
    ) {
        let mut cut: Vec<Merge> = Vec::with_capacity(reverted.len());
        for RevertedMerge { absorbed, .. } in reverted {
            let merge = self.profiles.merge_of(*absorbed).expect("what is undone was merged");
            self.cut(&merge);
            cut.push(merge);
        }
        let Some(&meant) = cut.last() else { return };
        let mut since: HashMap<Node, SequenceNumber, FixedState> = HashMap::default();
        for merge in &cut {
            // Newest first: what is left is the oldest.
            since.insert(merge.parent, merge.order.0);
        }
        let mut since: Vec<(Node, SequenceNumber)> = since.into_iter().collect();
        since.sort_unstable();
        let home = self.root_of_profile(survivor);
        let parts: Vec<Node> = cut.iter().flat_map(|merge| [merge.child, merge.parent]).collect();
        self.send_home(home, &since, &parts, moves);
        self.refresh_known(since.iter().map(|&(node, _)| node).collect());
        self.part_sides(meant.parent, meant.child);
    }

    fn cut(&mut self, merge: &Merge) {
        self.note_cut_edge(merge.child);
        for node in [merge.child, merge.parent] {
            self.state.remove(self.profiles.hash(node));
        }
        self.profiles.cut(merge);
        for node in [merge.child, merge.parent] {
            self.state.add(self.profiles.hash(node));
            self.note_departure(node);
        }
    }

    /// Puts what came to roots since merges that are undone where it belongs: where the moves say,
    /// else to the survivor.
    fn send_home(
        &mut self,
        home: Node,
        since: &[(Node, SequenceNumber)],
        parts: &[Node],
        moves: &[Move<'_>],
    ) {
        let mut places: HashMap<IdentifierId, Node, FixedState> = HashMap::default();
        let mut shared: Vec<IdentifierId> = Vec::new();
        for moved in moves {
            let id = self.find_recorded(&moved.namespace, &moved.value);
            let (Some(id), Some(to)) = (id, moved.to) else { continue };
            match moved.cause {
                MoveCause::RevertedShared => shared.push(id),
                _ => _ = places.insert(id, self.root_of_profile(to)),
            }
        }
        for &(root, merged) in since {
            let held: Vec<IdentifierId> = self.identifiers_of_node(root).collect();
            for id in held {
                let place = places.get(&id).copied().unwrap_or(home);
                let is_later = self.held_since(root, id) >= merged && !shared.contains(&id);
                if is_later && place != root && !self.holds(place, id) {
                    let time = self.detach(root, id);
                    self.hold(id, Holder { node: place, sequence: self.sequence, time });
                }
            }
        }
        self.send_traits(home, since, parts);
    }

    /// Puts the traits that were set on the whole since where the identifier is that each came
    /// with.
    fn send_traits(&mut self, home: Node, since: &[(Node, SequenceNumber)], parts: &[Node]) {
        let mut sent: Vec<(Node, TraitRow)> = Vec::new();
        for &(root, merged) in since {
            for row in self.traits.remove_since(root, merged) {
                self.state.remove(trait_hash(root, &row));
                let by = row.by.checked_sub(1).filter(|&id| id < self.identifiers.rows.len());
                let place = by.and_then(|id| self.root_of(IdentifierId(id)));
                sent.push((place.filter(|place| parts.contains(place)).unwrap_or(home), row));
            }
        }
        sent.sort_by_key(|(_, row)| row.sequence);
        for (place, row) in sent {
            self.put_traits(place, vec![row]);
        }
    }
}
