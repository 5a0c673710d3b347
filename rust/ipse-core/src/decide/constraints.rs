//! What a person says of two identifiers outranks every rule: that they are of different people,
//! or of one.

use crate::change::{Reason, Rule, Verb, Verdict};
use crate::command::{DenyLink, ForceLink};
use crate::event::SentIdentifier;
use crate::graph::Graph;
use crate::graph::partings::Sides;
use crate::time::Timestamp;

use super::candidates::{self, Candidate, Found};
use super::fields::invalid;
use super::resolve::{because, with_verdicts};
use super::{Decision, Refusal, survivor};

/// The fields of the two, as the wire names them.
const FIELDS: [&str; 2] = ["a", "b"];

impl Graph {
    /// Decides that two identifiers, and the profiles that hold them, are to stay apart.
    pub fn decide_deny<'a>(
        &self,
        command: &'a DenyLink<'a>,
        now: Timestamp,
    ) -> Result<Decision<'a>, Refusal> {
        self.operate(&command.operation, Verb::Deny, now, |_| {
            let (candidates, [a, b]) = self.two(&command.identifiers)?;
            if a.root == b.root {
                let problem = "is on the same profile: SplitProfile and RevertMerge take apart";
                return invalid(FIELDS[1], problem);
            }
            for (field, candidate) in FIELDS.iter().zip(&candidates) {
                let is_shared = candidate.role == candidates::Role::Shared;
                if is_shared {
                    return invalid(field, "is of a shared namespace, which keeps nobody apart");
                }
            }
            let collided = Some(self.profiles.bearer(b.root));
            let denied = Reason { collided, ..because(Rule::DeniedLink) };
            let target = survivor::target(self, &[a.root], false);
            let verdict = |at: usize, _: &Candidate<'_>| match at {
                0 => Verdict::AlreadyAttached,
                _ => Verdict::Refused(denied.clone()),
            };
            let mut resolved = with_verdicts(self, candidates, &[a.root], target, verdict);
            resolved.links |= !Sides::of(self, a.id).meet(&Sides::of(self, b.id));
            Ok(resolved)
        })
    }

    /// Decides that two identifiers are one person's: their profiles become one, whatever limits,
    /// caps and partings say.
    pub fn decide_force<'a>(
        &self,
        command: &'a ForceLink<'a>,
        now: Timestamp,
    ) -> Result<Decision<'a>, Refusal> {
        self.operate(&command.operation, Verb::Link, now, |_| {
            let (candidates, [a, b]) = self.two(&command.identifiers)?;
            let mut joined = vec![a.root, b.root];
            joined.dedup();
            let target = survivor::target(self, &joined, false);
            let held = |_: usize, _: &Candidate<'_>| Verdict::AlreadyAttached;
            let mut resolved = with_verdicts(self, candidates, &joined, target, held);
            resolved.links |= self.rules().keeps_evidence();
            Ok(resolved)
        })
    }

    /// Two different identifiers that profiles hold.
    fn two<'a>(
        &self,
        identifiers: &'a [SentIdentifier<'a>; 2],
    ) -> Result<(Vec<Candidate<'a>>, [Found; 2]), Refusal> {
        let mut candidates = Vec::with_capacity(FIELDS.len());
        for (sent, field) in identifiers.chunks(1).zip(FIELDS) {
            let read = candidates::of_list(self, sent, &[], "identifiers");
            candidates.extend(read.map_err(|refusal| refusal.of_item(field))?);
        }
        if candidates[0].is_same(&candidates[1]) {
            return invalid(FIELDS[1], "is the same identifier");
        }
        let found = |at: usize| {
            let held = candidates[at].found.filter(|found| self.root_of(found.id).is_some());
            held.map_or_else(|| invalid(FIELDS[at], "is on no profile"), Ok)
        };
        let found = [found(0)?, found(1)?];
        Ok((candidates, found))
    }
}
