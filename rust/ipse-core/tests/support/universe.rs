//! Random commands over a handful of identifiers of any rules, so that everything collides
//! with everything: values used again, garbage, times out of order, ids that come twice.
//! What they should come to is not said here.

use ipse_core::change::{ProfileNumber, Verb};
use ipse_core::command::{
    AttributeHistory, DenyLink, ForceLink, IdentifierChange, ImportProfile, ImportedIdentifier,
    ImportedTrait, MergeProfiles, ModifyIdentifiers, Operation, RevertMerge, SplitProfile, Taken,
};
use ipse_core::{
    Decision, Event, Graph, Refusal, Rules, SentIdentifier, SentTrait, Timestamp, TraitValue,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::timestamp;

/// 2021-01-01T00:00:00Z.
const FIRST_MS: i64 = 1_609_459_200_000;
const HALF_DAY_MS: i64 = 43_200_000;
/// Few enough that they meet, and never more than rules name.
const NAMESPACES_MAX: usize = 6;
const IDS: [&str; 9] = ["", "", "", "", "e1", "e2", "e3", "e4", "e5"];
const TRAITS: [&str; 2] = ["city", "visits"];
/// Random versions of 4, as some guards demand.
const UUIDS: [&str; 3] = [
    "11111111-1111-4111-8111-111111111111",
    "22222222-2222-4222-8222-222222222222",
    "33333333-3333-4333-8333-333333333333",
];

/// A command, or a passage of the graph through a snapshot.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    Event(Event<'static>),
    Modify(ModifyIdentifiers<'static>),
    Merge(MergeProfiles<'static>),
    Split(SplitProfile<'static>),
    Revert(RevertMerge<'static>),
    Deny(DenyLink<'static>),
    Force(ForceLink<'static>),
    Attribute(AttributeHistory<'static>),
    Import(ImportProfile<'static>),
    Reload,
}

/// The identifiers and namespaces that commands of some rules draw from.
#[derive(Clone, Debug)]
pub(crate) struct Universe {
    identifiers: Vec<SentIdentifier<'static>>,
    namespaces: Vec<&'static str>,
}

impl Universe {
    /// The most telling namespaces of rules: those with a role first.
    pub(crate) fn of(rules: &Rules) -> Universe {
        let mut chosen: Vec<_> = rules.namespaces().iter().collect();
        chosen.sort_by_key(|n| {
            let has_role = n.login || n.exclusive || n.immutable || n.sha256_of.is_some();
            (!has_role && n.pair_limits.is_empty(), n.shared, n.priority)
        });
        let shared = chosen.iter().position(|n| n.shared);
        let others = chosen.len().min(NAMESPACES_MAX);
        if let Some(first) = shared.filter(|first| *first >= others) {
            chosen.swap(first, others - 1);
        }
        let namespaces: Vec<&'static str> =
            chosen.iter().take(NAMESPACES_MAX).map(|n| &*String::from(&*n.name).leak()).collect();
        let identifiers = namespaces.iter().flat_map(|name| values(name, namespaces.len()));
        let garbage = ["null", "0", "", " "].map(|value| sent(namespaces[0], value));
        let unknown = [sent("ghost", "boo")];
        Universe { identifiers: identifiers.chain(garbage).chain(unknown).collect(), namespaces }
    }

    /// Everything that several universes hold.
    pub(crate) fn joined(universes: &[Universe]) -> Universe {
        let mut joined = Universe { identifiers: Vec::new(), namespaces: Vec::new() };
        for universe in universes {
            let new = |sent: &&SentIdentifier<'static>| !joined.identifiers.contains(*sent);
            let fresh: Vec<_> = universe.identifiers.iter().filter(new).take(8).cloned().collect();
            joined.identifiers.extend(fresh);
            joined.namespaces.extend(&universe.namespaces);
        }
        joined
    }

    /// A course of commands.
    pub(crate) fn acts(&self, count: usize) -> impl Strategy<Value = Vec<Act>> + use<> {
        vec(self.act(), 1..count)
    }

    pub(crate) fn act(&self) -> BoxedStrategy<Act> {
        prop_oneof![
            14 => self.event().prop_map(Act::Event),
            2 => self.modify().prop_map(Act::Modify),
            2 => self.merge().prop_map(Act::Merge),
            1 => self.split().prop_map(Act::Split),
            1 => attribute().prop_map(Act::Attribute),
            2 => self.import().prop_map(Act::Import),
            1 => Just(Act::Reload),
        ]
        .boxed()
    }

    /// A course in which people take apart and put together what rules did not.
    pub(crate) fn corrected_acts(&self, count: usize) -> impl Strategy<Value = Vec<Act>> + use<> {
        let act = prop_oneof![
            6 => self.act(),
            2 => revert().prop_map(Act::Revert),
            1 => self.two().prop_map(|(operation, identifiers)| {
                Act::Deny(DenyLink { operation, identifiers })
            }),
            1 => self.two().prop_map(|(operation, identifiers)| {
                Act::Force(ForceLink { operation, identifiers })
            }),
        ];
        vec(act, 1..count)
    }

    pub(crate) fn identifier(&self) -> impl Strategy<Value = SentIdentifier<'static>> + use<> {
        select(self.identifiers.clone())
    }

    fn event(&self) -> BoxedStrategy<Event<'static>> {
        let verb = prop_oneof![
            6 => Just(Verb::Observe),
            2 => Just(Verb::Login),
            1 => Just(Verb::Logout),
            2 => Just(Verb::Link),
        ];
        let key = prop_oneof![6 => Just(""), 1 => select(self.namespaces.clone())];
        let whole = (select(&IDS), verb, time(), option::weighted(0.06, profile()), key);
        let seen = (vec(self.identifier(), 0..5), vec(self.identifier(), 1..3));
        (whole, seen, any::<bool>(), traits())
            .prop_map(
                |((event_id, verb, timestamp, profile, key), (ids, sources), force, traits)| {
                    let joins = matches!(verb, Verb::Login | Verb::Link);
                    Event {
                        event_id,
                        verb,
                        kind: "track",
                        source: "app",
                        timestamp: Some(timestamp),
                        profile,
                        key_namespace: key,
                        identifiers: ids,
                        sources: if joins { sources } else { Vec::new() },
                        force: joins && force,
                        traits,
                    }
                },
            )
            .boxed()
    }

    fn modify(&self) -> BoxedStrategy<ModifyIdentifiers<'static>> {
        let change = (self.identifier(), option::weighted(0.7, self.identifier()), any::<bool>());
        let change = change.prop_map(|(first, second, takes_first)| {
            let namespace = first.namespace;
            let other = second.map(|second| second.value);
            let (old, new) = match takes_first {
                true => (other, Some(first.value)),
                false => (Some(first.value), other),
            };
            IdentifierChange { namespace, old, new }
        });
        (operation(), profile(), vec(change, 1..3))
            .prop_map(|(operation, profile, changes)| ModifyIdentifiers {
                operation,
                profile,
                changes,
            })
            .boxed()
    }

    fn merge(&self) -> BoxedStrategy<MergeProfiles<'static>> {
        (operation(), profile(), vec(option::weighted(0.95, profile()), 1..3), any::<bool>())
            .prop_map(|(operation, target, sources, force)| MergeProfiles {
                operation,
                target,
                sources,
                force,
            })
            .boxed()
    }

    /// Half of these name what the profile does not hold, and are refused as a whole.
    fn split(&self) -> BoxedStrategy<SplitProfile<'static>> {
        let taken = prop_oneof![
            2 => vec(self.identifier(), 1..3).prop_map(Taken::These),
            1 => self.identifier().prop_map(Taken::AllBut),
        ];
        (operation(), profile(), taken, any::<bool>())
            .prop_map(|(operation, profile, taken, together)| SplitProfile {
                operation,
                profile,
                taken,
                together,
            })
            .boxed()
    }

    fn two(
        &self,
    ) -> impl Strategy<Value = (Operation<'static>, [SentIdentifier<'static>; 2])> + use<> {
        (operation(), [self.identifier(), self.identifier()])
    }

    fn import(&self) -> BoxedStrategy<ImportProfile<'static>> {
        let identifier = (self.identifier(), option::of(time()));
        let identifiers =
            vec(identifier.prop_map(|(sent, time)| ImportedIdentifier { sent, time }), 0..4);
        let traits = (traits(), option::of(time())).prop_map(|(traits, time)| {
            traits.into_iter().map(|sent| ImportedTrait { sent, time }).collect()
        });
        let former = select(&["", "f1", "f2", "f3"]);
        (former, option::of(time()), any::<bool>(), identifiers, traits)
            .prop_map(|(former_id, created_time, known, identifiers, traits)| ImportProfile {
                source: "export",
                former_id: former_id.into(),
                created_time,
                known,
                identifiers,
                traits,
            })
            .boxed()
    }
}

/// Decides a command; `None` if there is nothing to decide.
pub(crate) fn decide(
    graph: &Graph,
    act: &Act,
    now: Timestamp,
) -> Option<Result<Decision<'static>, Refusal>> {
    let fingerprint = format!("{act:?}");
    let stamped = |operation: &Operation<'static>| Operation {
        fingerprint: fingerprint.as_bytes(),
        ..operation.clone()
    };
    Some(match act {
        Act::Event(event) => graph.decide(event, now).map(owned),
        Act::Modify(command) => {
            let operation = stamped(&command.operation);
            let command = ModifyIdentifiers { operation, ..command.clone() };
            graph.decide_modify(&command, now).map(owned)
        }
        Act::Merge(command) => {
            let operation = stamped(&command.operation);
            // A caller's id that was never given out comes as no number.
            let there = |source: &ProfileNumber| graph.profile(*source).is_some();
            let sources = command.sources.iter().map(|source| source.filter(there)).collect();
            let command = MergeProfiles { operation, sources, ..command.clone() };
            graph.decide_merge(&command, now).map(owned)
        }
        Act::Split(command) => {
            let operation = stamped(&command.operation);
            let command = SplitProfile { operation, ..command.clone() };
            graph.decide_split(&command, now).map(owned)
        }
        Act::Revert(command) => {
            let operation = stamped(&command.operation);
            graph.decide_revert(&RevertMerge { operation, ..command.clone() }, now).map(owned)
        }
        Act::Deny(command) => {
            let operation = stamped(&command.operation);
            graph.decide_deny(&DenyLink { operation, ..command.clone() }, now).map(owned)
        }
        Act::Force(command) => {
            let operation = stamped(&command.operation);
            graph.decide_force(&ForceLink { operation, ..command.clone() }, now).map(owned)
        }
        Act::Attribute(command) => {
            let operation = stamped(&command.operation);
            let command = AttributeHistory { operation, ..command.clone() };
            graph.decide_attribution(&command, now).map(owned)
        }
        Act::Import(command) => graph.decide_import(command, now).map(owned),
        Act::Reload => return None,
    })
}

