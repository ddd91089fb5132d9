//! Credentials: short-lived statements by which one root vouches for a fleet. Signed bytes are kept
//! as received and never written anew.

use bytes::{BufMut, Bytes, BytesMut};

use super::verifier::Refusal;
use crate::crypto::{Context, Digest, Identity, KeyError, PublicKey, Seed, hash};
use crate::ids::{InvalidName, PeerId, Realm, Role};
use crate::limits::CREDENTIAL_BYTES;
use crate::time::UnixTime;
use crate::wire::{CredentialKind, CredentialLayout, EnrolmentLayout, Malformed, put_lv8};

/// A credential as read; its signature is checked against an issuer by [`super::Roots`].
#[derive(Clone)]
pub struct Credential {
    bytes: Bytes,
    kind: CredentialKind,
    serial: [u8; 16],
    not_before: UnixTime,
    not_after: UnixTime,
    roles: Roles,
    key: PublicKey,
    issuer: [u8; 8],
    realm: Realm,
    subject: PeerId,
    labels: Vec<(String, String)>,
    digest: Digest,
    signature: [u8; 64],
}

/// Why bytes are no credential, or a request is not granted.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialError {
    /// The bytes break the layout.
    #[error("malformed: {0}")]
    Malformed(#[from] Malformed),
    /// The key is not acceptable.
    #[error("key: {0}")]
    Key(#[from] KeyError),
    /// Realm or subject is no name, or a label is not UTF-8.
    #[error("name: {0}")]
    Name(#[from] InvalidName),
    /// The request is not signed by the key it names, or not over this nonce.
    #[error("no proof that the asker holds the key")]
    ProofOfPossession,
    /// Longer than a credential may be; shorten its labels.
    #[error("credential would be longer than {CREDENTIAL_BYTES} bytes")]
    TooLong,
}

/// Roles that a credential lets its key act in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Roles(u8);

impl Roles {
    /// Agent only.
    pub const AGENT: Self = Self(1);
    /// Backend only.
    pub const BACKEND: Self = Self(2);
    /// Both: for issuers, and for a party that relays.
    pub const BOTH: Self = Self(3);

    /// Whether `role` is among them.
    #[must_use]
    pub fn allow(self, role: Role) -> bool {
        self.0 & role.byte() != 0
    }

    /// Whether none of them lies outside `other`.
    #[must_use]
    pub fn within(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }
}

impl Credential {
    /// Reads a credential.
    ///
    /// # Errors
    ///
    /// [`CredentialError`] says what is wrong with the bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, CredentialError> {
        if bytes.len() > CREDENTIAL_BYTES {
            return Err(CredentialError::TooLong);
        }
        let (layout, signed, signature) = CredentialLayout::decode(bytes)?;
        Ok(Self {
            bytes: Bytes::copy_from_slice(bytes),
            kind: layout.kind,
            serial: layout.serial,
            not_before: UnixTime::from_secs(layout.not_before),
            not_after: UnixTime::from_secs(layout.not_after),
            roles: Roles(layout.roles),
            key: PublicKey::from_bytes(&layout.key)?,
            issuer: layout.issuer,
            realm: Realm::new(text(layout.realm)?)?,
            subject: PeerId::new(text(layout.subject)?)?,
            labels: labels(&layout)?,
            digest: hash(&[signed]),
            signature,
        })
    }

    /// The bytes, as signed.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The number its issuer gave it; a deny-list names it.
    #[must_use]
    pub fn serial(&self) -> [u8; 16] {
        self.serial
    }

    /// Whom it is for.
    #[must_use]
    pub fn subject(&self) -> &PeerId {
        &self.subject
    }

    /// The fleet it is for.
    #[must_use]
    pub fn realm(&self) -> &Realm {
        &self.realm
    }

    /// The key it vouches for.
    #[must_use]
    pub fn key(&self) -> &PublicKey {
        &self.key
    }

    /// What the key may act as.
    #[must_use]
    pub fn roles(&self) -> Roles {
        self.roles
    }

    /// First moment it is valid at.
    #[must_use]
    pub fn not_before(&self) -> UnixTime {
        self.not_before
    }

    /// Last moment it is valid at.
    #[must_use]
    pub fn not_after(&self) -> UnixTime {
        self.not_after
    }

    /// What else the issuer says of the subject.
    #[must_use]
    pub fn labels(&self) -> &[(String, String)] {
        &self.labels
    }

    pub(super) fn kind(&self) -> CredentialKind {
        self.kind
    }

    /// Whether `issuer` signed it.
    pub(super) fn verify_by(&self, issuer: &PublicKey) -> Result<(), Refusal> {
        let verified = issuer.verify(Context::Credential, &self.digest, &self.signature);
        verified.map_err(|_| Refusal::BadSignature)
    }

    pub(super) fn names_issuer(&self, issuer: &PublicKey) -> bool {
        self.issuer == issuer_id(issuer)
    }
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Credential({} in {}, {:?})", self.subject, self.realm, self.key)
    }
}

