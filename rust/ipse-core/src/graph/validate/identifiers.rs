//! The identifiers of a record: each verdict must be possible on this graph.

use hashbrown::HashSet;

use crate::change::{EventResolved, ObservedIdentifier, ProfileNumber, Target, Verb, Verdict};
use crate::erasure::pseudonym_number;
use crate::identifier::{FORMER_ID, is_namespace_name};
use crate::limits::IDENTIFIER_VALUE_BYTES_MAX;

use crate::graph::Graph;
use crate::graph::identifiers::IdentifierId;

use super::{Checked, InvalidRecord, ensure, fail, named};

/// Up to how many identifiers comparing each with each is quicker than a set of them.
const FEW: usize = 16;

impl Graph {
    pub(super) fn validate_identifiers(&self, event: &EventResolved<'_>) -> Checked {
        check_distinct(&event.identifiers)?;
        let roots = self.target_roots(&event.target);
        let mut new_names: Vec<&str> = Vec::new();
        let mut attaches = false;
        let mut next_row = self.identifiers.rows.len();
        for (at, observed) in event.identifiers.iter().enumerate() {
            let found = self.validate_identifier(&event.target, &roots, observed)?;
            if *observed.namespace == *FORMER_ID && observed.verdict.is_kept() {
                let is_last = at + 1 == event.identifiers.len();
                ensure(event.verb == Verb::Import && is_last, || {
                    format!("a {:?} attaches a former id", event.verb)
                })?;
            }
            let is_attached = observed.verdict == Verdict::Attached;
            if is_attached && found.is_none() {
                let is_next =
                    pseudonym_number(&observed.value).is_none_or(|row| row == next_row.into());
                ensure(is_next, || format!("{} has a row of another", named(&observed.namespace)))?;
                next_row += 1;
            }
            attaches |= is_attached;
            if is_attached
                && self.namespaces().index(&observed.namespace).is_none()
                && !new_names.contains(&observed.namespace.as_ref())
                && *observed.namespace != *FORMER_ID
            {
                new_names.push(&observed.namespace);
            }
        }
        ensure(!attaches || self.identifiers.has_room(), || "too many identifiers".to_owned())?;
        ensure(new_names.len() <= self.namespaces().room(), || "too many namespaces".to_owned())
    }

    /// `roots` are those of the profiles that are the target's after the record. Gives the
    /// identifier that is or was on a profile, if the verdict leaves it on one.
    fn validate_identifier(
        &self,
        target: &Target,
        roots: &[u32],
        observed: &ObservedIdentifier<'_>,
    ) -> Result<Option<IdentifierId>, InvalidRecord> {
        ensure(is_namespace_name(&observed.namespace), || {
            format!("{:?} cannot name a namespace", observed.namespace)
        })?;
        if observed.verdict.reason().is_some() {
            return Ok(None);
        }
        let bytes = observed.value.len();
        ensure((1..=IDENTIFIER_VALUE_BYTES_MAX).contains(&bytes), || {
            format!("a value of {} has {bytes} bytes", observed.namespace)
        })?;
        ensure(*target != Target::Unresolved, || {
            format!("{} is attached to nobody", named(&observed.namespace))
        })?;
        let found = self.find_recorded(&observed.namespace, &observed.value);
        match (&observed.verdict, found) {
            (Verdict::Attached, None) => Ok(()),
            (Verdict::Attached, Some(id)) => self.validate_attached(roots, observed, id),
            (_, None) => fail(&format!("{} is not attached", named(&observed.namespace))),
            (Verdict::Transferred { from }, Some(id)) => {
                self.validate_transferred(roots, *from, observed, id)
            }
            (_, Some(id)) => {
                let on_target = roots.iter().any(|&root| self.holds(root, id));
                ensure(on_target, || self.is_elsewhere(&observed.namespace, id))
            }
        }?;
        Ok(found)
    }

    /// An identifier that is there can be attached if nobody holds it, or if it may have
    /// several holders and the target is none of them yet.
    fn validate_attached(
        &self,
        roots: &[u32],
        observed: &ObservedIdentifier<'_>,
        id: IdentifierId,
    ) -> Checked {
        if self.root_of(id).is_none() {
            return Ok(());
        }
        let named = named(&observed.namespace);
        let namespace = self.identifiers.rows.row(id).namespace;
        let shared = self.namespaces().rules_of(namespace).is_some_and(|rules| rules.shared);
        ensure(shared, || format!("{named} is attached already"))?;
        let on_target = roots.iter().any(|&root| self.holds(root, id));
        ensure(!on_target, || format!("{named} is on the target already"))
    }

    fn validate_transferred(
        &self,
        roots: &[u32],
        from: ProfileNumber,
        observed: &ObservedIdentifier<'_>,
        id: IdentifierId,
    ) -> Checked {
        let named = named(&observed.namespace);
        let from_root = self.bearer_root(from)?;
        ensure(!roots.contains(&from_root), || format!("{named} moves within its profile"))?;
        ensure(self.holds(from_root, id), || format!("{named} is not on profile {from}"))?;
        let on_target = roots.iter().any(|&root| self.holds(root, id));
        ensure(!on_target, || format!("{named} is on the target already"))
    }

    /// Where an identifier is that should be elsewhere, in words.
    fn is_elsewhere(&self, namespace: &str, id: IdentifierId) -> String {
        match self.root_of(id) {
            Some(root) => {
                format!("{} is on profile {}", named(namespace), self.profiles.bearer(root))
            }
            None => format!("{} is on nobody", named(namespace)),
        }
    }
}

fn check_distinct(identifiers: &[ObservedIdentifier<'_>]) -> Checked {
    let twice = |at: &ObservedIdentifier<'_>| {
        Err(InvalidRecord(format!("{} stands twice", named(&at.namespace))))
    };
    if identifiers.len() > FEW {
        let mut seen: HashSet<(&str, &str), foldhash::fast::FixedState> = HashSet::default();
        for observed in identifiers {
            if !seen.insert((&observed.namespace, &observed.value)) {
                return twice(observed);
            }
        }
        return Ok(());
    }
    for (at, observed) in identifiers.iter().enumerate() {
        let same = |earlier: &ObservedIdentifier<'_>| {
            earlier.namespace == observed.namespace && earlier.value == observed.value
        };
        if identifiers[..at].iter().any(same) {
            return twice(observed);
        }
    }
    Ok(())
}
