//! The on-disk format: file names, magics, versions and the byte layout of everything.
//!
//! This file is the drawing; it reads and writes nothing. All integers of the framing are
//! little-endian. CRC-32 is zlib's (`zlib.crc32`). Payloads are msgpack as the stock
//! packages read it. No field is optional; every byte not named here is zero.
//!
//! # Data directory
//!
//! ```text
//! LOCK                              locked (flock) while a process has the directory open;
//!                                   text: the process id
//! MANIFEST                          one line of text, see below
//! segment-000000000001.wal          log segments, numbered from 1 without gaps
//! segment-000000000002.wal
//! snapshot-00000000000000004711.snap    snapshots, named by the log position they hold
//! segment-000000000002-00000000000000008192.torn    broken tail set aside by recovery:
//!                                   segment and byte offset it was cut from
//! snapshot-….snap.broken            a snapshot that could not be read, set aside
//! BACKUPS                           one line of text for each backup that was made: time,
//!                                   log position, label, directory
//! ERASURES                          one line of text for each erasure that the files have
//!                                   followed: time, log id, workspace (its number), the erasure's
//!                                   number, and the record of tag 5 or 7 in hexadecimal; with hashes if what is erased is
//!                                   suppressed or `BACKUPS` lists a backup from before
//! next-segment-a.wal.tmp            space reserved for the next segments, of zeros; kept
//! next-segment-b.wal.tmp            over a restart
//! *.tmp                             otherwise unfinished; deleted at the next start
//! ```
//!
//! A backup is a directory of such files and `BACKUP`, which names each with its length and
//! SHA-256; segments are as long as their frames, and the last ends with the backup's log
//! position. No server starts from it. Backups and restored directories are made beside their
//! place, as `NAME.partial` with a file `UNFINISHED` in it, and are renamed when they are whole.
//!
//! `BACKUP`: lines `ipse-backup 1`, `log <id> position <log position>`, `time_ms <time>`,
//! `label <text>`, `workspace <state hash> <sequence> <name>` of each, `file <SHA-256> <bytes>
//! <name>` of each, `crc32 <CRC-32 of the lines before>`.
//!
//! `MANIFEST`, replaced by rename each time a segment begins:
//! `ipse-log 1 id=0123456789abcdef newest_segment=2 crc32=89abcdef` and a line feed; the
//! CRC-32 is of the text before ` crc32=`. The newest segment may be a later one (a crash
//! came between), never an earlier one: then a segment is missing.
//!
//! # Log
//!
//! The log is the concatenation of the records of all segments. A record's **log position**
//! counts from 1 over all workspaces; its **sequence number** from 1 in its workspace.
//!
//! ```text
//! segment   = header (64 bytes), frames, zeros to the size it was created with
//!
//! header    0   8  magic "ipse-wal"
//!           8   4  format version: 1
//!          12   4  CRC of the last frame before this segment; 0 in segment 1
//!          16   8  segment number
//!          24   8  log position of the first record that goes here
//!          32   8  salt: random, of this segment, never 0
//!          40   8  size of the file in bytes when it was created
//!          48   8  log id: random, the same in all files of a log, never 0
//!          56   4  log time of that record in seconds since 1970, rounded down; 0 in segment 1
//!                 (of the newest record before it, if the segment was begun for an erasure)
//!          60   4  CRC-32 of bytes 0 to 60
//!
//! frame     0   4  CRC-32 of bytes 4 to the frame's end, padding included
//!           4   4  length of the payload in bytes, padding not included
//!           8   8  salt of the segment
//!          16   4  CRC of the frame before; for the first of a segment, that of its header
//!          20   4  number of records
//!          24   8  log position of the first record (of the next one, if there is none)
//!          32   8  synced through: the log position that was synced when this was written
//!          40   1  kind: 1 group, 2 clean shutdown (no records, no payload),
//!                 3 rewritten (no records; payload: 4 bytes, the CRC of the frame that
//!                 was the last before this segment was rewritten)
//!          41   7  zero
//!          48   …  payload: records, one after the other
//!           …   …  zeros to a multiple of 8 bytes
//! ```
//!
//! A frame is one commit group: all of it or nothing. Frames begin at multiples of 8. The
//! log ends where only zeros follow. Anything else that is not the next frame is damage:
//! at log position P (that of the next record), it is **corruption** if P is at or below
//! the highest position known to have been synced (`synced through` of any valid frame
//! here or later, the first position of a later segment less one, the position of a
//! snapshot), and a **torn tail** if P is above it. The salt keeps bytes of a record from
//! passing for a frame when the reader looks for later ones.
//!
//! A segment that named someone who was erased is rewritten: the same records, redacted, in
//! frames of the same numbers, in a file as long as they are. Its last frame is then of kind
//! 3, and the next segment's header names the CRC that this one holds, as if nothing had
//! happened: no other segment changes.
//!
//! A segment is begun only when all before it is synced, and is named only when its header
//! and zeros are.
//!
//! # Records
//!
//! Each is a msgpack array of fixed length: `[workspace, sequence, log_time_ms, tag, …]`.
//! Workspaces are numbered from 0 in order of creation; times are milliseconds since 1970.
//!
//! ```text
//! tag 1 workspace_created   name str, profile_key bin(16), rules str
//! tag 2 rules_set           version uint, rules str
//! tag 3 event_resolved      event_id str, digest bin(16)|nil, kind str, source str,
//!                           timestamp_ms int, rules_version uint, named_profile uint|nil,
//!                           key_namespace str, target, [identifier, …], [trait, …]
//! tag 4 command_resolved    the fields of tag 3, verb, extra|nil; for everything but events
//!                           that were seen and have no extra
//!
//! tag 5 erased              operation bin(16)|nil, digest bin(16)|nil, [profile, …],
//!                           [erased, …], traits uint, suppress bool
//! tag 6 erasure_completed   erasure (sequence), segments, records, files
//! tag 7 workspace_deleted   key bin(16), operation bin(16)|nil, digest bin(16)|nil, profiles,
//!                           identifiers
//! tag 8 gone                a record of a workspace that was deleted later
//! tag 9 expired             [expired, …]
//!
//! value       str, or uint where it was erased: the row of the identifier, counted from 0 in
//!             order of first attachment; 2^32 and more for one that was on no profile
//! erased      [row uint|nil, hash bin(16)|nil]; no hash once the files are rewritten, unless
//!             the identifier is suppressed
//! expired     [row uint, namespace str, value, [profile, …], last_seen_ms]
//! digest      128 bits, big-endian; nil for 0
//! target      [0] unresolved | [1, profile] created | [2, profile] found
//!             | [3, survivor, [absorbed, …]] merged
//! identifier  [namespace str, value, raw str|nil, verdict]
//! verdict     0 attached | 1 already attached | [2, rule, limit, collided] dropped
//!             | [3, rule, limit, collided] refused | 4 removed | [5, from] transferred
//! rule        1 unknown_namespace, 2 invalid_value, 3 blocked_value, 4 value_limit,
//!             5 value_time_limit, 6 merge_limit, 7 identifier_limit, 8 immutable,
//!             9 held_elsewhere, 10 exclusive_owner, 11 known_source, 12 source_shape,
//!             13 source_used, 14 no_target, 15 pair_limit, 16 moved_limit,
//!             17 holder_limit, 18 ambiguous_event, 19 displaced, 20 denied_link,
//!             21 not_attached, 22 attribution_overlap, 23 attribution_chain,
//!             24 attribution_off, 25 suppressed
//! limit       nil | [namespace str|nil, value uint]
//! collided    profile uint | nil
//! verb        0 observe, 1 login, 2 logout, 3 link, 4 modify, 5 merge, 6 split,
//!             7 attribute_history, 8 import, 9 revert, 10 deny
//! extra       [marks_known bool, sources uint, [move, …], [displaced, …], [merge, …],
//!             [reverted, …], attribution|nil, imported|nil, [ignored, …]]
//! move        [namespace str, value, from, to uint|nil, cause]
//! cause       0 displaced, 1 evicted, 2 split, 3 reverted, 4 reverted and shared
//! displaced   [namespace str, value, namespace str, value]
//! merge       [profile uint|nil, merge verdict]
//! merge verdict   0 merged | 1 already merged | 2 not found
//!             | [3, rule, limit, collided] refused
//! reverted    [absorbed profile, survivor profile, sequence of the record that merged them]
//! attribution [source, destination, start_ms, end_ms, rule|nil], the rule if refused
//! imported    [created_time_ms, [attached_time_ms of each identifier, …],
//!             [time_ms of each trait, …]]
//! ignored     [name str, reason] of a trait: 0 older, 1 set already, 2 of an unresolved event
//! trait       [name str, value]
//! value       str text | int | float64 | bool | [str] JSON text | nil removed
//! ```
//!
//! # Snapshots
//!
//! ```text
//! snapshot  = header (64 bytes), sections, footer (64 bytes)
//!
//! header    0   8  magic "ipsesnap"
//!           8   4  format version: 1
//!          12   4  number of workspaces
//!          16   8  log position: records 1 to this one are in it
//!          24   8  salt: random, of this file, never 0
//!          32   8  log id
//!          40  20  zero
//!          60   4  CRC-32 of bytes 0 to 60
//!
//! section   0   4  CRC-32 of bytes 4 to the section's end, padding included
//!           4   4  length of the payload in bytes, padding not included
//!           8   8  salt of the file
//!          16   8  section number, from 0
//!          24   4  number of parts
//!          28   4  zero
//!          32   …  payload: parts, one after the other
//!           …   …  zeros to a multiple of 8 bytes
//!
//! footer    0   8  magic "ipse-end"
//!           8   8  log position
//!          16   8  number of sections
//!          24   8  number of parts
//!          32   8  offset of this footer in the file
//!          40   4  number of workspaces
//!          44   4  CRC-32 of all bytes before the footer
//!          48  12  zero
//!          60   4  CRC-32 of bytes 0 to 60 of the footer
//! ```
//!
//! A part is a msgpack array `[workspace, tag, column, …]`; a column is an array, all
//! columns of a part are equally long. Workspaces come in order of their numbers, and
//! the parts of each in order of their tags, positions last.
//!
//! ```text
//! tag 1 workspace       not columns but single values: name str (empty if deleted), profile_key bin(16),
//!                       created_time_ms, sequence, log_time_ms, rules_version, rules str,
//!                       [namespace str, …], state_hash bin(16), oldest_past: the first sequence
//!                       as of which the past (tags 19 to 21, not in the hash) is known
//! tag 2 profiles        parent, merged_sequence, bearer, created_sequence, created_time_ms,
//!                       merge_rank (among the merges of one record, from 0), flags
//! tag 3 identifiers     namespace (index), value str (empty if erased), profile (0 for nobody),
//!                       attached_sequence, attached_time_ms, flags
//! tag 4 links           stronger, weaker (identifier indexes from 0), sequence
//! tag 5 holders         identifier (index), profile, sequence, time_ms: of a shared
//!                       identifier, profiles that hold it besides the first
//! tag 6 evidence        a, b (identifier indexes, a < b), first, last_time_ms, last_sequence,
//!                       state, displaced_by
//! tag 7 attributions    source, destination, start_ms, end_ms, sequence
//! tag 8 departures      profile, sequence: the newest record that changed it and left no
//!                       other trace on it
//! tag 9 traits          profile, name str, value, time_ms, sequence,
//!                       by (row of the strongest identifier of that record + 1, 0 for none)
//! tag 10 remembered_events  event_id str, digest bin(16)|nil, sequence, log_time_ms,
//!                       rules_version, known bool, target, attributed_by, [verdict, …] by
//!                       name, [rank, …] of each, [name hash, …] and [reason, …] of ignored
//!                       traits, record
//! tag 11 remembered_refusals    hash uint, sequence
//! tag 12 partings       identifier (index), sequence of the split, side
//! tag 13 suppressions   hash bin(16)
//! tag 14 erasures       sequence, time_ms, operation bin(16)|nil, digest bin(16)|nil,
//!                       profiles, identifiers, traits, flags, segments, records, files
//! tag 15 pending_erasures   sequence, [profile, …], [erased, …]
//! tag 16 last_seen      identifier (index), day from 0001-01-01
//! tag 17 anonymous_seen profile (index of its root), day from 0001-01-01
//! tag 18 positions      sequence, log position: of some records, in order
//! tag 19 past_holdings  identifier (index), profile, from, until (the sequences that attached it
//!                       there and took it off), time_ms, several bool: others held it, too,
//!                       when it left; by until
//! tag 20 past_edges     profile, parent, from, until (the sequences of a merge and of what undid
//!                       it), bearer, merge_rank, survived bool; by until
//! tag 21 timeline       first (sequence), time_ms, moments bin: (milliseconds since the moment
//!                       before, records) of each moment with records, as LEB128
//!
//! flags       of a profile: 1 marked known, 2 merged below another whose id retired,
//!             4 erased, 8 known by the merge above it; of an identifier: 1 was a source of a login or a link;
//!             of an erasure: 1 suppress, 2 completed
//! state       0 active, 1 displaced, 3 forced; displaced_by is 0 unless displaced
//! attributed_by   0 nothing, 1 the profile, n + 2 the identifier of rank n
//! record      nil | [the fields of a command_resolved from event_id on]
//! ```

