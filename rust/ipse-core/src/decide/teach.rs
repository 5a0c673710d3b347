//! What an event teaches. One that teaches nothing writes nothing.
//!
//! It teaches when it creates, attaches or merges; when it shows two identifiers together for
//! the first time; when it changes a trait; and when a rule drops or refuses an identifier
//! for the first time. The recency of a trait that keeps its value is kept to the day. A trait
//! that does not count teaches nothing, and the answer says why it does not.

use crate::change::{Extra, IgnoredTrait, Target, TraitReason, TraitSet};
use crate::command::{ImportProfile, ImportedTrait};
use crate::event::{SentTrait, TraitValue};
use crate::graph::Graph;
use crate::graph::remembered::RefusalHash;
use crate::graph::survivorship::{Folded, FoldedTraits};
use crate::graph::traits::text_bytes;
use crate::limits::PROFILE_TRAITS_MAX;
use crate::time::{DAY_MS, Timestamp};

use super::resolve::Resolved;
use super::{Refusal, Room, pairs};
use std::borrow::Cow;

/// What an event teaches.
pub(super) struct Lesson<'a> {
    /// Whether it teaches anything.
    pub(super) teaches: bool,
    /// The traits that it changes, by name.
    pub(super) traits: Vec<TraitSet<'a>>,
    /// The traits that do not count, by name.
    pub(super) ignored: Vec<IgnoredTrait<'a>>,
}

/// Finds out what an event teaches, once its identifiers have their verdicts.
pub(super) fn lesson<'a>(
    graph: &Graph,
    traits: &'a [SentTrait<'a>],
    resolved: &Resolved<'a>,
    time: Timestamp,
    room: &Room,
) -> Result<Lesson<'a>, Refusal> {
    if traits.is_empty() {
        // Most events bring none.
        let teaches = changes_graph(graph, resolved);
        return Ok(Lesson { teaches, traits: Vec::new(), ignored: Vec::new() });
    }
    let sent = traits.iter().map(|sent| (sent, time));
    let taught = timed_lesson(graph, sent, resolved, room);
    taught.map(|(lesson, _)| lesson).map_err(|refusal| refusal.at_field("event.traits"))
}

/// What the traits of an imported profile teach, and when each that it changes was set.
pub(super) fn imported_lesson<'a>(
    graph: &Graph,
    command: &'a ImportProfile<'a>,
    resolved: &Resolved<'_>,
    created_time: Timestamp,
    room: &Room,
) -> Result<(Lesson<'a>, Vec<Timestamp>), Refusal> {
    let time = |imported: &ImportedTrait<'_>| imported.time.unwrap_or(created_time);
    let sent = command.traits.iter().map(|imported| (&imported.sent, time(imported)));
    timed_lesson(graph, sent, resolved, room)
}

/// What is taught where each trait has its own time, and when those that change were set.
fn timed_lesson<'a>(
    graph: &Graph,
    sent: impl ExactSizeIterator<Item = (&'a SentTrait<'a>, Timestamp)>,
    resolved: &Resolved<'_>,
    room: &Room,
) -> Result<(Lesson<'a>, Vec<Timestamp>), Refusal> {
    let judged = judge(graph, sent, &resolved.target, room);
    check_room(&judged)?;
    let (traits, times): (Vec<TraitSet<'a>>, Vec<Timestamp>) = judged.changed.into_iter().unzip();
    let teaches = !traits.is_empty() || changes_graph(graph, resolved);
    Ok((Lesson { teaches, traits, ignored: judged.ignored }, times))
}

/// Whether anything but a trait changes, or is refused for the first time.
pub(super) fn changes_graph(graph: &Graph, resolved: &Resolved<'_>) -> bool {
    let moves = matches!(resolved.target, Target::Created(_) | Target::Merged { .. });
    let changes = |extra: &Extra<'_>| {
        extra.marks_known
            || !extra.moves.is_empty()
            || !extra.reverted.is_empty()
            || !extra.displaced.is_empty()
            || extra.attribution.as_ref().is_some_and(|told| told.refused.is_none())
    };
    moves
        || resolved.attaches
        || resolved.links
        || graph.rules().has_pair_limits() && pairs::shows_new(graph, &resolved.identifiers)
        || resolved.extra.as_deref().is_some_and(changes)
        || shows_new_refusal(graph, resolved)
}

