//! One value of a raw event: what it is as an identifier or as a trait, or why it is neither.

use std::borrow::Cow;

use ipse_core::TraitValue;
use ipse_core::identifier::is_namespace_name;
use ipse_core::limits::{IDENTIFIER_VALUE_BYTES_MAX, TRAIT_NAME_BYTES_MAX, TRAIT_VALUE_BYTES_MAX};
use ipse_core::rules::ValueSource;

use crate::json::{Kind, Node, canonical};
use crate::limits::JSON_DEPTH_MAX;

pub(super) const NOT_TEXT: &str = "half of a surrogate pair";
const EMPTY: &str = "empty string";

/// A value of an identifier.
pub(super) fn identifier_value<'a>(node: Node<'_, 'a>) -> Result<Cow<'a, str>, &'static str> {
    let value = identifier_text(node)?;
    check_length(&value)?;
    Ok(value)
}

/// A value of an identifier as a source wants it: `None` if its beginning says that it belongs
/// elsewhere.
pub(super) fn prefixed_value<'a>(
    node: Node<'_, 'a>,
    source: &ValueSource,
) -> Result<Option<Cow<'a, str>>, &'static str> {
    let value = identifier_text(node)?;
    let begins =
        |prefix: &Option<String>| prefix.as_deref().is_some_and(|prefix| value.starts_with(prefix));
    if begins(&source.unless_prefix) || source.only_prefix.is_some() && !begins(&source.only_prefix)
    {
        return Ok(None);
    }
    let prefix = source.strip_prefix.as_deref().filter(|prefix| value.starts_with(prefix));
    let value = without(value, prefix.map_or(0, str::len));
    if value.is_empty() {
        return Err(EMPTY);
    }
    check_length(&value)?;
    Ok(Some(value))
}

/// Namespace and value of an element of `external_ids`, or the field at fault and why.
#[expect(clippy::type_complexity, reason = "a pair of pairs, used once")]
pub(super) fn external_id<'a>(
    element: Node<'_, 'a>,
) -> Result<(Cow<'a, str>, Cow<'a, str>), (&'static str, &'static str)> {
    let object = element.object().ok_or(("", "not an object with `id` and `type`"))?;
    let field = |name| object.get(name).filter(|node| node.kind() != Kind::Null);
    let text = |name| field(name).and_then(Node::string);
    let id = field("id").ok_or(("", "`id` is missing"))?;
    let namespace = text("type").ok_or(("", "`type` is missing"))?;
    let collection = text("collection").ok_or(("", "`collection` is missing"))?;
    let encoding = text("encoding").ok_or(("", "`encoding` is missing"))?;
    if collection != "users" {
        return Err((".collection", "collection is not users"));
    }
    if encoding != "none" {
        return Err((".encoding", "encoding is not none"));
    }
    if namespace.chars().any(char::is_uppercase) {
        return Err((".type", "type is not lower-case"));
    }
    if !is_namespace_name(&namespace) {
        return Err((".type", "type is not a namespace name"));
    }
    if namespace == "group_id" {
        return Err((".type", "a group is not a person"));
    }
    let value = identifier_value(id).map_err(|reason| (".id", reason))?;
    Ok((namespace, value))
}

/// Whether a text may name a trait.
pub(super) fn check_trait_name(name: &str) -> Result<(), &'static str> {
    match name.len() {
        0 => Err("empty name"),
        1..=TRAIT_NAME_BYTES_MAX => Ok(()),
        _ => Err("name is longer than 128 bytes"),
    }
}

/// A trait's value; `None` removes the trait.
pub(super) fn trait_value<'a>(
    name: &str,
    node: Node<'_, 'a>,
) -> Result<Option<TraitValue<'a>>, &'static str> {
    check_trait_name(name)?;
    let value = match node.kind() {
        Kind::Null => return Ok(None),
        Kind::Bool(flag) => TraitValue::Bool(flag),
        Kind::Integer | Kind::Fraction => number(node.text())?,
        Kind::String => TraitValue::Text(node.string().ok_or(NOT_TEXT)?),
        Kind::Array | Kind::Object => TraitValue::Json(Cow::Owned(
            canonical(node, JSON_DEPTH_MAX).ok_or("nested too deeply or not text")?,
        )),
    };
    match &value {
        TraitValue::Text(text) | TraitValue::Json(text) if text.len() > TRAIT_VALUE_BYTES_MAX => {
            Err("value is longer than 8192 bytes")
        }
        _ => Ok(Some(value)),
    }
}

/// What a value is, where it should have been something else.
pub(super) fn kind_word(node: Node<'_, '_>) -> &'static str {
    match node.kind() {
        Kind::Null => "null",
        Kind::Bool(_) => "boolean",
        Kind::Integer => "number",
        Kind::Fraction => "number with a fraction or exponent",
        Kind::String => "string",
        Kind::Array => "array",
        Kind::Object => "object",
    }
}

/// The same, of an object also if it is its names that are not text.
pub(super) fn no_object(node: Node<'_, '_>) -> &'static str {
    match node.kind() {
        Kind::Object if node.object().is_none() => NOT_TEXT,
        _ => kind_word(node),
    }
}

/// Text as it is and whole numbers as decimal text; nothing else names anybody.
fn identifier_text<'a>(node: Node<'_, 'a>) -> Result<Cow<'a, str>, &'static str> {
    match node.kind() {
        Kind::Integer if node.text() == "-0" => Ok(Cow::Borrowed("0")),
        Kind::Integer => Ok(Cow::Borrowed(node.text())),
        Kind::String => match node.string() {
            Some(text) if text.is_empty() => Err(EMPTY),
            Some(text) => Ok(text),
            None => Err(NOT_TEXT),
        },
        _ => Err(kind_word(node)),
    }
}

/// White space around a value that is short enough is let through, as the core does:
/// normalising takes it off.
fn check_length(value: &str) -> Result<(), &'static str> {
    let is_short = value.len() <= IDENTIFIER_VALUE_BYTES_MAX
        || value.trim().len() <= IDENTIFIER_VALUE_BYTES_MAX
            && value.len() <= 2 * IDENTIFIER_VALUE_BYTES_MAX;
    if is_short { Ok(()) } else { Err("value is longer than 1024 bytes") }
}

fn without(value: Cow<'_, str>, prefix_bytes: usize) -> Cow<'_, str> {
    match value {
        Cow::Borrowed(text) => Cow::Borrowed(&text[prefix_bytes..]),
        Cow::Owned(text) if prefix_bytes > 0 => Cow::Owned(text[prefix_bytes..].to_owned()),
        owned => owned,
    }
}

fn number(text: &str) -> Result<TraitValue<'static>, &'static str> {
    if let Ok(integer) = text.parse() {
        return Ok(TraitValue::Integer(integer));
    }
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() => Ok(TraitValue::Number(number)),
        _ => Err("number out of range"),
    }
}
