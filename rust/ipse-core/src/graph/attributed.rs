//! By what an event is attributed, as the rules in force say: whose it is later is a lookup of
//! that.
//!
//! Asked when an event is decided, and by apply, so that a repeat is told what was said then.

use crate::change::{ObservedIdentifier, Target};
use crate::rules::AnonymousHistory;

use super::Graph;

/// By what an event is attributed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttributedBy {
    /// Nothing: it is nobody's.
    Nobody,
    /// Its profile.
    Profile,
    /// The identifier at this place of the record.
    Identifier(u16),
}

impl Graph {
    /// By what an event is attributed that came to this.
    pub(crate) fn attributed_by(
        &self,
        target: &Target,
        identifiers: &[ObservedIdentifier<'_>],
    ) -> AttributedBy {
        if *target == Target::Unresolved {
            return AttributedBy::Nobody;
        }
        let kept = |observed: &ObservedIdentifier<'_>| observed.verdict.is_kept();
        match self.rules().anonymous_history {
            AnonymousHistory::Retroactive => AttributedBy::Profile,
            AnonymousHistory::Moves => {
                let strongest = identifiers.iter().position(kept);
                let place = strongest.and_then(|place| u16::try_from(place).ok());
                place.map_or(AttributedBy::Profile, AttributedBy::Identifier)
            }
            AnonymousHistory::Nobody => {
                let logs_in = |observed: &ObservedIdentifier<'_>| {
                    let rules = self.rules().namespace(&observed.namespace);
                    kept(observed) && rules.is_some_and(|rules| rules.login)
                };
                match identifiers.iter().any(logs_in) {
                    true => AttributedBy::Profile,
                    false => AttributedBy::Nobody,
                }
            }
        }
    }
}
