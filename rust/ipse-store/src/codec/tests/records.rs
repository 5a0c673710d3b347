//! Records of any content: what is well formed, not what is possible.

use std::borrow::Cow;

use ipse_core::change::{
    Expired, ExpiredIdentifier, Extra, HistoryAttribution, IgnoredTrait, Imported, LinkPair,
    MergeVerdict, Move, MoveCause, PassedLimit, ProfileNumber, Reason, RevertedMerge, Rule,
    RulesVersion, SourceMerge, Target, TraitReason, Verb, Verdict,
};
use ipse_core::rules::RulesText;
use ipse_core::{
    Change, EventResolved, ObservedIdentifier, Record, SequenceNumber, Timestamp, TraitSet,
    TraitValue,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

pub(super) fn text() -> impl Strategy<Value = Cow<'static, str>> {
    prop_oneof![
        Just(Cow::Borrowed("")),
        "[a-z@.é日]{1,40}".prop_map(Cow::Owned),
        "[a-z]{250,300}".prop_map(Cow::Owned),
    ]
}

pub(super) fn time() -> impl Strategy<Value = Timestamp> {
    (Timestamp::MIN.as_millis()..=Timestamp::MAX.as_millis())
        .prop_map(|millis| Timestamp::from_millis(millis).expect("within range"))
}

pub(super) fn number() -> impl Strategy<Value = u64> {
    prop_oneof![0..300u64, any::<u64>()]
}

pub(super) fn profile() -> impl Strategy<Value = ProfileNumber> {
    any::<u32>().prop_map(ProfileNumber)
}

pub(super) fn target() -> impl Strategy<Value = Target> {
    prop_oneof![
        Just(Target::Unresolved),
        profile().prop_map(Target::Created),
        profile().prop_map(Target::Found),
        (profile(), vec(profile(), 0..20))
            .prop_map(|(survivor, absorbed)| Target::Merged { survivor, absorbed }),
    ]
}

pub(super) fn reason() -> impl Strategy<Value = Reason> {
    let limit = (option::of(text()), any::<u32>()).prop_map(|(namespace, value)| PassedLimit {
        namespace: namespace.map(|name| name.into_owned().into_boxed_str()),
        value,
    });
    (select(&Rule::ALL[..]), option::of(limit), option::of(profile()))
        .prop_map(|(rule, limit, collided)| Reason { rule, limit, collided })
}

pub(super) fn verdict() -> impl Strategy<Value = Verdict> {
    prop_oneof![
        Just(Verdict::Attached),
        Just(Verdict::AlreadyAttached),
        reason().prop_map(Verdict::Dropped),
        reason().prop_map(Verdict::Refused),
        profile().prop_map(|from| Verdict::Transferred { from }),
        Just(Verdict::Removed),
    ]
}

pub(super) fn trait_value() -> impl Strategy<Value = Option<TraitValue<'static>>> {
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

pub(super) fn identifier() -> impl Strategy<Value = ObservedIdentifier<'static>> {
    (text(), text(), option::of(text()), verdict()).prop_map(|(namespace, value, raw, verdict)| {
        ObservedIdentifier { namespace, value, raw, verdict }
    })
}

const VERBS: [Verb; 11] = [
    Verb::Revert,
    Verb::Deny,
    Verb::Observe,
    Verb::Login,
    Verb::Logout,
    Verb::Link,
    Verb::Modify,
    Verb::Merge,
    Verb::Split,
    Verb::AttributeHistory,
    Verb::Import,
];

fn name() -> impl Strategy<Value = (Cow<'static, str>, Cow<'static, str>)> {
    (text(), text())
}

fn moved() -> impl Strategy<Value = Move<'static>> {
    let causes = [
        MoveCause::Displaced,
        MoveCause::Evicted,
        MoveCause::Split,
        MoveCause::Reverted,
        MoveCause::RevertedShared,
    ];
    (name(), profile(), option::of(profile()), select(causes.to_vec())).prop_map(
        |((namespace, value), from, to, cause)| Move { namespace, value, from, to, cause },
    )
}

fn merge() -> impl Strategy<Value = SourceMerge> {
    let verdict = prop_oneof![
        Just(MergeVerdict::Merged),
        Just(MergeVerdict::AlreadyMerged),
        Just(MergeVerdict::NotFound),
        reason().prop_map(MergeVerdict::Refused),
    ];
    (option::of(profile()), verdict).prop_map(|(profile, verdict)| SourceMerge { profile, verdict })
}

