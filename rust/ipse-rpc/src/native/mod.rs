//! The native transport: gRPC on threads of its own, with nobody else's code on the way of a call.
//!
//! ```text
//! connections (hyper, rustls) ─> carrier ─> Dispatch ─> waiters ─> answer
//!                                   ├ long calls: turns      └ one wake-up for each commit group
//!                                   └ calls without end: watching
//! ```
//!
//! The owner makes it, attaches the dispatch when it is there, and ends it; it is told through one
//! callback when there is something to look after, and asks what. A carrier and no judge: what it
//! refuses, it refuses in words that all transports share.

mod calls;
mod carrier;
mod connections;
mod message;
mod side;
mod tls;
mod turns;
mod waiters;
mod watching;

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::available_parallelism;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use self::carrier::Carrier;
use self::connections::Connections;
use self::side::{HealthStates, Side};
use self::tls::Tls;
use crate::dispatch::Dispatch;
use crate::status::Absence;
use crate::tally::Tally;

pub use self::tls::Certificates;

/// Operators' calls that were answered and are not written down yet; the next wait for their owner.
const AUDITS_MAX: usize = 1_024;
/// Connections that are not taken yet.
const BACKLOG: u32 = 1_024;
/// More than there are kinds of turns, and some for what is inflated.
const BLOCKING_THREADS_MAX: usize = 16;
const WORKERS_MIN: usize = 2;
const WORKERS_MAX: usize = 16;

/// How to carry.
#[derive(Clone, Debug)]
pub struct Options {
    /// Threads that carry calls; 0 is one for each core, within bounds.
    pub workers: usize,
    /// Calls that are answered or wait for the disk at a time.
    pub calls_in_flight_max: u64,
    /// Calls that may wait for the disk.
    pub waiting_calls_max: usize,
    /// Bytes of one request.
    pub message_bytes_max: usize,
    /// Bytes of one response.
    pub response_bytes_max: usize,
    /// Calls in flight on one connection.
    pub concurrent_streams_max: u32,
}

/// What is beside the calls: names that health knows, and what reflection shows, if anything (an
/// encoded FileDescriptorSet).
#[derive(Clone, Copy, Debug)]
pub struct Beside<'b> {
    /// Of health.
    pub health_names: &'b [&'b str],
    /// Of reflection.
    pub descriptors: Option<&'b [u8]>,
}

/// Who asked for what, of those calls that only operators make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audit {
    /// The token's name, if there is one.
    pub token: Option<String>,
    /// The workspace that the call is about, if it is about one.
    pub workspace: Option<String>,
    /// Its full name.
    pub method: String,
    /// Where the caller is.
    pub peer: SocketAddr,
    /// A google.rpc.Code.
    pub code: i32,
}

/// A server that listens. Dropping it ends it at once.
pub struct Native {
    port: u16,
    carrier: Arc<Carrier>,
    connections: Arc<Connections>,
    health: HealthStates,
    audits: Mutex<mpsc::Receiver<Audit>>,
    ending: watch::Sender<bool>,
    handle: Handle,
    /// `None`: it has ended.
    runtime: Mutex<Option<Runtime>>,
}