fn owned(decision: Decision<'_>) -> Decision<'static> {
    let Decision { resolved, known, teaches, repeated, attributed_by, rests_on } = decision;
    Decision { resolved: resolved.to_static(), known, teaches, repeated, attributed_by, rests_on }
}

fn values(namespace: &'static str, namespaces: usize) -> Vec<SentIdentifier<'static>> {
    let count = if namespaces < 3 { 5 } else { 3 };
    // No two namespaces have a value in common, so that a canonical id means one profile.
    let plain = (1..=count).map(|n| {
        let value: &str = match namespace {
            "email" => format!("e{n}@example.com").leak(),
            _ => format!("{namespace}-{n}").leak(),
        };
        sent(namespace, value)
    });
    let uuids = UUIDS.iter().map(|uuid| sent(namespace, uuid));
    plain.chain(uuids.filter(|_| namespaces < 3)).collect()
}

fn sent(namespace: &'static str, value: &'static str) -> SentIdentifier<'static> {
    SentIdentifier::new(namespace, value)
}

fn operation() -> impl Strategy<Value = Operation<'static>> {
    (select(&IDS), option::weighted(0.8, time())).prop_map(|(operation_id, timestamp)| Operation {
        operation_id,
        fingerprint: b"",
        source: "desk",
        timestamp,
    })
}