/// Version of the log format that this code writes and reads.
pub const LOG_VERSION: u32 = 1;
/// Version of the snapshot format that this code writes and reads.
pub const SNAPSHOT_VERSION: u32 = 1;

/// First bytes of a segment.
pub const SEGMENT_MAGIC: [u8; 8] = *b"ipse-wal";
/// First bytes of a snapshot.
pub const SNAPSHOT_MAGIC: [u8; 8] = *b"ipsesnap";
/// First bytes of a snapshot's footer.
pub const FOOTER_MAGIC: [u8; 8] = *b"ipse-end";

/// Length of the header of a segment or a snapshot, and of a snapshot's footer.
pub const HEADER_BYTES: usize = 64;
/// Length of a frame's header.
pub const FRAME_HEADER_BYTES: usize = 48;
/// Length of a section's header.
pub const SECTION_HEADER_BYTES: usize = 32;
/// Frames and sections begin at multiples of this.
pub const ALIGNMENT: usize = 8;

/// Kind of a frame that holds a commit group.
pub const KIND_GROUP: u8 = 1;
/// Kind of a frame that says that the process before ended cleanly.
pub const KIND_CLEAN_SHUTDOWN: u8 = 2;
/// Kind of the last frame of a segment that was rewritten.
pub const KIND_REWRITTEN: u8 = 3;

