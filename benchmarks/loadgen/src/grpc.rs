//! Calls of `ipse.v1.IdentityService` over HTTP/2: what they are in bytes, and one of them under way.
//!
//! Messages are written by hand, because a request takes a tenth of the time that its message types
//! would take to fill; a test reads them with those.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use h2::client::SendRequest;
use http::{HeaderMap, Request, Uri};
use tokio::net::TcpStream;

use crate::carrier::{Answer, Carrier, Encode, Failure, Outgoing};
use crate::people::{Event, Identifier};
use crate::phases::{Call, Phase};

const FRAME_BYTES: u32 = 256 << 10;
const WINDOW_BYTES: u32 = 16 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 256 << 20;
const FRAME_HEAD_BYTES: usize = 5;
const NOT_FOUND: &str = "status 5:";

/// Which method the calls of a phase go to.
pub(crate) fn method(phase: Phase, events_per_call: usize) -> &'static str {
    match (phase, events_per_call) {
        (Phase::Lookup, _) => "/ipse.v1.IdentityService/GetProfile",
        (_, 1) => "/ipse.v1.IdentityService/ResolveEvent",
        _ => "/ipse.v1.IdentityService/ResolveEvents",
    }
}

/// Writes requests with the five bytes that gRPC puts before a message.
pub(crate) struct Messages {
    pub(crate) event_ids: bool,
}

impl Encode for Messages {
    fn encode(&self, call: &Call<'_>, out: &mut BytesMut) {
        let head = out.len();
        out.put_bytes(0, FRAME_HEAD_BYTES);
        match call {
            Call::Resolve(events) => {
                // One event of a single call and each event of a batch are the same field.
                for event in *events {
                    self.put_event(event, out);
                }
            }
            Call::Lookup(identifier) => {
                let len = identifier_len(identifier);
                put_head(2, field_len(len), out);
                put_head(2, len, out);
                put_identifier(identifier, out);
            }
        }
        let len = out.len() - head - FRAME_HEAD_BYTES;
        out[head + 1..head + FRAME_HEAD_BYTES].copy_from_slice(&(len as u32).to_be_bytes());
    }
}

impl Messages {
    fn put_event(&self, event: &Event, out: &mut BytesMut) {
        let id = if self.event_ids { format!("{:016x}", event.id) } else { String::new() };
        let seconds = event.time_ms.unsigned_abs() / 1_000;
        let time_len = 1 + varint_len(seconds);
        let identifiers = event.identifiers.iter().map(|each| field_len(identifier_len(each)));
        let id_len = if id.is_empty() { 0 } else { field_len(id.len()) };
        let text_len = field_len(KIND.len()) + field_len(SOURCE.len());
        put_head(2, id_len + text_len + field_len(time_len) + identifiers.sum::<usize>(), out);
        if !id.is_empty() {
            put_text(1, &id, out);
        }
        put_text(2, KIND, out);
        put_head(3, time_len, out);
        out.put_u8(1 << 3);
        put_varint(seconds, out);
        put_text(4, SOURCE, out);
        for each in &event.identifiers {
            put_head(7, identifier_len(each), out);
            put_identifier(each, out);
        }
    }
}

const KIND: &str = "track";
const SOURCE: &str = "web";

fn identifier_len(identifier: &Identifier) -> usize {
    field_len(identifier.kind.namespace.len()) + field_len(identifier.value_len())
}

fn put_identifier(identifier: &Identifier, out: &mut BytesMut) {
    put_text(1, identifier.kind.namespace, out);
    put_head(2, identifier.value_len(), out);
    identifier.write_value(out);
}

fn put_text(field: u8, text: &str, out: &mut BytesMut) {
    put_head(field, text.len(), out);
    out.put_slice(text.as_bytes());
}

fn put_head(field: u8, len: usize, out: &mut BytesMut) {
    out.put_u8(field << 3 | 2);
    put_varint(len as u64, out);
}

fn field_len(len: usize) -> usize {
    1 + varint_len(len as u64) + len
}

fn varint_len(number: u64) -> usize {
    (64 - (number | 1).leading_zeros()).div_ceil(7) as usize
}

