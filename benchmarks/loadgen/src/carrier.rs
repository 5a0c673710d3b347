//! What is the same for every way of asking a system: requests that are bytes before they are due,
//! and answers of which only refusals are looked for.

use std::error::Error;

use bytes::{Bytes, BytesMut};

use crate::phases::Call;

/// Whatever ends a run: a connection that broke, an answer that is none.
pub(crate) type Failure = Box<dyn Error + Send + Sync>;

/// Turns calls into what is sent.
pub(crate) trait Encode {
    fn encode(&self, call: &Call<'_>, out: &mut BytesMut);
}

/// One call, ready to be sent.
pub(crate) struct Outgoing {
    pub(crate) bytes: Bytes,
    pub(crate) events: u64,
}

/// What came back.
pub(crate) struct Answer {
    pub(crate) bytes: Bytes,
    /// Events that were refused, and what the first was told.
    pub(crate) refused: u64,
    pub(crate) refusal: String,
}

/// One caller: it sends, and waits for the whole answer.
pub(crate) trait Carrier: Send + 'static {
    fn call(&mut self, outgoing: Outgoing) -> impl Future<Output = Result<Answer, Failure>> + Send;

    /// The profile that an answer to a lookup names.
    fn profile_of(answer: &[u8]) -> Option<Vec<u8>>;
}
