//! One value made of two: unions, sums and extremes of traits.
//!
//! Knows values only. What cannot be combined gives `None`, and the newer value stands.

use std::cmp::Ordering;
use std::fmt::Write;

use hashbrown::HashSet;

use crate::event::TraitValue;
use crate::limits::TRAIT_VALUE_BYTES_MAX;
use crate::rules::Survivorship;

/// The value of the survivor's and the absorbed profile's, where the rule combines them.
pub(super) fn combined(
    survivorship: Survivorship,
    survivor: &TraitValue<'_>,
    absorbed: &TraitValue<'_>,
) -> Option<TraitValue<'static>> {
    match survivorship {
        Survivorship::Union if is_full(survivor) => Some(survivor.to_static()),
        Survivorship::Union => Some(union(survivor, absorbed)),
        Survivorship::Sum => sum(survivor, absorbed),
        Survivorship::Min => extreme(survivor, absorbed, Ordering::Less),
        Survivorship::Max => extreme(survivor, absorbed, Ordering::Greater),
        _ => None,
    }
}

/// Whether a union has no room for another element, however short: what profiles of many
/// parts come to, again and again.
fn is_full(value: &TraitValue<'_>) -> bool {
    let shortest = ",0".len();
    matches!(value, TraitValue::Json(text)
        if text.starts_with('[') && text.len() + shortest > TRAIT_VALUE_BYTES_MAX)
}

/// All values of both, each once, the survivor's first, as far as they fit.
fn union(survivor: &TraitValue<'_>, absorbed: &TraitValue<'_>) -> TraitValue<'static> {
    let mut elements: Vec<String> = Vec::new();
    let mut seen: HashSet<String, foldhash::fast::FixedState> = HashSet::default();
    let mut bytes = "[]".len();
    for element in elements_of(survivor).into_iter().chain(elements_of(absorbed)) {
        let grown = bytes + element.len() + usize::from(!elements.is_empty());
        if grown <= TRAIT_VALUE_BYTES_MAX && seen.insert(element.clone()) {
            bytes = grown;
            elements.push(element);
        }
    }
    TraitValue::Json(format!("[{}]", elements.join(",")).into())
}

/// A value as JSON texts: those of an array one by one, any other as one.
fn elements_of(value: &TraitValue<'_>) -> Vec<String> {
    match value {
        TraitValue::Text(text) => vec![quoted(text)],
        TraitValue::Integer(number) => vec![number.to_string()],
        TraitValue::Number(number) => vec![number.to_string()],
        TraitValue::Bool(value) => vec![value.to_string()],
        TraitValue::Json(text) => array_elements(text).unwrap_or_else(|| vec![text.to_string()]),
    }
}

/// The elements of a JSON array, as they are written; `None` if the text is no array.
fn array_elements(text: &str) -> Option<Vec<String>> {
    let inner = text.trim().strip_prefix('[')?.strip_suffix(']')?;
    let mut elements = Vec::new();
    let (mut start, mut depth, mut in_text, mut escaped) = (0, 0u32, false, false);
    for (at, byte) in inner.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            _ if in_text => {}
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.checked_sub(1)?,
            b',' if depth == 0 => {
                elements.push(inner[start..at].trim().to_owned());
                start = at + 1;
            }
            _ => {}
        }
    }
    elements.push(inner[start..].trim().to_owned());
    elements.retain(|element| !element.is_empty());
    Some(elements)
}

fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for letter in text.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            '\n' => quoted.push_str("\\n"),
            control if control < ' ' => {
                write!(quoted, "\\u{:04x}", u32::from(control))
                    .expect("writing to a string cannot fail");
            }
            letter => quoted.push(letter),
        }
    }
    quoted.push('"');
    quoted
}

