//! Reading: every owner of an identifier, lists with filters, translations, read masks.

mod support;

use ipse_rpc::Dispatch;
use ipse_rpc::proto::v1;
use support::*;

const RULES: &str = r#"
[workspace]
conflict = "keep_first"
canonical_id = ["user_id", "email"]

[namespaces.user_id]
priority = 1
limit = 1
login = true

[namespaces.email]
priority = 2
limit = 5
normalise = "email"
canonical_prefix = "mail:"

[namespaces.email_sha256]
priority = 3
limit = 5
sha256_of = "email"

[namespaces.device_id]
priority = 4
limit = 100

[namespaces.kiosk]
priority = 5
limit = 5
shared = true
"#;

fn lookup_all(server: &Dispatch, pair: &str) -> v1::LookupProfilesResponse {
    let identifier = Some(identifier(pair));
    let request = v1::LookupProfilesRequest { identifier, ..Default::default() };
    ask(server, "LookupProfiles", &request)
}

fn ids(profiles: &[v1::Profile]) -> Vec<&str> {
    profiles.iter().map(|profile| profile.profile_id.as_str()).collect()
}

fn list(server: &Dispatch, request: &v1::ListProfilesRequest) -> v1::ListProfilesResponse {
    ask(server, "ListProfiles", request)
}

#[test]
fn every_owner_is_found() {
    let server = with_rules(RULES);
    let ann = resolved(&server, event("user_id=ann kiosk=k1"));
    let bob = resolved(&server, event("user_id=bob kiosk=k1"));
    let both = lookup_all(&server, "kiosk=k1");
    assert_eq!(ids(&both.profiles), [ann.profile_id.as_str(), &bob.profile_id]);
    assert_eq!(both.profile_count, 2);
    let one = lookup_all(&server, "user_id=bob");
    assert_eq!((ids(&one.profiles), one.profile_count), (vec![bob.profile_id.as_str()], 1));
    let nobody = lookup_all(&server, "user_id=eve");
    assert_eq!((nobody.profiles.len(), nobody.profile_count), (0, 0));
    assert_eq!(nobody.sequence_number, both.sequence_number);
    // A lookup of one profile is the first that held it.
    assert_eq!(profile(&server, by_identifier("kiosk=k1")).profile_id, ann.profile_id);
}

#[test]
fn owners_are_shown_as_far_as_there_is_room() {
    use v1::r#trait::Value;
    let server = with_rules(RULES);
    let text = Value::StringValue("x".repeat(8_192));
    for person in 0..8 {
        let traits = (0..300).map(|number| v1::Trait {
            name: format!("t{number}"),
            value: Some(text.clone()),
            ..Default::default()
        });
        let event = event(&format!("user_id=u{person} kiosk=k1"));
        resolved(&server, v1::Event { traits: traits.collect(), ..event });
    }
    let answer = lookup_all(&server, "kiosk=k1");
    assert_eq!((answer.profiles.len(), answer.profile_count), (6, 8));
    // What does not fit on a page of a list is on the next.
    let first = list(&server, &v1::ListProfilesRequest::default());
    assert_eq!(first.profiles.len(), 6);
    let page_token = first.next_page_token;
    let second = list(&server, &v1::ListProfilesRequest { page_token, ..Default::default() });
    assert_eq!((second.profiles.len(), second.next_page_token.as_str()), (2, ""));
}

#[test]
fn a_profile_has_its_ids_of_all_systems() {
    let server = with_rules(RULES);
    let ann = resolved(&server, event("email=Ann@X device_id=d1"));
    let found = profile(&server, by_id(&ann.profile_id));
    assert_eq!(found.canonical_id, "mail:ann@x");
    assert_eq!(found.changed_sequence_number, ann.sequence_number);
    let known = resolved(&server, event("email=ann@x user_id=u1"));
    let found = profile(&server, by_id(&ann.profile_id));
    assert_eq!(found.canonical_id, "u1");
    assert_eq!(found.changed_sequence_number, known.sequence_number);
    for canonical in ["u1", "mail:ann@x"] {
        let lookup = v1::profile_lookup::Lookup::CanonicalId(canonical.to_owned());
        let lookup = Some(v1::ProfileLookup { lookup: Some(lookup) });
        assert_eq!(profile(&server, lookup).profile_id, ann.profile_id, "{canonical}");
    }
}

