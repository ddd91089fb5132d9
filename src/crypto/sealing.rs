//! ChaCha20-Poly1305 under one key, in place. Knows no sequence number: it is handed each nonce.

use zeroize::Zeroize;

#[cfg(fuzzing)]
use super::mock as cipher;
#[cfg(not(fuzzing))]
use super::provider as cipher;
use super::schedule::Secret;

/// Bytes whose tag does not match. Nothing of them was used.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Forged;

/// One key, keyed once. On the heap, so that moving a session leaves no copy of it behind; not
/// `Clone`, so that no nonce can be used twice by a copy.
pub(crate) struct Sealing(Box<cipher::Aead>);

impl Sealing {
    pub(crate) fn new(key: &Secret) -> Self {
        Self(Box::new(cipher::Aead::new(key.bytes())))
    }

    /// Seals `text` in place; returns its tag.
    #[inline]
    pub(crate) fn seal(&self, nonce: &[u8; 12], header: &[u8], text: &mut [u8]) -> [u8; 16] {
        self.0.seal(nonce, header, text)
    }

    /// Opens `text` in place. If the tag does not match, `text` is wiped.
    #[inline]
    pub(crate) fn open(
        &self,
        nonce: &[u8; 12],
        header: &[u8],
        text: &mut [u8],
        tag: &[u8; 16],
    ) -> Result<(), Forged> {
        let opened = self.0.open(nonce, header, text, tag);
        if opened.is_err() {
            text.zeroize();
        }
        opened
    }
}

impl std::fmt::Debug for Sealing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sealing(..)")
    }
}
