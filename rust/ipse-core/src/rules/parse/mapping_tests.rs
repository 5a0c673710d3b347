//! What `[mapping]`, `from` and `key` are read as, and what is said about wrong ones.

use super::super::super::RulesProblem;
use super::*;

fn mapping(more: &str) -> Mapping {
    let text = format!("[namespaces.n]\n[namespaces.m]\n{more}");
    let rules = Rules::from_toml(&text).unwrap_or_else(|problems| panic!("{more}: {problems:?}"));
    rules.mapping().clone()
}

/// The only problem of rules whose namespace `n` stands in the first line.
#[track_caller]
fn check(more: &str, expected: &str) {
    let found = Rules::from_toml(&format!("[namespaces.n]\n{more}")).err().unwrap_or_default();
    let found: Vec<_> = found.iter().map(RulesProblem::to_string).collect();
    assert!(
        found.len() == 1 && found[0].starts_with(expected),
        "expected one problem {expected:?}, found {found:#?}"
    );
}

fn paths<'a>(sources: impl IntoIterator<Item = &'a Source>) -> Vec<String> {
    sources.into_iter().map(|source| source.path.to_string()).collect()
}

fn times(mapping: &Mapping) -> Vec<String> {
    paths(mapping.timestamp.iter().map(|time| &time.source))
}

#[test]
fn without_a_word_ids_types_and_times_are_where_segment_has_them() {
    for mapping in [mapping(""), mapping("[mapping]"), mapping("[mapping]\ntraits = \"t\"")] {
        assert_eq!(paths(&mapping.event_id), ["messageId"]);
        assert_eq!(paths(&mapping.kind), ["type"]);
        assert_eq!(times(&mapping), ["timestamp", "originalTimestamp"]);
    }
    let mapping = mapping("[mapping]\nevent_id = []\ntype = [\"a\", \"b[0].c\"]");
    assert_eq!(paths(&mapping.event_id), [] as [&str; 0]);
    assert_eq!(paths(&mapping.kind), ["a", "b[0].c"]);
    assert_eq!(times(&mapping), ["timestamp", "originalTimestamp"]);
}

#[test]
fn times_have_units_and_clocks() {
    let mapping = mapping(
        "[mapping]\ntimestamp = [\"a\", { path = \"b\", unit = \"s\" }, \
         { path = \"c\", unit = \"ms\", utc_offset = \"-07:30\" }]",
    );
    let read: Vec<_> = mapping.timestamp.iter().map(|t| (t.unit, t.utc_offset_ms)).collect();
    assert_eq!(
        read,
        [
            (None, None),
            (Some(TimeUnit::Seconds), None),
            (Some(TimeUnit::Milliseconds), Some(-450 * 60_000)),
        ]
    );
    check(
        "[mapping]\ntimestamp = { path = \"t\", unit = \"us\" }",
        "line 3: mapping.timestamp.unit: \"us\" is not one of: s, ms, s_or_ms",
    );
    for offset in ["2", "+2:00", "+24:00", "+02:60", "02:00", "+0200", "Z", "++1:00", ""] {
        check(
            &format!("[mapping]\ntimestamp = {{ path = \"t\", utc_offset = \"{offset}\" }}"),
            "line 3: mapping.timestamp.utc_offset: is not an offset",
        );
    }
    check("[mapping]\ntimestamp = { unit = \"s\" }", "line 3: mapping.timestamp: needs `path`");
}

#[test]
fn what_an_event_has_one_of_stands_at_one_place() {
    let expected = "leads to several places: name one element";
    for key in ["event_id", "type", "timestamp", "named_traits.x"] {
        check(
            &format!("[mapping]\n{key} = \"a[].b\""),
            &format!("line 3: mapping.{key}: {expected}"),
        );
    }
    check("[mapping]\ntype = 1", "line 3: mapping.type: must be a string, not integer");
    check(
        "[mapping]\nevent_id = \"a[\"",
        "line 3: mapping.event_id: is not a path of keys joined by dots",
    );
}

