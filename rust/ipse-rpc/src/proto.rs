//! Messages as Rust types. The code of `ipse.v1` is written by `.ci/generate.py`; the few
//! messages of `google.rpc` that a status needs are declared here, after their published
//! numbers, so that no further generator is needed.

/// The messages of `protos/ipse/v1`.
#[allow(missing_docs, clippy::all, clippy::pedantic)]
pub mod v1 {
    include!("generated/ipse.v1.rs");
}

/// `google/rpc/status.proto` and the parts of `error_details.proto` that we send.
pub mod rpc {
    /// What a refused call answers.
    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Status {
        /// A google.rpc.Code.
        #[prost(int32, tag = "1")]
        pub code: i32,
        /// For people.
        #[prost(string, tag = "2")]
        pub message: String,
        /// For programs.
        #[prost(message, repeated, tag = "3")]
        pub details: Vec<prost_types::Any>,
    }

    /// Why, in one word of a known domain.
    #[derive(Clone, PartialEq, prost::Message)]
    pub struct ErrorInfo {
        /// UPPER_SNAKE.
        #[prost(string, tag = "1")]
        pub reason: String,
        /// Whose word it is.
        #[prost(string, tag = "2")]
        pub domain: String,
        /// What the message says in words, as values.
        #[prost(btree_map = "string, string", tag = "3")]
        pub metadata: std::collections::BTreeMap<String, String>,
    }

    /// Which fields are at fault.
    #[derive(Clone, PartialEq, prost::Message)]
    pub struct BadRequest {
        /// Each with its place.
        #[prost(message, repeated, tag = "1")]
        pub field_violations: Vec<FieldViolation>,
    }

    /// A field at fault.
    #[derive(Clone, PartialEq, prost::Message)]
    pub struct FieldViolation {
        /// The path, for example `event.identifiers[1].value`.
        #[prost(string, tag = "1")]
        pub field: String,
        /// What is wrong with it.
        #[prost(string, tag = "2")]
        pub description: String,
    }

    /// When to try again.
    #[derive(Clone, PartialEq, prost::Message)]
    pub struct RetryInfo {
        /// The least time to wait.
        #[prost(message, optional, tag = "1")]
        pub retry_delay: Option<prost_types::Duration>,
    }
}
