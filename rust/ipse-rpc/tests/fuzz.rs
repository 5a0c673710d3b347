//! Requests, raw events and rules with bytes that nobody would send: an answer or a refusal
//! by name, never a bug, and graphs that hold together.

#[path = "../../ipse-store/tests/fuzzing/mod.rs"]
mod fuzzing;
mod support;

use std::cell::Cell;

use fuzzing::{Target, fuzz};
use ipse_core::Rules;
use ipse_core::rules::preset;
use ipse_rpc::Dispatch;
use ipse_rpc::proto::v1;
use prost::Message;
use support::*;

/// All that can be called; a checkpoint has nothing to do in memory.
const METHODS: [&str; 25] = [
    "IdentityService/ResolveEvent",
    "IdentityService/ResolveEvents",
    "IdentityService/GetProfile",
    "IdentityService/BatchGetProfiles",
    "IdentityService/LookupProfiles",
    "IdentityService/ListProfiles",
    "IdentityService/TranslateIdentities",
    "IdentityService/Login",
    "IdentityService/Logout",
    "IdentityService/LinkIdentifiers",
    "IdentityService/ModifyIdentifiers",
    "IdentityService/MergeProfiles",
    "IdentityService/SplitProfile",
    "IdentityService/AttributeHistory",
    "IdentityService/ImportProfiles",
    "HistoryService/ExplainProfile",
    "HistoryService/ExplainLink",
    "AdminService/CreateWorkspace",
    "AdminService/ListWorkspaces",
    "AdminService/GetWorkspace",
    "AdminService/GetRules",
    "AdminService/SetRules",
    "AdminService/ValidateRules",
    "AdminService/Checkpoint",
    "AdminService/GetStats",
];
const PRESETS: [&str; 6] =
    ["segment", "posthog", "esputnik", "mixpanel-original", "mparticle-link", "adobe"];
const INTERNAL: i32 = 13;
/// A server that learned from so many inputs makes room for a new one, which is quick again.
const INPUTS_PER_SERVER: u32 = 4_000;
const INPUTS_PER_CHECK: u32 = 500;

/// Servers that live for a number of inputs each.
struct Servers {
    make: fn() -> Dispatch,
    server: Dispatch,
    inputs: Cell<u32>,
}

impl Servers {
    fn new(make: fn() -> Dispatch) -> Servers {
        ipse_rpc::keep_panics_for_the_log();
        Servers { make, server: make(), inputs: Cell::new(0) }
    }

    /// The reason of a refusal, or that there was none; a bug is neither.
    fn call(&mut self, method: &str, request: &[u8]) -> String {
        self.look_after();
        let reply =
            self.server.call(&format!("/ipse.v1.{method}"), request, None, None, at(NOW_MS));
        match &reply.result {
            Ok(_) => format!("{method}: answered"),
            Err(status) if status.code() == INTERNAL => {
                panic!("{method}: {:?}", self.server.take_faults())
            }
            Err(_) => {
                let refusal = refused(reply);
                // Neither values nor what stands in brackets: both may be the input's own.
                let field = refusal.fields.first().map_or("", String::as_str);
                let field = field.split(['[', '"', '`']).next().unwrap_or_default();
                format!("{method}: {} {field}", refusal.reason)
            }
        }
    }

    fn look_after(&mut self) {
        self.inputs.set(self.inputs.get() + 1);
        if self.inputs.get().is_multiple_of(INPUTS_PER_CHECK) {
            let locked = self.server.store().lock();
            for index in locked.workspaces() {
                assert_eq!(locked.graph(index).check(), Ok(()));
            }
        }
        if self.inputs.get() >= INPUTS_PER_SERVER {
            self.inputs.set(0);
            self.server = (self.make)();
        }
    }
}

/// With people in it, so that requests have something to find.
fn populated() -> Dispatch {
    let server = in_memory();
    for person in 0..6 {
        let text = format!("user_id=u{person} email=p{person}@x anonymous_id=a{}", person % 4);
        resolved(&server, event(&text));
    }
    server
}

