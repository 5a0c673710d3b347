//! Rules in plain words, for the person who is about to put them in force.
//!
//! A sentence or two for each thing that the rules decide, in a fixed order: the same rules
//! give the same lines. They say what holds, whether it was written or is the default.

use super::{
    AmbiguousEvent, AnonymousHistory, Conflict, Guards, Kind, Limit, Logout, MarksKnown,
    NamespaceRules, NewKnown, OverLimit, Rules, Survivor, Survivorship, Trigger, Window,
};

impl Rules {
    /// What these rules do, a line for each matter.
    pub fn explain(&self) -> Vec<String> {
        let mut lines = vec![self.joining(), self.conflicts(), self.survivors()];
        lines.extend(self.canonical_ids());
        lines.extend(self.caps());
        lines.extend(self.ambiguous_events());
        lines.push(self.histories());
        lines.extend(self.anonymous_expiry());
        lines.extend(self.commands());
        lines.extend(self.trait_lines());
        lines.extend(self.namespaces.iter().map(|namespace| self.namespace_line(namespace)));
        lines.push(self.other_namespaces());
        lines
    }

    fn joining(&self) -> String {
        match (self.trigger, &self.key) {
            (Trigger::SeenTogether, _) => {
                "Two profiles are joined when an event shows identifiers of both.".to_owned()
            }
            (Trigger::Key, key) => format!(
                "Two profiles are joined when an event that names a key shows identifiers of \
                 both. The key is {}, or what the event names instead. An event without a key \
                 finds its profile and joins nothing, and two keys are never joined.",
                key.as_deref().unwrap_or("none")
            ),
            (Trigger::Explicit, _) => {
                "Events join nothing; only Login, Link and Merge join profiles. An event finds \
                 its profile by its strongest identifier, and where several profiles hold that, \
                 by the next, until one is left. A profile with a login or immutable identifier \
                 is found by one of those only."
                    .to_owned()
            }
        }
    }

    fn conflicts(&self) -> String {
        let text = match (self.conflict, self.trigger) {
            (Conflict::DropLowest, _) => {
                "If a limit would be passed, the event's weakest identifier is dropped and the \
                 rest is tried again."
            }
            (Conflict::Legacy2020, _) => {
                "If a limit would be passed, an identifier of that namespace is dropped and the \
                 rest is tried again; where the namespace allows one value for ever, the event's \
                 weakest identifier is dropped instead."
            }
            (Conflict::Refuse, Trigger::Explicit) => {
                "If an identifier is another profile's already, it stays there and the answer \
                 says so."
            }
            (Conflict::Refuse, _) => {
                "If anything on an event does not fit, nothing is joined: the event is its \
                 strongest identifier's profile's, and the others stay where they are."
            }
            (Conflict::KeepFirst, _) => {
                "If a limit would be passed, identifiers stay with the profile that had them \
                 first; from the strongest on, what fits is joined."
            }
            (Conflict::Transfer, _) => {
                "If a limit would be passed, identifiers move to the newer event's profile; from \
                 the strongest on, what fits is joined."
            }
            (Conflict::Replay, _) => {
                "If a limit would be passed, the links of the profiles concerned are put in \
                 order (the latest event's, then the stronger namespaces', then the newer) and \
                 those that do not fit are displaced, until they are seen again."
            }
        };
        text.to_owned()
    }

    fn survivors(&self) -> String {
        let whose = match self.survivor {
            Survivor::Oldest => "that was created first",
            Survivor::Target => "that the event or command leads to",
            Survivor::StrongestIdentifier => "with the strongest identifier",
        };
        format!("A merge keeps the id of the profile {whose}; the other ids answer it for ever.")
    }

    fn canonical_ids(&self) -> Option<String> {
        let name = |name: &str| {
            let prefix = self.namespace(name).map_or("", |namespace| &namespace.canonical_prefix);
            match prefix {
                "" => name.to_owned(),
                prefix => format!("{name} (after {prefix:?})"),
            }
        };
        let names: Vec<String> = self.canonical_id.iter().map(|one| name(one)).collect();
        let names = names.join(", else ");
        (!names.is_empty()).then(|| format!("A profile's canonical id is its value of {names}."))
    }

