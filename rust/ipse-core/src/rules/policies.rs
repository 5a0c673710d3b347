//! What rules choose between: a type for each question, a variant for each answer, and whose
//! answer it is where the field knows it by one system.

/// What may join two profiles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// That an event shows their identifiers together.
    SeenTogether,
    /// That an event with a key shows them together; one without finds, and joins nothing.
    Key,
    /// A command only. An event is found its profile by narrowing: strongest namespace first,
    /// the profiles that hold its identifier, until one is left.
    Explicit,
}

/// What happens to identifiers that cannot all be on one profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conflict {
    /// The event's lowest-priority identifier, whatever the violated namespace, is dropped,
    /// and the event is tried again (Segment today).
    DropLowest,
    /// If the violated namespace allows one value for ever, the lowest-priority identifier is
    /// dropped; otherwise an identifier of the violated namespace (Segment's rules page of 2020).
    Legacy2020,
    /// Nothing is joined; the event is its strongest identifier's.
    Refuse,
    /// From the strongest on, what fits is joined; what does not stays where it is.
    KeepFirst,
    /// From the strongest on, what fits is joined; what does not moves to the event's profile,
    /// unless it was attached by a newer event.
    Transfer,
    /// Links are evidence: those of the touched component are put in order (those of the
    /// latest event, then by the sum of the priorities, then the newest) and the ones that
    /// would put too many values of a namespace together are displaced (Adobe).
    Replay,
}

/// Whose id a merge keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Survivor {
    /// The profile that was created first.
    Oldest,
    /// The profile that the event or command leads to: its strongest identifier's.
    Target,
    /// The profile that holds the strongest identifier of all.
    StrongestIdentifier,
}

/// What happens to an identifier that a full profile has no room for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OverLimit {
    /// It is refused.
    Refuse,
    /// It takes the place of the oldest.
    EvictOldest,
    /// It takes the place of the oldest of the first kind in this order of which there is one.
    /// Kinds that are not named come last, all together.
    EvictByKind(Vec<Kind>),
}

/// What an event with two values of a namespace that allows one comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AmbiguousEvent {
    /// The conflict policy judges them.
    Judge,
    /// All its identifiers are dropped.
    Refuse,
}

/// By what an event is attributed; whose it is later is a lookup of that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnonymousHistory {
    /// By the profile: what the event's profile is merged into takes the event along.
    Retroactive,
    /// By the event's strongest identifier: it follows that.
    Moves,
    /// An event with an identifier of a login namespace by its profile, another by nobody.
    Nobody,
}

/// What a login id that no profile holds does to the anonymous profile of the same event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewKnown {
    /// It is attached to it.
    Convert,
    /// It begins a new profile.
    Create,
}

/// Whose the events after a logout are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Logout {
    /// Whoever's the identifiers of the call are.
    Stay,
    /// A new profile's, always.
    Create,
    /// An anonymous profile's that holds the identifiers, or a new one's.
    Return,
}

/// What a source must be, to be joined by a command.
#[derive(Clone, Debug, Default)]
pub struct Guards {
    /// A source on a known profile is refused.
    pub unknown_source: bool,
    /// A source whose value does not match is refused.
    pub source_pattern: Option<regex::Regex>,
    /// A source that was a source of a link before is refused (`Link` only).
    pub source_once: bool,
    /// When a command makes its target known.
    pub marks_known: MarksKnown,
}

/// When a command makes its target known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MarksKnown {
    /// Never: only login namespaces do.
    #[default]
    Never,
    /// When it joins or attaches a source.
    Joined,
    /// When a source is on the target after it, be it that it was there before.
    Kept,
}

/// Which of two values of a trait a merged profile has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Survivorship {
    /// The newer one, by event time.
    #[default]
    Newest,
    /// The older one, by event time.
    Oldest,
    /// The survivor's; the absorbed profile's where the survivor has none.
    Survivor,
    /// The absorbed profile's; the survivor's where that has none.
    Absorbed,
    /// The survivor's, and nothing of the absorbed profile.
    SurvivorOnly,
    /// All values of both, each once, as a JSON array, at most as long as a value may be.
    Union,
    /// The sum of numbers.
    Sum,
    /// The smaller number, or the text that sorts first.
    Min,
    /// The larger number, or the text that sorts last.
    Max,
}

/// What kind of thing an identifier names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A person, in some system.
    Person,
    /// An e-mail address.
    Email,
    /// A phone number.
    Phone,
    /// A device.
    Device,
    /// A browser's cookie.
    Cookie,
    /// A push token.
    Token,
    /// A partner's id.
    Partner,
}
