//! What a record changed, in the words of the wire. A pure translation: nothing is asked but the
//! record and the key of its workspace's profile ids.
//!
//! Invariant: the changes of a record, one after the other on what those before left, come to what
//! apply makes of it. So an identifier that leaves a profile which the same record merged away
//! leaves the survivor.

use ipse_core::change::{
    EventResolved, MoveCause, ProfileNumber, Record, Target, TraitSet, Verdict,
};
use ipse_core::identifier::FORMER_ID;
use ipse_core::profile_id::ProfileId;
use ipse_core::{Change, TraitValue};

use crate::convert::wire_time;
use crate::limits::WATCHED_NAMESPACES_MAX;
use crate::logged::kind_of;
use crate::proto::v1;
use crate::proto::v1::ChangeKind as Kind;
use crate::resolution::unless_erased;
use crate::status::Status;

/// Which changes are to be told; an empty list asks for all.
#[derive(Debug)]
pub(crate) struct Wanted {
    kinds: Vec<Kind>,
    namespaces: Vec<String>,
}

/// The changes of one record.
struct Told<'w> {
    wanted: &'w Wanted,
    key: &'w [u8; 16],
    changes: Vec<v1::Change>,
}

/// Namespace and value.
type Name<'n> = (&'n str, &'n str);

impl Wanted {
    /// What a request asks for.
    pub(crate) fn read(kinds: &[i32], namespaces: Vec<String>) -> Result<Wanted, Status> {
        let found = namespaces.len();
        if found > WATCHED_NAMESPACES_MAX {
            let bound = WATCHED_NAMESPACES_MAX;
            return Err(Status::limit_exceeded("namespaces", "namespaces", bound, found));
        }
        let kind = |(at, kind): (usize, &i32)| {
            let known = Kind::try_from(*kind).ok().filter(|kind| *kind != Kind::Unspecified);
            let unknown = || Status::invalid_field(format!("kinds[{at}]"), "is no kind of change");
            known.ok_or_else(unknown)
        };
        let mut kinds =
            kinds.iter().enumerate().map(kind).collect::<Result<Vec<Kind>, Status>>()?;
        kinds.sort_unstable();
        kinds.dedup();
        Ok(Wanted { kinds, namespaces })
    }

    /// What is to be told of a record; nothing if it changed nothing of it.
    pub(crate) fn of(&self, record: &Record<'_>, key: &[u8; 16]) -> Option<v1::ChangedRecord> {
        let mut told = Told { wanted: self, key, changes: Vec::new() };
        told.add_all(&record.change);
        let changed = v1::ChangedRecord {
            sequence_number: record.sequence.0,
            log_time: Some(wire_time(record.log_time)),
            changes: told.changes,
            ..caused(&record.change)
        };
        (!changed.changes.is_empty()).then_some(changed)
    }

    fn asks_for(&self, kind: Kind, namespace: Option<&str>) -> bool {
        let is_one = |name: &str| self.namespaces.iter().any(|wanted| wanted == name);
        (self.kinds.is_empty() || self.kinds.contains(&kind))
            && (self.namespaces.is_empty() || namespace.is_none_or(is_one))
    }
}

