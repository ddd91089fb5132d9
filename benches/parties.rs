//! An agent and a backend that trust each other, and whole handshakes between them.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use waxwire::session::{
    Answered, ChainBook, Config, Continuity, Credentials, Established, Greeting, Initiator, Issuer,
    Pinned, Progress, Roles, Roots, Session, Terms,
};
use waxwire::{Identity, Instant, Now, PeerId, Realm, Role, Seed, Suite, UnixTime};

/// Two sides whose configurations are made once and used for all their handshakes.
pub struct Parties {
    agent: Arc<Config>,
    backend: Arc<Config>,
    book: ChainBook,
    draws: u64,
}

impl Parties {
    /// Each side knows the other's key.
    pub fn pinned(suite: Suite) -> Self {
        let (agent, backend) = (identity(1), identity(2));
        let agent_key = agent.public_key().fingerprint();
        let backend_key = backend.public_key().fingerprint();
        let agent_pins = Pinned::one(peer("backend"), Role::Backend, backend_key);
        let backend_pins = Pinned::one(peer("agent"), Role::Agent, agent_key);
        Self::new(
            Config::agent(realm(), agent).peer(agent_pins),
            Config::backend(realm(), backend).peer(backend_pins),
            suite,
        )
    }

    /// Each side presents a credential that a root signed, and knows the root.
    #[allow(dead_code, reason = "one build uses it for one comparison more")]
    pub fn with_credentials(suite: Suite) -> Self {
        let issuer = Issuer::new(identity(3), realm());
        let (agent, backend) = (identity(1), identity(2));
        let agent_credentials = credentials(&issuer, &agent, "agent", Roles::AGENT);
        let backend_credentials = credentials(&issuer, &backend, "backend", Roles::BACKEND);
        let roots = || Roots::new(issuer.public_key().clone());
        let agent = Config::agent(realm(), agent).peer(roots());
        let backend = Config::backend(realm(), backend).peer(roots());
        Self::new(
            agent.with_credentials(&agent_credentials).unwrap(),
            backend.with_credentials(&backend_credentials).unwrap(),
            suite,
        )
    }

    fn new(agent: Config, backend: Config, suite: Suite) -> Self {
        Self {
            agent: Arc::new(agent.with_suites(&[suite]).unwrap()),
            backend: Arc::new(backend.with_suites(&[suite]).unwrap()),
            book: ChainBook::new(),
            draws: 0,
        }
    }

    /// HELLO, and who waits for its answer.
    pub fn hello(&mut self) -> (Initiator, Bytes) {
        let seed = self.seed();
        Initiator::start(Arc::clone(&self.agent), None, &seed, now()).unwrap()
    }

    /// Reads a HELLO. Not more than this is done for one whose knock is wrong.
    pub fn receive(&self, hello: &[u8]) -> Option<Greeting> {
        Greeting::receive(Arc::clone(&self.backend), hello, now().instant).ok()
    }

    /// REPLY, and who waits for FINISH.
    pub fn answer(&mut self, greeting: Greeting) -> (Answered, Bytes) {
        let seed = self.seed();
        greeting.answer(&self.book, &seed, now()).unwrap()
    }

    /// A whole handshake, until both sides may send and the agent knows that it was accepted.
    pub fn handshake(&mut self) -> (Session, Session) {
        let (initiator, hello) = self.hello();
        let greeting = self.receive(&hello).unwrap();
        let (answered, reply) = self.answer(greeting);
        let Progress::Done(established) =
            initiator.handle(&mut BytesMut::from(reply), now()).unwrap()
        else {
            unreachable!("nobody sent RETRY");
        };
        let Established { session: mut agent, finish, chain: _ } = *established;
        let accepting = answered.finish(&mut BytesMut::from(finish), now()).unwrap();
        let generation = self.book.advance(accepting.succession(), Continuity::Prefer, now().unix);
        let (mut backend, _) = accepting.accept(generation.unwrap(), now());
        let mut accept = BytesMut::new();
        assert!(backend.poll_transmit(now().instant, &mut accept));
        agent.open(now().instant, &mut accept).unwrap();
        (agent, backend)
    }

    /// A seed that was never used before, as a driver would draw it.
    fn seed(&mut self) -> Seed {
        self.draws += 1;
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&self.draws.to_le_bytes());
        Seed::fresh(bytes.into())
    }
}

/// The moment at which everything happens: no time passes in a session that is measured.
pub fn now() -> Now {
    Now { instant: Instant::from_nanos(1), unix: UnixTime::from_secs(1_800_000_000) }
}

fn identity(number: u8) -> Identity {
    Identity::from_seed(Seed::dangerous_reproducible([number; 32]))
}

fn realm() -> Realm {
    Realm::new("bench").unwrap()
}

fn peer(name: &str) -> PeerId {
    PeerId::new(name).unwrap()
}

fn credentials(issuer: &Issuer, identity: &Identity, name: &str, roles: Roles) -> Credentials {
    let terms = Terms {
        subject: peer(name),
        roles,
        not_before: UnixTime::from_secs(1_799_999_000),
        not_after: UnixTime::from_secs(1_800_080_000),
        labels: Vec::new(),
    };
    let seed = Seed::dangerous_reproducible([4; 32]);
    Credentials::new(issuer.issue(identity.public_key(), &terms, &seed).unwrap())
}
