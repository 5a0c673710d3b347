//! JSON read where it is asked for, and nowhere else.
//!
//! A raw event is mostly things that name nobody. The text is passed over once, which checks it
//! and notes where its values are; only what a path leads to is looked at, and strings without
//! escapes are borrowed. Nothing here recurses with the depth of the text, except [`canonical`],
//! which is bounded.

mod scan;

use std::borrow::Cow;

use ipse_core::rules::Step;
use serde::de::IgnoredAny;

use scan::{Entry, decoded, mark, scan};

/// A text that is JSON.
#[derive(Debug)]
pub(crate) struct Document<'a> {
    text: &'a str,
    entries: Vec<Entry>,
}

/// A value of a document.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Node<'n, 'a> {
    document: &'n Document<'a>,
    at: usize,
}

/// A value that is an object.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Object<'n, 'a>(Node<'n, 'a>);

/// A value that a path leads to.
#[derive(Debug)]
pub(crate) struct Reached<'r, 'a> {
    pub(crate) node: Node<'r, 'a>,
    /// The positions in the arrays on the way, in order.
    pub(crate) positions: &'r [usize],
    /// Steps of the path that were taken: less than all if the value is in the path's way.
    pub(crate) taken: usize,
}

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

impl<'a> Document<'a> {
    /// Checks the whole text. Says line, column and what was wrong if it is not JSON.
    pub(crate) fn parse(text: &'a str) -> Result<Document<'a>, serde_json::Error> {
        match scan(text) {
            Some(entries) => Ok(Document { text, entries }),
            None => {
                Err(serde_json::from_str::<IgnoredAny>(text)
                    .expect_err("both accept the same texts"))
            }
        }
    }

    /// The whole.
    pub(crate) fn root(&self) -> Node<'_, 'a> {
        Node { document: self, at: 0 }
    }
}

impl<'n, 'a> Node<'n, 'a> {
    fn entry(self) -> &'n Entry {
        &self.document.entries[self.at]
    }

    /// What this one holds: an array's elements, an object's names.
    fn held(self) -> impl Iterator<Item = Node<'n, 'a>> {
        let entries = &self.document.entries[..self.entry().next as usize];
        let mut next = self.at + 1;
        std::iter::from_fn(move || {
            let held = Node { at: next, ..self };
            next = entries.get(next)?.next as usize;
            Some(held)
        })
    }

    /// What stands behind a name.
    fn value(self) -> Node<'n, 'a> {
        Node { at: self.at + 1, ..self }
    }

