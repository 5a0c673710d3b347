//! Recomputing what apply keeps up to date, to find out whether it did.

use crate::union_find::Node;

use super::Graph;
use super::identifiers::IdentifierId;
use super::links::link_hash;
use super::remembered::event_hash;
use super::state_hash::StateHash;
use super::traits::trait_hash;

impl Graph {
    /// Recomputes every index, counter and sum from the records of state, and says what does
    /// not agree. Takes time and memory in proportion to the graph.
    pub fn check(&self) -> Result<(), String> {
        self.check_identifiers()?;
        for node in 0..self.profiles.len() {
            self.check_profile(node)?;
        }
        let links = self.sorted_links().len() as u64;
        agree("links", self.link_count, links)?;
        let absorbed = (0..self.profiles.len()).filter(|&n| self.profiles.parent(n).is_some());
        agree("absorbed profiles", self.profiles.absorbed(), absorbed.count() as u32)?;
        agree("the state hash", self.state.get(), self.recomputed_state().get())
    }

    fn check_identifiers(&self) -> Result<(), String> {
        for id in (0..self.identifiers.rows.len()).map(IdentifierId) {
            let row = self.identifiers.rows.row(id);
            let found = self.identifiers.find(row.namespace, self.identifiers.rows.value(id));
            agree(&format!("the index entry of identifier {}", id.0), found, Some(id))?;
            let listed = self.identifiers_of_node(row.node).any(|listed| listed == id);
            agree(&format!("identifier {} in its node's list", id.0), listed, true)?;
        }
        Ok(())
    }

    fn check_profile(&self, node: Node) -> Result<(), String> {
        let tree = self.profiles.tree(node);
        let what = |what: &str| format!("{what} of profile {}", node + 1);
        agree(&what("merges"), self.profiles.merges(node) as usize + 1, tree.len())?;
        let ids: Vec<IdentifierId> =
            tree.iter().flat_map(|&node| self.identifiers_of_node(node)).collect();
        agree(&what("identifiers"), self.profiles.identifier_count(node) as usize, ids.len())?;
        let logs_in = |id: &IdentifierId| {
            let namespace = self.identifiers.rows.row(*id).namespace;
            self.namespaces().rules_of(namespace).is_some_and(|rules| rules.login)
        };
        agree(&what("known"), self.profiles.known(node), ids.iter().any(logs_in))?;
        let root = self.profiles.root(node);
        let same_root = tree.iter().all(|&below| self.profiles.root(below) == root);
        agree(&what("the root"), same_root, true)
    }

    fn recomputed_state(&self) -> StateHash {
        let mut state = StateHash::default();
        (0..self.profiles.len()).for_each(|node| state.add(self.profiles.hash(node)));
        let ids = (0..self.identifiers.rows.len()).map(IdentifierId);
        ids.for_each(|id| state.add(self.identifier_hash(id)));
        self.sorted_links().into_iter().for_each(|link| state.add(link_hash(link)));
        for (node, rows) in self.traits.iter() {
            rows.iter().for_each(|row| state.add(trait_hash(node, row)));
        }
        self.remembered_events.iter().for_each(|event| state.add(event_hash(event)));
        self.remembered_refusals.iter().for_each(|refusal| state.add(refusal.state()));
        state
    }
}

fn agree<T: PartialEq + std::fmt::Debug>(what: &str, kept: T, recomputed: T) -> Result<(), String> {
    if kept == recomputed {
        return Ok(());
    }
    Err(format!("{what}: kept {kept:?}, recomputed {recomputed:?}"))
}
