//! How a call is refused: a `google.rpc.Status` after AIP-193.
//!
//! One ErrorInfo says why in a word of `errors.proto`, field violations say where, RetryInfo
//! says when to come back. The code follows from the reason, so that no two places can
//! disagree about it. A status never holds text of a panic or of another process.

use std::fmt;

use ipse_core::SequenceNumber;
use prost::{DecodeError, Message, Name};
use prost_types::Any;

use crate::limits::{
    STATUS_BYTES_MAX, STATUS_TEXT_BYTES_MAX, VIOLATIONS_MAX, WRITE_QUEUE_RETRY_DELAY_MS,
};
use crate::proto::rpc;
use crate::proto::v1::ItemError;

pub use crate::proto::v1::ErrorReason as Reason;

const DOMAIN: &str = "ipse";
const PREFIX: &str = "ERROR_REASON_";

/// Numbers of google.rpc.Code.
mod code {
    pub(super) const INVALID_ARGUMENT: i32 = 3;
    pub(super) const DEADLINE_EXCEEDED: i32 = 4;
    pub(super) const NOT_FOUND: i32 = 5;
    pub(super) const ALREADY_EXISTS: i32 = 6;
    pub(super) const PERMISSION_DENIED: i32 = 7;
    pub(super) const RESOURCE_EXHAUSTED: i32 = 8;
    pub(super) const FAILED_PRECONDITION: i32 = 9;
    pub(super) const UNIMPLEMENTED: i32 = 12;
    pub(super) const INTERNAL: i32 = 13;
    pub(super) const UNAVAILABLE: i32 = 14;
    pub(super) const UNAUTHENTICATED: i32 = 16;
}

/// Why a transport has no engine to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absence {
    /// It is not there yet.
    Recovering,
    /// It was told to end.
    ShuttingDown,
    /// It cannot go on.
    Failed,
}

/// Why a call, or one item of a batch, is refused.
#[derive(Clone, Debug, PartialEq)]
pub struct Status {
    reason: Reason,
    message: String,
    metadata: Vec<(&'static str, String)>,
    violations: Vec<Violation>,
    retry_delay_ms: Option<u32>,
}

#[derive(Clone, Debug, PartialEq)]
struct Violation {
    field: String,
    description: String,
}

impl Status {
    /// A refusal that is about no field.
    pub fn new(reason: Reason, message: impl Into<String>) -> Status {
        Status {
            reason,
            message: shortened(message.into()),
            metadata: Vec::new(),
            violations: Vec::new(),
            retry_delay_ms: None,
        }
    }

    /// A refusal of one field's value; the message names the field too.
    pub fn of_field(
        reason: Reason,
        field: impl Into<String>,
        problem: impl Into<String>,
    ) -> Status {
        let (field, problem) = (field.into(), problem.into());
        Status::new(reason, format!("{field}: {problem}")).violation(field, problem)
    }

    /// INVALID_FIELD.
    pub fn invalid_field(field: impl Into<String>, problem: impl Into<String>) -> Status {
        Status::of_field(Reason::InvalidField, field, problem)
    }

    /// LIMIT_EXCEEDED: `found` of `what` where `bound` is allowed.
    pub fn limit_exceeded(field: &str, what: &str, bound: usize, found: usize) -> Status {
        let problem = format!("{found} {what}, at most {bound} are allowed");
        Status::of_field(Reason::LimitExceeded, field, problem)
            .with("bound", bound)
            .with("found", found)
    }

    /// NOT_SERVING, for a reason that is no secret.
    pub fn not_serving(absence: Absence) -> Status {
        let why = match absence {
            Absence::Recovering => "it is recovering",
            Absence::ShuttingDown => "it is shutting down",
            Absence::Failed => "it has failed and is stopping; it recovers at its next start",
        };
        Status::new(Reason::NotServing, format!("the server is not serving: {why}"))
    }

    /// WRITE_QUEUE_FULL: so many calls wait for the disk, of so many.
    pub fn waiting_calls_full(bound: usize, found: usize) -> Status {
        let problem = format!(
            "{found} calls wait for the disk, waiting_calls_max = {bound}: try again after the delay"
        );
        Status::new(Reason::WriteQueueFull, problem)
            .with("limit", "waiting_calls_max")
            .with("bound", bound)
            .with("found", found)
            .retry_after_ms(WRITE_QUEUE_RETRY_DELAY_MS)
    }

