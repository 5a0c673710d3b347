//! How raw events are read: where their ids, times, identifiers and traits are, and which of
//! them are verbs. Plain data; the wire applies it.

use std::fmt;

use crate::change::Verb;
use crate::limits::MAPPING_PATH_STEPS_MAX;

/// How a raw event is read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mapping {
    /// Where the event's id is; the first place with something in it counts.
    pub event_id: Vec<Source>,
    /// Where the event's type is; the first place with something in it counts.
    pub kind: Vec<Source>,
    /// Where the event's time is; the first place with something in it counts.
    pub timestamp: Vec<TimeSource>,
    /// The namespaces that events carry at fixed places, strongest first.
    pub identifiers: Vec<NamespaceSources>,
    /// Places that name kinds of identifiers; a name that no namespace reads is reported.
    pub identifier_names: Vec<NameSource>,
    /// Arrays of names of traits to remove. What is removed is not set by the same event.
    pub traits_unset: Vec<Source>,
    /// Objects whose fields are the person's traits; a later one fills what earlier ones lack.
    pub traits: Vec<Source>,
    /// Single traits by name; they fill what `traits` lack.
    pub named_traits: Vec<(String, Source)>,
    /// Arrays of objects, each the name and value of a trait; they fill what those lack.
    pub trait_pairs: Vec<PairSource>,
    /// Objects whose fields only count where the person has no such trait.
    pub traits_once: Vec<Source>,
    /// Objects in which a namespace's key is looked up.
    pub keys: Vec<Source>,
    /// An array of `{id, type, collection, encoding}`, each an identifier.
    pub external_ids: Option<Source>,
    /// Which events are verbs: the first that matches. An event that matches none is an
    /// observation.
    pub verbs: Vec<VerbRule>,
    /// Which events are refused, whatever else they say.
    pub refuse: Vec<RefuseRule>,
}

/// Where the values of one namespace are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamespaceSources {
    /// The namespace's name.
    pub namespace: String,
    /// Exact places, all of them read.
    pub from: Vec<ValueSource>,
    /// The namespace's key in snake_case and camelCase, each once; empty if it has none.
    pub key_spellings: Vec<String>,
}

/// Which events are refused, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefuseRule {
    /// All of these must hold.
    pub when: Vec<Condition>,
    /// None of these may hold.
    pub unless: Vec<Condition>,
    /// What the refusal says.
    pub because: String,
}

/// A place in an event, with conditions on the event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// From the top.
    pub path: Path,
    /// All of these must hold.
    pub when: Vec<Condition>,
    /// None of these may hold.
    pub unless: Vec<Condition>,
}

/// A place of an identifier's value, with conditions on the value's beginning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValueSource {
    /// The place.
    pub source: Source,
    /// Values that begin otherwise are not read from here.
    pub only_prefix: Option<String>,
    /// Values that begin so are not read from here.
    pub unless_prefix: Option<String>,
    /// Taken off the beginning where it is there.
    pub strip_prefix: Option<String>,
}

/// A place of a time: RFC 3339 text or, with a unit, a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimeSource {
    /// The place.
    pub source: Source,
    /// What a number, or text of digits, counts. Without it a number is no time.
    pub unit: Option<TimeUnit>,
    /// How far the clock of times without an offset, and of numbers, is ahead of UTC. With it,
    /// text may lack its offset, its seconds and its time of day.
    pub utc_offset_ms: Option<i64>,
}

/// What a number counts from the beginning of 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeUnit {
    /// Seconds.
    Seconds,
    /// Milliseconds.
    Milliseconds,
    /// Milliseconds from 100,000,000,000 on (the spring of 1973), seconds below.
    SecondsOrMilliseconds,
}

/// An array of objects, each the name and value of a trait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PairSource {
    /// The array.
    pub source: Source,
    /// The field with the name.
    pub name: String,
    /// The field with the value.
    pub value: String,
}

/// A place that names kinds of identifiers: an object by its fields, anything else by its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameSource {
    /// The place.
    pub source: Source,
    /// The names that are read.
    pub known: Vec<String>,
}

/// Which events are a verb, and where its identifiers are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerbRule {
    /// All of these must hold.
    pub when: Vec<Condition>,
    /// None of these may hold.
    pub unless: Vec<Condition>,
    /// `Login`, `Logout` or `Link`.
    pub verb: Verb,
    /// Whether it passes over the guards of the rules' commands.
    pub force: bool,
    /// In place of [`Mapping::identifiers`] and what stands beside them; empty: those.
    pub identifiers: Vec<NamespaceSources>,
    /// Where the identifiers are that `Login` or `Link` joins, in this order.
    pub sources: Vec<NamespaceSources>,
}