/// A credential, and the one of its issuer if that is not a root itself: what a party presents.
#[derive(Clone, Debug)]
pub struct Credentials {
    pub(super) leaf: Credential,
    pub(super) issuer: Option<Credential>,
}

impl Credentials {
    /// A credential that a root signed.
    #[must_use]
    pub fn new(leaf: Credential) -> Self {
        Self { leaf, issuer: None }
    }

    /// A credential that an issuer signed, whose own credential a root signed.
    #[must_use]
    pub fn with_issuer(leaf: Credential, issuer: Credential) -> Self {
        Self { leaf, issuer: Some(issuer) }
    }

    /// The leaf, then its issuer.
    pub(super) fn chain(&self) -> impl Iterator<Item = &Credential> {
        std::iter::once(&self.leaf).chain(&self.issuer)
    }
}

/// What a new credential says.
#[derive(Clone, Debug)]
pub struct Terms {
    /// Whom it is for.
    pub subject: PeerId,
    /// What the key may act as.
    pub roles: Roles,
    /// First moment it is valid at.
    pub not_before: UnixTime,
    /// Last moment it is valid at. [`crate::limits::CREDENTIAL_LIFE`] later is the usual span.
    pub not_after: UnixTime,
    /// What else to say; keys of up to 255 bytes, each once.
    pub labels: Vec<(String, String)>,
}

/// Signs credentials of one realm.
#[derive(Debug)]
pub struct Issuer {
    identity: Identity,
    realm: Realm,
}

impl Issuer {
    /// An issuer that signs with `identity` for `realm`.
    #[must_use]
    pub fn new(identity: Identity, realm: Realm) -> Self {
        Self { identity, realm }
    }

    /// The key that those who trust this issuer are told.
    #[must_use]
    pub fn public_key(&self) -> &PublicKey {
        self.identity.public_key()
    }

    /// A credential for `key`, whose holder must have proven to hold it (see [`Enrolment`]). `seed`
    /// gives its serial.
    ///
    /// # Errors
    ///
    /// [`CredentialError::TooLong`], and [`CredentialError::Malformed`] if a label's key is empty
    /// or comes twice.
    pub fn issue(
        &self,
        key: &PublicKey,
        terms: &Terms,
        seed: &Seed,
    ) -> Result<Credential, CredentialError> {
        self.sign(CredentialKind::Leaf, key, terms, seed)
    }

    /// A credential that lets `key` issue in this realm, one level below.
    ///
    /// # Errors
    ///
    /// As [`Issuer::issue`].
    pub fn delegate(
        &self,
        key: &PublicKey,
        terms: &Terms,
        seed: &Seed,
    ) -> Result<Credential, CredentialError> {
        self.sign(CredentialKind::Issuer, key, terms, seed)
    }

    fn sign(
        &self,
        kind: CredentialKind,
        key: &PublicKey,
        terms: &Terms,
        seed: &Seed,
    ) -> Result<Credential, CredentialError> {
        let labels = encode_labels(&terms.labels)?;
        let layout = CredentialLayout {
            kind,
            serial: *seed.draw("serial"),
            not_before: terms.not_before.as_secs(),
            not_after: terms.not_after.as_secs(),
            roles: terms.roles.0,
            key: key.to_bytes(),
            issuer: issuer_id(self.public_key()),
            realm: self.realm.as_str().as_bytes(),
            subject: terms.subject.as_str().as_bytes(),
            labels: &labels,
        };
        let mut out = BytesMut::with_capacity(CREDENTIAL_BYTES);
        layout.encode(&mut out);
        let signature = self.identity.sign(Context::Credential, &hash(&[&out]));
        out.put_slice(&signature);
        Credential::decode(&out)
    }
}