    fn caps(&self) -> Vec<String> {
        let full = match &self.over_limit {
            OverLimit::Refuse => "one more is refused".to_owned(),
            OverLimit::EvictOldest => "one more takes the place of the oldest".to_owned(),
            OverLimit::EvictByKind(kinds) => {
                let kinds: Vec<&str> = kinds.iter().map(|kind| kind_name(*kind)).collect();
                format!(
                    "one more takes the place of the oldest of these kinds, in this order: {}; \
                     then of any other",
                    kinds.join(", ")
                )
            }
        };
        let identifiers = count(self.identifiers_max, "identifier");
        let mut lines = vec![
            format!("A profile has at most {identifiers}; {full}."),
            format!(
                "A profile takes part in at most {}; one merge moves at most {}. Beyond that \
                 profiles stay apart.",
                count(self.merges_max, "merge"),
                count(self.moved_max, "identifier")
            ),
        ];
        if self.has_shared() {
            let holders = count(self.holders_max, "profile");
            lines.push(format!("A shared identifier is on at most {holders}."));
        }
        lines
    }

    fn ambiguous_events(&self) -> Option<String> {
        (self.ambiguous_event == AmbiguousEvent::Refuse).then(|| {
            "An event with two values of a namespace that allows one is nobody's: all its \
             identifiers are dropped."
                .to_owned()
        })
    }

    fn histories(&self) -> String {
        let text = match self.anonymous_history {
            AnonymousHistory::Retroactive => {
                "An event belongs to its profile, and goes along when that is merged."
            }
            AnonymousHistory::Moves => {
                "An event belongs to its strongest identifier, and goes where that goes."
            }
            AnonymousHistory::Nobody => {
                "An event with a login identifier belongs to its profile; any other is nobody's."
            }
        };
        text.to_owned()
    }

    fn anonymous_expiry(&self) -> Option<String> {
        let days = count(self.anonymous_expires_after_days?, "day");
        Some(format!(
            "A profile that is not known loses its identifiers when none of them was seen for \
             {days}."
        ))
    }

    fn commands(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if self.trigger == Trigger::Explicit {
            let new_known = match self.new_known {
                NewKnown::Convert => "is added to the anonymous profile that the event finds",
                NewKnown::Create => "begins a new profile",
            };
            lines.push(format!("A login identifier that nobody has {new_known}."));
            lines.push(self.logouts());
            lines.extend(guards_line("Login", "sources", &self.login_guards));
            lines.extend(guards_line("Link", "sources", &self.link_guards));
        }
        lines.extend(guards_line("Merge", "source profiles", &self.merge_guards));
        let history = match self.attributes_history {
            true => "AttributeHistory gives what one profile did in a range of time to another.",
            false => "AttributeHistory is refused.",
        };
        lines.push(history.to_owned());
        lines
    }

    fn logouts(&self) -> String {
        let text = match self.logout {
            Logout::Stay => "Logout finds a profile as any event does.",
            Logout::Create => "Logout always creates a profile.",
            Logout::Return => {
                "Logout returns to an anonymous profile with the same identifiers, or creates one."
            }
        };
        text.to_owned()
    }

    fn trait_lines(&self) -> Vec<String> {
        let mut lines = vec![format!(
            "Where two merged profiles have the same trait, {}.",
            survivorship(self.survivorship)
        )];
        let mut named: Vec<(&str, Survivorship)> =
            self.trait_survivorship.iter().map(|(name, how)| (&**name, *how)).collect();
        named.sort_unstable_by_key(|(name, _)| *name);
        lines.extend(named.iter().map(|(name, how)| format!("Of {name}, {}.", survivorship(*how))));
        lines
    }

