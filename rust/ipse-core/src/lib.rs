//! The identity graph as a value.
//!
//! This crate decides what an event means for a workspace and applies what was
//! decided. It is a state machine and nothing else: no file, clock, random number,
//! thread, lock, environment or hash order. Time and fresh keys come in as arguments,
//! so the same records give the same graph, the same dump and the same state hash on
//! every run and every machine.
//!
//! Reading order: [`identifier`] (what names a person), [`rules`] (what may join),
//! [`event`] and [`command`] (what comes in), [`decide`] (what it means), [`change`] (what is logged),
//! [`erasure`] (how it is unsaid), [`graph`] (where it is held), [`dump`] (how two graphs are compared), [`snapshot`] (how a graph leaves and enters memory).

pub mod change;
pub mod command;
pub mod decide;
pub mod dump;
pub mod erasure;
pub mod event;
pub mod graph;
pub mod identifier;
pub mod limits;
pub mod profile_id;
pub mod rules;
pub mod snapshot;
pub mod time;
pub mod union_find;

pub use change::{
    Change, EventResolved, ObservedIdentifier, Record, SequenceNumber, Target, TraitSet,
};
pub use decide::{AttributedBy, Decision, Refusal, RestsOn};
pub use event::{Event, SentIdentifier, SentTrait, TraitValue};
pub use graph::Graph;
pub use rules::Rules;
pub use time::Timestamp;
