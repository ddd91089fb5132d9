//! A party's long-term key: one Ed25519 key, read from and written to PKCS#8 PEM.

use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey, EncodePrivateKey, KeypairBytes};
use zeroize::{Zeroize, Zeroizing};

use super::ed25519::{Context, PublicKey};
use super::hash::Digest;
use super::provider;
use super::schedule::Secret;
use super::seed::Seed;

/// An Ed25519 key that a party proves itself with. Not `Clone`, never printed, wiped on drop.
pub struct Identity {
    secret: Secret,
    signing: provider::SigningKey,
    public: PublicKey,
}

/// Why text is no key of ours.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PemError {
    /// Not PKCS#8 PEM of an Ed25519 key. Make one with `openssl genpkey -algorithm ed25519`.
    #[error("not an Ed25519 private key in PKCS#8 PEM")]
    NotAKey,
    /// The public key in the file is not the one of its private key.
    #[error("the file's public key does not belong to its private key")]
    Mismatch,
}

impl Identity {
    /// The identity of a seed. The same seed gives the same identity.
    #[must_use]
    pub fn from_seed(seed: Seed) -> Self {
        Self::from_secret(&seed.draw("identity"))
    }

    fn from_secret(bytes: &[u8; 32]) -> Self {
        let point = ed25519_dalek::SigningKey::from_bytes(bytes).verifying_key();
        match PublicKey::from_bytes(point.as_bytes()) {
            Ok(public) => Self {
                secret: Secret::new(*bytes),
                signing: provider::SigningKey::new(bytes),
                public,
            },
            Err(_) => unreachable!("a clamped multiple of the base point is no weak point"),
        }
    }

    /// Reads PKCS#8 PEM, version 1 (what `openssl genpkey -algorithm ed25519` writes) or 2.
    ///
    /// # Errors
    ///
    /// [`PemError`] says what is wrong with the text.
    pub fn from_pem(pem: &str) -> Result<Self, PemError> {
        let pair = KeypairBytes::from_pkcs8_pem(pem).map_err(|_| PemError::NotAKey)?;
        let identity = Self::from_secret(&pair.secret_key);
        match &pair.public_key {
            Some(public) if public.0 != identity.public.to_bytes() => Err(PemError::Mismatch),
            _ => Ok(identity),
        }
    }

    /// PKCS#8 PEM, version 1: the form that OpenSSL 3.0 and Python's `cryptography` read.
    #[must_use]
    pub fn to_pem(&self) -> Zeroizing<String> {
        let mut pair = KeypairBytes { secret_key: *self.secret.bytes(), public_key: None };
        let pem = pair.to_pkcs8_pem(LineEnding::LF);
        pair.secret_key.zeroize();
        match pem {
            Ok(pem) => pem,
            Err(_) => unreachable!("32 bytes always encode"),
        }
    }

    /// The public half.
    #[must_use]
    pub fn public_key(&self) -> &PublicKey {
        &self.public
    }

    pub(crate) fn sign(&self, context: Context, digest: &Digest) -> [u8; 64] {
        self.signing.sign(context.statement(digest).as_slice())
    }
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Identity({})", self.public.fingerprint())
    }
}
