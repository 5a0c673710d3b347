//! A record that stands on its own, apart from the request that it was made from.

use std::borrow::Cow;

use crate::change::{
    EventResolved, Extra, IgnoredTrait, LinkPair, Move, ObservedIdentifier, TraitSet,
};
use crate::event::TraitValue;

impl EventResolved<'_> {
    /// The same, on its own.
    pub fn to_static(&self) -> EventResolved<'static> {
        EventResolved {
            event_id: owned(&self.event_id),
            digest: self.digest,
            verb: self.verb,
            kind: owned(&self.kind),
            source: owned(&self.source),
            timestamp: self.timestamp,
            rules_version: self.rules_version,
            named_profile: self.named_profile,
            key_namespace: owned(&self.key_namespace),
            target: self.target.clone(),
            identifiers: self.identifiers.iter().map(identifier).collect(),
            traits: self.traits.iter().map(trait_set).collect(),
            extra: self.extra.as_deref().map(|parts| Box::new(extra(parts))),
        }
    }
}

fn extra(extra: &Extra<'_>) -> Extra<'static> {
    let displaced = |pair: &LinkPair<'_>| LinkPair {
        a: (owned(&pair.a.0), owned(&pair.a.1)),
        b: (owned(&pair.b.0), owned(&pair.b.1)),
    };
    Extra {
        marks_known: extra.marks_known,
        sources: extra.sources,
        moves: extra.moves.iter().map(moved).collect(),
        displaced: extra.displaced.iter().map(displaced).collect(),
        merges: extra.merges.clone(),
        reverted: extra.reverted.clone(),
        attribution: extra.attribution.clone(),
        imported: extra.imported.clone(),
        ignored_traits: extra.ignored_traits.iter().map(ignored_trait).collect(),
    }
}

fn ignored_trait(ignored: &IgnoredTrait<'_>) -> IgnoredTrait<'static> {
    IgnoredTrait { name: owned(&ignored.name), reason: ignored.reason }
}

fn identifier(observed: &ObservedIdentifier<'_>) -> ObservedIdentifier<'static> {
    ObservedIdentifier {
        namespace: owned(&observed.namespace),
        value: owned(&observed.value),
        raw: observed.raw.as_deref().map(owned),
        verdict: observed.verdict.clone(),
    }
}

fn trait_set(set: &TraitSet<'_>) -> TraitSet<'static> {
    TraitSet { name: owned(&set.name), value: set.value.as_ref().map(TraitValue::to_static) }
}

fn moved(moved: &Move<'_>) -> Move<'static> {
    Move {
        namespace: owned(&moved.namespace),
        value: owned(&moved.value),
        from: moved.from,
        to: moved.to,
        cause: moved.cause,
    }
}

fn owned(text: &str) -> Cow<'static, str> {
    Cow::Owned(text.to_owned())
}
