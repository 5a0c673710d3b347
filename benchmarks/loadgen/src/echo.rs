//! An empty server: it reads a request and answers bytes of a given length, so that the cost of
//! transport and client stands beside what a server does with a request.
//!
//! On hyper and a runtime with the settings of ours, its calls worked on in the task of their
//! connection as ours are (`rust/ipse-rpc/src/native`), and nothing else.

use std::collections::HashMap;
use std::convert::Infallible;
use std::fs;
use std::future::poll_fn;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Deserialize;
use tokio::net::TcpListener;

use crate::calls::Calls;
use crate::carrier::Failure;

const STREAMS_MAX: u32 = 128;

/// How to run it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Spec {
    /// Where the port is written when it is open.
    port_file: PathBuf,
    /// Bytes of an answer by the path of the method.
    answer_bytes: HashMap<String, usize>,
}

/// Serves until it is killed.
pub(crate) async fn serve(spec: Spec) -> Result<(), Failure> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let beside = spec.port_file.with_extension("new");
    fs::write(&beside, listener.local_addr()?.port().to_string())?;
    fs::rename(beside, spec.port_file)?;
    let answers = spec.answer_bytes.into_iter();
    let answers: Arc<HashMap<_, _>> =
        Arc::new(answers.map(|(path, bytes)| (path, message(bytes))).collect());
    loop {
        let (socket, _) = listener.accept().await?;
        socket.set_nodelay(true)?;
        let answers = Arc::clone(&answers);
        let service = service_fn(move |request: Request<Incoming>| {
            answer(answers.get(request.uri().path()).cloned().unwrap_or_default(), request)
        });
        let (door, mut calls) = Calls::new();
        let mut http = http2::Builder::new(door);
        http.timer(TokioTimer::new()).max_concurrent_streams(STREAMS_MAX).auto_date_header(false);
        let mut connection = Box::pin(http.serve_connection(TokioIo::new(socket), service));
        // How a connection ends is its client's affair.
        tokio::spawn(poll_fn(move |context| calls.poll(connection.as_mut(), context).map(drop)));
    }
}

/// A message with the five bytes that gRPC puts before it.
fn message(len: usize) -> Bytes {
    let mut framed = BytesMut::with_capacity(5 + len);
    framed.put_u8(0);
    framed.put_u32(len as u32);
    framed.put_bytes(0, len);
    framed.freeze()
}

async fn answer(
    message: Bytes,
    request: Request<Incoming>,
) -> Result<Response<impl Body<Data = Bytes, Error = Infallible>>, hyper::Error> {
    let mut body = request.into_body();
    while let Some(frame) = body.frame().await {
        drop(frame?);
    }
    let trailers = async {
        let mut trailers = HeaderMap::with_capacity(1);
        trailers.insert("grpc-status", HeaderValue::from_static("0"));
        Some(Ok(trailers))
    };
    let mut response = Response::new(Full::new(message).with_trailers(trailers));
    let grpc = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert(CONTENT_TYPE, grpc);
    Ok(response)
}
