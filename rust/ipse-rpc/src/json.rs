//! JSON read where it is asked for, and nowhere else.
//!
//! A raw event is mostly things that name nobody. The text is checked once as a whole; after
//! that an object is taken apart only when a path leads into it, and strings without escapes
//! are borrowed. Nothing here recurses with the depth of the text, except [`canonical`], which
//! is bounded.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// A value that has not been looked into yet.
#[derive(Debug)]
pub(crate) struct Node<'a> {
    text: &'a str,
    object: OnceCell<Option<Object<'a>>>,
}

/// An object, taken apart one level deep.
#[derive(Debug)]
pub(crate) struct Object<'a>(Vec<(Cow<'a, str>, Node<'a>)>);

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Null,
    Bool(bool),
    Integer,
    Fraction,
    String,
    Array,
    Object,
}

impl<'a> Node<'a> {
    /// Checks the whole text. Says line, column and what was wrong if it is not JSON.
    pub(crate) fn parse(text: &'a str) -> Result<Node<'a>, serde_json::Error> {
        serde_json::from_str::<&RawValue>(text).map(Node::from_raw)
    }

    fn from_raw(raw: &'a RawValue) -> Node<'a> {
        Node { text: raw.get().trim_ascii(), object: OnceCell::new() }
    }

    /// The value as JSON text.
    pub(crate) fn text(&self) -> &'a str {
        self.text
    }

    pub(crate) fn kind(&self) -> Kind {
        match self.text.as_bytes().first() {
            Some(b'"') => Kind::String,
            Some(b'{') => Kind::Object,
            Some(b'[') => Kind::Array,
            Some(b'n') => Kind::Null,
            Some(b't') => Kind::Bool(true),
            Some(b'f') => Kind::Bool(false),
            _ if self.text.contains(['.', 'e', 'E']) => Kind::Fraction,
            _ => Kind::Integer,
        }
    }

    /// The object, unless this is something else or a name in it is not text (half of a
    /// surrogate pair).
    pub(crate) fn object(&self) -> Option<&Object<'a>> {
        self.object
            .get_or_init(|| match self.kind() {
                Kind::Object => serde_json::from_str(self.text).ok(),
                _ => None,
            })
            .as_ref()
    }

    /// The elements, if this is an array.
    pub(crate) fn array(&self) -> Option<Vec<Node<'a>>> {
        if self.kind() != Kind::Array {
            return None;
        }
        let elements: Vec<&RawValue> = serde_json::from_str(self.text).ok()?;
        Some(elements.into_iter().map(Node::from_raw).collect())
    }

    /// The string, unless this is something else or not text (half of a surrogate pair).
    pub(crate) fn string(&self) -> Option<Cow<'a, str>> {
        if self.kind() != Kind::String {
            return None;
        }
        let inner = self.text.get(1..self.text.len() - 1)?;
        if !inner.contains('\\') {
            return Some(Cow::Borrowed(inner));
        }
        serde_json::from_str(self.text).ok().map(Cow::Owned)
    }

    /// Follows names down from here.
    pub(crate) fn at(&self, path: &[String]) -> Option<&Node<'a>> {
        path.iter().try_fold(self, |node, name| node.object()?.get(name))
    }
}

impl<'a> Object<'a> {
    /// The field of that name; the last one if it stands there more than once, as most
    /// readers of JSON have it.
    pub(crate) fn get(&self, name: &str) -> Option<&Node<'a>> {
        self.0.iter().rev().find(|(known, _)| known == name).map(|(_, node)| node)
    }

    /// The fields, last one first.
    pub(crate) fn fields_from_last(&self) -> impl Iterator<Item = (&Cow<'a, str>, &Node<'a>)> {
        self.0.iter().rev().map(|(name, node)| (name, node))
    }
}

/// A value as text that does not depend on white space, order of names or escapes, so that a
/// value sent twice is equal to itself. Numbers keep their digits. `None` if it is nested
/// deeper than `depth` or holds half of a surrogate pair.
pub(crate) fn canonical(node: &Node<'_>, depth: usize) -> Option<String> {
    let mut out = String::with_capacity(node.text.len());
    write_canonical(node, depth, &mut out)?;
    Some(out)
}

fn write_canonical(node: &Node<'_>, depth: usize, out: &mut String) -> Option<()> {
    match node.kind() {
        Kind::Object => write_object(node.object()?, depth.checked_sub(1)?, out),
        Kind::Array => write_array(&node.array()?, depth.checked_sub(1)?, out),
        Kind::String => write_string(&node.string()?, out),
        _ => {
            out.push_str(node.text);
            Some(())
        }
    }
}

fn write_object(object: &Object<'_>, depth: usize, out: &mut String) -> Option<()> {
    let mut fields: Vec<_> = object.fields_from_last().collect();
    fields.sort_by_key(|(name, _)| *name);
    fields.dedup_by_key(|(name, _)| *name);
    out.push('{');
    for (index, (name, value)) in fields.into_iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write_string(name, out)?;
        out.push(':');
        write_canonical(value, depth, out)?;
    }
    out.push('}');
    Some(())
}

