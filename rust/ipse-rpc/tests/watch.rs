//! Watchers, without a transport: what they are told, from where on, and how it ends.

mod support;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use ipse_core::identifier::sha256_hex;
use ipse_core::rules::{preset, preset_names};
use ipse_rpc::limits::WATCHERS_MAX;
use ipse_rpc::proto::v1;
use ipse_rpc::status::Reason;
use ipse_rpc::{Dispatch, Next, Status, Tokens, Watch};
use ipse_store::simulated::SimulatedDisk;
use prost::Message;
use support::*;

const METHOD: &str = "/ipse.v1.HistoryService/WatchChanges";
const EVICTING: &str = "[workspace]\nidentifiers_max = 3\nover_limit = \"evict_oldest\"\n\
                        anonymous_expires_after_days = 2\n\
                        [namespaces.user]\npriority = 1\nlogin = true\nlimit = \"none\"\n\
                        [namespaces.email]\npriority = 2\nlimit = \"none\"\n\
                        [namespaces.device]\npriority = 3\nlimit = \"none\"\n\
                        expires_after_days = 1\n";
const DAY_MS: i64 = 86_400_000;

/// What someone keeps who applies one change after the other: who holds what.
#[derive(Debug, Default, PartialEq, Eq)]
struct Mirror {
    profiles: BTreeSet<String>,
    /// Namespace, value, profile.
    held: BTreeSet<(String, String, String)>,
}

/// Those that a merge retired, whether they are there again or not.
type Absorbed = Vec<String>;

impl Mirror {
    fn apply(&mut self, change: &v1::Change) {
        let (before, after) = (&change.before_profile_id, &change.after_profile_id);
        if !after.is_empty() {
            self.profiles.insert(after.clone());
        }
        if let Some(v1::Identifier { namespace, value }) = &change.identifier {
            let held = |profile: &String| (namespace.clone(), value.clone(), profile.clone());
            let was_there = before.is_empty() || self.held.remove(&held(before));
            // A shared one may go to several sides of merges that are undone together.
            assert!(was_there || change.kind() == v1::ChangeKind::Reverted, "{change:?}");
            assert!(after.is_empty() || self.held.insert(held(after)), "{change:?}");
        }
        match change.kind() {
            v1::ChangeKind::Merged => {
                assert!(self.profiles.remove(before), "{change:?}");
                for (namespace, value, profile) in std::mem::take(&mut self.held) {
                    let holder = if profile == *before { after.clone() } else { profile };
                    self.held.insert((namespace, value, holder));
                }
            }
            v1::ChangeKind::Erased => {
                self.profiles.remove(before);
                self.held.retain(|(_, _, profile)| profile != before);
            }
            _ => {}
        }
    }

    /// The same of what the server says.
    fn of(server: &Dispatch) -> Mirror {
        let mut mirror = Mirror::default();
        let mut request = v1::ListProfilesRequest { page_size: 1_000, ..<_>::default() };
        loop {
            let page: v1::ListProfilesResponse = ask(server, "ListProfiles", &request);
            for profile in page.profiles {
                assert!(profile.next_page_token.is_empty(), "it is small");
                for held in &profile.identifiers {
                    let v1::Identifier { namespace, value } = held.identifier.clone().expect("set");
                    mirror.held.insert((namespace, value, profile.profile_id.clone()));
                }
                mirror.profiles.insert(profile.profile_id);
            }
            if page.next_page_token.is_empty() {
                return mirror;
            }
            request.page_token = page.next_page_token;
        }
    }
}

fn on(disk: &SimulatedDisk) -> Arc<Dispatch> {
    Arc::new(on_simulated(disk))
}

fn after(number: u64) -> v1::WatchChangesRequest {
    v1::WatchChangesRequest { after_sequence_number: Some(number), ..Default::default() }
}

fn watch(server: &Arc<Dispatch>, request: &v1::WatchChangesRequest) -> Watch {
    server.watch(METHOD, &request.encode_to_vec(), None).expect("there is a place")
}