    fn namespace_line(&self, namespace: &NamespaceRules) -> String {
        let mut facts = vec![limit(namespace.limit)];
        let mut note = |is_so: bool, fact: &str| {
            if is_so {
                facts.push(fact.to_owned());
            }
        };
        note(namespace.login, "makes the profile known");
        note(namespace.immutable, "never changes once set");
        note(self.trigger == Trigger::Key && self.key.as_deref() == Some(&namespace.name), "key");
        note(namespace.exclusive, self.exclusive_fact());
        note(namespace.shared, "may be on several profiles, finds and joins nothing");
        for (other, value) in &namespace.pair_limits {
            facts.push(format!("each is seen with at most {value} of {other}"));
        }
        if let Some(plain) = &namespace.sha256_of {
            facts.push(format!("is the SHA-256 of {plain}"));
        }
        if let Some(days) = namespace.expires_after_days {
            facts.push(format!("expires when it was not seen for {days} days"));
        }
        if namespace.pattern.is_some() {
            facts.push("must match a pattern".to_owned());
        }
        if !namespace.blocked.is_empty() {
            facts.push("some values are blocked".to_owned());
        }
        let kind = namespace.kind.map_or(String::new(), |kind| format!(" ({})", kind_name(kind)));
        format!("{}{kind}: {}.", namespace.name, facts.join("; "))
    }

    fn exclusive_fact(&self) -> &'static str {
        match self.trigger {
            Trigger::Key => "is one profile's, moves to that of a newer event's key, joins nothing",
            _ => "is one profile's, moves to that of a newer event, joins nothing",
        }
    }

    fn other_namespaces(&self) -> String {
        match &self.auto_add {
            Some(added) => format!("Any other namespace is added: {}.", limit(added.limit)),
            None => {
                "An identifier of any other namespace is dropped; its event is kept.".to_owned()
            }
        }
    }
}

fn guards_line(command: &str, sources: &str, guards: &Guards) -> Option<String> {
    let mut asks = Vec::new();
    if guards.unknown_source {
        asks.push("are not known yet");
    }
    if guards.source_pattern.is_some() {
        asks.push("match its pattern");
    }
    if guards.source_once {
        asks.push("were no source before");
    }
    let marks = match guards.marks_known {
        MarksKnown::Never => None,
        MarksKnown::Joined => Some("makes its profile known when it joins a source"),
        MarksKnown::Kept => Some("makes its profile known when a source is on it"),
    };
    let joins = format!("joins only {sources} that {}", asks.join(" and "));
    match (asks.is_empty(), marks) {
        (true, None) => None,
        (true, Some(marks)) => Some(format!("{command} {marks}.")),
        (false, None) => Some(format!("{command} {joins}, unless forced.")),
        (false, Some(marks)) => Some(format!("{command} {joins}, unless forced; it {marks}.")),
    }
}

fn survivorship(survivorship: Survivorship) -> &'static str {
    match survivorship {
        Survivorship::Newest => "the newer value wins",
        Survivorship::Oldest => "the older value wins",
        Survivorship::Survivor => {
            "the surviving profile's value wins, and the other's fills the gaps"
        }
        Survivorship::Absorbed => {
            "the absorbed profile's value wins, and the other's fills the gaps"
        }
        Survivorship::SurvivorOnly => {
            "the surviving profile's value wins, and nothing of the other is kept"
        }
        Survivorship::Union => "all values are kept, as a list",
        Survivorship::Sum => "the values are added up",
        Survivorship::Min => "the smaller value wins",
        Survivorship::Max => "the larger value wins",
    }
}

fn limit(limit: Limit) -> String {
    let values = match limit.values {
        u32::MAX => return "any number of values".to_owned(),
        values => count(values, "value"),
    };
    match limit.window {
        Window::Ever => values,
        Window::Millis(millis) => {
            let days = u32::try_from(millis / crate::time::DAY_MS).unwrap_or(u32::MAX);
            format!("{values} within {}", count(days, "day"))
        }
    }
}

fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Person => "person",
        Kind::Email => "email",
        Kind::Phone => "phone",
        Kind::Device => "device",
        Kind::Cookie => "cookie",
        Kind::Token => "token",
        Kind::Partner => "partner",
    }
}

/// A number and what it counts, as `1,000 merges`.
fn count(number: u32, what: &str) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + 4);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    let plural = if number == 1 { "" } else { "s" };
    format!("{text} {what}{plural}")
}
