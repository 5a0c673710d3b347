//! Apply: the only code that changes a graph.
//!
//! It decides nothing and cannot fail. What it is given was decided on this very state, or
//! was read back and validated against it; anything else is a bug and panics.

mod anonymous;
mod deleting;
mod erasing;
mod evidence;
mod expiring;
mod holding;
mod pairs;
mod parting;
mod restore;
mod reverting;

use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashSet;

use crate::change::{
    Change, EventResolved, Extra, HistoryAttribution, Imported, Move, MoveCause,
    ObservedIdentifier, ProfileNumber, Record, RulesVersion, Target, TraitSet, Verb, Verdict,
};
use crate::event::TraitValue;
use crate::rules::{Rules, RulesText};
use crate::time::Timestamp;
use crate::union_find::Node;

use super::attributions::{AttributionView, attribution_hash};
use super::holders::Holder;
use super::identifiers::IdentifierId;
use super::links::{Link, add_link, is_linked, link_hash};
use super::namespaces::Namespaces;
use super::remembered::{
    RankedVerdict, RefusalHash, RememberedEvent, RememberedRefusal, event_hash, name_hash,
};
use super::traits::{TraitRow, trait_hash};
use super::{Graph, Workspace};

impl Graph {
    /// Applies the next record.
    ///
    /// # Panics
    ///
    /// If the record was neither decided on this graph nor accepted by [`Graph::validate`].
    pub fn apply(&mut self, record: &Record<'_>) {
        assert_eq!(
            record.sequence.0,
            self.sequence.0 + 1,
            "records are applied in the order of their sequence numbers"
        );
        self.sequence = record.sequence;
        self.log_time = record.log_time;
        let touched = self.touched(&record.change);
        match &record.change {
            Change::WorkspaceCreated { name, profile_key, rules } => {
                self.create_workspace(name, *profile_key, rules);
            }
            Change::RulesSet { version, rules } => self.set_rules(*version, rules),
            Change::EventResolved(event) => self.apply_event(event),
            Change::Erased(erased) => self.erase(erased),
            Change::ErasureCompleted(completed) => self.complete_erasure(*completed),
            Change::WorkspaceDeleted(deleted) => self.delete(deleted),
            Change::Gone => self.clear([0; 16]),
            Change::Expired(expired) => self.expire(expired),
        }
        if let Some(touched) = touched {
            self.refresh_touched(&touched, &record.change);
        }
        self.past.timeline.note(record.sequence, record.log_time);
    }

    fn create_workspace(&mut self, name: &str, profile_key: [u8; 16], rules: &RulesText<'_>) {
        self.workspace = Some(Workspace {
            name: name.into(),
            profile_key,
            created_time: self.log_time,
            rules_version: RulesVersion(1),
            rules_text: rules.text().into(),
            namespaces: Namespaces::new(parsed(rules)),
        });
    }

    fn set_rules(&mut self, version: RulesVersion, rules: &RulesText<'_>) {
        let workspace = self.workspace.as_mut().expect("record 1 created the workspace");
        workspace.rules_version = version;
        workspace.rules_text = rules.text().into();
        let before = workspace.namespaces.rules().clone();
        workspace.namespaces.set_rules(parsed(rules));
        let rules = workspace.namespaces.rules().clone();
        if !rules.has_logins_of(&before) {
            self.recount_known();
        }
        if rules.has_expiry() || before.has_expiry() {
            self.recount_last_seen();
            self.recount_anonymous_seen();
        }
        if !rules.has_pair_limits_of(&before) {
            self.pair_counts = self.counted_pairs();
        }
    }

    fn apply_event(&mut self, event: &EventResolved<'_>) {
        let imported = event.extra.as_ref().and_then(|extra| extra.imported.as_ref());
        let root = self.apply_target(&event.target, imported);
        if let Some(root) = root {
            if let Some(extra) = &event.extra {
                self.apply_extra(root, event, extra);
            }
            if event.verb == Verb::Deny {
                self.deny(event);
            }
            let first_new = IdentifierId(self.identifiers.rows.len());
            let kept = self.settle_all(root, event, imported);
            self.link_all(&kept, first_new);
            if self.rules().has_pair_limits() {
                self.link_pairs(root, event, &kept);
            }
            if self.rules().keeps_evidence() {
                self.observe_all(event, &kept);
            }
            if matches!(event.verb, Verb::Link | Verb::Merge | Verb::Modify) {
                self.reunite(root);
            }
            self.set_traits(root, event, imported, kept.first().copied());
        }
        if self.rules().has_expiry() {
            self.note_seen(event);
        }
        self.remember_refusals(event);
        // Where merges were undone it has another root.
        let root = event.target.profile().map(|profile| self.root_of_profile(profile));
        self.remember_event(event, root);
    }

