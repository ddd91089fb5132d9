//! An agent and a backend that know each other.

use zeroize::Zeroizing;

use crate::agent::{Agent, AgentBuilder};
use crate::backend::{Backend, BackendBuilder};
use crate::crypto::{Fingerprint, Identity, Seed};
use crate::error::{Error, ErrorKind};
use crate::ids::{PeerId, Realm, Role};
use crate::runtime::random;
use crate::session::{Config, Pinned};

/// Two identities, drawn at random, of which each pins the other. Each call of [`Parties::agent`] is the
/// same agent, so a test can end it and open it again.
pub struct Parties {
    realm: Realm,
    id: PeerId,
    name: PeerId,
    agent: Zeroizing<[u8; 32]>,
    backend: Zeroizing<[u8; 32]>,
}

impl Parties {
    /// The name of the agent.
    pub const AGENT: &str = "agent";

    /// Two parties in a realm of their own.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Entropy`].
    pub fn new() -> Result<Self, Error> {
        let (agent, backend) = (Zeroizing::new(random()?), Zeroizing::new(random()?));
        let id = |name| PeerId::new(name).map_err(|bad| Error::with(ErrorKind::Config, bad));
        let realm = Realm::new("test").map_err(|bad| Error::with(ErrorKind::Config, bad))?;
        Ok(Self { realm, id: id(Self::AGENT)?, name: id("backend")?, agent, backend })
    }

    /// The agent, to be opened.
    #[must_use]
    pub fn agent(&self) -> AgentBuilder {
        Agent::builder(self.id.clone(), self.agent_config())
    }

    /// The backend, to be opened.
    #[must_use]
    pub fn backend(&self) -> BackendBuilder {
        Backend::builder(self.backend_config())
    }

    /// What the agent says of itself and trusts.
    #[must_use]
    pub fn agent_config(&self) -> Config {
        let pins = Pinned::one(self.name.clone(), Role::Backend, fingerprint(&self.backend));
        Config::agent(self.realm.clone(), identity(&self.agent)).peer(pins)
    }

    /// What the backend says of itself and trusts.
    #[must_use]
    pub fn backend_config(&self) -> Config {
        let pins = Pinned::one(self.id.clone(), Role::Agent, fingerprint(&self.agent));
        Config::backend(self.realm.clone(), identity(&self.backend)).peer(pins)
    }
}

impl std::fmt::Debug for Parties {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parties").field("realm", &self.realm).finish_non_exhaustive()
    }
}

fn identity(seed: &Zeroizing<[u8; 32]>) -> Identity {
    Identity::from_seed(Seed::fresh(seed.clone()))
}

fn fingerprint(seed: &Zeroizing<[u8; 32]>) -> Fingerprint {
    identity(seed).public_key().fingerprint()
}
