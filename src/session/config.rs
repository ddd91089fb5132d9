//! What one side brings to its handshakes. Asks for what has no safe default and states the rest.

use bytes::BytesMut;

use super::chain::Continuity;
use super::credential::Credentials;
use super::knock::Knock;
use super::padding::Padding;
use super::verifier::{Anchor, Verifier};
#[cfg(feature = "runtime")]
use crate::crypto::Fingerprint;
use crate::crypto::{Identity, Suite};
use crate::ids::{Realm, Role};
use crate::limits::{KNOCK_KEYS, RECORD_BYTES, RECORD_BYTES_MAX, RECORD_BYTES_MIN};
use crate::wire::{Claim, encode_claim};

/// One side's identity, trust and policy. Shared by all its handshakes.
pub struct Config {
    pub(super) realm: Realm,
    pub(super) role: Role,
    pub(super) identity: Identity,
    /// The identity block that this side sends.
    pub(super) claim: BytesMut,
    pub(super) peer: Box<dyn Verifier>,
    pub(super) suites: Vec<Suite>,
    /// Knocks that were given.
    knocks: Vec<Knock>,
    /// Knocks that follow from keys, for a responder.
    own_knocks: Vec<Knock>,
    pub(super) continuity: Continuity,
    pub(super) padding: Padding,
    pub(super) record_bytes: u16,
    pub(super) fallback: bool,
}

/// A setting that cannot be used.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The credential is for another key than the identity's.
    #[error("credential is for another key than the identity's")]
    OtherKey,
    /// The credential is for another realm.
    #[error("credential is for another realm")]
    OtherRealm,
    /// The credential does not allow this side's role.
    #[error("credential does not allow this side's role")]
    OtherRole,
    /// No suite.
    #[error("at least one suite is needed")]
    NoSuite,
    /// More knocks than a responder checks.
    #[error("at most {KNOCK_KEYS} knocks are checked")]
    TooManyKnocks,
    /// A record size outside what the protocol has.
    #[error("records hold {RECORD_BYTES_MIN} to {RECORD_BYTES_MAX} bytes")]
    RecordBytes,
    /// The transport takes shorter records in than the configuration announces. Give both the same.
    #[error("the transport takes records of {0} bytes; the configuration announces {1}")]
    TransportRecordBytes(usize, usize),
    /// Nothing to knock with: the verifier names no key or root.
    #[error("nothing to knock with; give a knock, or a verifier that names a key or root")]
    NoKnock,
}

/// A configuration that lacks only whom to trust.
#[derive(Debug)]
pub struct WantsPeer {
    realm: Realm,
    role: Role,
    identity: Identity,
}

impl Config {
    /// An agent's configuration.
    #[must_use]
    pub fn agent(realm: Realm, identity: Identity) -> WantsPeer {
        WantsPeer { realm, role: Role::Agent, identity }
    }

    /// A backend's configuration.
    #[must_use]
    pub fn backend(realm: Realm, identity: Identity) -> WantsPeer {
        WantsPeer { realm, role: Role::Backend, identity }
    }

    /// Credentials to present instead of the bare key. Default: the bare key, which the other side
    /// must have pinned.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if they are for another key or realm.
    pub fn with_credentials(mut self, credentials: &Credentials) -> Result<Self, ConfigError> {
        let leaf = &credentials.leaf;
        if leaf.key() != self.identity.public_key() {
            return Err(ConfigError::OtherKey);
        }
        if leaf.realm() != &self.realm {
            return Err(ConfigError::OtherRealm);
        }
        if !leaf.roles().allow(self.role) {
            return Err(ConfigError::OtherRole);
        }
        self.claim = claim_of(credentials);
        Ok(self)
    }

