//! Counters of what was answered, for monitoring. They say how much, never who.

use std::sync::atomic::{AtomicU64, Ordering};

use ipse_core::Target;
use ipse_core::change::Verb;

use crate::proto::v1;
use crate::resolution::Resolution;

/// Counts since the start.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    pub(crate) calls: Counter,
    pub(crate) calls_refused: Counter,
    pub(crate) panics: Counter,
    /// Events and commands that were only asked about; the counters of both leave them out.
    pub(crate) previews: Counter,
    pub(crate) events_unresolved: Counter,
    pub(crate) events_created: Counter,
    pub(crate) events_found: Counter,
    pub(crate) events_merged: Counter,
    pub(crate) events_refused: Counter,
    pub(crate) events_recorded: Counter,
    pub(crate) events_repeated: Counter,
    pub(crate) commands_refused: Counter,
    pub(crate) commands_recorded: Counter,
    pub(crate) commands_repeated: Counter,
    /// Commands that were answered, by verb; those that came again are left out.
    commands: [Counter; COMMANDS.len()],
    /// Identifiers that were dropped or refused, by rule.
    refused_identifiers: ByRule,
    pub(crate) profiles_read: Counter,
}

/// The verbs that are commands, and the name of each one's counter. A login, a logout and a
/// link carry an event, which is counted among events too.
const COMMANDS: [(Verb, &str); 10] = [
    (Verb::Login, "commands_login_total"),
    (Verb::Logout, "commands_logout_total"),
    (Verb::Link, "commands_link_total"),
    (Verb::Modify, "commands_modify_total"),
    (Verb::Merge, "commands_merge_total"),
    (Verb::Split, "commands_split_total"),
    (Verb::AttributeHistory, "commands_attribute_history_total"),
    (Verb::Import, "commands_import_total"),
    (Verb::Revert, "commands_revert_total"),
    (Verb::Deny, "commands_deny_total"),
];

/// A counter for each rule, at its number on the wire.
#[derive(Debug)]
struct ByRule([Counter; RULES_MAX]);

/// More than there are.
const RULES_MAX: usize = 64;

/// Goes up only.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Metrics {
    /// Counts one event or command that was answered.
    pub(crate) fn count_resolution(&self, resolution: &Resolution<'_>) {
        let verb = resolution.resolved.verb;
        if resolution.read_only {
            return self.previews.add(1);
        }
        let counts_as_event = carries_event(verb);
        if resolution.repeated {
            let repeated =
                if counts_as_event { &self.events_repeated } else { &self.commands_repeated };
            return repeated.add(1);
        }
        for rule in resolution.rules() {
            self.refused_identifiers.add(rule);
        }
        let recorded =
            if counts_as_event { &self.events_recorded } else { &self.commands_recorded };
        recorded.add(u64::from(resolution.recorded));
        if counts_as_event {
            self.count_target(&resolution.resolved.target);
        }
        if let Some(at) = COMMANDS.iter().position(|&(command, _)| command == verb) {
            self.commands[at].add(1);
        }
    }

    /// Counts one event or command that was refused.
    pub(crate) fn count_refusal(&self, verb: Verb, read_only: bool) {
        match verb {
            _ if read_only => self.previews.add(1),
            _ if carries_event(verb) => self.events_refused.add(1),
            _ => self.commands_refused.add(1),
        }
    }

    fn count_target(&self, target: &Target) {
        match target {
            Target::Unresolved => self.events_unresolved.add(1),
            Target::Created(_) => self.events_created.add(1),
            Target::Found(_) => self.events_found.add(1),
            Target::Merged { .. } => self.events_merged.add(1),
        }
    }

    /// How many identifiers each rule dropped or kept where they were, of the rules that did.
    pub(crate) fn refused_identifiers(&self) -> Vec<(&'static str, u64)> {
        let counts = self.refused_identifiers.0.iter().enumerate();
        let named = counts.filter_map(|(number, counter)| {
            let rule = v1::Rule::try_from(i32::try_from(number).ok()?).ok()?;
            let name = rule.as_str_name();
            Some((name.strip_prefix("RULE_").unwrap_or(name), counter.get()))
        });
        named.filter(|&(_, count)| count > 0).collect()
    }

    /// Calls that were not refused.
    pub(crate) fn answered(&self) -> u64 {
        self.calls.get().saturating_sub(self.calls_refused.get())
    }

    /// Name and count of each.
    pub(crate) fn counts(&self) -> Vec<(&'static str, u64)> {
        let mut counts = vec![
            ("calls_total", self.calls.get()),
            ("calls_refused_total", self.calls_refused.get()),
            ("panics_total", self.panics.get()),
            ("previews_total", self.previews.get()),
            ("events_unresolved_total", self.events_unresolved.get()),
            ("events_created_total", self.events_created.get()),
            ("events_found_total", self.events_found.get()),
            ("events_merged_total", self.events_merged.get()),
            ("events_refused_total", self.events_refused.get()),
            ("events_recorded_total", self.events_recorded.get()),
            ("events_repeated_total", self.events_repeated.get()),
            ("commands_refused_total", self.commands_refused.get()),
            ("commands_recorded_total", self.commands_recorded.get()),
            ("commands_repeated_total", self.commands_repeated.get()),
            ("profiles_read_total", self.profiles_read.get()),
        ];
        let commands = COMMANDS.iter().zip(&self.commands);
        counts.extend(commands.map(|(&(_, name), counter)| (name, counter.get())));
        counts
    }
}

impl Default for ByRule {
    fn default() -> ByRule {
        ByRule(std::array::from_fn(|_| Counter::default()))
    }
}

impl ByRule {
    fn add(&self, rule: v1::Rule) {
        let counter = usize::try_from(rule as i32).ok().and_then(|number| self.0.get(number));
        counter.inspect(|counter| counter.add(1));
    }
}

fn carries_event(verb: Verb) -> bool {
    matches!(verb, Verb::Observe | Verb::Login | Verb::Logout | Verb::Link)
}

impl Counter {
    pub(crate) fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
