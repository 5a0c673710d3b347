//! The services beside ours: health, and reflection under both of its names. They are tonic's.

use std::collections::HashMap;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::{Request, Response};
use hyper::body::Incoming;
use tokio::sync::watch;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::WatchStream;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::Service;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use super::carrier::Carrier;
use super::message::refusal;

type Answering = Pin<Box<dyn Future<Output = Response<Body>> + Send>>;
type Answers = Box<dyn Fn(Request<Incoming>) -> Answering + Send + Sync>;

/// The services beside ours.
pub(super) struct Side {
    health: Answers,
    reflection: Vec<(&'static str, Answers)>,
}

/// What health says of each name. The names are given once.
#[derive(Clone)]
pub(super) struct HealthStates(Arc<States>);

struct States {
    served: HashMap<String, watch::Sender<bool>>,
    /// From now on nothing is served, whatever else is said.
    gone: AtomicBool,
}

impl Side {
    /// `descriptors` is an encoded FileDescriptorSet; without one there is no reflection.
    pub(super) fn new(
        health: HealthStates,
        descriptors: Option<&[u8]>,
    ) -> Result<Side, tonic_reflection::server::Error> {
        let mut reflection = Vec::new();
        if let Some(descriptors) = descriptors {
            let builder = || {
                tonic_reflection::server::Builder::configure()
                    .include_reflection_service(false)
                    .register_encoded_file_descriptor_set(descriptors)
            };
            reflection.push(("/grpc.reflection.v1.", answers(builder().build_v1()?)));
            reflection.push(("/grpc.reflection.v1alpha.", answers(builder().build_v1alpha()?)));
        }
        Ok(Side { health: answers(HealthServer::new(health)), reflection })
    }

    /// Answers a call that is none of ours. Health is open to all; the others ask for a token.
    pub(super) async fn answer(
        &self,
        carrier: &Carrier,
        request: Request<Incoming>,
    ) -> Response<Body> {
        let path = request.uri().path();
        if path.starts_with("/grpc.health.v1.Health/") {
            return (self.health)(request).await;
        }
        match self.reflection.iter().find(|(prefix, _)| path.starts_with(prefix)) {
            None => Status::unimplemented("there is no such method here").into_http(),
            Some((_, answers)) => match carrier.check_caller(request.headers()) {
                Ok(()) => answers(request).await,
                Err(status) => refusal(status),
            },
        }
    }
}

impl HealthStates {
    /// Names that are not served yet, and "", which says that the process lives.
    pub(super) fn new(names: &[&str]) -> HealthStates {
        let named = names.iter().map(|name| ((*name).to_owned(), watch::Sender::new(false)));
        let alive = (String::new(), watch::Sender::new(true));
        let served = named.chain([alive]).collect();
        HealthStates(Arc::new(States { served, gone: AtomicBool::new(false) }))
    }

    /// Says of a name whether it is served.
    pub(super) fn set(&self, name: &str, is_serving: bool) {
        let is_serving = is_serving && !self.0.gone.load(Ordering::Acquire);
        if let Some(state) = self.0.served.get(name) {
            state.send_if_modified(|now| std::mem::replace(now, is_serving) != is_serving);
        }
    }

    /// Says of all names that they are served no more.
    pub(super) fn set_all_gone(&self) {
        self.0.gone.store(true, Ordering::Release);
        self.0.served.keys().for_each(|name| self.set(name, false));
    }

    fn of(&self, request: tonic::Request<HealthCheckRequest>) -> Option<&watch::Sender<bool>> {
        self.0.served.get(&request.into_inner().service)
    }
}

#[tonic::async_trait]
impl Health for HealthStates {
    type WatchStream =
        Pin<Box<dyn tokio_stream::Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    async fn check(
        &self,
        request: tonic::Request<HealthCheckRequest>,
    ) -> Result<tonic::Response<HealthCheckResponse>, Status> {
        let state =
            self.of(request).ok_or_else(|| Status::not_found("there is no such service"))?;
        Ok(tonic::Response::new(response(*state.borrow())))
    }

    async fn watch(
        &self,
        request: tonic::Request<HealthCheckRequest>,
    ) -> Result<tonic::Response<Self::WatchStream>, Status> {
        let stream: Self::WatchStream = match self.of(request) {
            Some(state) => {
                let states = WatchStream::new(state.subscribe());
                Box::pin(states.map(|is_serving| Ok(response(is_serving))))
            }
            // No name is added while we live: it goes on to be unknown.
            None => {
                let unknown = HealthCheckResponse { status: ServingStatus::ServiceUnknown.into() };
                Box::pin(tokio_stream::once(Ok(unknown)).chain(tokio_stream::pending()))
            }
        };
        Ok(tonic::Response::new(stream))
    }
}

fn response(is_serving: bool) -> HealthCheckResponse {
    let status = if is_serving { ServingStatus::Serving } else { ServingStatus::NotServing };
    HealthCheckResponse { status: status.into() }
}

fn answers<S>(service: S) -> Answers
where
    S: Service<Request<Incoming>, Response = Response<Body>, Error = Infallible>,
    S: Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
{
    Box::new(move |request| {
        let answering = service.clone().call(request);
        Box::pin(async move { answering.await.unwrap_or_else(|never| match never {}) })
    })
}
