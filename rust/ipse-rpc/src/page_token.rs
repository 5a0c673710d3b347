//! Page tokens: opaque to callers, bound to the method and thing they were given out for.
//!
//! A token holds where the page before ended and a checksum over that and its subject. It
//! is not a secret and grants nothing: the checksum keeps a token from being used elsewhere
//! by mistake, where it would answer a wrong page.

use std::hash::Hasher;

use siphasher::sip::SipHasher13;

use crate::status::{Reason, Status};

const CHECKSUM_BYTES: usize = 8;

/// A token for `position` within the subject.
pub(crate) fn encode(subject: &[&str], position: &[u8]) -> String {
    let checksum = checksum(subject, position).to_be_bytes();
    let bytes = checksum.iter().chain(position);
    bytes.flat_map(|b| [b >> 4, b & 15]).map(hex_digit).collect()
}

/// The position that a token of this subject holds.
pub(crate) fn decode(subject: &[&str], token: &str) -> Result<Vec<u8>, Status> {
    from_hex(token)
        .and_then(|bytes| {
            let (found, position) = bytes.split_at_checked(CHECKSUM_BYTES)?;
            let is_ours = *found == checksum(subject, position).to_be_bytes();
            is_ours.then(|| position.to_vec())
        })
        .ok_or_else(invalid)
}

/// The refusal of a token that leads nowhere.
pub(crate) fn invalid() -> Status {
    Status::of_field(
        Reason::InvalidPageToken,
        "page_token",
        "was not given out for this request, or what it points at has changed: begin with the first page",
    )
}

fn checksum(subject: &[&str], position: &[u8]) -> u64 {
    let mut hasher = SipHasher13::new_with_keys(0, 0);
    for part in subject.iter().map(|text| text.as_bytes()).chain([position]) {
        hasher.write(&(part.len() as u64).to_le_bytes());
        hasher.write(part);
    }
    hasher.finish()
}

fn hex_digit(nibble: u8) -> char {
    char::from_digit(u32::from(nibble), 16).expect("a nibble is below 16")
}

/// The bytes of pairs of hexadecimal digits.
pub(crate) fn from_hex(text: &str) -> Option<Vec<u8>> {
    let pairs = text.as_bytes().chunks_exact(2);
    if !pairs.remainder().is_empty() {
        return None;
    }
    let nibble = |b: u8| (b as char).to_digit(16);
    pairs.map(|pair| Some((nibble(pair[0])? << 4 | nibble(pair[1])?) as u8)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_good_for_its_subject_only() {
        let token = encode(&["GetProfile", "default", "p"], b"here");
        assert_eq!(decode(&["GetProfile", "default", "p"], &token), Ok(b"here".to_vec()));
        let long = "f".repeat(10_001);
        let cases: [(&[&str], &str); 7] = [
            (&["GetProfile", "default", "q"], &token),
            (&["GetProfile", "defaultp", ""], &token),
            (&["ListWorkspaces"], &token),
            (&["GetProfile", "default", "p"], &token[2..]),
            (&["GetProfile", "default", "p"], ""),
            (&["GetProfile", "default", "p"], "ключ"),
            (&["GetProfile", "default", "p"], &long),
        ];
        for (subject, token) in cases {
            assert_eq!(decode(subject, token), Err(invalid()), "{subject:?} {token:.20}");
        }
    }
}
