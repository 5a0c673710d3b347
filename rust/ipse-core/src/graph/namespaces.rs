//! A workspace's namespaces: their indexes, and what the rules in force say of each.
//!
//! An index is given once and never changes; rules come and go. A namespace that rules no
//! longer name keeps its identifiers and ranks last.

use std::sync::Arc;

use crate::identifier::FORMER_ID;
use crate::limits::NAMESPACES_MAX;
use crate::rules::{NamespaceRules, Rules};

use super::words::ends;

/// The namespaces, and the rules in force.
#[derive(Clone, Debug)]
pub(crate) struct Namespaces {
    names: Vec<Arc<str>>,
    by_name: ByName,
    rules: Arc<Rules>,
    /// By index: what the rules in force say, found without a look-up.
    in_force: Vec<InForce>,
    /// The namespace of former ids, once there is one.
    former_id: Option<u16>,
}

/// Indexes by name. Each identifier of every event asks, and names are few and short: their length
/// and eight bytes of either end tell most apart.
#[derive(Clone, Debug, Default)]
struct ByName {
    /// A power of two of them, at least four for each name: nearly all names are where they are
    /// looked for first.
    slots: Vec<Option<(Ends, u16)>>,
}

impl ByName {
    #[inline]
    fn find(&self, name: &str, names: &[Arc<str>]) -> Option<u16> {
        let ends = Ends::of(name.as_bytes());
        let mut at = ends.place();
        loop {
            // Nothing is found where there are no slots yet.
            let (known, index) = (*self.slots.get(at & self.slots.len().wrapping_sub(1))?)?;
            if known == ends && (ends.are_all() || *names[usize::from(index)] == *name) {
                return Some(index);
            }
            at += 1;
        }
    }

    /// Adds the newest of the names.
    fn add_newest(&mut self, names: &[Arc<str>]) {
        if 4 * names.len() > self.slots.len() {
            self.slots = vec![None; (8 * names.len()).next_power_of_two()];
            (0..names.len()).for_each(|index| self.insert(index, names));
        } else {
            self.insert(names.len() - 1, names);
        }
    }

    fn insert(&mut self, index: usize, names: &[Arc<str>]) {
        let ends = Ends::of(names[index].as_bytes());
        let mut at = ends.place();
        while self.slots[at & (self.slots.len() - 1)].is_some() {
            at += 1;
        }
        let at = at & (self.slots.len() - 1);
        self.slots[at] = Some((ends, u16::try_from(index).expect("namespaces are bounded")));
    }
}

/// The length of a name and what it begins and ends with, which is the whole of most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ends {
    first: u64,
    last: u64,
    len: usize,
}

impl Ends {
    #[inline]
    fn of(name: &[u8]) -> Ends {
        let (first, last) = ends(name);
        Ends { first, last, len: name.len() }
    }

    /// Whether there is nothing between the ends.
    fn are_all(self) -> bool {
        self.len <= 16
    }

    fn place(self) -> usize {
        let mixed = self.first ^ self.last.rotate_left(29) ^ self.len as u64;
        (mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 48) as usize
    }
}

#[derive(Clone, Copy, Debug)]
struct InForce {
    /// Smaller is stronger; the largest for a namespace without a priority.
    priority: u32,
    /// Position in the rules, if they name it.
    rules: Option<usize>,
    /// Whether a pair limit is its own, or speaks of it.
    has_pair_limit: bool,
}

impl Namespaces {
    /// The namespaces of rules, in their order.
    pub(crate) fn new(rules: Arc<Rules>) -> Namespaces {
        Namespaces::with_names(rules, &[])
    }

    /// The same after names that have their indexes already, as a snapshot gives them.
    pub(crate) fn with_names(rules: Arc<Rules>, names: &[String]) -> Namespaces {
        let mut namespaces = Namespaces {
            names: Vec::new(),
            by_name: ByName::default(),
            rules: rules.clone(),
            in_force: Vec::new(),
            former_id: None,
        };
        for name in names {
            namespaces.add_name(name);
        }
        namespaces.set_rules(rules);
        namespaces
    }

    pub(crate) fn rules(&self) -> &Arc<Rules> {
        &self.rules
    }

    /// Puts rules in force; namespaces new in them get the next indexes, in their order.
    pub(crate) fn set_rules(&mut self, rules: Arc<Rules>) {
        for namespace in rules.namespaces() {
            self.add_name(&namespace.name);
        }
        self.rules = rules;
        self.note_in_force();
    }

