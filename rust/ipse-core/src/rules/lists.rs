//! Lists of values that name nobody, as systems publish them. Data: rules name a list, as in
//! `blocked = [{ list = "posthog" }]`, and may add values of their own beside it.

/// The lists that ship with ipse, by name: TOML with one key, `blocked`.
const LISTS: &[(&str, &str)] = &[
    ("segment", include_str!("lists/segment.toml")),
    ("mixpanel", include_str!("lists/mixpanel.toml")),
    ("posthog", include_str!("lists/posthog.toml")),
];

/// The names of the lists.
pub fn blocked_list_names() -> impl Iterator<Item = &'static str> {
    LISTS.iter().map(|(name, _)| *name)
}

/// The text of a list, or `None` if there is none of that name.
pub fn blocked_list(name: &str) -> Option<&'static str> {
    LISTS.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}