/// A group's payload is closed once it is this long; one record more may pass it.
pub const GROUP_BYTES_TARGET: usize = 16 << 20;
/// A section's payload is closed once it is this long; one part more may pass it. Each is synced,
/// and the log's own sync waits for that.
pub const SECTION_BYTES_TARGET: usize = 1 << 20;

/// The file that is locked.
pub const LOCK_NAME: &str = "LOCK";
/// What a backup holds.
pub const BACKUP_NAME: &str = "BACKUP";
/// Says that a directory is not whole.
pub const UNFINISHED_NAME: &str = "UNFINISHED";
/// The register of backups.
pub const BACKUPS_NAME: &str = "BACKUPS";
/// Where a new register of backups is written before it replaces the old one.
pub const BACKUPS_TEMPORARY_NAME: &str = "BACKUPS.tmp";
/// The register of erasures.
pub const ERASURES_NAME: &str = "ERASURES";
/// Where a new register of erasures is written before it replaces the old one.
pub const ERASURES_TEMPORARY_NAME: &str = "ERASURES.tmp";
/// The file that names the newest segment.
pub const MANIFEST_NAME: &str = "MANIFEST";
/// Where a new manifest is written before it replaces the old one.
pub const MANIFEST_TEMPORARY_NAME: &str = "MANIFEST.tmp";
/// Where the next segments are prepared, and their space is reserved.
pub const SPARE_NAMES: [&str; 2] = ["next-segment-a.wal.tmp", "next-segment-b.wal.tmp"];
/// Where a segment is rewritten before it takes the place of the old one.
pub const REWRITE_NAME: &str = "rewritten-segment.wal.tmp";
/// Where a snapshot is written before it is named.
pub const SNAPSHOT_TEMPORARY_NAME: &str = "next-snapshot.snap.tmp";

