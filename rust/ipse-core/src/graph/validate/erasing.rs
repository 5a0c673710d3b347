//! Erasures: whole profiles, rows that exist, each once.

use crate::change::{Erased, ErasedIdentifier};
use crate::graph::Graph;

use super::{Checked, InvalidRecord, ensure};

impl Graph {
    pub(super) fn validate_erased(&self, erased: &Erased) -> Checked {
        let profiles = &erased.profiles;
        ensure(profiles.windows(2).all(|pair| pair[0] < pair[1]), || {
            "its profiles are out of order".to_owned()
        })?;
        let mut whole = 0;
        for profile in profiles {
            let node = self.profiles.node(*profile);
            let node =
                node.ok_or_else(|| InvalidRecord(format!("profile {profile} does not exist")))?;
            ensure(!self.profiles.is_erased(node), || format!("profile {profile} is erased"))?;
            if self.profiles.root(node) == node {
                whole += self.profiles.merges(node) as usize + 1;
            }
        }
        let is_listed = |node: u32| profiles.iter().any(|profile| profile.0 == node + 1);
        let roots = profiles.first().map(|profile| self.profiles.root(profile.0 - 1));
        ensure(whole == profiles.len() && roots.is_none_or(is_listed), || {
            "it erases a part of a profile".to_owned()
        })?;
        self.validate_erased_identifiers(&erased.identifiers, erased.suppress)
    }

    fn validate_erased_identifiers(
        &self,
        identifiers: &[ErasedIdentifier],
        suppress: bool,
    ) -> Checked {
        let mut rows: Vec<u32> = identifiers.iter().filter_map(|known| known.row).collect();
        rows.sort_unstable();
        let is_distinct = rows.windows(2).all(|pair| pair[0] < pair[1]);
        let exist = rows.last().is_none_or(|&last| last < self.identifiers.rows.len());
        ensure(is_distinct && exist, || "it erases identifiers that are not there".to_owned())?;
        let hashed = identifiers.iter().all(|identifier| identifier.hash != 0);
        ensure(hashed || !suppress, || "it suppresses what it has no hash of".to_owned())
    }
}