impl Native {
    /// Listens on all of the addresses, on one port, and refuses calls until a dispatch is
    /// attached. `notify` is called, on any thread, when there are audits to take or the dispatch
    /// is to be looked after; it must be quick.
    pub fn listen(
        addresses: &[SocketAddr],
        options: Options,
        beside: Beside<'_>,
        certificates: Option<Certificates<'_>>,
        tally: Arc<Tally>,
        notify: Box<dyn Fn() + Send + Sync>,
    ) -> io::Result<Native> {
        let tls = certificates.map(Tls::new).transpose().map_err(io::Error::other)?;
        let health = HealthStates::new(beside.health_names);
        let side = Side::new(health.clone(), beside.descriptors).map_err(io::Error::other)?;
        let streams_max = options.concurrent_streams_max;
        let runtime = runtime(options.workers)?;
        let (audited, audits) = mpsc::channel(AUDITS_MAX);
        let carrier = Arc::new(Carrier::new(options, tally, audited, notify));
        let connections = Arc::new(Connections::new(carrier.clone(), side, tls, streams_max));
        let ending = watch::Sender::new(false);
        let listeners = {
            let _inside = runtime.enter();
            listeners(addresses)?
        };
        let port = listeners.first().map_or(Ok(0), |first| first.local_addr().map(|a| a.port()))?;
        for listener in listeners {
            runtime.spawn(connections.clone().accept(listener, ending.subscribe()));
        }
        Ok(Native {
            port,
            carrier,
            connections,
            health,
            audits: Mutex::new(audits),
            ending,
            handle: runtime.handle().clone(),
            runtime: Mutex::new(Some(runtime)),
        })
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Begins to serve, once.
    pub fn attach(&self, dispatch: Arc<Dispatch>) {
        self.handle.spawn(self.carrier.clone().attach(dispatch));
    }

    /// Refuses new calls; those in flight go on.
    pub fn refuse(&self, absence: Absence) {
        self.carrier.refuse(absence);
    }

    /// Refuses new calls, and those that wait for the disk.
    pub fn end(&self, absence: Absence) {
        self.carrier.end(absence);
    }

    /// Waits until no call is in flight, but not longer than this. Blocks.
    pub fn await_idle(&self, longest: Duration) {
        let _ = self.handle.block_on(async { timeout(longest, self.carrier.idle()).await });
    }

    /// Takes no more connections, and ends those that there are: at once those that are idle, and
    /// the others when their calls have ended or the time is over. Blocks. Again is harmless.
    pub fn stop(&self, longest: Duration) {
        self.ending.send_replace(true);
        let runtime = self.runtime.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(runtime) = runtime {
            let _ = runtime.block_on(async { timeout(longest, self.ending.closed()).await });
            // A call may be blocked by a disk that hangs.
            runtime.shutdown_background();
        }
    }

    /// Says of a name whether health says that it is served.
    pub fn set_health(&self, name: &str, is_serving: bool) {
        self.health.set(name, is_serving);
    }

    /// Says that nothing is served any more, whatever else is said.
    pub fn set_health_gone(&self) {
        self.health.set_all_gone();
    }

    /// Puts other certificates in force, for the connections to come. Without any at the start
    /// connections are not encrypted, and stay so.
    pub fn replace_certificates(&self, certificates: Certificates<'_>) -> Result<(), String> {
        self.connections.tls().map_or(Ok(()), |tls| tls.replace(certificates))
    }

    /// What operators have called since this was last asked.
    pub fn take_audits(&self) -> Vec<Audit> {
        let mut audits = self.audits.lock().unwrap_or_else(PoisonError::into_inner);
        std::iter::from_fn(|| audits.try_recv().ok()).collect()
    }

    /// How many calls are being answered or wait for the disk.
    pub fn calls_in_flight(&self) -> u64 {
        self.carrier.in_flight()
    }
}

impl Drop for Native {
    fn drop(&mut self) {
        self.stop(Duration::ZERO);
    }
}

fn runtime(workers: usize) -> io::Result<Runtime> {
    let cores = || available_parallelism().map_or(WORKERS_MIN, usize::from);
    let workers = if workers == 0 { cores().clamp(WORKERS_MIN, WORKERS_MAX) } else { workers };
    Builder::new_multi_thread()
        .worker_threads(workers)
        .max_blocking_threads(BLOCKING_THREADS_MAX)
        .thread_name("ipse-native")
        .enable_all()
        .build()
}

/// Opens all of the addresses; the first decides on the port if none was asked for.
fn listeners(addresses: &[SocketAddr]) -> io::Result<Vec<TcpListener>> {
    let mut listeners: Vec<TcpListener> = Vec::new();
    for address in addresses {
        let mut address = *address;
        if let (0, Some(first)) = (address.port(), listeners.first()) {
            address.set_port(first.local_addr()?.port());
        }
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        // A server that starts again must not wait for what is left of its connections.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        listeners.push(socket.listen(BACKLOG)?);
    }
    Ok(listeners)
}
