//! Changing, adding and removing identifiers of one profile.
//!
//! A change is judged as a whole: if the new value is refused the old one stays, and the
//! record says of each what became of it.

use std::borrow::Cow;

use crate::change::{ObservedIdentifier, Reason, Rule, Verdict};
use crate::command::IdentifierChange;
use crate::event::SentIdentifier;
use crate::graph::Graph;
use crate::identifier::FORMER_ID;
use crate::rules::NamespaceRules;
use crate::time::Timestamp;

use super::candidates::{Candidate, Role, added_of, hashes_of, of_list};
use super::ceiling::{adds, no_room};
use super::fields::invalid;
use super::fit::Fit;
use super::limits::Tally;
use super::pairs::Company;
use super::resolve::{Resolved, because, capped, known_after, with_verdicts};
use super::{Refusal, Room, survivor};

/// Decides on changes of the profile with this root.
pub(super) fn resolve<'a>(
    graph: &Graph,
    root: u32,
    changes: &'a [IdentifierChange<'a>],
    time: Timestamp,
    room: &Room,
) -> Result<Resolved<'a>, Refusal> {
    let added = added_of(graph, changes.iter().map(|change| change.namespace.as_ref()));
    let fit = Fit::of_command(graph, time).said(true);
    let company = Company::of(graph, Some(root));
    let identifiers_left = room.identifiers;
    let mut work = Work { fit, root, added, company, identifiers_left, judged: Vec::new() };
    for (at, change) in changes.iter().enumerate() {
        work.change(at, change)?;
    }
    let judged = work.judged;
    let verdicts: Vec<Verdict> = judged.iter().map(|(_, verdict)| verdict.clone()).collect();
    let candidates: Vec<Candidate<'a>> = judged.into_iter().map(|(c, _)| c).collect();
    let target = survivor::target(graph, &[root], true);
    let mut resolved =
        with_verdicts(graph, candidates, &[root], target, |at, _| verdicts[at].clone());
    let is_removed = |observed: &ObservedIdentifier<'_>| observed.verdict == Verdict::Removed;
    if resolved.identifiers.iter().any(is_removed) {
        resolved.attaches = true;
        resolved.known = known_after(graph, &[root], &resolved, &[]);
    }
    Ok(resolved)
}

/// The changes so far.
struct Work<'g, 'a> {
    fit: Fit<'g>,
    root: u32,
    /// The namespaces that the command may bring in.
    added: Vec<&'a str>,
    /// What its identifiers are seen with, if rules limit that.
    company: Option<Company<'g>>,
    /// How many more memory has room for.
    identifiers_left: u64,
    judged: Vec<(Candidate<'a>, Verdict)>,
}

impl<'a> Work<'_, 'a> {
    fn change(&mut self, at: usize, change: &'a IdentifierChange<'a>) -> Result<(), Refusal> {
        let old = self.read(at, "old_value", &change.namespace, change.old.as_deref())?;
        let new = self.read(at, "new_value", &change.namespace, change.new.as_deref())?;
        if old.is_none() && new.is_none() {
            let field = format!("changes[{at}]");
            return invalid(&field, "has neither an old nor a new value");
        }
        if let (Some(old), Some(new)) = (&old, &new)
            && old.is_same(new)
        {
            let verdict = self.old_verdict(old).unwrap_or_else(|| self.held(old));
            self.judge(new.clone(), verdict);
            return Ok(());
        }
        let refused = old.as_ref().and_then(|old| self.old_verdict(old));
        let verdict_of_new = new.as_ref().map(|new| match &refused {
            Some(Verdict::Refused(reason)) if new.dropped.is_none() => {
                Verdict::Refused(self.reason(new, reason.rule))
            }
            _ => self.new_verdict(new, old.as_ref()),
        });
        let stays = verdict_of_new.as_ref().is_some_and(|verdict| !verdict.is_kept());
        if let Some(old) = old {
            let verdict = match refused {
                Some(refused) => refused,
                None if stays => self.held(&old),
                None => Verdict::Removed,
            };
            let hashes = hashes_of(self.fit.graph, &old);
            let is_removed = verdict == Verdict::Removed;
            self.judge(old, verdict);
            hashes.into_iter().filter(|_| is_removed).for_each(|hash| self.remove_hash(hash));
        }
        if let Some((new, verdict)) = new.zip(verdict_of_new) {
            let hashes = hashes_of(self.fit.graph, &new);
            let is_kept = verdict.is_kept();
            self.judge(new, verdict);
            hashes.into_iter().filter(|_| is_kept).for_each(|hash| self.add_hash(hash));
        }
        Ok(())
    }

