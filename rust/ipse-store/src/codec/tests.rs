mod parts;
mod records;

use ipse_core::change::{RulesVersion, Verb};
use ipse_core::rules::RulesText;
use ipse_core::snapshot::PART_ROWS_MAX;
use ipse_core::{Change, EventResolved, Record, SequenceNumber};
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use parts::part;
use records::record;

fn encoded(workspace: u32, record: &Record<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_record(&mut bytes, workspace, record);
    bytes
}

fn encoded_part(workspace: u32, part: &SnapshotPart) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_part(&mut bytes, workspace, part);
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_record_is_decoded_as_it_was_encoded(workspace: u32, record in record(), rest: [u8; 3]) {
        let mut bytes = encoded(workspace, &record);
        let size = bytes.len();
        bytes.extend_from_slice(&rest);
        prop_assert_eq!(decode_record(&bytes), Ok((workspace, record, size)));
    }

    #[test]
    fn a_part_is_decoded_as_it_was_encoded(workspace: u32, part in part()) {
        let bytes = encoded_part(workspace, &part);
        let size = bytes.len();
        prop_assert_eq!(decode_part(&bytes), Ok((workspace, part, size)));
    }

    #[test]
    fn a_cut_record_is_refused(record in record(), cut: prop::sample::Index) {
        let bytes = encoded(0, &record);
        prop_assert!(decode_record(&bytes[..cut.index(bytes.len())]).is_err());
    }

    #[test]
    fn a_cut_part_is_refused(part in part(), cut: prop::sample::Index) {
        let bytes = encoded_part(0, &part);
        prop_assert!(decode_part(&bytes[..cut.index(bytes.len())]).is_err());
    }

    #[test]
    fn a_changed_part_is_no_panic(part in part(), place: prop::sample::Index, byte: u8) {
        let mut bytes = encoded_part(0, &part);
        let place = place.index(bytes.len());
        bytes[place] = byte;
        if let Ok((workspace, part, _)) = decode_part(&bytes) {
            let again = encoded_part(workspace, &part);
            let decoded = decode_part(&again).map(|(_, part, _)| part);
            prop_assert_eq!(decoded, Ok(part));
        }
    }

    #[test]
    fn noise_is_no_panic(bytes in vec(any::<u8>(), 0..200)) {
        let _ = decode_record(&bytes);
        let _ = decode_part(&bytes);
    }

    #[test]
    fn a_changed_record_is_no_panic(
        record in record(), place: prop::sample::Index, byte: u8,
    ) {
        let mut bytes = encoded(0, &record);
        let place = place.index(bytes.len());
        bytes[place] = byte;
        if let Ok((workspace, record, size)) = decode_record(&bytes) {
            let mut again = Vec::new();
            encode_record(&mut again, workspace, &record);
            let decoded = decode_record(&again).map(|(_, record, _)| record);
            prop_assert_eq!(decoded, Ok(record));
            prop_assert!(size <= bytes.len());
        }
    }
}

#[test]
fn strings_are_borrowed() {
    let record = Record {
        sequence: SequenceNumber(1),
        log_time: Timestamp::MIN,
        change: Change::RulesSet { version: RulesVersion(2), rules: RulesText::unparsed("rules") },
    };
    let bytes = encoded(0, &record);
    let (_, decoded, _) = decode_record(&bytes).expect("whole");
    let Change::RulesSet { rules, .. } = &decoded.change else {
        panic!("another change: {decoded:?}")
    };
    // Borrowed: the text still lies in the bytes that were decoded.
    assert!(bytes.as_ptr_range().contains(&rules.text().as_ptr()));
}

#[test]
fn what_is_wrong_is_named() {
    let cases: [(&[u8], &str); 8] = [
        (&[], "record is cut short"),
        (&[0x93, 0, 1, 0], "record is too short"),
        (&[0xc0], "record is not an array"),
        (&[0xdd, 0xff, 0xff, 0xff, 0xff], "record is longer than the bytes that are left"),
        (
            &[0x94, 0, 1, 0, 9],
            "record is of kind 9 with 0 fields, which this program does not know",
        ),
        (
            &[0x94, 0, 1, 0, 2],
            "record is of kind 2 with 0 fields, which this program does not know",
        ),
        (&[0x96, 0, 1, 0, 2, 1, 0xa1, 0xff], "rules is not UTF-8"),
        (&[0x96, 0, 1, 0, 2, 0xff, 0xa0], "rules version is negative"),
    ];
    for (bytes, problem) in cases {
        assert_eq!(decode_record(bytes).expect_err("malformed").problem, problem, "{bytes:?}");
    }
}

