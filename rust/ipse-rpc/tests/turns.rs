//! A long call shares the graphs: others get in between, and its answer is sound all the same.

mod support;

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use ipse_rpc::Dispatch;
use ipse_rpc::proto::v1;
use support::*;

const BATCH: usize = 1_000;
const BATCHES_MAX: usize = 50;

/// Reading and changing this profile takes long: it has many values of a trait that is kept as
/// a union.
fn with_costly_profile() -> Dispatch {
    let server = with_rules(
        "[workspace]\nconflict = \"keep_first\"\nmerges_max = 1000\n\
         [traits]\nsurvivorship = \"union\"\n\
         [namespaces.user_id]\npriority = 1\n\
         [namespaces.email]\npriority = 2\nlimit = \"none\"\n",
    );
    for number in 0..200 {
        let email = format!("email={number}@example.com");
        resolved(&server, tagged(&email, number));
        resolved(&server, event(&format!("user_id=u {email}")));
    }
    server
}

fn tagged(identifiers: &str, number: usize) -> v1::Event {
    let value = Some(v1::r#trait::Value::StringValue(format!("tag-{number}")));
    let tag = v1::Trait { name: "tag".to_owned(), value, ..Default::default() };
    v1::Event { traits: vec![tag], ..event(identifiers) }
}

/// Calls `batch` until it says that another caller got in between, while one writes without
/// end. False if that never happened.
fn beside_a_writer(server: &Dispatch, mut batch: impl FnMut(usize) -> bool) -> bool {
    let has_ended = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut number = 0;
            while !has_ended.load(Ordering::Acquire) {
                resolved(server, tagged("email=somebody@else", number));
                number += 1;
            }
        });
        let _end = SetOnDrop(&has_ended);
        (0..BATCHES_MAX).any(&mut batch)
    })
}

/// Ends the writer also when a test fails.
struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

#[test]
fn others_write_between_the_events_of_a_batch() {
    let server = with_costly_profile();
    let got_in = beside_a_writer(&server, |round| {
        let new = |nth: usize| tagged("user_id=u", BATCH * (round + 1) + nth);
        let events = (0..BATCH).map(new).collect();
        let request = v1::ResolveEventsRequest { events, ..Default::default() };
        let (answer, position): (v1::ResolveEventsResponse, _) =
            answered(&server, "ResolveEvents", &request);
        let numbers: Vec<u64> = answer.results.iter().map(sequence_number).collect();
        assert_eq!(numbers.len(), BATCH);
        assert!(numbers.is_sorted_by(|one, next| one < next), "in the order of the request");
        assert!(position.0 >= numbers[BATCH - 1], "the answer waits for the last of them");
        numbers[BATCH - 1] - numbers[0] >= BATCH as u64
    });
    assert!(got_in, "a writer waited for whole batches, each time");
}

fn sequence_number(result: &v1::ResolveEventsResult) -> u64 {
    match &result.result {
        Some(v1::resolve_events_result::Result::Resolution(resolution)) => {
            resolution.sequence_number
        }
        other => panic!("not resolved: {other:?}"),
    }
}

#[test]
fn what_is_read_in_turns_names_the_record_it_began_with_and_waits_for_the_last() {
    let server = with_costly_profile();
    let mut lookups = vec![by_identifier("user_id=u").expect("set"); BATCH - 1];
    lookups.push(by_identifier("email=somebody@else").expect("set"));
    resolved(&server, event("email=somebody@else"));
    let got_in = beside_a_writer(&server, |_| {
        let request = v1::BatchGetProfilesRequest {
            lookups: lookups.clone(),
            read_mask: mask(&["traits", "changed_sequence_number"]),
            ..Default::default()
        };
        let (answer, position): (v1::BatchGetProfilesResponse, _) =
            answered(&server, "BatchGetProfiles", &request);
        let last = match answer.results.last().and_then(|last| last.result.as_ref()) {
            Some(v1::batch_get_profiles_result::Result::Profile(profile)) => profile,
            other => panic!("not read: {other:?}"),
        };
        assert!(position.0 >= last.changed_sequence_number, "it leads the disk");
        last.changed_sequence_number > answer.sequence_number
    });
    assert!(got_in, "a writer waited for whole batches, each time");
}