#[test]
fn profiles_are_listed_in_order_of_creation() {
    let server = with_rules(RULES);
    let created: Vec<String> = (0..25)
        .map(|number| resolved(&server, event(&format!("device_id=d{number}"))).profile_id)
        .collect();
    let mut request = v1::ListProfilesRequest { page_size: 10, ..Default::default() };
    let mut listed = Vec::new();
    loop {
        let page = list(&server, &request);
        listed.extend(page.profiles.into_iter().map(|profile| profile.profile_id));
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            break;
        }
    }
    assert_eq!(listed, created);
}

#[test]
fn filters_must_all_hold() {
    let server = with_rules(RULES);
    let ann = resolved(&server, event("user_id=ann email=ann@x"));
    let bob = resolved(&server, event("user_id=bob"));
    let anonymous = resolved(&server, event("device_id=d1"));
    let before = anonymous.sequence_number;
    resolved(&server, event("user_id=bob device_id=d2"));
    let found = |filter: v1::ProfileFilter| {
        let filter = Some(filter);
        let page = list(&server, &v1::ListProfilesRequest { filter, ..Default::default() });
        assert_eq!(page.next_page_token, "");
        page.profiles.into_iter().map(|profile| profile.profile_id).collect::<Vec<_>>()
    };
    let of = v1::ProfileFilter::default;
    let namespace = |name: &str| v1::ProfileFilter { has_namespace: name.into(), ..of() };
    let (ann, bob, anonymous) = (ann.profile_id, bob.profile_id, anonymous.profile_id);
    assert_eq!(found(of()), [&*ann, &bob, &anonymous]);
    assert_eq!(found(namespace("device_id")), [&*bob, &anonymous]);
    assert_eq!(found(v1::ProfileFilter { known: Some(true), ..of() }), [&*ann, &bob]);
    assert_eq!(found(v1::ProfileFilter { known: Some(false), ..of() }), [&*anonymous]);
    let changed = v1::ProfileFilter { changed_after_sequence_number: before, ..of() };
    assert_eq!(found(changed.clone()), [&*bob]);
    assert_eq!(found(v1::ProfileFilter { known: Some(false), ..changed }).len(), 0);
    let both = v1::ProfileFilter { known: Some(true), ..namespace("device_id") };
    assert_eq!(found(both), [&*bob]);
}

#[test]
fn a_list_shows_each_profile_once_while_others_write() {
    let server = with_rules(RULES);
    for number in 0..3_000 {
        resolved(&server, event(&format!("device_id=d{number}")));
    }
    let is_done = std::sync::atomic::AtomicBool::new(false);
    let ordering = std::sync::atomic::Ordering::Relaxed;
    let listed = std::thread::scope(|scope| {
        scope.spawn(|| {
            // Merges the odd ones, pair by pair, and creates others.
            for number in (1..2_999).step_by(4).take_while(|_| !is_done.load(ordering)) {
                let other = number + 2;
                resolved(&server, event(&format!("device_id=d{number} device_id=d{other}")));
                resolved(&server, event(&format!("user_id=u{number}")));
            }
        });
        let mut request = v1::ListProfilesRequest { page_size: 100, ..Default::default() };
        let mut listed = Vec::new();
        loop {
            let page = list(&server, &request);
            listed.extend(page.profiles);
            request.page_token = page.next_page_token;
            if request.page_token.is_empty() {
                is_done.store(true, ordering);
                return listed;
            }
        }
    });
    let mut ids: Vec<&str> = ids(&listed);
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), listed.len(), "none twice");
    // Those that nobody touched are all there.
    let values: std::collections::BTreeSet<&str> = listed
        .iter()
        .flat_map(|profile| &profile.identifiers)
        .filter_map(|held| held.identifier.as_ref())
        .map(|identifier| identifier.value.as_str())
        .collect();
    for number in (0..3_000).step_by(2) {
        assert!(values.contains(format!("d{number}").as_str()), "d{number}");
    }
}