#[test]
fn values_are_told_apart_by_their_beginning() {
    let text = "from = [\"a\", { path = \"b\", only_prefix = \"x:\", strip_prefix = \"x:\" }, \
                { path = \"c\", unless_prefix = \"x:\" }]";
    let rules = Rules::from_toml(&format!("[namespaces.n]\n{text}")).expect("good rules");
    let read: Vec<_> = rules.mapping().identifiers[0]
        .from
        .iter()
        .map(|from| {
            let prefixes = [&from.only_prefix, &from.unless_prefix, &from.strip_prefix];
            prefixes.map(|prefix| prefix.as_deref().unwrap_or("-"))
        })
        .collect();
    assert_eq!(read, [["-", "-", "-"], ["x:", "-", "x:"], ["-", "x:", "-"]]);
    check(
        "from = { path = \"a\", strip_prefix = \"\" }",
        "line 2: namespaces.n.from.strip_prefix: is empty",
    );
    check(
        "[mapping]\ntraits = { path = \"a\", strip_prefix = \"x\" }",
        "line 3: mapping.traits.strip_prefix: unknown key; known here: path, when, unless",
    );
}

#[test]
fn traits_stand_in_objects_pairs_and_alone() {
    let mapping = mapping(
        "[mapping]\ntraits = [\"a\", \"b\"]\ntraits_once = \"c\"\ntraits_unset = \"d\"\n\
         trait_pairs = [\"e\", { path = \"f\", name = \"id\", value = \"is\" }]\n\
         named_traits = { g = \"h.i\" }",
    );
    assert_eq!(paths(&mapping.traits), ["a", "b"]);
    assert_eq!(paths(&mapping.traits_once), ["c"]);
    assert_eq!(paths(&mapping.traits_unset), ["d"]);
    let pairs: Vec<_> = mapping.trait_pairs.iter().map(|p| (&*p.name, &*p.value)).collect();
    assert_eq!(pairs, [("name", "value"), ("id", "is")]);
    assert_eq!(mapping.named_traits[0].0, "g");
    check("[mapping]\nnamed_traits = \"a\"", "line 3: mapping.named_traits: must be a table");
    check(
        "[mapping]\nnamed_traits = { \"\" = \"a\" }",
        "line 3: mapping.named_traits.: a trait's name is 1 to 128 bytes",
    );
    check(
        "[mapping]\ntrait_pairs = { path = \"a\", name = 1 }",
        "line 3: mapping.trait_pairs.name: must be a string",
    );
}

#[test]
fn names_that_namespaces_read_are_known() {
    let text = "[namespaces.a]\nfrom = [\"map.A[].id\", \"list[t=a].v\"]\n\
                [namespaces.b]\nfrom = \"map.B\"\n\
                [mapping]\nidentifier_names = [\"map\", \"list[].t\"]";
    let rules = Rules::from_toml(text).expect("good rules");
    let known: Vec<_> = rules.mapping().identifier_names.iter().map(|n| &n.known).collect();
    assert_eq!(known, [&vec!["A".to_owned(), "B".to_owned()], &vec!["a".to_owned()]]);
}

#[test]
fn conditions_compare_with_values_or_ask_for_any() {
    let mapping = mapping(
        "[mapping]\ntraits = { path = \"a\", when = { \"b[0].c\" = [\"x\", 1, true] }, \
         unless = { d = { present = true } } }",
    );
    let source = &mapping.traits[0];
    assert_eq!(source.when[0].path.to_string(), "b[0].c");
    assert_eq!(
        source.when[0].values,
        [Literal::Text("x".to_owned()), Literal::Integer(1), Literal::Bool(true)]
    );
    assert_eq!(source.unless[0].values, [Literal::Present]);
    let with = |when: &str| format!("[mapping]\ntraits = {{ path = \"a\", when = {{ {when} }} }}");
    check(&with("b = { present = false }"), "line 3: mapping.traits.when.b: is a value to");
    check(&with("b = {}"), "line 3: mapping.traits.when.b: is a value to compare with, or");
    check(&with("b = { any = true, present = true }"), "line 3: mapping.traits.when.b.any: unkn");
    check(&with("b = 1.5"), "line 3: mapping.traits.when.b: must be a string");
    check(&with("b = []"), "line 3: mapping.traits.when.b: needs a value to compare with");
    check(&with("\"b.\" = 1"), "line 3: mapping.traits.when.\"b.\": its key is not a path");
}

