//! The wire: protobuf bytes in, protobuf bytes out.
//!
//! [`Dispatch`] decodes a request, asks the graph, commits what was decided and encodes the
//! answer, together with the log position that must be synced before the answer may be sent.
//! It never waits for the disk (but for checkpoints and backups), knows no transport, and
//! keeps every bound of the wire in [`limits`], so that all transports refuse alike. [`native`] is
//! one of these.
//!
//! Reading order: [`dispatch`] (how a call goes), `identity`, `commands`, `import`, `profile`,
//! `lookup`, `list`, `translate` and `admin` (the methods), `watch` and `changes`
//! (the one that goes on), `look` (how a long call goes in
//! turns), `turn` and `resolution` (from a decision to the log and the answer), `request` and
//! `extract` (how an event is read), `door`, `tokens`, `access` and `narrow` (who may call
//! what), `admission` (who is let in when there is too much to do), [`status`] (how a call is
//! refused), `methods` (what there is to call), [`native`] (how calls come here without Python),
//! [`loading`] (how a file of events is sent and its answers are counted).

mod access;
mod admin;
mod admission;
mod as_of;
mod backup;
mod changes;
mod clock;
mod commands;
mod convert;
pub mod dispatch;
mod door;
mod encode;
mod encode_profile;
mod erase;
mod expire;
mod explain;
mod export;
mod extract;
mod fault;
mod find;
mod identity;
mod import;
mod json;
pub mod limits;
mod list;
pub mod loading;
mod logged;
mod look;
mod lookup;
mod mappings;
mod methods;
mod metrics;
mod narrow;
pub mod native;
mod page_token;
mod past;
pub mod past_file;
mod profile;
pub mod proto;
mod read_event;
mod read_mask;
mod refusal;
mod request;
mod request_import;
mod resolution;
mod rfc3339;
pub mod status;
mod tally;
mod tokens;
mod translate;
mod turn;
mod watch;

pub use access::Role;
pub use admission::Bounds;
pub use clock::now;
pub use dispatch::{Audited, Dispatch, Reply};
pub use fault::{Fault, keep_panics_for_the_log};
pub use methods::{Effect, METHODS, Method, Way};
pub use native::Native;
pub use status::Status;
pub use tally::{TIMES_US, Tally};
pub use tokens::Tokens;
pub use watch::{Next, Watch};