/// Holds when one of the event's values at `path` is one of `values`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// From the top.
    pub path: Path,
    /// At least one.
    pub values: Vec<Literal>,
}

/// A value to compare with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Literal {
    /// Text.
    Text(String),
    /// True or false.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// Anything but null.
    Present,
}

/// The way to a place, from the top; through an array it may lead to several.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Path(pub Vec<Step>);

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Into an object's field.
    Field(String),
    /// Into every element of an array.
    Each,
    /// Into the element at a position, from 0.
    At(usize),
    /// Into the elements, objects, whose field is this text or whole number.
    Where {
        /// The field.
        field: String,
        /// What it must be.
        value: String,
    },
}

impl Mapping {
    /// Where ids, types and times are unless the rules say otherwise: as Segment has them.
    pub(super) fn with_defaults() -> Mapping {
        let at = |name: &str| Source::of(Path(vec![Step::Field(name.to_owned())]));
        let time = |name| TimeSource { source: at(name), unit: None, utc_offset_ms: None };
        Mapping {
            event_id: vec![at("messageId")],
            kind: vec![at("type")],
            timestamp: vec![time("timestamp"), time("originalTimestamp")],
            ..Mapping::default()
        }
    }

    /// Takes the places of the namespaces, strongest first.
    pub(super) fn set_identifiers(&mut self, identifiers: Vec<NamespaceSources>) {
        for names in &mut self.identifier_names {
            let sources = identifiers.iter().flat_map(|namespace| &namespace.from);
            let known = sources.filter_map(|from| names.source.path.name_in(&from.source.path));
            names.known = known.map(str::to_owned).collect();
        }
        self.identifiers = identifiers;
    }
}

impl Source {
    /// A place without conditions.
    pub(super) fn of(path: Path) -> Source {
        Source { path, when: Vec::new(), unless: Vec::new() }
    }
}

impl Path {
    /// Reads a path: keys joined by dots, a key with a dot, space or bracket in double quotes,
    /// and behind a key `[]` for every element of an array, `[0]` for one, `[type=email]` for
    /// those whose `type` is `email`. `None` if it is not such a path or has too many steps.
    pub(super) fn parse(text: &str) -> Option<Path> {
        let mut steps = Vec::new();
        let mut rest = text;
        loop {
            let (key, after) = key_and_rest(rest)?;
            steps.push(Step::Field(key.to_owned()));
            rest = after;
            while let Some(bracket) = rest.strip_prefix('[') {
                let (step, after) = element_step(bracket)?;
                steps.push(step);
                rest = after;
            }
            match rest.strip_prefix('.') {
                Some(next) => rest = next,
                None if rest.is_empty() && steps.len() <= MAPPING_PATH_STEPS_MAX => {
                    return Some(Path(steps));
                }
                None => return None,
            }
        }
    }

    /// Whether it can lead to several places.
    pub(super) fn is_plural(&self) -> bool {
        self.0.iter().any(|step| matches!(step, Step::Each | Step::Where { .. }))
    }

    /// The kind of identifier that `other` reads, if this path is where its name stands: as a
    /// field of an object (`identityMap`), or beside the value (`channels[].type`).
    fn name_in<'o>(&self, other: &'o Path) -> Option<&'o str> {
        if let Some(Step::Field(name)) = other.0.get(self.0.len())
            && other.0.starts_with(&self.0)
        {
            return Some(name);
        }
        let (Step::Field(named), before) = self.0.split_last()? else { return None };
        let (Step::Each, array) = before.split_last()? else { return None };
        match other.0.get(array.len())? {
            Step::Where { field, value } if field == named && other.0.starts_with(array) => {
                Some(value)
            }
            _ => None,
        }
    }
}

/// As it is written in rules, but for quotes.
impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, step) in self.0.iter().enumerate() {
            match step {
                Step::Field(name) if at == 0 => write!(f, "{name}")?,
                Step::Field(name) => write!(f, ".{name}")?,
                Step::Each => write!(f, "[]")?,
                Step::At(position) => write!(f, "[{position}]")?,
                Step::Where { field, value } => write!(f, "[{field}={value}]")?,
            }
        }
        Ok(())
    }
}

