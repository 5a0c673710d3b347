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
#[inline]
pub fn normalise<'a>(normaliser: Normaliser, value: &'a str) -> Option<Cow<'a, str>> {
    if is_plainly_normal(normaliser, value) {
        return Some(Cow::Borrowed(value));
    }
    make_normal(normaliser, value)
}

fn make_normal(normaliser: Normaliser, value: &str) -> Option<Cow<'_, str>> {
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

/// Whether one look at the bytes tells that a value is in its normal form: most are, and each of
/// every event is asked.
#[inline]
fn is_plainly_normal(normaliser: Normaliser, value: &str) -> bool {
    let bytes = value.as_bytes();
    let is_usual = (8..=IDENTIFIER_VALUE_BYTES_MAX).contains(&bytes.len());
    is_usual
        && match normaliser {
            Normaliser::None => !is_pseudonym(value),
            Normaliser::Trim => all_words(bytes, is_graphic),
            Normaliser::Lowercase => all_words(bytes, is_graphic_lower),
            Normaliser::Email => {
                let at = bytes.iter().rposition(|&byte| byte == b'@');
                let is_inside = at.is_some_and(|at| at > 0 && at + 1 < bytes.len());
                is_inside && all_words(bytes, is_graphic_lower)
            }
            Normaliser::Phone(_) => false,
        }
}

/// Whether something holds of all bytes, asked of eight at once; of the last eight where they are
/// no multiple of that. There are at least eight.
fn all_words(bytes: &[u8], holds: impl Fn(u64) -> bool) -> bool {
    let (words, _) = bytes.as_chunks::<8>();
    let last = bytes.last_chunk::<8>();
    words.iter().chain(last).all(|word| holds(u64::from_le_bytes(*word)))
}

const EACH: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x80 * EACH;

/// Whether all eight bytes are ASCII that shows: above the space, below DEL. Added to a byte below
/// 128, what is missing to 128 sets its highest bit and never carries.
fn is_graphic(word: u64) -> bool {
    let is_ascii = word & HIGH == 0;
    is_ascii && (word + (0x80 - 0x21) * EACH) & !(word + EACH) & HIGH == HIGH
}

/// The same, and no upper-case letter among them.
fn is_graphic_lower(word: u64) -> bool {
    let from = |first: u8| word + u64::from(0x80 - first) * EACH;
    is_graphic(word) && from(b'A') & !from(b'Z' + 1) & HIGH == 0
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
    fn bytes_are_judged_alike_one_by_one_and_eight_at_once() {
        for byte in 0..=u8::MAX {
            for at in 0..8 {
                let mut bytes = *b"a-z.0_9~";
                bytes[at] = byte;
                let word = u64::from_le_bytes(bytes);
                let is_lower = byte.is_ascii_graphic() && !byte.is_ascii_uppercase();
                assert_eq!(is_graphic(word), byte.is_ascii_graphic(), "{byte} at {at}");
                assert_eq!(is_graphic_lower(word), is_lower, "{byte} at {at}");
            }
        }
    }

    #[test]
    fn a_value_that_is_plainly_normal_is_what_the_long_way_makes_of_it() {
        let odd = ["ann@example.com", "@example.com", "ann.example@", "annexample", "a@b@c.com.ua"];
        let long = "x".repeat(1024);
        for value in odd.into_iter().chain(["Ann@Example.COM", "ann @x.com", "12345678", &long]) {
            for normaliser in [Normaliser::Trim, Normaliser::Lowercase, Normaliser::Email] {
                if is_plainly_normal(normaliser, value) {
                    let spaced = format!(" {value}");
                    let spaced = normalise(normaliser, &spaced);
                    assert_eq!(spaced.as_deref(), Some(value), "{normaliser:?}");
                }
            }
        }
        assert!(is_plainly_normal(Normaliser::Email, "ann@example.com"));
        assert!(!is_plainly_normal(Normaliser::Email, "ann.example@"));
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
