//! What a token makes of a request, as the methods then see it.
#![allow(clippy::expect_used, reason = "a test says what it expects by failing")]

mod support;

use ipse_core::identifier::sha256_hex;
use ipse_rpc::proto::v1;
use ipse_rpc::{Dispatch, METHODS, Method, Tokens};
use ipse_store::{Options, Recovery, Store};
use proptest::prelude::*;
use prost::Message;
use support::{NOW_MS, at, identifiers};

const RESOLVE_EVENTS: &str = "/ipse.v1.IdentityService/ResolveEvents";
const AUTHORIZATION: &[u8] = b"Bearer ipse_shop";

/// A file whose only token is as `more` says.
fn tokens(more: &str) -> Tokens {
    let hash = sha256_hex("ipse_shop");
    let text = format!("[tokens.shop]\nrole = \"write\"\nsha256 = \"{hash}\"\n{more}\n");
    Tokens::parse(&text).expect("a good file")
}

/// A server with that token, and the workspaces `default` and `shop`.
fn guarded(more: &str) -> Dispatch {
    let store = Store::in_memory(7);
    let dispatch = Dispatch::new(store, Recovery::default(), at(NOW_MS));
    dispatch.ensure_default_workspace(at(NOW_MS)).expect("it is free");
    let request = v1::CreateWorkspaceRequest { name: "shop".to_owned(), ..Default::default() };
    let method = "/ipse.v1.AdminService/CreateWorkspace";
    let reply = dispatch.call(method, &request.encode_to_vec(), None, None, at(NOW_MS));
    reply.result.expect("it is free");
    dispatch.guarded_by(tokens(more))
}

fn call(dispatch: &Dispatch, method: &str, request: &[u8]) -> Result<Vec<u8>, i32> {
    let reply = dispatch.call(method, request, Some(AUTHORIZATION), None, at(NOW_MS));
    reply.result.map_err(|status| status.code())
}

fn sequences(dispatch: &Dispatch) -> Vec<(String, u64)> {
    let locked = dispatch.store().lock();
    let graphs = locked.workspaces().map(|index| locked.graph(index));
    graphs.map(|graph| (graph.name().to_owned(), graph.sequence().0)).collect()
}

#[test]
fn what_names_no_workspace_goes_to_the_token_s() {
    let dispatch = guarded("workspaces = [\"shop\"]");
    let before = sequences(&dispatch);
    let event = v1::Event { identifiers: identifiers("user_id=ann"), ..Default::default() };
    let request = v1::ResolveEventsRequest { events: vec![event], ..Default::default() };
    call(&dispatch, RESOLVE_EVENTS, &request.encode_to_vec()).expect("a good event");
    let after = sequences(&dispatch);
    assert_eq!(before[0], after[0], "default has learnt nothing");
    assert_eq!((after[1].0.as_str(), after[1].1), ("shop", before[1].1 + 1));
}

/// The log tells, which is where a source is kept.
#[test]
fn a_source_that_was_left_open_is_the_token_s() {
    let event = || v1::Event {
        identifiers: identifiers("user_id=ann email=ann@example.com"),
        ..Default::default()
    };
    let one = v1::ResolveEventRequest { event: Some(event()), ..Default::default() };
    let several = v1::ResolveEventsRequest { events: vec![event()], ..Default::default() };
    let modify = v1::ModifyIdentifiersRequest {
        profile: support::by_identifier("user_id=ann"),
        changes: vec![v1::IdentifierChange {
            namespace: "email".to_owned(),
            new_value: "a@example.com".to_owned(),
            ..Default::default()
        }],
        ..Default::default()
    };
    for (method, request) in [
        ("ResolveEvent", one.encode_to_vec()),
        ("ResolveEvents", several.encode_to_vec()),
        ("ModifyIdentifiers", modify.encode_to_vec()),
    ] {
        let dir = tempfile::tempdir().expect("a directory");
        let options = Options { segment_size_bytes: 1 << 16, ..Options::default() };
        let dispatch = support::on_disk(dir.path(), options);
        support::resolved(&dispatch, support::event("user_id=ann"));
        let dispatch = dispatch.guarded_by(tokens("source = \"the-token-s-source\""));
        let method = format!("/ipse.v1.IdentityService/{method}");
        call(&dispatch, &method, &request).expect("a good request");
        dispatch.close(false).expect("a good disk");
        assert!(holds(dir.path(), b"the-token-s-source"), "{method}");
    }
}

