//! The generated code is the judge: same bytes accepted, same values found.

use proptest::collection::vec;
use proptest::prelude::*;
use prost::Message as _;

use super::*;
use crate::proto::v1;
use crate::request_import::{ImportProfiles, ImportedIdentifier, ImportedProfile, ImportedTrait};

impl Event<'_> {
    fn to_generated(&self) -> v1::Event {
        v1::Event {
            event_id: self.event_id.to_owned(),
            r#type: self.kind.to_owned(),
            timestamp: self.timestamp,
            source: self.source.to_owned(),
            profile_id: self.profile_id.to_owned(),
            key_namespace: self.key_namespace.to_owned(),
            identifiers: self.identifiers.iter().map(to_generated).collect(),
            traits: self.traits.iter().map(Trait::to_generated).collect(),
            raw_json: self.raw_json.to_vec(),
        }
    }
}

fn to_generated(sent: &SentIdentifier<'_>) -> v1::Identifier {
    v1::Identifier { namespace: sent.namespace.to_string(), value: sent.value.to_string() }
}

impl ImportedProfile<'_> {
    fn to_generated(&self) -> v1::ImportedProfile {
        let identifier = |sent: &ImportedIdentifier<'_>| v1::ImportedIdentifier {
            identifier: sent.identifier.as_ref().map(to_generated),
            attached_time: sent.attached_time,
        };
        let set = |sent: &ImportedTrait<'_>| v1::ImportedTrait {
            r#trait: sent.sent.as_ref().map(Trait::to_generated),
            set_time: sent.set_time,
        };
        v1::ImportedProfile {
            former_id: self.former_id.to_owned(),
            created_time: self.created_time,
            known: self.known,
            identifiers: self.identifiers.iter().map(identifier).collect(),
            traits: self.traits.iter().map(set).collect(),
        }
    }
}

impl Trait<'_> {
    fn to_generated(&self) -> v1::Trait {
        use v1::r#trait::Value;
        let value = self.value.as_ref().map(|value| match value {
            TraitValue::Text(text) => Value::StringValue(text.to_string()),
            TraitValue::Integer(number) => Value::IntegerValue(*number),
            TraitValue::Number(number) => Value::NumberValue(*number),
            TraitValue::Bool(flag) => Value::BoolValue(*flag),
            TraitValue::Json(text) => Value::JsonValue(text.to_string()),
        });
        v1::Trait { name: self.name.to_owned(), value, set_once: self.set_once }
    }
}

/// One message, read in both ways. Compares as bytes: a number that is none is not equal to
/// itself.
fn check_one<'a, B: Message<'a>, G: prost::Message + Default + std::fmt::Debug>(
    bytes: &'a [u8],
    to_generated: impl FnOnce(B) -> G,
) -> Result<(), TestCaseError> {
    let generated = G::decode(bytes).ok();
    let borrowed = read::<B>(bytes).ok().map(to_generated);
    prop_assert_eq!(
        borrowed.as_ref().map(prost::Message::encode_to_vec),
        generated.as_ref().map(prost::Message::encode_to_vec),
        "{:?}",
        generated
    );
    Ok(())
}

fn check(bytes: &[u8]) -> Result<(), TestCaseError> {
    check_one(bytes, |request: ResolveEvents<'_>| v1::ResolveEventsRequest {
        workspace: request.workspace.to_owned(),
        events: request.events.iter().map(Event::to_generated).collect(),
        read_only: request.read_only,
    })?;
    check_one(bytes, |request: ResolveEvent<'_>| v1::ResolveEventRequest {
        workspace: request.workspace.to_owned(),
        event: request.event.as_ref().map(Event::to_generated),
        read_only: request.read_only,
    })?;
    check_one(bytes, |request: JoinSources<'_>| v1::LoginRequest {
        workspace: request.workspace.to_owned(),
        event: request.event.as_ref().map(Event::to_generated),
        anonymous_identifiers: request.sources.iter().map(to_generated).collect(),
        force: request.force,
        read_only: request.read_only,
    })?;
    check_one(bytes, |request: ImportProfiles<'_>| v1::ImportProfilesRequest {
        workspace: request.workspace.to_owned(),
        profiles: request.profiles.iter().map(ImportedProfile::to_generated).collect(),
        source: request.source.to_owned(),
        read_only: request.read_only,
    })
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z@.ж]{0,12}", "x{120,140}"]
}

