//! The faster provider: AWS-LC behind the same calls. Same bytes on the wire.
//!
//! ML-KEM keys and ciphertexts that must be reproducible (vectors, simulation) are made by the
//! other provider, because AWS-LC's are always random; they are used here all the same.

use aws_lc_rs::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement::{PrivateKey, UnparsedPublicKey, X25519, agree};
use aws_lc_rs::kem::{Ciphertext, DecapsulationKey, EncapsulationKey, ML_KEM_768};
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, ParsedPublicKey};
use zeroize::Zeroizing;

use super::rustcrypto;
use super::schedule::Secret;
use super::sealing::Forged;
use super::seed::Seed;

/// ChaCha20-Poly1305 under one key.
pub(super) struct Aead(LessSafeKey);

impl Aead {
    pub(super) fn new(key: &[u8; 32]) -> Self {
        match UnboundKey::new(&CHACHA20_POLY1305, key) {
            Ok(key) => Self(LessSafeKey::new(key)),
            Err(_) => unreachable!("the key has the cipher's length"),
        }
    }

    #[inline]
    pub(super) fn seal(&self, nonce: &[u8; 12], header: &[u8], text: &mut [u8]) -> [u8; 16] {
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let sealed = self.0.seal_in_place_separate_tag(nonce, Aad::from(header), text);
        let tag = sealed.ok().and_then(|tag| tag.as_ref().first_chunk().copied());
        assert!(tag.is_some(), "a record is longer than the cipher's 256 GiB");
        tag.unwrap_or_default()
    }

    #[inline]
    pub(super) fn open(
        &self,
        nonce: &[u8; 12],
        header: &[u8],
        text: &mut [u8],
        tag: &[u8; 16],
    ) -> Result<(), Forged> {
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let opened = self.0.open_in_place_separate_tag(nonce, Aad::from(header), tag, text);
        opened.map(|_| ()).map_err(|_| Forged)
    }
}

/// An Ed25519 secret key.
pub(super) struct SigningKey(Ed25519KeyPair);

impl SigningKey {
    pub(super) fn new(secret: &[u8; 32]) -> Self {
        match Ed25519KeyPair::from_seed_unchecked(secret) {
            Ok(pair) => Self(pair),
            Err(_) => unreachable!("every 32 bytes are an Ed25519 seed"),
        }
    }

    pub(super) fn sign(&self, statement: &[u8]) -> [u8; 64] {
        match self.0.sign(statement).as_ref().first_chunk() {
            Some(signature) => *signature,
            None => unreachable!("an Ed25519 signature has 64 bytes"),
        }
    }
}

/// An Ed25519 public key, ready to verify with.
#[derive(Clone)]
pub(super) struct VerifyingKey(std::sync::Arc<ParsedPublicKey>);

impl VerifyingKey {
    pub(super) fn new(point: &ed25519_dalek::VerifyingKey) -> Self {
        match ParsedPublicKey::new(&ED25519, point.as_bytes()) {
            Ok(key) => Self(std::sync::Arc::new(key)),
            Err(_) => unreachable!("the point was checked"),
        }
    }

    pub(super) fn verify(&self, statement: &[u8], signature: &[u8; 64]) -> bool {
        let small = signature.first_chunk().is_some_and(is_small_order);
        !small && self.0.verify_sig(statement, signature).is_ok()
    }
}

/// Whether a canonical encoding is one of the eight points of small order. AWS-LC compares encodings
/// of R, so others cannot pass; these it would let pass, and `verify_strict` does not.
fn is_small_order(point: &[u8; 32]) -> bool {
    let bare: [u8; 32] = std::array::from_fn(|i| match i {
        31 => point.last().map_or(0, |byte| byte & 0x7f),
        i => point.get(i).copied().unwrap_or(0),
    });
    SMALL_ORDER_Y.contains(&bare)
}

