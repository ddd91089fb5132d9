//! Our side: an agent and a backend with pinned keys, linked over loopback.

use std::net::SocketAddr;

use waxwire::session::{Config, Pinned};
use waxwire::{
    Agent, Backend, Identity, Link, LinkOptions, LinkState, PeerId, Realm, Role, Seed, store,
};

/// The agent's name.
pub const AGENT: &str = "agent";

/// Both ends of a link.
pub struct Pair {
    pub agent: Agent,
    pub backend: Backend,
}

/// Both ends, not linked yet.
pub struct Ends {
    pub agent: Agent,
    pub backend: Backend,
}

impl Ends {
    pub async fn new(options: LinkOptions) -> Self {
        Self::with_store(options, None::<store::MemoryStore>).await
    }

    /// What the agent keeps goes to the store.
    pub async fn with_store(options: LinkOptions, store: Option<impl store::Store>) -> Self {
        let (agent, backend) = configs();
        let backend = Backend::builder(backend).with_options(options.clone());
        let agent = Agent::builder(peer(AGENT), agent).with_options(options);
        let agent = match store {
            Some(store) => agent.with_store(store),
            None => agent,
        };
        Self { agent: agent.open().await.unwrap(), backend: backend.open().await.unwrap() }
    }

    pub async fn listen(&self, scheme: &str) -> SocketAddr {
        self.backend.listen(format!("{scheme}://127.0.0.1:0")).await.unwrap()
    }

    /// Links them; `address` is the backend's, or of what stands in front of it.
    pub async fn link(self, scheme: &str, address: SocketAddr) -> Pair {
        let Self { agent, backend } = self;
        agent.connect(format!("{scheme}://{address}/")).await.unwrap();
        let here = backend.agent(AGENT).unwrap().until(LinkState::Connected).await;
        assert_eq!(here, LinkState::Connected);
        Pair { agent, backend }
    }
}

impl Pair {
    /// Linked over a WebSocket.
    pub async fn open() -> Self {
        let ends = Ends::new(LinkOptions::new()).await;
        let address = ends.listen("ws").await;
        ends.link("ws", address).await
    }

    /// The backend's end.
    pub fn edge(&self) -> Link {
        self.backend.agent(AGENT).unwrap()
    }
}

fn configs() -> (Config, Config) {
    let (agent, backend) = (identity(1), identity(2));
    let agent_key = agent.public_key().fingerprint();
    let backend_key = backend.public_key().fingerprint();
    let backend_pin = Pinned::one(peer("backend"), Role::Backend, backend_key);
    let agent_pin = Pinned::one(peer(AGENT), Role::Agent, agent_key);
    (
        Config::agent(realm(), agent).peer(backend_pin),
        Config::backend(realm(), backend).peer(agent_pin),
    )
}

/// A key that is the same in every process of a run.
pub fn identity(number: u32) -> Identity {
    let mut seed = [7; 32];
    seed[..4].copy_from_slice(&number.to_le_bytes());
    Identity::from_seed(Seed::dangerous_reproducible(seed))
}

pub fn realm() -> Realm {
    Realm::new("bench").unwrap()
}

pub fn peer(name: &str) -> PeerId {
    PeerId::new(name).unwrap()
}
