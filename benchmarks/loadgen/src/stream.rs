//! Redis and PostgreSQL: a connection for each caller, on which requests and replies are texts one
//! after another. A call of many events is sent as a whole (a pipeline) and answered reply by reply.

use bytes::{Buf, BufMut, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::carrier::{Answer, Carrier, Encode, Failure, Outgoing};
use crate::people::Identifier;
use crate::phases::Call;

/// One reply of a stream.
pub(crate) struct Reply {
    len: usize,
    refusal: Option<String>,
    /// Whether it is one of those that are counted up to the end of a call.
    counts: bool,
}

/// How replies are told apart.
pub(crate) trait Replies: Send + 'static {
    /// The reply that `buffer` begins with, once all of it is there.
    fn read(buffer: &[u8]) -> Result<Option<Reply>, Failure>;

    /// How many replies that count end a call.
    fn expected(events: u64) -> u64;

    /// The profile that the replies to a lookup name.
    fn profile_of(replies: &[u8]) -> Option<Vec<u8>>;
}

/// A connection with one call under way at a time.
pub(crate) struct Connection<R> {
    socket: TcpStream,
    replies: std::marker::PhantomData<R>,
}

impl<R: Replies> Connection<R> {
    async fn open(address: &str, greeting: Option<Outgoing>) -> Result<Self, Failure> {
        let socket = TcpStream::connect(address).await?;
        socket.set_nodelay(true)?;
        let mut connection = Connection { socket, replies: std::marker::PhantomData };
        if let Some(greeting) = greeting {
            let answer = connection.call(greeting).await?;
            if answer.refused > 0 {
                return Err(answer.refusal.into());
            }
        }
        Ok(connection)
    }
}

impl<R: Replies> Carrier for Connection<R> {
    async fn call(&mut self, outgoing: Outgoing) -> Result<Answer, Failure> {
        self.socket.write_all(&outgoing.bytes).await?;
        let mut buffer = BytesMut::with_capacity(16 << 10);
        let (mut at, mut refused, mut first) = (0, 0, None);
        let mut left = R::expected(outgoing.events);
        while left > 0 {
            if self.socket.read_buf(&mut buffer).await? == 0 {
                return Err("the server closed the connection".into());
            }
            while let Some(reply) = R::read(&buffer[at..])? {
                at += reply.len;
                left -= u64::from(reply.counts);
                refused += u64::from(reply.refusal.is_some());
                first = first.or(reply.refusal);
            }
        }
        Ok(Answer { bytes: buffer.freeze(), refused, refusal: first.unwrap_or_default() })
    }

    fn profile_of(answer: &[u8]) -> Option<Vec<u8>> {
        R::profile_of(answer)
    }
}

/// Redis: `EVALSHA sha count key...` for each event.
pub(crate) struct Scripts {
    pub(crate) resolve_sha: String,
    pub(crate) find_sha: String,
}

impl Encode for Scripts {
    fn encode(&self, call: &Call<'_>, out: &mut BytesMut) {
        match call {
            Call::Resolve(events) => {
                events
                    .iter()
                    .for_each(|event| put_script(&self.resolve_sha, &event.identifiers, out));
            }
            Call::Lookup(identifier) => put_script(&self.find_sha, &[*identifier], out),
        }
    }
}

fn put_script(sha: &str, keys: &[Identifier], out: &mut BytesMut) {
    let count = keys.len();
    let head = format!("*{}\r\n$7\r\nEVALSHA\r\n$40\r\n{sha}\r\n$1\r\n{count}\r\n", 3 + count);
    out.put_slice(head.as_bytes());
    for key in keys {
        out.put_slice(format!("${}\r\n", key.value_len()).as_bytes());
        key.write_value(out);
        out.put_slice(b"\r\n");
    }
}

/// Replies of Redis that are one line: numbers, errors, and `$-1` for nothing.
pub(crate) struct Lines;

impl Replies for Lines {
    fn read(buffer: &[u8]) -> Result<Option<Reply>, Failure> {
        let Some(end) = buffer.iter().position(|&byte| byte == b'\n') else { return Ok(None) };
        let line = String::from_utf8_lossy(&buffer[..end - 1]);
        let refusal = match line.as_bytes().first() {
            Some(b':') => None,
            Some(b'-') => Some(line.into_owned()),
            _ if line == "$-1" => None,
            _ => return Err(format!("not a reply to a script: {line}").into()),
        };
        Ok(Some(Reply { len: end + 1, refusal, counts: true }))
    }

    fn expected(events: u64) -> u64 {
        events
    }

    fn profile_of(replies: &[u8]) -> Option<Vec<u8>> {
        replies.starts_with(b":").then(|| replies.to_vec())
    }
}

/// A caller of Redis.
pub(crate) type Redis = Connection<Lines>;

impl Redis {
    pub(crate) async fn connect(address: &str) -> Result<Redis, Failure> {
        Connection::open(address, None).await
    }
}

/// PostgreSQL: a prepared `resolve(text[])` bound for each event, and one sync, so one transaction,
/// for each call.
pub(crate) struct Statements;

impl Encode for Statements {
    fn encode(&self, call: &Call<'_>, out: &mut BytesMut) {
        match call {
            Call::Resolve(events) => {
                events.iter().for_each(|event| put_execution(b"resolve", &event.identifiers, out));
            }
            Call::Lookup(identifier) => put_execution(b"find", &[*identifier], out),
        }
        put_message(b'S', out, |_| {});
    }
}

