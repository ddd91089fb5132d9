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
    let mut state = <Hmac<Sha256> as KeyInit>::new((&block).into());
    parts.iter().for_each(|part| state.update(part));
    zeroize::Zeroize::zeroize(&mut block);
    state.finalize().into_bytes().into()
}

/// Whether two secrets are the same, in a time that does not tell where they differ.
pub(crate) fn same(a: &[u8], b: &[u8]) -> bool {
    a.ct_eq(b).into()
}

#[cfg(test)]
mod tests {
    use super::super::schedule::extract;
    use super::*;

    /// proto-spec 01-terms, 1.6.
    #[test]
    fn each_part_is_hashed_behind_its_length() {
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(hex::encode(hash(&[]).0), empty);
        assert_eq!(hex::encode(plain(b"")), empty);
        let one = "df3f619804a92fdb4057192dc43dd748ea778adc52bc498ce80524c014b81119";
        assert_eq!(hex::encode(hash(&[b""]).0), one);
        let prologue = "47308f34130f5cc0a5ec4240a85e59f0fe15c93766c3439977dcbd76998973d5";
        assert_eq!(hex::encode(hash(&[b"waxwire/1", b"stage", &[1], &[2]]).0), prologue);
        assert_eq!(hash(&[b"ab", b"c"]).0, plain(b"\0\0\0\x02ab\0\0\0\x01c"));
        assert_ne!(hash(&[b"ab", b"c"]), hash(&[b"a", b"bc"]));
    }

    /// FIPS 180-4, the example of 24 bits.
    #[test]
    fn sha_256_is_the_standard_one() {
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(hex::encode(plain(b"abc")), abc);
    }

    /// RFC 4231, cases 1 to 4. Their keys are shorter than ours; HMAC fills a key with zeros.
    #[test]
    fn hmac_is_the_standard_one() {
        let counted: Vec<u8> = (1..=25).collect();
        let cases: [(&[u8], &[u8], &str); 4] = [
            (
                &[0x0b; 20],
                b"Hi There",
                "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
            ),
            (
                b"Jefe",
                b"what do ya want for nothing?",
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
            (
                &[0xaa; 20],
                &[0xdd; 50],
                "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe",
            ),
            (
                &counted,
                &[0xcd; 50],
                "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b",
            ),
        ];
        for (short, message, expected) in cases {
            let mut key = [0; 32];
            key[..short.len()].copy_from_slice(short);
            assert_eq!(hex::encode(mac(&key, &[message])), expected);
            let (front, back) = message.split_at(message.len() / 2);
            assert_eq!(hex::encode(mac(&key, &[front, b"", back])), expected);
        }
    }

    /// HKDF-Extract is HMAC of the material under the salt, so each checks the other.
    #[test]
    fn every_byte_of_a_key_counts() {
        let key: [u8; 32] = std::array::from_fn(|i| u8::try_from(i).unwrap());
        assert_eq!(mac(&key, &[b"message"]), *extract(&key, b"message").bytes());
        for index in 0..32 {
            let mut other = key;
            other[index] ^= 0x80;
            assert_ne!(mac(&other, &[b"message"]), mac(&key, &[b"message"]), "byte {index}");
        }
    }

    #[test]
    fn secrets_are_the_same_if_every_byte_is() {
        assert!(same(b"", b""));
        assert!(same(b"secret", b"secret"));
        assert!(!same(b"secret", b"secreT"));
        assert!(!same(b"secret", b"Secret"));
        assert!(!same(b"secret", b"secre"));
        assert!(!same(b"secret", b"secrets"));
    }
}
