//! The presets: rules as data, one for each system that people come from.

/// The presets that ship with ipse, by name.
const PRESETS: &[(&str, &str)] = &[
    ("segment", include_str!("presets/segment.toml")),
    ("mparticle-conversion", include_str!("presets/mparticle-conversion.toml")),
    ("mparticle-link", include_str!("presets/mparticle-link.toml")),
    ("mparticle-isolation", include_str!("presets/mparticle-isolation.toml")),
    ("mparticle-best-match", include_str!("presets/mparticle-best-match.toml")),
    ("esputnik", include_str!("presets/esputnik.toml")),
    ("mixpanel-simplified", include_str!("presets/mixpanel-simplified.toml")),
    ("posthog", include_str!("presets/posthog.toml")),
    ("adobe", include_str!("presets/adobe.toml")),
    ("mixpanel-original", include_str!("presets/mixpanel-original.toml")),
];

/// The name of the preset that a new workspace gets if it names none.
pub const DEFAULT_PRESET: &str = "segment";

/// The names of the presets that ship with ipse.
pub fn preset_names() -> impl Iterator<Item = &'static str> {
    PRESETS.iter().map(|(name, _)| *name)
}

/// The text of a preset, or `None` if there is none of that name.
pub fn preset(name: &str) -> Option<&'static str> {
    PRESETS.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}
