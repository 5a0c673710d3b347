//! A record that undoes merges: they must be in force, and all that were built on the last.

use crate::change::{EventResolved, Extra, RevertedMerge};
use crate::graph::Graph;
use crate::graph::merges::Merge;

use super::{Checked, InvalidRecord, ensure, named};

impl Graph {
    pub(super) fn validate_revert(&self, event: &EventResolved<'_>, extra: &Extra<'_>) -> Checked {
        let merges = self.merges_to_undo(&extra.reverted)?;
        let told = |merge: &Merge| RevertedMerge {
            absorbed: merge.absorbed,
            survivor: merge.survivor,
            merged: merge.order.0,
        };
        ensure(merges.iter().map(told).eq(extra.reverted.iter().copied()), || {
            "it does not undo what was built on the last of its merges".to_owned()
        })?;
        let whole = match event.target.profile() {
            Some(target) => self.bearer_root(target)?,
            None => return super::fail("it undoes merges of nobody"),
        };
        for merge in &merges {
            ensure(self.profiles.root(merge.child) == whole, || {
                format!("the merge of profile {} is another profile's", merge.absorbed)
            })?;
        }
        for moved in &extra.moves {
            let id = self.find_recorded(&moved.namespace, &moved.value);
            ensure(id.is_some_and(|id| self.holds(whole, id)), || {
                format!("{} is not on the profile that falls apart", named(&moved.namespace))
            })?;
            let to = moved.to.filter(|to| {
                merges.iter().any(|merge| [merge.absorbed, merge.survivor].contains(to))
            });
            ensure(to.is_some(), || {
                format!("{} goes to a profile that comes of no merge", named(&moved.namespace))
            })?;
        }
        Ok(())
    }

    /// The last of some merges and all that were built on it, newest first.
    fn merges_to_undo(&self, reverted: &[RevertedMerge]) -> Result<Vec<Merge>, InvalidRecord> {
        let last = reverted.last().and_then(|merge| self.profiles.merge_of(merge.absorbed));
        let Some(last) = last else {
            return Err(InvalidRecord("it undoes a merge that is not in force".to_owned()));
        };
        let mut merges = self.profiles.built_on(&last);
        merges.push(last);
        Ok(merges)
    }
}
