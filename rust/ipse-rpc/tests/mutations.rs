//! Requests that were damaged on their way: whatever the bytes, there is an answer or a
//! refusal by name, never a bug, and the graph stays what it must be.

mod support;

use ipse_rpc::Dispatch;
use ipse_rpc::proto::v1;
use prost::Message;
use support::*;

/// A fixed sequence of numbers that look random (xorshift64*): failures can be repeated.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % bound
    }
}

const SPLICES: [&str; 14] = [
    "\"",
    "\\",
    "{",
    "[",
    "null",
    "\\ud800",
    "1e999",
    "-0",
    "\u{0}",
    "userId",
    "\"type\":",
    ",",
    ":",
    "ж",
];

fn damaged(numbers: &mut Numbers, bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..=numbers.below(3) {
        let at = numbers.below(bytes.len() + 1);
        match numbers.below(4) {
            0 => bytes.truncate(at),
            1 if at < bytes.len() => bytes[at] = numbers.below(256) as u8,
            2 if at < bytes.len() => drop(bytes.remove(at)),
            _ => {
                let splice = SPLICES[numbers.below(SPLICES.len())];
                bytes.splice(at..at, splice.bytes());
            }
        }
    }
    bytes
}

fn raw_event(numbers: &mut Numbers) -> v1::Event {
    let (user, person) = (numbers.below(20), numbers.below(20));
    let json = format!(
        r#"{{"messageId":"m{}","type":"identify","timestamp":"2023-12-31T00:00:{:02}Z","userId":"u{user}",
        "anonymousId":{person},"traits":{{"email":"p{person}@x","tags":[1,{{"a":null}}]}},
        "context":{{"device":{{"type":"ios","id":"d{person}","adTrackingEnabled":true}},
        "externalIds":[{{"id":"1","type":"phone","collection":"users","encoding":"none"}}]}}}}"#,
        numbers.below(2_000),
        numbers.below(60),
    );
    v1::Event { raw_json: json.into_bytes(), ..Default::default() }
}

fn explicit_event(numbers: &mut Numbers) -> v1::Event {
    let values = [numbers.below(20), numbers.below(20), numbers.below(20)];
    let [user, email, anonymous] = values;
    let mut event = event(&format!("user_id=u{user} email=p{email}@x anonymous_id={anonymous}"));
    event.identifiers.truncate(1 + numbers.below(3));
    event
}

fn pair(numbers: &mut Numbers) -> String {
    let namespace = ["user_id", "email", "anonymous_id"][numbers.below(3)];
    let value = numbers.below(20);
    if namespace == "email" { format!("email=p{value}@x") } else { format!("{namespace}={value}") }
}

fn lookup(numbers: &mut Numbers) -> v1::ProfileLookup {
    use v1::profile_lookup::Lookup;
    let pair = pair(numbers);
    let lookup = match numbers.below(4) {
        0 => Lookup::FormerId(format!("former{}", numbers.below(20))),
        1 => Lookup::CanonicalId(pair),
        _ => return by_identifier(&pair).expect("set"),
    };
    v1::ProfileLookup { lookup: Some(lookup) }
}

