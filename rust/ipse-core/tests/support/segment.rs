//! Runs Segment's documented behaviour, written as data in `tests/conformance/data`.
//!
//! The data speaks the vendor's words; the one table from them to ours is at the end of
//! this file. Each scenario gets a workspace of its own with rules made from its settings.

use std::collections::{BTreeMap, BTreeSet};

use ipse_core::change::{ProfileNumber, Rule, Verdict};
use ipse_core::decide::Decision;
use ipse_core::{Event, Rules, SentIdentifier, Target};
use serde::Deserialize;

use super::backend::Backend;
use super::{render, scenario, timestamp};

/// The vendor's error for an event that belongs to nobody.
const NOBODY_ERROR: &str = "No matching identifiers on event";

type Pair = (String, String);

#[derive(Deserialize)]
struct Scenario {
    name: String,
    config: Config,
    events: Vec<Call>,
    expected: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
struct Config {
    types: Vec<IdentifierType>,
    drop_policy: String,
    survivor: String,
    max_merges: u32,
    max_mappings: u32,
}

#[derive(Deserialize)]
struct IdentifierType {
    #[serde(rename = "type")]
    name: String,
    priority: u32,
    limit: Limit,
    #[serde(default)]
    blocked: Vec<Blocked>,
    #[serde(default)]
    custom: bool,
}

#[derive(Deserialize)]
struct Limit {
    value: u32,
    frequency: String,
}

#[derive(Deserialize)]
struct Blocked {
    kind: String,
    value: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Call {
    message_id: String,
    #[serde(rename = "type")]
    kind: String,
    timestamp: String,
    ids: Vec<Pair>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    event: String,
    decision: String,
    profile: Option<String>,
    added: Vec<Pair>,
    dropped: Vec<Dropped>,
    merged: Vec<Pair>,
    #[serde(default)]
    violations: Vec<String>,
    error: Option<String>,
    #[serde(rename = "status")]
    _status: String,
    #[serde(default, rename = "notes")]
    _notes: Option<String>,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
struct Dropped {
    #[serde(rename = "type")]
    namespace: String,
    id: String,
    reason: String,
    limit_of: Option<String>,
}

type Partition = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

/// Runs every scenario of the file, each on a backend of its own; `between` two events
/// the backend is disturbed.
pub(crate) fn run_all<B: Backend>(backend: impl Fn() -> B, between: impl Fn(&mut B)) {
    let path = super::tests_path("conformance/data/segment.json");
    let text = std::fs::read_to_string(path).expect("the data is in the tree");
    let scenarios: Vec<Scenario> = serde_json::from_str(&text).expect("the data has its form");
    assert!(!scenarios.is_empty());
    for scenario in &scenarios {
        run(scenario, &mut backend(), &between);
    }
}

fn run<B: Backend>(scenario: &Scenario, backend: &mut B, between: &impl Fn(&mut B)) {
    let name = &scenario.name;
    assert_eq!(scenario.expected.len(), scenario.events.len() + 1, "{name}");
    let rules = rules_toml(&scenario.config);
    if let Err(problems) = Rules::from_toml(&rules) {
        panic!("{name}: {problems:?} in\n{rules}");
    }
    backend.create_workspace("conformance", &rules, timestamp::at_millis(timestamp::START_MS));
    for (step, call) in scenario.events.iter().enumerate() {
        let expected: Expected = serde_json::from_value(scenario.expected[step].clone())
            .unwrap_or_else(|error| panic!("{name}, step {step}: {error}"));
        let place = format!("{name}, {}", expected.event);
        check_step(backend, step, call, expected, &place);
        between(backend);
    }
    let last = &scenario.expected[scenario.events.len()]["final"];
    let expected: Partition = serde_json::from_value(last.clone()).expect("a partition");
    assert_eq!(partition(backend), expected, "{name}: the final partition");
}

fn check_step<B: Backend>(
    backend: &mut B,
    step: usize,
    call: &Call,
    expected: Expected,
    place: &str,
) {
    let now = timestamp::at_millis(timestamp::START_MS + 1_000 * (step as i64 + 1));
    let event = event(call);
    let decision = match scenario::resolve(backend, &event, now, false) {
        Ok(decision) => decision,
        Err(refusal) => panic!("{place}: {}", render::refusal(&refusal)),
    };
    let target = &decision.resolved.target;
    let holder = target.profile().map(label);
    let nobody = expected.error.as_deref() == Some(NOBODY_ERROR);
    assert_eq!(decision_word(target), expected.decision, "{place}: {decision:?}");
    assert_eq!(holder, expected.profile, "{place}: profile");
    assert_eq!(merged(target), set(expected.merged), "{place}: merged");
    assert_eq!(attached(&decision), set(expected.added), "{place}: added");
    assert_eq!(dropped(&decision), set(expected.dropped), "{place}: dropped");
    assert_eq!(cap_violations(&decision), set(expected.violations), "{place}: violations");
    assert_eq!(holder.is_none(), nobody, "{place}: error");
}

fn set<T: Ord>(items: Vec<T>) -> BTreeSet<T> {
    items.into_iter().collect()
}

fn event(call: &Call) -> Event<'_> {
    let millis = timestamp::parse(&call.timestamp).expect("the data's times are RFC 3339");
    Event {
        event_id: &call.message_id,
        kind: &call.kind,
        timestamp: Some(timestamp::at_millis(millis)),
        identifiers: call
            .ids
            .iter()
            .map(|(namespace, value)| SentIdentifier::new(namespace, value))
            .collect(),
        ..Event::default()
    }
}

fn attached(decision: &Decision<'_>) -> BTreeSet<Pair> {
    let seen = decision.resolved.identifiers.iter();
    seen.filter(|seen| seen.verdict == Verdict::Attached)
        .map(|seen| (seen.namespace.to_string(), seen.value.to_string()))
        .collect()
}

fn dropped(decision: &Decision<'_>) -> BTreeSet<Dropped> {
    let seen = decision.resolved.identifiers.iter();
    seen.filter_map(|seen| match &seen.verdict {
        Verdict::Dropped(reason) => Some(Dropped {
            namespace: seen.namespace.to_string(),
            id: seen.value.to_string(),
            reason: reason_word(reason.rule).into(),
            limit_of: reason.limit.as_ref().and_then(|passed| {
                passed.namespace.as_ref().map(|namespace| namespace.to_string())
            }),
        }),
        _ => None,
    })
    .collect()
}

/// The violations that are of no one identifier: the vendor lists them on the event.
fn cap_violations(decision: &Decision<'_>) -> BTreeSet<String> {
    let seen = decision.resolved.identifiers.iter();
    seen.filter_map(|seen| match &seen.verdict {
        Verdict::Refused(reason) => Some(reason.rule.violation().to_string()),
        _ => None,
    })
    .collect()
}

fn merged(target: &Target) -> BTreeSet<Pair> {
    let into = target.profile();
    let pairs = target.absorbed().iter().zip(into.iter().cycle());
    pairs.map(|(from, into)| (label(*from), label(*into))).collect()
}

fn partition<B: Backend>(backend: &B) -> Partition {
    backend.read(|graph| {
        let counts = graph.counts();
        let numbers = 1..=(counts.profiles + counts.absorbed_profiles) as u32;
        let views = numbers.filter_map(|number| {
            graph.profile(ProfileNumber(number)).filter(|view| view.number().0 == number)
        });
        let mut partition = Partition::new();
        for view in views {
            let held = partition.entry(label(view.number())).or_default();
            for identifier in view.identifiers() {
                let values = held.entry(identifier.namespace.into()).or_default();
                values.insert(identifier.value.into());
            }
        }
        partition
    })
}

// The vendor's words and ours.

fn label(profile: ProfileNumber) -> String {
    format!("P{profile}")
}

fn decision_word(target: &Target) -> &'static str {
    match target {
        Target::Unresolved => "unresolved",
        Target::Created(_) => "create",
        Target::Found(_) => "add",
        Target::Merged { .. } => "merge",
    }
}

fn reason_word(rule: Rule) -> &'static str {
    match rule {
        Rule::BlockedValue => "blocked",
        Rule::ValueLimit => "value_limit",
        Rule::ValueTimeLimit => "value_time_limit",
        other => render::rule(other),
    }
}

fn rules_toml(config: &Config) -> String {
    assert_eq!(config.survivor, "oldest_profile", "the only survivor that Segment documents");
    let mut toml = format!(
        "[workspace]\nconflict = {:?}\nsurvivor = \"oldest\"\nmerges_max = {}\nidentifiers_max = {}\n",
        config.drop_policy, config.max_merges, config.max_mappings
    );
    for kind in &config.types {
        toml += &namespace_toml(kind);
    }
    toml
}

fn namespace_toml(kind: &IdentifierType) -> String {
    let mut toml = format!(
        "[namespaces.{:?}]\npriority = {}\nlimit = {{ values = {}, window = {:?} }}\n",
        kind.name, kind.priority, kind.limit.value, kind.limit.frequency
    );
    let blocked = kind.blocked.iter().map(|blocked| match blocked.kind.as_str() {
        "regex" => format!("{{ regex = '{}' }}", blocked.value),
        _ => format!("{:?}", blocked.value),
    });
    toml += &format!("blocked = [{}]\n", blocked.collect::<Vec<_>>().join(", "));
    if kind.custom {
        toml += &format!("key = {:?}\n", kind.name);
    }
    toml
}