fn shows_new_refusal(graph: &Graph, resolved: &Resolved<'_>) -> bool {
    RefusalHash::of_event(&resolved.target, &resolved.identifiers)
        .any(|refusal| !graph.remembered_refusals.contains(refusal))
}

/// Traits that were sent, by what becomes of them; both by name.
#[derive(Default)]
struct Judged<'g, 'a> {
    held: Option<FoldedTraits<'g>>,
    changed: Vec<(TraitSet<'a>, Timestamp)>,
    ignored: Vec<IgnoredTrait<'a>>,
}

/// What becomes of a trait.
enum Effect {
    Changes,
    /// The profile has that value.
    Keeps,
    Ignored(TraitReason),
}

/// Judges traits, each set at its time. Those of an event that is nobody's all come to nothing.
fn judge<'g, 'a>(
    graph: &'g Graph,
    sent: impl ExactSizeIterator<Item = (&'a SentTrait<'a>, Timestamp)>,
    target: &Target,
    room: &Room,
) -> Judged<'g, 'a> {
    let mut judged = Judged::default();
    if sent.len() == 0 {
        return judged;
    }
    if *target != Target::Unresolved {
        judged.held = Some(graph.folded_traits(graph.target_roots(target)));
    }
    for (sent, time) in sent {
        let name = Cow::Borrowed(&*sent.name);
        let effect = match &judged.held {
            Some(held) => effect(held.get(&sent.name), sent, time, room),
            None => Effect::Ignored(TraitReason::Unresolved),
        };
        match effect {
            Effect::Changes => {
                judged.changed.push((TraitSet { name, value: sent.value.clone() }, time));
            }
            Effect::Keeps => {}
            Effect::Ignored(reason) => judged.ignored.push(IgnoredTrait { name, reason }),
        }
    }
    judged.changed.sort_by(|(a, _), (b, _)| a.name.cmp(&b.name));
    judged.ignored.sort_by(|a, b| a.name.cmp(&b.name));
    judged
}

/// What a trait comes to beside what is held. A removal counts where nothing is held, too:
/// news from before it may still come. Nothing is lost of a value that is there already. Where
/// memory has reached its ceiling, a value may be replaced by one that is not longer.
fn effect(held: Option<Folded<'_>>, sent: &SentTrait<'_>, time: Timestamp, room: &Room) -> Effect {
    let bytes = |value: Option<&TraitValue<'_>>| value.map_or(0, text_bytes);
    let Some(held) = held else {
        return if room.bytes { Effect::Changes } else { Effect::Ignored(TraitReason::Ceiling) };
    };
    let is_longer = bytes(sent.value.as_ref()) > bytes(held.value.as_deref());
    let reason = if sent.set_once && held.value.is_some() {
        Some(TraitReason::SetAlready)
    } else {
        (time < held.time).then_some(TraitReason::Older)
    };
    let day = |time: Timestamp| time.as_millis().div_euclid(DAY_MS);
    let is_same = held.value.as_deref() == sent.value.as_ref();
    match reason {
        Some(reason) if !is_same => Effect::Ignored(reason),
        Some(_) => Effect::Keeps,
        None if is_same && day(time) <= day(held.time) => Effect::Keeps,
        None if is_longer && !room.bytes => Effect::Ignored(TraitReason::Ceiling),
        None => Effect::Changes,
    }
}

/// Refuses traits that would give a profile more than it may have; who only changes those
/// that are there is never refused.
fn check_room(judged: &Judged<'_, '_>) -> Result<(), Refusal> {
    let Some(held) = judged.held.as_ref().filter(|_| !judged.changed.is_empty()) else {
        return Ok(());
    };
    let names = held.names();
    let is_new = |(set, _): &&(TraitSet<'_>, _)| names.binary_search(&&*set.name).is_err();
    let new = judged.changed.iter().filter(is_new).count();
    let found = names.len() + new;
    if new == 0 || found <= PROFILE_TRAITS_MAX {
        return Ok(());
    }
    Err(Refusal::LimitExceeded {
        field: "traits".to_owned(),
        what: "traits of the profile",
        bound: PROFILE_TRAITS_MAX,
        found,
    })
}