/// Tags of records.
pub mod record_tag {
    /// [`ipse_core::Change::WorkspaceCreated`].
    pub const WORKSPACE_CREATED: u64 = 1;
    /// [`ipse_core::Change::RulesSet`].
    pub const RULES_SET: u64 = 2;
    /// [`ipse_core::Change::EventResolved`] of an event that was seen and has no extra.
    pub const EVENT_RESOLVED: u64 = 3;
    /// Any other [`ipse_core::Change::EventResolved`].
    pub const COMMAND_RESOLVED: u64 = 4;
    /// [`ipse_core::Change::Erased`].
    pub const ERASED: u64 = 5;
    /// [`ipse_core::Change::ErasureCompleted`].
    pub const ERASURE_COMPLETED: u64 = 6;
    /// [`ipse_core::Change::WorkspaceDeleted`].
    pub const WORKSPACE_DELETED: u64 = 7;
    /// [`ipse_core::Change::Gone`].
    pub const GONE: u64 = 8;
    /// [`ipse_core::Change::Expired`].
    pub const EXPIRED: u64 = 9;
}

/// Tags of snapshot parts.
pub mod part_tag {
    /// [`ipse_core::snapshot::WorkspacePart`].
    pub const WORKSPACE: u64 = 1;
    /// [`ipse_core::snapshot::ProfilesPart`].
    pub const PROFILES: u64 = 2;
    /// [`ipse_core::snapshot::IdentifiersPart`].
    pub const IDENTIFIERS: u64 = 3;
    /// [`ipse_core::snapshot::LinksPart`].
    pub const LINKS: u64 = 4;
    /// [`ipse_core::snapshot::HoldersPart`].
    pub const HOLDERS: u64 = 5;
    /// [`ipse_core::snapshot::EvidencePart`].
    pub const EVIDENCE: u64 = 6;
    /// [`ipse_core::snapshot::AttributionsPart`].
    pub const ATTRIBUTIONS: u64 = 7;
    /// [`ipse_core::snapshot::DeparturesPart`].
    pub const DEPARTURES: u64 = 8;
    /// [`ipse_core::snapshot::TraitsPart`].
    pub const TRAITS: u64 = 9;
    /// [`ipse_core::snapshot::RememberedEventsPart`].
    pub const REMEMBERED_EVENTS: u64 = 10;
    /// [`ipse_core::snapshot::RememberedRefusalsPart`].
    pub const REMEMBERED_REFUSALS: u64 = 11;
    /// [`ipse_core::snapshot::PartingsPart`].
    pub const PARTINGS: u64 = 12;
    /// [`ipse_core::snapshot::SuppressionsPart`].
    pub const SUPPRESSIONS: u64 = 13;
    /// [`ipse_core::snapshot::ErasuresPart`].
    pub const ERASURES: u64 = 14;
    /// [`ipse_core::snapshot::PendingErasuresPart`].
    pub const PENDING_ERASURES: u64 = 15;
    /// [`ipse_core::snapshot::LastSeenPart`].
    pub const LAST_SEEN: u64 = 16;
    /// [`ipse_core::snapshot::AnonymousSeenPart`].
    pub const ANONYMOUS_SEEN: u64 = 17;
    /// Where the log has records, [`crate::codec::SnapshotPart::Positions`].
    pub const POSITIONS: u64 = 18;
    /// [`ipse_core::snapshot::PastHoldingsPart`].
    pub const PAST_HOLDINGS: u64 = 19;
    /// [`ipse_core::snapshot::PastEdgesPart`].
    pub const PAST_EDGES: u64 = 20;
    /// [`ipse_core::snapshot::TimelinePart`].
    pub const TIMELINE: u64 = 21;
}

