//! Namespaces that new rules no longer share: what is on several profiles cannot be one's.
//!
//! Refused, not settled: which of the profiles keeps an identifier is for someone to say, and
//! an identifier that is not shared is on one profile, whatever happened before.

use hashbrown::{HashMap, HashSet};

use crate::graph::Graph;
use crate::rules::{Rules, RulesProblem};

/// Each namespace that rules would take for one profile's, and of which several profiles hold
/// an identifier. Takes time in proportion to what is held by several.
pub(super) fn problems(graph: &Graph, rules: &Rules, text: &str) -> Vec<RulesProblem> {
    let mut several: HashMap<&str, usize, foldhash::fast::FixedState> = HashMap::default();
    let held: HashSet<_, foldhash::fast::FixedState> =
        graph.holders.iter().map(|(id, _)| id).collect();
    for id in held {
        let name = graph.namespaces().name(graph.identifiers.rows.row(id).namespace);
        let of_one = rules.is_one_profiles(name);
        if of_one && graph.roots_of(id).len() > 1 {
            *several.entry(name).or_default() += 1;
        }
    }
    let mut several: Vec<(&str, usize)> = several.into_iter().collect();
    several.sort_unstable();
    several.into_iter().map(|(name, count)| problem(text, name, count)).collect()
}

fn problem(text: &str, name: &str, count: usize) -> RulesProblem {
    let message = format!(
        "identifiers of it that are on several profiles: {count}; keep `shared = true`, or take \
         each off all profiles but one first (ModifyIdentifiers)"
    );
    let headings = [format!("[namespaces.{name}]"), format!("[namespaces.\"{name}\"]")];
    let is_heading = |line: &str| headings.iter().any(|heading| line.trim().starts_with(heading));
    let line = text.lines().position(is_heading).map_or(0, |at| at + 1);
    let line = u32::try_from(line).expect("a rules text is bounded");
    RulesProblem { line, key: format!("namespaces.{name}.shared"), message }
}
