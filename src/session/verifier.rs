//! Whom this side admits. Decides on a claim; whether the peer holds the claimed key is proven
//! elsewhere, by the handshake's signature.

use std::collections::{BTreeMap, BTreeSet};

use super::credential::{Credential, CredentialError, Credentials};
use crate::crypto::{Fingerprint, PublicKey};
use crate::ids::{PeerId, Realm, Role};
use crate::limits::CLOCK_SKEW;
use crate::time::UnixTime;
use crate::wire::{self, CredentialKind};

/// Who a peer says it is.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant, reason = "with the default provider: made once a handshake")]
pub enum Claim {
    /// The holder of a key.
    Key(PublicKey),
    /// The subject of a credential.
    Credentials(Box<Credentials>),
}

impl Claim {
    /// Reads the identity block of a handshake.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, super::HandshakeError> {
        let read = |bytes| {
            Credential::decode(bytes).map_err(|error| match error {
                CredentialError::Key(key) => super::HandshakeError::Key(key),
                other => super::HandshakeError::Credential(other),
            })
        };
        let claim = wire::Claim::decode(bytes);
        Ok(
            match claim.map_err(|malformed| super::HandshakeError::Credential(malformed.into()))? {
                wire::Claim::Key(key) => Self::Key(PublicKey::from_bytes(&key)?),
                wire::Claim::Credentials { leaf, issuer } => {
                    let issuer = issuer.map(read).transpose()?;
                    Self::Credentials(Box::new(Credentials { leaf: read(leaf)?, issuer }))
                }
            },
        )
    }

    /// The key that the claim stands or falls with.
    #[must_use]
    pub fn key(&self) -> &PublicKey {
        match self {
            Self::Key(key) => key,
            Self::Credentials(credentials) => credentials.leaf.key(),
        }
    }

    /// Whom a credential is for.
    pub(super) fn subject(&self) -> Option<&PeerId> {
        match self {
            Self::Key(_) => None,
            Self::Credentials(credentials) => Some(credentials.leaf.subject()),
        }
    }
}

/// What the handshake asks of a verifier.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The fleet the handshake is in.
    pub realm: &'a Realm,
    /// What the peer must be allowed to act as.
    pub role: Role,
    /// The wall clock.
    pub now: UnixTime,
}

/// A peer that was admitted and proven: who speaks at the other end of a session.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Peer {
    /// Its name.
    pub id: PeerId,
    /// What it acts as.
    pub role: Role,
    /// Its key.
    pub key: PublicKey,
    /// What its issuer says of it.
    pub labels: Vec<(String, String)>,
    /// When its admission runs out, if it does.
    pub not_after: Option<UnixTime>,
}

/// Why a claim is not admitted. Told to this side's log only; the peer sees one refusal for all.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// Nobody pinned this key.
    #[error("its key is not pinned")]
    UnknownKey,
    /// A bare key where credentials are required.
    #[error("it presents no credential")]
    NoCredential,
    /// No trusted root issued it.
    #[error("its credential's issuer is not trusted")]
    UnknownIssuer,
    /// The issuer did not sign it.
    #[error("its credential's signature is wrong")]
    BadSignature,
    /// A leaf where an issuer must stand, or the reverse.
    #[error("its credential is of the wrong kind")]
    WrongKind,
    /// For another fleet.
    #[error("its credential is for another realm")]
    WrongRealm,
    /// It may not act in the role it takes.
    #[error("it may not act in this role")]
    WrongRole,
    /// Not valid yet, by more than the clocks may differ.
    #[error("its credential is not valid yet")]
    NotYetValid,
    /// Not valid any more, by more than the clocks may differ.
    #[error("its credential has expired")]
    Expired,
    /// On the deny-list.
    #[error("it is revoked")]
    Revoked,
    /// Trusted, but not the one peer that was asked for.
    #[error("it is another peer than the one that was asked for")]
    OtherPeer,
}

/// What both ends of a first contact know of the responder.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Anchor {
    /// Its key.
    Key(Fingerprint),
    /// The root that vouches for it.
    Root(Fingerprint),
}

