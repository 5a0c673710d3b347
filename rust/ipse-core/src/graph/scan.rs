//! Finding profiles: by an identifier, by another system's id, or one after the other.

use crate::change::ProfileNumber;
use crate::decide::Refusal;
use crate::identifier::{FORMER_ID, is_namespace_name, normalise};

use super::Graph;
use super::identifiers::IdentifierId;
use super::view::ProfileView;

impl Graph {
    /// The profile that a number answers to now: for an absorbed one, its survivor; `None` for
    /// one that was erased, see [`Graph::is_erased`].
    pub fn profile(&self, profile: ProfileNumber) -> Option<ProfileView<'_>> {
        let node = self.profiles.node(profile).filter(|&node| !self.profiles.is_erased(node))?;
        Some(self.view_of(self.profiles.root(node)))
    }

    /// The profile that holds an identifier, which is normalised here as an event's would be;
    /// the one that held it first, if several do.
    ///
    /// Refuses a namespace that the workspace cannot have, and a value that is none of its
    /// namespace, by field: `namespace` or `value`.
    pub fn lookup(&self, namespace: &str, value: &str) -> Result<Option<ProfileView<'_>>, Refusal> {
        let id = self.find_sent(namespace, value)?;
        let root = id.and_then(|id| self.root_of(id));
        Ok(root.map(|root| self.view_of(root)))
    }

    /// All profiles that hold an identifier, in order of attachment; otherwise as
    /// [`Graph::lookup`].
    pub fn owners(&self, namespace: &str, value: &str) -> Result<Vec<ProfileView<'_>>, Refusal> {
        let id = self.find_sent(namespace, value)?;
        let roots = id.map_or_else(Vec::new, |id| self.roots_of(id));
        Ok(roots.into_iter().map(|root| self.view_of(root)).collect())
    }

    /// The profile that a canonical id, of now or of before, leads to.
    pub fn find_canonical(&self, canonical_id: &str) -> Option<ProfileView<'_>> {
        let root = self.canonical(canonical_id).find_map(|id| self.root_of(id))?;
        Some(self.view_of(root))
    }

    /// The profile that had this id in a former system, or was joined with one that had.
    pub fn find_former(&self, former_id: &str) -> Option<ProfileView<'_>> {
        let root = self.root_of(self.former(former_id)?)?;
        Some(self.view_of(root))
    }

    /// The identifiers that a canonical id may mean, best first.
    pub(super) fn canonical(&self, canonical_id: &str) -> impl Iterator<Item = IdentifierId> {
        self.rules().canonical_id.iter().filter_map(move |name| {
            let rules = self.rules().namespace(name)?;
            let value = canonical_id.strip_prefix(&*rules.canonical_prefix)?;
            self.find_identifier(name, value)
        })
    }

    /// The identifier that stands for an id in a former system.
    pub(super) fn former(&self, former_id: &str) -> Option<IdentifierId> {
        self.workspace.as_ref()?;
        self.find_identifier(FORMER_ID, former_id)
    }

    /// Every number after `last`, each with the profile if it still bears it: `None` for one
    /// that was merged into another or erased. Lazy: a caller can stop after as many as it can afford.
    pub fn profiles_after(
        &self,
        last: Option<ProfileNumber>,
    ) -> impl Iterator<Item = (ProfileNumber, Option<ProfileView<'_>>)> {
        let first = last.map_or(0, |last| last.0);
        (first..self.profiles.len()).map(|node| {
            let number = ProfileNumber(node + 1);
            let root = self.profiles.root(node);
            let bears = self.profiles.bearer(root) == number && !self.profiles.is_erased(node);
            (number, bears.then(|| self.view_of(root)))
        })
    }

    /// The row of an identifier as callers send it, if there is one.
    pub(super) fn find_sent(
        &self,
        namespace: &str,
        value: &str,
    ) -> Result<Option<IdentifierId>, Refusal> {
        let Some(index) = self.namespaces().index(namespace) else {
            let may_come = self.rules().auto_add().is_some() && is_namespace_name(namespace);
            if may_come || namespace == FORMER_ID {
                return Ok(None);
            }
            return Err(Refusal::InvalidField {
                field: "namespace".to_owned(),
                problem: format!("{namespace:?} is not a namespace of this workspace"),
            });
        };
        // A namespace that rules no longer name keeps its identifiers as they were normalised.
        let normal = match self.namespaces().rules_of(index) {
            Some(rules) => normalise(rules.normaliser, value),
            None => Some(value.into()),
        };
        let Some(normal) = normal else {
            return Err(Refusal::InvalidField {
                field: "value".to_owned(),
                problem: format!("is empty, too long, or not a value of {namespace}"),
            });
        };
        Ok(self.identifiers.find(index, &normal))
    }
}
