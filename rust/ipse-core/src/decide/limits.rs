//! Namespace limits on a would-be profile.
//!
//! A limit speaks of the profile that would result: everything the matched profiles hold,
//! plus what the event adds. It is violated if the result holds more than it allows and more
//! than the fullest of the matched profiles holds by itself, so that a profile that is over
//! a limit that was tightened later is not punished for it.
//!
//! A windowed limit looks at the windows of its length that contain the event's time: the
//! one with the most attachments, by event time, must stay within the limit. That holds for
//! late events too.

use crate::graph::Graph;
use crate::graph::identifiers::IdentifierId;
use crate::graph::partings::Sides;
use crate::graph::profiles::Profiles;
use crate::rules::{Limit, Window};
use crate::time::Timestamp;

use super::candidates::Candidate;
use super::fit::sides_of;

/// What one matched profile holds, by namespace.
pub(super) struct Holding {
    pub(super) root: u32,
    /// How many identifiers it holds, former ids left out.
    pub(super) identifiers: u32,
    namespaces: Vec<Held>,
    /// Those among them that other profiles may hold, too, by number.
    shared: Vec<Shared>,
}

struct Held {
    index: u16,
    count: u32,
    /// Attachment times, for a namespace with a window; in order.
    times: Vec<i64>,
}

/// An identifier that several profiles may hold, as one of them holds it.
#[derive(Clone, Copy)]
struct Shared {
    id: IdentifierId,
    index: u16,
    time: i64,
}

/// What would be new on a profile, by namespace.
#[derive(Default)]
pub(super) struct Tally {
    pub(super) identifiers: u32,
    /// The sides of partings that any of it is on.
    pub(super) sides: Vec<Sides>,
    namespaces: Vec<Added>,
}

/// What would be new of a namespace.
#[derive(Clone)]
struct Added {
    index: Option<u16>,
    /// Of a namespace that has no index yet.
    name: Option<Box<str>>,
    count: u32,
    /// Times, for a namespace with a window; in order.
    times: Vec<i64>,
}

/// A limit that would be exceeded.
pub(super) struct Violation {
    pub(super) namespace: Box<str>,
    pub(super) limit: Limit,
}

impl Holding {
    /// Counts what the profile with this root holds.
    pub(super) fn of(graph: &Graph, root: u32) -> Holding {
        let mut holding =
            Holding { root, identifiers: 0, namespaces: Vec::new(), shared: Vec::new() };
        let profiles: &Profiles = &graph.profiles;
        for node in profiles.tree(root) {
            for id in graph.identifiers_of_node(node) {
                let row = graph.identifiers.rows.row(id);
                if row.has_further_holders() {
                    let time = graph.holding(root, id).map_or(row.attached_time(), |h| h.time);
                    let (index, time) = (row.namespace, time.as_millis());
                    holding.shared.push(Shared { id, index, time });
                } else {
                    holding.count(graph, row.namespace, row.attached_time().as_millis());
                }
            }
        }
        holding.shared.sort_unstable_by_key(|shared| shared.id);
        holding.shared.dedup_by_key(|shared| shared.id);
        for at in 0..holding.shared.len() {
            let Shared { index, time, .. } = holding.shared[at];
            holding.count(graph, index, time);
        }
        holding.namespaces.iter_mut().for_each(|held| held.times.sort_unstable());
        holding
    }

    fn count(&mut self, graph: &Graph, index: u16, time: i64) {
        self.identifiers += u32::from(!graph.namespaces().is_former_id(index));
        let held = self.held_mut(index);
        held.count += 1;
        if window_of(graph, Some(index)).is_some() {
            held.times.push(time);
        }
    }

    fn held(&self, namespace: Option<u16>) -> Option<&Held> {
        self.namespaces.iter().find(|held| Some(held.index) == namespace)
    }

    fn held_mut(&mut self, index: u16) -> &mut Held {
        match self.namespaces.iter().position(|held| held.index == index) {
            Some(at) => &mut self.namespaces[at],
            None => {
                self.namespaces.push(Held { index, count: 0, times: Vec::new() });
                self.namespaces.last_mut().expect("just pushed")
            }
        }
    }
}

/// Profiles as if they were one: what several of them hold counts once.
pub(super) struct Whole<'h> {
    holdings: Vec<&'h Holding>,
    /// What a profile holds that one before it holds, too; with the newer of the two times.
    again: Vec<Shared>,
}