    /// HISTORY_EXPIRED: the oldest record that is kept is a later one.
    pub fn history_expired(asked: impl fmt::Display, oldest: SequenceNumber) -> Status {
        let problem = format!(
            "{asked} is no longer kept, the oldest record that is left is {oldest}: what is to be \
             kept longer is for history_retention_days and history_retention_bytes to say"
        );
        Status::new(Reason::HistoryExpired, problem).with("oldest_sequence_number", oldest)
    }

    /// LIMIT_EXCEEDED: a request or response has more bytes than a setting allows.
    pub fn message_too_large(what: &str, setting: &str, bound: usize, found: usize) -> Status {
        let problem = format!(
            "{found} bytes, at most {setting} = {bound} are allowed: ask for less at a time"
        );
        Status::of_field(Reason::LimitExceeded, what, problem)
            .with("limit", setting)
            .with("bound", bound)
            .with("found", found)
    }

    /// INTERNAL: a bug that the server's log explains under an id.
    pub fn bug(id: &str) -> Status {
        let problem = format!("a bug was met; the server's log explains it under {id}");
        Status::new(Reason::Internal, problem).with("id", id)
    }

    /// Adds a value that programs may read.
    #[must_use]
    pub fn with(mut self, key: &'static str, value: impl ToString) -> Status {
        self.metadata.push((key, shortened(value.to_string())));
        self
    }

    /// Adds a field at fault; beyond a bound they are left out.
    #[must_use]
    pub fn violation(mut self, field: impl Into<String>, problem: impl Into<String>) -> Status {
        if self.violations.len() < VIOLATIONS_MAX {
            self.violations.push(Violation {
                field: shortened(field.into()),
                description: shortened(problem.into()),
            });
        }
        self
    }

    /// Says when to try again.
    #[must_use]
    pub fn retry_after_ms(mut self, delay_ms: u32) -> Status {
        self.retry_delay_ms = Some(delay_ms);
        self
    }

    /// Why.
    pub fn reason(&self) -> Reason {
        self.reason
    }

    /// When to try again, if that may help.
    pub fn retry_delay_ms(&self) -> Option<u32> {
        self.retry_delay_ms
    }

    /// For people.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The google.rpc.Code.
    pub fn code(&self) -> i32 {
        code_of(self.reason)
    }

    /// The bytes of the google.rpc.Status.
    pub fn encode(self) -> Vec<u8> {
        self.into_message().encode_to_vec()
    }

    /// The message, and the bytes of the google.rpc.Status as far as metadata has room for them.
    pub fn fitted(self) -> (String, Vec<u8>) {
        fit(self.into_message())
    }

    fn into_message(self) -> rpc::Status {
        let code = self.code();
        let mut details = vec![self.error_info()];
        if !self.violations.is_empty() {
            details.push(bad_request(self.violations));
        }
        if let Some(delay_ms) = self.retry_delay_ms {
            details.push(retry_info(delay_ms));
        }
        rpc::Status { code, message: self.message, details }
    }

    fn error_info(&self) -> Any {
        let metadata = self.metadata.iter().map(|(key, value)| ((*key).to_owned(), value.clone()));
        packed(&rpc::ErrorInfo {
            reason: reason_name(self.reason).to_owned(),
            domain: DOMAIN.to_owned(),
            metadata: metadata.collect(),
        })
    }
}

/// What [`Status::fitted`] gives, of a status that was encoded.
pub fn fitted(encoded: &[u8]) -> Result<(String, Vec<u8>), DecodeError> {
    rpc::Status::decode(encoded).map(fit)
}

/// ErrorInfo comes first and stays: a program needs the reason more than every violation.
fn fit(mut status: rpc::Status) -> (String, Vec<u8>) {
    while status.encoded_len() > STATUS_BYTES_MAX && status.details.len() > 1 {
        status.details.pop();
    }
    let encoded = status.encode_to_vec();
    (status.message, encoded)
}

/// What a single call's status would say, as one item of a batch.
impl From<Status> for ItemError {
    fn from(status: Status) -> ItemError {
        ItemError {
            code: status.code(),
            reason: reason_name(status.reason).to_owned(),
            field: status.violations.into_iter().next().map_or_else(String::new, |v| v.field),
            message: status.message,
        }
    }
}

/// The reason as ErrorInfo spells it.
pub fn reason_name(reason: Reason) -> &'static str {
    let name = reason.as_str_name();
    name.strip_prefix(PREFIX).unwrap_or(name)
}