/// Decides whom this side speaks with. Called once a handshake, after the peer proved to hold the
/// key of its claim; what else the claim says is for the verifier to check.
pub trait Verifier: Send + Sync {
    /// Admits a claim or says why not.
    ///
    /// # Errors
    ///
    /// [`Refusal`] names the cause, for this side's log.
    fn admit(&self, claim: &Claim, asked: &Asked<'_>) -> Result<Peer, Refusal>;

    /// What an initiator with this verifier knocks with, unless its configuration says.
    fn anchor(&self) -> Option<Anchor> {
        None
    }
}

impl<V: Verifier + ?Sized> Verifier for std::sync::Arc<V> {
    fn admit(&self, claim: &Claim, asked: &Asked<'_>) -> Result<Peer, Refusal> {
        (**self).admit(claim, asked)
    }

    fn anchor(&self) -> Option<Anchor> {
        (**self).anchor()
    }
}

/// Admits the keys it was told, under the names it was told.
#[derive(Clone, Debug, Default)]
pub struct Pinned(BTreeMap<Fingerprint, (PeerId, Role)>);

impl Pinned {
    /// Admits one key.
    #[must_use]
    pub fn one(id: PeerId, role: Role, key: Fingerprint) -> Self {
        Self::default().and(id, role, key)
    }

    /// Admits one more key. A key has one name; the last wins.
    #[must_use]
    pub fn and(mut self, id: PeerId, role: Role, key: Fingerprint) -> Self {
        self.0.insert(key, (id, role));
        self
    }
}

impl Verifier for Pinned {
    fn admit(&self, claim: &Claim, asked: &Asked<'_>) -> Result<Peer, Refusal> {
        let key = claim.key();
        let (id, role) = self.0.get(&key.fingerprint()).ok_or(Refusal::UnknownKey)?;
        if *role != asked.role {
            return Err(Refusal::WrongRole);
        }
        // A pin stands in for the issuers' signatures, not for what the holder itself presents.
        let presented = match claim {
            Claim::Key(_) => None,
            Claim::Credentials(presented) => Some(&**presented),
        };
        let credentials = presented.into_iter().flat_map(Credentials::chain);
        let mut not_after = None;
        for credential in credentials {
            check(credential, asked)?;
            let end = credential.not_after();
            not_after = Some(not_after.map_or(end, |first: UnixTime| first.min(end)));
        }
        let (id, role, key) = (id.clone(), *role, key.clone());
        Ok(Peer { id, role, key, labels: Vec::new(), not_after })
    }

    fn anchor(&self) -> Option<Anchor> {
        // With more than one, a knock has to be given: nothing says which of them is dialled.
        let only = self.0.keys().next().filter(|_| self.0.len() == 1);
        only.copied().map(Anchor::Key)
    }
}

/// Admits whoever a trusted root vouches for, directly or through one issuer.
#[derive(Clone, Debug)]
pub struct Roots {
    roots: Vec<PublicKey>,
    revoked_serials: BTreeSet<[u8; 16]>,
    revoked_keys: BTreeSet<Fingerprint>,
}

impl Roots {
    /// Trusts one root.
    #[must_use]
    pub fn new(root: PublicKey) -> Self {
        let (revoked_serials, revoked_keys) = (BTreeSet::new(), BTreeSet::new());
        Self { roots: vec![root], revoked_serials, revoked_keys }
    }

    /// Trusts one more root, for instance the next one during a rotation.
    #[must_use]
    pub fn and(mut self, root: PublicKey) -> Self {
        self.roots.push(root);
        self
    }

    /// Refuses the credential of this serial from now on.
    #[must_use]
    pub fn revoking_serial(mut self, serial: [u8; 16]) -> Self {
        self.revoked_serials.insert(serial);
        self
    }

    /// Refuses this key from now on, whatever vouches for it.
    #[must_use]
    pub fn revoking_key(mut self, key: Fingerprint) -> Self {
        self.revoked_keys.insert(key);
        self
    }

    fn root_of(&self, credential: &Credential) -> Result<&PublicKey, Refusal> {
        let root = self.roots.iter().find(|root| credential.names_issuer(root));
        root.ok_or(Refusal::UnknownIssuer)
    }

