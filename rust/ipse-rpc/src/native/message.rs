//! A call's message in the frames of HTTP/2: a byte that says whether it is compressed, its length
//! in four, and its bytes.
//!
//! Nothing is kept room for that was only claimed, and nothing is read beyond what is allowed: a
//! request that is too large is refused at its length, by name, and a compressed one is inflated as
//! far as it may be large.

use std::convert::Infallible;
use std::io::{Cursor, Read};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::{BufMut, Bytes, BytesMut};
use flate2::read::{GzDecoder, ZlibDecoder};
use http::{HeaderMap, HeaderValue, Response, header};
use http_body::Frame;
use http_body_util::BodyExt;
use tonic::body::Body;

use crate::dispatch::Dispatch;
use crate::limits::HELD_ANSWER_BYTES_MIN;
use crate::status::{Reason, Status, quoted};

const HEAD_BYTES: usize = 5;
/// As gRPC has it.
const TIMEOUT_DIGITS_MAX: usize = 8;
/// An answer that is not longer goes with its head in one frame.
const ONE_FRAME_BYTES_MAX: usize = 16 * 1_024;

/// Bytes that are kept for a caller until this is dropped.
pub(super) struct Held {
    dispatch: Arc<Dispatch>,
    bytes: u64,
}

/// Reads the one message of a unary call.
pub(super) async fn read(
    headers: &HeaderMap,
    mut body: impl http_body::Body<Data = Bytes> + Unpin,
    bytes_max: usize,
) -> Result<Bytes, Status> {
    let mut read = Received::default();
    let (compressed, length) = loop {
        match read.head() {
            Some((_, length)) if length > bytes_max => return Err(too_large(bytes_max, length)),
            Some(head) if read.len() >= HEAD_BYTES + head.1 => break head,
            Some(_) | None => read.append(next(&mut body).await?),
        }
    };
    let message = read.into_bytes().slice(HEAD_BYTES..HEAD_BYTES + length);
    if !compressed {
        return Ok(message);
    }
    match headers.get("grpc-encoding").map(HeaderValue::as_bytes) {
        Some(b"gzip") => Box::pin(inflate(message, bytes_max, GzDecoder::new)).await,
        Some(b"deflate") => Box::pin(inflate(message, bytes_max, ZlibDecoder::new)).await,
        other => Err(malformed(&format!(
            "its compression is {}, and only gzip and deflate are read",
            quoted(&String::from_utf8_lossy(other.unwrap_or_default()))
        ))),
    }
}

/// The moment of a caller's deadline, if it has one.
pub(super) fn deadline(headers: &HeaderMap) -> Option<Instant> {
    let (unit, digits) = headers.get("grpc-timeout")?.as_bytes().split_last()?;
    if digits.is_empty() || digits.len() > TIMEOUT_DIGITS_MAX {
        return None;
    }
    let count = digits.iter().try_fold(0, |count, digit| {
        digit.is_ascii_digit().then(|| 10 * count + u64::from(digit - b'0'))
    })?;
    let left = match unit {
        b'H' => Duration::from_secs(3_600 * count),
        b'M' => Duration::from_secs(60 * count),
        b'S' => Duration::from_secs(count),
        b'm' => Duration::from_millis(count),
        b'u' => Duration::from_micros(count),
        b'n' => Duration::from_nanos(count),
        _ => return None,
    };
    Instant::now().checked_add(left)
}

/// An answer, whose bytes are held, if they are many, until its caller has read them.
pub(super) fn answer(message: Vec<u8>, held: Option<Held>) -> Response<Body> {
    response(Answer { frames: framed(message), ended: false, _held: held })
}

/// The response that a body makes.
pub(super) fn response(
    body: impl http_body::Body<Data = Bytes, Error = Infallible> + Send + 'static,
) -> Response<Body> {
    let mut response = Response::new(Body::new(body));
    let kind = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

/// A refusal, its details in the trailers.
pub(super) fn refusal(status: Status) -> Response<Body> {
    tonics(status).into_http()
}

/// The trailers of an answer that ends with a refusal.
pub(super) fn trailers(status: Status) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    tonics(status).add_header(&mut trailers).expect("what no header may hold is escaped");
    trailers
}