/// Name of a segment's file.
pub fn segment_name(number: u64) -> String {
    format!("segment-{number:012}.wal")
}

/// The number in a segment's file name.
pub fn segment_number(name: &str) -> Option<u64> {
    let number = digits(name.strip_prefix("segment-")?.strip_suffix(".wal")?)?;
    (segment_name(number) == name).then_some(number)
}

/// Name of a snapshot's file.
pub fn snapshot_name(log_position: u64) -> String {
    format!("snapshot-{log_position:020}.snap")
}

/// The log position in a snapshot's file name.
pub fn snapshot_position(name: &str) -> Option<u64> {
    let position = digits(name.strip_prefix("snapshot-")?.strip_suffix(".snap")?)?;
    (snapshot_name(position) == name).then_some(position)
}

/// Name of the file that keeps a torn tail.
pub fn torn_name(segment: u64, offset: u64) -> String {
    format!("segment-{segment:012}-{offset:020}.torn")
}

/// The next multiple of [`ALIGNMENT`].
pub fn aligned(length: usize) -> usize {
    length.next_multiple_of(ALIGNMENT)
}

fn digits(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_and_nothing_else_is() {
        assert_eq!(segment_name(7), "segment-000000000007.wal");
        assert_eq!(segment_number("segment-000000000007.wal"), Some(7));
        assert_eq!(snapshot_position(&snapshot_name(u64::MAX)), Some(u64::MAX));
        for name in [
            "segment-7.wal",
            "segment-+00000000007.wal",
            "segment-000000000007.wal.tmp",
            "segment-.wal",
            "LOCK",
            "",
        ] {
            assert_eq!(segment_number(name), None, "{name}");
        }
        assert_eq!(snapshot_position("snapshot-1.snap"), None);
    }
}