fn a_trait() -> impl Strategy<Value = v1::Trait> {
    use v1::r#trait::Value;
    let value = prop_oneof![
        text().prop_map(Value::StringValue),
        any::<i64>().prop_map(Value::IntegerValue),
        any::<u64>().prop_map(|bits| Value::NumberValue(f64::from_bits(bits))),
        any::<bool>().prop_map(Value::BoolValue),
        text().prop_map(Value::JsonValue),
    ];
    (text(), proptest::option::of(value), any::<bool>())
        .prop_map(|(name, value, set_once)| v1::Trait { name, value, set_once })
}

fn event() -> impl Strategy<Value = v1::Event> {
    let identifier =
        (text(), text()).prop_map(|(namespace, value)| v1::Identifier { namespace, value });
    let time = (any::<i64>(), any::<i32>())
        .prop_map(|(seconds, nanos)| prost_types::Timestamp { seconds, nanos });
    let texts = (text(), text(), text(), text(), text());
    let lists = (vec(identifier, 0..4), vec(a_trait(), 0..4), vec(any::<u8>(), 0..4));
    (texts, proptest::option::of(time), lists).prop_map(|(texts, timestamp, lists)| v1::Event {
        event_id: texts.0,
        r#type: texts.1,
        timestamp,
        source: texts.2,
        profile_id: texts.3,
        key_namespace: texts.4,
        identifiers: lists.0,
        traits: lists.1,
        raw_json: lists.2,
    })
}

fn request() -> impl Strategy<Value = Vec<u8>> {
    (text(), vec(event(), 0..4), any::<bool>()).prop_map(|(workspace, events, read_only)| {
        v1::ResolveEventsRequest { workspace, events, read_only }.encode_to_vec()
    })
}

