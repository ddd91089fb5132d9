//! Parties, clocks and whole handshakes for the tests of this binary.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use waxwire::session::{
    Accepting, Answered, ChainBook, Config, Continuity, Established, Greeting, HandshakeError,
    Initiator, InitiatorChain, Pinned, Progress, Session,
};
use waxwire::{Fingerprint, Identity, Instant, Now, PeerId, Realm, Role, Seed, UnixTime};

/// A reproducible seed.
pub fn seed(number: u8) -> Seed {
    Seed::dangerous_reproducible([number; 32])
}

pub fn identity(number: u8) -> Identity {
    Identity::from_seed(seed(number))
}

pub fn fingerprint(number: u8) -> Fingerprint {
    identity(number).public_key().fingerprint()
}

/// The moment at which tests begin.
pub fn start() -> Now {
    Now { instant: Instant::from_nanos(1), unix: UnixTime::from_secs(1_800_000_000) }
}

pub fn realm() -> Realm {
    Realm::new("test").unwrap()
}

pub fn peer_id(name: &str) -> PeerId {
    PeerId::new(name).unwrap()
}

pub const AGENT: u8 = 1;
pub const BACKEND: u8 = 2;

/// An agent that pins the backend.
pub fn agent_config() -> Config {
    let pins = Pinned::one(peer_id("backend"), Role::Backend, fingerprint(BACKEND));
    Config::agent(realm(), identity(AGENT)).peer(pins)
}

/// A backend that pins the agent.
pub fn backend_config() -> Config {
    let pins = Pinned::one(peer_id("agent"), Role::Agent, fingerprint(AGENT));
    Config::backend(realm(), identity(BACKEND)).peer(pins)
}

/// Both ends of a finished handshake, and everything that was sent.
pub struct Pair {
    pub agent: Session,
    pub backend: Session,
    pub agent_chain: InitiatorChain,
    pub hello: Bytes,
    pub reply: Bytes,
    pub finish: Bytes,
}

/// Two established sessions between the default parties.
pub fn pair() -> Pair {
    pair_of(agent_config(), backend_config())
}

pub fn pair_of(agent: Config, backend: Config) -> Pair {
    Handshake::new(agent, backend).run(&mut ChainBook::new()).unwrap()
}

/// A handshake to be run step by step; a test changes what it wants to attack.
pub struct Handshake {
    pub agent: Arc<Config>,
    pub backend: Arc<Config>,
    pub chain: Option<InitiatorChain>,
    pub agent_seed: u8,
    pub backend_seed: u8,
    pub now: Now,
}

impl Handshake {
    pub fn new(agent: Config, backend: Config) -> Self {
        Self {
            agent: Arc::new(agent),
            backend: Arc::new(backend),
            chain: None,
            agent_seed: 11,
            backend_seed: 12,
            now: start(),
        }
    }

    pub fn hello(&mut self) -> (Initiator, Bytes) {
        let chain = self.chain.take();
        Initiator::start(Arc::clone(&self.agent), chain, &seed(self.agent_seed), self.now).unwrap()
    }

    pub fn answer(
        &self,
        hello: &[u8],
        book: &ChainBook,
    ) -> Result<(Answered, Bytes), HandshakeError> {
        let greeting = Greeting::receive(Arc::clone(&self.backend), hello, self.now.instant)?;
        greeting.answer(book, &seed(self.backend_seed), self.now)
    }

    pub fn establish(
        &self,
        initiator: Initiator,
        reply: &[u8],
    ) -> Result<Box<Established>, HandshakeError> {
        match initiator.handle(&mut reply.to_vec(), self.now)? {
            Progress::Done(established) => Ok(established),
            Progress::Again(..) => panic!("no RETRY was sent"),
        }
    }

    pub fn finish(&self, answered: Answered, finish: &[u8]) -> Result<Accepting, HandshakeError> {
        answered.finish(&mut finish.to_vec(), self.now)
    }

    /// Runs the whole handshake and delivers ACCEPT.
    pub fn run(mut self, book: &mut ChainBook) -> Result<Pair, HandshakeError> {
        let (initiator, hello) = self.hello();
        let (answered, reply) = self.answer(&hello, book)?;
        let Established { session: mut agent, finish, chain } =
            *self.establish(initiator, &reply)?;
        let accepting = self.finish(answered, &finish)?;
        let generation = book.advance(accepting.succession(), Continuity::Prefer, self.now.unix)?;
        let (mut backend, early) = accepting.accept(generation, self.now);
        assert!(early.is_empty());
        deliver(&mut backend, &mut agent, self.now.instant);
        Ok(Pair { agent, backend, agent_chain: chain, hello, reply, finish })
    }
}

/// Carries everything that `from` itself has to say to `to`.
pub fn deliver(from: &mut Session, to: &mut Session, now: Instant) {
    let mut record = BytesMut::new();
    while from.poll_transmit(now, &mut record) {
        to.open(now, &mut record).unwrap();
        record.clear();
    }
}

/// One sealed datagram.
pub fn sealed(from: &mut Session, now: Instant, payload: &[u8]) -> BytesMut {
    let mut record = BytesMut::new();
    from.seal_datagram(now, payload, &mut record).unwrap();
    record
}

/// The datagrams of a record, opened.
pub fn opened(to: &mut Session, now: Instant, record: &[u8]) -> Vec<Vec<u8>> {
    let mut record = record.to_vec();
    to.open(now, &mut record).unwrap().datagrams().map(<[u8]>::to_vec).collect()
}
