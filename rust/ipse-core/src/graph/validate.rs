//! Checking a record that was read back, before it is applied.
//!
//! A right checksum says that the bytes are the ones that were written, not that they make
//! sense here. Whatever apply relies on is checked, and a record that fails is refused with
//! the reason in words; the graph is as it was.

use std::fmt;

use crate::change::{
    Change, EventResolved, ObservedIdentifier, ProfileNumber, Record, RulesVersion, Target, Verdict,
};
use crate::identifier::{is_namespace_name, is_workspace_name};
use crate::limits::{
    EVENT_ID_BYTES_MAX, EVENT_IDENTIFIERS_MAX, EVENT_TRAITS_MAX, IDENTIFIER_VALUE_BYTES_MAX,
};
use crate::rules::{Rules, RulesText};
use crate::time::Timestamp;
use std::sync::Arc;

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
        match (&record.change, &self.workspace) {
            (Change::WorkspaceCreated { name, rules, .. }, None) => {
                ensure(is_workspace_name(name), || format!("{name:?} cannot name a workspace"))?;
                parsed(rules).map(|_| ())
            }
            (Change::WorkspaceCreated { .. }, Some(_)) => fail("the workspace exists already"),
            (_, None) => fail("the workspace does not exist yet"),
            (Change::RulesSet { version, rules }, Some(_)) => self.validate_rules(*version, rules),
            (Change::EventResolved(event), Some(_)) => self.validate_event(event, record.log_time),
        }
    }

    fn validate_rules(&self, version: RulesVersion, rules: &RulesText<'_>) -> Checked {
        let next = self.rules_version().0 + 1;
        ensure(version.0 == next, || format!("its rules version is {version}, not {next}"))?;
        let rules = parsed(rules)?;
        ensure(self.namespaces().has_room_for(&rules), || "too many namespaces".to_owned())
    }

    fn validate_event(&self, event: &EventResolved<'_>, log_time: Timestamp) -> Checked {
        let identifiers = event.identifiers.len();
        ensure(identifiers <= EVENT_IDENTIFIERS_MAX, || format!("{identifiers} identifiers"))?;
        ensure(event.traits.len() <= EVENT_TRAITS_MAX, || {
            format!("{} traits", event.traits.len())
        })?;
        ensure(event.event_id.len() <= EVENT_ID_BYTES_MAX, || {
            "its event id is too long".to_owned()
        })?;
        self.validate_event_id(event, log_time)?;
        self.validate_target(&event.target)?;
        let mut new_names: Vec<&str> = Vec::new();
        for (at, observed) in event.identifiers.iter().enumerate() {
            let earlier = &event.identifiers[..at];
            let same = |e: &ObservedIdentifier<'_>| {
                e.namespace == observed.namespace && e.value == observed.value
            };
            ensure(!earlier.iter().any(same), || format!("{} stands twice", named(observed)))?;
            self.validate_identifier(&event.target, observed)?;
            if self.namespaces().index(&observed.namespace).is_none()
                && observed.verdict == Verdict::Attached
                && !new_names.contains(&observed.namespace.as_ref())
            {
                new_names.push(&observed.namespace);
            }
        }
        let names = self.namespaces().names().len() + new_names.len();
        ensure(names <= crate::limits::NAMESPACES_MAX, || "too many namespaces".to_owned())
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
                })
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
        Ok(root)
    }

    fn validate_identifier(&self, target: &Target, observed: &ObservedIdentifier<'_>) -> Checked {
        ensure(is_namespace_name(&observed.namespace), || {
            format!("{:?} cannot name a namespace", observed.namespace)
        })?;
        if !observed.verdict.is_kept() {
            return Ok(());
        }
        let bytes = observed.value.len();
        ensure((1..=IDENTIFIER_VALUE_BYTES_MAX).contains(&bytes), || {
            format!("a value of {} has {bytes} bytes", observed.namespace)
        })?;
        let found = self.find_identifier(&observed.namespace, &observed.value);
        match (&observed.verdict, found) {
            (Verdict::Attached, Some(_)) => {
                fail(&format!("{} is attached already", named(observed)))
            }
            (Verdict::Attached, None) => ensure(*target != Target::Unresolved, || {
                format!("{} is attached to nobody", named(observed))
            }),
            (_, None) => fail(&format!("{} is not attached", named(observed))),
            (_, Some(id)) => {
                let holder = self.profiles.bearer(self.root_of(id));
                let is_target =
                    Some(holder) == target.profile() || target.absorbed().contains(&holder);
                ensure(is_target, || format!("{} is on profile {holder}", named(observed)))
            }
        }
    }
}

fn parsed(rules: &RulesText<'_>) -> Result<Arc<Rules>, InvalidRecord> {
    rules.rules().map_err(|problems| {
        let first = problems.first().map_or(String::new(), ToString::to_string);
        InvalidRecord(format!("its rules have {} problems; the first: {first}", problems.len()))
    })
}

/// Names an identifier without its value, which may be somebody's e-mail.
fn named(observed: &ObservedIdentifier<'_>) -> String {
    format!("an identifier of {}", observed.namespace)
}

fn ensure(holds: bool, reason: impl FnOnce() -> String) -> Checked {
    if holds { Ok(()) } else { Err(InvalidRecord(reason())) }
}

fn fail(reason: &str) -> Checked {
    Err(InvalidRecord(reason.to_owned()))
}
