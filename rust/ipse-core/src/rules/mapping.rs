//! How raw events are read: where identifiers and traits are. Plain data; the wire applies it.

/// Where a raw event holds identifiers and traits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mapping {
    /// The namespaces that events carry at fixed places, strongest first.
    pub identifiers: Vec<NamespaceSources>,
    /// Objects whose fields are the person's traits; a later one fills what earlier ones lack.
    pub traits: Vec<Source>,
    /// Objects in which a namespace's key is looked up.
    pub keys: Vec<Source>,
    /// An array of `{id, type, collection, encoding}`, each an identifier.
    pub external_ids: Option<Source>,
}

/// Where the values of one namespace are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamespaceSources {
    /// The namespace's name.
    pub namespace: String,
    /// Exact places.
    pub from: Vec<Source>,
    /// The namespace's key in snake_case and camelCase, each once; empty if it has none.
    pub key_spellings: Vec<String>,
}

/// A place in an event, with conditions on the event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Keys of objects, from the top.
    pub path: Vec<String>,
    /// All of these must hold.
    pub when: Vec<Condition>,
    /// None of these may hold.
    pub unless: Vec<Condition>,
}

/// Holds when the event's value at `path` is one of `values`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// Keys of objects, from the top.
    pub path: Vec<String>,
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
}

/// The keys of a dotted path; a key with a dot or space stands in double quotes, as in
/// `context.integrations."Google Analytics".clientId`. `None` if it is not such a path.
pub(super) fn parse_path(text: &str) -> Option<Vec<String>> {
    let mut keys = Vec::new();
    let mut rest = text;
    loop {
        let (key, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => rest.split_at(rest.find('.').unwrap_or(rest.len())),
        };
        if key.is_empty() {
            return None;
        }
        keys.push(key.to_owned());
        match after.strip_prefix('.') {
            Some(next) => rest = next,
            None => return after.is_empty().then_some(keys),
        }
    }
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
        let keys = |text| parse_path(text).unwrap_or_default().join("|");
        assert_eq!(keys("userId"), "userId");
        assert_eq!(keys("context.device.id"), "context|device|id");
        assert_eq!(keys(r#"a."b c.d".e"#), "a|b c.d|e");
        for bad in ["", ".", "a.", "a..b", r#"a."b"#, r#""a"b"#] {
            assert_eq!(parse_path(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_key_is_looked_up_in_both_spellings() {
        assert_eq!(spellings("app_id"), ["app_id", "appId"]);
        assert_eq!(spellings("appId"), ["app_id", "appId"]);
        assert_eq!(spellings("email"), ["email"]);
    }
}