/// A method and a request of it.
fn command(numbers: &mut Numbers) -> (&'static str, Vec<u8>) {
    let read_only = numbers.below(4) == 0;
    let operation_id =
        [String::new(), format!("op{}", numbers.below(50))][numbers.below(2)].clone();
    let source = "test".to_owned();
    let pairs = format!("{} {}", pair(numbers), pair(numbers));
    let (one, other) = (lookup(numbers), lookup(numbers));
    let times = [numbers.below(100), numbers.below(100)].map(|s| wire_time(s as i64 * 1_000));
    match numbers.below(8) {
        0 => ("Login", {
            let anonymous_identifiers = identifiers(&pairs);
            let event = Some(event(&pair(numbers)));
            let workspace = String::new();
            let force = numbers.below(2) == 0;
            v1::LoginRequest { workspace, event, anonymous_identifiers, force, read_only }
                .encode_to_vec()
        }),
        1 => ("Logout", {
            let event = Some(event(&pairs));
            v1::LogoutRequest { event, read_only, ..Default::default() }.encode_to_vec()
        }),
        2 => ("LinkIdentifiers", {
            let (event, sources) = (Some(event(&pair(numbers))), identifiers(&pairs));
            v1::LinkIdentifiersRequest { event, sources, read_only, ..Default::default() }
                .encode_to_vec()
        }),
        3 => ("ModifyIdentifiers", {
            let change = |old: usize, new: usize| v1::IdentifierChange {
                namespace: "anonymous_id".into(),
                old_value: if old == 0 { String::new() } else { old.to_string() },
                new_value: if new == 0 { String::new() } else { new.to_string() },
            };
            let mut changes = Vec::new();
            for _ in 0..=numbers.below(2) {
                changes.push(change(numbers.below(20), numbers.below(20)));
            }
            v1::ModifyIdentifiersRequest {
                operation_id,
                profile: Some(one),
                changes,
                source,
                read_only,
                ..Default::default()
            }
            .encode_to_vec()
        }),
        4 => ("MergeProfiles", {
            v1::MergeProfilesRequest {
                operation_id,
                target: Some(one),
                sources: vec![other, lookup(numbers)],
                read_only,
                ..Default::default()
            }
            .encode_to_vec()
        }),
        5 => ("SplitProfile", {
            v1::SplitProfileRequest {
                operation_id,
                profile: by_identifier(pairs.split(' ').next().expect("two")),
                identifiers: identifiers(&pairs),
                together: numbers.below(2) == 0,
                read_only,
                ..Default::default()
            }
            .encode_to_vec()
        }),
        6 => ("AttributeHistory", {
            v1::AttributeHistoryRequest {
                operation_id,
                source_profile: Some(one),
                destination_profile: Some(other),
                start_time: times[0],
                end_time: times[1],
                read_only,
                ..Default::default()
            }
            .encode_to_vec()
        }),
        _ => ("ImportProfiles", {
            let imported = |identifier| v1::ImportedIdentifier {
                identifier: Some(identifier),
                attached_time: times[0],
            };
            let profile = v1::ImportedProfile {
                former_id: format!("former{}", numbers.below(20)),
                created_time: times[1],
                known: numbers.below(2) == 0,
                identifiers: identifiers(&pairs).into_iter().map(imported).collect(),
                traits: Vec::new(),
            };
            let profiles = vec![profile.clone(), profile];
            v1::ImportProfilesRequest { profiles, source, read_only, ..Default::default() }
                .encode_to_vec()
        }),
    }
}

/// A method that reads and a request of it.
fn reading(numbers: &mut Numbers) -> (&'static str, Vec<u8>) {
    let read_mask =
        [None, mask(&["traits", "identifiers", "canonical_id"])][numbers.below(2)].clone();
    match numbers.below(4) {
        0 => ("LookupProfiles", {
            let identifier = Some(identifier(&pair(numbers)));
            v1::LookupProfilesRequest { identifier, read_mask, ..Default::default() }
                .encode_to_vec()
        }),
        1 => ("ListProfiles", {
            let filter = Some(v1::ProfileFilter {
                has_namespace: "email".into(),
                known: [None, Some(true)][numbers.below(2)],
                changed_after_sequence_number: numbers.below(100) as u64,
            });
            v1::ListProfilesRequest { filter, page_size: 3, read_mask, ..Default::default() }
                .encode_to_vec()
        }),
        2 => ("TranslateIdentities", {
            let target = v1::IdentityTarget {
                namespaces: vec!["user_id".into(), "email".into()],
                choice: numbers.below(4) as i32,
                form: numbers.below(3) as i32,
            };
            let (lookups, targets) = (vec![lookup(numbers), lookup(numbers)], vec![target]);
            v1::TranslateIdentitiesRequest { lookups, targets, ..Default::default() }
                .encode_to_vec()
        }),
        _ => ("BatchGetProfiles", {
            let lookups = vec![lookup(numbers), lookup(numbers)];
            v1::BatchGetProfilesRequest { lookups, page_size: 1, read_mask, ..Default::default() }
                .encode_to_vec()
        }),
    }
}

fn send_any(server: &Dispatch, method: &str, request: &[u8]) {
    match method {
        "Login" => send::<v1::LoginResponse>(server, method, request),
        "Logout" => send::<v1::LogoutResponse>(server, method, request),
        "LinkIdentifiers" => send::<v1::LinkIdentifiersResponse>(server, method, request),
        "ModifyIdentifiers" => send::<v1::ModifyIdentifiersResponse>(server, method, request),
        "MergeProfiles" => send::<v1::MergeProfilesResponse>(server, method, request),
        "SplitProfile" => send::<v1::SplitProfileResponse>(server, method, request),
        "AttributeHistory" => send::<v1::AttributeHistoryResponse>(server, method, request),
        "ImportProfiles" => send::<v1::ImportProfilesResponse>(server, method, request),
        "LookupProfiles" => send::<v1::LookupProfilesResponse>(server, method, request),
        "ListProfiles" => send::<v1::ListProfilesResponse>(server, method, request),
        "TranslateIdentities" => send::<v1::TranslateIdentitiesResponse>(server, method, request),
        "BatchGetProfiles" => send::<v1::BatchGetProfilesResponse>(server, method, request),
        _ => unreachable!("methods of the two functions above"),
    }
}