/// What is no number counts for nothing beside one.
fn sum(a: &TraitValue<'_>, b: &TraitValue<'_>) -> Option<TraitValue<'static>> {
    if let (TraitValue::Integer(a), TraitValue::Integer(b)) = (a, b)
        && let Some(sum) = a.checked_add(*b)
    {
        return Some(TraitValue::Integer(sum));
    }
    match (number(a), number(b)) {
        // A value is a finite number: at the end of the scale the sum stays there.
        (Some(x), Some(y)) => Some(TraitValue::Number((x + y).clamp(f64::MIN, f64::MAX))),
        (Some(_), None) => Some(a.to_static()),
        (None, Some(_)) => Some(b.to_static()),
        (None, None) => None,
    }
}

fn extreme(
    a: &TraitValue<'_>,
    b: &TraitValue<'_>,
    wanted: Ordering,
) -> Option<TraitValue<'static>> {
    let order = match (a, b) {
        (TraitValue::Integer(a), TraitValue::Integer(b)) => a.cmp(b),
        (TraitValue::Text(a), TraitValue::Text(b)) => a.cmp(b),
        _ => match (number(a), number(b)) {
            (Some(a), Some(b)) => a.total_cmp(&b),
            (Some(_), None) => wanted,
            (None, Some(_)) => wanted.reverse(),
            (None, None) => return None,
        },
    };
    Some(if order == wanted.reverse() { b } else { a }.to_static())
}

fn number(value: &TraitValue<'_>) -> Option<f64> {
    match value {
        TraitValue::Integer(number) => Some(*number as f64),
        TraitValue::Number(number) => Some(*number),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> TraitValue<'static> {
        TraitValue::Text(text.to_owned().into())
    }

    fn json(text: &str) -> TraitValue<'static> {
        TraitValue::Json(text.to_owned().into())
    }

    #[test]
    fn a_union_has_each_value_once_and_the_survivors_first() {
        let of = |a: &TraitValue<'_>, b: &TraitValue<'_>| combined(Survivorship::Union, a, b);
        assert_eq!(of(&text("b"), &text("a\"")), Some(json(r#"["b","a\""]"#)));
        assert_eq!(of(&text("a"), &text("a")), Some(json(r#"["a"]"#)));
        let nested = json(r#" [1, "x,]", {"a": [2, 3]}] "#);
        let expected = json(r#"[1,"x,]",{"a": [2, 3]},true]"#);
        assert_eq!(of(&nested, &json(r#"[1, true]"#)), Some(expected));
        assert_eq!(of(&json("[]"), &json(r#"{"a":1}"#)), Some(json(r#"[{"a":1}]"#)));
        let long = text(&"x".repeat(TRAIT_VALUE_BYTES_MAX - 10));
        let Some(TraitValue::Json(full)) = of(&text("short"), &long) else { unreachable!() };
        assert_eq!(full, r#"["short"]"#);
    }

    #[test]
    fn sums_are_of_numbers_and_never_leave_them() {
        let of = |a, b| combined(Survivorship::Sum, &a, &b);
        let (integer, number) = (TraitValue::Integer, TraitValue::Number);
        assert_eq!(of(integer(2), integer(3)), Some(integer(5)));
        assert_eq!(of(integer(2), number(0.5)), Some(number(2.5)));
        assert_eq!(of(integer(i64::MAX), integer(1)), Some(number(i64::MAX as f64)));
        assert_eq!(of(number(f64::MAX), number(f64::MAX)), Some(number(f64::MAX)));
        assert_eq!(of(integer(2), text("x")), Some(integer(2)));
        assert_eq!(of(text("x"), text("y")), None);
    }

    #[test]
    fn extremes_are_of_numbers_or_of_texts() {
        let min = |a, b| combined(Survivorship::Min, &a, &b);
        let max = |a, b| combined(Survivorship::Max, &a, &b);
        let integer = TraitValue::Integer;
        assert_eq!(min(integer(2), integer(-3)), Some(integer(-3)));
        assert_eq!(max(integer(2), TraitValue::Number(2.5)), Some(TraitValue::Number(2.5)));
        assert_eq!(max(text("a"), text("b")), Some(text("b")));
        assert_eq!(min(text("2"), integer(9)), Some(integer(9)));
        assert_eq!(max(text("2"), integer(9)), Some(integer(9)));
        assert_eq!(min(TraitValue::Bool(true), text("a")), None);
    }
}