fn put_varint(mut number: u64, out: &mut BytesMut) {
    while number >= 0x80 {
        out.put_u8(number as u8 | 0x80);
        number >>= 7;
    }
    out.put_u8(number as u8);
}

/// One call at a time of a connection that many of these share.
pub(crate) struct Grpc {
    send: SendRequest<Bytes>,
    uri: Uri,
    is_batch: bool,
}

impl Grpc {
    /// So many callers, spread over so many connections.
    pub(crate) async fn connect(
        address: &str,
        connections: usize,
        callers: usize,
        method: &str,
    ) -> Result<Vec<Grpc>, Failure> {
        let uri: Uri = format!("http://{address}{method}").parse()?;
        let mut senders = Vec::new();
        for _ in 0..connections {
            senders.push(connect_one(address).await?);
        }
        let is_batch = method.ends_with('s');
        let caller = |at: usize| Grpc {
            send: senders[at % connections].clone(),
            uri: uri.clone(),
            is_batch,
        };
        Ok((0..callers).map(caller).collect())
    }

    fn request(&self) -> Result<Request<()>, http::Error> {
        Request::post(self.uri.clone())
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(())
    }
}

async fn connect_one(address: &str) -> Result<SendRequest<Bytes>, Failure> {
    let socket = TcpStream::connect(address).await?;
    socket.set_nodelay(true)?;
    let (send, connection) = h2::client::Builder::new()
        .max_frame_size(FRAME_BYTES)
        .initial_window_size(WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .handshake(socket)
        .await?;
    // A connection that fails fails the calls on it, which tell.
    tokio::spawn(async move { drop(connection.await) });
    Ok(send)
}

impl Carrier for Grpc {
    async fn call(&mut self, outgoing: Outgoing) -> Result<Answer, Failure> {
        let mut send = self.send.clone().ready().await?;
        let (response, mut stream) = send.send_request(self.request()?, false)?;
        stream.send_data(outgoing.bytes, true)?;
        let (head, mut body) = response.await?.into_parts();
        let mut payload = BytesMut::new();
        while let Some(part) = body.data().await {
            let part = part?;
            body.flow_control().release_capacity(part.len())?;
            payload.extend_from_slice(&part);
        }
        let trailers = body.trailers().await?.unwrap_or(head.headers);
        if let Some(refusal) = refusal_of(&trailers) {
            // That nobody has it answers a lookup.
            let refused = if refusal.starts_with(NOT_FOUND) { 0 } else { outgoing.events };
            return Ok(Answer { bytes: payload.freeze(), refused, refusal });
        }
        if payload.len() < FRAME_HEAD_BYTES {
            return Err("an answer without a message".into());
        }
        payload.advance(FRAME_HEAD_BYTES);
        let bytes = payload.freeze();
        let (refused, refusal) =
            if self.is_batch { refused_items(&bytes, outgoing.events)? } else { (0, None) };
        Ok(Answer { bytes, refused, refusal: refusal.unwrap_or_default() })
    }

    fn profile_of(mut answer: &[u8]) -> Option<Vec<u8>> {
        let (field, mut profile) = take_field(&mut answer)?;
        let (id_field, id) = take_field(&mut profile)?;
        (field == 1 && id_field == 1).then(|| id.to_vec())
    }
}

fn refusal_of(trailers: &HeaderMap) -> Option<String> {
    let status = trailers.get("grpc-status")?.to_str().ok()?;
    let message = trailers.get("grpc-message").and_then(|text| text.to_str().ok());
    (status != "0").then(|| format!("status {status}: {}", message.unwrap_or("")))
}

/// How many events of a batch were refused, and what the first was told.
fn refused_items(mut results: &[u8], events: u64) -> Result<(u64, Option<String>), Failure> {
    let (mut items, mut refused, mut first) = (0, 0, None);
    while let Some((_, result)) = take_field(&mut results) {
        items += 1;
        // Field 1 is the resolution.
        if result.first() != Some(&(1 << 3 | 2)) {
            refused += 1;
            first.get_or_insert_with(|| String::from_utf8_lossy(result).into_owned());
        }
    }
    if items != events {
        return Err(format!("{items} results for {events} events").into());
    }
    Ok((refused, first))
}

/// The next field that has a length; `None` at the end or before any other.
fn take_field<'a>(rest: &mut &'a [u8]) -> Option<(u8, &'a [u8])> {
    let (&tag, mut after) = rest.split_first()?;
    let (mut len, mut shift) = (0usize, 0);
    loop {
        let (&byte, next) = after.split_first()?;
        after = next;
        len |= usize::from(byte & 0x7f) << shift;
        shift += 7;
        if byte < 0x80 {
            break;
        }
    }
    let (body, after) = (tag & 7 == 2).then(|| after.split_at_checked(len))??;
    *rest = after;
    Some((tag >> 3, body))
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;
    use crate::people::Person;

    #[allow(dead_code, missing_docs, unreachable_pub, clippy::all, reason = "generated")]
    mod v1 {
        include!("../../../rust/ipse-rpc/src/generated/ipse.v1.rs");
    }

    fn encoded(call: &Call<'_>, event_ids: bool) -> Bytes {
        let mut out = BytesMut::new();
        Messages { event_ids }.encode(call, &mut out);
        let mut bytes = out.freeze();
        assert_eq!(bytes.get_u8(), 0);
        assert_eq!(bytes.get_u32() as usize, bytes.len());
        bytes
    }

    fn value(identifier: &Identifier) -> String {
        let mut out = Vec::new();
        identifier.write_value(&mut out);
        String::from_utf8(out).expect("ASCII")
    }

    #[test]
    fn a_batch_is_what_the_message_types_read() {
        let events: Vec<_> =
            (0..300).map(|number| Person::new(1, number).known_event(number)).collect();
        for event_ids in [false, true] {
            let bytes = encoded(&Call::Resolve(&events), event_ids);
            let request = v1::ResolveEventsRequest::decode(bytes).expect("a message");
            assert_eq!(request.events.len(), events.len());
            for (read, sent) in request.events.iter().zip(&events) {
                assert_eq!(read.event_id.is_empty(), !event_ids);
                assert_eq!(read.r#type, "track");
                assert_eq!(read.timestamp.expect("a time").seconds, sent.time_ms / 1_000);
                let texts = read.identifiers.iter().map(|each| each.value.clone());
                assert!(texts.eq(sent.identifiers.iter().map(value)));
            }
        }
    }

    #[test]
    fn a_lookup_is_what_the_message_types_read() {
        let identifier = Person::new(1, 5).any_identifier(0);
        let bytes = encoded(&Call::Lookup(identifier), false);
        let request = v1::GetProfileRequest::decode(bytes).expect("a message");
        let lookup = request.lookup.and_then(|each| each.lookup).expect("a lookup");
        let v1::profile_lookup::Lookup::Identifier(read) = lookup else { panic!("{lookup:?}") };
        assert_eq!((read.namespace, read.value), ("anonymous_id".into(), value(&identifier)));
    }

    #[test]
    fn refused_events_of_a_batch_are_counted() {
        use v1::resolve_events_result::Result::{Error, Resolution};
        let error = v1::ItemError { code: 8, reason: "OVERLOADED".into(), ..Default::default() };
        let results = [Resolution(v1::Resolution::default()), Error(error)]
            .map(|result| v1::ResolveEventsResult { result: Some(result) });
        let answer = v1::ResolveEventsResponse { results: results.to_vec() }.encode_to_vec();
        let (refused, first) = refused_items(&answer, 2).expect("two results");
        assert_eq!(refused, 1);
        assert!(first.expect("one was refused").contains("OVERLOADED"));
        assert!(refused_items(&answer, 3).is_err());
    }

    #[test]
    fn the_profile_of_an_answer_is_found() {
        let profile = v1::Profile { profile_id: "p-1".into(), known: true, ..Default::default() };
        let answer = v1::GetProfileResponse { profile: Some(profile), sequence_number: 3 };
        assert_eq!(Grpc::profile_of(&answer.encode_to_vec()), Some(b"p-1".to_vec()));
        assert_eq!(Grpc::profile_of(b""), None);
    }
}
