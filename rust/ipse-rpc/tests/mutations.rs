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

/// An answer must be exactly what the generated code would have written.
fn check_answer<M: Message + Default>(bytes: &[u8]) {
    let message = M::decode(bytes).expect("a message of the method");
    assert_eq!(message.encode_to_vec(), bytes);
}

fn send<M: Message + Default>(server: &Dispatch, method: &str, request: &[u8]) {
    let method = format!("/ipse.v1.IdentityService/{method}");
    match server.call(&method, request, None, at(NOW_MS)).result {
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
