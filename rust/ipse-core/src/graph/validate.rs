//! Checking a record that was read back, before it is applied.
//!
//! A right checksum says that the bytes are the ones that were written, not that they make
//! sense here. Whatever apply relies on is checked, and a record that fails is refused with
//! the reason in words; the graph is as it was.

mod erasing;
mod expiring;
mod extra;
mod identifiers;
mod reverting;
mod verbs;

use std::fmt;
use std::sync::Arc;

use crate::change::{Change, EventResolved, ProfileNumber, Record, RulesVersion, Target};
use crate::event::TraitValue;
use crate::identifier::is_workspace_name;
use crate::limits::{
    EVENT_ID_BYTES_MAX, EVENT_TRAITS_MAX, PROFILE_TRAITS_MAX, PROFILES_MAX, TRAIT_NAME_BYTES_MAX,
    TRAIT_VALUE_BYTES_MAX,
};
use crate::rules::{Rules, RulesText};
use crate::time::Timestamp;

use super::Graph;

/// Why a record cannot be applied here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidRecord(pub String);

impl fmt::Display for InvalidRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for InvalidRecord {}

type Checked = Result<(), InvalidRecord>;

impl Graph {
    /// Checks that a record can be the next one of this graph.
    pub fn validate(&self, record: &Record<'_>) -> Checked {
        let next = self.sequence.0 + 1;
        let found = record.sequence;
        ensure(found.0 == next, || format!("its sequence number is {found}, not {next}"))?;
        ensure(record.log_time >= self.log_time, || {
            format!("its log time {} is before {}", record.log_time, self.log_time)
        })?;
        ensure_kept(record.log_time)?;
        match (&record.change, &self.workspace) {
            (Change::WorkspaceCreated { name, rules, .. }, None) => {
                ensure(is_workspace_name(name), || format!("{name:?} cannot name a workspace"))?;
                parsed(rules).map(|_| ())
            }
            (Change::WorkspaceCreated { .. }, Some(_)) => fail("the workspace exists already"),
            (Change::Gone, None) => Ok(()),
            (Change::Gone | Change::WorkspaceDeleted(_), Some(_)) => {
                let is_deleted = self.is_gone() && self.erasures.receipts().next().is_some();
                ensure(!is_deleted, || "the workspace was deleted before".to_owned())
            }
            (Change::ErasureCompleted(completed), Some(_)) => {
                ensure(self.erasures.is_pending(completed.erasure), || {
                    format!("erasure {} is not pending", completed.erasure)
                })
            }
            (_, Some(_)) if self.is_gone() => fail("its workspace is gone"),
            (_, None) => fail("the workspace does not exist yet"),
            (Change::RulesSet { version, rules }, Some(_)) => self.validate_rules(*version, rules),
            (Change::EventResolved(event), Some(_)) => self.validate_event(event, record.log_time),
            (Change::Erased(erased), Some(_)) => self.validate_erased(erased),
            (Change::Expired(expired), Some(_)) => self.validate_expired(expired),
        }
    }

    fn validate_rules(&self, version: RulesVersion, rules: &RulesText<'_>) -> Checked {
        let next = self.rules_version().0 + 1;
        ensure(version.0 == next, || format!("its rules version is {version}, not {next}"))?;
        let rules = parsed(rules)?;
        ensure(self.namespaces().has_room_for(&rules), || "too many namespaces".to_owned())
    }

    fn validate_event(&self, event: &EventResolved<'_>, log_time: Timestamp) -> Checked {
        ensure(event.event_id.len() <= EVENT_ID_BYTES_MAX, || {
            "its event id is too long".to_owned()
        })?;
        self.validate_event_id(event, log_time)?;
        ensure_kept(event.timestamp)?;
        verbs::check(event)?;
        check_traits(event)?;
        self.validate_target(&event.target)?;
        self.validate_identifiers(event)?;
        match &event.extra {
            Some(extra) => self.validate_extra(event, extra),
            None => Ok(()),
        }
    }

    /// An id that is still remembered cannot be given to another record.
    fn validate_event_id(&self, event: &EventResolved<'_>, log_time: Timestamp) -> Checked {
        if event.event_id.is_empty() {
            return Ok(());
        }
        match self.remembered_events.find(&event.event_id, log_time) {
            Some(other) => fail(&format!("record {} has its event id already", other.sequence)),
            None => Ok(()),
        }
    }

