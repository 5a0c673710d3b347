//! Every key of the policies: what good ones are read as, and what is said about bad ones.

use super::*;

/// A text with one namespace, after other tables.
fn with_namespace(tables: &str) -> String {
    format!("{tables}\n[namespaces.a]\nlogin = true\n[namespaces.b]\n")
}

#[track_caller]
fn rules(tables: &str) -> Rules {
    Rules::from_toml(&with_namespace(tables)).expect("the rules are good")
}

/// Whether a line 2 after `[table]` is refused so.
#[track_caller]
fn check_line(table: &str, line: &str, expected: &str) {
    check(&with_namespace(&format!("[{table}]\n{line}")), &format!("line 2: {table}.{expected}"));
}

/// Whether line 2 of the namespace `a` is refused so.
#[track_caller]
fn check_namespace(lines: &str, expected: &str) {
    let text = format!("[namespaces.a]\n{lines}\n[namespaces.b]\n[namespaces.c]");
    check(&text, &format!("line 2: namespaces.a.{expected}"));
}

#[track_caller]
fn namespace(lines: &str) -> NamespaceRules {
    let text = format!("[namespaces.a]\n{lines}\n[namespaces.b]");
    let rules = Rules::from_toml(&text).expect("the rules are good");
    rules.namespace("a").expect("it is named").clone()
}

#[test]
fn what_is_not_said_is_segments_way() {
    let rules = rules("");
    assert_eq!(rules.trigger, Trigger::SeenTogether);
    assert_eq!(rules.conflict, Conflict::DropLowest);
    assert_eq!(rules.survivor, Survivor::Oldest);
    assert_eq!(rules.over_limit, OverLimit::Refuse);
    assert_eq!(rules.anonymous_history, AnonymousHistory::Retroactive);
    assert_eq!((rules.merges_max, rules.identifiers_max), (100, 1_000));
    assert_eq!((rules.moved_max, rules.holders_max), (10_000_000, 1_000));
    assert!(rules.attributes_history && rules.canonical_id.is_empty() && rules.key.is_none());
    assert!(
        rules.survivorship == Survivorship::Newest
            && !rules.has_pair_limits()
            && !rules.derives_hashes()
    );
    let rules = Rules::from_toml(&with_namespace("[workspace]\ntrigger = \"explicit\""));
    assert_eq!(rules.expect("the rules are good").conflict, Conflict::Refuse);
}

#[test]
fn every_policy_has_a_word() {
    let all = [
        "trigger = \"key\"\nkey = \"a\"\nconflict = \"keep_first\"",
        "trigger = \"key\"\nkey = \"a\"\nconflict = \"transfer\"\nsurvivor = \"target\"",
        "trigger = \"seen_together\"\nconflict = \"legacy_2020\"\nambiguous_event = \"judge\"",
        "conflict = \"replay\"\nsurvivor = \"strongest_identifier\"\nambiguous_event = \"refuse\"",
        "conflict = \"refuse\"\nover_limit = \"evict_oldest\"\nanonymous_history = \"moves\"",
        "trigger = \"explicit\"\nanonymous_history = \"nobody\"\nattribute_history = false",
    ];
    for workspace in all {
        rules(&format!("[workspace]\n{workspace}"));
    }
    let rules = rules(
        "[workspace]\nover_limit = \"evict_by_kind\"\nevict_order = [\"cookie\", \"token\"]\n\
         canonical_id = [\"b\", \"a\"]\nmoved_max = 7\nholders_max = 3",
    );
    assert_eq!(rules.over_limit, OverLimit::EvictByKind(vec![Kind::Cookie, Kind::Token]));
    assert_eq!(rules.canonical_id, ["b".into(), "a".into()]);
    assert_eq!((rules.moved_max, rules.holders_max), (7, 3));
}

