//! ChaCha20-Poly1305 under one key, in place. Knows no sequence number: it is handed each nonce.

use zeroize::Zeroize;

#[cfg(fuzzing)]
use super::mock as cipher;
#[cfg(not(fuzzing))]
use super::provider as cipher;
use super::schedule::Secret;
use super::stack::{FROM_BELOW, SHALLOW, wipe, wiped};

/// Bytes whose tag does not match. Nothing of them was used.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Forged;

/// One key, keyed once. On the heap, so that moving a session leaves no copy of it behind; not
/// `Clone`, so that no nonce can be used twice by a copy.
pub(crate) struct Sealing(Box<cipher::Aead>);

impl Sealing {
    pub(crate) fn new(key: &Secret) -> Self {
        Self(wiped::<SHALLOW, _>(|| Box::new(cipher::Aead::new(key.bytes()))))
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

/// Sealing and opening leave the key on the stack, where a record has no time to wipe it. The thread
/// that drops the key wipes its own.
impl Drop for Sealing {
    fn drop(&mut self) {
        wipe::<FROM_BELOW>();
    }
}

impl std::fmt::Debug for Sealing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sealing(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONCE: [u8; 12] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];

    #[test]
    fn what_was_sealed_opens() {
        let key = Sealing::new(&Secret::new([7; 32]));
        for length in [0, 1, 63, 64, 65, 1_000] {
            let plain = vec![5; length];
            let mut text = plain.clone();
            let tag = key.seal(&NONCE, b"header", &mut text);
            assert!(length == 0 || text != plain);
            assert_eq!(key.open(&NONCE, b"header", &mut text, &tag), Ok(()));
            assert_eq!(text, plain);
        }
    }

    #[test]
    fn what_was_changed_does_not_open_and_is_wiped() {
        let key = Sealing::new(&Secret::new([7; 32]));
        let mut sealed = b"text".to_vec();
        let tag = key.seal(&NONCE, b"header", &mut sealed);
        let mut other_nonce = NONCE;
        other_nonce[11] ^= 1;
        let flipped = |bytes: &[u8]| [&[bytes[0] ^ 1], &bytes[1..]].concat();
        let other_tag = flipped(&tag).try_into().expect("16 bytes");
        let other_key = Sealing::new(&Secret::new([8; 32]));
        let cases: [(&Sealing, _, &[u8], _, _); 7] = [
            (&other_key, NONCE, b"header", sealed.clone(), tag),
            (&key, other_nonce, b"header", sealed.clone(), tag),
            (&key, NONCE, b"Header", sealed.clone(), tag),
            (&key, NONCE, b"heade", sealed.clone(), tag),
            (&key, NONCE, b"header", flipped(&sealed), tag),
            (&key, NONCE, b"header", sealed[..3].to_vec(), tag),
            (&key, NONCE, b"header", sealed.clone(), other_tag),
        ];
        for (case, (key, nonce, header, mut text, tag)) in cases.into_iter().enumerate() {
            assert_eq!(key.open(&nonce, header, &mut text, &tag), Err(Forged), "case {case}");
            assert_eq!(text, vec![0; text.len()], "case {case}");
        }
        assert_eq!(key.open(&NONCE, b"header", &mut sealed, &tag), Ok(()));
    }

    #[test]
    fn a_key_is_never_printed() {
        assert_eq!(format!("{:?}", Sealing::new(&Secret::new([7; 32]))), "Sealing(..)");
    }
}
