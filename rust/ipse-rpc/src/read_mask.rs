//! Which fields of a profile a caller reads. What is not asked for is not computed.

use prost_types::FieldMask;

use crate::status::{Status, quoted};

/// Fields of `Profile`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ReadMask(u32);

/// A field of `Profile`, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    ProfileId = 1,
    Known = 2,
    CreatedTime = 3,
    Identifiers = 4,
    IdentifierCount = 5,
    Traits = 6,
    AbsorbedProfileIds = 7,
    MergeCount = 8,
    NextPageToken = 9,
    CanonicalId = 10,
    ChangedSequenceNumber = 11,
    Attributions = 12,
    FormerIds = 13,
    TraitsSetLater = 14,
}

const FIELDS: [(&str, Field); 14] = [
    ("profile_id", Field::ProfileId),
    ("known", Field::Known),
    ("created_time", Field::CreatedTime),
    ("identifiers", Field::Identifiers),
    ("identifier_count", Field::IdentifierCount),
    ("traits", Field::Traits),
    ("absorbed_profile_ids", Field::AbsorbedProfileIds),
    ("merge_count", Field::MergeCount),
    ("next_page_token", Field::NextPageToken),
    ("canonical_id", Field::CanonicalId),
    ("changed_sequence_number", Field::ChangedSequenceNumber),
    ("attributions", Field::Attributions),
    ("former_ids", Field::FormerIds),
    ("traits_set_later", Field::TraitsSetLater),
];

impl ReadMask {
    /// Every field.
    pub(crate) const ALL: ReadMask = ReadMask(u32::MAX);

    /// Reads a request's mask: absent or without paths, it means every field. The id is always
    /// read, and whoever reads identifiers reads where they go on.
    pub(crate) fn read(mask: Option<&FieldMask>) -> Result<ReadMask, Status> {
        let paths = mask.map_or(&[][..], |mask| &mask.paths);
        if paths.is_empty() {
            return Ok(ReadMask::ALL);
        }
        let mut fields = ReadMask(0);
        for (at, path) in paths.iter().enumerate() {
            let known = FIELDS.iter().find(|(name, _)| name == path);
            let (_, field) = known.ok_or_else(|| {
                let problem = format!("Profile has no field {}", quoted(path));
                Status::invalid_field(format!("read_mask.paths[{at}]"), problem)
            })?;
            fields.add(*field);
        }
        fields.add(Field::ProfileId);
        if fields.has(Field::Identifiers) {
            fields.add(Field::NextPageToken);
        }
        Ok(fields)
    }

    /// Whether a field is read.
    pub(crate) fn has(self, field: Field) -> bool {
        self.0 & (1 << field as u32) != 0
    }

    fn add(&mut self, field: Field) {
        self.0 |= 1 << field as u32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mask(paths: &[&str]) -> Result<ReadMask, Status> {
        let paths = paths.iter().map(|&path| path.to_owned()).collect();
        ReadMask::read(Some(&FieldMask { paths }))
    }

    #[test]
    fn no_mask_is_every_field() {
        assert_eq!(ReadMask::read(None), Ok(ReadMask::ALL));
        assert_eq!(mask(&[]), Ok(ReadMask::ALL));
        assert!(FIELDS.iter().all(|&(_, field)| ReadMask::ALL.has(field)));
    }

    #[test]
    fn only_what_is_named_is_read() {
        let traits = mask(&["traits", "traits"]).expect("a field");
        let read: Vec<_> = FIELDS.iter().filter(|(_, field)| traits.has(*field)).collect();
        assert_eq!(read, [&("profile_id", Field::ProfileId), &("traits", Field::Traits)]);
        assert!(mask(&["identifiers"]).expect("a field").has(Field::NextPageToken));
    }

    #[test]
    fn a_name_that_is_no_field_is_refused() {
        for bad in ["", "Traits", "traits.name", "identifiers[0]", "*"] {
            let status = mask(&["known", bad]).expect_err("no field");
            assert!(status.message().starts_with("read_mask.paths[1]: Profile has no"), "{bad}");
        }
    }
}