fn write_array(elements: &[Node<'_>], depth: usize, out: &mut String) -> Option<()> {
    out.push('[');
    for (index, element) in elements.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write_canonical(element, depth, out)?;
    }
    out.push(']');
    Some(())
}

fn write_string(text: &str, out: &mut String) -> Option<()> {
    out.push_str(&serde_json::to_string(text).ok()?);
    Some(())
}

impl<'de> Deserialize<'de> for Object<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Object<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object<'de>, A::Error> {
                let mut fields = Vec::new();
                while let Some(FieldName(name)) = map.next_key()? {
                    fields.push((name, Node::from_raw(map.next_value()?)));
                }
                Ok(Object(fields))
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

/// A name that is borrowed where it can be; `Cow` by itself always copies.
struct FieldName<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for FieldName<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Name;
        impl<'de> Visitor<'de> for Name {
            type Value = FieldName<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }

            fn visit_borrowed_str<E>(self, name: &'de str) -> Result<FieldName<'de>, E> {
                Ok(FieldName(Cow::Borrowed(name)))
            }

            fn visit_str<E>(self, name: &str) -> Result<FieldName<'de>, E> {
                Ok(FieldName(Cow::Owned(name.to_owned())))
            }
        }
        deserializer.deserialize_str(Name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn follows_paths() {
        let text = r#" {"a" : { "b\u0063" : "x" , "n": 1} , "a2": [], "d": 1, "d": 2 } "#;
        let root = Node::parse(text).expect("JSON");
        let cases: [(&[&str], Option<&str>); 8] = [
            (&["a", "bc"], Some(r#""x""#)),
            (&["a", "n"], Some("1")),
            (&["a2"], Some("[]")),
            (&["d"], Some("2")),
            (&["a", "n", "x"], None),
            (&["a2", "0"], None),
            (&["A"], None),
            (&[], Some(text.trim())),
        ];
        for (names, expected) in cases {
            assert_eq!(root.at(&path(names)).map(Node::text), expected, "{names:?}");
        }
    }

    #[test]
    fn tells_kinds_apart() {
        let cases = [
            ("null", Kind::Null),
            ("true", Kind::Bool(true)),
            ("false", Kind::Bool(false)),
            ("0", Kind::Integer),
            ("-12345678901234567890123", Kind::Integer),
            ("1.0", Kind::Fraction),
            ("1e3", Kind::Fraction),
            ("1E3", Kind::Fraction),
            (r#""""#, Kind::String),
            ("[]", Kind::Array),
            ("{}", Kind::Object),
        ];
        for (text, kind) in cases {
            assert_eq!(Node::parse(text).expect("JSON").kind(), kind, "{text}");
        }
    }

    #[test]
    fn reads_strings() {
        let cases = [
            (r#""""#, Some("")),
            (r#""a b""#, Some("a b")),
            (r#""\u0436\n\"""#, Some("ж\n\"")),
            (r#""\ud83d\ude00""#, Some("😀")),
            (r#""\ud83d""#, None),
            ("1", None),
        ];
        for (text, expected) in cases {
            let found = Node::parse(text).expect("JSON").string();
            assert_eq!(found.as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn refuses_what_is_not_json_and_says_where() {
        let cases = [
            ("", 1, 0),
            ("{", 1, 1),
            ("{}x", 1, 3),
            ("{}{}", 1, 3),
            ("{\n \"a\": 01}", 2, 8),
            ("{\"a\":1,}", 1, 8),
            ("[1", 1, 2),
            ("nul", 1, 3),
            ("\u{feff}{}", 1, 1),
            ("{\"a\":\"\u{1}\"}", 1, 6),
            ("{'a':1}", 1, 2),
        ];
        for (text, line, column) in cases {
            let error = Node::parse(text).expect_err(text);
            assert_eq!((error.line(), error.column()), (line, column), "{text:?}");
        }
    }

    #[test]
    fn equal_values_have_one_text() {
        let cases = [
            (r#"{ "b" : 1 , "a" : [ 1.50, "\u0061" ] }"#, Some(r#"{"a":[1.50,"a"],"b":1}"#)),
            (r#"{"a":1,"a":2}"#, Some(r#"{"a":2}"#)),
            ("[12345678901234567890123]", Some("[12345678901234567890123]")),
            ("[[[]]]", Some("[[[]]]")),
            ("[[[[]]]]", None),
            (r#"["\udc00"]"#, None),
        ];
        for (text, expected) in cases {
            let node = Node::parse(text).expect("JSON");
            assert_eq!(canonical(&node, 3).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn depth_is_no_danger() {
        let text = format!("{}{}", "[".repeat(30_000), "]".repeat(30_000));
        let node = Node::parse(&text).expect("JSON");
        assert_eq!(canonical(&node, 32), None);
        let text = format!("{}1{}", r#"{"a":"#.repeat(10_000), "}".repeat(10_000));
        let node = Node::parse(&text).expect("JSON");
        assert!(node.at(&path(&["a", "a"])).is_some());
    }
}
