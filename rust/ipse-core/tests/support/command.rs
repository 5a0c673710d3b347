//! The commands of a scenario text, parsed. See `scenario.rs` for the form of a file.

use ipse_core::TraitValue;
use ipse_core::change::Verb;

use super::timestamp;

/// An identifier as written: namespace and value.
pub(crate) type Pair = (String, String);

/// One command.
#[derive(Debug)]
pub(crate) enum Command {
    Workspace { rules: Option<String>, preset: String },
    Rules { text: String, expected: Option<u32> },
    Event(Written),
    Modify { profile: u32, changes: Vec<Change>, written: Written },
    Merge { target: u32, sources: Vec<u32>, written: Written },
    Split { profile: u32, together: bool, all_but: bool, written: Written },
    Revert { absorbed: u32, chain: bool, written: Written },
    Deny(Written),
    Force(Written),
    Attribute { history_of: u32, destination: u32, written: Written },
    Import(Import),
    Lookup { namespace: String, value: String },
    Owners { namespace: String, value: String },
    Canonical(String),
    Former(String),
    Profile(u32),
    About(u32),
    AsOf { sequence: u64, question: Box<Command> },
    Sequence,
    Crash,
    Restart,
    Checkpoint,
}

/// An event, or what a command says besides what is its own.
#[derive(Debug, Default)]
pub(crate) struct Written {
    pub(crate) verb: Verb,
    pub(crate) id: String,
    pub(crate) kind: String,
    pub(crate) source: String,
    pub(crate) key_namespace: String,
    pub(crate) profile: Option<u32>,
    pub(crate) times: Vec<Time>,
    pub(crate) identifiers: Vec<Pair>,
    pub(crate) sources: Vec<Pair>,
    pub(crate) traits: Vec<Trait>,
    pub(crate) force: bool,
    pub(crate) read_only: bool,
}

/// A trait, as written; no value removes it.
#[derive(Clone, Debug)]
pub(crate) struct Trait {
    pub(crate) name: String,
    pub(crate) value: Option<TraitValue<'static>>,
    pub(crate) set_once: bool,
}

/// A change of an identifier.
#[derive(Debug)]
pub(crate) struct Change {
    pub(crate) namespace: String,
    pub(crate) old: Option<String>,
    pub(crate) new: Option<String>,
}

/// A profile of another system.
#[derive(Debug, Default)]
pub(crate) struct Import {
    pub(crate) former_id: String,
    pub(crate) created: Option<Time>,
    pub(crate) known: bool,
    pub(crate) identifiers: Vec<(Pair, Option<Time>)>,
    pub(crate) traits: Vec<(Trait, Option<Time>)>,
    pub(crate) read_only: bool,
}

/// When an event happened.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Time {
    At(i64),
    AfterPrevious(i64),
    AfterNow(i64),
}

/// Reads one command line and the TOML that followed it, if any.
pub(crate) fn parse(line: &str, toml: Option<String>) -> Result<Command, String> {
    let tokens = tokens(line);
    let (verb, rest) = tokens.split_first().ok_or("an empty command")?;
    Ok(match (verb.as_str(), rest) {
        ("workspace", options) => workspace(options, toml)?,
        ("rules", options) => rules(options, toml)?,
        ("observe", parts) => Command::Event(written(Verb::Observe, parts)?),
        ("login", parts) => Command::Event(written(Verb::Login, parts)?),
        ("logout", parts) => Command::Event(written(Verb::Logout, parts)?),
        ("link", parts) => Command::Event(written(Verb::Link, parts)?),
        ("modify", [profile, parts @ ..]) => modify(profile, parts)?,
        ("merge", [target, parts @ ..]) => merge(target, parts)?,
        ("split", [profile, parts @ ..]) => {
            let (own, parts): (Vec<_>, Vec<_>) =
                parts.iter().cloned().partition(|part| ["together", "all_but"].contains(&&**part));
            let written = written(Verb::Split, &parts)?;
            let [together, all_but] =
                ["together", "all_but"].map(|flag| own.iter().any(|part| part == flag));
            Command::Split { profile: whole(profile)?, together, all_but, written }
        }
        ("revert", [absorbed, parts @ ..]) => {
            let (own, parts): (Vec<_>, Vec<_>) =
                parts.iter().cloned().partition(|part| part == "chain");
            let written = written(Verb::Revert, &parts)?;
            Command::Revert { absorbed: whole(absorbed)?, chain: !own.is_empty(), written }
        }
        ("deny", parts) => Command::Deny(written(Verb::Deny, parts)?),
        ("force", parts) => Command::Force(written(Verb::Link, parts)?),
        ("attribute", [history_of, to, destination, parts @ ..]) if to == "to" => {
            Command::Attribute {
                history_of: whole(history_of)?,
                destination: whole(destination)?,
                written: written(Verb::AttributeHistory, parts)?,
            }
        }
        ("import", parts) => Command::Import(import(parts)?),
        ("lookup", [sought]) => {
            let (namespace, value) = quoted_pair(sought)?;
            Command::Lookup { namespace, value }
        }
        ("as", [of, sequence, question @ ..]) if of == "of" => Command::AsOf {
            sequence: sequence.parse().map_err(|_| format!("not a whole number: {sequence}"))?,
            question: Box::new(parse(&question.join(" "), None)?),
        },
        ("owners", [sought]) => {
            let (namespace, value) = quoted_pair(sought)?;
            Command::Owners { namespace, value }
        }
        ("canonical", [id]) => Command::Canonical(plain_or_quoted(id)?),
        ("former", [id]) => Command::Former(plain_or_quoted(id)?),
        ("profile", [number]) => Command::Profile(whole(number)?),
        ("about", [number]) => Command::About(whole(number)?),
        ("sequence", []) => Command::Sequence,
        ("crash", []) => Command::Crash,
        ("restart", []) => Command::Restart,
        ("checkpoint", []) => Command::Checkpoint,
        _ => return Err(format!("no such command: {line}")),
    })
}