    /// What holds for every credential of a chain.
    fn check(&self, credential: &Credential, asked: &Asked<'_>) -> Result<(), Refusal> {
        check(credential, asked)?;
        let revoked = self.revoked_serials.contains(&credential.serial())
            || self.revoked_keys.contains(&credential.key().fingerprint());
        if revoked { Err(Refusal::Revoked) } else { Ok(()) }
    }
}

impl Verifier for Roots {
    fn admit(&self, claim: &Claim, asked: &Asked<'_>) -> Result<Peer, Refusal> {
        let Claim::Credentials(presented) = claim else {
            return Err(Refusal::NoCredential);
        };
        let Credentials { leaf, issuer } = &**presented;
        let mut not_after = leaf.not_after();
        match issuer {
            None => leaf.verify_by(self.root_of(leaf)?)?,
            Some(issuer) => {
                issuer.verify_by(self.root_of(issuer)?)?;
                if issuer.kind() != CredentialKind::Issuer {
                    return Err(Refusal::WrongKind);
                }
                self.check(issuer, asked)?;
                if !leaf.names_issuer(issuer.key()) {
                    return Err(Refusal::UnknownIssuer);
                }
                leaf.verify_by(issuer.key())?;
                if !leaf.roles().within(issuer.roles()) {
                    return Err(Refusal::WrongRole);
                }
                not_after = not_after.min(issuer.not_after());
            }
        }
        if leaf.kind() != CredentialKind::Leaf {
            return Err(Refusal::WrongKind);
        }
        self.check(leaf, asked)?;
        Ok(Peer {
            id: leaf.subject().clone(),
            role: asked.role,
            key: leaf.key().clone(),
            labels: leaf.labels().to_vec(),
            not_after: Some(not_after),
        })
    }

