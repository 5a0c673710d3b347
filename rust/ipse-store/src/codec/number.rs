//! The core's enums without fields as the numbers that stand for them on disk.
//!
//! A number is given once and for all: a variant may be renamed or moved in the core, and
//! a new one gets a new number. The matches are exhaustive, so that none can be forgotten.

use ipse_core::change::{MoveCause, Rule, TraitReason, Verb};

use super::msgpack::{Malformed, Reader};

/// Writes both directions of one table.
macro_rules! numbers {
    ($what:literal, $type:ty, $to:ident, $read:ident { $($number:literal $variant:path),+ $(,)? }) => {
        pub(super) fn $to(value: $type) -> u64 {
            match value {
                $($variant => $number,)+
            }
        }

        pub(super) fn $read(input: &mut Reader<'_>) -> Result<$type, Malformed> {
            match input.uint($what)? {
                $($number => Ok($variant),)+
                _ => Err(input.malformed($what, "of an unknown number")),
            }
        }
    };
}

numbers!("verb", Verb, verb_number, read_verb {
    0 Verb::Observe,
    1 Verb::Login,
    2 Verb::Logout,
    3 Verb::Link,
    4 Verb::Modify,
    5 Verb::Merge,
    6 Verb::Split,
    7 Verb::AttributeHistory,
    8 Verb::Import,
    9 Verb::Revert,
    10 Verb::Deny,
});

numbers!("cause of a move", MoveCause, cause_number, read_cause {
    0 MoveCause::Displaced,
    1 MoveCause::Evicted,
    2 MoveCause::Split,
    3 MoveCause::Reverted,
    4 MoveCause::RevertedShared,
});

numbers!("reason of an ignored trait", TraitReason, trait_reason_number, read_trait_reason {
    0 TraitReason::Older,
    1 TraitReason::SetAlready,
    2 TraitReason::Unresolved,
    3 TraitReason::Ceiling,
});

numbers!("rule", Rule, rule_number, read_rule {
    1 Rule::UnknownNamespace,
    2 Rule::InvalidValue,
    3 Rule::BlockedValue,
    4 Rule::ValueLimit,
    5 Rule::ValueTimeLimit,
    6 Rule::MergeLimit,
    7 Rule::IdentifierLimit,
    8 Rule::Immutable,
    9 Rule::HeldElsewhere,
    10 Rule::ExclusiveOwner,
    11 Rule::KnownSource,
    12 Rule::SourceShape,
    13 Rule::SourceUsed,
    14 Rule::NoTarget,
    15 Rule::PairLimit,
    16 Rule::MovedLimit,
    17 Rule::HolderLimit,
    18 Rule::AmbiguousEvent,
    19 Rule::Displaced,
    20 Rule::DeniedLink,
    21 Rule::NotAttached,
    22 Rule::AttributionOverlap,
    23 Rule::AttributionChain,
    24 Rule::AttributionOff,
    25 Rule::Suppressed,
    26 Rule::Ceiling,
});
