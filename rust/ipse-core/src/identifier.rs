//! Namespaces and identifier values: parsed and normalised once, here.
//!
//! An identifier is a (namespace, value) pair after its namespace's normaliser. Everything
//! behind this module compares identifiers byte by byte and never asks again what a value
//! was meant to be.

use std::borrow::Cow;

use phonenumber::country;
use sha2::{Digest, Sha256};
use unicode_normalization::UnicodeNormalization;

use crate::erasure::is_pseudonym;
use crate::limits::{IDENTIFIER_VALUE_BYTES_MAX, NAMESPACE_BYTES_MAX, WORKSPACE_NAME_BYTES_MAX};

/// The namespace of ids that profiles had in former systems. No rules name it and no event
/// carries it; its identifiers resolve for ever, and never join, count or move.
pub const FORMER_ID: &str = "former_id";

/// How the values of a namespace are brought into one form before they are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Normaliser {
    /// As sent.
    None,
    /// Without white space at both ends.
    Trim,
    /// Trimmed, in NFC, in lower case.
    Lowercase,
    /// Trimmed, in NFC, in lower case, the domain in its ASCII form (UTS 46). The part before
    /// the @ is not folded further: dots and tags may matter to the mail server.
    Email,
    /// E.164, as `+380441234567`. Numbers without a country code are read in this region;
    /// without a region there is no safe reading, so rules demand one.
    Phone(country::Id),
}

/// Whether `name` can name a namespace: 1 to 64 of `a-z 0-9 _ . -`, a letter first.
pub fn is_namespace_name(name: &str) -> bool {
    name.len() <= NAMESPACE_BYTES_MAX && is_name(name, b"_.-")
}

/// Whether `name` can name a workspace: 1 to 64 of `a-z 0-9 _ -`, a letter first.
pub fn is_workspace_name(name: &str) -> bool {
    name.len() <= WORKSPACE_NAME_BYTES_MAX && is_name(name, b"_-")
}

/// The value in its normal form, or `None` if it is not a value of its kind: empty, longer
/// than 1,024 bytes, an e-mail without both sides of an @, no valid phone number, what only
/// stands for an erased value.
pub fn normalise<'a>(normaliser: Normaliser, value: &'a str) -> Option<Cow<'a, str>> {
    let normal = match normaliser {
        Normaliser::None => Cow::Borrowed(value),
        Normaliser::Trim => Cow::Borrowed(value.trim()),
        Normaliser::Lowercase => lowercase(value.trim()),
        Normaliser::Email => email(value.trim())?,
        Normaliser::Phone(region) => Cow::Owned(phone(region, value)?),
    };
    let is_possible = (1..=IDENTIFIER_VALUE_BYTES_MAX).contains(&normal.len());
    (is_possible && !is_pseudonym(&normal)).then_some(normal)
}

/// The SHA-256 of a value's bytes, in lower-case hex.
pub fn sha256_hex(value: &str) -> String {
    use std::fmt::Write;
    let mut hex = String::with_capacity(64);
    for byte in Sha256::digest(value.as_bytes()) {
        write!(hex, "{byte:02x}").expect("writing to a string cannot fail");
    }
    hex
}

fn is_name(name: &str, punctuation: &[u8]) -> bool {
    let bytes = name.as_bytes();
    bytes.first().is_some_and(u8::is_ascii_lowercase)
        && bytes
            .iter()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || punctuation.contains(b))
}

fn lowercase(value: &str) -> Cow<'_, str> {
    if !value.is_ascii() {
        return Cow::Owned(value.nfc().flat_map(char::to_lowercase).nfc().collect());
    }
    if value.bytes().any(|b| b.is_ascii_uppercase()) {
        return Cow::Owned(value.to_ascii_lowercase());
    }
    Cow::Borrowed(value)
}

fn email(value: &str) -> Option<Cow<'_, str>> {
    let lower = lowercase(value);
    let (local, domain) = lower.rsplit_once('@')?;
    let is_plain = !lower.contains(|c: char| c.is_whitespace() || c.is_control());
    if local.is_empty() || domain.is_empty() || !is_plain {
        return None;
    }
    if domain.is_ascii() {
        return Some(lower);
    }
    let ascii = idna::domain_to_ascii(domain).ok()?;
    Some(Cow::Owned(format!("{local}@{ascii}")))
}

fn phone(region: country::Id, value: &str) -> Option<String> {
    let number = phonenumber::parse(Some(region), value.trim()).ok()?;
    phonenumber::is_valid(&number)
        .then(|| number.format().mode(phonenumber::Mode::E164).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(normaliser: Normaliser, value: &str, expected: Option<&str>) {
        assert_eq!(normalise(normaliser, value).as_deref(), expected, "{value:?}");
    }

    #[test]
    fn names_are_lower_case_and_begin_with_a_letter() {
        for good in ["user_id", "ios.id", "x-1"] {
            assert!(is_namespace_name(good), "{good}");
        }
        for bad in ["", "User", "1d", "a b", "é", "_x", &"a".repeat(65)] {
            assert!(!is_namespace_name(bad), "{bad}");
        }
        assert!(!is_workspace_name("a.b"));
    }

    #[test]
    fn values_are_kept_as_sent_unless_the_rules_say_otherwise() {
        check(Normaliser::None, " A@B.C ", Some(" A@B.C "));
        check(Normaliser::None, "", None);
        check(Normaliser::Trim, "  x\t", Some("x"));
        check(Normaliser::Trim, "   ", None);
        check(Normaliser::Trim, &"x".repeat(1025), None);
        check(Normaliser::Lowercase, "ÀB", Some("àb"));
    }

    #[test]
    fn an_email_is_one_mailbox_however_it_is_written() {
        check(Normaliser::Email, " Ann@Example.COM ", Some("ann@example.com"));
        check(Normaliser::Email, "ann@münchen.de", Some("ann@xn--mnchen-3ya.de"));
        check(Normaliser::Email, "a.b+c@x", Some("a.b+c@x"));
        for bad in ["ann", "@x.com", "ann@", "a nn@x.com", ""] {
            check(Normaliser::Email, bad, None);
        }
    }

    #[test]
    fn a_hash_is_sha_256_in_lower_case_hex() {
        assert_eq!(
            sha256_hex("abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn a_phone_number_is_read_in_its_region() {
        let region = Normaliser::Phone(country::UA);
        check(region, "044 279 1234", Some("+380442791234"));
        check(region, "+380 (44) 279-12-34", Some("+380442791234"));
        check(region, "+1 202 456 1111", Some("+12024561111"));
        for bad in ["12", "hello", ""] {
            check(region, bad, None);
        }
    }
}
