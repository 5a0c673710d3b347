//! Public profile ids: a keyed, reversible disguise of profile numbers.
//!
//! A profile id is the profile's number, shuffled by a 64-bit permutation under a key that
//! the workspace got when it was created. So ids need no memory and no look-up table; they
//! say nothing about how many profiles there are or which came first; and a random string is
//! an id with a chance of one in 2^32 at most, because the upper half must come out as zero.
//!
//! The permutation is a four-round Feistel network with SipHash-2-4 as its round function
//! (Luby and Rackoff, 1988). It hides order from readers of ids; it is not meant to withstand
//! someone who holds the key.
//!
//! Must never change: ids stand in other people's warehouses.

use std::fmt;

use siphasher::sip::SipHasher24;

use crate::change::ProfileNumber;

const PREFIX: &[u8; 3] = b"ip_";
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const DIGITS: usize = 13;
const ROUNDS: u32 = 4;

/// A public profile id: `ip_` and 13 digits of Crockford's base 32 in lower case.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ProfileId([u8; PREFIX.len() + DIGITS]);

impl ProfileId {
    /// The id of a profile under a workspace's key.
    pub fn encode(key: &[u8; 16], profile: ProfileNumber) -> ProfileId {
        let mut rest = permute(key, u64::from(profile.0));
        let mut text = [0; PREFIX.len() + DIGITS];
        text[..PREFIX.len()].copy_from_slice(PREFIX);
        for digit in text[PREFIX.len()..].iter_mut().rev() {
            *digit = ALPHABET[(rest & 31) as usize];
            rest >>= 5;
        }
        ProfileId(text)
    }

    /// The number behind an id, if it can be one under this key. Upper case is accepted.
    pub fn decode(key: &[u8; 16], text: &str) -> Option<ProfileNumber> {
        let digits = text.as_bytes().strip_prefix(PREFIX)?;
        if digits.len() != DIGITS {
            return None;
        }
        let mut shuffled: u64 = 0;
        for (index, digit) in digits.iter().enumerate() {
            let digit = digit.to_ascii_lowercase();
            let value = ALPHABET.iter().position(|&known| known == digit)? as u64;
            // 13 digits hold 65 bits: the first may only be 0 or 1 in its upper half.
            if index == 0 && value > 15 {
                return None;
            }
            shuffled = shuffled << 5 | value;
        }
        let number = u32::try_from(unpermute(key, shuffled)).ok()?;
        (number != 0).then_some(ProfileNumber(number))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("an id is made of ASCII characters")
    }
}

impl fmt::Display for ProfileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for ProfileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

fn permute(key: &[u8; 16], number: u64) -> u64 {
    let (mut left, mut right) = split(number);
    for round in 0..ROUNDS {
        (left, right) = (right, left ^ mix(key, round, right));
    }
    join(left, right)
}

fn unpermute(key: &[u8; 16], shuffled: u64) -> u64 {
    let (mut left, mut right) = split(shuffled);
    for round in (0..ROUNDS).rev() {
        (left, right) = (right ^ mix(key, round, left), left);
    }
    join(left, right)
}

fn mix(key: &[u8; 16], round: u32, half: u32) -> u32 {
    let input = (u64::from(round) << 32 | u64::from(half)).to_le_bytes();
    SipHasher24::new_with_key(key).hash(&input) as u32
}

fn split(whole: u64) -> (u32, u32) {
    ((whole >> 32) as u32, whole as u32)
}

fn join(left: u32, right: u32) -> u64 {
    u64::from(left) << 32 | u64::from(right)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_leads_back_to_its_number_under_its_own_key_only() {
        let key = *b"0123456789abcdef";
        for number in [1, 2, 1_000, u32::MAX] {
            let id = ProfileId::encode(&key, ProfileNumber(number));
            assert_eq!(ProfileId::decode(&key, id.as_str()), Some(ProfileNumber(number)));
            let upper = format!("ip_{}", id.as_str()[3..].to_uppercase());
            assert_eq!(ProfileId::decode(&key, &upper), Some(ProfileNumber(number)));
            assert_eq!(ProfileId::decode(b"another key.....", id.as_str()), None);
        }
        for bad in ["", "ip_", "ip_0000000000000", "ip_zzzzzzzzzzzzz", "ip_000000000000u", "x"] {
            assert_eq!(ProfileId::decode(&key, bad), None, "{bad}");
        }
    }

    #[test]
    fn ids_never_change() {
        let id = ProfileId::encode(&[7; 16], ProfileNumber(1));
        assert_eq!(id.as_str(), "ip_05kkpvp42vw23");
    }
}
