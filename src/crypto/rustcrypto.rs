//! The default provider: RustCrypto and dalek, pure Rust.

#![cfg_attr(feature = "aws-lc", allow(dead_code, reason = "then only the tests compare with it"))]
#![cfg_attr(fuzzing, allow(dead_code, reason = "then a mock seals"))]

use chacha20poly1305::aead::AeadInOut;
use chacha20poly1305::{ChaCha20Poly1305, KeyInit};
use ed25519_dalek::{Signature, Signer};
use ml_kem::{Decapsulate, KeyExport, MlKem768};
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

use super::schedule::Secret;
use super::sealing::Forged;
use super::seed::Seed;

/// ChaCha20-Poly1305 under one key.
pub(super) struct Aead(ChaCha20Poly1305);

impl Aead {
    pub(super) fn new(key: &[u8; 32]) -> Self {
        Self(ChaCha20Poly1305::new(key.into()))
    }

    #[inline]
    pub(super) fn seal(&self, nonce: &[u8; 12], header: &[u8], text: &mut [u8]) -> [u8; 16] {
        let sealed = self.0.encrypt_inout_detached(nonce.into(), header, text.into());
        assert!(sealed.is_ok(), "a record is longer than the cipher's 256 GiB");
        sealed.unwrap_or_default().into()
    }

    #[inline]
    pub(super) fn open(
        &self,
        nonce: &[u8; 12],
        header: &[u8],
        text: &mut [u8],
        tag: &[u8; 16],
    ) -> Result<(), Forged> {
        let opened = self.0.decrypt_inout_detached(nonce.into(), header, text.into(), tag.into());
        opened.map_err(|_| Forged)
    }
}

/// An Ed25519 secret key.
pub(super) struct SigningKey(Box<ed25519_dalek::SigningKey>);

impl SigningKey {
    pub(super) fn new(secret: &[u8; 32]) -> Self {
        Self(Box::new(ed25519_dalek::SigningKey::from_bytes(secret)))
    }

    pub(super) fn sign(&self, statement: &[u8]) -> [u8; 64] {
        self.0.sign(statement).to_bytes()
    }
}

/// An Ed25519 public key, ready to verify with.
#[derive(Clone)]
pub(super) struct VerifyingKey(ed25519_dalek::VerifyingKey);

impl VerifyingKey {
    pub(super) fn new(point: &ed25519_dalek::VerifyingKey) -> Self {
        Self(*point)
    }

    pub(super) fn verify(&self, statement: &[u8], signature: &[u8; 64]) -> bool {
        self.0.verify_strict(statement, &Signature::from_bytes(signature)).is_ok()
    }
}

/// An ephemeral X25519 key.
pub(super) struct Agreement(Box<StaticSecret>);

impl Agreement {
    pub(super) fn new(secret: &Zeroizing<[u8; 32]>) -> Self {
        Self(Box::new(StaticSecret::from(**secret)))
    }

    pub(super) fn public(&self) -> [u8; 32] {
        PublicKey::from(&*self.0).to_bytes()
    }

    /// The shared secret, unless the other share has no part in it.
    pub(super) fn agree(self, share: &[u8; 32]) -> Option<Secret> {
        let shared = self.0.diffie_hellman(&PublicKey::from(*share));
        if shared.was_contributory() { Some(Secret::new(shared.to_bytes())) } else { None }
    }
}

/// An ephemeral ML-KEM-768 key.
pub(super) struct Decapsulator(Box<ml_kem::ml_kem_768::DecapsulationKey>);

impl Decapsulator {
    pub(super) fn generate(seed: &Seed) -> Self {
        Self::of(&seed.draw("ml-kem key"))
    }

    /// The key of `d || z`.
    pub(super) fn of(material: &[u8; 64]) -> Self {
        Self(Box::new(ml_kem::ml_kem_768::DecapsulationKey::from_seed((*material).into())))
    }

    pub(super) fn public(&self) -> Box<[u8]> {
        Box::from(self.0.encapsulation_key().to_bytes().as_slice())
    }

    /// The expanded key of FIPS 203, for the other provider.
    #[cfg(feature = "aws-lc")]
    pub(super) fn expanded(&self) -> Zeroizing<Vec<u8>> {
        #[allow(deprecated, reason = "AWS-LC imports no other form")]
        let expanded = ml_kem::ExpandedKeyEncoding::to_expanded_bytes(&*self.0);
        Zeroizing::new(expanded.as_slice().to_vec())
    }

    /// Where the key lies and how many bytes it has, and the same of the public half in it, for a test
    /// that follows the rest.
    #[cfg(feature = "__fuzz")]
    pub(super) fn places(&self) -> [(*const u8, usize); 2] {
        fn place<T>(of: &T) -> (*const u8, usize) {
            ((&raw const *of).cast(), size_of_val(of))
        }
        [place(&*self.0), place(self.0.encapsulation_key())]
    }

    /// The shared secret; a ciphertext that was made for another key gives an unrelated one.
    pub(super) fn decapsulate(&self, ciphertext: &[u8]) -> Option<Secret> {
        let ciphertext = ciphertext.try_into().ok()?;
        Some(Secret::new(self.0.decapsulate(ciphertext).into()))
    }
}

/// A ciphertext for `public` and the secret in it, unless `public` is no ML-KEM-768 key.
pub(super) fn encapsulate(public: &[u8], seed: &Seed) -> Option<(Box<[u8]>, Secret)> {
    encapsulate_of(public, &seed.draw("ml-kem message"))
}

/// The same for a given `m`.
pub(super) fn encapsulate_of(public: &[u8], material: &[u8; 32]) -> Option<(Box<[u8]>, Secret)> {
    let key = ml_kem::EncapsulationKey::<MlKem768>::new(public.try_into().ok()?).ok()?;
    let (ciphertext, shared) = key.encapsulate_deterministic(material.into());
    Some((Box::from(ciphertext.as_slice()), Secret::new(shared.into())))
}

#[cfg(test)]
mod tests {
    use zeroize::ZeroizeOnDrop;

    use super::*;

    fn is_wiped<T: ZeroizeOnDrop>() {}

    /// Every type that holds a secret is wiped on drop; without its feature `zeroize`, a dependency
    /// would not be, and this would not compile (RUSTSEC-2024-0342).
    #[test]
    fn whatever_holds_a_secret_is_wiped() {
        is_wiped::<Secret>();
        is_wiped::<Secret<12>>(); // a nonce base
        is_wiped::<Secret<16>>(); // a reset token
        is_wiped::<ChaCha20Poly1305>();
        is_wiped::<ed25519_dalek::SigningKey>();
        is_wiped::<StaticSecret>();
        is_wiped::<ml_kem::ml_kem_768::DecapsulationKey>();
        is_wiped::<Zeroizing<[u8; 32]>>();
        is_wiped::<Zeroizing<Vec<u8>>>();
    }
}
