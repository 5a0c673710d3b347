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

use std::borrow::Cow;

use crate::graph::Graph;
use crate::graph::profiles::Profiles;
use crate::rules::{Limit, Window};
use crate::time::Timestamp;

use super::candidates::Candidate;

/// What one matched profile holds, by namespace.
pub(super) struct Holding {
    pub(super) root: u32,
    namespaces: Vec<Held>,
}

struct Held {
    index: u16,
    count: u32,
    /// Attachment times, for a namespace with a window; unsorted.
    times: Vec<i64>,
}

/// A limit that would be exceeded.
pub(super) struct Violation<'a> {
    pub(super) namespace: Cow<'a, str>,
    pub(super) limit: Limit,
}

impl Holding {
    /// Counts what the profile with this root holds.
    pub(super) fn of(graph: &Graph, root: u32) -> Holding {
        let mut holding = Holding { root, namespaces: Vec::new() };
        let profiles: &Profiles = &graph.profiles;
        for node in profiles.tree(root) {
            for id in graph.identifiers_of_node(node) {
                let row = graph.identifiers.rows.row(id);
                let held = holding.held_mut(row.namespace);
                held.count += 1;
                if window_of(graph, row.namespace).is_some() {
                    held.times.push(row.attached_time().as_millis());
                }
            }
        }
        holding
    }

    /// The indexes of the namespaces of which it holds identifiers.
    pub(super) fn namespaces(&self) -> impl Iterator<Item = u16> {
        self.namespaces.iter().map(|held| held.index)
    }

    /// How many identifiers of a namespace it holds; none of one that is not there yet.
    pub(super) fn count(&self, namespace: Option<u16>) -> u32 {
        self.held(namespace).map_or(0, |held| held.count)
    }

    fn times(&self, namespace: Option<u16>) -> &[i64] {
        self.held(namespace).map_or(&[], |held| &held.times)
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

/// The first namespace, strongest first, whose limit would be exceeded on the profile made of
/// `holdings` and of identifiers that are `new` to it. Of the namespace `key` there may be one
/// value, whatever its limit; an empty name is none.
pub(super) fn first_violation<'c, 'a: 'c>(
    graph: &Graph,
    holdings: &[&Holding],
    new: impl Iterator<Item = &'c Candidate<'a>>,
    time: Timestamp,
    key: &str,
) -> Option<Violation<'a>> {
    let mut violations = growing_namespaces(graph, holdings, new)
        .into_iter()
        .filter_map(|growing| growing.violation(graph, holdings, time, key));
    let first = violations.next()?;
    Some(violations.fold(first, |first, other| {
        if other.order(graph) < first.order(graph) { other } else { first }
    }))
}

impl Violation<'_> {
    fn order(&self, graph: &Graph) -> (u32, &str) {
        let index = graph.namespaces().index(&self.namespace);
        graph.namespaces().order_of(index, &self.namespace)
    }
}

/// A namespace of which the result holds more than any matched profile alone.
struct Growing<'a> {
    name: Cow<'a, str>,
    index: Option<u16>,
    new: u32,
}

impl<'a> Growing<'a> {
    fn violation(
        self,
        graph: &Graph,
        holdings: &[&Holding],
        time: Timestamp,
        key: &str,
    ) -> Option<Violation<'a>> {
        let rules = graph.namespaces().rules_for(self.index)?;
        let is_key = !key.is_empty() && *self.name == *key;
        let is_one = is_key || rules.immutable;
        let limit = if is_one { Limit { values: 1, window: Window::Ever } } else { rules.limit };
        let (result, fullest) = match limit.window {
            Window::Ever => self.in_lifetime(holdings),
            Window::Millis(window) => self.in_window(holdings, time.as_millis(), window),
        };
        (result > limit.values && result > fullest)
            .then_some(Violation { namespace: self.name, limit })
    }

    /// How many values the result would hold, and the fullest matched profile holds.
    fn in_lifetime(&self, holdings: &[&Holding]) -> (u32, u32) {
        let counts = holdings.iter().map(|holding| holding.count(self.index));
        (counts.clone().sum::<u32>() + self.new, counts.max().unwrap_or(0))
    }

    /// The same, in the fullest window that contains the event's time.
    fn in_window(&self, holdings: &[&Holding], time: i64, window: i64) -> (u32, u32) {
        let mut all = vec![time; self.new as usize];
        let mut fullest = 0;
        for holding in holdings {
            let times = holding.times(self.index);
            all.extend_from_slice(times);
            fullest = fullest.max(most_in_window(times.to_vec(), time, window));
        }
        (most_in_window(all, time, window), fullest)
    }
}

/// Namespaces that the event adds to, or on two of the matched profiles.
fn growing_namespaces<'c, 'a: 'c>(
    graph: &Graph,
    holdings: &[&Holding],
    new: impl Iterator<Item = &'c Candidate<'a>>,
) -> Vec<Growing<'a>> {
    let mut growing: Vec<Growing<'a>> = Vec::new();
    for candidate in new {
        match growing.iter_mut().find(|growing| growing.name == candidate.namespace) {
            Some(growing) => growing.new += 1,
            None => growing.push(Growing {
                name: candidate.namespace.clone(),
                index: candidate.index,
                new: 1,
            }),
        }
    }
    if let [_, rest @ ..] = holdings {
        for index in rest.iter().flat_map(|h| h.namespaces.iter().map(|held| held.index)) {
            if !growing.iter().any(|growing| growing.index == Some(index)) {
                let name = Cow::Owned(graph.namespaces().name(index).to_owned());
                growing.push(Growing { name, index: Some(index), new: 0 });
            }
        }
    }
    growing
}

/// The most attachments in any window of this length, closed at its later end only, that
/// contains `time`.
fn most_in_window(mut times: Vec<i64>, time: i64, window: i64) -> u32 {
    times.retain(|&t| t > time - window && t < time + window);
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

fn window_of(graph: &Graph, index: u16) -> Option<i64> {
    match graph.namespaces().rules_of(index)?.limit.window {
        Window::Ever => None,
        Window::Millis(window) => Some(window),
    }
}