impl<'h> Whole<'h> {
    pub(super) fn of(holdings: Vec<&'h Holding>) -> Whole<'h> {
        let mut again = Vec::new();
        let sharing = holdings.iter().filter(|holding| !holding.shared.is_empty());
        if sharing.clone().count() > 1 {
            let mut all: Vec<Shared> = sharing.flat_map(|h| h.shared.iter().copied()).collect();
            all.sort_unstable_by_key(|shared| (shared.id, shared.time));
            let pairs = all.windows(2).filter(|pair| pair[0].id == pair[1].id);
            again.extend(pairs.map(|pair| pair[1]));
        }
        Whole { holdings, again }
    }

    /// How many identifiers they hold together, former ids left out.
    pub(super) fn identifiers(&self) -> u32 {
        let all: u32 = self.holdings.iter().map(|holding| holding.identifiers).sum();
        all - u32::try_from(self.again.len()).expect("identifiers are counted in 32 bits")
    }

    /// How many the fullest of them holds.
    pub(super) fn fullest(&self) -> u32 {
        self.holdings.iter().map(|holding| holding.identifiers).max().unwrap_or(0)
    }

    /// How many the one with this root holds.
    pub(super) fn identifiers_of(&self, root: u32) -> u32 {
        let of = self.holdings.iter().find(|holding| holding.root == root);
        of.map_or(0, |holding| holding.identifiers)
    }

    /// The namespaces of which they hold anything; some several times.
    pub(super) fn namespaces(&self) -> impl Iterator<Item = u16> {
        self.holdings.iter().flat_map(|h| h.namespaces.iter().map(|held| held.index))
    }

    /// The namespaces of which several of them may hold something; some twice.
    pub(super) fn joined_namespaces(&self) -> impl Iterator<Item = u16> {
        let further = self.holdings.iter().skip(1);
        further.flat_map(|h| h.namespaces.iter().map(|held| held.index))
    }

    /// How many identifiers of a namespace they hold together.
    pub(super) fn count(&self, index: Option<u16>) -> u32 {
        let all: u32 = self.counts(index).sum();
        let again = self.again.iter().filter(|shared| Some(shared.index) == index).count();
        all - u32::try_from(again).expect("identifiers are counted in 32 bits")
    }

    fn counts(&self, index: Option<u16>) -> impl Iterator<Item = u32> {
        self.holdings.iter().map(move |h| h.held(index).map_or(0, |held| held.count))
    }

    /// When what they hold of a namespace was attached, as far as a window around a time goes.
    fn times_around(&self, index: Option<u16>, time: i64, window: i64) -> Vec<i64> {
        let held = self.holdings.iter().filter_map(|holding| holding.held(index));
        let mut times: Vec<i64> =
            held.flat_map(|held| around(&held.times, time, window)).copied().collect();
        for shared in self.again.iter().filter(|shared| Some(shared.index) == index) {
            if let Some(at) = times.iter().position(|&time| time == shared.time) {
                times.swap_remove(at);
            }
        }
        times
    }
}

impl Tally {
    /// Candidates that are all new at one time.
    pub(super) fn of<'c>(
        graph: &Graph,
        new: impl Iterator<Item = &'c Candidate<'c>>,
        time: Timestamp,
    ) -> Tally {
        let mut tally = Tally::default();
        new.for_each(|candidate| tally.add(graph, candidate, time));
        tally
    }

    pub(super) fn is_empty(&self) -> bool {
        self.identifiers == 0
    }

    pub(super) fn add(&mut self, graph: &Graph, candidate: &Candidate<'_>, time: Timestamp) {
        if !graph.partings.is_empty() {
            self.sides.extend(Some(sides_of(graph, candidate)).filter(|own| !own.is_empty()));
        }
        self.count_in(graph, candidate, time);
    }

    /// Counts a candidate that comes along, whomever it was parted from.
    pub(super) fn count_in(&mut self, graph: &Graph, candidate: &Candidate<'_>, time: Timestamp) {
        self.identifiers += 1;
        let at = self.position(candidate).unwrap_or_else(|| {
            self.namespaces.push(Added::nothing(candidate));
            self.namespaces.len() - 1
        });
        self.namespaces[at].add(graph, time);
    }

    /// How many would be new of a namespace.
    pub(super) fn count(&self, index: u16) -> u32 {
        let of = self.namespaces.iter().find(|added| added.index == Some(index));
        of.map_or(0, |added| added.count)
    }

    /// The namespaces of which something would be new.
    pub(super) fn namespaces(&self) -> impl Iterator<Item = u16> {
        self.namespaces.iter().filter_map(|added| added.index)
    }

    /// The namespace of a candidate, with that candidate.
    fn with(&self, graph: &Graph, candidate: &Candidate<'_>, time: Timestamp) -> Added {
        let held = self.position(candidate).map(|at| self.namespaces[at].clone());
        let mut added = held.unwrap_or_else(|| Added::nothing(candidate));
        added.add(graph, time);
        added
    }

    fn position(&self, candidate: &Candidate<'_>) -> Option<usize> {
        self.namespaces.iter().position(|added| match &added.name {
            None => added.index == candidate.index,
            Some(name) => candidate.index.is_none() && **name == *candidate.namespace,
        })
    }
}

