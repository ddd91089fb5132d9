//! Ed25519, strict: keys have one encoding and no weak points, signatures one form, and what is
//! signed says which of our protocols it is for.

use std::fmt;
use std::str::FromStr;

use base64ct::{Base64Unpadded, Encoding};
use ed25519_dalek::VerifyingKey;

use super::hash::{Digest, plain};
use super::provider;

/// A public key that may be trusted to be one: canonical encoding, not of small order.
#[derive(Clone)]
pub struct PublicKey {
    bytes: [u8; 32],
    parsed: provider::VerifyingKey,
}

/// Why 32 bytes are no acceptable Ed25519 key.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The encoding is not the one the point has.
    #[error("key is not in canonical form")]
    NonCanonical,
    /// No point of the curve has this encoding.
    #[error("key is not a point of the curve")]
    NotAPoint,
    /// The point has small order: signatures under it prove nothing.
    #[error("key is weak")]
    Weak,
}

/// A signature that its key did not make over this statement.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct BadSignature;

/// What a signature is for. Part of what is signed, so none can serve as another.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Context {
    HandshakeInitiator,
    HandshakeResponder,
    RekeyInitiator,
    RekeyResponder,
    RefreshInitiator,
    RefreshResponder,
    Credential,
    Enrolment,
}

impl Context {
    #[cfg(test)]
    pub(crate) const ALL: [Self; 8] = [
        Self::HandshakeInitiator,
        Self::HandshakeResponder,
        Self::RekeyInitiator,
        Self::RekeyResponder,
        Self::RefreshInitiator,
        Self::RefreshResponder,
        Self::Credential,
        Self::Enrolment,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::HandshakeInitiator => "waxwire/1 handshake initiator",
            Self::HandshakeResponder => "waxwire/1 handshake responder",
            Self::RekeyInitiator => "waxwire/1 rekey initiator",
            Self::RekeyResponder => "waxwire/1 rekey responder",
            Self::RefreshInitiator => "waxwire/1 refresh initiator",
            Self::RefreshResponder => "waxwire/1 refresh responder",
            Self::Credential => "waxwire/1 credential",
            Self::Enrolment => "waxwire/1 enrolment",
        }
    }

    /// The bytes that Ed25519 signs: 64 spaces, the name, a zero, the digest.
    pub(super) fn statement(self, digest: &Digest) -> Statement {
        let mut statement = Statement { bytes: [b' '; STATEMENT_MAX], length: 0 };
        let parts = (self.name().bytes()).chain([0]).chain(digest.0);
        let mut length = SPACES;
        for (slot, byte) in statement.bytes.iter_mut().skip(SPACES).zip(parts) {
            *slot = byte;
            length += 1;
        }
        statement.length = length;
        statement
    }
}

const SPACES: usize = 64;
const STATEMENT_MAX: usize = SPACES + 31 + 1 + 32;

/// What is signed, on the stack.
pub(super) struct Statement {
    bytes: [u8; STATEMENT_MAX],
    length: usize,
}

impl Statement {
    pub(super) fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or(&self.bytes)
    }
}

impl PublicKey {
    /// Reads a raw public key.
    ///
    /// # Errors
    ///
    /// [`KeyError`] says why the bytes are refused.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, KeyError> {
        if !is_canonical(bytes) {
            return Err(KeyError::NonCanonical);
        }
        let point = VerifyingKey::from_bytes(bytes).map_err(|_| KeyError::NotAPoint)?;
        if point.is_weak() {
            return Err(KeyError::Weak);
        }
        Ok(Self { bytes: *bytes, parsed: provider::VerifyingKey::new(&point) })
    }

    /// The raw public key.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 32] {
        self.bytes
    }

    /// The raw public key.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.bytes
    }

    /// The text people compare.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint(plain(self.as_bytes()))
    }

    pub(crate) fn verify(
        &self,
        context: Context,
        digest: &Digest,
        signature: &[u8; 64],
    ) -> Result<(), BadSignature> {
        let statement = context.statement(digest);
        let genuine = self.parsed.verify(statement.as_slice(), signature);
        if genuine { Ok(()) } else { Err(BadSignature) }
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for PublicKey {}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.fingerprint())
    }
}

/// Whether the y coordinate, sign bit aside, is below 2^255 - 19. The only other ambiguous encodings
/// are those of two weak points.
fn is_canonical(bytes: &[u8; 32]) -> bool {
    let [low, middle @ .., high] = bytes;
    let reaches_p = high & 0x7f == 0x7f && middle.iter().all(|byte| *byte == 0xff) && *low >= 0xed;
    !reaches_p
}

/// SHA-256 of a public key. What `ssh-keygen -l` prints for its keys, for ours.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Fingerprint(pub(crate) [u8; 32]);

/// Text that is no fingerprint.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a fingerprint is \"SHA256:\" and 43 characters of base64")]
pub struct InvalidFingerprint;

impl FromStr for Fingerprint {
    type Err = InvalidFingerprint;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let encoded = text.strip_prefix("SHA256:").ok_or(InvalidFingerprint)?;
        let mut bytes = [0; 32];
        let decoded = Base64Unpadded::decode(encoded, &mut bytes).map(<[u8]>::len);
        if decoded == Ok(32) { Ok(Self(bytes)) } else { Err(InvalidFingerprint) }
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SHA256:{}", Base64Unpadded::encode_string(&self.0))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
