//! The commands of a scenario text, parsed. See `scenario.rs` for the form of a file.

use ipse_core::TraitValue;

use super::timestamp;

/// One command.
#[derive(Debug)]
pub(crate) enum Command {
    Workspace { rules: Option<String> },
    Rules { text: String, expected: Option<u32> },
    Observe(Observe),
    Lookup { namespace: String, value: String },
    Profile(u32),
    Sequence,
    Crash,
    Restart,
    Checkpoint,
}

/// An event, as written.
#[derive(Debug, Default)]
pub(crate) struct Observe {
    pub(crate) event_id: String,
    pub(crate) kind: String,
    pub(crate) source: String,
    pub(crate) key_namespace: String,
    pub(crate) profile: Option<u32>,
    pub(crate) time: Option<Time>,
    pub(crate) identifiers: Vec<(String, String)>,
    pub(crate) traits: Vec<(String, Option<TraitValue<'static>>)>,
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
        ("workspace", []) => Command::Workspace { rules: toml },
        ("rules", options) => rules(options, toml)?,
        ("observe", parts) => Command::Observe(observe(parts)?),
        ("lookup", [sought]) => {
            let (namespace, value) = pair(sought)?;
            Command::Lookup { namespace, value: plain_or_quoted(&value)? }
        }
        ("profile", [number]) => Command::Profile(whole(number)?),
        ("sequence", []) => Command::Sequence,
        ("crash", []) => Command::Crash,
        ("restart", []) => Command::Restart,
        ("checkpoint", []) => Command::Checkpoint,
        _ => return Err(format!("no such command: {line}")),
    })
}

fn rules(options: &[String], toml: Option<String>) -> Result<Command, String> {
    let text = toml.ok_or("`rules` needs `<<`, TOML and `>>`")?;
    let expected = match options {
        [] => None,
        [option] => match option.strip_prefix("expected=") {
            Some(number) => Some(whole(number)?),
            None => return Err(format!("no such option: {option}")),
        },
        _ => return Err("`rules` takes one option".into()),
    };
    Ok(Command::Rules { text, expected })
}

fn observe(parts: &[String]) -> Result<Observe, String> {
    let mut observe = Observe { kind: "track".into(), ..Observe::default() };
    for part in parts {
        for token in expand(part)? {
            observe.take(&token)?;
        }
    }
    Ok(observe)
}

impl Observe {
    fn take(&mut self, token: &str) -> Result<(), String> {
        if token == "read_only" {
            self.read_only = true;
            return Ok(());
        }
        if let Some(time) = token.strip_prefix('@') {
            self.time = Some(parse_time(time).ok_or(format!("not a time: {token}"))?);
            return Ok(());
        }
        let (name, value) = pair(token)?;
        match name.as_str() {
            "id" => self.event_id = value,
            "type" => self.kind = value,
            "source" => self.source = value,
            "key" => self.key_namespace = value,
            "profile" => self.profile = Some(whole(&value)?),
            _ => match name.strip_prefix("trait.") {
                Some(name) => self.traits.push((name.into(), trait_value(&value)?)),
                None => self.identifiers.push((name, plain_or_quoted(&value)?)),
            },
        }
        Ok(())
    }
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