    fn anchor(&self) -> Option<Anchor> {
        self.roots.first().map(|root| Anchor::Root(root.fingerprint()))
    }
}

/// Realm, role and validity of one credential.
fn check(credential: &Credential, asked: &Asked<'_>) -> Result<(), Refusal> {
    if credential.realm() != asked.realm {
        return Err(Refusal::WrongRealm);
    }
    if !credential.roles().allow(asked.role) {
        return Err(Refusal::WrongRole);
    }
    if asked.now.after(CLOCK_SKEW) < credential.not_before() {
        return Err(Refusal::NotYetValid);
    }
    if asked.now > credential.not_after().after(CLOCK_SKEW) {
        return Err(Refusal::Expired);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::session::config::claim_of;
    use crate::session::tests::rig::{identity, realm, seed};
    use crate::session::{HandshakeError, Issuer, Roles, Terms};

    const ROOT: u8 = 9;
    const ISSUER: u8 = 8;
    const AGENT: u8 = 1;

    #[test]
    fn one_pin_or_the_first_root_is_what_an_initiator_knocks_with() {
        let [first, second] = [1, 2].map(|number| identity(number).public_key().clone());
        let one = Pinned::one(name("a"), Role::Agent, first.fingerprint());
        assert_eq!(one.anchor(), Some(Anchor::Key(first.fingerprint())));
        assert_eq!(Arc::new(one.clone()).anchor(), one.anchor());
        assert_eq!(one.and(name("b"), Role::Agent, second.fingerprint()).anchor(), None);
        let roots = Roots::new(first.clone()).and(second);
        assert_eq!(roots.anchor(), Some(Anchor::Root(first.fingerprint())));
        assert_eq!(Nobody.anchor(), None, "unless it says so");
    }

    #[test]
    fn a_shared_verifier_decides_as_the_one_inside() {
        let claim = Claim::Key(identity(AGENT).public_key().clone());
        let pins = Pinned::one(name("a"), Role::Agent, claim.key().fingerprint());
        let admitted = Arc::new(pins.clone()).admit(&claim, &asked(&realm()));
        assert_eq!(admitted, pins.admit(&claim, &asked(&realm())));
        assert_eq!(admitted.map(|peer| peer.id), Ok(name("a")));
        let refused = Arc::new(Nobody).admit(&claim, &asked(&realm()));
        assert_eq!(refused, Err(Refusal::UnknownKey));
    }

    #[test]
    fn an_identity_block_is_a_key_or_credentials() {
        let leaf = issue(ROOT, AGENT, terms());
        let read = Claim::decode(&claim_of(&Credentials::new(leaf))).unwrap();
        assert_eq!(read.subject(), Some(&name("agent")));
        assert_eq!(read.key(), identity(AGENT).public_key());
        let key = [&[1][..], identity(AGENT).public_key().as_bytes()].concat();
        let read = Claim::decode(&key).unwrap();
        assert_eq!((read.subject(), read.key()), (None, identity(AGENT).public_key()));
        let zero = Claim::decode(&[&[1][..], &[0; 32]].concat());
        assert!(matches!(zero, Err(HandshakeError::Key(_))), "{zero:?}");
        assert!(matches!(Claim::decode(&[]), Err(HandshakeError::Credential(_))));
    }

    #[test]
    fn a_pin_admits_its_key_in_its_role() {
        let key = identity(AGENT).public_key().clone();
        let pins = Pinned::one(name("a"), Role::Agent, key.fingerprint());
        let (bare, realm) = (Claim::Key(key.clone()), realm());
        let peer = pins.admit(&bare, &asked(&realm)).unwrap();
        assert_eq!((peer.id, peer.role, peer.key), (name("a"), Role::Agent, key));
        assert_eq!((peer.not_after, peer.labels), (None, vec![]));
        let as_backend = Asked { role: Role::Backend, ..asked(&realm) };
        assert_eq!(pins.admit(&bare, &as_backend), Err(Refusal::WrongRole));
        let stranger = Claim::Key(identity(3).public_key().clone());
        assert_eq!(pins.admit(&stranger, &asked(&realm)), Err(Refusal::UnknownKey));
        // What it presents besides has to hold too.
        let peer = pins.admit(&claim(issue(ROOT, AGENT, terms()), None), &asked(&realm)).unwrap();
        assert_eq!(peer.not_after, Some(terms().not_after));
        let backend_only = issue(ROOT, AGENT, Terms { roles: Roles::BACKEND, ..terms() });
        let refused = pins.admit(&claim(backend_only, None), &asked(&realm));
        assert_eq!(refused, Err(Refusal::WrongRole));
    }

    /// proto-spec [H-18], [H-19], [H-20]: validity with five minutes for the clocks, realm and role.
    #[test]
    fn a_root_admits_where_and_while_its_credential_says() {
        let roots = Roots::new(identity(ROOT).public_key().clone());
        let (realm, other) = (realm(), Realm::new("other").unwrap());
        let leaf = claim(issue(ROOT, AGENT, terms()), None);
        let at = |seconds| Asked { now: UnixTime::from_secs(seconds), ..asked(&realm) };
        let admits = |asked: Asked<'_>| roots.admit(&leaf, &asked).map(|peer| peer.not_after);
        let (ok, skew) = (Ok(Some(terms().not_after)), CLOCK_SKEW.as_secs());
        assert_eq!(admits(at(10_000 - skew)), ok);
        assert_eq!(admits(at(10_000 - skew - 1)), Err(Refusal::NotYetValid));
        assert_eq!(admits(at(20_000 + skew)), ok);
        assert_eq!(admits(at(20_000 + skew + 1)), Err(Refusal::Expired));
        assert_eq!(admits(Asked { realm: &other, ..at(10_000) }), Err(Refusal::WrongRealm));
        assert_eq!(admits(Asked { role: Role::Backend, ..at(10_000) }), Err(Refusal::WrongRole));
        let bare = Claim::Key(identity(AGENT).public_key().clone());
        assert_eq!(roots.admit(&bare, &at(10_000)), Err(Refusal::NoCredential));
        for stranger in [3, ISSUER] {
            let leaf = claim(issue(stranger, AGENT, terms()), None);
            assert_eq!(roots.admit(&leaf, &at(10_000)), Err(Refusal::UnknownIssuer));
        }
    }

    /// proto-spec [H-17], [H-19].
    #[test]
    fn a_chain_is_a_leaf_below_an_issuer_below_a_root() {
        let roots = Roots::new(identity(ROOT).public_key().clone());
        let realm = realm();
        let admits = |leaf: &Credential, issuer: &Credential| {
            let admitted = roots.admit(&claim(leaf.clone(), Some(issuer.clone())), &asked(&realm));
            admitted.map(|peer| peer.not_after)
        };
        let leaf = issue(ISSUER, AGENT, terms());
        let sooner = UnixTime::from_secs(15_000);
        for (issuers, expected) in
            [(terms(), terms().not_after), (Terms { not_after: sooner, ..terms() }, sooner)]
        {
            let issuer = delegate(ROOT, ISSUER, issuers);
            assert_eq!(admits(&leaf, &issuer), Ok(Some(expected)), "the shorter of the two");
        }
        let issuer = delegate(ROOT, ISSUER, terms());
        assert_eq!(admits(&leaf, &issue(ROOT, ISSUER, terms())), Err(Refusal::WrongKind));
        let below = delegate(ISSUER, AGENT, terms());
        assert_eq!(admits(&below, &issuer), Err(Refusal::WrongKind));
        let direct = claim(delegate(ROOT, AGENT, terms()), None);
        assert_eq!(roots.admit(&direct, &asked(&realm)), Err(Refusal::WrongKind));
        assert_eq!(admits(&issue(ROOT, AGENT, terms()), &issuer), Err(Refusal::UnknownIssuer));
        let both = issue(ISSUER, AGENT, Terms { roles: Roles::BOTH, ..terms() });
        assert_eq!(admits(&both, &issuer), Err(Refusal::WrongRole), "more than the issuer may");
        let past = Terms { not_after: UnixTime::from_secs(10_001), ..terms() };
        assert_eq!(admits(&leaf, &delegate(ROOT, ISSUER, past)), Err(Refusal::Expired));
    }

    /// proto-spec [H-22]: either of serial and key is enough, at either place of a chain.
    #[test]
    fn what_is_on_a_deny_list_is_refused() {
        let (leaf, issuer) = (issue(ISSUER, AGENT, terms()), delegate(ROOT, ISSUER, terms()));
        let realm = realm();
        let roots = || Roots::new(identity(ROOT).public_key().clone());
        let presented = claim(leaf.clone(), Some(issuer.clone()));
        assert!(roots().revoking_serial([7; 16]).admit(&presented, &asked(&realm)).is_ok());
        for revoked in [&leaf, &issuer] {
            let by_serial = roots().revoking_serial(revoked.serial());
            let by_key = roots().revoking_key(revoked.key().fingerprint());
            for roots in [by_serial, by_key] {
                assert_eq!(roots.admit(&presented, &asked(&realm)), Err(Refusal::Revoked));
            }
        }
    }

    struct Nobody;

    impl Verifier for Nobody {
        fn admit(&self, _: &Claim, _: &Asked<'_>) -> Result<Peer, Refusal> {
            Err(Refusal::UnknownKey)
        }
    }

    fn name(name: &str) -> PeerId {
        PeerId::new(name).unwrap()
    }

    fn asked(realm: &Realm) -> Asked<'_> {
        Asked { realm, role: Role::Agent, now: UnixTime::from_secs(15_000) }
    }

    fn claim(leaf: Credential, issuer: Option<Credential>) -> Claim {
        Claim::Credentials(Box::new(Credentials { leaf, issuer }))
    }

    /// Valid from 10 000 to 20 000.
    fn terms() -> Terms {
        Terms {
            subject: name("agent"),
            roles: Roles::AGENT,
            not_before: UnixTime::from_secs(10_000),
            not_after: UnixTime::from_secs(10_000).after(Duration::from_secs(10_000)),
            labels: Vec::new(),
        }
    }

    fn issue(by: u8, key: u8, terms: Terms) -> Credential {
        let issuer = Issuer::new(identity(by), realm());
        issuer.issue(identity(key).public_key(), &terms, &seed(5)).unwrap()
    }

    fn delegate(by: u8, key: u8, terms: Terms) -> Credential {
        let issuer = Issuer::new(identity(by), realm());
        issuer.delegate(identity(key).public_key(), &terms, &seed(6)).unwrap()
    }
}