fn key_and_rest(text: &str) -> Option<(&str, &str)> {
    let (key, rest) = match text.strip_prefix('"') {
        Some(quoted) => quoted.split_once('"')?,
        None => text.split_at(text.find(['.', '[']).unwrap_or(text.len())),
    };
    (!key.is_empty()).then_some((key, rest))
}

/// What stands behind an opening bracket, and what is left behind the closing one.
fn element_step(text: &str) -> Option<(Step, &str)> {
    let (inner, rest) = text.split_once(']')?;
    let step = match inner.split_once('=') {
        Some((field, value)) if !field.is_empty() && !value.is_empty() => {
            Step::Where { field: field.to_owned(), value: value.to_owned() }
        }
        Some(_) => return None,
        None if inner.is_empty() => Step::Each,
        None => Step::At(inner.parse().ok()?),
    };
    Some((step, rest))
}

/// A key as custom identifiers are looked up: in snake_case and camelCase, each once.
pub(super) fn spellings(key: &str) -> Vec<String> {
    let (snake, camel) = (snake_case(key), camel_case(key));
    if snake == camel { vec![snake] } else { vec![snake, camel] }
}

fn snake_case(key: &str) -> String {
    let mut snake = String::with_capacity(key.len() + 4);
    for (at, letter) in key.chars().enumerate() {
        if letter.is_ascii_uppercase() && at > 0 && !snake.ends_with('_') {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

fn camel_case(key: &str) -> String {
    let mut camel = String::with_capacity(key.len());
    let mut raise = false;
    for letter in key.chars() {
        match letter {
            '_' => raise = !camel.is_empty(),
            _ if raise => {
                camel.push(letter.to_ascii_uppercase());
                raise = false;
            }
            _ => camel.push(letter),
        }
    }
    camel
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_keys_joined_by_dots() {
        let keys = |text| match Path::parse(text) {
            Some(path) => path.0.iter().map(|step| format!("{step:?}")).collect::<Vec<_>>(),
            None => Vec::new(),
        };
        assert_eq!(keys("userId"), [r#"Field("userId")"#]);
        assert_eq!(
            keys(r#"a."b c.d[0]".e"#),
            [r#"Field("a")"#, r#"Field("b c.d[0]")"#, r#"Field("e")"#]
        );
        assert_eq!(
            keys(r#"a[]."b"[12][type=e m@x.y].c"#),
            [
                r#"Field("a")"#,
                "Each",
                r#"Field("b")"#,
                "At(12)",
                r#"Where { field: "type", value: "e m@x.y" }"#,
                r#"Field("c")"#,
            ]
        );
        for bad in [
            "", ".", "a.", "a..b", r#"a."b"#, r#""a"b"#, "[]", "a[", "a[x]", "a[-1]", "a[=x]",
            "a[x=]", "a[]b", "a.[]",
        ] {
            assert_eq!(Path::parse(bad), None, "{bad}");
        }
        let long = vec!["a"; MAPPING_PATH_STEPS_MAX].join(".");
        assert!(Path::parse(&long).is_some());
        assert_eq!(Path::parse(&format!("{long}[]")), None);
    }

    #[test]
    fn a_path_is_shown_as_it_is_written() {
        for text in ["a", "a.b c", "a[].b[3][type=x].c"] {
            let path = Path::parse(text).expect("a path");
            assert_eq!(path.to_string(), text);
        }
    }

    #[test]
    fn the_names_that_are_read_are_those_of_the_paths() {
        let name = |names: &str, from: &str| {
            let path = Path::parse(from).expect("a path");
            Path::parse(names).expect("a path").name_in(&path).map(str::to_owned)
        };
        let some = |name: &str| Some(name.to_owned());
        assert_eq!(name("identityMap", "identityMap.ECID[].id"), some("ECID"));
        assert_eq!(name("identityMap", "identity.ECID"), None);
        assert_eq!(name("channels[].type", "channels[type=email].value"), some("email"));
        assert_eq!(name("channels[].type", "channels[kind=email].value"), None);
        assert_eq!(name("channels[].type", "params[type=email].value"), None);
        assert_eq!(name("a.b", "a.b"), None);
    }

    #[test]
    fn a_key_is_looked_up_in_both_spellings() {
        assert_eq!(spellings("app_id"), ["app_id", "appId"]);
        assert_eq!(spellings("appId"), ["app_id", "appId"]);
        assert_eq!(spellings("email"), ["email"]);
    }
}
