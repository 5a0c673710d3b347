//! Records that outlive the event they were decided from.

use std::borrow::Cow;

use ipse_core::Change;
use ipse_core::change::Record;
use ipse_core::rules::RulesText;

/// The same record, borrowing nothing.
pub(crate) fn record(record: &Record<'_>) -> Record<'static> {
    Record { sequence: record.sequence, log_time: record.log_time, change: change(&record.change) }
}

fn change(change: &Change<'_>) -> Change<'static> {
    match change {
        Change::WorkspaceCreated { name, profile_key, rules } => Change::WorkspaceCreated {
            name: text(name),
            profile_key: *profile_key,
            rules: RulesText::unparsed(text(rules.text())),
        },
        Change::RulesSet { version, rules } => {
            Change::RulesSet { version: *version, rules: RulesText::unparsed(text(rules.text())) }
        }
        Change::EventResolved(resolved) => Change::EventResolved(resolved.to_static()),
        Change::Erased(erased) => Change::Erased(erased.clone()),
        Change::ErasureCompleted(completed) => Change::ErasureCompleted(*completed),
        Change::WorkspaceDeleted(deleted) => Change::WorkspaceDeleted(*deleted),
        Change::Gone => Change::Gone,
        Change::Expired(expired) => Change::Expired(expired.to_static()),
    }
}

fn text(text: &str) -> Cow<'static, str> {
    Cow::Owned(text.to_owned())
}