fn numbered(method: usize, request: &impl Message) -> Vec<u8> {
    let mut bytes = vec![u8::try_from(method).expect("few methods")];
    bytes.extend(request.encode_to_vec());
    bytes
}

/// One good request of each kind, after the number of its method.
fn requests() -> Vec<Vec<u8>> {
    let lookup = || by_identifier("user_id=u1");
    let operation_id = || "op-1".to_owned();
    let some = event("user_id=u1 email=p2@x");
    vec![
        numbered(0, &resolve(some.clone())),
        numbered(0, &resolve(raw(RAW_EVENTS[0]))),
        numbered(
            1,
            &v1::ResolveEventsRequest {
                events: vec![some.clone(), raw(RAW_EVENTS[1])],
                ..Default::default()
            },
        ),
        numbered(2, &v1::GetProfileRequest { lookup: lookup(), ..Default::default() }),
        numbered(
            3,
            &v1::BatchGetProfilesRequest {
                lookups: lookup().into_iter().collect(),
                ..Default::default()
            },
        ),
        numbered(
            4,
            &v1::LookupProfilesRequest {
                identifier: Some(identifier("email=p1@x")),
                ..Default::default()
            },
        ),
        numbered(5, &v1::ListProfilesRequest { page_size: 2, ..Default::default() }),
        numbered(7, &v1::LoginRequest { event: Some(some.clone()), ..Default::default() }),
        numbered(8, &v1::LogoutRequest { event: Some(some.clone()), ..Default::default() }),
        numbered(
            9,
            &v1::LinkIdentifiersRequest {
                event: Some(some),
                sources: identifiers("anonymous_id=a9"),
                ..Default::default()
            },
        ),
        numbered(
            10,
            &v1::ModifyIdentifiersRequest {
                operation_id: operation_id(),
                profile: lookup(),
                changes: vec![v1::IdentifierChange {
                    namespace: "email".to_owned(),
                    old_value: "p1@x".to_owned(),
                    new_value: "q1@x".to_owned(),
                }],
                ..Default::default()
            },
        ),
        numbered(
            11,
            &v1::MergeProfilesRequest {
                operation_id: operation_id(),
                target: lookup(),
                sources: by_identifier("user_id=u3").into_iter().collect(),
                force: true,
                ..Default::default()
            },
        ),
        numbered(
            12,
            &v1::SplitProfileRequest {
                operation_id: operation_id(),
                profile: lookup(),
                identifiers: identifiers("email=p1@x"),
                ..Default::default()
            },
        ),
        numbered(15, &v1::CreateWorkspaceRequest { name: "fuzz".to_owned(), ..Default::default() }),
        numbered(
            19,
            &v1::SetRulesRequest {
                rules_toml: preset("segment").expect("built in").to_owned(),
                ..Default::default()
            },
        ),
        numbered(17, &v1::GetWorkspaceRequest { name: "default".to_owned() }),
    ]
}

const RAW_EVENTS: [&str; 3] = [
    r#"{"messageId":"m1","type":"identify","timestamp":"2023-12-31T00:00:01Z","userId":"u1",
    "anonymousId":7,"traits":{"email":"p1@x","tags":[1,{"a":null}],"age":1.5e3},
    "context":{"device":{"type":"ios","id":"d1","adTrackingEnabled":true},
    "externalIds":[{"id":"1","type":"phone","collection":"users","encoding":"none"}]}}"#,
    r#"{"type":"alias","userId":"u1","previousId":"a1"}"#,
    r#"{"event":"$identify","distinct_id":"u1","properties":{"$anon_distinct_id":"a1","$set":{"n":1},
    "$device_id":"d","$insert_id":"i","time":1700000000}}"#,
];