#[test]
fn a_bad_word_in_the_workspace_is_named_with_the_good_ones() {
    check_line("workspace", "trigger = \"identify\"", "trigger: \"identify\" is not one of: seen_");
    check_line("workspace", "conflict = \"drop\"", "conflict: \"drop\" is not one of: drop_lowest");
    check_line("workspace", "drop_policy = \"x\"", "drop_policy: unknown key; known here: trigger");
    check_line("workspace", "survivor = \"newest\"", "survivor: \"newest\" is not one of: oldest");
    check_line("workspace", "over_limit = 3", "over_limit: must be a string, not integer");
    check_line(
        "workspace",
        "ambiguous_event = \"x\"",
        "ambiguous_event: \"x\" is not one of: judge",
    );
    check_line("workspace", "anonymous_history = \"x\"", "anonymous_history: \"x\" is not one of");
    check_line("workspace", "attribute_history = 1", "attribute_history: must be true or false");
    check_line("workspace", "moved_max = -1", "moved_max: must be from 0 to 10000000");
    check_line("workspace", "holders_max = 0", "holders_max: must be from 1 to 10000");
    check_line(
        "workspace",
        "anonymous_expires_after_days = 0",
        "anonymous_expires_after_days: must be from 1 to 36500",
    );
    check_line(
        "workspace",
        "evict_order = [\"car\"]",
        "evict_order[0]: \"car\" is not one of: person",
    );
    check_line("workspace", "canonical_id = [\"a\", \"a\"]", "canonical_id[1]: stands in the list");
}

#[test]
fn keys_of_the_workspace_must_fit_each_other() {
    let contradictions = [
        ("key = \"a\"", "key: is used with trigger = \"key\" only"),
        ("trigger = \"key\"", "trigger: \"key\" needs `key`"),
        ("evict_order = [\"cookie\"]", "evict_order: is used with over_limit = \"evict_by_kind\""),
        ("over_limit = \"evict_by_kind\"", "over_limit: \"evict_by_kind\" needs `evict_order`"),
        ("canonical_id = [\"x\"]", "canonical_id: no namespace is named \"x\""),
    ];
    for (line, expected) in contradictions {
        check_line("workspace", line, expected);
    }
    let longer = [
        ("trigger = \"key\"\nkey = \"x\"", "line 3: workspace.key: no namespace is named \"x\""),
        (
            "trigger = \"explicit\"\nconflict = \"transfer\"",
            "line 3: workspace.conflict: with trigger = \"explicit\" events join nothing",
        ),
        (
            "key = \"a\"\ntrigger = \"key\"\nconflict = \"replay\"",
            "line 4: workspace.conflict: with trigger = \"key\" it is one of: refuse, keep_first",
        ),
    ];
    for (lines, expected) in longer {
        check(&with_namespace(&format!("[workspace]\n{lines}")), expected);
    }
    check(
        "[workspace]\nanonymous_history = \"nobody\"\n[namespaces.a]",
        "line 2: workspace.anonymous_history: \"nobody\" needs a namespace with login = true",
    );
    check(
        "[workspace]\nanonymous_expires_after_days = 9\n[namespaces.a]",
        "line 2: workspace.anonymous_expires_after_days: needs a namespace with login = true",
    );
    check(
        "[workspace]\ntrigger = \"key\"\nkey = \"a\"\n[namespaces.a]\nshared = true",
        "line 3: workspace.key: a is exclusive or shared",
    );
    check(
        "[workspace]\ncanonical_id = [\"a\"]\n[namespaces.a]\nshared = true",
        "line 2: workspace.canonical_id: a is shared",
    );
}

#[test]
fn commands_are_guarded_where_only_commands_join() {
    let rules = rules(
        "[workspace]\ntrigger = \"explicit\"\n[commands.login]\nnew_known = \"create\"\n\
         unknown_source = true\nsource_pattern = \"^u-\"\n[commands.logout]\nprofile = \"return\"\n\
         [commands.link]\nsource_once = true\nmarks_known = \"joined\"\n[commands.merge]\n\
         marks_known = \"kept\"",
    );
    assert_eq!((rules.new_known, rules.logout), (NewKnown::Create, Logout::Return));
    let login = &rules.login_guards;
    assert!(login.unknown_source && !login.source_once && login.marks_known == MarksKnown::Never);
    assert!(login.source_pattern.as_ref().is_some_and(|p| p.is_match("u-1") && !p.is_match("1")));
    assert!(rules.link_guards.source_once && rules.link_guards.marks_known == MarksKnown::Joined);
    assert!(
        rules.merge_guards.marks_known == MarksKnown::Kept && !rules.merge_guards.unknown_source
    );
}

