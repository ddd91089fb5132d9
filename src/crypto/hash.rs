//! SHA-256 over length-prefixed parts, HMAC-SHA-256, and comparison in constant time.

use hkdf::hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq;

/// A SHA-256 value. Public: what it covers may be secret, the value is not used as a key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Digest(pub [u8; 32]);

/// The hash of `parts`, each behind its length as four bytes, so that no two lists of parts
/// collide.
pub(crate) fn hash(parts: &[&[u8]]) -> Digest {
    let mut state = Sha256::new();
    for part in parts {
        let length = u32::try_from(part.len());
        assert!(length.is_ok(), "a hashed part is longer than 4 GiB");
        state.update(length.unwrap_or(u32::MAX).to_be_bytes());
        state.update(part);
    }
    Digest(state.finalize().into())
}

/// SHA-256 of one string without a length.
pub(super) fn plain(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// HMAC-SHA-256 of the concatenation of `parts`.
pub(crate) fn mac(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    let mut block = [0; 64];
    block.iter_mut().zip(key).for_each(|(slot, byte)| *slot = *byte);
    let mut state = <Hmac<Sha256> as KeyInit>::new(&block.into());
    parts.iter().for_each(|part| state.update(part));
    zeroize::Zeroize::zeroize(&mut block);
    state.finalize().into_bytes().into()
}

/// Whether two secrets are the same, in a time that does not tell where they differ.
pub(crate) fn same(a: &[u8], b: &[u8]) -> bool {
    a.ct_eq(b).into()
}