fn workspace(options: &[String], toml: Option<String>) -> Result<Command, String> {
    let preset = match options {
        [] => "segment",
        [option] => option.strip_prefix("preset=").ok_or(format!("no such option: {option}"))?,
        _ => return Err("`workspace` takes one option".into()),
    };
    Ok(Command::Workspace { rules: toml, preset: preset.into() })
}

fn rules(options: &[String], toml: Option<String>) -> Result<Command, String> {
    let (mut expected, mut text) = (None, toml);
    for option in options {
        match pair(option)? {
            (name, number) if name == "expected" => expected = Some(whole(&number)?),
            (name, preset) if name == "preset" => {
                let preset = ipse_core::rules::preset(&preset).ok_or("no such preset")?;
                text = Some(preset.into());
            }
            _ => return Err(format!("no such option: {option}")),
        }
    }
    let text = text.ok_or("`rules` needs `preset=`, or `<<`, TOML and `>>`")?;
    Ok(Command::Rules { text, expected })
}

/// What stands after `from` are sources.
fn written(verb: Verb, parts: &[String]) -> Result<Written, String> {
    let mut written = Written { verb, kind: "track".into(), ..Written::default() };
    let mut halves = parts.splitn(2, |part| part == "from");
    for part in halves.next().unwrap_or_default() {
        expand(part)?.iter().try_for_each(|token| written.take(token))?;
    }
    let own = std::mem::take(&mut written.identifiers);
    for part in halves.next().unwrap_or_default() {
        expand(part)?.iter().try_for_each(|token| written.take(token))?;
    }
    written.sources = std::mem::replace(&mut written.identifiers, own);
    Ok(written)
}

impl Written {
    fn take(&mut self, token: &str) -> Result<(), String> {
        match token {
            "read_only" => self.read_only = true,
            "force" => self.force = true,
            _ => match token.strip_prefix('@') {
                Some(time) => self.times.push(parse_time(time).ok_or(format!("no time: {token}"))?),
                None => self.take_pair(token)?,
            },
        }
        Ok(())
    }

    fn take_pair(&mut self, token: &str) -> Result<(), String> {
        let (name, value) = pair(token)?;
        match name.as_str() {
            "id" => self.id = value,
            "type" => self.kind = value,
            "source" => self.source = value,
            "key" => self.key_namespace = value,
            "profile" => self.profile = Some(whole(&value)?),
            _ => match trait_of(&name, &value)? {
                Some(set) => self.traits.push(set),
                None => self.identifiers.push((name, plain_or_quoted(&value)?)),
            },
        }
        Ok(())
    }
}

/// `trait.NAME=JSON`, or `once.NAME=JSON` for one that only counts where there is none.
fn trait_of(name: &str, value: &str) -> Result<Option<Trait>, String> {
    let (name, set_once) = match (name.strip_prefix("trait."), name.strip_prefix("once.")) {
        (Some(name), _) => (name, false),
        (None, Some(name)) => (name, true),
        (None, None) => return Ok(None),
    };
    Ok(Some(Trait { name: name.into(), value: trait_value(value)?, set_once }))
}

/// `NS=OLD->NEW` changes, `+NS=NEW` adds, `-NS=OLD` removes.
fn modify(profile: &str, parts: &[String]) -> Result<Command, String> {
    let (mut changes, mut others) = (Vec::new(), Vec::new());
    for part in parts {
        if let Some(added) = part.strip_prefix('+') {
            let (namespace, new) = quoted_pair(added)?;
            changes.push(Change { namespace, old: None, new: Some(new) });
        } else if let Some(removed) = part.strip_prefix('-') {
            let (namespace, old) = quoted_pair(removed)?;
            changes.push(Change { namespace, old: Some(old), new: None });
        } else if let Some((old, new)) = part.split_once("->") {
            let (namespace, old) = quoted_pair(old)?;
            let new = Some(plain_or_quoted(new)?);
            changes.push(Change { namespace, old: Some(old), new });
        } else {
            others.push(part.clone());
        }
    }
    let written = written(Verb::Modify, &others)?;
    Ok(Command::Modify { profile: whole(profile)?, changes, written })
}

