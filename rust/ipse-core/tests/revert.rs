//! Undoing merges: what comes back is what was there.

mod support;

use ipse_core::change::ProfileNumber;
use ipse_core::command::{MergeProfiles, Operation, RevertMerge};
use ipse_core::{
    Change, Decision, Graph, Record, Refusal, Rules, SequenceNumber, Timestamp, rules,
};
use proptest::prelude::*;
use support::people::Holds;
use support::universe::{self, Act, Universe};
use support::{courses, timestamp};

fn begun(rules: &str) -> Graph {
    let mut graph = Graph::new(1);
    let change =
        Change::WorkspaceCreated { name: "w".into(), profile_key: [7; 16], rules: rules.into() };
    commit(&mut graph, change);
    graph
}

fn commit(graph: &mut Graph, change: Change<'_>) {
    let sequence = SequenceNumber(graph.sequence().0 + 1);
    let record = Record { sequence, log_time: now(), change };
    graph.validate(&record).expect("what was decided is valid");
    graph.apply(&record);
    graph.check().expect("the graph is sound");
}

fn now() -> Timestamp {
    timestamp::at_millis(timestamp::START_MS)
}

fn act(graph: &mut Graph, act: &Act) {
    if let Some(Ok(decision)) = universe::decide(graph, act, now())
        && decision.teaches
        && decision.repeated.is_none()
    {
        commit(graph, Change::EventResolved(decision.resolved));
    }
}

fn operation() -> Operation<'static> {
    Operation { timestamp: Some(now()), ..Operation::default() }
}

fn merged(graph: &mut Graph, target: u32, source: u32) -> Option<ProfileNumber> {
    let command = MergeProfiles {
        operation: operation(),
        target: ProfileNumber(target),
        sources: vec![Some(ProfileNumber(source))],
        force: true,
    };
    let decided = graph.decide_merge(&command, now()).map(owned);
    let resolved = decided.ok()?;
    let absorbed = resolved.target.absorbed().first().copied()?;
    commit(graph, Change::EventResolved(resolved));
    Some(absorbed)
}

fn owned(decision: Decision<'_>) -> ipse_core::EventResolved<'static> {
    decision.resolved.to_static()
}

fn reverted(graph: &mut Graph, absorbed: ProfileNumber, chain: bool) -> Result<(), Refusal> {
    let command = RevertMerge { operation: operation(), absorbed, chain };
    let resolved = graph.decide_revert(&command, now()).map(owned)?;
    commit(graph, Change::EventResolved(resolved));
    Ok(())
}

/// What people hold: the lines of a dump that say it.
fn held(graph: &Graph) -> Vec<String> {
    let kinds = ["profile ", "identifier ", "link ", "holder ", "trait ", "attribution "];
    let dump = graph.dump();
    let is_held = |line: &&str| kinds.iter().any(|kind| line.starts_with(kind));
    // When someone was last seen follows the record that changed them.
    let is_day = |line: &&str| line.contains(" seen ");
    dump.lines().filter(is_held).filter(|line| !is_day(line)).map(str::to_owned).collect()
}

/// Asks a law of courses of commands under each preset: some before a merge of two profiles, and
/// some after.
fn each_preset(law: impl Fn(&mut Graph, &[Act], (u32, u32)) -> Holds) {
    for name in rules::preset_names() {
        let text = rules::preset(name).expect("it is named");
        let universe = Universe::of(&Rules::from_toml(text).expect("a preset is valid"));
        let acts = |count| universe.corrected_acts(count);
        let courses = (acts(30), acts(12), (1..7u32, 1..7u32));
        courses::run(&courses, |(before, later, merge)| {
            let mut graph = begun(text);
            before.iter().for_each(|each| act(&mut graph, each));
            law(&mut graph, later, *merge)
        });
    }
}

#[test]
fn a_merge_that_is_undone_leaves_what_was_before_it() {
    each_preset(|graph, _, (target, source)| {
        let before = held(graph);
        let Some(absorbed) = merged(graph, target, source) else { return Ok(()) };
        reverted(graph, absorbed, false).expect("nothing was built on it");
        prop_assert_eq!(held(graph), before);
        Ok(())
    });
}

#[test]
fn whatever_came_after_a_merge_every_id_comes_back_to_its_side() {
    each_preset(|graph, later, (target, source)| {
        let Some(absorbed) = merged(graph, target, source) else { return Ok(()) };
        later.iter().for_each(|each| act(graph, each));
        if let Err(Refusal::MergeBuiltOn { .. }) = reverted(graph, absorbed, false) {
            reverted(graph, absorbed, true).expect("the whole chain can be undone");
        }
        // It may have been undone, or erased, by what came later.
        if let Some(profile) = graph.profile(absorbed) {
            prop_assert_eq!(profile.number(), absorbed);
        }
        Ok(())
    });
}