    /// Gives the target its final shape; gives its root.
    fn apply_target(&mut self, target: &Target, imported: Option<&Imported>) -> Option<Node> {
        match target {
            Target::Unresolved => None,
            Target::Created(_) => {
                Some(self.create_profile(imported.map_or(self.log_time, |i| i.created_time)))
            }
            Target::Found(profile) => {
                if let Some(imported) = imported {
                    self.date_back(*profile, imported.created_time);
                }
                Some(self.root_of_profile(*profile))
            }
            Target::Merged { survivor, absorbed } => {
                for (at, &profile) in absorbed.iter().enumerate() {
                    self.merge(*survivor, profile, u16::try_from(at).unwrap_or(u16::MAX));
                }
                Some(self.root_of_profile(*survivor))
            }
        }
    }

    fn create_profile(&mut self, created_time: Timestamp) -> Node {
        let node = self.profiles.create(self.sequence, created_time);
        self.state.add(self.profiles.hash(node));
        node
    }

    /// Lets a profile be as old as it was elsewhere.
    fn date_back(&mut self, profile: ProfileNumber, created_time: Timestamp) {
        let node = self.profiles.node(profile).expect("the record names profiles that exist");
        if created_time < self.profiles.created(node).1 {
            self.rewrite_profile(node, |profiles| profiles.set_created_time(node, created_time));
            self.note_departure(node);
        }
    }

    fn merge(&mut self, survivor: ProfileNumber, absorbed: ProfileNumber, rank: u16) {
        let (a, b) = (self.root_of_profile(survivor), self.root_of_profile(absorbed));
        for root in [a, b] {
            self.state.remove(self.profiles.hash(root));
        }
        self.profiles.merge(a, b, self.sequence, rank);
        for node in [a, b] {
            self.state.add(self.profiles.hash(node));
        }
    }

    /// What comes before the identifiers, of what only some records bring.
    fn apply_extra(&mut self, root: Node, event: &EventResolved<'_>, extra: &Extra<'_>) {
        if extra.marks_known && !self.profiles.marked_known(root) {
            self.mark_known(root, event.target.absorbed());
        }
        if extra.reverted.is_empty() {
            self.apply_moves(&extra.moves);
        }
        if extra.moves.iter().any(|moved| moved.cause == MoveCause::Split) {
            self.part_all(&extra.moves);
        }
        if let (false, Some(survivor)) = (extra.reverted.is_empty(), event.target.profile()) {
            self.revert(survivor, &extra.reverted, &extra.moves);
        }
        if let Some(attribution) = extra.attribution.as_ref().filter(|a| a.refused.is_none()) {
            self.attribute(attribution);
        }
    }

    /// Marks the target known: for good, or for as long as the merges of this record are in force.
    fn mark_known(&mut self, root: Node, absorbed: &[ProfileNumber]) {
        for &profile in absorbed {
            let merge = self.profiles.merge_of(profile).expect("this record merged it");
            let child = merge.child;
            self.rewrite_profile(child, |profiles| profiles.mark_joined_known(child));
        }
        if absorbed.is_empty() {
            self.rewrite_profile(root, |profiles| profiles.mark_known(root));
        }
        self.note_departure(root);
    }

