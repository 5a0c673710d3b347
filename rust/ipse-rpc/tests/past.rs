//! Reading the past: profiles and lookups as of a record or a time, and rows of both.

mod support;

use ipse_rpc::Dispatch;
use ipse_rpc::proto::v1;
use ipse_rpc::proto::v1::as_of::Moment;
use support::*;

const RULES: &str = r#"
[workspace]
conflict = "transfer"
survivor = "oldest"
[namespaces.user]
priority = 1
limit = 1
login = true
[namespaces.card]
priority = 2
limit = 9
exclusive = true
"#;

/// A card that went from one person to another; whose it was first, and whose it is.
fn passed_on() -> (Dispatch, [String; 2]) {
    let server = with_rules(RULES);
    let owners = ["user=1 card=c", "user=2 card=c"].map(|shown| resolved(&server, event(shown)));
    (server, owners.map(|resolution| resolution.profile_id))
}

fn as_of(number: u64) -> Option<v1::AsOf> {
    Some(v1::AsOf { moment: Some(Moment::SequenceNumber(number)) })
}

fn at_time(ms: i64) -> Option<v1::AsOf> {
    Some(v1::AsOf { moment: wire_time(ms).map(Moment::LogTime) })
}

fn get(pair: &str, as_of: Option<v1::AsOf>) -> v1::GetProfileRequest {
    v1::GetProfileRequest { lookup: by_identifier(pair), as_of, ..Default::default() }
}

#[test]
fn a_profile_is_read_as_it_was() {
    let (server, [first, second]) = passed_on();
    let read = |request: &v1::GetProfileRequest| -> v1::GetProfileResponse {
        ask(&server, "GetProfile", request)
    };
    let then = read(&get("card=c", as_of(3)));
    let profile = then.profile.expect("it is there");
    assert_eq!((then.sequence_number, &profile.profile_id), (3, &first));
    assert_eq!((profile.identifiers.len(), profile.identifier_count), (2, 2));
    let now = read(&get("card=c", at_time(NOW_MS)));
    assert_eq!((now.sequence_number, now.profile.expect("it is there").profile_id), (4, second));

    let request = v1::LookupProfilesRequest {
        identifier: Some(identifier("card=c")),
        as_of: as_of(3),
        ..Default::default()
    };
    let found: v1::LookupProfilesResponse = ask(&server, "LookupProfiles", &request);
    assert_eq!((found.profile_count, found.sequence_number), (1, 3));
    assert_eq!(found.profiles[0].profile_id, first);
    let lookups = ["user=1", "user=2"].map(|pair| by_identifier(pair).expect("a lookup"));
    let request = v1::BatchGetProfilesRequest {
        lookups: lookups.to_vec(),
        as_of: as_of(3),
        ..Default::default()
    };
    let found: v1::BatchGetProfilesResponse = ask(&server, "BatchGetProfiles", &request);
    let is_there = |result: &v1::BatchGetProfilesResult| {
        matches!(result.result, Some(v1::batch_get_profiles_result::Result::Profile(_)))
    };
    assert_eq!(found.results.iter().map(is_there).collect::<Vec<_>>(), [true, false]);
}

#[test]
fn what_was_not_there_and_what_has_not_come_is_refused() {
    let (server, [_, second]) = passed_on();
    let refusal = |lookup, as_of| {
        let request = v1::GetProfileRequest { lookup, as_of, ..Default::default() };
        let refused = refused(call(&server, "GetProfile", &request));
        (refused.reason, refused.fields.concat())
    };
    let told = |reason: &str, field: &str| (reason.to_owned(), field.to_owned());
    let (card, id) = (|| by_identifier("card=c"), || by_id(&second));
    assert_eq!(refusal(card(), as_of(2)), told("PROFILE_NOT_FOUND", "lookup.identifier"));
    assert_eq!(refusal(id(), as_of(3)), told("PROFILE_NOT_FOUND", "lookup.profile_id"));
    assert_eq!(refusal(card(), at_time(0)), told("PROFILE_NOT_FOUND", "lookup.identifier"));
    assert_eq!(refusal(card(), as_of(9)), told("INVALID_FIELD", "as_of.sequence_number"));
    assert_eq!(refusal(card(), at_time(NOW_MS + 1_000)), told("INVALID_FIELD", "as_of.log_time"));
    assert_eq!(refusal(card(), Some(v1::AsOf::default())), told("INVALID_FIELD", "as_of"));
}

#[test]
fn rows_are_answered_each_as_of_its_own_moment() {
    let (server, [first, second]) = passed_on();
    let row = |pair: &str, as_of| v1::PastLookup { identifier: Some(identifier(pair)), as_of };
    let lookups = vec![
        row("card=c", as_of(3)),
        row("card=c", at_time(NOW_MS)),
        row("card=c", as_of(1)),
        row("card=c", as_of(5)),
        row("card=c", None),
        row("hat=1", as_of(3)),
        v1::PastLookup { identifier: None, as_of: as_of(3) },
    ];
    let request = v1::LookupAsOfRequest { lookups, ..Default::default() };
    let answer: v1::LookupAsOfResponse = ask(&server, "LookupAsOf", &request);
    assert_eq!(answer.sequence_number, 4);
    let shown = |result: &v1::LookupAsOfResult| {
        let name = |id: &str| match id {
            "" => 0,
            id => 1 + usize::from(id == second),
        };
        let error = result.error.clone().unwrap_or_default();
        let ids = (name(&result.profile_id), name(&result.current_profile_id));
        (ids, result.sequence_number, format!("{} {}", error.reason, error.field))
    };
    assert!(
        answer.results.iter().all(|result| [&*first, &*second, ""].contains(&&*result.profile_id))
    );
    let shown: Vec<_> = answer.results.iter().map(shown).collect();
    let row = |ids, sequence, error: &str| (ids, sequence, error.to_owned());
    assert_eq!(
        shown,
        [
            row((1, 2), 3, " "),
            row((2, 2), 4, " "),
            row((0, 2), 1, "PROFILE_NOT_FOUND identifier"),
            row((0, 2), 0, "INVALID_FIELD as_of.sequence_number"),
            row((0, 2), 0, "INVALID_FIELD as_of"),
            row((0, 0), 3, "INVALID_FIELD identifier.namespace"),
            row((0, 0), 3, "INVALID_FIELD identifier"),
        ]
    );
    let row = v1::PastLookup { identifier: Some(identifier("card=c")), as_of: as_of(3) };
    let many = v1::LookupAsOfRequest { lookups: vec![row; 1_001], ..Default::default() };
    assert_eq!(refused(call(&server, "LookupAsOf", &many)).reason, "LIMIT_EXCEEDED");
}