/// The first namespace, strongest first, whose limit would be exceeded on the profile made of
/// `whole` and of what is `new` to it. Of the namespace `key` there may be one value, whatever
/// its limit; an empty name is none.
pub(super) fn first_violation(
    graph: &Graph,
    whole: &Whole<'_>,
    new: &Tally,
    time: Timestamp,
    key: &str,
) -> Option<Violation> {
    let moments = [time.as_millis()];
    let of_new = new.namespaces.iter().filter_map(|added| {
        let moments = if added.times.is_empty() { &moments[..] } else { &added.times };
        added.violation(graph, whole, moments, key)
    });
    let is_new = |index: u16| new.namespaces.iter().any(|added| added.index == Some(index));
    let joined = whole.joined_namespaces().filter(|&index| !is_new(index));
    let of_joined = joined.filter_map(|index| {
        let added = Added { index: Some(index), name: None, count: 0, times: Vec::new() };
        added.violation(graph, whole, &moments, key)
    });
    of_new
        .chain(of_joined)
        .reduce(|first, other| if other.order(graph) < first.order(graph) { other } else { first })
}

/// Whether one more exceeds the limit of its namespace, where nothing else is exceeded.
pub(super) fn violation_by(
    graph: &Graph,
    whole: &Whole<'_>,
    new: &Tally,
    candidate: &Candidate<'_>,
    time: Timestamp,
    key: &str,
) -> Option<Violation> {
    new.with(graph, candidate, time).violation(graph, whole, &[time.as_millis()], key)
}

impl Violation {
    fn order(&self, graph: &Graph) -> (u32, &str) {
        let index = graph.namespaces().index(&self.namespace);
        graph.namespaces().order_of(index, &self.namespace)
    }
}

impl Added {
    fn nothing(candidate: &Candidate<'_>) -> Added {
        let name = match candidate.index {
            Some(_) => None,
            None => Some(candidate.namespace.as_ref().into()),
        };
        Added { index: candidate.index, name, count: 0, times: Vec::new() }
    }

    fn add(&mut self, graph: &Graph, time: Timestamp) {
        self.count += 1;
        if window_of(graph, self.index).is_some() {
            let time = time.as_millis();
            self.times.insert(self.times.partition_point(|&held| held <= time), time);
        }
    }

    fn name<'n>(&'n self, graph: &'n Graph) -> &'n str {
        match (self.index, &self.name) {
            (Some(index), _) => graph.namespaces().name(index),
            (None, name) => name.as_deref().unwrap_or_default(),
        }
    }

    /// Whether the limit would be exceeded, in a window around one of the moments if it has one.
    fn violation(
        &self,
        graph: &Graph,
        whole: &Whole<'_>,
        moments: &[i64],
        key: &str,
    ) -> Option<Violation> {
        let rules = graph.namespaces().rules_for(self.index)?;
        let is_key = !key.is_empty() && self.name(graph) == key;
        let is_one = is_key || rules.immutable;
        let limit = if is_one { Limit { values: 1, window: Window::Ever } } else { rules.limit };
        let exceeds = |(result, fullest): (u32, u32)| result > limit.values && result > fullest;
        let is_exceeded = match limit.window {
            Window::Ever => exceeds(self.in_lifetime(whole)),
            Window::Millis(window) => {
                moments.iter().any(|&time| exceeds(self.in_window(whole, time, window)))
            }
        };
        is_exceeded.then(|| Violation { namespace: self.name(graph).into(), limit })
    }

    /// How many values the result would hold, and the fullest matched profile holds.
    fn in_lifetime(&self, whole: &Whole<'_>) -> (u32, u32) {
        (whole.count(self.index) + self.count, whole.counts(self.index).max().unwrap_or(0))
    }

    /// The same, in the fullest window that contains a time.
    fn in_window(&self, whole: &Whole<'_>, time: i64, window: i64) -> (u32, u32) {
        let held = whole.holdings.iter().filter_map(|holding| holding.held(self.index));
        let alone =
            held.map(|held| most_in_window(around(&held.times, time, window).to_vec(), window));
        let mut all = whole.times_around(self.index, time, window);
        all.extend_from_slice(around(&self.times, time, window));
        (most_in_window(all, window), alone.max().unwrap_or(0))
    }
}

/// The times, of some in order, that a window of this length can hold together with one.
fn around(times: &[i64], time: i64, window: i64) -> &[i64] {
    let first = times.partition_point(|&t| t <= time - window);
    let end = times.partition_point(|&t| t < time + window);
    &times[first..end]
}

/// The most attachments in any window of this length, closed at its later end only, of times
/// around one that is to be in it.
fn most_in_window(mut times: Vec<i64>, window: i64) -> u32 {
    times.sort_unstable();
    let mut most = 0;
    let mut first = 0;
    for (last, &latest) in times.iter().enumerate() {
        while times[first] <= latest - window {
            first += 1;
        }
        // A window that ends before the event's time can be slid on until it ends there.
        most = most.max(last - first + 1);
    }
    u32::try_from(most).expect("identifiers are counted in 32 bits")
}

fn window_of(graph: &Graph, index: Option<u16>) -> Option<i64> {
    match graph.namespaces().rules_for(index)?.limit.window {
        Window::Ever => None,
        Window::Millis(window) => Some(window),
    }
}
