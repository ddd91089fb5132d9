//! The primitives with their secrets as plain bytes, for `tests/ct`, which follows the secrets through
//! them. Exists behind the private feature `__fuzz` only.

use zeroize::Zeroizing;

use super::ed25519::Context;
use super::hash::{self, Digest};
use super::identity::{pair_of, pem_of};
use super::provider;
use super::rustcrypto;
use super::schedule::{Secret, extract};
use super::sealing::Sealing;

/// Whether two secrets are the same.
pub fn same(a: &[u8], b: &[u8]) -> bool {
    hash::same(a, b)
}

/// The secret in a key file.
pub fn secret_of_pem(pem: &str) -> Option<[u8; 32]> {
    pair_of(pem).ok().map(|pair| pair.secret_key)
}

/// The key file of a secret.
pub fn pem_of_secret(secret: &[u8; 32]) -> Zeroizing<String> {
    pem_of(secret)
}

/// The signature of a secret key over a transcript.
pub fn signed(secret: &[u8; 32], digest: [u8; 32]) -> [u8; 64] {
    let statement = Context::HandshakeInitiator.statement(&Digest(digest));
    provider::SigningKey::new(secret).sign(statement.as_slice())
}

/// The X25519 share of a secret.
pub fn share_of(secret: [u8; 32]) -> [u8; 32] {
    provider::Agreement::new(&Zeroizing::new(secret)).public()
}

/// What a secret and the other side's share agree on.
pub fn agreed(secret: [u8; 32], share: &[u8; 32]) -> Option<[u8; 32]> {
    let agreed = provider::Agreement::new(&Zeroizing::new(secret)).agree(share);
    agreed.map(|secret| *secret.bytes())
}

/// A ciphertext for an ML-KEM key, from a secret message, and what it carries.
pub fn encapsulated(public: &[u8], message: &[u8; 32]) -> Option<(Box<[u8]>, [u8; 32])> {
    let (ciphertext, shared) = rustcrypto::encapsulate_of(public, message)?;
    Some((ciphertext, *shared.bytes()))
}

/// An ML-KEM key of the default provider.
pub struct KemKey(rustcrypto::Decapsulator);

impl KemKey {
    /// The key of `d || z`.
    pub fn of(material: &[u8; 64]) -> Self {
        Self(rustcrypto::Decapsulator::of(material))
    }

    /// Its public half.
    pub fn public(&self) -> Box<[u8]> {
        self.0.public()
    }

    /// Where it lies in memory and how many bytes it has, and the same of the public half in it.
    pub fn places(&self) -> [(*const u8, usize); 2] {
        self.0.places()
    }

    /// What a ciphertext carries.
    pub fn decapsulated(&self, ciphertext: &[u8]) -> Option<[u8; 32]> {
        self.0.decapsulate(ciphertext).map(|shared| *shared.bytes())
    }
}

/// The secret that follows from another one, and from material of a key exchange.
pub fn derived(secret: &[u8; 32], material: &[u8]) -> [u8; 32] {
    let root = extract(Secret::new(*secret).derive("derived", b"").bytes(), material);
    *root.derive("key", b"context").bytes()
}

/// Seals in place.
pub fn sealed(key: &[u8; 32], nonce: &[u8; 12], header: &[u8], text: &mut [u8]) -> [u8; 16] {
    Sealing::new(&Secret::new(*key)).seal(nonce, header, text)
}

/// Opens in place; says whether the tag fits.
pub fn opened(
    key: &[u8; 32],
    nonce: &[u8; 12],
    header: &[u8],
    text: &mut [u8],
    tag: &[u8; 16],
) -> bool {
    Sealing::new(&Secret::new(*key)).open(nonce, header, text, tag).is_ok()
}