    /// Takes identifiers off their profiles and puts them on others. Those that leave are taken
    /// out of the profiles' lists together: one by one, a list would be walked for each.
    fn apply_moves(&mut self, moves: &[Move<'_>]) {
        if moves.is_empty() {
            return;
        }
        let leaving: Vec<(Node, IdentifierId)> =
            moves.iter().map(|moved| self.leaving(moved)).collect();
        let mut once: HashSet<IdentifierId, FixedState> = HashSet::default();
        let first: Vec<_> = leaving.iter().filter(|(_, id)| once.insert(*id)).copied().collect();
        self.unlink(&first);
        let mut left = Vec::new();
        for (moved, (root, id)) in moves.iter().zip(leaving) {
            if !once.remove(&id) {
                // It leaves a second profile, whose list it is still in.
                self.unlink(&[(root, id)]);
            }
            let time = self.let_go(root, id, &mut left);
            self.put(moved, id, time);
        }
        self.refresh_known(left);
    }

    /// The root of the profile that a move takes an identifier from.
    fn leaving(&self, moved: &Move<'_>) -> (Node, IdentifierId) {
        let id = self
            .find_recorded(&moved.namespace, &moved.value)
            .expect("the record moves identifiers that exist");
        (self.root_of_profile(moved.from), id)
    }

    fn put(&mut self, moved: &Move<'_>, id: IdentifierId, time: Timestamp) {
        if moved.cause == MoveCause::Evicted {
            self.forget_evidence(id);
        }
        let Some(to) = moved.to else { return };
        let node = match self.profiles.node(to) {
            Some(node) => self.profiles.root(node),
            None => self.create_profile(self.log_time),
        };
        self.hold(id, Holder { node, sequence: self.sequence, time });
    }

    fn attribute(&mut self, attribution: &HistoryAttribution) {
        let attribution = AttributionView {
            source: attribution.source,
            destination: attribution.destination,
            start: attribution.start,
            end: attribution.end,
            sequence: self.sequence,
        };
        self.state.add(attribution_hash(&attribution));
        self.attributions.add(attribution);
    }

    /// Gives identifiers the places that their verdicts say; those that the target keeps, in order.
    fn settle_all(
        &mut self,
        root: Node,
        event: &EventResolved<'_>,
        imported: Option<&Imported>,
    ) -> Vec<IdentifierId> {
        let sources = event.extra.as_ref().map_or(0, |extra| usize::from(extra.sources));
        let first_source = event.identifiers.len() - sources;
        let mut kept = Vec::with_capacity(event.identifiers.len());
        for (at, observed) in event.identifiers.iter().enumerate() {
            let time = imported.map_or(event.timestamp, |imported| imported.identifier_times[at]);
            let Some(id) = self.settle(root, event.verb, observed, time) else { continue };
            if event.verb == Verb::Link && at >= first_source {
                self.mark_source(id);
            }
            kept.push(id);
        }
        kept
    }

    fn settle(
        &mut self,
        root: Node,
        verb: Verb,
        observed: &ObservedIdentifier<'_>,
        time: Timestamp,
    ) -> Option<IdentifierId> {
        match &observed.verdict {
            Verdict::Attached => Some(self.attach(root, observed, time)),
            Verdict::AlreadyAttached => Some(self.expect_identifier(observed)),
            Verdict::Transferred { from } => {
                let id = self.expect_identifier(observed);
                self.detach(self.root_of_profile(*from), id);
                if verb == Verb::Modify {
                    self.forget_evidence(id);
                }
                self.hold(id, Holder { node: root, sequence: self.sequence, time });
                Some(id)
            }
            Verdict::Removed => {
                let id = self.expect_identifier(observed);
                self.detach(root, id);
                self.forget_evidence(id);
                None
            }
            Verdict::Dropped(_) | Verdict::Refused(_) => None,
        }
    }

    /// Links the strongest identifier that the target keeps with each of the others. Those from
    /// `first_new` on came with this record, and have no links yet.
    fn link_all(&mut self, kept: &[IdentifierId], first_new: IdentifierId) {
        let Some((&stronger, others)) = kept.split_first() else { return };
        for &weaker in others {
            let link = Link { stronger, weaker, sequence: self.sequence };
            if self.is_former_id(weaker) {
                continue;
            }
            if stronger.max(weaker) < first_new {
                self.link(link);
            } else {
                self.link_new(link);
            }
        }
    }

    fn link(&mut self, link: Link) {
        if !is_linked(&self.identifiers, &self.further_links, link.stronger, link.weaker) {
            self.link_new(link);
        }
    }

    /// Adds a link that is not there.
    fn link_new(&mut self, link: Link) {
        add_link(&mut self.identifiers, &mut self.further_links, link);
        self.count_link(link);
    }

    fn count_link(&mut self, link: Link) {
        self.link_count += 1;
        self.state.add(link_hash(link));
        self.count_pair(link);
    }

    fn set_traits(
        &mut self,
        root: Node,
        event: &EventResolved<'_>,
        imported: Option<&Imported>,
        strongest: Option<IdentifierId>,
    ) {
        let row = |(at, set): (usize, &TraitSet<'_>)| TraitRow {
            name: set.name.as_ref().into(),
            value: set.value.as_ref().map(TraitValue::to_static),
            time: imported.map_or(event.timestamp, |imported| imported.trait_times[at]),
            sequence: self.sequence,
            by: strongest.map_or(0, |id| id.0 + 1),
        };
        let rows: Vec<TraitRow> = event.traits.iter().enumerate().map(row).collect();
        self.put_traits(root, rows);
    }

    /// Sets traits of a root, older assignments before newer ones. What was there before the
    /// newest merge stays below: undoing that brings it back.
    fn put_traits(&mut self, root: Node, rows: Vec<TraitRow>) {
        if rows.is_empty() {
            return;
        }
        let merged = self.profiles.children(root).filter_map(|child| self.profiles.parent(child));
        let newest = merged.map(|(_, merged)| merged).max();
        for row in rows {
            self.state.add(trait_hash(root, &row));
            if let Some(old) = self.traits.set(root, row, newest) {
                self.state.remove(trait_hash(root, &old));
            }
        }
    }

    fn remember_refusals(&mut self, event: &EventResolved<'_>) {
        for refusal in RefusalHash::of_event(&event.target, &event.identifiers) {
            if self.remembered_refusals.contains(refusal) {
                continue;
            }
            let remembered = RememberedRefusal { refusal, by: self.sequence };
            self.state.add(remembered.state());
            if let Some(forgotten) = self.remembered_refusals.insert(remembered) {
                self.state.remove(forgotten.state());
            }
        }
    }

    fn remember_event(&mut self, event: &EventResolved<'_>, root: Option<Node>) {
        if event.event_id.is_empty() {
            return;
        }
        let is_plain = event.is_plain();
        let ignored = if is_plain { event.ignored_traits() } else { &[] };
        let remembered = RememberedEvent {
            event_id: event.event_id.as_ref().into(),
            digest: event.digest,
            sequence: self.sequence,
            log_time: self.log_time,
            rules_version: event.rules_version,
            known: root.is_some_and(|root| self.profiles.known(root)),
            target: event.target.clone(),
            attributed_by: self.attributed_by(&event.target, &event.identifiers),
            verdicts: ranked_verdicts(&event.identifiers),
            ignored_traits: ignored.iter().map(|i| (name_hash(&i.name), i.reason)).collect(),
            record: (!is_plain).then(|| Box::new(event.to_static())),
        };
        self.state.add(event_hash(&remembered));
        let state = &mut self.state;
        self.remembered_events.insert(remembered, |forgotten| state.remove(event_hash(forgotten)));
    }

    /// Who is known depends on which namespaces log in: after a change of rules, count anew.
    fn recount_known(&mut self) {
        for node in 0..self.profiles.len() {
            self.profiles.set_known(node, false);
        }
        for node in 0..self.profiles.len() {
            if self.makes_itself_known(node) {
                self.set_known_up(node);
            }
        }
    }

    fn root_of_profile(&self, profile: ProfileNumber) -> Node {
        let node = self.profiles.node(profile).expect("the record names profiles that exist");
        self.profiles.root(node)
    }

    fn expect_identifier(&self, observed: &ObservedIdentifier<'_>) -> IdentifierId {
        self.find_recorded(&observed.namespace, &observed.value)
            .expect("an identifier that was kept is attached")
    }
}

/// What became of identifiers, by name, and their places.
fn ranked_verdicts(identifiers: &[ObservedIdentifier<'_>]) -> Box<[RankedVerdict]> {
    let mut ranked: Vec<(u16, &ObservedIdentifier<'_>)> = (0..).zip(identifiers).collect();
    ranked.sort_by_key(|(_, observed)| (&observed.namespace, &observed.value));
    let verdict = |(rank, observed): (u16, &ObservedIdentifier<'_>)| RankedVerdict {
        rank,
        verdict: observed.verdict.clone(),
    };
    ranked.into_iter().map(verdict).collect()
}

fn parsed(rules: &RulesText<'_>) -> Arc<Rules> {
    rules.rules().expect("rules are checked before they are decided")
}
