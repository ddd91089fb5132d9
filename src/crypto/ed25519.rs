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
/// The longest statement has 126.
const STATEMENT_MAX: usize = 128;

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
        Fingerprint::of(self.as_bytes())
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

impl Fingerprint {
    /// The fingerprint of a key's 32 bytes, whether or not they are a key that would be accepted.
    pub(crate) fn of(key: &[u8; 32]) -> Self {
        Self(plain(key))
    }
}

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

#[cfg(test)]
mod tests {
    use super::super::identity::Identity;
    use super::super::seed::Seed;
    use super::*;

    /// RFC 8032, 7.1, test 1.
    const POINT: &str = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
    const FINGERPRINT: &str = "SHA256:If4x36FUomFia/hUBG/SJxt77UtqvkWqWId+9H+XIbk";

    /// proto-spec 01-terms, 1.4.
    #[test]
    fn a_statement_is_spaces_the_name_a_zero_and_the_digest() {
        let names = [
            "waxwire/1 handshake initiator",
            "waxwire/1 handshake responder",
            "waxwire/1 rekey initiator",
            "waxwire/1 rekey responder",
            "waxwire/1 refresh initiator",
            "waxwire/1 refresh responder",
            "waxwire/1 credential",
            "waxwire/1 enrolment",
        ];
        for (context, name) in Context::ALL.into_iter().zip(names) {
            let expected = [&[0x20; 64][..], name.as_bytes(), &[0], &[7; 32]].concat();
            assert_eq!(context.statement(&Digest([7; 32])).as_slice(), expected);
        }
    }

    #[test]
    fn no_name_begins_another() {
        let statements = Context::ALL.map(|context| context.statement(&Digest([0; 32])));
        for (i, first) in statements.iter().enumerate() {
            let named = &first.as_slice()[..first.length - 32];
            for (j, second) in statements.iter().enumerate() {
                assert_eq!(second.as_slice().starts_with(named), i == j);
            }
        }
    }

    /// proto-spec [H-12]: another context, digest, key or bit.
    #[test]
    fn a_signature_serves_one_statement() {
        let identity = Identity::from_seed(Seed::dangerous_reproducible([1; 32]));
        let other = Identity::from_seed(Seed::dangerous_reproducible([2; 32]));
        let digest = Digest([7; 32]);
        for context in Context::ALL {
            let signature = identity.sign(context, &digest);
            let key = identity.public_key();
            for read in Context::ALL {
                let verified = key.verify(read, &digest, &signature);
                assert_eq!(verified.is_ok(), read == context, "{context:?} as {read:?}");
            }
            let bad = Err(BadSignature);
            assert_eq!(key.verify(context, &Digest([8; 32]), &signature), bad);
            assert_eq!(other.public_key().verify(context, &digest, &signature), bad);
            for index in 0..64 {
                let mut signature = signature;
                signature[index] ^= 1;
                assert_eq!(key.verify(context, &digest, &signature), bad, "byte {index}");
            }
        }
    }

    /// proto-spec [H-11], rule 1: y is below p.
    #[test]
    fn a_key_that_is_not_reduced_is_refused() {
        for low in 0xed..=0xff {
            for high in [0x7f, 0xff] {
                let key = PublicKey::from_bytes(&ends(low, 0xff, high));
                assert_eq!(key, Err(KeyError::NonCanonical), "{low:#04x} {high:#04x}");
            }
        }
        let below = [
            ends(0xec, 0xff, 0x7f),
            ends(0x00, 0xff, 0x7f),
            ends(0xff, 0xff, 0x7e),
            ends(0xff, 0xff, 0x00),
            ends(0xff, 0xff, 0x80),
            ends(0xff, 0xfe, 0x7f),
            ends(0xff, 0x00, 0xff),
        ];
        for bytes in below {
            assert_ne!(PublicKey::from_bytes(&bytes), Err(KeyError::NonCanonical), "{bytes:02x?}");
        }
        for index in 1..31 {
            let mut bytes = ends(0xff, 0xff, 0x7f);
            bytes[index] = 0xfe;
            assert_ne!(PublicKey::from_bytes(&bytes), Err(KeyError::NonCanonical), "{index}");
        }
    }

    /// proto-spec [H-11], rule 1.
    #[test]
    fn a_key_that_is_no_point_is_refused() {
        assert_eq!(PublicKey::from_bytes(&ends(2, 0, 0)), Err(KeyError::NotAPoint));
    }

    /// proto-spec [H-11], rule 2: the eight points of small order, and both signs of x = 0.
    #[test]
    fn a_weak_key_is_refused() {
        let order_eight = [
            "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
            "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        ];
        let mut weak = vec![ends(1, 0, 0), ends(0, 0, 0), ends(0xec, 0xff, 0x7f)];
        weak.extend(order_eight.map(bytes));
        for mut point in weak {
            for sign in [0, 0x80] {
                point[31] = point[31] & 0x7f | sign;
                assert_eq!(PublicKey::from_bytes(&point), Err(KeyError::Weak), "{point:02x?}");
            }
        }
    }

    #[test]
    fn a_key_is_its_bytes_and_shows_its_fingerprint() {
        let key = PublicKey::from_bytes(&bytes(POINT)).expect("a point");
        assert_eq!(key.to_bytes(), bytes(POINT));
        assert_eq!(key.as_bytes(), &bytes(POINT));
        assert_eq!(key.fingerprint().to_string(), FINGERPRINT);
        assert_eq!(format!("{:?}", key.fingerprint()), FINGERPRINT);
        assert_eq!(format!("{key:?}"), format!("PublicKey({FINGERPRINT})"));
        let other = Identity::from_seed(Seed::dangerous_reproducible([1; 32]));
        assert_ne!(&key, other.public_key());
        assert_eq!(key, key.clone());
        assert_ne!(key.fingerprint(), other.public_key().fingerprint());
    }

    /// proto-spec 01-terms, 1.5.
    #[test]
    fn a_fingerprint_is_read_from_its_text_and_from_no_other() {
        let key = PublicKey::from_bytes(&bytes(POINT)).expect("a point");
        assert_eq!(FINGERPRINT.parse(), Ok(key.fingerprint()));
        let bare = FINGERPRINT.trim_start_matches("SHA256:");
        let refused = [
            String::new(),
            "SHA256:".to_owned(),
            bare.to_owned(),
            format!("sha256:{bare}"),
            format!("SHA512:{bare}"),
            format!(" {FINGERPRINT}"),
            format!("{FINGERPRINT} "),
            format!("{FINGERPRINT}="),
            format!("{FINGERPRINT}A"),
            format!("SHA256:{}", &bare[..42]),
            format!("SHA256:{}", &bare[1..]),
            format!("SHA256:{}*", &bare[..42]),
            format!("SHA256:{}", "_".repeat(43)),
            // The last of 43 characters holds two bits that are not used.
            format!("SHA256:{}B", "A".repeat(42)),
        ];
        for text in refused {
            assert_eq!(text.parse::<Fingerprint>(), Err(InvalidFingerprint), "{text:?}");
        }
    }

    fn bytes(text: &str) -> [u8; 32] {
        hex::decode(text).ok().and_then(|bytes| bytes.try_into().ok()).expect("32 bytes of hex")
    }

    fn ends(low: u8, middle: u8, high: u8) -> [u8; 32] {
        let mut bytes = [middle; 32];
        (bytes[0], bytes[31]) = (low, high);
        bytes
    }
}
