//! Which anonymous profiles may expire, and since when: put right once, at the end of each
//! record, for the profiles that it touched, whatever it did to them.

use crate::change::{Change, Erased, EventResolved, Target, Verdict};
use crate::graph::Graph;
use crate::graph::anonymous::anonymous_seen_hash;
use crate::graph::identifiers::IdentifierId;
use crate::time::Day;
use crate::union_find::Node;

/// The profiles that a record may join, fill, empty, make known or anonymous.
pub(super) struct Touched {
    /// Their roots before it.
    roots: Vec<Node>,
    /// The first node that it creates, if it creates any.
    first_new: Node,
}

impl Graph {
    /// What a record is about to touch; none where anonymous profiles do not expire.
    pub(super) fn touched(&self, change: &Change<'_>) -> Option<Touched> {
        let rules = self.workspace.as_ref()?.namespaces.rules();
        rules.anonymous_expires_after_days?;
        let roots = match change {
            Change::EventResolved(event) => self.touched_by_event(event),
            Change::Erased(erased) => self.touched_by_erasure(erased),
            Change::Expired(expired) => {
                self.roots_of_rows(expired.identifiers.iter().map(|identifier| identifier.row))
            }
            _ => return None,
        };
        Some(Touched { roots, first_new: self.profiles.len() })
    }

    /// Keeps a day of those that may expire, and of no other. What may from now on counts as
    /// seen today; what was joined, as seen when either was.
    pub(super) fn refresh_touched(&mut self, touched: &Touched, change: &Change<'_>) {
        for &node in &touched.roots {
            let root = self.profiles.root(node);
            let day = if root == node { None } else { self.forget_anonymous_seen(node) };
            if let Some(day) = day.filter(|&day| self.anonymous_seen.of(root) < Some(day)) {
                self.set_anonymous_seen(root, day);
            }
        }
        for &node in &touched.roots {
            self.refresh_anonymous_seen(self.profiles.root(node));
        }
        for node in touched.first_new..self.profiles.len() {
            self.refresh_anonymous_seen(self.profiles.root(node));
        }
        if let Change::EventResolved(event) = change {
            self.note_anonymous_seen(event);
        }
    }

    /// Other rules: who may expire from now on counts as seen today.
    pub(super) fn recount_anonymous_seen(&mut self) {
        (0..self.profiles.len()).for_each(|node| self.refresh_anonymous_seen(node));
    }

    pub(crate) fn set_anonymous_seen(&mut self, root: Node, day: Day) {
        if let Some(before) = self.anonymous_seen.set((), root, day) {
            self.state.remove(anonymous_seen_hash(root, before));
        }
        self.state.add(anonymous_seen_hash(root, day));
    }

    fn touched_by_event(&self, event: &EventResolved<'_>) -> Vec<Node> {
        let mut profiles = match &event.target {
            Target::Unresolved | Target::Created(_) => Vec::new(),
            Target::Found(profile) => vec![*profile],
            Target::Merged { survivor, absorbed } => [&[*survivor], &absorbed[..]].concat(),
        };
        if let Some(extra) = &event.extra {
            profiles.extend(
                extra.moves.iter().flat_map(|moved| [Some(moved.from), moved.to]).flatten(),
            );
        }
        profiles.extend(event.identifiers.iter().filter_map(|observed| match observed.verdict {
            Verdict::Transferred { from } => Some(from),
            _ => None,
        }));
        // What the record creates has no node yet.
        let nodes = profiles.into_iter().filter_map(|profile| self.profiles.node(profile));
        let mut roots: Vec<Node> = nodes.map(|node| self.profiles.root(node)).collect();
        // What it takes apart has roots only afterwards.
        let reverted = event.extra.iter().flat_map(|extra| &extra.reverted);
        roots.extend(reverted.filter_map(|merge| self.profiles.node(merge.absorbed)));
        distinct(roots)
    }

    fn touched_by_erasure(&self, erased: &Erased) -> Vec<Node> {
        let nodes = erased.profiles.iter().filter_map(|&profile| self.profiles.node(profile));
        let mut roots: Vec<Node> = nodes.map(|node| self.profiles.root(node)).collect();
        roots.extend(self.roots_of_rows(erased.identifiers.iter().filter_map(|known| known.row)));
        distinct(roots)
    }

    fn roots_of_rows(&self, rows: impl Iterator<Item = u32>) -> Vec<Node> {
        distinct(rows.flat_map(|row| self.roots_of(IdentifierId(row))).collect())
    }

    /// Notes that all who hold an identifier that an event showed were seen.
    fn note_anonymous_seen(&mut self, event: &EventResolved<'_>) {
        let today = Day::of(self.log_time);
        for observed in event.identifiers.iter().filter(|observed| observed.verdict.is_kept()) {
            let Some(id) = self.find_recorded(&observed.namespace, &observed.value) else {
                continue;
            };
            let seen = self.days_of_holders(id).filter(|(_, day)| day.is_some_and(|d| d < today));
            let seen: Vec<Node> = seen.map(|(root, _)| root).collect();
            seen.into_iter().for_each(|root| self.set_anonymous_seen(root, today));
        }
    }

    fn refresh_anonymous_seen(&mut self, node: Node) {
        if !self.may_expire_whole(node) {
            self.forget_anonymous_seen(node);
        } else if self.anonymous_seen.of(node).is_none() {
            self.set_anonymous_seen(node, Day::of(self.log_time));
        }
    }

    fn forget_anonymous_seen(&mut self, root: Node) -> Option<Day> {
        let day = self.anonymous_seen.remove((), root)?;
        self.state.remove(anonymous_seen_hash(root, day));
        Some(day)
    }
}

fn distinct(mut roots: Vec<Node>) -> Vec<Node> {
    roots.sort_unstable();
    roots.dedup();
    roots
}
