//! Which parts a record of each verb has. Looks at the record alone.

use crate::change::{
    EventResolved, Extra, HistoryAttribution, IgnoredTrait, Imported, MergeVerdict, MoveCause,
    RevertedMerge, SourceMerge, Target, TraitReason, Verb, Verdict,
};
use crate::limits::{
    COMMAND_SOURCES_MAX, EVENT_IDENTIFIERS_MAX, EVENT_TRAITS_MAX, IMPORT_IDENTIFIERS_MAX,
    MODIFY_CHANGES_MAX, RECORD_DISPLACED_MAX, RECORD_MOVES_MAX, REVERTED_MERGES_MAX,
    SPLIT_IDENTIFIERS_MAX, TRAIT_NAME_BYTES_MAX,
};

use super::{Checked, ensure, ensure_kept, fail};

/// Refuses a record whose parts do not go with its verb.
pub(super) fn check(event: &EventResolved<'_>) -> Checked {
    let identifiers = event.identifiers.len();
    ensure(identifiers <= identifiers_max(event.verb), || format!("{identifiers} identifiers"))?;
    check_target(event)?;
    let is_command = !matches!(event.verb, Verb::Observe | Verb::Login | Verb::Logout | Verb::Link);
    ensure(event.traits.is_empty() || !is_command || event.verb == Verb::Import, || {
        format!("a {:?} sets traits", event.verb)
    })?;
    match &event.extra {
        Some(extra) => check_extra(event, extra),
        None => match event.verb {
            Verb::AttributeHistory => fail("an attribution of history that attributes none"),
            Verb::Revert => fail("a revert that undoes nothing"),
            Verb::Import => fail("an import without what it imported"),
            _ => Ok(()),
        },
    }
}

/// A namespace may have a second one of hashes: every identifier may stand there again.
fn identifiers_max(verb: Verb) -> usize {
    match verb {
        Verb::Observe | Verb::Logout => 2 * EVENT_IDENTIFIERS_MAX,
        Verb::Login | Verb::Link => 2 * (EVENT_IDENTIFIERS_MAX + COMMAND_SOURCES_MAX),
        Verb::Modify => 4 * MODIFY_CHANGES_MAX,
        Verb::Import => 2 * IMPORT_IDENTIFIERS_MAX + 1,
        Verb::Deny => 2,
        Verb::Merge | Verb::Split | Verb::AttributeHistory | Verb::Revert => 0,
    }
}

fn check_target(event: &EventResolved<'_>) -> Checked {
    let possible = match event.verb {
        Verb::Observe | Verb::Login | Verb::Logout | Verb::Link => true,
        Verb::Modify | Verb::Split | Verb::AttributeHistory | Verb::Revert | Verb::Deny => {
            matches!(event.target, Target::Found(_))
        }
        Verb::Merge => matches!(event.target, Target::Found(_) | Target::Merged { .. }),
        Verb::Import => matches!(event.target, Target::Found(_) | Target::Created(_)),
    };
    ensure(possible, || format!("a {:?} whose target is {:?}", event.verb, event.target))?;
    let removes = event.identifiers.iter().any(|observed| observed.verdict == Verdict::Removed);
    ensure(!removes || event.verb == Verb::Modify, || format!("a {:?} removes", event.verb))
}

fn check_extra(event: &EventResolved<'_>, extra: &Extra<'_>) -> Checked {
    let verb = event.verb;
    let sources = usize::from(extra.sources);
    ensure(sources <= event.identifiers.len(), || {
        format!("{sources} sources of fewer identifiers")
    })?;
    ensure(sources == 0 || matches!(verb, Verb::Login | Verb::Link), || {
        format!("a {verb:?} with sources")
    })?;
    ensure(!extra.marks_known || event.target != Target::Unresolved, || {
        "it marks nobody known".to_owned()
    })?;
    check_moves(event, extra)?;
    let displaced = extra.displaced.len();
    ensure(displaced <= RECORD_DISPLACED_MAX, || format!("{displaced} displaced links"))?;
    check_merges(event, &extra.merges)?;
    check_reverted(event, &extra.reverted)?;
    check_ignored(event, &extra.ignored_traits)?;
    match (verb, &extra.attribution) {
        (Verb::AttributeHistory, Some(attribution)) => check_attribution(event, attribution)?,
        (Verb::AttributeHistory, None) => fail("an attribution of history that attributes none")?,
        (_, Some(_)) => fail(&format!("a {verb:?} that attributes history"))?,
        (_, None) => {}
    }
    match (verb, &extra.imported) {
        (Verb::Import, Some(imported)) => check_imported(event, imported),
        (Verb::Import, None) => fail("an import without what it imported"),
        (_, Some(_)) => fail(&format!("a {verb:?} that imports")),
        (_, None) => Ok(()),
    }
}

