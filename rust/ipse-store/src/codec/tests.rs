use std::borrow::Cow;

use ipse_core::change::RulesVersion;
use ipse_core::rules::RulesText;
use ipse_core::snapshot::{
    IdentifiersPart, LinksPart, Part, ProfilesPart, RememberedEventsPart, RememberedRefusalsPart,
    TraitsPart, WorkspacePart,
};
use ipse_core::{Change, EventResolved, ObservedIdentifier, Record, SequenceNumber, TraitSet};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::*;

fn text() -> impl Strategy<Value = Cow<'static, str>> {
    prop_oneof![
        Just(Cow::Borrowed("")),
        "[a-z@.é日]{1,40}".prop_map(Cow::Owned),
        "[a-z]{250,300}".prop_map(Cow::Owned),
    ]
}

fn time() -> impl Strategy<Value = Timestamp> {
    (Timestamp::MIN.as_millis()..=Timestamp::MAX.as_millis())
        .prop_map(|millis| Timestamp::from_millis(millis).expect("within range"))
}

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![0..300u64, any::<u64>()]
}

fn profile() -> impl Strategy<Value = ProfileNumber> {
    any::<u32>().prop_map(ProfileNumber)
}

fn target() -> impl Strategy<Value = Target> {
    prop_oneof![
        Just(Target::Unresolved),
        profile().prop_map(Target::Created),
        profile().prop_map(Target::Found),
        (profile(), vec(profile(), 0..20))
            .prop_map(|(survivor, absorbed)| Target::Merged { survivor, absorbed }),
    ]
}

fn reason() -> impl Strategy<Value = Reason> {
    let limit = (option::of(text()), any::<u32>()).prop_map(|(namespace, value)| PassedLimit {
        namespace: namespace.map(|name| name.into_owned().into_boxed_str()),
        value,
    });
    (0..RULES.len(), option::of(limit), option::of(profile()))
        .prop_map(|(rule, limit, collided)| Reason { rule: RULES[rule], limit, collided })
}

fn verdict() -> impl Strategy<Value = Verdict> {
    prop_oneof![
        Just(Verdict::Attached),
        Just(Verdict::AlreadyAttached),
        reason().prop_map(Verdict::Dropped),
        reason().prop_map(Verdict::Refused),
    ]
}

fn trait_value() -> impl Strategy<Value = Option<TraitValue<'static>>> {
    let finite = any::<f64>().prop_filter("finite", |number| number.is_finite());
    prop_oneof![
        Just(None),
        text().prop_map(|text| Some(TraitValue::Text(text))),
        any::<i64>().prop_map(|number| Some(TraitValue::Integer(number))),
        finite.prop_map(|number| Some(TraitValue::Number(number))),
        any::<bool>().prop_map(|value| Some(TraitValue::Bool(value))),
        text().prop_map(|text| Some(TraitValue::Json(text))),
    ]
}

fn identifier() -> impl Strategy<Value = ObservedIdentifier<'static>> {
    (text(), text(), option::of(text()), verdict()).prop_map(|(namespace, value, raw, verdict)| {
        ObservedIdentifier { namespace, value, raw, verdict }
    })
}

fn event() -> impl Strategy<Value = EventResolved<'static>> {
    let strings = (text(), text(), text(), text());
    let numbers = (any::<u128>(), time(), any::<u32>(), option::of(profile()));
    let traits = (text(), trait_value()).prop_map(|(name, value)| TraitSet { name, value });
    (strings, numbers, target(), vec(identifier(), 0..20), vec(traits, 0..20)).prop_map(
        |(strings, numbers, target, identifiers, traits)| EventResolved {
            event_id: strings.0,
            digest: numbers.0,
            kind: strings.1,
            source: strings.2,
            timestamp: numbers.1,
            rules_version: RulesVersion(numbers.2),
            named_profile: numbers.3,
            key_namespace: strings.3,
            target,
            identifiers,
            traits,
        },
    )
}