#[test]
fn verbs_say_when_and_what_they_join() {
    let mapping = mapping(
        "[[mapping.verbs]]\nwhen = { e = \"in\" }\nverb = \"login\"\n\
         sources = [{ namespace = \"n\", from = [\"a\", \"b\"] }]\n\
         [[mapping.verbs]]\nwhen = { e = \"out\" }\nunless = { f = 1 }\nverb = \"logout\"\n\
         [[mapping.verbs]]\nwhen = { e = \"join\" }\nverb = \"link\"\nforce = true\n\
         identifiers = [{ namespace = \"m\", from = \"c\" }]\n\
         sources = [{ namespace = \"n\", from = \"ids[]\" }]",
    );
    let verbs: Vec<_> = mapping.verbs.iter().map(|rule| (rule.verb, rule.force)).collect();
    assert_eq!(verbs, [(Verb::Login, false), (Verb::Logout, false), (Verb::Link, true)]);
    assert_eq!(mapping.verbs[0].sources[0].from.len(), 2);
    assert!(mapping.verbs[0].identifiers.is_empty() && mapping.verbs[1].sources.is_empty());
    assert_eq!(mapping.verbs[2].identifiers[0].namespace, "m");
}

#[test]
fn verbs_that_cannot_be_meant_are_refused() {
    let verb = |rest: &str| format!("[[mapping.verbs]]\n{rest}");
    let login = |rest: &str| verb(&format!("when = {{ e = 1 }}\nverb = \"login\"\n{rest}"));
    check(&verb("verb = \"login\""), "line 2: mapping.verbs[0]: needs `when`");
    check(&verb("when = { e = 1 }"), "line 2: mapping.verbs[0]: needs `verb`");
    check(
        &verb("when = { e = 1 }\nverb = \"merge\""),
        "line 4: mapping.verbs[0].verb: \"merge\" is not one of: login, logout, link",
    );
    check(&verb("when = { e = 1 }\nverb = \"link\""), "line 2: mapping.verbs[0]: needs `sources`");
    check(
        &verb("when = { e = 1 }\nverb = \"logout\"\nsources = []"),
        "line 5: mapping.verbs[0].sources: a logout joins nothing",
    );
    check(
        &login("sources = [{ namespace = \"x\", from = \"a\" }]"),
        "line 5: mapping.verbs[0].sources[0].namespace: \"x\" is not one of the namespaces",
    );
    check(
        &login("sources = [{ namespace = \"n\" }]"),
        "line 5: mapping.verbs[0].sources[0]: needs `namespace` and `from`",
    );
    check(
        &login("sources = [{ namespace = \"n\", from = \"a\", key = \"b\" }]"),
        "line 5: mapping.verbs[0].sources[0].key: unknown key; known here: namespace, from",
    );
    check(&login("forced = true"), "line 5: mapping.verbs[0].forced: unknown key; known here:");
}

#[test]
fn what_is_refused_says_when_and_why() {
    let mapping = mapping(
        "[[mapping.refuse]]\nwhen = { e = \"in\" }\nunless = { f = 1 }\nbecause = \"no f\"",
    );
    assert_eq!(mapping.refuse.len(), 1);
    assert_eq!((mapping.refuse[0].unless.len(), &*mapping.refuse[0].because), (1, "no f"));
    let refuse = |rest: &str| format!("[[mapping.refuse]]\n{rest}");
    check(&refuse("because = \"b\""), "line 2: mapping.refuse[0]: needs `when`");
    check(&refuse("when = { e = 1 }"), "line 2: mapping.refuse[0]: needs `because`");
    check(
        &refuse("when = { e = 1 }\nbecause = \"\""),
        "line 4: mapping.refuse[0].because: is a text of 1 to 256 bytes",
    );
}

#[test]
fn batches_are_names_of_fields() {
    mapping("[mapping]\nbatches = [\"events\", \"contacts\"]");
    mapping("[mapping]\nbatches = \"batch\"");
    check("[mapping]\nbatches = [\"a\", \"\"]", "line 3: mapping.batches[1]: is the name of a");
    check("[mapping]\nbatches = [1]", "line 3: mapping.batches[0]: must be a string");
}