#[test]
fn a_call_looks_at_so_many_profiles_only() {
    let server = with_rules(RULES);
    for number in 0..ipse_rpc::limits::LIST_SCANNED_MAX + 5 {
        resolved(&server, event(&format!("device_id=d{number}")));
    }
    let last = resolved(&server, event("user_id=u1")).profile_id;
    let filter = Some(v1::ProfileFilter { known: Some(true), ..Default::default() });
    let mut request = v1::ListProfilesRequest { filter, ..Default::default() };
    let first = list(&server, &request);
    assert_eq!(first.profiles.len(), 0);
    request.page_token = first.next_page_token;
    let second = list(&server, &request);
    assert_eq!((ids(&second.profiles), second.next_page_token.as_str()), (vec![&*last], ""));
}

#[test]
fn a_page_token_is_good_for_its_filter_only() {
    let server = with_rules(RULES);
    resolved(&server, event("device_id=d1"));
    resolved(&server, event("device_id=d2"));
    let first = list(&server, &v1::ListProfilesRequest { page_size: 1, ..Default::default() });
    let page_token = first.next_page_token;
    for filter in [
        v1::ProfileFilter { has_namespace: "device_id".into(), ..Default::default() },
        v1::ProfileFilter { known: Some(false), ..Default::default() },
        v1::ProfileFilter { changed_after_sequence_number: 1, ..Default::default() },
    ] {
        let (filter, page_token) = (Some(filter), page_token.clone());
        let request = v1::ListProfilesRequest { filter, page_token, ..Default::default() };
        let refusal = refused(call(&server, "ListProfiles", &request));
        assert_eq!(refusal.reason, "INVALID_PAGE_TOKEN");
    }
    let create = v1::CreateWorkspaceRequest { name: "other".into(), ..Default::default() };
    let _: v1::CreateWorkspaceResponse = ask(&server, "CreateWorkspace", &create);
    let workspace = "other".to_owned();
    let request = v1::ListProfilesRequest { workspace, page_token, ..Default::default() };
    assert_eq!(refused(call(&server, "ListProfiles", &request)).reason, "INVALID_PAGE_TOKEN");
}

