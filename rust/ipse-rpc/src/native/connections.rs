//! Connections: taken, encrypted, spoken HTTP/2 on, and told to end.
//!
//! They are hyper's, as those of tonic's own transport are. That one takes certificates once and for
//! all, turns in circles while there is no file for a connection, and answers CANCELLED where a
//! deadline passes, so it is not used.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tonic::body::Body;

use super::calls::{Calls, Door};
use super::carrier::{Carrier, OURS};
use super::side::Side;
use super::tls::Tls;

/// A peer that is gone is noticed within the sum.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(60);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);
/// Who has said nothing, or is not done with TLS, after this is not waited for.
const GREETING_MAX: Duration = Duration::from_secs(20);
/// Connections that cannot be taken, for want of files, are there a moment later.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
const HEADER_BYTES_MAX: u32 = 32 * 1_024;
/// What a peer may send at once: a frame of 16 KiB, the least there is, is read before the next one
/// comes, and a batch would be a dozen changes between two processes.
const FRAME_BYTES_MAX: u32 = 256 * 1_024;

/// What all connections of a server share.
pub(super) struct Connections {
    carrier: Arc<Carrier>,
    side: Side,
    tls: Option<Tls>,
    streams_max: u32,
}

impl Connections {
    pub(super) fn new(
        carrier: Arc<Carrier>,
        side: Side,
        tls: Option<Tls>,
        streams_max: u32,
    ) -> Connections {
        Connections { carrier, side, tls, streams_max }
    }

    pub(super) fn tls(&self) -> Option<&Tls> {
        self.tls.as_ref()
    }

    /// Takes connections until `ending` says so. Each keeps its copy of it until it has ended.
    pub(super) async fn accept(
        self: Arc<Self>,
        listener: TcpListener,
        mut ending: watch::Receiver<bool>,
    ) {
        loop {
            let accepted = tokio::select! {
                _ = ending.wait_for(|ends| *ends) => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    tokio::spawn(self.clone().serve(stream, peer, ending.clone()));
                }
                Err(_) => sleep(ACCEPT_PAUSE).await,
            }
        }
    }

    async fn serve(
        self: Arc<Self>,
        stream: TcpStream,
        peer: SocketAddr,
        ending: watch::Receiver<bool>,
    ) {
        // It would be slower, and no less right.
        let _ = stream.set_nodelay(true);
        if !matches!(timeout(GREETING_MAX, stream.readable()).await, Ok(Ok(()))) {
            return;
        }
        let Some(tls) = &self.tls else {
            return self.speak(stream, peer, ending).await;
        };
        let greeting = tls.acceptor().accept(stream);
        if let Ok(Ok(stream)) = timeout(GREETING_MAX, greeting).await {
            self.speak(stream, peer, ending).await;
        }
    }

    async fn speak(
        self: &Arc<Self>,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        peer: SocketAddr,
        mut ending: watch::Receiver<bool>,
    ) {
        let connections = self.clone();
        let service = service_fn(move |request| {
            let connections = connections.clone();
            async move { Ok::<_, std::convert::Infallible>(connections.answer(request, peer).await) }
        });
        let (door, mut calls) = Calls::new();
        let mut connection = pin!(self.http(door).serve_connection(TokioIo::new(stream), service));
        let mut ends = pin!(ending.wait_for(|ends| *ends));
        let mut is_ending = false;
        poll_fn(|context| {
            if !is_ending && ends.as_mut().poll(context).is_ready() {
                is_ending = true;
                connection.as_mut().graceful_shutdown();
            }
            // Else the log's thread might take the processor before the answers are sent.
            let _later = self.carrier.dispatch().map(|dispatch| dispatch.store().wake_later());
            // How a connection ends is its peer's affair.
            calls.poll(connection.as_mut(), context).map(drop)
        })
        .await;
    }

    fn http(&self, door: Door) -> http2::Builder<Door> {
        let mut http = http2::Builder::new(door);
        http.timer(TokioTimer::new())
            .max_concurrent_streams(self.streams_max)
            .max_header_list_size(HEADER_BYTES_MAX)
            .max_frame_size(FRAME_BYTES_MAX)
            .keep_alive_interval(KEEPALIVE_INTERVAL)
            .keep_alive_timeout(KEEPALIVE_TIMEOUT)
            .auto_date_header(false);
        http
    }

    async fn answer(&self, request: Request<Incoming>, peer: SocketAddr) -> Response<Body> {
        if request.uri().path().starts_with(OURS) {
            self.carrier.carry(request, peer).await
        } else {
            Box::pin(self.side.answer(&self.carrier, request)).await
        }
    }
}