fn imported() -> impl Strategy<Value = Vec<u8>> {
    let time = || {
        let time = (any::<i64>(), any::<i32>())
            .prop_map(|(seconds, nanos)| prost_types::Timestamp { seconds, nanos });
        proptest::option::of(time)
    };
    let identifier = (text(), text(), time()).prop_map(|(namespace, value, attached_time)| {
        let identifier = Some(v1::Identifier { namespace, value });
        v1::ImportedIdentifier { identifier, attached_time }
    });
    let set = (proptest::option::of(a_trait()), time())
        .prop_map(|(r#trait, set_time)| v1::ImportedTrait { r#trait, set_time });
    let profile = (text(), time(), any::<bool>(), vec(identifier, 0..4), vec(set, 0..4)).prop_map(
        |(former_id, created_time, known, identifiers, traits)| v1::ImportedProfile {
            former_id,
            created_time,
            known,
            identifiers,
            traits,
        },
    );
    (text(), vec(profile, 0..4), text(), any::<bool>()).prop_map(
        |(workspace, profiles, source, read_only)| {
            v1::ImportProfilesRequest { workspace, profiles, source, read_only }.encode_to_vec()
        },
    )
}

fn push_varint(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn field(number: u32, kind: u32, value: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    push_varint(u64::from(number << 3 | kind), &mut out);
    if kind == 2 {
        push_varint(value.len() as u64, &mut out);
    }
    out.extend_from_slice(value);
    out
}

/// Fields of any number and kind, nested in each other: all but the values is well formed.
fn fields() -> impl Strategy<Value = Vec<u8>> {
    let varint = any::<u64>().prop_map(|number| {
        let mut out = Vec::new();
        push_varint(number, &mut out);
        out
    });
    let leaf = prop_oneof![
        (0..11_u32, varint).prop_map(|(number, value)| field(number, 0, &value)),
        (0..11_u32, vec(any::<u8>(), 8)).prop_map(|(number, value)| field(number, 1, &value)),
        (0..11_u32, text()).prop_map(|(number, value)| field(number, 2, value.as_bytes())),
        (0..11_u32, vec(any::<u8>(), 4)).prop_map(|(number, value)| field(number, 5, &value)),
        (0..8_u32).prop_map(|kind| field(1, kind, &[])),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        let body = vec(inner, 0..6).prop_map(|fields| fields.concat());
        prop_oneof![
            3 => (prop_oneof![Just(2_u32), Just(3), Just(7), Just(8), 0..11_u32], body.clone())
                .prop_map(|(number, body)| field(number, 2, &body)),
            1 => (1..20_u32, 1..20_u32, any::<bool>(), body).prop_map(|(begin, other, good, body)| {
                let end = if good { begin } else { other };
                [field(begin, 3, &body), field(end, 4, &[])].concat()
            }),
        ]
    })
}

proptest! {
    #[test]
    fn requests_are_read_as_the_generated_code_reads_them(bytes in request()) {
        prop_assert!(read::<ResolveEvents<'_>>(&bytes).is_ok());
        check(&bytes)?;
    }

    #[test]
    fn imports_are_read_as_the_generated_code_reads_them(bytes in imported()) {
        prop_assert!(read::<ImportProfiles<'_>>(&bytes).is_ok());
        check(&bytes)?;
    }

    #[test]
    fn damaged_requests_are_read_or_refused_as_by_the_generated_code(
        bytes in prop_oneof![request(), imported()],
        damage in vec((any::<prop::sample::Index>(), any::<u8>(), 0..3_u8), 1..4),
    ) {
        let mut bytes = bytes;
        for (at, byte, how) in damage {
            if bytes.is_empty() {
                break;
            }
            let at = at.index(bytes.len());
            match how {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ => bytes.truncate(at),
            }
        }
        check(&bytes)?;
    }

    #[test]
    fn strange_fields_are_read_or_refused_as_by_the_generated_code(all in vec(fields(), 0..4)) {
        check(&all.concat())?;
    }

    #[test]
    fn bytes_are_read_or_refused_as_by_the_generated_code(bytes in vec(any::<u8>(), 0..40)) {
        check(&bytes)?;
    }
}

#[test]
fn the_edges_are_those_of_the_generated_code() {
    let groups = |depth: usize, inner: &[u8]| {
        [vec![0x63; depth], inner.to_vec(), vec![0x64; depth]].concat()
    };
    let mut cases: Vec<Vec<u8>> = vec![
        // Numbers: ten bytes, an eleventh, a bit too many, needless zeros, none.
        [&[0x18], [0xff; 9].as_slice(), &[0x01]].concat(),
        [&[0x18], [0xff; 10].as_slice(), &[0x01]].concat(),
        [&[0x18], [0xff; 9].as_slice(), &[0x02]].concat(),
        vec![0x18, 0x80, 0x80, 0x00],
        vec![0x18],
        // Keys: number 0, more than 32 bits, kinds 6 and 7, the highest number.
        vec![0x00, 0x00],
        vec![0x98, 0x80, 0x80, 0x80, 0x10, 0x00],
        vec![0x66, 0x00],
        vec![0x67, 0x00],
        vec![0xf8, 0xff, 0xff, 0xff, 0x0f, 0x00],
        // A length that passes the end of the message around it.
        vec![0x12, 0x02, 0x0a, 0x05, 0x61, 0x61, 0x61, 0x61, 0x61],
        // An event in two pieces: merged, if there is to be one.
        [field(2, 2, &field(1, 2, b"id")), field(2, 2, &field(2, 2, b"track"))].concat(),
        field(2, 2, &[field(3, 2, &[8, 5]), field(3, 2, &[16, 6])].concat()),
        field(1, 2, b"\xff"),
    ];
    for depth in 97..=102 {
        cases.push(groups(depth, &[]));
        cases.push(groups(depth, &[0x68, 0x00]));
        cases.push(field(2, 2, &groups(depth, &[0x68, 0x00])));
        cases.push(field(2, 2, &field(7, 2, &groups(depth, &[]))));
    }
    for case in cases {
        check(&case).unwrap_or_else(|error| panic!("{case:?}: {error}"));
    }
}

#[test]
fn events_that_may_not_be_sent_take_no_room() {
    let bytes = field(2, 2, &[]).repeat(2 * EVENTS_MAX);
    let request: ResolveEvents<'_> = read(&bytes).expect("well formed");
    assert_eq!((request.events.len(), request.event_count), (EVENTS_MAX, 2 * EVENTS_MAX));
    assert!(read::<ResolveEvents<'_>>(&[&bytes[..], &[0xff]].concat()).is_err());
}