fn check_moves(event: &EventResolved<'_>, extra: &Extra<'_>) -> Checked {
    let moves = extra.moves.len();
    let bound = match event.verb {
        Verb::Split => SPLIT_IDENTIFIERS_MAX,
        Verb::AttributeHistory => 0,
        _ => RECORD_MOVES_MAX,
    };
    ensure(moves <= bound, || format!("{moves} moves"))?;
    ensure(moves == 0 || event.target != Target::Unresolved, || {
        "identifiers move for an event of nobody".to_owned()
    })?;
    for moved in &extra.moves {
        let verb_of_cause = match moved.cause {
            MoveCause::Split => Some(Verb::Split),
            MoveCause::Reverted | MoveCause::RevertedShared => Some(Verb::Revert),
            MoveCause::Displaced | MoveCause::Evicted => None,
        };
        let takes_apart = matches!(event.verb, Verb::Split | Verb::Revert);
        let fits = verb_of_cause == takes_apart.then_some(event.verb);
        ensure(fits, || format!("a {:?} moves an identifier: {:?}", event.verb, moved.cause))?;
        let from_target = Some(moved.from) == event.target.profile() && moved.to.is_some();
        ensure(!takes_apart || from_target, || {
            "taken apart from another profile, or to none".to_owned()
        })?;
        let evicts = moved.cause == MoveCause::Evicted;
        ensure(!evicts || moved.to.is_none(), || {
            "an evicted identifier moves to a profile".to_owned()
        })?;
    }
    Ok(())
}

fn check_ignored(event: &EventResolved<'_>, ignored: &[IgnoredTrait<'_>]) -> Checked {
    let has_traits = matches!(
        event.verb,
        Verb::Observe | Verb::Login | Verb::Logout | Verb::Link | Verb::Import
    );
    ensure(ignored.is_empty() || has_traits, || format!("a {:?} ignores traits", event.verb))?;
    let count = ignored.len();
    ensure(count <= EVENT_TRAITS_MAX, || format!("{count} ignored traits"))?;
    for trait_ignored in ignored {
        let bytes = trait_ignored.name.len();
        ensure((1..=TRAIT_NAME_BYTES_MAX).contains(&bytes), || {
            format!("an ignored trait's name has {bytes} bytes")
        })?;
        let is_nobodys = event.target == Target::Unresolved;
        ensure(is_nobodys == (trait_ignored.reason == TraitReason::Unresolved), || {
            format!("a trait is ignored because of {:?}", trait_ignored.reason)
        })?;
    }
    Ok(())
}

fn check_merges(event: &EventResolved<'_>, merges: &[SourceMerge]) -> Checked {
    ensure(merges.is_empty() || event.verb == Verb::Merge, || {
        format!("a {:?} with merges", event.verb)
    })?;
    ensure(merges.len() <= COMMAND_SOURCES_MAX, || format!("{} merges", merges.len()))?;
    for merge in merges {
        let is_there = merge.verdict != MergeVerdict::NotFound;
        ensure(is_there == merge.profile.is_some(), || {
            "a merge of a profile that does not exist".to_owned()
        })?;
    }
    let merged = merges.iter().any(|merge| merge.verdict == MergeVerdict::Merged);
    let says_so = matches!(event.target, Target::Merged { .. });
    ensure(event.verb != Verb::Merge || merged == says_so, || {
        "its merges are not its target's".to_owned()
    })
}

fn check_reverted(event: &EventResolved<'_>, reverted: &[RevertedMerge]) -> Checked {
    let reverts = event.verb == Verb::Revert;
    ensure(reverts != reverted.is_empty(), || {
        format!("a {:?} that undoes {} merges", event.verb, reverted.len())
    })?;
    ensure(reverted.len() <= REVERTED_MERGES_MAX, || format!("{} merges undone", reverted.len()))
}

fn check_attribution(event: &EventResolved<'_>, attribution: &HistoryAttribution) -> Checked {
    let HistoryAttribution { source, destination, start, end, refused } = attribution;
    ensure(start <= end, || format!("history from {start} to {end}"))?;
    ensure(refused.is_some() || source != destination, || {
        format!("history of profile {source} goes to itself")
    })?;
    ensure(event.target.profile() == Some(*destination), || {
        format!("history goes to profile {destination}, which is not its target")
    })
}

fn check_imported(event: &EventResolved<'_>, imported: &Imported) -> Checked {
    let (times, identifiers) = (imported.identifier_times.len(), event.identifiers.len());
    ensure(times == identifiers, || format!("{times} times of {identifiers} identifiers"))?;
    let (times, traits) = (imported.trait_times.len(), event.traits.len());
    ensure(times == traits, || format!("{times} times of {traits} traits"))?;
    ensure_kept(imported.created_time)?;
    imported.identifier_times.iter().try_for_each(|time| ensure_kept(*time))
}