    /// The value as JSON text.
    pub(crate) fn text(self) -> &'a str {
        let entry = self.entry();
        &self.document.text[entry.start as usize..entry.end as usize]
    }

    pub(crate) fn kind(self) -> Kind {
        self.entry().kind
    }

    /// The object, unless this is something else or a name in it is not text (half of a
    /// surrogate pair).
    pub(crate) fn object(self) -> Option<Object<'n, 'a>> {
        let entry = self.entry();
        (entry.kind == Kind::Object && !entry.is_odd).then_some(Object(self))
    }

    /// The elements, if this is an array.
    pub(crate) fn array(self) -> Option<Vec<Node<'n, 'a>>> {
        (self.kind() == Kind::Array).then(|| self.held().collect())
    }

    /// The string, unless this is something else or not text (half of a surrogate pair).
    pub(crate) fn string(self) -> Option<Cow<'a, str>> {
        let entry = self.entry();
        if entry.kind != Kind::String {
            return None;
        }
        let quoted = self.text();
        if entry.is_odd {
            return decoded(quoted).map(Cow::Owned);
        }
        Some(Cow::Borrowed(&quoted[1..quoted.len() - 1]))
    }

    /// Follows a path down from here, and calls `reach` for each place that it leads to, and
    /// for each that is in its way: neither an object nor an array where the path needs one.
    pub(crate) fn follow(self, path: &[Step], reach: &mut dyn FnMut(Reached<'_, 'a>)) {
        let mut node = self;
        for (taken, step) in path.iter().enumerate() {
            let Step::Field(name) = step else {
                return node.follow_elements(path, taken, &mut Vec::new(), reach);
            };
            match node.object() {
                Some(object) => match object.get(name) {
                    Some(next) => node = next,
                    None => return,
                },
                None => return reach(Reached { node, positions: &[], taken }),
            }
        }
        reach(Reached { node, positions: &[], taken: path.len() });
    }

    /// The first of what stands at the end of a path of which `read` makes something.
    pub(crate) fn find<T>(
        self,
        path: &[Step],
        mut read: impl FnMut(Node<'_, 'a>) -> Option<T>,
    ) -> Option<T> {
        let mut found = None;
        self.follow(path, &mut |reached| {
            if found.is_none() && reached.taken == path.len() {
                found = read(reached.node);
            }
        });
        found
    }

    /// The same with positions in arrays. Goes as deep as the path is long, which rules bound.
    fn follow_elements(
        self,
        path: &[Step],
        taken: usize,
        positions: &mut Vec<usize>,
        reach: &mut dyn FnMut(Reached<'_, 'a>),
    ) {
        let Some(step) = path.get(taken) else {
            return reach(Reached { node: self, positions, taken });
        };
        if let Step::Field(name) = step {
            return match self.object() {
                Some(object) => {
                    if let Some(next) = object.get(name) {
                        next.follow_elements(path, taken + 1, positions, reach);
                    }
                }
                None => reach(Reached { node: self, positions, taken }),
            };
        }
        let Some(elements) = self.array() else {
            return reach(Reached { node: self, positions, taken });
        };
        for (position, element) in elements.into_iter().enumerate() {
            positions.push(position);
            match element.is_taken_by(step, position) {
                Some(true) => element.follow_elements(path, taken + 1, positions, reach),
                Some(false) => {}
                None => reach(Reached { node: element, positions, taken: taken + 1 }),
            }
            positions.pop();
        }
    }

    /// Whether a step leads into this element; `None` if it is no object and would have to be.
    fn is_taken_by(self, step: &Step, position: usize) -> Option<bool> {
        match step {
            Step::Field(_) | Step::Each => Some(true),
            Step::At(wanted) => Some(*wanted == position),
            Step::Where { field, value } => {
                let found = self.object()?.get(field);
                Some(found.is_some_and(|found| match found.kind() {
                    Kind::Integer => found.text() == value,
                    _ => found.string().is_some_and(|text| text == *value),
                }))
            }
        }
    }
}

impl<'n, 'a> Object<'n, 'a> {
    /// The field of that name; the last one if it stands there more than once, as most
    /// readers of JSON have it.
    pub(crate) fn get(self, name: &str) -> Option<Node<'n, 'a>> {
        if self.0.entry().marks & mark(name) == 0 {
            return None;
        }
        let quoted_bytes = name.len() as u32 + 2;
        let mut found = None;
        for known in self.0.held() {
            let entry = known.entry();
            // The lengths differ mostly.
            let is_likely = entry.end - entry.start == quoted_bytes || entry.is_odd;
            if is_likely && known.string().is_some_and(|known| known == name) {
                found = Some(known.value());
            }
        }
        found
    }

    /// The fields, last one first.
    pub(crate) fn fields_from_last(self) -> impl Iterator<Item = (Cow<'a, str>, Node<'n, 'a>)> {
        let named = |name: Node<'n, 'a>| Some((name.string()?, name.value()));
        let fields: Vec<_> = self.0.held().filter_map(named).collect();
        fields.into_iter().rev()
    }
}

/// A value as text that does not depend on white space, order of names or escapes, so that a
/// value sent twice is equal to itself. Numbers keep their digits. `None` if it is nested
/// deeper than `depth` or holds half of a surrogate pair.
pub(crate) fn canonical(node: Node<'_, '_>, depth: usize) -> Option<String> {
    let mut out = String::with_capacity(node.text().len());
    write_canonical(node, depth, &mut out)?;
    Some(out)
}

fn write_canonical(node: Node<'_, '_>, depth: usize, out: &mut String) -> Option<()> {
    match node.kind() {
        Kind::Object => write_object(node.object()?, depth.checked_sub(1)?, out),
        Kind::Array => write_array(&node.array()?, depth.checked_sub(1)?, out),
        Kind::String => write_string(&node.string()?, out),
        _ => {
            out.push_str(node.text());
            Some(())
        }
    }
}