fn profile() -> impl Strategy<Value = ProfileNumber> {
    (1..7u32).prop_map(ProfileNumber)
}

/// Times fall on half days of a fortnight: many are equal, many are late.
fn time() -> impl Strategy<Value = Timestamp> {
    (0..28i64).prop_map(|half_days| timestamp::at_millis(FIRST_MS + half_days * HALF_DAY_MS))
}

fn traits() -> impl Strategy<Value = Vec<SentTrait<'static>>> {
    let value = prop_oneof![
        3 => (0..5i64).prop_map(|n| Some(TraitValue::Integer(n))),
        1 => select(&["Kyiv", "Lviv"]).prop_map(|text| Some(TraitValue::Text(text.into()))),
        1 => Just(None),
    ];
    (subsequence(&TRAITS, 0..=1), value, any::<bool>()).prop_map(|(names, value, set_once)| {
        let set = |name: &str| SentTrait {
            name: name.to_owned().into(),
            value: value.clone(),
            set_once: set_once && value.is_some(),
        };
        names.into_iter().map(set).collect()
    })
}

fn revert() -> impl Strategy<Value = RevertMerge<'static>> {
    (operation(), profile(), any::<bool>()).prop_map(|(operation, absorbed, chain)| RevertMerge {
        operation,
        absorbed,
        chain,
    })
}

fn attribute() -> impl Strategy<Value = AttributeHistory<'static>> {
    (operation(), profile(), profile(), time(), time()).prop_map(
        |(operation, history_of, destination, start, end)| AttributeHistory {
            operation,
            history_of,
            destination,
            start,
            end,
        },
    )
}
