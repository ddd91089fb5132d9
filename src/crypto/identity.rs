//! A party's long-term key: one Ed25519 key, read from and written to PKCS#8 PEM.

use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey, EncodePrivateKey, KeypairBytes};
use zeroize::{Zeroize, Zeroizing};

use super::ed25519::{Context, PublicKey};
use super::hash::Digest;
use super::provider;
use super::schedule::Secret;
use super::seed::Seed;
use super::stack::{DEEP, wiped};

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
        wiped::<DEEP, _>(|| Self::from_secret(&seed.draw("identity")))
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
        wiped::<DEEP, _>(|| {
            let pair = pair_of(pem)?;
            let identity = Self::from_secret(&pair.secret_key);
            match &pair.public_key {
                Some(public) if public.0 != identity.public.to_bytes() => Err(PemError::Mismatch),
                _ => Ok(identity),
            }
        })
    }

    /// PKCS#8 PEM, version 1: the form that OpenSSL 3.0 and Python's `cryptography` read.
    #[must_use]
    pub fn to_pem(&self) -> Zeroizing<String> {
        wiped::<DEEP, _>(|| pem_of(self.secret.bytes()))
    }

    /// The public half.
    #[must_use]
    pub fn public_key(&self) -> &PublicKey {
        &self.public
    }

    /// The key of a store that only this identity opens. It hides nothing from whoever takes the disk
    /// with the key file on it; an application that keeps a secret elsewhere brings a key of its own.
    #[cfg(feature = "runtime")]
    #[cfg_attr(not(feature = "runtime"), allow(dead_code, reason = "the runtime opens stores"))]
    pub(crate) fn store_key(&self) -> super::at_rest::StoreKey {
        super::at_rest::StoreKey::of_identity(&self.secret)
    }

    pub(crate) fn sign(&self, context: Context, digest: &Digest) -> [u8; 64] {
        wiped::<DEEP, _>(|| self.signing.sign(context.statement(digest).as_slice()))
    }
}

/// What a PEM file holds. Looks at none of the secret's bytes (`tests/ct`); what follows from them
/// in public does not begin before the caller derives it.
pub(super) fn pair_of(pem: &str) -> Result<KeypairBytes, PemError> {
    KeypairBytes::from_pkcs8_pem(pem).map_err(|_| PemError::NotAKey)
}

pub(super) fn pem_of(secret: &[u8; 32]) -> Zeroizing<String> {
    let mut pair = KeypairBytes { secret_key: *secret, public_key: None };
    let pem = pair.to_pkcs8_pem(LineEnding::LF);
    pair.secret_key.zeroize();
    match pem {
        Ok(pem) => pem,
        Err(_) => unreachable!("32 bytes always encode"),
    }
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Identity({})", self.public.fingerprint())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::{Command, Stdio};

    use ed25519_dalek::pkcs8::PublicKeyBytes;

    use super::*;

    /// RFC 8410, 10.3: version 1, and version 2 with an attribute and the public key.
    const V1: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC
-----END PRIVATE KEY-----
";
    const V2: &str = "-----BEGIN PRIVATE KEY-----
MHICAQEwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC
oB8wHQYKKoZIhvcNAQkJFDEPDA1DdXJkbGUgQ2hhaXJzgSEAGb9ECWmEzf6FQbrB
Z9w7lshQhqowtrbLDFw4rXAxZuE=
-----END PRIVATE KEY-----
";
    const RFC_KEY: &str = "19bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1";

    #[test]
    fn a_key_that_openssl_made_loads() {
        let pem = openssl(&["genpkey", "-algorithm", "ed25519"], b"");
        let pem = String::from_utf8(pem).expect("text");
        let identity = Identity::from_pem(&pem).expect("a key");
        let spki = openssl(&["pkey", "-pubout", "-outform", "DER"], pem.as_bytes());
        assert!(spki.ends_with(identity.public_key().as_bytes()));
        assert_eq!(*identity.to_pem(), pem);
    }

    #[test]
    fn openssl_reads_our_key() {
        let identity = identity();
        let pem = identity.to_pem();
        let spki = openssl(&["pkey", "-pubout", "-outform", "DER"], pem.as_bytes());
        assert!(spki.ends_with(identity.public_key().as_bytes()));
        assert_eq!(openssl(&["pkey"], pem.as_bytes()), pem.as_bytes());
    }

    #[test]
    fn both_versions_of_the_standard_load() {
        for pem in [V1, V2] {
            let identity = Identity::from_pem(pem).expect("a key");
            assert_eq!(hex::encode(identity.public_key().to_bytes()), RFC_KEY);
            assert_eq!(*identity.to_pem(), V1);
        }
    }

    #[test]
    fn a_public_key_that_is_not_the_private_keys_is_refused() {
        let identity = identity();
        let with_public = |public: [u8; 32]| {
            let pair = KeypairBytes {
                secret_key: *identity.secret.bytes(),
                public_key: Some(PublicKeyBytes(public)),
            };
            pair.to_pkcs8_pem(LineEnding::LF).expect("it encodes")
        };
        let right = with_public(identity.public.to_bytes());
        assert_eq!(Identity::from_pem(&right).map(|read| read.public), Ok(identity.public.clone()));
        let mut other = identity.public.to_bytes();
        other[31] ^= 0x80;
        let wrong = with_public(other);
        assert_eq!(Identity::from_pem(&wrong).err(), Some(PemError::Mismatch));
    }

    #[test]
    fn text_that_is_no_key_of_ours_is_refused() {
        let other = openssl(&["genpkey", "-algorithm", "x25519"], b"");
        let other = String::from_utf8(other).expect("text");
        let sealed = V1.replace("PRIVATE", "ENCRYPTED PRIVATE");
        let public = V1.replace("PRIVATE", "PUBLIC");
        let cut = V1.replace("dVhC", "");
        for text in ["", "MC4CAQAwBQYDK2VwBCIEINTu", &other, &sealed, &public, &cut, &V1[1..]] {
            assert_eq!(Identity::from_pem(text).err(), Some(PemError::NotAKey), "{text:?}");
        }
    }

    #[test]
    fn a_seed_makes_one_identity() {
        let (first, again) = (identity(), identity());
        assert_eq!(first.public_key(), again.public_key());
        let other = Identity::from_seed(Seed::dangerous_reproducible([2; 32]));
        assert_ne!(first.public_key(), other.public_key());
    }

    #[cfg(feature = "runtime")]
    #[test]
    fn an_identity_has_one_store_key() {
        let name = |of: &Identity| of.store_key().naming().of("peer", b"edge-7");
        assert_eq!(name(&identity()), name(&identity()));
        let other = Identity::from_seed(Seed::dangerous_reproducible([2; 32]));
        assert_ne!(name(&identity()), name(&other));
    }

    #[test]
    fn an_identity_prints_its_fingerprint() {
        let identity = identity();
        let expected = format!("Identity({})", identity.public_key().fingerprint());
        assert_eq!(format!("{identity:?}"), expected);
    }

    fn identity() -> Identity {
        Identity::from_seed(Seed::dangerous_reproducible([1; 32]))
    }

    /// What `openssl` prints. `./ci.sh setup` installs it.
    fn openssl(arguments: &[&str], input: &[u8]) -> Vec<u8> {
        let command = Command::new("openssl")
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let mut child = command.expect("openssl is installed");
        child.stdin.take().expect("a pipe").write_all(input).expect("it reads");
        let output = child.wait_with_output().expect("it ends");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }
}
