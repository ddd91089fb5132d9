//! Who takes part: one backend and ten agents with fixed keys. Made once for all seeds.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use super::super::parties::{identity, made, realm, start};
use crate::crypto::{Seed, Suite};
use crate::ids::{Generation, LinkId, PeerId, Role};
use crate::session::{
    Answered, ChainBook, Config, Continuity, Drawn, Greeting, HandshakeError, Initiator,
    InitiatorChain, Peer, Pinned, Progress, Session, Stage, pair_of, peer_of,
};
use crate::time::Now;

/// Agents of a world at most.
pub(super) const AGENTS: usize = 10;
const BACKEND: u8 = 50;
const FIRST_AGENT: u8 = 60;

pub(super) struct Cast {
    backend: Arc<Config>,
    agents: Vec<Agent>,
}

struct Agent {
    config: Arc<Config>,
    sees: Peer,
    seen_as: Peer,
}

/// What an agent has after a REPLY, and what its FINISH has to become at the backend.
pub(super) struct Dialled {
    pub(super) session: Session,
    pub(super) finish: Finish,
    /// To be stored before FINISH goes. `None` without a handshake.
    pub(super) chain: Option<InitiatorChain>,
}

pub(super) enum Finish {
    /// Made without a handshake.
    Paired(Box<Session>),
    Real(Box<(Answered, Bytes)>),
}

pub(super) fn agent_id(agent: usize) -> PeerId {
    made(PeerId::new(format!("agent-{agent}")))
}

pub(super) fn backend_id() -> PeerId {
    made(PeerId::new("backend"))
}

pub(super) fn cast() -> &'static Cast {
    static CAST: OnceLock<Cast> = OnceLock::new();
    CAST.get_or_init(|| {
        let number = |agent: usize| FIRST_AGENT + u8::try_from(agent).unwrap_or(0);
        let pins = (0..AGENTS).fold(Pinned::default(), |pins, agent| {
            let key = identity(number(agent)).public_key().fingerprint();
            pins.and(agent_id(agent), Role::Agent, key)
        });
        let backend = Arc::new(Config::backend(realm(), identity(BACKEND)).peer(pins));
        let agents = (0..AGENTS).map(|agent| {
            let key = identity(BACKEND).public_key().fingerprint();
            let pin = Pinned::one(backend_id(), Role::Backend, key);
            let config = Arc::new(Config::agent(realm(), identity(number(agent))).peer(pin));
            let known = |us: &Config, them: &Config| match peer_of(us, them, start()) {
                Some(peer) => peer,
                None => unreachable!("the parties know each other"),
            };
            let (sees, seen_as) = (known(&config, &backend), known(&backend, &config));
            Agent { config, sees, seen_as }
        });
        Cast { agents: agents.collect(), backend: Arc::clone(&backend) }
    })
}

impl Cast {
    fn agent(&self, agent: usize) -> &Agent {
        match self.agents.get(agent) {
            Some(agent) => agent,
            None => unreachable!("there is no agent {agent}"),
        }
    }

    /// Both ends of a session as a handshake leaves them, under keys of their own.
    pub(super) fn paired(&self, agent: usize, number: u64, now: [Now; 2]) -> Dialled {
        let agent = self.agent(agent);
        let link = |side: u8| {
            let mut bytes = number.to_be_bytes();
            bytes.iter_mut().take(1).for_each(|byte| *byte = side);
            LinkId(bytes)
        };
        let [ours, theirs] = now;
        let stage = Stage { suite: Suite::Classical, resumed: false, now: ours };
        let drawn = Drawn { links: (link(1), link(2)), keys: number, backend: theirs };
        let (session, other) =
            pair_of((&agent.config, &agent.sees), (&self.backend, &agent.seen_as), stage, drawn);
        Dialled { session, finish: Finish::Paired(Box::new(other)), chain: None }
    }

    /// A handshake up to FINISH, which continues `chain` if the backend still has it.
    pub(super) fn dial(
        &self,
        agent: usize,
        number: u64,
        chain: Option<InitiatorChain>,
        book: &ChainBook,
        now: [Now; 2],
    ) -> Dialled {
        let [ours, theirs] = now;
        let config = Arc::clone(&self.agent(agent).config);
        let (initiator, hello) = made(Initiator::start(config, chain, &drawn(number, 1), ours));
        let greeting = made(Greeting::receive(Arc::clone(&self.backend), &hello, theirs.instant));
        let (answered, reply) = made(greeting.answer(book, &drawn(number, 2), theirs));
        match made(initiator.handle(&mut reply.to_vec(), ours)) {
            Progress::Done(done) => Dialled {
                session: done.session,
                finish: Finish::Real(Box::new((answered, done.finish.clone()))),
                chain: Some(done.chain),
            },
            Progress::Again(..) => unreachable!("no RETRY was sent"),
        }
    }

    /// The backend's end, once FINISH arrived, and the generation of its chain if there is one.
    pub(super) fn accept(
        &self,
        finish: Finish,
        book: &mut ChainBook,
        now: Now,
    ) -> Result<(Session, Option<Generation>), HandshakeError> {
        match finish {
            Finish::Paired(session) => Ok((*session, None)),
            Finish::Real(both) => {
                let (answered, finish) = *both;
                let accepting = answered.finish(&mut finish.to_vec(), now)?;
                let step = accepting.succession();
                let generation = book.advance(step, Continuity::Prefer, now.unix)?;
                Ok((accepting.accept(generation, now).0, Some(generation)))
            }
        }
    }

    /// Notes that an agent proved to hold its chain.
    pub(super) fn confirm(&self, agent: usize, generation: Generation, book: &mut ChainBook) {
        book.confirm(self.agent(agent).config.identity().public_key(), generation);
    }
}

/// Entropy that no other handshake has.
pub(super) fn drawn(number: u64, side: u8) -> Seed {
    let mut bytes = [side; 32];
    bytes.iter_mut().zip(number.to_be_bytes()).for_each(|(slot, byte)| *slot = byte);
    Seed::dangerous_reproducible(bytes)
}
