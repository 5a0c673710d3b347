//! Short texts as words, for hashes that have to be quick.

/// What a text begins and ends with, eight bytes each; of a shorter one, words that are all of it.
/// So texts of one length up to 16 bytes have the same only if they are the same.
#[inline]
pub(crate) fn ends(text: &[u8]) -> (u64, u64) {
    if let (Some(first), Some(last)) = (text.first_chunk(), text.last_chunk()) {
        return (u64::from_le_bytes(*first), u64::from_le_bytes(*last));
    }
    let all = match (text.first_chunk(), text.last_chunk()) {
        (Some(first), Some(last)) => {
            u64::from(u32::from_le_bytes(*first)) << 32 | u64::from(u32::from_le_bytes(*last))
        }
        _ => text.iter().fold(0, |word, &byte| word << 8 | u64::from(byte)),
    };
    (all, 0)
}
