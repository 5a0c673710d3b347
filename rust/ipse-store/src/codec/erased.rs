//! Erasures: in records, and in the parts of a snapshot.

use ipse_core::SequenceNumber;
use ipse_core::change::{Erased, ErasedIdentifier, ErasureCompleted, WorkspaceDeleted};
use ipse_core::snapshot::{ErasuresPart, PendingErasuresPart};

use super::msgpack::{Malformed, Reader, Writer};
use super::part::{read_i64s, read_u8s, read_u32s, read_u64s, write_ints, write_uints};
use super::{read_digest, read_optional, read_profile, write_digest, write_optional};

/// Fields of [`Erased`].
pub(super) const ERASED_FIELDS: usize = 6;
/// Fields of [`ErasureCompleted`].
pub(super) const COMPLETED_FIELDS: usize = 4;
/// Fields of [`WorkspaceDeleted`].
pub(super) const DELETED_FIELDS: usize = 5;
/// Columns of [`ErasuresPart`].
pub(super) const RECEIPT_COLUMNS: usize = 11;
/// Columns of [`PendingErasuresPart`].
pub(super) const PENDING_COLUMNS: usize = 3;

pub(super) fn write_erased(out: &mut Writer<'_>, erased: &Erased) {
    write_digest(out, erased.operation);
    write_digest(out, erased.digest);
    out.list(&erased.profiles, |out, profile| out.uint(u64::from(profile.0)));
    out.list(&erased.identifiers, write_identifier);
    out.uint(u64::from(erased.traits));
    out.bool(erased.suppress);
}

pub(super) fn read_erased(input: &mut Reader<'_>) -> Result<Erased, Malformed> {
    Ok(Erased {
        operation: read_digest(input)?,
        digest: read_digest(input)?,
        profiles: input.list("erased profiles", read_profile)?,
        identifiers: input.list("erased identifiers", read_identifier)?,
        traits: input.uint32("erased traits")?,
        suppress: input.bool("suppress")?,
    })
}

fn write_identifier(out: &mut Writer<'_>, identifier: &ErasedIdentifier) {
    out.array(2);
    write_optional(out, identifier.row, |out, row| out.uint(u64::from(row)));
    write_digest(out, identifier.hash);
}

fn read_identifier(input: &mut Reader<'_>) -> Result<ErasedIdentifier, Malformed> {
    input.fixed_array("erased identifier", 2)?;
    let row = read_optional(input, |input| input.uint32("row"))?;
    Ok(ErasedIdentifier { row, hash: read_digest(input)? })
}

pub(super) fn write_deleted(out: &mut Writer<'_>, deleted: &WorkspaceDeleted) {
    out.bytes(&deleted.key);
    write_digest(out, deleted.operation);
    write_digest(out, deleted.digest);
    out.uint(u64::from(deleted.profiles));
    out.uint(u64::from(deleted.identifiers));
}

pub(super) fn read_deleted(input: &mut Reader<'_>) -> Result<WorkspaceDeleted, Malformed> {
    Ok(WorkspaceDeleted {
        key: input.bytes16("key")?,
        operation: read_digest(input)?,
        digest: read_digest(input)?,
        profiles: input.uint32("deleted profiles")?,
        identifiers: input.uint32("deleted identifiers")?,
    })
}

pub(super) fn write_completed(out: &mut Writer<'_>, completed: &ErasureCompleted) {
    out.uint(completed.erasure.0);
    out.uint(u64::from(completed.segments));
    out.uint(completed.records);
    out.uint(u64::from(completed.files));
}

pub(super) fn read_completed(input: &mut Reader<'_>) -> Result<ErasureCompleted, Malformed> {
    Ok(ErasureCompleted {
        erasure: SequenceNumber(input.uint("erasure")?),
        segments: input.uint32("segments")?,
        records: input.uint("records")?,
        files: input.uint32("files")?,
    })
}

pub(super) fn write_hashes(out: &mut Writer<'_>, column: &[u128]) {
    out.list(column, |out, hash| write_digest(out, *hash));
}

pub(super) fn read_hashes(input: &mut Reader<'_>) -> Result<Vec<u128>, Malformed> {
    input.list("hash", read_digest)
}

pub(super) fn write_receipts(out: &mut Writer<'_>, part: &ErasuresPart) {
    write_uints(out, &part.sequence);
    write_ints(out, &part.time);
    write_hashes(out, &part.operation);
    write_hashes(out, &part.digest);
    write_uints(out, &part.profiles);
    write_uints(out, &part.identifiers);
    write_uints(out, &part.traits);
    write_uints(out, &part.flags);
    write_uints(out, &part.segments);
    write_uints(out, &part.records);
    write_uints(out, &part.files);
}

pub(super) fn read_receipts(input: &mut Reader<'_>) -> Result<ErasuresPart, Malformed> {
    Ok(ErasuresPart {
        sequence: read_u64s(input, "erasure")?,
        time: read_i64s(input, "erasure's time")?,
        operation: read_hashes(input)?,
        digest: read_hashes(input)?,
        profiles: read_u32s(input, "erased profiles")?,
        identifiers: read_u32s(input, "erased identifiers")?,
        traits: read_u32s(input, "erased traits")?,
        flags: read_u8s(input, "flags of an erasure")?,
        segments: read_u32s(input, "segments")?,
        records: read_u64s(input, "records")?,
        files: read_u32s(input, "files")?,
    })
}

pub(super) fn write_pending(out: &mut Writer<'_>, part: &PendingErasuresPart) {
    write_uints(out, &part.sequence);
    out.list(&part.profiles, |out, profiles| write_uints(out, profiles));
    out.list(&part.identifiers, |out, identifiers| out.list(identifiers, write_identifier));
}

pub(super) fn read_pending(input: &mut Reader<'_>) -> Result<PendingErasuresPart, Malformed> {
    Ok(PendingErasuresPart {
        sequence: read_u64s(input, "pending erasure")?,
        profiles: input.list("erased profiles", |input| read_u32s(input, "erased profile"))?,
        identifiers: input.list("erased identifiers", |input| {
            input.list("erased identifiers", read_identifier)
        })?,
    })
}
