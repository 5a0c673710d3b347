//! Every bound of the wire, in one place; the core has its own in [`ipse_core::limits`].
//! Passing one is refused by its name.

pub use ipse_core::limits::COMMAND_SOURCES_MAX;

/// Longest request message, in bytes. A transport's own limit should be larger, so that it is
/// this refusal, with its reason, that a caller sees.
pub const REQUEST_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Size of an answer to GetProfile, in bytes, at which the profile is refused. Only merges
/// make profiles with so many traits.
pub const GET_RESPONSE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Size of an answer with several profiles, in bytes. BatchGetProfiles and
/// TranslateIdentities refuse the profile that passes it and all that come after; LookupProfiles
/// and ListProfiles end before it.
pub const BATCH_GET_RESPONSE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// How long a call of many things holds the graphs at a time, in milliseconds, but for the end of
/// the thing that it is at: others get them between two turns.
pub const TURN_MS_MAX: u64 = 1;
/// Most events of one batch.
pub const EVENTS_MAX: usize = 1_000;
/// A batch whose request is not longer is worked on at once, like a single event: handing it to
/// another thread would cost more.
pub const SHORT_BATCH_BYTES_MAX: usize = 1_024;
/// Answers of this size and more are counted until their callers have read them. What is smaller
/// is bounded by how many calls there may be.
pub const HELD_ANSWER_BYTES_MIN: usize = 64 * 1_024;
/// Longest `google.rpc.Status` that is sent in metadata, in bytes: a stock client refuses more than
/// 8 KiB of it, and the message and base64 take their part.
pub const STATUS_BYTES_MAX: usize = 4_096;
/// Most lookups of one batch.
pub const LOOKUPS_MAX: usize = 1_000;
/// Most profiles of one import.
pub const PROFILES_MAX: usize = 1_000;
/// Most changes of one ModifyIdentifiers.
pub const CHANGES_MAX: usize = 64;
/// Most targets of one translation.
pub const TRANSLATION_TARGETS_MAX: usize = 16;
/// Most namespaces of one target of a translation.
pub const TARGET_NAMESPACES_MAX: usize = 64;
/// Profiles that one ListProfiles looks at.
pub const LIST_SCANNED_MAX: usize = 100_000;
/// Profiles that ListProfiles looks at before it asks whether its turn goes on: looking at one
/// takes less time than asking.
pub const LIST_STEP_SCANNED_MAX: usize = 64;
/// Longest raw event, in bytes.
pub const RAW_JSON_BYTES_MAX: usize = 65_536;
/// How deeply the value of a JSON trait may be nested.
pub const JSON_DEPTH_MAX: usize = 32;
/// Most ignored fields that an answer lists.
pub const IGNORED_FIELDS_MAX: usize = 64;
/// Items on a page if the caller does not say.
pub const PAGE_SIZE_DEFAULT: usize = 100;
/// Most items on a page.
pub const PAGE_SIZE_MAX: usize = 1_000;
/// Most absorbed ids that a profile lists.
pub const ABSORBED_IDS_MAX: usize = 1_000;
/// Most former ids that a profile lists.
pub const FORMER_IDS_MAX: usize = 1_000;
/// Most workspaces of one server.
pub const WORKSPACES_MAX: usize = 1_000;
/// Workspaces that were deleted: each leaves a number and a receipt for ever.
pub const WORKSPACES_DELETED_MAX: usize = 10_000;
/// Most field violations in one status. Statuses travel in HTTP/2 headers, which peers cut
/// off at 8 KiB.
pub const VIOLATIONS_MAX: usize = 10;
/// Longest text of a status's message or of one violation, in bytes, for the same reason.
pub const STATUS_TEXT_BYTES_MAX: usize = 200;
/// Bugs caught and not yet collected by the log; later ones are counted only.
pub const FAULTS_MAX: usize = 64;
/// What a caller is told to wait when the write queue is full, in milliseconds: some commit
/// groups on a slow disk.
pub const WRITE_QUEUE_RETRY_DELAY_MS: u32 = 100;
/// Most tokens of one server.
pub const TOKENS_MAX: usize = 10_000;
/// Longest metadata `authorization` that is looked at, in bytes.
pub const AUTHORIZATION_BYTES_MAX: usize = 512;
/// What a caller is told to wait when the disk is full, in milliseconds: someone has to make
/// space.
pub const STORAGE_RETRY_DELAY_MS: u32 = 5_000;
/// The least that a caller is told to wait who comes while there is too much to do, in
/// milliseconds.
pub const RETRY_DELAY_MS_MIN: u32 = 20;
/// The most, but for what is added so that not all come back at once.
pub const RETRY_DELAY_MS_MAX: u32 = 10_000;
/// Most calls that watch one server.
pub const WATCHERS_MAX: usize = 64;
/// Most namespaces that one watches for.
pub const WATCHED_NAMESPACES_MAX: usize = 64;
/// The longest silence of a watch if the caller does not say, in seconds.
pub const HEARTBEAT_S_DEFAULT: u32 = 15;
/// The most that it may say.
pub const HEARTBEAT_S_MAX: u32 = 3_600;
/// Bytes after which a message of a watch is closed; what one record changed is never cut.
pub const WATCH_MESSAGE_BYTES_TARGET: usize = 256 * 1_024;
/// Records of the log, whosever they are, that are looked at for one message: then other watchers
/// have their turn.
pub const WATCH_READ_RECORDS_MAX: usize = 4_096;
/// How often one watcher is told of what is new, at most: so much time is between two looks, in
/// milliseconds. While much is written, one look finds the records of many commit groups.
pub const WATCH_LOOK_INTERVAL_MS: u64 = 20;
/// How long a watcher's message may wait to be taken, in seconds.
pub const WATCH_SEND_S_MAX: u64 = 60;
