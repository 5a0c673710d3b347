//! What keys must not say together. A contradiction is refused, and so is a key that under the
//! other keys would do nothing: nothing that rules say is silently ignored.

use super::super::table::TableReader;
use super::super::{
    AnonymousHistory, Conflict, Guards, Logout, MarksKnown, NamespaceRules, NewKnown, OverLimit,
    Rules, Trigger, Window,
};
use crate::limits::REPLAY_IDENTIFIERS_MAX;

/// The text and what was read of it.
struct Checks<'a> {
    top: &'a TableReader<'a>,
    rules: &'a Rules,
}

/// Reports every contradiction between keys that are good by themselves.
pub(super) fn check(top: &TableReader<'_>, rules: &Rules) {
    let checks = Checks { top, rules };
    checks.key();
    checks.replay();
    checks.conflict();
    checks.over_limit();
    checks.canonical_id();
    checks.commands();
    checks.anonymous_history();
    checks.anonymous_expiry();
    for namespace in rules.namespaces() {
        checks.ownership(namespace);
        checks.relations(namespace);
        checks.limit(namespace);
    }
}

impl Checks<'_> {
    fn key(&self) {
        let path = ["workspace", "key"];
        match (self.rules.trigger, &self.rules.key) {
            (Trigger::Key, None) => {
                self.problem(&["workspace", "trigger"], "\"key\" needs `key`, a namespace's name");
            }
            (Trigger::Key, Some(key)) => self.key_namespace(&path, key),
            (_, Some(_)) => self.problem(&path, "is used with trigger = \"key\" only"),
            (_, None) => {}
        }
    }

    fn key_namespace(&self, path: &[&str], key: &str) {
        match self.rules.namespace(key) {
            None => self.unknown(path, key),
            Some(namespace) if namespace.exclusive || namespace.shared => self.problem(
                path,
                &format!("{key} is exclusive or shared; the key must be able to join"),
            ),
            Some(_) => {}
        }
    }

    fn conflict(&self) {
        use Conflict::{DropLowest, KeepFirst, Legacy2020, Refuse, Replay, Transfer};
        let message = match (self.rules.trigger, self.rules.conflict) {
            (Trigger::SeenTogether, _)
            | (Trigger::Key, Refuse | KeepFirst | Transfer)
            | (Trigger::Explicit, Refuse) => return,
            (Trigger::Key, DropLowest | Legacy2020 | Replay) => {
                "with trigger = \"key\" it is one of: refuse, keep_first, transfer"
            }
            (Trigger::Explicit, _) => {
                "with trigger = \"explicit\" events join nothing: \"refuse\" or leave it out"
            }
        };
        self.problem(&["workspace", "conflict"], message);
    }

    fn over_limit(&self) {
        let order = ["workspace", "evict_order"];
        let has_order = self.top.find(&order).is_some();
        match &self.rules.over_limit {
            OverLimit::EvictByKind(kinds) if kinds.is_empty() => {
                let message = "\"evict_by_kind\" needs `evict_order`, such as [\"cookie\"]";
                self.problem(&["workspace", "over_limit"], message);
            }
            OverLimit::EvictByKind(_) => {}
            _ if has_order => {
                self.problem(&order, "is used with over_limit = \"evict_by_kind\" only");
            }
            _ => {}
        }
    }

    fn canonical_id(&self) {
        let path = ["workspace", "canonical_id"];
        for name in &self.rules.canonical_id {
            match self.rules.namespace(name) {
                None => self.unknown(&path, name),
                Some(namespace) if namespace.shared => self.problem(
                    &path,
                    &format!("{name} is shared: one value would be the id of several profiles"),
                ),
                Some(_) => {}
            }
        }
    }

    fn commands(&self) {
        let rules = self.rules;
        if rules.trigger != Trigger::Explicit {
            self.source_guards("login", &rules.login_guards);
            self.source_guards("link", &rules.link_guards);
            if rules.new_known == NewKnown::Create {
                self.explicit_only(&["commands", "login", "new_known"], "\"create\"");
            }
            if rules.logout != Logout::Stay {
                self.explicit_only(&["commands", "logout", "profile"], "other than \"stay\"");
            }
        }
        if rules.new_known == NewKnown::Create && !self.has_login() {
            let message = "\"create\" needs a namespace with login = true";
            self.problem(&["commands", "login", "new_known"], message);
        }
    }

    /// Where events join what they see together, a source is an identifier like others, and
    /// only a login namespace makes known.
    fn source_guards(&self, command: &str, guards: &Guards) {
        let stated = [
            ("unknown_source", guards.unknown_source),
            ("source_once", guards.source_once),
            ("source_pattern", guards.source_pattern.is_some()),
            ("marks_known", guards.marks_known != MarksKnown::Never),
        ];
        for (key, _) in stated.iter().filter(|(_, is_stated)| *is_stated) {
            self.explicit_only(&["commands", command, key], "used");
        }
    }

    fn explicit_only(&self, path: &[&str], what: &str) {
        self.problem(path, &format!("can be {what} with trigger = \"explicit\" only"));
    }

    fn anonymous_history(&self) {
        if self.rules.anonymous_history == AnonymousHistory::Nobody && !self.has_login() {
            let message = "\"nobody\" needs a namespace with login = true: else every event is \
                           nobody's";
            self.problem(&["workspace", "anonymous_history"], message);
        }
    }

    fn anonymous_expiry(&self) {
        if self.rules.anonymous_expires_after_days.is_some() && !self.has_login() {
            let message = "needs a namespace with login = true: else every profile expires";
            self.problem(&["workspace", "anonymous_expires_after_days"], message);
        }
    }

    /// Who may hold an identifier.
    fn ownership(&self, namespace: &NamespaceRules) {
        let path = |key| ["namespaces", &*namespace.name, key];
        if namespace.exclusive && namespace.shared {
            self.problem(&path("shared"), "contradicts exclusive: one profile or several");
        }
        if namespace.exclusive && namespace.immutable {
            self.problem(&path("immutable"), "contradicts exclusive: a value that moves changes");
        }
        if namespace.immutable && namespace.expires_after_days.is_some() {
            let message = "contradicts immutable: a value that expires is removed";
            self.problem(&path("expires_after_days"), message);
        }
        if namespace.exclusive && self.rules.trigger == Trigger::Explicit {
            let message = "does nothing with trigger = \"explicit\": leave out both exclusive and \
                           shared, and an identifier is one profile's until a command moves it";
            self.problem(&path("exclusive"), message);
        }
    }

    /// What a namespace has to do with others.
    fn relations(&self, namespace: &NamespaceRules) {
        let name = &*namespace.name;
        for (other, _) in &namespace.pair_limits {
            let path = ["namespaces", name, "per", other];
            match self.rules.namespace(other) {
                None => self.unknown(&path, other),
                Some(_) if **other == *name => {
                    self.problem(&path, "is the namespace itself; `limit` bounds its values");
                }
                Some(_) => {}
            }
        }
        if let Some(plain) = &namespace.sha256_of {
            self.hash(name, plain);
        }
        let is_canonical = self.rules.canonical_id.contains(&namespace.name);
        if !namespace.canonical_prefix.is_empty() && !is_canonical {
            let message = "is used for namespaces in workspace.canonical_id only";
            self.problem(&["namespaces", name, "canonical_prefix"], message);
        }
    }

    fn hash(&self, name: &str, plain: &str) {
        let path = ["namespaces", name, "sha256_of"];
        let Some(of) = self.rules.namespace(plain) else {
            return self.unknown(&path, plain);
        };
        if plain == name {
            return self.problem(&path, "is the namespace itself");
        }
        if of.sha256_of.is_some() {
            return self.problem(&path, &format!("{plain} holds hashes itself; name plain values"));
        }
        let first = self.rules.hash_names_of(plain).next();
        if let Some(first) = first.filter(|first| *first != name) {
            self.problem(&path, &format!("{first} holds the hashes of {plain} already"));
        }
    }

    fn limit(&self, namespace: &NamespaceRules) {
        let has_window = namespace.limit.window != Window::Ever;
        if has_window && self.rules.conflict == Conflict::Replay {
            let message = "with conflict = \"replay\" a limit is for ever: links have no window";
            self.problem(&["namespaces", &namespace.name, "limit", "window"], message);
        }
    }

    /// A component is put together anew by each event that touches it.
    fn replay(&self) {
        let is_large = self.rules.identifiers_max > REPLAY_IDENTIFIERS_MAX;
        if self.rules.conflict == Conflict::Replay && is_large {
            let message =
                format!("with conflict = \"replay\" it is at most {REPLAY_IDENTIFIERS_MAX}");
            self.problem(&["workspace", "identifiers_max"], &message);
        }
    }

    fn has_login(&self) -> bool {
        self.rules.namespaces().iter().any(|namespace| namespace.login)
    }

    fn unknown(&self, path: &[&str], name: &str) {
        self.problem(path, &format!("no namespace is named {name:?}"));
    }

    fn problem(&self, path: &[&str], message: &str) {
        self.top.problem_at(path, message);
    }
}