fn reverted() -> impl Strategy<Value = RevertedMerge> {
    (profile(), profile(), any::<u64>()).prop_map(|(absorbed, survivor, merged)| RevertedMerge {
        absorbed,
        survivor,
        merged: SequenceNumber(merged),
    })
}

fn attribution() -> impl Strategy<Value = HistoryAttribution> {
    (profile(), profile(), time(), time(), option::of(select(&Rule::ALL[..]))).prop_map(
        |(source, destination, start, end, refused)| HistoryAttribution {
            source,
            destination,
            start,
            end,
            refused,
        },
    )
}

fn imported() -> impl Strategy<Value = Imported> {
    (time(), vec(time(), 0..20), vec(time(), 0..20)).prop_map(
        |(created_time, identifier_times, trait_times)| Imported {
            created_time,
            identifier_times,
            trait_times,
        },
    )
}

fn extra() -> impl Strategy<Value = Extra<'static>> {
    let pair = (name(), name()).prop_map(|(a, b)| LinkPair { a, b });
    let merges = (vec(merge(), 0..20), vec(reverted(), 0..20));
    let lists = (vec(moved(), 0..20), vec(pair, 0..20), merges);
    let options = (option::of(attribution()), option::of(imported()), vec(ignored(), 0..20));
    (any::<bool>(), any::<u8>(), lists, options).prop_map(
        |(
            marks_known,
            sources,
            (moves, displaced, (merges, reverted)),
            (attribution, imported, ignored),
        )| {
            Extra {
                marks_known,
                sources,
                moves,
                displaced,
                merges,
                reverted,
                attribution,
                imported,
                ignored_traits: ignored,
            }
        },
    )
}

fn ignored() -> impl Strategy<Value = IgnoredTrait<'static>> {
    (text(), trait_reason()).prop_map(|(name, reason)| IgnoredTrait { name, reason })
}

pub(super) fn trait_reason() -> impl Strategy<Value = TraitReason> {
    select(vec![
        TraitReason::Older,
        TraitReason::SetAlready,
        TraitReason::Unresolved,
        TraitReason::Ceiling,
    ])
}

pub(super) fn event() -> impl Strategy<Value = EventResolved<'static>> {
    let strings = (text(), text(), text(), text());
    let numbers = (any::<u128>(), time(), any::<u32>(), option::of(profile()));
    let traits = (text(), trait_value()).prop_map(|(name, value)| TraitSet { name, value });
    let lists = (vec(identifier(), 0..20), vec(traits, 0..20));
    // Half are plain: those are written in a form of their own.
    let command = (select(VERBS.to_vec()), option::of(extra().prop_map(Box::new)));
    let command = prop_oneof![Just((Verb::Observe, None)), command];
    (strings, numbers, target(), lists, command).prop_map(
        |(strings, numbers, target, (identifiers, traits), (verb, extra))| EventResolved {
            event_id: strings.0,
            digest: numbers.0,
            verb,
            kind: strings.1,
            source: strings.2,
            timestamp: numbers.1,
            rules_version: RulesVersion(numbers.2),
            named_profile: numbers.3,
            key_namespace: strings.3,
            target,
            identifiers,
            traits,
            extra,
        },
    )
}

fn expired() -> impl Strategy<Value = ExpiredIdentifier<'static>> {
    (any::<u32>(), name(), vec(profile(), 0..3), time()).prop_map(
        |(row, (namespace, value), profiles, last_seen)| ExpiredIdentifier {
            row,
            namespace,
            value,
            profiles,
            last_seen,
        },
    )
}

pub(super) fn record() -> impl Strategy<Value = Record<'static>> {
    let change = prop_oneof![
        (text(), any::<[u8; 16]>(), text()).prop_map(|(name, profile_key, rules)| {
            Change::WorkspaceCreated { name, profile_key, rules: RulesText::unparsed(rules) }
        }),
        (any::<u32>(), text()).prop_map(|(version, rules)| Change::RulesSet {
            version: RulesVersion(version),
            rules: RulesText::unparsed(rules),
        }),
        event().prop_map(Change::EventResolved),
        vec(expired(), 0..20).prop_map(|identifiers| Change::Expired(Expired { identifiers })),
    ];
    (number(), time(), change).prop_map(|(sequence, log_time, change)| Record {
        sequence: SequenceNumber(sequence),
        log_time,
        change,
    })
}