#[test]
fn requests_of_all_methods() {
    let mut servers = Servers::new(populated);
    let words: [&[u8]; 8] = [
        b"user_id",
        b"email",
        b"u1",
        b"\x0a",
        b"\x12\x00",
        b"\xff\xff\xff\xff\x0f",
        b"\x80",
        b"\x08",
    ];
    let target = Target { name: "request", seeds: requests(), words: &words, inputs: 15_000 };
    fuzz(&target, |input| {
        let Some((number, request)) = input.split_first() else { return "empty".to_owned() };
        let method = METHODS[usize::from(*number) % METHODS.len()];
        servers.call(method, request)
    });
}

#[test]
fn raw_events() {
    let mut servers = Servers::new(|| {
        let server = populated();
        for name in PRESETS {
            let rules_toml = preset(name).expect("built in").to_owned();
            let request = v1::CreateWorkspaceRequest { name: name.to_owned(), rules_toml };
            let _: v1::CreateWorkspaceResponse = ask(&server, "CreateWorkspace", &request);
        }
        server
    });
    let words: [&[u8]; 24] = [
        b"\"",
        b"\\",
        b"{",
        b"}",
        b"[",
        b"]",
        b"null",
        b"\\ud800",
        b"\\u0000",
        b"1e999",
        b"-0",
        b"\"userId\":",
        b"\"type\":",
        b"\"traits\":{",
        b"\"properties\":{",
        b"\"$set\":{",
        b"\"distinct_id\":",
        b"\"timestamp\":",
        b"\"9999-12-31T23:59:59.999Z\"",
        b",",
        b":",
        b"\xd0\xb6",
        b"\xff",
        b"18446744073709551616",
    ];
    let seeds = RAW_EVENTS.iter().map(|json| [b"\0", json.as_bytes()].concat()).collect();
    let target = Target { name: "json-event", seeds, words: &words, inputs: 15_000 };
    fuzz(&target, |input| {
        let Some((number, json)) = input.split_first() else { return "empty".to_owned() };
        let workspace = PRESETS[usize::from(*number) % PRESETS.len()].to_owned();
        let event = v1::Event { raw_json: json.to_vec(), ..Default::default() };
        let request =
            v1::ResolveEventRequest { workspace, event: Some(event), ..Default::default() };
        servers.call("IdentityService/ResolveEvent", &request.encode_to_vec())
    });
}

#[test]
fn rules() {
    let mut servers = Servers::new(populated);
    let words: [&[u8]; 20] = [
        b"[workspace]\n",
        b"[namespaces.email]\n",
        b"priority = ",
        b"limit = ",
        b"\"none\"",
        b"login = true\n",
        b"shared = true\n",
        b"trigger = \"explicit\"\n",
        b"conflict = \"replay\"\n",
        b"conflict = \"keep_first\"\n",
        b"normalise = \"email\"\n",
        b"-1",
        b"18446744073709551615",
        b"nan",
        b"\"",
        b"'''",
        b"[[",
        b"]]",
        b"\\u0000",
        b"= {}",
    ];
    let names = PRESETS.iter().map(|name| preset(name).expect("built in"));
    let seeds = names.map(|text| text.as_bytes().to_vec()).collect();
    let target = Target { name: "rules", seeds, words: &words, inputs: 3_000 };
    fuzz(&target, |input| {
        let text = String::from_utf8_lossy(input);
        if let Err(problems) = Rules::from_toml(&text) {
            assert!(!problems.is_empty(), "refused without a reason");
            return format!(
                "{:?}",
                problems.first().map(|problem| (&problem.key, &problem.message))
            );
        }
        let request = v1::SetRulesRequest { rules_toml: text.into_owned(), ..Default::default() };
        let told = servers.call("AdminService/SetRules", &request.encode_to_vec());
        for person in 0..3 {
            let some = event(&format!("user_id=u{person} email=p{}@x device_id=d", person + 1));
            let request = resolve(some).encode_to_vec();
            servers.call("IdentityService/ResolveEvent", &request);
        }
        told
    });
}