/// y = 1, -1, 0 and the two of order eight, little-endian.
const SMALL_ORDER_Y: [[u8; 32]; 5] = [
    [
        1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        0, 0,
    ],
    [
        0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0x7f,
    ],
    [0; 32],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67,
        0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac,
        0x03, 0x7a,
    ],
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98,
        0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53,
        0xfc, 0x05,
    ],
];

/// An ephemeral X25519 key.
pub(super) struct Agreement(PrivateKey);

impl Agreement {
    pub(super) fn new(secret: &Zeroizing<[u8; 32]>) -> Self {
        match PrivateKey::from_private_key(&X25519, &**secret) {
            Ok(key) => Self(key),
            Err(_) => unreachable!("every 32 bytes are an X25519 key"),
        }
    }

    pub(super) fn public(&self) -> [u8; 32] {
        let public = self.0.compute_public_key().ok();
        match public.and_then(|key| key.as_ref().first_chunk().copied()) {
            Some(public) => public,
            None => unreachable!("every X25519 key has a public key of 32 bytes"),
        }
    }

    /// The shared secret, unless the other share has no part in it.
    pub(super) fn agree(self, share: &[u8; 32]) -> Option<Secret> {
        let share = UnparsedPublicKey::new(&X25519, share);
        let shared = agree(&self.0, share, (), |bytes| {
            bytes.first_chunk::<32>().map(|shared| Secret::new(*shared)).ok_or(())
        });
        shared.ok().filter(|shared| !super::hash::same(shared.bytes(), &[0; 32]))
    }
}

/// An ephemeral ML-KEM-768 key.
pub(super) struct Decapsulator {
    key: DecapsulationKey,
    public: Box<[u8]>,
}

impl Decapsulator {
    pub(super) fn generate(seed: &Seed) -> Self {
        let made = if seed.is_reproducible() {
            imported(&rustcrypto::Decapsulator::generate(seed))
        } else {
            random()
        };
        match made {
            Some((key, public)) => Self { key, public },
            None => unreachable!("AWS-LC makes a key whenever it has memory"),
        }
    }

    /// The key of `d || z`.
    #[cfg(test)]
    pub(super) fn of(material: &[u8; 64]) -> Self {
        match imported(&rustcrypto::Decapsulator::of(material)) {
            Some((key, public)) => Self { key, public },
            None => unreachable!("AWS-LC takes every key of FIPS 203"),
        }
    }

    pub(super) fn public(&self) -> Box<[u8]> {
        self.public.clone()
    }

    /// The shared secret; a ciphertext that was made for another key gives an unrelated one.
    pub(super) fn decapsulate(&self, ciphertext: &[u8]) -> Option<Secret> {
        let shared = self.key.decapsulate(Ciphertext::from(ciphertext)).ok()?;
        shared.as_ref().try_into().ok().map(Secret::new)
    }
}

fn random() -> Option<(DecapsulationKey, Box<[u8]>)> {
    let key = DecapsulationKey::generate(&ML_KEM_768).ok()?;
    let public = key.encapsulation_key().ok()?.key_bytes().ok()?;
    Some((key, Box::from(public.as_ref())))
}

fn imported(made: &rustcrypto::Decapsulator) -> Option<(DecapsulationKey, Box<[u8]>)> {
    let key = DecapsulationKey::new(&ML_KEM_768, &made.expanded()).ok()?;
    Some((key, made.public()))
}

/// A ciphertext for `public` and the secret in it, unless `public` is no ML-KEM-768 key.
pub(super) fn encapsulate(public: &[u8], seed: &Seed) -> Option<(Box<[u8]>, Secret)> {
    if seed.is_reproducible() {
        return rustcrypto::encapsulate(public, seed);
    }
    let key = EncapsulationKey::new(&ML_KEM_768, public).ok()?;
    let (ciphertext, shared) = key.encapsulate().ok()?;
    Some((Box::from(ciphertext.as_ref()), Secret::new(shared.as_ref().try_into().ok()?)))
}