fn record() -> impl Strategy<Value = Record<'static>> {
    let change = prop_oneof![
        (text(), any::<[u8; 16]>(), text()).prop_map(|(name, profile_key, rules)| {
            Change::WorkspaceCreated { name, profile_key, rules: RulesText::unparsed(rules) }
        }),
        (any::<u32>(), text()).prop_map(|(version, rules)| Change::RulesSet {
            version: RulesVersion(version),
            rules: RulesText::unparsed(rules),
        }),
        event().prop_map(Change::EventResolved),
    ];
    (number(), time(), change).prop_map(|(sequence, log_time, change)| Record {
        sequence: SequenceNumber(sequence),
        log_time,
        change,
    })
}

fn strings() -> impl Strategy<Value = Vec<String>> {
    vec(text().prop_map(Cow::into_owned), 3)
}

fn part() -> impl Strategy<Value = Part> {
    let workspace = (strings(), any::<[u8; 16]>(), time(), number(), any::<u32>(), any::<u128>());
    let sequences = || vec(number(), 3);
    let numbers = || vec(any::<u32>(), 3);
    let times = || vec(any::<i64>(), 3);
    prop_oneof![
        workspace.prop_map(|(names, profile_key, time, sequence, version, state_hash)| {
            Part::Workspace(WorkspacePart {
                name: names[0].clone(),
                profile_key,
                created_time: time,
                sequence: SequenceNumber(sequence),
                log_time: time,
                rules_version: RulesVersion(version),
                rules: names[1].clone(),
                namespaces: names,
                state_hash,
            })
        }),
        (numbers(), sequences(), numbers(), sequences(), times()).prop_map(
            |(parent, merged_sequence, bearer, created_sequence, created_time)| {
                Part::Profiles(ProfilesPart {
                    parent,
                    merged_sequence,
                    bearer,
                    created_sequence,
                    created_time,
                })
            }
        ),
        (vec(any::<u16>(), 3), strings(), numbers(), sequences(), times()).prop_map(
            |(namespace, value, profile, attached_sequence, attached_time)| {
                Part::Identifiers(IdentifiersPart {
                    namespace,
                    value,
                    profile,
                    attached_sequence,
                    attached_time,
                })
            }
        ),
        (numbers(), numbers(), sequences()).prop_map(|(stronger, weaker, sequence)| Part::Links(
            LinksPart { stronger, weaker, sequence }
        )),
        (numbers(), strings(), vec(trait_value(), 3), times(), sequences()).prop_map(
            |(profile, name, value, time, sequence)| {
                Part::Traits(TraitsPart { profile, name, value, time, sequence })
            }
        ),
        (
            strings(),
            vec(any::<u128>(), 3),
            (sequences(), times(), numbers()),
            vec(any::<bool>(), 3),
            vec(target(), 3),
            vec(vec(verdict(), 0..5), 3)
        )
            .prop_map(
                |(
                    event_id,
                    digest,
                    (sequence, log_time, rules_version),
                    known,
                    target,
                    verdicts,
                )| {
                    Part::RememberedEvents(RememberedEventsPart {
                        event_id,
                        digest,
                        sequence,
                        log_time,
                        rules_version,
                        known,
                        target,
                        verdicts,
                    })
                }
            ),
        sequences().prop_map(|hash| Part::RememberedRefusals(RememberedRefusalsPart { hash })),
    ]
}

fn encoded(workspace: u32, record: &Record<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_record(&mut bytes, workspace, record);
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
        let mut bytes = Vec::new();
        encode_part(&mut bytes, workspace, &part);
        let size = bytes.len();
        prop_assert_eq!(decode_part(&bytes), Ok((workspace, part, size)));
    }

    #[test]
    fn a_cut_record_is_refused(record in record(), cut: prop::sample::Index) {
        let bytes = encoded(0, &record);
        prop_assert!(decode_record(&bytes[..cut.index(bytes.len())]).is_err());
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
