//! The load generator of the benchmark: one for all systems, so that none is measured by another's
//! client, and quick enough not to be what is measured.
//!
//! `loadgen COMMAND` reads what to do as one JSON object from standard input and prints what it found as
//! one; `bulk`, whose rows go to standard output, to standard error. Reading order: `people`, `phases`, `carrier`, `grpc`,
//! `stream`, `drive`.

#[path = "../../../rust/ipse-rpc/src/native/calls.rs"]
mod calls;
mod carrier;
mod drive;
mod echo;
mod grpc;
mod histogram;
mod people;
mod phases;
mod process;
mod stream;
mod truth;

use std::io::{Write, stderr, stdin, stdout};

use carrier::{Carrier, Encode, Failure};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, to_value};
use tokio::runtime::{Builder, Runtime};

const USAGE: &str = "usage: loadgen drive|check|bulk|echo < SPECIFICATION";

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let (Some(command), None) = (arguments.next(), arguments.next()) else {
        return Err(USAGE.into());
    };
    match command.as_str() {
        "drive" => print(&one_thread()?.block_on(ask(read::<Target<Drive>>()?))?),
        "check" => print(&one_thread()?.block_on(ask(read::<Target<truth::Sample>>()?))?),
        "bulk" => {
            let written = to_value(truth::write_bulk(&read()?)?)?;
            Ok(writeln!(stderr(), "{written}")?)
        }
        "echo" => Builder::new_multi_thread().enable_all().build()?.block_on(echo::serve(read()?)),
        _ => Err(USAGE.into()),
    }
}

fn read<T: DeserializeOwned>() -> Result<T, Failure> {
    Ok(serde_json::from_reader(stdin().lock())?)
}

fn print(found: &Value) -> Result<(), Failure> {
    Ok(writeln!(stdout(), "{found}")?)
}

/// Callers do next to nothing between two calls: one thread serves hundreds, and needs no locks.
fn one_thread() -> Result<Runtime, Failure> {
    Ok(Builder::new_current_thread().enable_all().build()?)
}

/// A system, and what to do with it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Target<T> {
    system: System,
    address: String,
    task: T,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case", tag = "protocol", deny_unknown_fields)]
enum System {
    Grpc {
        connections: usize,
        #[serde(default)]
        event_ids: bool,
    },
    Redis {
        resolve_sha: String,
        find_sha: String,
    },
    Postgres {},
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Drive {
    workload: phases::Workload,
    pace: drive::Pace,
}

/// What callers are for.
trait Task {
    fn callers(&self) -> usize;

    fn method(&self) -> &'static str;

    async fn run<C: Carrier, E: Encode + Send + 'static>(
        self,
        carriers: Vec<C>,
        encode: E,
    ) -> Result<Value, Failure>;
}

impl Task for Drive {
    fn callers(&self) -> usize {
        self.pace.callers
    }

    fn method(&self) -> &'static str {
        grpc::method(self.workload.phase, self.pace.events_per_call)
    }

    async fn run<C: Carrier, E: Encode + Send + 'static>(
        self,
        carriers: Vec<C>,
        encode: E,
    ) -> Result<Value, Failure> {
        let stream = phases::Stream::new(self.workload);
        Ok(to_value(drive::drive(carriers, stream, encode, &self.pace).await?)?)
    }
}

impl Task for truth::Sample {
    fn callers(&self) -> usize {
        1
    }

    fn method(&self) -> &'static str {
        grpc::method(phases::Phase::Lookup, 1)
    }

    async fn run<C: Carrier, E: Encode + Send + 'static>(
        self,
        mut carriers: Vec<C>,
        encode: E,
    ) -> Result<Value, Failure> {
        let carrier = carriers.pop().ok_or("no caller")?;
        Ok(to_value(truth::check(carrier, &encode, &self).await?)?)
    }
}

async fn ask<T: Task>(target: Target<T>) -> Result<Value, Failure> {
    let Target { system, address, task } = target;
    let callers = task.callers();
    match system {
        System::Grpc { connections, event_ids } => {
            let carriers =
                grpc::Grpc::connect(&address, connections, callers, task.method()).await?;
            task.run(carriers, grpc::Messages { event_ids }).await
        }
        System::Redis { resolve_sha, find_sha } => {
            let mut carriers = Vec::new();
            for _ in 0..callers {
                carriers.push(stream::Redis::connect(&address).await?);
            }
            task.run(carriers, stream::Scripts { resolve_sha, find_sha }).await
        }
        System::Postgres {} => {
            let mut carriers = Vec::new();
            for _ in 0..callers {
                carriers.push(stream::Postgres::connect(&address).await?);
            }
            task.run(carriers, stream::Statements).await
        }
    }
}