/// A request for a credential: proof that the asker holds the key it names.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Enrolment {
    key: PublicKey,
    subject: PeerId,
}

impl Enrolment {
    /// Asks for a credential for `identity` as `subject`, over the issuer's `nonce`.
    #[must_use]
    pub fn request(identity: &Identity, subject: &PeerId, nonce: [u8; 32]) -> Bytes {
        let key = identity.public_key().to_bytes();
        let subject = subject.as_str().as_bytes();
        let mut out = BytesMut::with_capacity(256);
        EnrolmentLayout { key, subject, nonce }.encode(&mut out);
        let signature = identity.sign(Context::Enrolment, &hash(&[&out]));
        out.put_slice(&signature);
        out.freeze()
    }

    /// Reads a request and checks that the holder of its key made it over `nonce`.
    ///
    /// # Errors
    ///
    /// [`CredentialError::ProofOfPossession`] if not; the others if it cannot be read.
    pub fn verify(request: &[u8], nonce: &[u8; 32]) -> Result<Self, CredentialError> {
        let (layout, signed, signature) = EnrolmentLayout::decode(request)?;
        let key = PublicKey::from_bytes(&layout.key)?;
        let subject = PeerId::new(text(layout.subject)?)?;
        let signed = key.verify(Context::Enrolment, &hash(&[signed]), &signature);
        if signed.is_err() || layout.nonce != *nonce {
            return Err(CredentialError::ProofOfPossession);
        }
        Ok(Self { key, subject })
    }

    /// The key whose holder asks.
    #[must_use]
    pub fn key(&self) -> &PublicKey {
        &self.key
    }

    /// The name it asks for. Whether it may have it is the issuer's decision.
    #[must_use]
    pub fn subject(&self) -> &PeerId {
        &self.subject
    }
}

fn issuer_id(key: &PublicKey) -> [u8; 8] {
    let [id @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] =
        key.fingerprint().0;
    id
}

fn text(bytes: &[u8]) -> Result<&str, InvalidName> {
    std::str::from_utf8(bytes).map_err(|_| InvalidName)
}

fn labels(layout: &CredentialLayout<'_>) -> Result<Vec<(String, String)>, InvalidName> {
    layout
        .labels()
        .map(|(key, value)| Ok((text(key)?.to_owned(), text(value)?.to_owned())))
        .collect()
}