fn write_object(object: Object<'_, '_>, depth: usize, out: &mut String) -> Option<()> {
    let mut fields: Vec<_> = object.fields_from_last().collect();
    fields.sort_by(|(one, _), (other, _)| one.cmp(other));
    fields.dedup_by(|(one, _), (other, _)| one == other);
    out.push('{');
    for (index, (name, value)) in fields.into_iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write_string(&name, out)?;
        out.push(':');
        write_canonical(value, depth, out)?;
    }
    out.push('}');
    Some(())
}

fn write_array(elements: &[Node<'_, '_>], depth: usize, out: &mut String) -> Option<()> {
    out.push('[');
    for (index, &element) in elements.iter().enumerate() {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(names: &[&str]) -> Vec<Step> {
        names.iter().map(|name| Step::Field((*name).to_owned())).collect()
    }

    /// What a path leads to, and what is in its way in brackets.
    fn followed(text: &str, path: &[Step]) -> Vec<String> {
        let mut found = Vec::new();
        Document::parse(text).expect("JSON").root().follow(path, &mut |reached| {
            let at = format!("{}@{:?}", reached.node.text(), reached.positions);
            let is_end = reached.taken == path.len();
            found.push(if is_end { at } else { format!("({at} {})", reached.taken) });
        });
        found
    }

    #[test]
    fn follows_fields() {
        let text = r#" {"a" : { "b\u0063" : "x" , "n": 1} , "a2": [], "d": 1, "d": 2 } "#;
        let cases: [(&[&str], &[&str]); 8] = [
            (&["a", "bc"], &[r#""x"@[]"#]),
            (&["a", "n"], &["1@[]"]),
            (&["a2"], &["[]@[]"]),
            (&["d"], &["2@[]"]),
            (&["a", "n", "x"], &["(1@[] 2)"]),
            (&["a2", "0"], &["([]@[] 1)"]),
            (&["A"], &[]),
            (&["A", "b"], &[]),
        ];
        for (names, expected) in cases {
            assert_eq!(followed(text, &fields(names)), expected, "{names:?}");
        }
        assert_eq!(followed("{}", &[]), ["{}@[]"]);
    }

    #[test]
    fn follows_elements() {
        let field = |name: &str| Step::Field(name.to_owned());
        let filter = |value: &str| Step::Where { field: "t".to_owned(), value: value.to_owned() };
        let text = r#"{"a":[{"t":"x","v":1},{"t":7,"v":[2,3]},4,{"t":"x"}],"o":{}}"#;
        let cases: [(&[Step], &[&str]); 7] = [
            (&[field("a"), Step::Each, field("v")], &["1@[0]", "[2,3]@[1]", "(4@[2] 2)"]),
            (&[field("a"), Step::At(1), field("v"), Step::Each], &["2@[1, 0]", "3@[1, 1]"]),
            (&[field("a"), Step::At(9)], &[]),
            (&[field("a"), filter("x"), field("v")], &["1@[0]", "(4@[2] 2)"]),
            (&[field("a"), filter("7"), field("v")], &["[2,3]@[1]", "(4@[2] 2)"]),
            (&[field("o"), Step::Each], &["({}@[] 1)"]),
            (&[field("n"), Step::Each], &[]),
        ];
        for (path, expected) in cases {
            assert_eq!(followed(text, path), expected, "{path:?}");
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
            assert_eq!(Document::parse(text).expect("JSON").root().kind(), kind, "{text}");
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
            let found = Document::parse(text).expect("JSON").root().string();
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
            let error = Document::parse(text).expect_err(text);
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
            let document = Document::parse(text).expect("JSON");
            assert_eq!(canonical(document.root(), 3).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn depth_is_no_danger() {
        let text = format!("{}{}", "[".repeat(30_000), "]".repeat(30_000));
        let document = Document::parse(&text).expect("JSON");
        assert_eq!(canonical(document.root(), 32), None);
        assert!(Document::parse(&text[1..]).is_err());
        let text = format!("{}1{}", r#"{"a":"#.repeat(10_000), "}".repeat(10_000));
        let document = Document::parse(&text).expect("JSON");
        assert_eq!(document.root().find(&fields(&["a", "a"]), |_| Some(())), Some(()));
    }
}