    /// What hashes a value that is gone is gone with it.
    fn remove_hash(&mut self, hash: Candidate<'a>) {
        let is_held = hash.found.is_some_and(|found| self.fit.graph.holds(self.root, found.id));
        if is_held && !self.judged.iter().any(|(earlier, _)| earlier.is_same(&hash)) {
            self.judge(hash, Verdict::Removed);
        }
    }

    fn add_hash(&mut self, hash: Candidate<'a>) {
        if !self.judged.iter().any(|(earlier, _)| earlier.is_same(&hash)) {
            let verdict = self.new_verdict(&hash, None);
            self.judge(hash, verdict);
        }
    }

    /// Reads a value; refuses one that stands in the command before.
    fn read(
        &self,
        at: usize,
        field: &str,
        namespace: &'a str,
        value: Option<&'a str>,
    ) -> Result<Option<Candidate<'a>>, Refusal> {
        let Some(value) = value else { return Ok(None) };
        let sent = SentIdentifier::new(namespace, value);
        let candidate =
            read_one(self.fit.graph, &self.added, &sent, &format!("changes[{at}].{field}"))?;
        if self.judged.iter().any(|(earlier, _)| earlier.is_same(&candidate)) {
            return invalid(&format!("changes[{at}].{field}"), "stands in this command twice");
        }
        Ok(Some(candidate))
    }

    /// Why an old value cannot be given up, if it cannot.
    fn old_verdict(&self, old: &Candidate<'_>) -> Option<Verdict> {
        let graph = self.fit.graph;
        let is_held = old.found.is_some_and(|found| graph.holds(self.root, found.id));
        if !is_held {
            return Some(Verdict::Refused(self.reason(old, Rule::NotAttached)));
        }
        if old.namespace == FORMER_ID {
            return Some(Verdict::Refused(self.reason(old, Rule::UnknownNamespace)));
        }
        self.is(old, |rules| rules.immutable)
            .then(|| Verdict::Refused(self.reason(old, Rule::Immutable)))
    }

    /// Of one that the profile holds and the command names.
    fn held(&self, candidate: &Candidate<'_>) -> Verdict {
        self.refused_pair(candidate, None).unwrap_or(Verdict::AlreadyAttached)
    }

    /// The pair limit that an identifier would pass, without the one that it replaces.
    fn refused_pair(&self, new: &Candidate<'_>, old: Option<&Candidate<'_>>) -> Option<Verdict> {
        let replaced = old.and_then(|old| old.found).map(|found| found.id);
        let reason = self.company.as_ref()?.refuses(new, replaced)?;
        let collided = self.reason(new, reason.rule).collided;
        Some(Verdict::Refused(Reason { collided, ..reason }))
    }

    fn judge(&mut self, candidate: Candidate<'a>, verdict: Verdict) {
        match (&mut self.company, candidate.found) {
            (Some(company), Some(found)) if verdict == Verdict::Removed => company.remove(found.id),
            (Some(company), _) if verdict.is_kept() => company.admit(&candidate),
            _ => {}
        }
        self.judged.push((candidate, verdict));
    }

    fn new_verdict(&mut self, new: &Candidate<'_>, replaces: Option<&Candidate<'_>>) -> Verdict {
        let graph = self.fit.graph;
        if let Some(reason) = &new.dropped {
            let collided = self.reason(new, reason.rule).collided;
            return Verdict::Dropped(Reason { collided, ..(**reason).clone() });
        }
        let Some(found) = new.found else {
            return self.added(new, replaces);
        };
        if graph.holds(self.root, found.id) {
            return self.held(new);
        }
        if new.role == Role::Shared {
            let holders_max = graph.rules().holders_max;
            if graph.roots_of(found.id).len() >= holders_max as usize {
                let collided = self.reason(new, Rule::HolderLimit).collided;
                let reason = capped(Rule::HolderLimit, holders_max);
                return Verdict::Refused(Reason { collided, ..reason });
            }
            return self.fitting(new, replaces, Verdict::Attached);
        }
        if self.is(new, |rules| rules.immutable) {
            return Verdict::Refused(self.reason(new, Rule::Immutable));
        }
        let from = graph.profiles.bearer(found.root);
        self.fitting(new, replaces, Verdict::Transferred { from })
    }

    /// Of one that is on nobody.
    fn added(&mut self, new: &Candidate<'_>, replaces: Option<&Candidate<'_>>) -> Verdict {
        let is_one_more = adds(self.fit.graph, new);
        if is_one_more && self.identifiers_left == 0 {
            return Verdict::Dropped(no_room());
        }
        let verdict = self.fitting(new, replaces, Verdict::Attached);
        self.identifiers_left -= u64::from(is_one_more && verdict == Verdict::Attached);
        verdict
    }

    /// A verdict, if the profile has room for the value beside those of this command.
    fn fitting(
        &mut self,
        new: &Candidate<'_>,
        replaced: Option<&Candidate<'_>>,
        verdict: Verdict,
    ) -> Verdict {
        let replaces = replaced.is_some();
        let is_added =
            |verdict: &Verdict| matches!(verdict, Verdict::Attached | Verdict::Transferred { .. });
        let added = self.judged.iter().filter(|(_, verdict)| is_added(verdict));
        let graph = self.fit.graph;
        let added = added.map(|(candidate, _)| candidate).chain([new]);
        let added = Tally::of(graph, added, self.fit.time);
        match self.fit.check(&[self.root], &added, &[]) {
            Err(reason) if !replaces || reason.rule == Rule::Immutable => {
                let collided = self.reason(new, reason.rule).collided;
                Verdict::Refused(Reason { collided, ..reason })
            }
            _ if self.is_full(added.identifiers as usize, replaces) => {
                let identifiers_max = self.fit.graph.rules().identifiers_max;
                let collided = self.reason(new, Rule::IdentifierLimit).collided;
                let reason = capped(Rule::IdentifierLimit, identifiers_max);
                Verdict::Refused(Reason { collided, ..reason })
            }
            _ => self.refused_pair(new, replaced).unwrap_or(verdict),
        }
    }

    /// Whether the profile has no room for what is added: a command evicts nothing.
    fn is_full(&self, added: usize, replaces: bool) -> bool {
        let graph = self.fit.graph;
        let removed = self.judged.iter().filter(|(_, verdict)| *verdict == Verdict::Removed);
        let gone = removed.count() + usize::from(replaces);
        let held = graph.identifier_count(self.root) as usize;
        held + added > graph.rules().identifiers_max as usize + gone
    }

    fn is(&self, candidate: &Candidate<'_>, what: fn(&NamespaceRules) -> bool) -> bool {
        self.fit.graph.namespaces().rules_for(candidate.index).is_some_and(what)
    }

    fn reason(&self, candidate: &Candidate<'_>, rule: Rule) -> Reason {
        let graph = self.fit.graph;
        let elsewhere = candidate.found.filter(|found| !graph.holds(self.root, found.id));
        let collided = elsewhere.map(|found| graph.profiles.bearer(found.root));
        Reason { collided, ..because(rule) }
    }
}

fn read_one<'a>(
    graph: &Graph,
    added: &[&str],
    sent: &SentIdentifier<'a>,
    field: &str,
) -> Result<Candidate<'a>, Refusal> {
    let list = [sent.clone()];
    let candidate = of_list(graph, &list, added, "changes")
        .map_err(|refusal| refusal.at_field(field))?
        .pop()
        .expect("one was read");
    Ok(Candidate {
        namespace: sent.namespace.clone(),
        value: Cow::Owned(candidate.value.into_owned()),
        raw: candidate.raw.map(|_| sent.value.clone()),
        index: candidate.index,
        priority: candidate.priority,
        found: candidate.found,
        role: candidate.role,
        dropped: candidate.dropped,
    })
}
