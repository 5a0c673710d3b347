//! One value made of two: unions, sums and extremes of traits.
//!
//! Knows values only. What cannot be combined gives `None`, and the newer value stands.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt::Write;

use hashbrown::HashSet;

use crate::event::TraitValue;
use crate::limits::{TRAIT_UNION_BYTES_MAX, TRAIT_VALUE_BYTES_MAX};
use crate::rules::Survivorship;

/// The value of the survivor's and the absorbed profile's, where the rule combines them.
pub(super) fn combined(
    survivorship: Survivorship,
    survivor: &TraitValue<'_>,
    absorbed: &TraitValue<'_>,
) -> Option<TraitValue<'static>> {
    match survivorship {
        Survivorship::Sum => sum(survivor, absorbed),
        Survivorship::Min => extreme(survivor, absorbed, Ordering::Less),
        Survivorship::Max => extreme(survivor, absorbed, Ordering::Greater),
        _ => None,
    }
}

/// All values, each once, in their order, up to the first that does not fit. No more is read
/// than [`TRAIT_UNION_BYTES_MAX`]: of a profile of many parts that all say the same, everything
/// would be read for nothing.
pub(super) fn union(values: &[&TraitValue<'_>]) -> TraitValue<'static> {
    let mut text = String::from("[");
    let mut seen: HashSet<Cow<'_, str>, foldhash::fast::FixedState> = HashSet::default();
    let mut read = 0;
    for element in values.iter().flat_map(|value| elements_of(value)) {
        read += element.len();
        let is_there = seen.contains(&element);
        let grown = text.len() + element.len() + ",]".len();
        if read > TRAIT_UNION_BYTES_MAX || !is_there && grown > TRAIT_VALUE_BYTES_MAX {
            break;
        }
        if !is_there {
            text.push_str(if seen.is_empty() { "" } else { "," });
            text.push_str(&element);
            seen.insert(element);
        }
    }
    text.push(']');
    TraitValue::Json(text.into())
}

/// A value as JSON texts: those of an array one by one, any other as one.
fn elements_of<'v>(value: &'v TraitValue<'_>) -> Vec<Cow<'v, str>> {
    match value {
        TraitValue::Text(text) => vec![quoted(text).into()],
        TraitValue::Integer(number) => vec![number.to_string().into()],
        TraitValue::Number(number) => vec![number.to_string().into()],
        TraitValue::Bool(value) => vec![value.to_string().into()],
        TraitValue::Json(text) => {
            array_elements(text).unwrap_or_else(|| vec![Cow::Borrowed(&**text)])
        }
    }
}

/// The elements of a JSON array, as they are written; `None` if the text is no array.
fn array_elements(text: &str) -> Option<Vec<Cow<'_, str>>> {
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
                elements.push(Cow::Borrowed(inner[start..at].trim()));
                start = at + 1;
            }
            _ => {}
        }
    }
    elements.push(Cow::Borrowed(inner[start..].trim()));
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
        let of = |a: &TraitValue<'_>, b: &TraitValue<'_>| Some(union(&[a, b]));
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
    fn a_union_ends_where_it_is_full_or_has_read_enough() {
        let (long, last) = (text(&"x".repeat(TRAIT_VALUE_BYTES_MAX)), text("b"));
        let found = union(&[&text("a"), &long, &last]);
        assert_eq!(found, json(r#"["a"]"#), "what does not fit is the end of it");
        let half = text(&"x".repeat(TRAIT_VALUE_BYTES_MAX / 2));
        let has_last = |count: usize| {
            let mut values = vec![&half; count];
            values.push(&last);
            let TraitValue::Json(found) = union(&values) else { unreachable!() };
            found.contains('b')
        };
        assert!(has_last(2));
        assert!(!has_last(2 * TRAIT_UNION_BYTES_MAX / TRAIT_VALUE_BYTES_MAX));
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
