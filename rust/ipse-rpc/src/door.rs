//! Who may come in: the tokens in force, and what a caller shows of them.
//!
//! A server has a door or has none, from its start to its end; with one, tokens come and go
//! while it serves, and a call without a known one ends here. What a token's holder may do is
//! `narrow`'s to say. No token's text is kept, told or logged.

use std::sync::{Arc, PoisonError, RwLock};

use crate::limits::AUTHORIZATION_BYTES_MAX;
use crate::status::{Reason, Status};
use crate::tokens::{Token, Tokens};

const SCHEME: &[u8] = b"bearer ";

/// The tokens in force.
#[derive(Debug)]
pub(crate) struct Door {
    tokens: RwLock<Arc<Tokens>>,
}

impl Door {
    pub(crate) fn new(tokens: Tokens) -> Door {
        Door { tokens: RwLock::new(Arc::new(tokens)) }
    }

    /// Puts other tokens in force, for calls that come from now on.
    pub(crate) fn replace(&self, tokens: Tokens) {
        *self.tokens.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(tokens);
    }

    /// The tokens in force now; they stay good for the call that asked.
    pub(crate) fn tokens(&self) -> Arc<Tokens> {
        Arc::clone(&self.tokens.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The token that the metadata `authorization` shows.
pub(crate) fn admitted<'t>(
    tokens: &'t Tokens,
    authorization: Option<&[u8]>,
) -> Result<&'t Token, Status> {
    let Some(sent) = authorization else {
        return Err(unauthenticated(
            "this server asks for a token: send the metadata `authorization: Bearer TOKEN`",
        ));
    };
    let Some(text) = bearer(sent) else {
        return Err(unauthenticated("the metadata `authorization` is not one `Bearer TOKEN`"));
    };
    let unknown = || unauthenticated("no token of this server is like the one that was sent");
    tokens.find(text).ok_or_else(unknown)
}

/// The token's text. Two of them, which a transport joins with a comma, are none.
fn bearer(sent: &[u8]) -> Option<&[u8]> {
    if sent.len() > AUTHORIZATION_BYTES_MAX {
        return None;
    }
    let (scheme, text) = sent.split_at_checked(SCHEME.len())?;
    let is_text = |byte: &u8| byte.is_ascii_graphic() && *byte != b',';
    let is_bearer = scheme.eq_ignore_ascii_case(SCHEME);
    (is_bearer && !text.is_empty() && text.iter().all(is_text)).then_some(text)
}

fn unauthenticated(problem: &str) -> Status {
    Status::new(Reason::Unauthenticated, problem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_bearer_is_a_token() {
        for sent in ["Bearer ipse_a", "bearer ipse_a", "BEARER ipse_a"] {
            assert_eq!(bearer(sent.as_bytes()), Some(&b"ipse_a"[..]), "{sent}");
        }
        let huge = format!("Bearer {}", "a".repeat(AUTHORIZATION_BYTES_MAX));
        let others =
            ["", "ipse_a", "Bearer", "Bearer ", "Bearer  a", "Basic ipse_a", "Bearer a, Bearer b"];
        for sent in others.into_iter().chain([huge.as_str(), "Bearer a b", "Bearer a\n"]) {
            assert_eq!(bearer(sent.as_bytes()), None, "{sent:.40}");
        }
        assert_eq!(bearer(b"Bearer \xff"), None);
    }
}