#[test]
fn a_bad_command_is_refused() {
    check_line("commands.login", "new_known = \"x\"", "new_known: \"x\" is not one of: convert");
    check_line(
        "commands.login",
        "profile = \"stay\"",
        "profile: unknown key; known here: new_known",
    );
    check_line("commands.logout", "profile = \"x\"", "profile: \"x\" is not one of: stay, create");
    check_line("commands.link", "source_pattern = \"(\"", "source_pattern: is not a pattern: ");
    check_line("commands.link", "source_once = 1", "source_once: must be true or false");
    check_line("commands.merge", "source_once = true", "source_once: unknown key; known here: unk");
    check_line("commands.merge", "source_pattern = \"\"", "source_pattern: unknown key");
    check_line("commands", "split = {}", "split: unknown key; known here: login, logout, link");
}

#[test]
fn a_command_that_would_do_nothing_is_refused() {
    let explicit_only = "with trigger = \"explicit\" only";
    for key in ["unknown_source = true", "marks_known = \"joined\""] {
        let name = key.split(' ').next().unwrap_or_default();
        let expected = format!("{name}: can be used {explicit_only}");
        check_line("commands.login", key, &expected);
        check_line("commands.link", key, &expected);
    }
    let expected = format!("source_once: can be used {explicit_only}");
    check_line("commands.link", "source_once = true", &expected);
    check_line("commands.login", "source_once = true", "source_once: unknown key");
    check_line("commands.login", "source_pattern = \"x\"", "source_pattern: can be used with");
    check_line("commands.login", "new_known = \"create\"", "new_known: can be \"create\" with");
    check_line("commands.logout", "profile = \"return\"", "profile: can be other than \"stay\"");
    check(
        "[workspace]\ntrigger = \"explicit\"\n[commands.login]\nnew_known = \"create\"\n\
         [namespaces.a]",
        "line 4: commands.login.new_known: \"create\" needs a namespace with login = true",
    );
    rules("[commands.merge]\nunknown_source = true");
}

#[test]
fn each_trait_may_have_its_own_survivorship() {
    let rules = rules("[traits]\nsurvivorship = \"survivor\"\n[traits.by_name]\n\"a b\" = \"sum\"");
    assert_eq!(rules.survivorship_of("a b"), Survivorship::Sum);
    assert_eq!(rules.survivorship_of("x"), Survivorship::Survivor);
    for word in ["newest", "oldest", "absorbed", "survivor_only", "union", "min", "max"] {
        Rules::from_toml(&with_namespace(&format!("[traits]\nsurvivorship = {word:?}")))
            .expect("the word is known");
    }
    check_line(
        "traits",
        "survivorship = \"first\"",
        "survivorship: \"first\" is not one of: newest",
    );
    check_line("traits", "per = {}", "per: unknown key; known here: survivorship, by_name");
    check_line("traits.by_name", "x = \"y\"", "x: \"y\" is not one of: newest, oldest");
    let long = "x".repeat(crate::limits::TRAIT_NAME_BYTES_MAX + 1);
    check_line("traits.by_name", &format!("{long} = \"sum\""), &format!("{long}: a trait's name"));
}

#[test]
fn a_namespace_says_who_may_hold_its_values() {
    let all = namespace(
        "kind = \"device\"\nlimit = \"none\"\nimmutable = true\nshared = true\n\
         per = { b = 2 }\nsha256_of = \"b\"\npattern = \"^[0-9a-f]{64}$\"",
    );
    assert_eq!((all.kind, all.limit.values), (Some(Kind::Device), u32::MAX));
    assert!(all.immutable && all.shared && !all.exclusive);
    assert_eq!(all.pair_limits, [("b".into(), 2)]);
    assert_eq!(all.sha256_of.as_deref(), Some("b"));
    assert!(all.pattern.is_some_and(|p| p.is_match(&"0".repeat(64)) && !p.is_match("0")));
    assert!(namespace("exclusive = true").exclusive);
    let text = "[workspace]\ncanonical_id = [\"a\"]\n[namespaces.a]\ncanonical_prefix = \"$a:\"";
    let rules = Rules::from_toml(text).expect("the rules are good");
    assert_eq!(rules.namespace("a").map(|a| &*a.canonical_prefix), Some("$a:"));
}