/// All messages that there are now.
fn told(watch: &mut Watch) -> Result<Vec<v1::WatchChangesResponse>, Status> {
    let mut told = Vec::new();
    loop {
        match watch.next()? {
            Next::Message(bytes) => {
                told.push(v1::WatchChangesResponse::decode(bytes.as_slice()).expect("a message"));
            }
            Next::Wait(Duration::ZERO) => {}
            Next::Wait(_) => return Ok(told),
        }
    }
}

fn ended(watch: &mut Watch) -> Status {
    told(watch).expect_err("it ends")
}

fn sync(server: &Dispatch) {
    let newest = server.store().lock().position();
    assert_eq!(server.store().wait_synced(newest, None), Ok(true));
}

fn set_rules(server: &Dispatch, rules_toml: &str) {
    let set = v1::SetRulesRequest { rules_toml: rules_toml.to_owned(), ..Default::default() };
    let _: v1::SetRulesResponse = ask(server, "SetRules", &set);
}

/// `kind: namespace=value before > after`, for each change.
fn words(told: &[v1::WatchChangesResponse]) -> Vec<String> {
    let changes = told.iter().flat_map(|message| &message.records).flat_map(|r| &r.changes);
    let word = |change: &v1::Change| {
        let kind = change.kind().as_str_name().trim_start_matches("CHANGE_KIND_").to_lowercase();
        let name = change.identifier.as_ref();
        let name = name.map_or_else(String::new, |it| format!(" {}={}", it.namespace, it.value));
        let set = change.r#trait.as_ref().map_or_else(String::new, |it| format!(" {}", it.name));
        format!("{kind}{name}{set}")
    };
    changes.map(word).collect()
}

/// Numbers that look random, the same each time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    fn pick<'a>(&mut self, list: &'a [String]) -> &'a str {
        &list[self.roll(list.len() as u64) as usize]
    }
}

/// Asks for one thing or another; it may be refused.
fn act(server: &Dispatch, dice: &mut Dice, namespaces: &[String], absorbed: &Absorbed) {
    let pair = |dice: &mut Dice| {
        let namespace = dice.pick(namespaces);
        v1::Identifier { namespace: namespace.to_owned(), value: format!("v{}@x.de", dice.roll(5)) }
    };
    let lookup = |dice: &mut Dice| {
        let lookup = v1::profile_lookup::Lookup::Identifier(pair(dice));
        Some(v1::ProfileLookup { lookup: Some(lookup) })
    };
    let several = |dice: &mut Dice| (0..=dice.roll(3)).map(|_| pair(dice)).collect::<Vec<_>>();
    let event = |dice: &mut Dice| {
        Some(v1::Event {
            identifiers: several(dice),
            timestamp: wire_time(NOW_MS - 1_000 * dice.roll(10_000) as i64),
            ..Default::default()
        })
    };
    let force = dice.roll(2) == 0;
    let _ = match dice.roll(20) {
        0 => call(
            server,
            "MergeProfiles",
            &v1::MergeProfilesRequest {
                target: lookup(dice),
                sources: vec![lookup(dice).expect("set")],
                force,
                ..Default::default()
            },
        ),
        1 => call(
            server,
            "SplitProfile",
            &v1::SplitProfileRequest {
                profile: lookup(dice),
                identifiers: vec![pair(dice)],
                ..Default::default()
            },
        ),
        2 => {
            let (old, new) = (pair(dice), pair(dice));
            let change = v1::IdentifierChange {
                namespace: old.namespace,
                old_value: old.value,
                new_value: if force { new.value } else { String::new() },
            };
            call(
                server,
                "ModifyIdentifiers",
                &v1::ModifyIdentifiersRequest {
                    profile: lookup(dice),
                    changes: vec![change],
                    ..Default::default()
                },
            )
        }
        3 => call(
            server,
            "Login",
            &v1::LoginRequest {
                event: event(dice),
                anonymous_identifiers: several(dice),
                force,
                ..Default::default()
            },
        ),
        4 => call(
            server,
            "LinkIdentifiers",
            &v1::LinkIdentifiersRequest {
                event: event(dice),
                sources: several(dice),
                force,
                ..Default::default()
            },
        ),
        5 if force => call(
            server,
            "DeleteProfile",
            &v1::DeleteProfileRequest { profile: lookup(dice), ..Default::default() },
        ),
        6 | 7 if !absorbed.is_empty() => call(
            server,
            "RevertMerge",
            &v1::RevertMergeRequest {
                absorbed_profile_id: dice.pick(absorbed).to_owned(),
                chain: force,
                ..Default::default()
            },
        ),
        _ => call(
            server,
            "ResolveEvent",
            &v1::ResolveEventRequest { event: event(dice), ..Default::default() },
        ),
    };
}