#[test]
fn a_length_that_lies_allocates_little() {
    // An event whose list of identifiers claims as many items as there are bytes.
    let mut bytes = vec![0x9f, 0, 1, 0, 3, 0xa0, 0xc0, 0xa0, 0xa0, 0, 1, 0xc0, 0xa0, 0x91, 0];
    bytes.extend_from_slice(&[0xdd, 0x00, 0x10, 0x00, 0x00]);
    bytes.resize(bytes.len() + (2 << 20), 0xc0);
    let error = decode_record(&bytes).expect_err("nil is no identifier");
    assert_eq!(error.problem, "identifier is not an array");
}

/// The bytes of a record of workspace 0 whose event has the given verb and extra.
fn with_extra(verb: u8, extra: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0xdc, 0, 17, 0, 1, 0, 4, 0xa0, 0xc0, 0xa0, 0xa0, 0, 1, 0xc0, 0xa0];
    bytes.extend_from_slice(&[0x91, 0, 0x90, 0x90, verb]);
    bytes.extend_from_slice(extra);
    bytes
}

#[test]
fn a_plain_event_has_no_fields_for_what_it_lacks() {
    let event = |verb, extra| EventResolved {
        event_id: Cow::Borrowed(""),
        digest: 0,
        verb,
        kind: Cow::Borrowed(""),
        source: Cow::Borrowed(""),
        timestamp: Timestamp::MIN,
        rules_version: RulesVersion(1),
        named_profile: None,
        key_namespace: Cow::Borrowed(""),
        target: Target::Unresolved,
        identifiers: Vec::new(),
        traits: Vec::new(),
        extra,
    };
    let size = |verb, extra| {
        let change = Change::EventResolved(event(verb, extra));
        let record = Record { sequence: SequenceNumber(1), log_time: Timestamp::MIN, change };
        encoded(0, &record).len()
    };
    let plain = size(Verb::Observe, None);
    // The array's longer head, the verb and the extra.
    assert_eq!(size(Verb::Login, None), plain + 2 + 1 + 1);
    assert_eq!(size(Verb::Observe, Some(Box::default())), plain + 2 + 1 + 10);
}

#[test]
fn what_is_wrong_with_a_command_is_named() {
    let known: &[u8] = &[0x99, 0xc2, 0];
    let cases: [(u8, &[&[u8]], &str); 13] = [
        (11, &[&[0xc0]], "verb is of an unknown number"),
        (1, &[&[0x90]], "extra is of 0 fields, not 9"),
        (1, &[&[0x99, 0]], "marks known is not true or false"),
        (1, &[&[0x99, 0xc2, 0xcd, 1, 0]], "sources is over 8 bits"),
        (
            6,
            &[known, &[0x91, 0x95, 0xa0, 0xa0, 1, 0xc0, 5]],
            "cause of a move is of an unknown number",
        ),
        (0, &[known, &[0x90, 0x91, 0x92, 0xa0, 0xa0]], "displaced link is of 2 fields, not 4"),
        (5, &[known, &[0x90, 0x90, 0x91, 0x92, 1, 4]], "merge verdict is of an unknown kind"),
        (5, &[known, &[0x90, 0x90, 0x91, 0x92, 1, 0x90]], "merge verdict is empty"),
        (5, &[known, &[0x90, 0x90, 0x91, 0x92, 1, 0x94, 3, 27]], "rule is of an unknown number"),
        (9, &[known, &[0x90, 0x90, 0x90, 0x91, 0x92, 1, 2]], "merge undone is of 2 fields, not 3"),
        (
            7,
            &[known, &[0x90, 0x90, 0x90, 0x90, 0x93, 1, 2, 3]],
            "attribution is of 3 fields, not 5",
        ),
        (8, &[known, &[0x90, 0x90, 0x90, 0x90, 0xc0, 0x90]], "import is of 0 fields, not 3"),
        (
            0,
            &[known, &[0x90, 0x90, 0x90, 0x90, 0xc0, 0xc0, 0x91, 0x92, 0xa1, b'a', 4]],
            "reason of an ignored trait is of an unknown number",
        ),
    ];
    for (verb, extra, problem) in cases {
        let mut bytes = with_extra(verb, &extra.concat());
        bytes.extend_from_slice(&[0xc1; 16]);
        assert_eq!(decode_record(&bytes).expect_err("malformed").problem, problem, "{bytes:?}");
    }
    let whole = with_extra(5, &[known, &[0x90, 0x90, 0x90, 0x90, 0xc0, 0xc0, 0x90]].concat());
    assert!(decode_record(&whole).is_ok());
}

#[test]
fn rows_that_take_a_byte_each_are_bounded() {
    let rows = PART_ROWS_MAX + 1;
    let mut bytes = vec![0x9f, 0, 10];
    bytes.extend_from_slice(&[0x90; 12]);
    bytes.push(0xdc);
    bytes.extend_from_slice(&u16::try_from(rows).expect("a short part").to_be_bytes());
    bytes.resize(bytes.len() + rows, 0xc0);
    let error = decode_part(&bytes).expect_err("too many");
    assert_eq!(error.problem, "records is longer than 16384");
}