fn put_execution(statement: &[u8], identifiers: &[Identifier], out: &mut BytesMut) {
    put_message(b'B', out, |out| {
        out.put_u8(0);
        out.put_slice(statement);
        out.put_u8(0);
        out.put_i16(0); // Every argument is text,
        out.put_i16(1); // and there is one:
        let values: usize = identifiers.iter().map(Identifier::value_len).sum();
        out.put_i32((values + identifiers.len() + 1) as i32);
        for (at, identifier) in identifiers.iter().enumerate() {
            out.put_u8(if at == 0 { b'{' } else { b',' });
            identifier.write_value(out);
        }
        out.put_u8(b'}');
        out.put_i16(0); // Results are text.
    });
    put_message(b'E', out, |out| {
        out.put_u8(0);
        out.put_i32(0);
    });
}

fn put_message(kind: u8, out: &mut BytesMut, body: impl FnOnce(&mut BytesMut)) {
    out.put_u8(kind);
    put_sized(out, body);
}

fn put_sized(out: &mut BytesMut, body: impl FnOnce(&mut BytesMut)) {
    let at = out.len();
    out.put_i32(0);
    body(out);
    let len = (out.len() - at) as u32;
    out[at..at + 4].copy_from_slice(&len.to_be_bytes());
}

/// Messages of PostgreSQL; `Z`, ready for the next query, ends a call.
pub(crate) struct Typed;

impl Replies for Typed {
    fn read(buffer: &[u8]) -> Result<Option<Reply>, Failure> {
        let Some(mut head) = buffer.get(..5) else { return Ok(None) };
        let kind = head.get_u8();
        let len = 1 + head.get_u32() as usize;
        let Some(message) = buffer.get(5..len) else { return Ok(None) };
        if kind == b'R' && message != [0; 4] {
            return Err("PostgreSQL asks for a password".into());
        }
        let refusal = (kind == b'E').then(|| String::from_utf8_lossy(message).replace('\0', " "));
        Ok(Some(Reply { len, refusal, counts: kind == b'Z' }))
    }

    fn expected(_events: u64) -> u64 {
        1
    }

    fn profile_of(replies: &[u8]) -> Option<Vec<u8>> {
        let mut at = 0;
        while let Ok(Some(reply)) = Typed::read(&replies[at..]) {
            // A row: kind, its length, the number of columns, the length of the first, that one.
            if replies[at] == b'D' {
                return Some(replies[at + 11..at + reply.len].to_vec()).filter(|id| !id.is_empty());
            }
            at += reply.len;
        }
        None
    }
}

/// A caller of PostgreSQL.
pub(crate) type Postgres = Connection<Typed>;

impl Postgres {
    pub(crate) async fn connect(address: &str) -> Result<Postgres, Failure> {
        let mut out = BytesMut::new();
        put_sized(&mut out, |out| {
            out.put_i32(3 << 16);
            out.put_slice(b"user\0bench\0database\0postgres\0\0");
        });
        let greeting = Outgoing { bytes: out.split().freeze(), events: 1 };
        let mut connection: Postgres = Connection::open(address, Some(greeting)).await?;
        for (name, query) in [("resolve", "select resolve($1)"), ("find", "select find($1)")] {
            put_message(b'P', &mut out, |out| {
                out.put_slice(format!("{name}\0{query}\0").as_bytes());
                out.put_i16(0);
            });
        }
        put_message(b'S', &mut out, |_| {});
        let prepared = connection.call(Outgoing { bytes: out.freeze(), events: 1 }).await?;
        if prepared.refused > 0 { Err(prepared.refusal.into()) } else { Ok(connection) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::people::Person;

    #[test]
    fn a_script_names_its_keys() {
        let identifier = Person::new(1, 1).any_identifier(1);
        let sha = "0".repeat(40);
        let scripts = Scripts { resolve_sha: String::new(), find_sha: sha.clone() };
        let mut out = BytesMut::new();
        scripts.encode(&Call::Lookup(identifier), &mut out);
        let mut value = Vec::new();
        identifier.write_value(&mut value);
        let value = String::from_utf8(value).expect("ASCII");
        let wanted =
            format!("*4\r\n$7\r\nEVALSHA\r\n$40\r\n{sha}\r\n$1\r\n1\r\n$21\r\n{value}\r\n");
        assert_eq!(out, wanted);
    }

    #[test]
    fn replies_are_read_when_they_are_whole() {
        let reply = Lines::read(b":12\r\n:13").expect("a reply").expect("whole");
        assert_eq!((reply.len, reply.refusal), (5, None));
        assert!(Lines::read(b":13").expect("a part").is_none());
        let refused = Lines::read(b"-ERR no\r\n").expect("a reply").expect("whole");
        assert_eq!(refused.refusal.as_deref(), Some("-ERR no"));
        assert!(Typed::read(b"Z\0\0\0\x05").expect("a part").is_none());
        assert!(Typed::read(b"Z\0\0\0\x05I").expect("a reply").expect("whole").counts);
    }

    #[test]
    fn the_profile_of_an_answer_is_found() {
        assert_eq!(Lines::profile_of(b":12\r\n"), Some(b":12\r\n".to_vec()));
        let row = b"2\0\0\0\x04D\0\0\0\x0c\0\x01\0\0\0\x0242Z\0\0\0\x05I";
        assert_eq!(Typed::profile_of(row), Some(b"42".to_vec()));
    }
}