/// `merge TARGET from SOURCE...`: numbers are profiles.
fn merge(target: &str, parts: &[String]) -> Result<Command, String> {
    let is_source = |part: &&String| part.parse::<u32>().is_ok();
    let sources = parts.iter().filter(is_source).map(|part| whole(part));
    let sources = sources.collect::<Result<Vec<u32>, String>>()?;
    let others: Vec<String> =
        parts.iter().filter(|part| !is_source(part) && *part != "from").cloned().collect();
    let written = written(Verb::Merge, &others)?;
    Ok(Command::Merge { target: whole(target)?, sources, written })
}

/// A time holds for the identifiers and traits after it.
fn import(parts: &[String]) -> Result<Import, String> {
    let mut import = Import::default();
    let mut time = None;
    for part in parts {
        match part.as_str() {
            "known" => import.known = true,
            "read_only" => import.read_only = true,
            _ => match part.strip_prefix('@') {
                Some(text) => time = Some(parse_time(text).ok_or(format!("no time: {part}"))?),
                None => {
                    expand(part)?.iter().try_for_each(|token| import.take(token, time))?;
                }
            },
        }
    }
    Ok(import)
}

impl Import {
    fn take(&mut self, token: &str, time: Option<Time>) -> Result<(), String> {
        let (name, value) = pair(token)?;
        match name.as_str() {
            "former" => self.former_id = plain_or_quoted(&value)?,
            "created" => {
                self.created = Some(parse_time(&value).ok_or(format!("no time: {token}"))?)
            }
            _ => match trait_of(&name, &value)? {
                Some(set) => self.traits.push((set, time)),
                None => self.identifiers.push(((name, plain_or_quoted(&value)?), time)),
            },
        }
        Ok(())
    }
}

fn quoted_pair(token: &str) -> Result<Pair, String> {
    let (name, value) = pair(token)?;
    Ok((name, plain_or_quoted(&value)?))
}

fn parse_time(text: &str) -> Option<Time> {
    let span = |text: &str| {
        let sign = if text.starts_with('-') { -1 } else { 1 };
        timestamp::parse_span(text.get(1..)?).map(|millis| sign * millis)
    };
    match text.strip_prefix("now") {
        Some(after) => span(after).map(Time::AfterNow),
        None if text.starts_with(['+', '-']) => span(text).map(Time::AfterPrevious),
        None => timestamp::parse(text).map(Time::At),
    }
}

/// `a{1..3}` as `a1`, `a2`, `a3`, and `{5*x}` as `xxxxx`; other text as it is.
fn expand(token: &str) -> Result<Vec<String>, String> {
    let Some((before, rest)) = token.split_once('{') else {
        return Ok(vec![token.into()]);
    };
    let Some((inside, after)) = rest.split_once('}') else {
        return Ok(vec![token.into()]);
    };
    if let Some((first, last)) = inside.split_once("..") {
        let numbers = whole(first)?..=whole(last)?;
        return Ok(numbers.map(|n| format!("{before}{n}{after}")).collect());
    }
    match inside.split_once('*') {
        Some((count, text)) => {
            let repeated = text.repeat(whole(count)? as usize);
            Ok(vec![format!("{before}{repeated}{after}")])
        }
        None => Ok(vec![token.into()]),
    }
}

/// Splits at spaces outside double quotes; quotes stay, for whoever reads the token.
fn tokens(line: &str) -> Vec<String> {
    let (mut tokens, mut token) = (Vec::new(), String::new());
    let (mut quoted, mut escaped) = (false, false);
    for c in line.chars() {
        if c == ' ' && !quoted {
            tokens.extend((!token.is_empty()).then(|| std::mem::take(&mut token)));
            continue;
        }
        quoted ^= c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        token.push(c);
    }
    tokens.extend((!token.is_empty()).then_some(token));
    tokens
}

fn pair(token: &str) -> Result<(String, String), String> {
    let (name, value) = token.split_once('=').ok_or(format!("not NAME=VALUE: {token}"))?;
    Ok((name.into(), value.into()))
}

fn whole(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| format!("not a whole number: {text}"))
}

fn plain_or_quoted(value: &str) -> Result<String, String> {
    if !value.starts_with('"') {
        return Ok(value.into());
    }
    serde_json::from_str(value).map_err(|error| format!("{value}: {error}"))
}

fn trait_value(text: &str) -> Result<Option<TraitValue<'static>>, String> {
    use serde_json::Value;
    let value: Value = serde_json::from_str(text).map_err(|error| format!("{text}: {error}"))?;
    Ok(Some(match value {
        Value::Null => return Ok(None),
        Value::Bool(yes) => TraitValue::Bool(yes),
        Value::String(text) => TraitValue::Text(text.into()),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => TraitValue::Integer(whole),
            None => TraitValue::Number(number.as_f64().ok_or("a number out of range")?),
        },
        Value::Array(_) | Value::Object(_) => TraitValue::Json(value.to_string().into()),
    }))
}