/// An answer must be exactly what the generated code would have written.
fn check_answer<M: Message + Default>(bytes: &[u8]) {
    let message = M::decode(bytes).expect("a message of the method");
    assert_eq!(message.encode_to_vec(), bytes);
}

fn send<M: Message + Default>(server: &Dispatch, method: &str, request: &[u8]) {
    let method = format!("/ipse.v1.IdentityService/{method}");
    match server.call(&method, request, None, None, at(NOW_MS)).result {
        Ok(bytes) => check_answer::<M>(&bytes),
        Err(status) => assert_ne!(status.code(), 13, "{request:?}: {:?}", server.take_faults()),
    }
}

#[test]
fn damaged_requests_are_no_bugs() {
    ipse_rpc::keep_panics_for_the_log();
    let server = in_memory();
    let mut numbers = Numbers(42);
    for round in 0..10_000 {
        let mut events = vec![explicit_event(&mut numbers), raw_event(&mut numbers)];
        if numbers.below(2) == 0 {
            let raw_json = damaged(&mut numbers, &events[1].raw_json);
            events[1].raw_json = raw_json;
        }
        let read_only = numbers.below(8) == 0;
        let batch = v1::ResolveEventsRequest { events, read_only, ..Default::default() };
        let batch = batch.encode_to_vec();
        send::<v1::ResolveEventsResponse>(&server, "ResolveEvents", &batch);
        let batch = damaged(&mut numbers, &batch);
        send::<v1::ResolveEventsResponse>(&server, "ResolveEvents", &batch);
        let single = resolve(explicit_event(&mut numbers)).encode_to_vec();
        let single = damaged(&mut numbers, &single);
        send::<v1::ResolveEventResponse>(&server, "ResolveEvent", &single);
        let lookup = by_identifier(&format!("user_id=u{}", numbers.below(20)));
        let get = v1::GetProfileRequest { lookup, page_size: 2, ..Default::default() };
        send::<v1::GetProfileResponse>(&server, "GetProfile", &get.encode_to_vec());
        let get = damaged(&mut numbers, &get.encode_to_vec());
        send::<v1::GetProfileResponse>(&server, "GetProfile", &get);
        let locked = server.store().lock();
        if round % 500 == 0 {
            locked.workspaces().for_each(|index| {
                assert_eq!(locked.graph(index).check(), Ok(()), "round {round}");
            });
        }
    }
    assert!(server.figures().contains(&("panics_total", 0)));
}

fn damaged_commands_are_no_bugs(rules: &str) {
    ipse_rpc::keep_panics_for_the_log();
    let server = with_rules(rules);
    let mut numbers = Numbers(43);
    for round in 0..4_000 {
        let single = resolve(explicit_event(&mut numbers)).encode_to_vec();
        send::<v1::ResolveEventResponse>(&server, "ResolveEvent", &single);
        for (method, request) in [command(&mut numbers), reading(&mut numbers)] {
            send_any(&server, method, &request);
            let request = damaged(&mut numbers, &request);
            send_any(&server, method, &request);
        }
        if round % 200 == 0 {
            let locked = server.store().lock();
            locked.workspaces().for_each(|index| {
                assert_eq!(locked.graph(index).check(), Ok(()), "round {round}");
            });
        }
    }
    assert!(server.figures().contains(&("panics_total", 0)));
}

#[test]
fn damaged_commands_are_no_bugs_where_what_is_seen_together_joins() {
    damaged_commands_are_no_bugs(ipse_core::rules::preset("segment").expect("built in"));
}

#[test]
fn damaged_commands_are_no_bugs_where_commands_join() {
    let namespaces = "[namespaces.user_id]\nlimit = 3\nlogin = true\n[namespaces.email]\n\
        limit = 2\n[namespaces.anonymous_id]\nlimit = 10\nshared = true\n";
    damaged_commands_are_no_bugs(&format!("[workspace]\ntrigger = \"explicit\"\n{namespaces}"));
}

#[test]
fn damaged_commands_are_no_bugs_where_links_are_evidence() {
    let namespaces = "[namespaces.user_id]\nlimit = 1\nlogin = true\n[namespaces.email]\n\
        limit = 5\n[namespaces.anonymous_id]\nlimit = 5\n";
    damaged_commands_are_no_bugs(&format!("[workspace]\nconflict = \"replay\"\n{namespaces}"));
}
