//! The class `NativeServer`: the transport that needs no Python for a call.

use std::net::SocketAddr;
use std::time::Duration;

use ipse_rpc::native::{Beside, Certificates, Native, Options};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::engine::Engine;
use crate::refusals::absence;
use crate::tally::Tally;
use crate::wake::{self, WakeReader};

/// PEM of a chain, of its key, and of those who sign clients.
type Pem = (Vec<u8>, Vec<u8>, Option<Vec<u8>>);
/// (token, workspace, method, peer, code).
type Audit = (Option<String>, Option<String>, String, String, i32);

/// A server that listens and carries calls on threads of its own.
#[pyclass(frozen, module = "ipse._native")]
pub(crate) struct NativeServer {
    native: Native,
    wake: WakeReader,
}

#[pymethods]
impl NativeServer {
    /// Listens on all addresses, on one port; calls are refused until `attach`.
    #[new]
    #[pyo3(signature = (
        addresses, tally, *, health_names, descriptors, certificates, workers,
        calls_in_flight_max, waiting_calls_max, message_bytes_max, response_bytes_max,
        concurrent_streams_max,
    ))]
    #[allow(clippy::too_many_arguments, reason = "they are keywords to their one caller")]
    fn new(
        py: Python<'_>,
        addresses: Vec<(String, u16)>,
        tally: &Tally,
        health_names: Vec<String>,
        descriptors: Option<Vec<u8>>,
        certificates: Option<Pem>,
        workers: usize,
        calls_in_flight_max: u64,
        waiting_calls_max: usize,
        message_bytes_max: usize,
        response_bytes_max: usize,
        concurrent_streams_max: u32,
    ) -> PyResult<NativeServer> {
        let addresses = addresses.iter().map(socket_address).collect::<PyResult<Vec<_>>>()?;
        let options = Options {
            workers,
            calls_in_flight_max,
            waiting_calls_max,
            message_bytes_max,
            response_bytes_max,
            concurrent_streams_max,
        };
        let names: Vec<&str> = health_names.iter().map(String::as_str).collect();
        let beside = Beside { health_names: &names, descriptors: descriptors.as_deref() };
        let (wake, writer) = wake::pair()?;
        let notify = Box::new(move || writer.wake());
        let certificates = certificates.as_ref().map(certificates_of);
        let tally = tally.inner.clone();
        let listen = || Native::listen(&addresses, options, beside, certificates, tally, notify);
        Ok(NativeServer { native: py.detach(listen)?, wake })
    }

    /// The port that it listens on.
    fn port(&self) -> u16 {
        self.native.port()
    }

    /// Begins to serve, once.
    fn attach(&self, engine: &Engine) {
        self.native.attach(engine.dispatch.clone());
    }

    /// Becomes readable when there are audits to take, or the engine is to be looked after.
    fn wake_fd(&self) -> i32 {
        self.wake.fd()
    }

    /// Who called what, of the calls of operators since this was last asked.
    fn take_audits(&self) -> Vec<Audit> {
        let audits = self.native.take_audits().into_iter();
        audits.map(|a| (a.token, a.workspace, a.method, peer(a.peer), a.code)).collect()
    }

    /// How many calls are being answered or wait for the disk.
    fn calls_in_flight(&self) -> u64 {
        self.native.calls_in_flight()
    }

    /// Refuses new calls, because of an absence, and waits for those in flight.
    fn drain(&self, py: Python<'_>, why: &str, grace_s: f64) -> PyResult<()> {
        let (absence, grace) = (absence(why)?, seconds(grace_s)?);
        self.native.refuse(absence);
        py.detach(|| self.native.await_idle(grace));
        Ok(())
    }

    /// Refuses new calls and those that wait for the disk.
    fn end(&self, why: &str) -> PyResult<()> {
        self.native.end(absence(why)?);
        Ok(())
    }

    /// Ends all connections, those with calls when these have ended or the time is over.
    fn stop(&self, py: Python<'_>, grace_s: f64) -> PyResult<()> {
        let grace = seconds(grace_s)?;
        py.detach(|| self.native.stop(grace));
        Ok(())
    }

    /// Says of a name whether health says that it is served.
    fn set_health(&self, name: &str, is_serving: bool) {
        self.native.set_health(name, is_serving);
    }

    /// Says that nothing is served any more, whatever else is said.
    fn set_health_gone(&self) {
        self.native.set_health_gone();
    }

    /// Puts other certificates in force for the connections to come.
    fn replace_certificates(&self, certificates: Pem) -> PyResult<()> {
        let replaced = self.native.replace_certificates(certificates_of(&certificates));
        replaced.map_err(PyValueError::new_err)
    }
}

fn certificates_of((chain, key, client_ca): &Pem) -> Certificates<'_> {
    Certificates { chain, key, client_ca: client_ca.as_deref() }
}

fn socket_address((host, port): &(String, u16)) -> PyResult<SocketAddr> {
    let host = host.parse().map_err(|_| PyValueError::new_err(format!("no IP address: {host}")))?;
    Ok(SocketAddr::new(host, *port))
}

fn seconds(seconds: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(seconds).map_err(|error| PyValueError::new_err(error.to_string()))
}

/// As gRPC writes it.
fn peer(address: SocketAddr) -> String {
    match address {
        SocketAddr::V4(address) => format!("ipv4:{address}"),
        SocketAddr::V6(address) => format!("ipv6:{address}"),
    }
}