/// A message behind its head; both in one frame if that is not long.
pub(super) fn framed(message: Vec<u8>) -> [Bytes; 2] {
    let length = u32::try_from(message.len()).expect("answers are bounded far below 4 GiB");
    let together = message.len() <= ONE_FRAME_BYTES_MAX;
    let room = if together { message.len() } else { 0 };
    let mut head = BytesMut::with_capacity(HEAD_BYTES + room);
    head.put_u8(0);
    head.put_u32(length);
    let rest = if together {
        head.extend_from_slice(&message);
        Bytes::new()
    } else {
        message.into()
    };
    [head.freeze(), rest]
}

impl Held {
    /// If they are so many that they count.
    pub(super) fn of(dispatch: &Arc<Dispatch>, size: usize) -> Option<Held> {
        let bytes = u64::try_from(size).unwrap_or(u64::MAX);
        (size >= HELD_ANSWER_BYTES_MIN).then(|| {
            dispatch.hold(bytes);
            Held { dispatch: dispatch.clone(), bytes }
        })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.dispatch.release(self.bytes);
    }
}

/// What has come of a message. Most come whole in one frame, which is not copied.
#[derive(Default)]
struct Received {
    first: Bytes,
    all: BytesMut,
}

impl Received {
    fn bytes(&self) -> &[u8] {
        if self.all.is_empty() { &self.first } else { &self.all }
    }

    fn len(&self) -> usize {
        self.bytes().len()
    }

    /// Whether the message is compressed, and its length, once that is known.
    fn head(&self) -> Option<(bool, usize)> {
        let (flag, rest) = self.bytes().split_first()?;
        let length = u32::from_be_bytes(*rest.first_chunk()?);
        Some((*flag != 0, usize::try_from(length).unwrap_or(usize::MAX)))
    }

    fn append(&mut self, data: Bytes) {
        if self.len() == 0 {
            self.first = data;
            return;
        }
        if self.all.is_empty() {
            self.all.extend_from_slice(&self.first);
        }
        self.all.extend_from_slice(&data);
    }

    fn into_bytes(self) -> Bytes {
        if self.all.is_empty() { self.first } else { self.all.freeze() }
    }
}

/// The message of an answer, then the trailers that say that all is well.
struct Answer {
    frames: [Bytes; 2],
    ended: bool,
    _held: Option<Held>,
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if let Some(frame) = self.frames.iter_mut().find(|frame| !frame.is_empty()) {
            return Poll::Ready(Some(Ok(Frame::data(std::mem::take(frame)))));
        }
        if std::mem::replace(&mut self.ended, true) {
            return Poll::Ready(None);
        }
        let mut trailers = HeaderMap::with_capacity(1);
        trailers.insert(tonic::Status::GRPC_STATUS, HeaderValue::from_static("0"));
        Poll::Ready(Some(Ok(Frame::trailers(trailers))))
    }
}

/// The next bytes of a body.
async fn next(body: &mut (impl http_body::Body<Data = Bytes> + Unpin)) -> Result<Bytes, Status> {
    while !body.is_end_stream() {
        match body.frame().await {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) if !data.is_empty() => return Ok(data),
                Ok(_) | Err(_) => {}
            },
            Some(Err(_)) | None => break,
        }
    }
    Err(malformed("it ends before its message does"))
}

fn tonics(status: Status) -> tonic::Status {
    let code = tonic::Code::from_i32(status.code());
    let (message, details) = status.fitted();
    tonic::Status::with_details(code, message, details.into())
}

/// Inflates a message on a thread where that keeps nobody waiting.
async fn inflate<R: Read + 'static>(
    message: Bytes,
    bytes_max: usize,
    decoder: fn(Cursor<Bytes>) -> R,
) -> Result<Bytes, Status> {
    let work = move || {
        let mut inflated = Vec::new();
        let limit = u64::try_from(bytes_max).unwrap_or(u64::MAX).saturating_add(1);
        let mut reader = decoder(Cursor::new(message)).take(limit);
        reader.read_to_end(&mut inflated).map(|_| inflated)
    };
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(inflated)) if inflated.len() > bytes_max => Err(too_large(bytes_max, inflated.len())),
        Ok(Ok(inflated)) => Ok(inflated.into()),
        Ok(Err(_)) | Err(_) => Err(malformed("it cannot be inflated")),
    }
}

fn too_large(bound: usize, found: usize) -> Status {
    Status::message_too_large("request", "message_bytes_max", bound, found)
}