#[test]
fn applied_one_by_one_they_make_who_holds_what() {
    let presets = preset_names().map(|name| preset(name).expect("there is one of the name"));
    let mut kinds = BTreeSet::new();
    for (seed, rules) in (1..).zip(presets.chain([EVICTING])) {
        let disk = SimulatedDisk::new(seed);
        let server = on(&disk);
        set_rules(&server, rules);
        let namespaces: Vec<String> = rules
            .lines()
            .filter_map(|line| line.strip_prefix("[namespaces.")?.strip_suffix(']'))
            .map(str::to_owned)
            .take(8)
            .collect();
        let mut dice = Dice(seed);
        let (mut watching, mut mirror) = (watch(&server, &after(0)), Mirror::default());
        let mut absorbed = Absorbed::new();
        for round in 0..400 {
            act(&server, &mut dice, &namespaces, &absorbed);
            if dice.roll(50) == 0 {
                server.expire(at(NOW_MS + DAY_MS * round));
            }
            sync(&server);
            for message in told(&mut watching).expect("it goes on") {
                for record in &message.records {
                    record.changes.iter().for_each(|change| mirror.apply(change));
                    let merges = record
                        .changes
                        .iter()
                        .filter(|change| change.kind() == v1::ChangeKind::Merged);
                    absorbed.extend(merges.map(|change| change.before_profile_id.clone()));
                    kinds.extend(record.changes.iter().map(v1::Change::kind));
                }
            }
            if round % 20 == 19 {
                assert_eq!(mirror, Mirror::of(&server), "{seed}");
            }
        }
    }
    // All but traits, which nobody sends here.
    assert_eq!(kinds.len(), 12, "{kinds:?}");
}

#[test]
fn who_goes_on_from_where_it_was_misses_nothing_also_after_a_start() {
    let disk = SimulatedDisk::new(1);
    let server = on(&disk);
    let mut dice = Dice(7);
    let names = ["user_id".to_owned(), "email".to_owned(), "anonymous_id".to_owned()];
    let records = |told: Vec<v1::WatchChangesResponse>| {
        told.into_iter().flat_map(|message| message.records).collect::<Vec<_>>()
    };
    let (mut parts, mut number) = (Vec::new(), 0);
    let mut server = server;
    for round in 0..8 {
        (0..20).for_each(|_| act(&server, &mut dice, &names, &Absorbed::new()));
        sync(&server);
        let messages = told(&mut watch(&server, &after(number))).expect("it goes on");
        number = messages.last().expect("the first comes at once").sequence_number;
        parts.extend(records(messages));
        if round % 3 == 1 {
            drop(server);
            disk.crash(round);
            server = on(&disk);
        }
    }
    // What was erased in between is told with an empty value from then on.
    let whole = records(told(&mut watch(&server, &after(0))).expect("it goes on"));
    let numbers = |records: &[v1::ChangedRecord]| {
        records.iter().map(|it| (it.sequence_number, it.changes.len())).collect::<Vec<_>>()
    };
    assert!(whole.len() > 30, "{}", whole.len());
    assert_eq!(numbers(&parts), numbers(&whole));
}

