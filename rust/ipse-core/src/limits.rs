//! Every bound of the core, in one place. Passing one is refused by its name.

use crate::time::DAY_MS;

/// Longest identifier value after normalising, in bytes.
pub const IDENTIFIER_VALUE_BYTES_MAX: usize = 1024;
/// Longest namespace name, in bytes.
pub const NAMESPACE_BYTES_MAX: usize = 64;
/// Longest workspace name, in bytes.
pub const WORKSPACE_NAME_BYTES_MAX: usize = 64;
/// Most namespaces of one workspace, those added by events and those that rules dropped included.
pub const NAMESPACES_MAX: usize = 256;
/// Most identifiers on one event.
pub const EVENT_IDENTIFIERS_MAX: usize = 64;
/// Longest event id, in bytes.
pub const EVENT_ID_BYTES_MAX: usize = 128;
/// Longest event type, in bytes.
pub const EVENT_TYPE_BYTES_MAX: usize = 64;
/// Longest source, in bytes.
pub const SOURCE_BYTES_MAX: usize = 128;
/// Most traits on one event (Segment's limit for one Identify call).
pub const EVENT_TRAITS_MAX: usize = 300;
/// Most traits of one profile (Segment's limit is 6,000 for computed and collected ones).
pub const PROFILE_TRAITS_MAX: usize = 6_000;
/// Longest trait name, in bytes.
pub const TRAIT_NAME_BYTES_MAX: usize = 128;
/// Longest trait value, in bytes.
pub const TRAIT_VALUE_BYTES_MAX: usize = 8_192;
/// How many bytes of its parts' values are read for one union of a merged profile.
pub const TRAIT_UNION_BYTES_MAX: usize = 2 * TRAIT_VALUE_BYTES_MAX;
/// How far ahead of the log an event's time may be, in milliseconds.
pub const EVENT_TIME_AHEAD_MS_MAX: i64 = DAY_MS;
/// Event ids remembered in one workspace; the oldest give way.
pub const REMEMBERED_EVENTS_MAX: usize = 1 << 18;
/// What the whole records among them may weigh together, in bytes: commands are remembered
/// with all they did. The oldest ids give way, of whatever kind.
pub const REMEMBERED_RECORDS_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Most identifiers of one profile that rules with `conflict = "replay"` may allow.
pub const REPLAY_IDENTIFIERS_MAX: u32 = 1_000;
/// Identifiers that one event may evict: more only leave after a cap was lowered.
pub const EVICTIONS_MAX: usize = 1_000;
/// Displaced links kept of one identifier; the oldest give way. A kiosk has one with everybody.
pub const DISPLACED_LINKS_MAX: usize = 64;
/// Partings that one identifier takes part in; the oldest give way.
pub const PARTINGS_MAX: usize = 64;
/// Identifiers that stay on a profile and are kept apart from what a split took out of it: the
/// strongest.
pub const PARTED_STAYING_MAX: usize = 1_000;
/// How long an event id is remembered, by log time, in milliseconds.
pub const REMEMBERED_EVENTS_AGE_MS_MAX: i64 = DAY_MS;
/// Refusals remembered in one workspace, so that each is recorded once; the oldest give way.
pub const REMEMBERED_REFUSALS_MAX: usize = 1 << 16;
/// Pairs of an identifier and a profile whose refusals are looked for to explain why they are
/// apart.
pub const EXPLAINED_REFUSALS_MAX: usize = 1_000;
/// Identifiers that are named of each side of a parting.
pub const PARTED_TOLD_MAX: usize = 10;
/// Identifiers that left a profile which are kept for reading the past, and merges that were undone;
/// the oldest give way, and with them the numbers as of which they stood.
pub const PAST_ROWS_MAX: usize = 1 << 22;
/// Attributions of history of one profile, as source and as destination together.
pub const ATTRIBUTIONS_MAX: usize = 1_000;
/// Most sources of one command.
pub const COMMAND_SOURCES_MAX: usize = 64;
/// Most identifier changes of one command.
pub const MODIFY_CHANGES_MAX: usize = 64;
/// Most identifiers that one command takes out of a profile.
pub const SPLIT_IDENTIFIERS_MAX: usize = 1_000;
/// Most identifiers of one imported profile, its former id left out.
pub const IMPORT_IDENTIFIERS_MAX: usize = 1_000;
/// Longest id of a profile in its former system, in bytes.
pub const FORMER_ID_BYTES_MAX: usize = 1_024;
/// Most identifiers that one record moves.
pub const RECORD_MOVES_MAX: usize = 65_536;
/// Most links that one record displaces.
pub const RECORD_DISPLACED_MAX: usize = 65_536;
/// Most merges that one command undoes.
pub const REVERTED_MERGES_MAX: usize = 1_000;
/// Receipts of erasures kept in one workspace; the oldest give way.
pub const ERASURE_RECEIPTS_MAX: usize = 4_096;
/// Erasures of one workspace that the files may wait for; more are refused until a checkpoint.
pub const ERASURES_PENDING_MAX: usize = 1_024;
/// Identifiers that one record lets expire: others wait while it is applied.
pub const EXPIRED_IDENTIFIERS_MAX: usize = 100;
/// Days after which an identifier may expire.
pub const EXPIRY_DAYS_MAX: u32 = 36_500;
/// Longest rules text, in bytes.
pub const RULES_BYTES_MAX: usize = 256 * 1024;
/// Blocked values of one namespace.
pub const BLOCKED_VALUES_MAX: usize = 1_000;
/// Blocked patterns of one rules text, all namespaces together.
pub const PATTERNS_MAX: usize = 256;
/// Memory that one blocked pattern may take when compiled, in bytes: together with the number
/// of patterns, the bound on how long reading rules may take.
pub const PATTERN_BYTES_MAX: usize = 32 * 1024;
/// Most steps of a path in a mapping.
pub const MAPPING_PATH_STEPS_MAX: usize = 32;
/// Problems reported of one rules text.
pub const RULES_PROBLEMS_MAX: usize = 100;
/// Profiles of one workspace: numbers are 32 bits, and 0 means none.
pub const PROFILES_MAX: usize = u32::MAX as usize - 1;
/// Identifiers of one workspace, likewise.
pub const IDENTIFIERS_MAX: usize = u32::MAX as usize - 1;