impl Told<'_> {
    fn add_all(&mut self, change: &Change<'_>) {
        match change {
            Change::WorkspaceCreated { .. } | Change::RulesSet { .. } => {
                self.add(Kind::RulesSet, None, None, None);
            }
            Change::EventResolved(event) => self.add_event(event),
            Change::Erased(erased) => {
                for profile in &erased.profiles {
                    self.add(Kind::Erased, Some(*profile), None, None);
                }
                if erased.profiles.is_empty() {
                    self.add(Kind::Erased, None, None, None);
                }
            }
            Change::Expired(expired) => {
                for identifier in &expired.identifiers {
                    let name = (&*identifier.namespace, &*identifier.value);
                    for profile in &identifier.profiles {
                        self.add(Kind::Expired, Some(*profile), None, Some(name));
                    }
                }
            }
            Change::ErasureCompleted(_) | Change::WorkspaceDeleted(_) | Change::Gone => {}
        }
    }

    fn add_event(&mut self, event: &EventResolved<'_>) {
        let Some(target) = event.target.profile() else { return };
        if matches!(event.target, Target::Created(_)) {
            self.add(Kind::Created, None, Some(target), None);
        }
        for absorbed in event.target.absorbed() {
            self.add(Kind::Merged, Some(*absorbed), Some(target), None);
        }
        let reverted = event.extra.iter().flat_map(|extra| &extra.reverted);
        for merge in reverted {
            self.add(Kind::Reverted, Some(merge.survivor), Some(merge.absorbed), None);
        }
        let is_absorbed = |profile| event.target.absorbed().contains(&profile);
        let after_merges = |profile| if is_absorbed(profile) { target } else { profile };
        for moved in event.moves() {
            let from = Some(after_merges(moved.from));
            let (kind, before) = match moved.cause {
                MoveCause::Displaced => (Kind::Displaced, from),
                MoveCause::Evicted => (Kind::Evicted, from),
                MoveCause::Split => (Kind::Split, from),
                MoveCause::Reverted => (Kind::Reverted, from),
                MoveCause::RevertedShared => (Kind::Reverted, None),
            };
            if moved.to != from {
                self.add(kind, before, moved.to, Some((&*moved.namespace, &*moved.value)));
            }
        }
        for observed in &event.identifiers {
            let (kind, before, after) = match observed.verdict {
                Verdict::Attached => (Kind::Attached, None, Some(target)),
                Verdict::Transferred { from } => {
                    (Kind::Transferred, Some(after_merges(from)), Some(target))
                }
                Verdict::Removed => (Kind::Removed, Some(target), None),
                Verdict::AlreadyAttached | Verdict::Dropped(_) | Verdict::Refused(_) => continue,
            };
            self.add(kind, before, after, Some((&*observed.namespace, &*observed.value)));
        }
        for set in &event.traits {
            self.add_trait(target, set);
        }
    }

    /// Ids of a former system are no identifiers of a profile.
    fn add(
        &mut self,
        kind: Kind,
        before: Option<ProfileNumber>,
        after: Option<ProfileNumber>,
        name: Option<Name<'_>>,
    ) {
        let namespace = name.map(|(namespace, _)| namespace);
        if namespace == Some(FORMER_ID) || !self.wanted.asks_for(kind, namespace) {
            return;
        }
        let id = |profile: Option<ProfileNumber>| {
            profile.map_or_else(String::new, |it| ProfileId::encode(self.key, it).to_string())
        };
        self.changes.push(v1::Change {
            kind: kind.into(),
            before_profile_id: id(before),
            after_profile_id: id(after),
            identifier: name.map(|(namespace, value)| v1::Identifier {
                namespace: namespace.to_owned(),
                value: unless_erased(value).to_owned(),
            }),
            r#trait: None,
        });
    }

    fn add_trait(&mut self, profile: ProfileNumber, set: &TraitSet<'_>) {
        let before = self.changes.len();
        self.add(Kind::TraitSet, None, Some(profile), None);
        for change in &mut self.changes[before..] {
            change.r#trait = Some(v1::Trait {
                name: set.name.to_string(),
                value: set.value.as_ref().map(wire_value),
                set_once: false,
            });
        }
    }
}

/// What caused a record.
fn caused(change: &Change<'_>) -> v1::ChangedRecord {
    let caused = v1::ChangedRecord { kind: kind_of(change).into(), ..Default::default() };
    match change {
        Change::EventResolved(event) => v1::ChangedRecord {
            event_id: unless_erased(&event.event_id).to_owned(),
            r#type: event.kind.to_string(),
            source: event.source.to_string(),
            event_time: Some(wire_time(event.timestamp)),
            rules_version: event.rules_version.0,
            ..caused
        },
        Change::WorkspaceCreated { .. } => v1::ChangedRecord { rules_version: 1, ..caused },
        Change::RulesSet { version, .. } => {
            v1::ChangedRecord { rules_version: version.0, ..caused }
        }
        _ => caused,
    }
}

fn wire_value(value: &TraitValue<'_>) -> v1::r#trait::Value {
    use v1::r#trait::Value;
    match value {
        TraitValue::Text(text) => Value::StringValue(text.to_string()),
        TraitValue::Integer(number) => Value::IntegerValue(*number),
        TraitValue::Number(number) => Value::NumberValue(*number),
        TraitValue::Bool(flag) => Value::BoolValue(*flag),
        TraitValue::Json(text) => Value::JsonValue(text.to_string()),
    }
}