fn encode_labels(labels: &[(String, String)]) -> Result<BytesMut, CredentialError> {
    let mut sorted: Vec<_> = labels.iter().collect();
    sorted.sort();
    let mut out = BytesMut::new();
    for (key, value) in sorted {
        if key.len() > 255 || value.len() > 255 {
            return Err(CredentialError::TooLong);
        }
        put_lv8(&mut out, key.as_bytes());
        put_lv8(&mut out, value.as_bytes());
    }
    if out.len() >= CREDENTIAL_BYTES { Err(CredentialError::TooLong) } else { Ok(out) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::tests::rig::{identity, realm, seed};

    #[test]
    fn roles_allow_what_they_name_and_lie_within_what_holds_them() {
        let [agent, backend, both] = [Roles::AGENT, Roles::BACKEND, Roles::BOTH];
        for (roles, allowed) in
            [(agent, [true, false]), (backend, [false, true]), (both, [true; 2])]
        {
            assert_eq!([Role::Agent, Role::Backend].map(|role| roles.allow(role)), allowed);
        }
        for (inner, within) in [
            (agent, [true, false, true]),
            (backend, [false, true, true]),
            (both, [false, false, true]),
        ] {
            assert_eq!([agent, backend, both].map(|outer| inner.within(outer)), within);
        }
    }

    #[test]
    fn a_credential_says_what_its_issuer_wrote() {
        let root = Issuer::new(identity(9), realm());
        let label = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let asked = terms(vec![label("site", "b"), label("rack", "4")]);
        let issued = root.issue(identity(1).public_key(), &asked, &seed(5)).unwrap();
        assert_eq!(issued.serial(), *seed(5).draw("serial"));
        assert_eq!(issued.labels(), [label("rack", "4"), label("site", "b")], "sorted");
        assert_eq!((issued.roles(), issued.key()), (Roles::AGENT, identity(1).public_key()));
        assert_eq!((issued.not_before(), issued.not_after()), (asked.not_before, asked.not_after));
        assert_eq!((issued.subject(), issued.realm()), (&asked.subject, &realm()));
        let read = Credential::decode(issued.as_bytes()).unwrap();
        assert_eq!(read.as_bytes(), issued.as_bytes());
        assert_eq!(format!("{read:?}"), format!("Credential(agent in test, {:?})", issued.key()));
    }

    /// proto-spec [H-17].
    #[test]
    fn a_credential_is_verified_by_its_issuer_only() {
        let [root, other] = [9, 8].map(|number| Issuer::new(identity(number), realm()));
        let issued = root.issue(identity(1).public_key(), &terms(vec![]), &seed(5)).unwrap();
        assert_eq!(issued.verify_by(root.public_key()), Ok(()));
        assert_eq!(issued.verify_by(other.public_key()), Err(Refusal::BadSignature));
        assert!(issued.names_issuer(root.public_key()));
        assert!(!issued.names_issuer(other.public_key()));
        assert_eq!(issued.kind(), CredentialKind::Leaf);
        let delegated = root.delegate(identity(1).public_key(), &terms(vec![]), &seed(5)).unwrap();
        assert_eq!(delegated.kind(), CredentialKind::Issuer);
    }

    /// Two KiB in all, and 255 bytes for each half of a label.
    #[test]
    fn a_credential_is_as_long_as_its_bound_and_no_longer() {
        let root = Issuer::new(identity(9), realm());
        let issue = |labels| root.issue(identity(1).public_key(), &terms(labels), &seed(5));
        let bytes = |labels| issue(labels).map(|issued| issued.as_bytes().len());
        let label = |number: u8, length: usize| (format!("{number}"), "x".repeat(length));
        // Each label takes two bytes for lengths, and one for its key.
        let full = |last: usize| (0..7).map(|n| label(n, 240)).chain([label(7, last)]).collect();
        let rest = CREDENTIAL_BYTES - bytes(full(0)).unwrap();
        assert!(rest <= 254, "the last label is short enough to be one");
        assert_eq!(bytes(full(rest)), Ok(CREDENTIAL_BYTES));
        assert_eq!(bytes(full(rest + 1)), Err(CredentialError::TooLong));
        // Longer than any length field could say.
        let endless = (0..=u8::MAX).map(|number| label(number, 255)).chain([label(0, 255)]);
        let endless: Vec<_> = endless.collect();
        assert!(endless.len() * 256 > usize::from(u16::MAX));
        assert_eq!(bytes(endless), Err(CredentialError::TooLong));
        for length in [255, 256] {
            let expected = if length == 255 { None } else { Some(CredentialError::TooLong) };
            let long = "x".repeat(length);
            assert_eq!(issue(vec![(long.clone(), "v".to_owned())]).err(), expected);
            assert_eq!(issue(vec![("k".to_owned(), long)]).err(), expected);
        }
        let longer = [0; CREDENTIAL_BYTES + 1];
        assert_eq!(Credential::decode(&longer).err(), Some(CredentialError::TooLong));
    }

    /// proto-spec [H-24].
    #[test]
    fn a_request_serves_one_nonce_and_only_as_it_was_signed() {
        let request = Enrolment::request(&identity(1), &terms(vec![]).subject, [4; 32]);
        let asked = Enrolment::verify(&request, &[4; 32]).unwrap();
        assert_eq!(asked.key(), identity(1).public_key());
        assert_eq!(asked.subject().as_str(), "agent");
        let no_proof = Some(CredentialError::ProofOfPossession);
        assert_eq!(Enrolment::verify(&request, &[5; 32]).err(), no_proof);
        let mut forged = request.to_vec();
        *forged.last_mut().unwrap() ^= 1;
        assert_eq!(Enrolment::verify(&forged, &[4; 32]).err(), no_proof);
    }

    fn terms(labels: Vec<(String, String)>) -> Terms {
        Terms {
            subject: PeerId::new("agent").unwrap(),
            roles: Roles::AGENT,
            not_before: UnixTime::from_secs(1_000),
            not_after: UnixTime::from_secs(2_000),
            labels,
        }
    }
}