#[test]
fn only_what_is_asked_for_is_read() {
    let server = with_rules(RULES);
    let sent = v1::Event {
        traits: vec![v1::Trait {
            name: "city".into(),
            value: Some(v1::r#trait::Value::StringValue("Lviv".into())),
            ..Default::default()
        }],
        ..event("user_id=u1 device_id=d1 device_id=d2")
    };
    resolved(&server, sent);
    let read = |paths: &[&str]| {
        let request = v1::GetProfileRequest {
            lookup: by_identifier("user_id=u1"),
            page_size: 1,
            read_mask: mask(paths),
            ..Default::default()
        };
        let answer: v1::GetProfileResponse = ask(&server, "GetProfile", &request);
        answer.profile.expect("set")
    };
    let whole = read(&[]);
    assert!(whole.known && !whole.next_page_token.is_empty() && whole.created_time.is_some());
    let id = || v1::Profile { profile_id: whole.profile_id.clone(), ..Default::default() };
    let traits = whole.traits.clone();
    assert_eq!(read(&["traits"]), v1::Profile { traits, ..id() });
    assert_eq!(read(&["profile_id"]), id());
    let counted = v1::Profile { known: true, identifier_count: 3, ..id() };
    assert_eq!(read(&["identifier_count", "known"]), counted);
    let canonical = v1::Profile { canonical_id: "u1".into(), ..id() };
    assert_eq!(read(&["canonical_id"]), canonical);
    let identifiers = read(&["identifiers"]);
    assert_eq!(identifiers.identifiers, whole.identifiers);
    assert_eq!(identifiers.next_page_token, whole.next_page_token);

    let request = v1::ListProfilesRequest { read_mask: mask(&["known"]), ..Default::default() };
    assert_eq!(list(&server, &request).profiles, [v1::Profile { known: true, ..id() }]);
    let request = v1::LookupProfilesRequest {
        identifier: Some(identifier("device_id=d2")),
        read_mask: mask(&["known"]),
        ..Default::default()
    };
    let found: v1::LookupProfilesResponse = ask(&server, "LookupProfiles", &request);
    assert_eq!(found.profiles, [v1::Profile { known: true, ..id() }]);
    let request = v1::BatchGetProfilesRequest {
        lookups: vec![by_identifier("device_id=d2").expect("set")],
        read_mask: mask(&["known"]),
        ..Default::default()
    };
    let found: v1::BatchGetProfilesResponse = ask(&server, "BatchGetProfiles", &request);
    let known = v1::Profile { known: true, ..id() };
    let found = found.results[0].result.as_ref().expect("set");
    assert_eq!(found, &v1::batch_get_profiles_result::Result::Profile(known));
}

/// `namespace: value value`, for each target.
fn translated(server: &Dispatch, pair: &str, targets: Vec<v1::IdentityTarget>) -> Vec<String> {
    let lookups = by_identifier(pair).into_iter().collect();
    let request = v1::TranslateIdentitiesRequest { lookups, targets, ..Default::default() };
    let answer: v1::TranslateIdentitiesResponse = ask(server, "TranslateIdentities", &request);
    match answer.results[0].result.as_ref().expect("set") {
        v1::translate_identities_result::Result::Profile(profile) => profile
            .identities
            .iter()
            .map(|found| format!("{}: {}", found.namespace, found.values.join(" ")))
            .collect(),
        v1::translate_identities_result::Result::Error(error) => {
            vec![format!("{} {}", error.reason, error.field)]
        }
    }
}

fn target(namespaces: &[&str], choice: v1::ValueChoice, form: v1::ValueForm) -> v1::IdentityTarget {
    v1::IdentityTarget {
        namespaces: namespaces.iter().map(|&name| name.to_owned()).collect(),
        choice: choice as i32,
        form: form as i32,
    }
}

#[test]
fn a_profile_is_translated_for_a_destination() {
    use v1::ValueChoice::{All, First, Newest, Unspecified};
    use v1::ValueForm::{Normal, Sha256};
    let server = with_rules(RULES);
    let seen = |text: &str, ms| v1::Event { timestamp: wire_time(ms), ..event(text) };
    resolved(&server, seen("user_id=u1 email=B@X", NOW_MS - 3_000));
    // Sent later, seen earlier.
    resolved(&server, seen("user_id=u1 email=a@x", NOW_MS - 5_000));
    resolved(&server, seen("user_id=u1 email=c@x", NOW_MS - 1_000));
    let targets = vec![
        target(&["email"], Unspecified, v1::ValueForm::Unspecified),
        target(&["email"], First, Normal),
        target(&["email"], All, Normal),
        target(&["device_id", "user_id", "email"], Newest, Normal),
        target(&["device_id"], All, Normal),
        target(&["user_id"], Newest, Sha256),
    ];
    let sha256_of_u1 = "bb82030dbc2bcaba32a90bf2e207a84a856fc5f033b77c480836ab6f77f40f19";
    assert_eq!(
        translated(&server, "user_id=u1", targets),
        [
            "email: c@x",
            "email: a@x",
            "email: a@x b@x c@x",
            "user_id: u1",
            ": ",
            &format!("user_id: {sha256_of_u1}"),
        ]
    );
    let nobody = translated(&server, "user_id=no", vec![target(&["email"], All, Normal)]);
    assert_eq!(nobody, ["PROFILE_NOT_FOUND lookup.identifier"]);
}

#[test]
fn what_is_a_hash_already_is_not_hashed_again() {
    let server = with_rules(RULES);
    resolved(&server, event("user_id=u1 email=ann@x"));
    let (choice, form) = (v1::ValueChoice::Newest, v1::ValueForm::Sha256);
    let targets = vec![target(&["email"], choice, form), target(&["email_sha256"], choice, form)];
    let [plain, hash] = &translated(&server, "user_id=u1", targets)[..] else {
        panic!("two targets")
    };
    let plain = plain.strip_prefix("email: ").expect("it has an e-mail");
    assert_eq!(plain.len(), 64);
    assert_eq!(hash, &format!("email_sha256: {plain}"));
    // The hash alone finds whose it is.
    let found = profile(&server, by_identifier(&format!("email_sha256={plain}")));
    assert_eq!(found.canonical_id, "u1");
}

#[test]
fn what_is_read_is_refused_by_name() {
    let server = with_rules(RULES);
    resolved(&server, event("user_id=u1"));
    let lookup = |pair: &str| v1::LookupProfilesRequest {
        identifier: Some(identifier(pair)),
        ..Default::default()
    };
    let translate = |targets: Vec<v1::IdentityTarget>| v1::TranslateIdentitiesRequest {
        lookups: by_identifier("user_id=u1").into_iter().collect(),
        targets,
        ..Default::default()
    };
    let of = |namespaces: &[&str]| target(namespaces, v1::ValueChoice::All, v1::ValueForm::Normal);
    let odd = |choice, form| v1::IdentityTarget { choice, form, ..of(&["email"]) };
    let by = |lookup| v1::GetProfileRequest {
        lookup: Some(v1::ProfileLookup { lookup: Some(lookup) }),
        ..Default::default()
    };
    use v1::profile_lookup::Lookup;
    let cases = [
        ("identifier", "INVALID_FIELD", {
            call(&server, "LookupProfiles", &v1::LookupProfilesRequest::default())
        }),
        ("identifier.namespace", "INVALID_FIELD", {
            call(&server, "LookupProfiles", &lookup("no=x"))
        }),
        ("identifier.value", "INVALID_FIELD", call(&server, "LookupProfiles", &lookup("email=x"))),
        ("read_mask.paths[1]", "INVALID_FIELD", {
            let read_mask = mask(&["known", "name"]);
            let request = v1::LookupProfilesRequest { read_mask, ..lookup("user_id=u1") };
            call(&server, "LookupProfiles", &request)
        }),
        ("lookup.canonical_id", "PROFILE_NOT_FOUND", {
            call(&server, "GetProfile", &by(Lookup::CanonicalId("no".into())))
        }),
        ("lookup.former_id", "PROFILE_NOT_FOUND", {
            call(&server, "GetProfile", &by(Lookup::FormerId("no".into())))
        }),
        ("filter.has_namespace", "INVALID_FIELD", {
            let filter = v1::ProfileFilter { has_namespace: "no".into(), ..Default::default() };
            let filter = Some(filter);
            let request = v1::ListProfilesRequest { filter, ..Default::default() };
            call(&server, "ListProfiles", &request)
        }),
        ("page_size", "INVALID_FIELD", {
            let request = v1::ListProfilesRequest { page_size: -1, ..Default::default() };
            call(&server, "ListProfiles", &request)
        }),
        ("targets", "INVALID_FIELD", call(&server, "TranslateIdentities", &translate(vec![]))),
        ("targets", "LIMIT_EXCEEDED", {
            call(&server, "TranslateIdentities", &translate(vec![of(&["email"]); 17]))
        }),
        ("targets[0].namespaces", "INVALID_FIELD", {
            call(&server, "TranslateIdentities", &translate(vec![of(&[])]))
        }),
        ("targets[0].namespaces", "LIMIT_EXCEEDED", {
            call(&server, "TranslateIdentities", &translate(vec![of(&["email"; 65])]))
        }),
        ("targets[1].namespaces[0]", "INVALID_FIELD", {
            let targets = vec![of(&["email"]), of(&["no"])];
            call(&server, "TranslateIdentities", &translate(targets))
        }),
        ("targets[0].choice", "INVALID_FIELD", {
            call(&server, "TranslateIdentities", &translate(vec![odd(9, 0)]))
        }),
        ("targets[0].form", "INVALID_FIELD", {
            call(&server, "TranslateIdentities", &translate(vec![odd(0, 9)]))
        }),
        ("lookups", "LIMIT_EXCEEDED", {
            let lookups = vec![v1::ProfileLookup::default(); 1_001];
            let request = v1::TranslateIdentitiesRequest { lookups, ..translate(vec![]) };
            call(&server, "TranslateIdentities", &request)
        }),
    ];
    for (field, reason, reply) in cases {
        let refusal = refused(reply);
        let found = (refusal.fields[0].as_str(), refusal.reason.as_str());
        assert_eq!(found, (field, reason), "{refusal:?}");
    }
}