    /// The index of a name, adding it if it is new.
    pub(crate) fn add(&mut self, name: &str) -> u16 {
        if let Some(index) = self.index(name) {
            return index;
        }
        let index = self.add_name(name);
        self.note_in_force();
        index
    }

    /// Whether rules would fit beside the names that are there.
    pub(crate) fn has_room_for(&self, rules: &Rules) -> bool {
        let new = rules.namespaces().iter().filter(|n| self.index(&n.name).is_none()).count();
        new <= self.room()
    }

    /// How many more names there is room for, besides that of former ids, which has its own.
    pub(crate) fn room(&self) -> usize {
        let former = usize::from(self.index(FORMER_ID).is_some());
        (NAMESPACES_MAX + former).saturating_sub(self.names.len())
    }

    #[inline]
    pub(crate) fn index(&self, name: &str) -> Option<u16> {
        self.by_name.find(name, &self.names)
    }

    pub(crate) fn name(&self, index: u16) -> &str {
        &self.names[usize::from(index)]
    }

    pub(crate) fn names(&self) -> &[Arc<str>] {
        &self.names
    }

    /// Whether anybody ever had a former id.
    pub(crate) fn has_former_ids(&self) -> bool {
        self.former_id.is_some()
    }

    /// Whether this is the namespace of former ids, which no rules speak of.
    pub(crate) fn is_former_id(&self, index: u16) -> bool {
        self.former_id == Some(index)
    }

    /// What the rules say of a namespace, or would say of one that `auto_add` let in.
    pub(crate) fn rules_of(&self, index: u16) -> Option<&NamespaceRules> {
        match self.in_force[usize::from(index)].rules {
            Some(at) => Some(&self.rules.namespaces()[at]),
            None if self.is_former_id(index) => None,
            None => self.rules.auto_add(),
        }
    }

    /// The same of a namespace that may have no index yet: one that only `auto_add` could let in.
    pub(crate) fn rules_for(&self, index: Option<u16>) -> Option<&NamespaceRules> {
        match index {
            Some(index) => self.rules_of(index),
            None => self.rules.auto_add(),
        }
    }

    /// With how many of another namespace an identifier of this one may be seen.
    pub(crate) fn pair_limit(&self, index: u16, other: u16) -> Option<u32> {
        let limits = &self.rules_of(index)?.pair_limits;
        let of_other = limits.iter().find(|(name, _)| **name == *self.name(other));
        of_other.map(|(_, most)| *most)
    }

    /// Whether pairs of two namespaces are limited, from either side.
    pub(crate) fn is_pair_limited(&self, a: u16, b: u16) -> bool {
        a != b
            && self.has_pair_limit(a)
            && self.has_pair_limit(b)
            && self.pair_limit(a, b).or(self.pair_limit(b, a)).is_some()
    }

    /// Whether any pair of which one is of this namespace is limited.
    pub(crate) fn has_pair_limit(&self, index: u16) -> bool {
        self.in_force[usize::from(index)].has_pair_limit
    }

    fn add_name(&mut self, name: &str) -> u16 {
        if let Some(index) = self.index(name) {
            return index;
        }
        let index = u16::try_from(self.names.len()).expect("namespaces are bounded");
        if name == FORMER_ID {
            self.former_id = Some(index);
        }
        let name: Arc<str> = name.into();
        self.names.push(name);
        self.by_name.add_newest(&self.names);
        index
    }

    /// What namespaces are ordered by, strongest first: those with a priority before the
    /// rest, then by name. `index` is that of `name`, if it has one.
    pub(crate) fn order_of<'n>(&self, index: Option<u16>, name: &'n str) -> (u32, &'n str) {
        (index.map_or(u32::MAX, |index| self.priority(index)), name)
    }

    /// The first of that, of a namespace with an index.
    pub(crate) fn priority(&self, index: u16) -> u32 {
        self.in_force[usize::from(index)].priority
    }

    fn note_in_force(&mut self) {
        let in_force = |name: &Arc<str>| {
            let rules = self.rules.position(name);
            let priority = rules.and_then(|at| self.rules.namespaces()[at].priority);
            let has_pair_limit = self.rules.has_pair_limits_with(name);
            InForce { priority: priority.unwrap_or(u32::MAX), rules, has_pair_limit }
        };
        self.in_force = self.names.iter().map(in_force).collect();
    }
}