fn holds(dir: &std::path::Path, words: &[u8]) -> bool {
    let files = std::fs::read_dir(dir).expect("it is there").map(|file| file.expect("one").path());
    files.filter(|path| path.is_file()).any(|path| {
        let bytes = std::fs::read(path).expect("it is readable");
        bytes.windows(words.len()).any(|window| window == words)
    })
}

fn any_source() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), Just("web".to_owned()), Just("app".to_owned())]
}

fn any_event() -> impl Strategy<Value = v1::Event> {
    (any_source(), "[a-c]{0,2}", any::<bool>(), 0_usize..300).prop_map(|(source, id, raw, size)| {
        v1::Event {
            source,
            event_id: id,
            raw_json: if raw { br#"{"userId":"u1"}"#.to_vec() } else { Vec::new() },
            identifiers: if raw { Vec::new() } else { identifiers("user_id=ann") },
            r#type: "x".repeat(size),
            ..Default::default()
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// A token's source is that of all it sends, or the call is refused: a server without
    /// tokens that is sent the source in so many words ends in the same state.
    #[test]
    fn a_source_is_stamped_as_if_it_had_been_sent(
        events in proptest::collection::vec(any_event(), 0..6),
        read_only in any::<bool>(),
    ) {
        let dispatch = guarded("source = \"web\"");
        let plain = guarded("");
        let request = v1::ResolveEventsRequest {
            workspace: "shop".to_owned(),
            read_only,
            events: events.clone(),
        };
        let found = call(&dispatch, RESOLVE_EVENTS, &request.encode_to_vec());
        let is_foreign = events.iter().any(|event| event.source == "app");
        prop_assert_eq!(found.as_ref().err(), is_foreign.then_some(&7));
        if !is_foreign {
            let named = |event| v1::Event { source: "web".to_owned(), ..event };
            let events = events.into_iter().map(named).collect();
            let named = v1::ResolveEventsRequest { events, ..request };
            let expected = call(&plain, RESOLVE_EVENTS, &named.encode_to_vec());
            let shop = |of: &Dispatch| {
                let locked = of.store().lock();
                let index = locked.workspace("shop").expect("it was made");
                (locked.graph(index).sequence().0, locked.graph(index).counts().links)
            };
            prop_assert_eq!(shop(&dispatch), shop(&plain));
            prop_assert_eq!(results(&found), results(&expected));
        }
    }

    /// Whatever the bytes are, what gets past the door is a message of its method, or refused.
    #[test]
    fn junk_is_refused_and_nothing_panics(request in proptest::collection::vec(any::<u8>(), 0..64)) {
        let dispatch = guarded("source = \"web\"\nworkspaces = [\"shop\"]");
        for Method { name: method, .. } in METHODS {
            let _ = call(&dispatch, method, &request);
        }
        prop_assert!(dispatch.take_faults().is_empty());
        prop_assert!(dispatch.figures().contains(&("panics_total", 0)));
    }
}

/// What became of each event: its decision, or why it was refused.
fn results(answer: &Result<Vec<u8>, i32>) -> Vec<String> {
    let Ok(bytes) = answer else { return Vec::new() };
    let answer = v1::ResolveEventsResponse::decode(bytes.as_slice()).expect("an answer");
    let results = answer.results.into_iter();
    results
        .map(|result| match result.result.expect("one of two") {
            v1::resolve_events_result::Result::Resolution(found) => format!("{}", found.decision),
            v1::resolve_events_result::Result::Error(error) => error.reason,
        })
        .collect()
}