/// A caller's text within quotation marks, short enough for a message.
pub(crate) fn quoted(text: &str) -> String {
    let short = cut(text, 64);
    let more = if short.len() < text.len() { "..." } else { "" };
    format!("{short:?}{more}")
}

/// The text's beginning, whole characters of at most `bytes_max` bytes.
pub(crate) fn cut(text: &str, bytes_max: usize) -> &str {
    let mut end = text.len().min(bytes_max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

fn code_of(reason: Reason) -> i32 {
    match reason {
        Reason::MalformedRequest
        | Reason::InvalidField
        | Reason::LimitExceeded
        | Reason::MalformedJson
        | Reason::EventFormAmbiguous
        | Reason::TimestampInFuture
        | Reason::InvalidRules
        | Reason::InvalidPageToken => code::INVALID_ARGUMENT,
        Reason::WorkspaceNotFound | Reason::ProfileNotFound | Reason::Erased => code::NOT_FOUND,
        Reason::WorkspaceExists | Reason::EventIdReused => code::ALREADY_EXISTS,
        Reason::RulesVersionMismatch | Reason::MergeBuiltOn | Reason::HistoryExpired => {
            code::FAILED_PRECONDITION
        }
        Reason::Overloaded | Reason::RateLimited => code::RESOURCE_EXHAUSTED,
        Reason::WriteQueueFull
        | Reason::CapacityExceeded
        | Reason::StorageFull
        | Reason::CeilingReached => code::RESOURCE_EXHAUSTED,
        Reason::NotServing => code::UNAVAILABLE,
        Reason::MethodNotFound => code::UNIMPLEMENTED,
        Reason::DeadlineExceeded => code::DEADLINE_EXCEEDED,
        Reason::Unauthenticated => code::UNAUTHENTICATED,
        Reason::PermissionDenied => code::PERMISSION_DENIED,
        Reason::Internal | Reason::Unspecified => code::INTERNAL,
    }
}

fn bad_request(violations: Vec<Violation>) -> Any {
    let violation = |Violation { field, description }| rpc::FieldViolation { field, description };
    packed(&rpc::BadRequest { field_violations: violations.into_iter().map(violation).collect() })
}

fn retry_info(delay_ms: u32) -> Any {
    packed(&rpc::RetryInfo {
        retry_delay: Some(prost_types::Duration {
            seconds: i64::from(delay_ms / 1_000),
            nanos: (delay_ms % 1_000 * 1_000_000) as i32,
        }),
    })
}

fn packed<M: Message + Name>(message: &M) -> Any {
    Any { type_url: M::type_url(), value: message.encode_to_vec() }
}

/// Callers' words may stand in a text, so its length must not be theirs to choose.
fn shortened(text: String) -> String {
    if text.len() <= STATUS_TEXT_BYTES_MAX {
        return text;
    }
    format!("{}...", cut(&text, STATUS_TEXT_BYTES_MAX - 3))
}

macro_rules! named {
    ($($message:ident)*) => { $(
        impl Name for rpc::$message {
            const NAME: &'static str = stringify!($message);
            const PACKAGE: &'static str = "google.rpc";
            fn type_url() -> String {
                concat!("type.googleapis.com/google.rpc.", stringify!($message)).to_owned()
            }
        }
    )* };
}
named!(ErrorInfo BadRequest RetryInfo);

#[cfg(test)]
mod tests {
    use super::*;

    fn details(status: Status) -> (rpc::Status, rpc::ErrorInfo) {
        let decoded = rpc::Status::decode(status.encode().as_slice()).expect("own encoding");
        let first = &decoded.details[0];
        assert_eq!(first.type_url, "type.googleapis.com/google.rpc.ErrorInfo");
        let info = rpc::ErrorInfo::decode(first.value.as_slice()).expect("own encoding");
        (decoded, info)
    }

    #[test]
    fn every_reason_has_its_documented_code() {
        let cases = [
            (Reason::MalformedRequest, 3, "MALFORMED_REQUEST"),
            (Reason::InvalidField, 3, "INVALID_FIELD"),
            (Reason::LimitExceeded, 3, "LIMIT_EXCEEDED"),
            (Reason::MalformedJson, 3, "MALFORMED_JSON"),
            (Reason::EventFormAmbiguous, 3, "EVENT_FORM_AMBIGUOUS"),
            (Reason::TimestampInFuture, 3, "TIMESTAMP_IN_FUTURE"),
            (Reason::InvalidRules, 3, "INVALID_RULES"),
            (Reason::InvalidPageToken, 3, "INVALID_PAGE_TOKEN"),
            (Reason::WorkspaceNotFound, 5, "WORKSPACE_NOT_FOUND"),
            (Reason::ProfileNotFound, 5, "PROFILE_NOT_FOUND"),
            (Reason::Erased, 5, "ERASED"),
            (Reason::WorkspaceExists, 6, "WORKSPACE_EXISTS"),
            (Reason::EventIdReused, 6, "EVENT_ID_REUSED"),
            (Reason::RulesVersionMismatch, 9, "RULES_VERSION_MISMATCH"),
            (Reason::MergeBuiltOn, 9, "MERGE_BUILT_ON"),
            (Reason::HistoryExpired, 9, "HISTORY_EXPIRED"),
            (Reason::WriteQueueFull, 8, "WRITE_QUEUE_FULL"),
            (Reason::CapacityExceeded, 8, "CAPACITY_EXCEEDED"),
            (Reason::CeilingReached, 8, "CEILING_REACHED"),
            (Reason::NotServing, 14, "NOT_SERVING"),
            (Reason::MethodNotFound, 12, "METHOD_NOT_FOUND"),
            (Reason::Internal, 13, "INTERNAL"),
            (Reason::DeadlineExceeded, 4, "DEADLINE_EXCEEDED"),
            (Reason::Unauthenticated, 16, "UNAUTHENTICATED"),
            (Reason::PermissionDenied, 7, "PERMISSION_DENIED"),
            (Reason::StorageFull, 8, "STORAGE_FULL"),
            (Reason::Overloaded, 8, "OVERLOADED"),
            (Reason::RateLimited, 8, "RATE_LIMITED"),
        ];
        for (reason, code, name) in cases {
            let (status, info) = details(Status::new(reason, "why"));
            assert_eq!((status.code, status.message.as_str()), (code, "why"), "{name}");
            assert_eq!((info.reason.as_str(), info.domain.as_str()), (name, "ipse"));
            assert_eq!(status.details.len(), 1, "{name}");
        }
    }

    #[test]
    fn a_field_at_fault_is_named_three_times() {
        let status = Status::limit_exceeded("events", "events", 1_000, 1_001);
        let item = ItemError::from(status.clone());
        assert_eq!(item.field, "events");
        let (status, info) = details(status);
        assert_eq!(status.message, "events: 1001 events, at most 1000 are allowed");
        assert_eq!(info.metadata["bound"], "1000");
        let bad = rpc::BadRequest::decode(status.details[1].value.as_slice()).expect("own");
        assert_eq!(bad.field_violations[0].field, "events");
        assert_eq!(bad.field_violations[0].description, "1001 events, at most 1000 are allowed");
    }

    #[test]
    fn a_status_fits_in_a_header_whatever_the_caller_wrote() {
        let long = "ж".repeat(10_000);
        let mut status = Status::of_field(Reason::InvalidRules, long.clone(), long.clone());
        for _ in 0..1_000 {
            status = status.violation(long.clone(), long.clone());
        }
        assert!(status.encode().len() < 5 * 1024);
    }

    #[test]
    fn a_retry_delay_is_sent_as_a_duration() {
        let status = Status::new(Reason::WriteQueueFull, "full").retry_after_ms(1_100);
        let (status, _) = details(status);
        let info = rpc::RetryInfo::decode(status.details[1].value.as_slice()).expect("own");
        let delay = info.retry_delay.expect("set");
        assert_eq!((delay.seconds, delay.nanos), (1, 100_000_000));
    }
}