    /// Suites allowed, in any order: [`Suite::Hybrid`] is preferred wherever it is among them.
    /// Default: [`Suite::Hybrid`] only.
    ///
    /// # Errors
    ///
    /// [`ConfigError::NoSuite`] if there are none.
    pub fn with_suites(mut self, suites: &[Suite]) -> Result<Self, ConfigError> {
        if suites.is_empty() {
            return Err(ConfigError::NoSuite);
        }
        self.suites.clear();
        for suite in suites {
            if !self.suites.contains(suite) {
                self.suites.push(*suite);
            }
        }
        self.suites.sort_by_key(|suite| suite.to_u16());
        Ok(self)
    }

    /// A knock besides those that follow from keys: an initiator uses the first one given, a
    /// responder accepts all. Default: an initiator knocks with what its verifier pins or roots
    /// in; a responder accepts its own fingerprint and its verifier's first root.
    ///
    /// # Errors
    ///
    /// [`ConfigError::TooManyKnocks`] beyond four in all.
    pub fn with_knock(mut self, knock: Knock) -> Result<Self, ConfigError> {
        if self.knocks.len() + self.own_knocks.len() >= KNOCK_KEYS {
            return Err(ConfigError::TooManyKnocks);
        }
        self.knocks.push(knock);
        Ok(self)
    }

    /// Whether a chain of sessions must continue. Default: [`Continuity::Prefer`].
    #[must_use]
    pub fn with_continuity(mut self, continuity: Continuity) -> Self {
        self.continuity = continuity;
        self
    }

    /// How sizes are hidden. Default: [`Padding::None`].
    #[must_use]
    pub fn with_padding(mut self, padding: Padding) -> Self {
        self.padding = padding;
        self
    }

    /// Plaintext bytes that this side takes in one record. Default 16 KiB: at 10 Mbit/s an urgent
    /// record waits 13 ms behind one such. Bounds the memory of one record in flight.
    ///
    /// # Errors
    ///
    /// [`ConfigError::RecordBytes`] outside 2 048 to 65 519.
    pub fn with_record_bytes(mut self, bytes: usize) -> Result<Self, ConfigError> {
        if !(RECORD_BYTES_MIN..=RECORD_BYTES_MAX).contains(&bytes) {
            return Err(ConfigError::RecordBytes);
        }
        self.record_bytes = u16::try_from(bytes).map_err(|_| ConfigError::RecordBytes)?;
        Ok(self)
    }

    /// Says that an earlier attempt with a better suite was rejected: an initiator then offers all
    /// its suites and sends the share of the least. A responder that could have served a better one
    /// knows that someone else rejected it, and refuses.
    #[must_use]
    pub fn as_fallback(mut self) -> Self {
        self.fallback = true;
        self
    }

    /// Plaintext bytes that this side takes in one record.
    #[must_use]
    pub fn record_bytes(&self) -> usize {
        self.record_bytes.into()
    }

    /// Whether a chain of sessions must continue.
    #[must_use]
    pub fn continuity(&self) -> Continuity {
        self.continuity
    }

    /// The key this side proves itself with.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The only key that this side speaks with, if its verifier names one.
    #[cfg(feature = "runtime")]
    pub(crate) fn pinned(&self) -> Option<Fingerprint> {
        match self.peer.anchor() {
            Some(Anchor::Key(key)) => Some(key),
            Some(Anchor::Root(_)) | None => None,
        }
    }

    /// Whether one of the knocks this side accepts as a responder ends `hello`.
    pub(super) fn accepts_knock(&self, hello: &[u8]) -> bool {
        let Some((before, knock)) = hello.split_last_chunk() else { return false };
        // Each is asked, so that the time does not tell which it was.
        let keys = self.own_knocks.iter().chain(&self.knocks);
        keys.fold(false, |fits, key| fits | key.matches(before, knock))
    }

    /// What this side knocks with as an initiator.
    pub(super) fn first_knock(&self) -> Result<Knock, ConfigError> {
        match (self.knocks.first(), self.peer.anchor()) {
            (Some(knock), _) => Ok(knock.duplicate()),
            (None, Some(Anchor::Key(key) | Anchor::Root(key))) => Ok(Knock::fingerprint(&key)),
            (None, None) => Err(ConfigError::NoKnock),
        }
    }
}