    fn validate_target(&self, target: &Target) -> Checked {
        match target {
            Target::Unresolved => Ok(()),
            Target::Created(profile) => {
                let next = u64::from(self.profiles.len()) + 1;
                ensure(u64::from(profile.0) == next, || {
                    format!("it creates profile {profile}, not {next}")
                })?;
                ensure(next <= PROFILES_MAX as u64, || "too many profiles".to_owned())
            }
            Target::Found(profile) => self.bearer_root(*profile).map(|_| ()),
            Target::Merged { survivor, absorbed } => {
                let mut seen = vec![self.bearer_root(*survivor)?];
                ensure(!absorbed.is_empty(), || "it merges one profile only".to_owned())?;
                for &profile in absorbed {
                    let root = self.bearer_root(profile)?;
                    ensure(!seen.contains(&root), || format!("it merges profile {profile} twice"))?;
                    seen.push(root);
                }
                Ok(())
            }
        }
    }

    /// The root of a profile that bears its own id: one that exists and is not absorbed.
    fn bearer_root(&self, profile: ProfileNumber) -> Result<u32, InvalidRecord> {
        let Some(node) = self.profiles.node(profile) else {
            return Err(InvalidRecord(format!("profile {profile} does not exist")));
        };
        let root = self.profiles.root(node);
        if self.profiles.bearer(root) != profile {
            return Err(InvalidRecord(format!("profile {profile} is absorbed")));
        }
        if self.profiles.is_erased(node) {
            return Err(InvalidRecord(format!("profile {profile} is erased")));
        }
        Ok(root)
    }

    /// The roots, before the record, of the profiles that are the target after it.
    pub(crate) fn target_roots(&self, target: &Target) -> Vec<u32> {
        let profiles = target.profile().into_iter().chain(target.absorbed().iter().copied());
        let root = |profile| Some(self.profiles.root(self.profiles.node(profile)?));
        profiles.filter_map(root).collect()
    }
}

fn check_traits(event: &EventResolved<'_>) -> Checked {
    let bound = match event.verb {
        crate::change::Verb::Import => PROFILE_TRAITS_MAX,
        _ => EVENT_TRAITS_MAX,
    };
    let traits = event.traits.len();
    ensure(traits <= bound, || format!("{traits} traits"))?;
    ensure(event.traits.is_empty() || event.target != Target::Unresolved, || {
        "it sets traits of nobody".to_owned()
    })?;
    for set in &event.traits {
        let named = (1..=TRAIT_NAME_BYTES_MAX).contains(&set.name.len());
        ensure(named, || format!("a trait's name has {} bytes", set.name.len()))?;
        let possible = match &set.value {
            Some(TraitValue::Text(text) | TraitValue::Json(text)) => {
                text.len() <= TRAIT_VALUE_BYTES_MAX
            }
            Some(TraitValue::Number(number)) => number.is_finite(),
            Some(TraitValue::Integer(_) | TraitValue::Bool(_)) | None => true,
        };
        ensure(possible, || format!("the value of trait {:?} is impossible", set.name))?;
    }
    Ok(())
}

fn parsed(rules: &RulesText<'_>) -> Result<Arc<Rules>, InvalidRecord> {
    rules.rules().map_err(|problems| {
        let first = problems.first().map_or(String::new(), ToString::to_string);
        InvalidRecord(format!("its rules have {} problems; the first: {first}", problems.len()))
    })
}

/// Names an identifier without its value, which may be somebody's e-mail.
fn named(namespace: &str) -> String {
    format!("an identifier of {namespace}")
}

/// Refuses a time that rows cannot keep.
fn ensure_kept(time: Timestamp) -> Checked {
    ensure(time <= Timestamp::KEPT_MAX, || format!("its time {time} is too far ahead"))
}

fn ensure(holds: bool, reason: impl FnOnce() -> String) -> Checked {
    if holds { Ok(()) } else { Err(InvalidRecord(reason())) }
}

fn fail(reason: &str) -> Checked {
    Err(InvalidRecord(reason.to_owned()))
}