fn malformed(problem: &str) -> Status {
    Status::new(Reason::MalformedRequest, format!("the request is no gRPC message: {problem}"))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use http_body_util::{Full, StreamBody};

    use super::*;

    const BYTES_MAX: usize = 1_000;

    fn framed(compressed: bool, message: &[u8]) -> Bytes {
        let mut framed = BytesMut::new();
        framed.put_u8(u8::from(compressed));
        framed.put_u32(message.len() as u32);
        framed.extend_from_slice(message);
        framed.freeze()
    }

    fn with(name: &'static str, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name.parse().expect("a name"), HeaderValue::from_static(value))])
    }

    fn refused(result: Result<Bytes, Status>) -> (Reason, String) {
        let status = result.expect_err("a refusal");
        (status.reason(), status.message().to_owned())
    }

    #[tokio::test]
    async fn a_message_is_read_however_it_is_cut() {
        let whole = framed(false, b"a message");
        for size in 1..=whole.len() {
            let frames = whole.chunks(size).map(|part| Frame::data(Bytes::copy_from_slice(part)));
            let frames = frames.map(Ok::<_, Infallible>).collect::<Vec<_>>();
            let body = StreamBody::new(tokio_stream::iter(frames));
            let read = read(&HeaderMap::new(), body, BYTES_MAX).await;
            assert_eq!(read.as_deref(), Ok(&b"a message"[..]), "{size}");
        }
    }

    #[tokio::test]
    async fn what_is_too_large_is_refused_at_its_length() {
        // Not one byte of it has come.
        let head = framed(false, &[0; BYTES_MAX + 1]).slice(..HEAD_BYTES);
        let (reason, message) = refused(read(&HeaderMap::new(), Full::new(head), BYTES_MAX).await);
        assert_eq!(reason, Reason::LimitExceeded);
        assert!(message.contains("1001 bytes, at most message_bytes_max = 1000"), "{message}");
    }

    #[tokio::test]
    async fn a_message_that_ends_too_soon_is_refused() {
        let whole = framed(false, b"a message");
        for length in 0..whole.len() {
            let body = Full::new(whole.slice(..length));
            let (reason, _) = refused(read(&HeaderMap::new(), body, BYTES_MAX).await);
            assert_eq!(reason, Reason::MalformedRequest, "{length}");
        }
    }

    #[tokio::test]
    async fn what_is_compressed_is_inflated_as_far_as_it_may_be_large() {
        let gzip = with("grpc-encoding", "gzip");
        let packed = |message: &[u8]| {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(message).expect("memory");
            Full::new(framed(true, &encoder.finish().expect("memory")))
        };
        let read_packed = async |message| read(&gzip, packed(message), BYTES_MAX).await;
        assert_eq!(read_packed(&[7; BYTES_MAX]).await.as_deref(), Ok(&[7; BYTES_MAX][..]));
        assert_eq!(refused(read_packed(&[7; 100_000]).await).0, Reason::LimitExceeded);
        let junk = Full::new(framed(true, b"junk"));
        assert_eq!(refused(read(&gzip, junk, BYTES_MAX).await).0, Reason::MalformedRequest);
        let unknown = with("grpc-encoding", "zstd");
        let (_, message) = refused(read(&unknown, packed(b""), BYTES_MAX).await);
        assert!(message.contains("zstd"), "{message}");
    }

    #[test]
    fn deadlines_are_read_in_all_units_and_nothing_else_is_one() {
        let left = |value| {
            let deadline = deadline(&with("grpc-timeout", value))?;
            Some(deadline.saturating_duration_since(Instant::now()).as_secs_f64())
        };
        for (value, seconds) in [
            ("2H", 7_200.0),
            ("2M", 120.0),
            ("2S", 2.0),
            ("2000m", 2.0),
            ("2000000u", 2.0),
            ("99999999S", 99_999_999.0),
        ] {
            let found = left(value).expect("a deadline");
            assert!(found <= seconds && found > seconds - 1.0, "{value}: {found}");
        }
        assert_eq!(left("0n"), Some(0.0));
        for value in ["", "S", "2", "-2S", "2x", "99999999999999999999S"] {
            assert_eq!(left(value), None, "{value}");
        }
    }

    #[tokio::test]
    async fn an_answer_is_its_message_and_then_that_all_is_well() {
        for size in [0, 1, ONE_FRAME_BYTES_MAX, ONE_FRAME_BYTES_MAX + 1] {
            let message = vec![7; size];
            let body = answer(message.clone(), None).into_body().collect().await.expect("ours");
            let trailers = body.trailers().expect("trailers").clone();
            assert_eq!(trailers["grpc-status"], "0");
            assert_eq!(body.to_bytes(), framed(false, &message));
        }
    }
}