impl WantsPeer {
    /// Whom to speak with: [`super::Pinned`] keys, [`super::Roots`], or a verifier of your own.
    #[must_use]
    pub fn peer(self, peer: impl Verifier + 'static) -> Config {
        let mut claim = BytesMut::new();
        encode_claim(&Claim::Key(self.identity.public_key().to_bytes()), &mut claim);
        let mut accepted = vec![Knock::fingerprint(&self.identity.public_key().fingerprint())];
        if let Some(Anchor::Root(root)) = peer.anchor() {
            accepted.push(Knock::fingerprint(&root));
        }
        Config {
            realm: self.realm,
            role: self.role,
            identity: self.identity,
            claim,
            peer: Box::new(peer),
            suites: vec![Suite::Hybrid],
            knocks: Vec::new(),
            own_knocks: accepted,
            continuity: Continuity::Prefer,
            padding: Padding::None,
            record_bytes: u16::try_from(RECORD_BYTES).unwrap_or(u16::MAX),
            fallback: false,
        }
    }
}

/// The identity block for credentials.
pub(super) fn claim_of(credentials: &Credentials) -> BytesMut {
    let leaf = credentials.leaf.as_bytes();
    let issuer = credentials.issuer.as_ref().map(super::Credential::as_bytes);
    let mut claim = BytesMut::new();
    encode_claim(&Claim::Credentials { leaf, issuer }, &mut claim);
    claim
}

impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Config")
            .field("realm", &self.realm)
            .field("role", &self.role)
            .field("identity", &self.identity)
            .field("suites", &self.suites)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::tests::rig::{agent_config, backend_config, identity};

    /// A backend's own fingerprint is one of the four.
    #[test]
    fn four_knocks_are_checked_and_a_fifth_is_refused() {
        let knock = |number| Knock::secret(&[number; 32]);
        let three = [1, 2, 3].map(knock).into_iter();
        let config =
            three.fold(backend_config(), |config, knock| config.with_knock(knock).unwrap());
        assert_eq!(config.knocks.len() + config.own_knocks.len(), KNOCK_KEYS);
        let own = Knock::fingerprint(&identity(2).public_key().fingerprint());
        for accepted in [own, knock(1), knock(2), knock(3)] {
            assert!(config.accepts_knock(&knocked(&accepted)));
        }
        assert!(!config.accepts_knock(&knocked(&knock(4))));
        assert!(!config.accepts_knock(&[0; 15]), "too short for a knock");
        assert_eq!(config.with_knock(knock(4)).err(), Some(ConfigError::TooManyKnocks));
    }

    #[test]
    fn a_knock_that_is_listed_twice_is_accepted() {
        let knock = || Knock::secret(&[1; 32]);
        let config = backend_config().with_knock(knock()).unwrap().with_knock(knock()).unwrap();
        assert!(config.accepts_knock(&knocked(&knock())));
    }

    #[test]
    fn a_record_size_outside_the_protocols_is_refused() {
        for bytes in [RECORD_BYTES_MIN, RECORD_BYTES, RECORD_BYTES_MAX] {
            let config = agent_config().with_record_bytes(bytes).unwrap();
            assert_eq!(config.record_bytes(), bytes);
        }
        for bytes in [0, RECORD_BYTES_MIN - 1, RECORD_BYTES_MAX + 1, usize::MAX] {
            let refused = agent_config().with_record_bytes(bytes).err();
            assert_eq!(refused, Some(ConfigError::RecordBytes), "{bytes}");
        }
    }

    /// What stands before a knock, and the knock.
    fn knocked(knock: &Knock) -> Vec<u8> {
        [&b"hello"[..], &knock.of(b"hello")].concat()
    }
}
