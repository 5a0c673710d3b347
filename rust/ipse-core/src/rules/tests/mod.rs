//! What rules texts are read as, and what is said about wrong ones.

mod keys;
mod presets;

use super::*;

fn problems(text: &str) -> Vec<String> {
    match Rules::from_toml(text) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.iter().map(ToString::to_string).collect(),
    }
}

#[track_caller]
fn check(text: &str, expected: &str) {
    let found = problems(text);
    assert!(
        found.len() == 1 && found[0].starts_with(expected),
        "expected one problem {expected:?}, found {found:#?}"
    );
}

#[test]
fn namespaces_stand_strongest_first_and_those_without_priority_last_by_name() {
    let text = "[namespaces]\nz = {}\na = {}\nm = { priority = 2 }\nk = { priority = 1 }";
    let rules = Rules::from_toml(text).expect("the rules are good");
    let names: Vec<&str> = rules.namespaces().iter().map(|n| &*n.name).collect();
    assert_eq!(names, ["k", "m", "a", "z"]);
    assert_eq!(rules.namespace("a").map(|n| n.limit.values), Some(5));
    assert!(rules.namespace("b").is_none() && rules.auto_add().is_none());
}

#[test]
fn a_problem_names_its_line_and_key() {
    check("[namespaces.a]\nlimit = 0", "line 2: namespaces.a.limit: must be from 1 to");
    check("[namespaces.a]\nlimt = 1", "line 2: namespaces.a.limt: unknown key; known here:");
    check("[namespaces.A]", "line 1: namespaces.A: a namespace is 1 to 64 of");
    check("[namespaces.a]\nlogin = 1", "line 2: namespaces.a.login: must be true or false");
    check("[namespaces.a]\nlimit = { window = \"weekly\" }", "line 2: namespaces.a.limit: needs");
    check(
        "[namespaces.a]\nlimit = { values = 1, window = \"hourly\" }",
        "line 2: namespaces.a.limit.window: \"hourly\" is not one of: ever, daily",
    );
    check("[workspace]\nmerges_max = -1\n[namespaces.a]", "line 2: workspace.merges_max: must be");
    check("[workspce]\n[namespaces.a]", "line 1: workspce: unknown table");
    check("[namespaces.a]\nfrom = \"a..b\"", "line 2: namespaces.a.from: is not a path");
    check("[namespaces.a]\nfrom = { when = {} }", "line 2: namespaces.a.from: needs `path`");
    check("[workspace]", "namespaces: is missing");
    check("a = ", "line 1: ");
    check(&" ".repeat(crate::limits::RULES_BYTES_MAX + 1), "262145 bytes; at most 262144");
}

#[test]
fn rules_that_contradict_each_other_are_refused() {
    check(
        "[namespaces]\na = { priority = 1 }\nb = { priority = 1 }",
        "line 3: namespaces.b.priority: a has priority 1 already",
    );
    check(
        "[namespaces]\na = { key = \"app_id\" }\nb = { key = \"appId\" }",
        "line 3: namespaces.b.key: a reads \"app_id\" already",
    );
    check("[namespaces.a]\nnormalise = \"phone\"", "line 2: namespaces.a.normalise: phone needs");
    check("[namespaces.a]\nregion = \"UA\"", "line 2: namespaces.a.region: is used with");
    check(
        "[namespaces.a]\nnormalise = \"phone\"\nregion = \"Ukraine\"",
        "line 3: namespaces.a.region: is not a region",
    );
}

#[test]
fn all_problems_are_reported_in_the_order_of_lines() {
    let found = problems("[namespaces.a]\nlimit = 0\nlogin = 2\n[workspace]\nauto_add = 3");
    let lines: Vec<&str> = found.iter().map(|p| &p[..7]).collect();
    assert_eq!(lines, ["line 2:", "line 3:", "line 5:"]);
}

#[test]
fn blocked_values_are_exact_or_patterns() {
    let text = r#"[namespaces.a]
blocked = ["null", { regex = "^[0-]*$" }]"#;
    let rules = Rules::from_toml(text).expect("the rules are good");
    let blocked = &rules.namespace("a").expect("it is named").blocked;
    for value in ["null", "", "0", "00000000-0000-0000"] {
        assert!(blocked.contains(value), "{value:?}");
    }
    for value in ["NULL", "u-0-1", "1", "null "] {
        assert!(!blocked.contains(value), "{value:?}");
    }
    check(
        "[namespaces.a]\nblocked = [{ regex = \"(?!x)\" }]",
        "line 2: namespaces.a.blocked[0].regex: is not a pattern: look-around",
    );
    check(
        "[namespaces.a]\nblocked = [{ regex = \"(\\\\w{500}){500}\" }]",
        "line 2: namespaces.a.blocked[0].regex: is not a pattern: ",
    );
}

#[test]
fn patterns_are_bounded_in_size_and_number() {
    let many = r#"{ regex = "^x$" },"#.repeat(crate::limits::PATTERNS_MAX + 1);
    check(
        &format!("[namespaces.a]\nblocked = [{many}]"),
        "line 2: namespaces.a.blocked[256]: is one pattern too many: 256 are allowed in all",
    );
    check(
        "[namespaces.a]\nblocked = [{ regex = '\\w{10}' }]",
        "line 2: namespaces.a.blocked[0].regex: is not a pattern: Compiled regex exceeds",
    );
}

#[test]
fn no_more_problems_are_reported_than_somebody_reads() {
    let text: String = (0..1_000).map(|n| format!("x{n} = 1\n")).collect();
    assert_eq!(problems(&text).len(), crate::limits::RULES_PROBLEMS_MAX);
}
