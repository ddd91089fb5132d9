//! The functions of proto-spec 01-terms over RustCrypto, apart from the crate's own, and what a
//! seed of the crate gives. Knows no message.

use chacha20poly1305::aead::AeadInOut;
use chacha20poly1305::{ChaCha20Poly1305, KeyInit};
use hkdf::Hkdf;
use hkdf::hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};

pub type Bytes32 = [u8; 32];

pub fn h(parts: &[&[u8]]) -> Bytes32 {
    let mut state = Sha256::new();
    for part in parts {
        state.update(u32::try_from(part.len()).unwrap().to_be_bytes());
        state.update(part);
    }
    state.finalize().into()
}

pub fn sha256(bytes: &[u8]) -> Bytes32 {
    Sha256::digest(bytes).into()
}

pub fn mac(key: &[u8], message: &[u8]) -> Bytes32 {
    let mut state = <Hmac<Sha256> as hkdf::hmac::KeyInit>::new_from_slice(key).unwrap();
    state.update(message);
    state.finalize().into_bytes().into()
}

pub fn extract(salt: &[u8], material: &[u8]) -> Bytes32 {
    Hkdf::<Sha256>::extract(Some(salt), material).0.into()
}

/// `XL(secret, label, ctx, N)`.
pub fn xl<const N: usize>(secret: &Bytes32, label: &str, ctx: &[u8]) -> [u8; N] {
    let mut out = [0; N];
    expand(secret, label, ctx, &mut out);
    out
}

pub fn expand(secret: &Bytes32, label: &str, ctx: &[u8], out: &mut [u8]) {
    let label = format!("waxwire/1 {label}");
    let mut info = u16::try_from(out.len()).unwrap().to_be_bytes().to_vec();
    info.push(u8::try_from(label.len()).unwrap());
    info.extend_from_slice(label.as_bytes());
    info.push(u8::try_from(ctx.len()).unwrap());
    info.extend_from_slice(ctx);
    Hkdf::<Sha256>::from_prk(secret).unwrap().expand(&info, out).unwrap();
}

/// What `waxwire::Seed` gives for one purpose: how a seed becomes the inputs of a case.
pub fn draw<const N: usize>(seed: &Bytes32, purpose: &str) -> [u8; N] {
    xl(&extract(b"waxwire/1 seed", seed), purpose, b"")
}

pub fn seal(key: &Bytes32, nonce: &[u8; 12], aad: &[u8], text: &[u8]) -> Vec<u8> {
    let mut out = text.to_vec();
    let tag = cipher(key).encrypt_inout_detached(nonce.into(), aad, out.as_mut_slice().into());
    out.extend_from_slice(&tag.unwrap());
    out
}

pub fn open(key: &Bytes32, nonce: &[u8; 12], aad: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    let (text, tag) = sealed.split_last_chunk::<16>()?;
    let mut out = text.to_vec();
    let text = out.as_mut_slice().into();
    cipher(key).decrypt_inout_detached(nonce.into(), aad, text, tag.into()).ok()?;
    Some(out)
}

fn cipher(key: &Bytes32) -> ChaCha20Poly1305 {
    ChaCha20Poly1305::new(key.into())
}

pub fn public_of(secret: &Bytes32) -> Bytes32 {
    ed25519_dalek::SigningKey::from_bytes(secret).verifying_key().to_bytes()
}

/// Whether `public` signed `digest` under `context`.
pub fn is_signed(public: &Bytes32, context: &str, digest: &Bytes32, signature: &[u8]) -> bool {
    let statement = [&[b' '; 64][..], context.as_bytes(), &[0], digest].concat();
    let key = ed25519_dalek::VerifyingKey::from_bytes(public).unwrap();
    let signature = ed25519_dalek::Signature::from_slice(signature).unwrap();
    key.verify_strict(&statement, &signature).is_ok()
}

/// I's secrets of an exchange.
pub struct Ephemeral {
    pub x25519: Bytes32,
    pub d_z: Option<[u8; 64]>,
}

impl Ephemeral {
    pub fn of(seed: &Bytes32, hybrid: bool) -> Self {
        Self { x25519: draw(seed, "x25519 key"), d_z: hybrid.then(|| draw(seed, "ml-kem key")) }
    }

    /// `ss`, from the share of the other side.
    pub fn shared(&self, share: &[u8]) -> Vec<u8> {
        let (ciphertext, theirs) = share.split_last_chunk::<32>().unwrap();
        let secret = x25519_dalek::StaticSecret::from(self.x25519);
        let agreed = secret.diffie_hellman(&x25519_dalek::PublicKey::from(*theirs));
        let mut out = match self.d_z {
            None => Vec::new(),
            Some(d_z) => {
                let key = ml_kem::ml_kem_768::DecapsulationKey::from_seed(d_z.into());
                let ciphertext = ciphertext.try_into().unwrap();
                ml_kem::Decapsulate::decapsulate(&key, ciphertext).as_slice().to_vec()
            }
        };
        out.extend_from_slice(agreed.as_bytes());
        out
    }
}