#[test]
fn rules_know_what_they_use() {
    let uses = |lines: &str| {
        let text = format!("[namespaces.a]\n{lines}\n[namespaces.b]");
        Rules::from_toml(&text).expect("the rules are good")
    };
    let plain = uses("");
    assert!(!plain.has_logins() && !plain.has_shared() && !plain.keeps_evidence());
    assert!(uses("login = true").has_logins() && uses("shared = true").has_shared());
    assert!(
        uses("per = { b = 1 }").has_pair_limits() && uses("sha256_of = \"b\"").derives_hashes()
    );
}

#[test]
fn a_bad_namespace_is_refused() {
    check_namespace("kind = \"car\"", "kind: \"car\" is not one of: person, email, phone");
    check_namespace("limit = \"many\"", "limit: \"many\" is not one of: none");
    check_namespace("immutable = 1", "immutable: must be true or false");
    check_namespace("exclusive = \"\"", "exclusive: must be true or false");
    check_namespace("shared = []", "shared: must be true or false");
    check_namespace("per = { b = 0 }", "per.b: must be from 1 to");
    check_namespace("per = { x = 1 }", "per.x: no namespace is named \"x\"");
    check_namespace("per = { a = 1 }", "per.a: is the namespace itself");
    check_namespace("per = 3", "per: must be a table, not integer");
    check_namespace("sha256_of = \"x\"", "sha256_of: no namespace is named \"x\"");
    check_namespace("sha256_of = \"a\"", "sha256_of: is the namespace itself");
    check_namespace("canonical_prefix = \"\"", "canonical_prefix: is 1 to 64 bytes");
    check_namespace("canonical_prefix = \"x\"", "canonical_prefix: is used for namespaces in");
    check_namespace("pattern = \"[\"", "pattern: is not a pattern: ");
    check("[namespaces.former_id]", "line 1: namespaces.former_id: is reserved");
}

#[test]
fn a_namespace_must_not_contradict_itself_or_others() {
    check("[namespaces.a]\nexclusive = true\nshared = true", "line 3: namespaces.a.shared: contra");
    check(
        "[namespaces.a]\nexclusive = true\nimmutable = true",
        "line 3: namespaces.a.immutable: contradicts exclusive",
    );
    check(
        "[namespaces.a]\nsha256_of = \"b\"\n[namespaces.b]\nsha256_of = \"c\"\n[namespaces.c]",
        "line 2: namespaces.a.sha256_of: b holds hashes itself",
    );
    check(
        "[namespaces.a]\nsha256_of = \"c\"\n[namespaces.b]\nsha256_of = \"c\"\n[namespaces.c]",
        "line 4: namespaces.b.sha256_of: a holds the hashes of c already",
    );
    check(
        "[workspace]\ntrigger = \"explicit\"\n[namespaces.a]\nexclusive = true",
        "line 4: namespaces.a.exclusive: does nothing with trigger = \"explicit\"",
    );
    check(
        "[workspace]\nconflict = \"replay\"\n[namespaces.a]\nlimit = { values = 1, window = \
         \"daily\" }",
        "line 4: namespaces.a.limit.window: with conflict = \"replay\" a limit is for ever",
    );
}

#[test]
fn keys_are_compared_only_when_each_is_good_by_itself() {
    let found = problems("[workspace]\ntrigger = \"kee\"\nkey = \"x\"\n[namespaces.a]");
    assert_eq!(found.len(), 1, "{found:#?}");
}

#[test]
fn patterns_of_all_tables_count_together() {
    let many = r#"{ regex = "^x$" },"#.repeat(crate::limits::PATTERNS_MAX);
    check(
        &format!("[namespaces.a]\nblocked = [{many}]\n[namespaces.b]\npattern = \"x\""),
        "line 4: namespaces.b.pattern: is one pattern too many: 256 are allowed in all",
    );
    check(
        &format!(
            "[namespaces.a]\nblocked = [{many}]\n[namespaces.b]\nblocked = [{{ list = \"segment\" }}]"
        ),
        "line 4: namespaces.b.blocked[0].list: is too many patterns: 256 are allowed in all",
    );
}