#[test]
fn the_first_message_says_where_it_begins_and_records_have_their_cause() {
    let disk = SimulatedDisk::new(1);
    let server = on(&disk);
    resolved(&server, event("user_id=ann"));
    sync(&server);
    let mut watching = watch(&server, &v1::WatchChangesRequest::default());
    let first = told(&mut watching).expect("it goes on");
    let [begin] = &first[..] else { panic!("{first:?}") };
    let at = (begin.sequence_number, begin.newest_sequence_number, begin.records.len());
    assert_eq!(at, (2, 2, 0));

    let shown = v1::Event {
        event_id: "e-1".into(),
        source: "web".into(),
        timestamp: wire_time(NOW_MS - 5_000),
        traits: vec![v1::Trait {
            name: "plan".into(),
            value: Some(v1::r#trait::Value::StringValue("pro".into())),
            set_once: false,
        }],
        ..event("user_id=ann email=ann@x.de")
    };
    let answer = resolved(&server, shown);
    sync(&server);
    let next = told(&mut watching).expect("it goes on");
    assert_eq!(words(&next), ["attached email=ann@x.de", "trait_set plan"]);
    let record = &next[0].records[0];
    assert_eq!(record.sequence_number, answer.sequence_number);
    assert_eq!((&*record.event_id, &*record.source), ("e-1", "web"));
    assert_eq!((record.kind(), record.rules_version), (v1::RecordKind::Observe, 1));
    assert_eq!(record.event_time, wire_time(NOW_MS - 5_000));
    assert_eq!(record.log_time, wire_time(NOW_MS));
    assert_eq!(record.changes[0].after_profile_id, answer.profile_id);
    assert_eq!(next[0].newest_sequence_number, 0);
}

#[test]
fn only_what_is_asked_for_is_told_and_the_number_goes_on() {
    let disk = SimulatedDisk::new(1);
    let server = on(&disk);
    resolved(&server, event("user_id=ann email=ann@x.de"));
    resolved(&server, event("user_id=bob email=bob@x.de"));
    set_rules(&server, "[namespaces.user_id]\nlimit = 5\n");
    sync(&server);
    let ask = |kinds: &[v1::ChangeKind], namespaces: &[&str]| {
        let request = v1::WatchChangesRequest {
            kinds: kinds.iter().map(|kind| (*kind).into()).collect(),
            namespaces: namespaces.iter().map(|&name| name.to_owned()).collect(),
            ..after(0)
        };
        let told = told(&mut watch(&server, &request)).expect("it goes on");
        assert_eq!(told.last().expect("the first").sequence_number, 4);
        assert_eq!(told[0].newest_sequence_number, 4);
        words(&told)
    };
    assert_eq!(ask(&[], &[]).len(), 8);
    assert_eq!(ask(&[v1::ChangeKind::RulesSet], &[]), ["rules_set"; 2]);
    let attached = ["attached email=ann@x.de", "attached email=bob@x.de"];
    assert_eq!(ask(&[v1::ChangeKind::Attached], &["email"]), attached);
    assert_eq!(ask(&[], &["phone"]), ["rules_set", "created", "created", "rules_set"]);
    assert_eq!(ask(&[v1::ChangeKind::Merged], &[]), [""; 0]);
}

#[test]
fn nothing_is_told_before_it_is_on_disk() {
    let disk = SimulatedDisk::new(1);
    let server = on(&disk);
    sync(&server);
    let mut watching = watch(&server, &after(0));
    assert_eq!(words(&told(&mut watching).expect("it goes on")), ["rules_set"]);
    let held = disk.hold();
    resolved(&server, event("user_id=ann"));
    assert_eq!(watching.next().map(|next| matches!(next, Next::Wait(_))), Ok(true));
    drop(held);
    sync(&server);
    assert_eq!(
        words(&told(&mut watching).expect("it goes on")),
        ["created", "attached user_id=ann"]
    );
}

#[test]
fn who_was_erased_is_named_no_more_before_the_files_follow() {
    let disk = SimulatedDisk::new(1);
    let server = on(&disk);
    resolved(
        &server,
        v1::Event { event_id: "secret".into(), ..event("user_id=secret email=bob@x.de") },
    );
    resolved(&server, event("user_id=bob email=secret@x.de"));
    for profile in ["user_id=secret", "user_id=bob"] {
        let request =
            v1::DeleteProfileRequest { profile: by_identifier(profile), ..<_>::default() };
        let _: v1::DeleteProfileResponse = ask(&server, "DeleteProfile", &request);
    }
    for _ in 0..2 {
        sync(&server);
        let told = told(&mut watch(&server, &after(0))).expect("it goes on");
        assert!(!format!("{told:?}").contains("secret"), "{told:?}");
        let words = words(&told);
        assert_eq!(words[1..4], ["created", "attached user_id=", "attached email="]);
        assert_eq!(words[words.len() - 2..], ["erased"; 2]);
        server.checkpoint().expect("there is room");
    }
}

#[test]
fn an_end_says_why() {
    let disk = SimulatedDisk::new(1);
    let server = on(&disk);
    let create = v1::CreateWorkspaceRequest { name: "shop".into(), ..Default::default() };
    let _: v1::CreateWorkspaceResponse = ask(&server, "CreateWorkspace", &create);
    sync(&server);
    let in_shop = v1::WatchChangesRequest { workspace: "shop".into(), ..after(0) };
    let (mut watching, mut other) = (watch(&server, &in_shop), watch(&server, &after(0)));
    told(&mut watching).expect("it goes on");
    let delete = v1::DeleteWorkspaceRequest { name: "shop".into(), ..Default::default() };
    let _: v1::DeleteWorkspaceResponse = ask(&server, "DeleteWorkspace", &delete);
    sync(&server);
    assert_eq!(ended(&mut watching).reason(), Reason::WorkspaceNotFound);
    assert_eq!(ended(&mut watch(&server, &in_shop)).reason(), Reason::WorkspaceNotFound);

    told(&mut other).expect("it goes on");
    server.close(false).expect("it closes");
    assert_eq!(ended(&mut other).reason(), Reason::NotServing);
}

#[test]
fn what_is_asked_wrongly_is_refused_by_name() {
    let disk = SimulatedDisk::new(1);
    let server = on(&disk);
    sync(&server);
    let cases = [
        (after(2), "after_sequence_number"),
        (v1::WatchChangesRequest { kinds: vec![1, 0], ..after(0) }, "kinds[1]"),
        (v1::WatchChangesRequest { kinds: vec![99], ..after(0) }, "kinds[0]"),
        (v1::WatchChangesRequest { heartbeat_seconds: 3_601, ..after(0) }, "heartbeat_seconds"),
    ];
    for (request, field) in cases {
        let status = ended(&mut watch(&server, &request));
        assert_eq!(status.reason(), Reason::InvalidField, "{field}");
        assert!(status.message().starts_with(field), "{}", status.message());
    }
    let namespaces = vec!["email".to_owned(); 65];
    let many = v1::WatchChangesRequest { namespaces, ..after(0) };
    assert_eq!(ended(&mut watch(&server, &many)).reason(), Reason::LimitExceeded);
    let nowhere = v1::WatchChangesRequest { workspace: "nowhere".into(), ..after(0) };
    assert_eq!(ended(&mut watch(&server, &nowhere)).reason(), Reason::WorkspaceNotFound);
    let junk = server.watch(METHOD, b"\xff", None).expect("there is a place");
    assert_eq!(ended(&mut { junk }).reason(), Reason::MalformedRequest);
}

#[test]
fn places_are_bounded_and_free_again() {
    let disk = SimulatedDisk::new(1);
    let server = on(&disk);
    let mut watching: Vec<Watch> = (0..WATCHERS_MAX).map(|_| watch(&server, &after(0))).collect();
    assert_eq!(figure(&server, "watchers"), WATCHERS_MAX as u64);
    let refused = server.watch(METHOD, &[], None).err().expect("there is no place");
    assert_eq!((refused.reason(), refused.code()), (Reason::CapacityExceeded, 8));
    watching.pop();
    told(&mut watch(&server, &after(0))).expect("it goes on");
}

#[test]
fn a_token_that_is_taken_back_ends_it() {
    let disk = SimulatedDisk::new(1);
    let token = |name: &str, word: &str| {
        let hash = sha256_hex(word);
        let text = format!("[tokens.{name}]\nrole = \"read\"\nsha256 = \"{hash}\"\n");
        Tokens::parse(&text).expect("a good file")
    };
    let server = Arc::new(on_simulated(&disk).guarded_by(token("shop", "ipse_shop")));
    sync(&server);
    let begin = |authorization| server.watch(METHOD, &after(0).encode_to_vec(), authorization);
    assert_eq!(begin(None).err().map(|it| it.reason()), Some(Reason::Unauthenticated));
    let mut watching = begin(Some(b"Bearer ipse_shop")).expect("it may");
    told(&mut watching).expect("it goes on");
    server.replace_tokens(token("other", "ipse_other"));
    assert_eq!(ended(&mut watching).reason(), Reason::Unauthenticated);
}

#[test]
fn silence_is_broken_and_says_how_far_it_is() {
    let disk = SimulatedDisk::new(1);
    let server = on(&disk);
    sync(&server);
    let request = v1::WatchChangesRequest {
        kinds: vec![v1::ChangeKind::Merged.into()],
        heartbeat_seconds: 1,
        ..after(0)
    };
    let mut watching = watch(&server, &request);
    told(&mut watching).expect("it goes on");
    resolved(&server, event("user_id=ann"));
    sync(&server);
    let Ok(Next::Wait(left)) = watching.next() else { panic!("nobody asked for that") };
    assert!(left <= Duration::from_secs(1) && !left.is_zero());
    wait_until("a heartbeat", || {
        let next = watching.next().expect("it goes on");
        let Next::Message(bytes) = next else { return false };
        let message = v1::WatchChangesResponse::decode(bytes.as_slice()).expect("a message");
        message.records.is_empty() && message.sequence_number == 2
    });
}

#[test]
fn what_is_much_comes_in_messages_of_bounded_size() {
    let disk = SimulatedDisk::new(1);
    let server = on(&disk);
    for number in 0..600 {
        let value = "x".repeat(1_000);
        resolved(&server, event(&format!("user_id={number}{value} email={number}{value}@x.de")));
    }
    sync(&server);
    let mut watching = watch(&server, &after(0));
    let (mut sizes, mut records) = (Vec::new(), 0);
    while let Next::Message(bytes) = watching.next().expect("it goes on") {
        sizes.push(bytes.len());
        let message = v1::WatchChangesResponse::decode(bytes.as_slice()).expect("a message");
        records += message.records.len();
        let slow = watching.too_slow();
        assert_eq!((slow.reason(), slow.retry_delay_ms()), (Reason::Overloaded, Some(20)));
    }
    assert_eq!(records, 601);
    assert!(sizes.len() > 3 && sizes.iter().all(|size| *size < 300 << 10), "{sizes:?}");
}

#[test]
fn in_memory_there_is_nothing_to_follow() {
    let server = Arc::new(in_memory());
    for request in [after(0), v1::WatchChangesRequest::default()] {
        assert_eq!(ended(&mut watch(&server, &request)).reason(), Reason::HistoryExpired);
    }
}

#[test]
fn who_only_looks_once_gets_what_there_is() {
    let disk = SimulatedDisk::new(1);
    let server = on(&disk);
    resolved(&server, event("user_id=ann"));
    sync(&server);
    let reply = server.call(METHOD, &after(1).encode_to_vec(), None, None, at(NOW_MS));
    let bytes = reply.result.expect("an answer");
    let message = v1::WatchChangesResponse::decode(bytes.as_slice()).expect("a message");
    assert_eq!(words(&[message]), ["created", "attached user_id=ann"]);
}
