//! Sessions for the fuzzer and for tests of links: made without a handshake, which would cost a hundred
//! times what is then done with them. Exists behind the private feature `__fuzz` and in tests only.

use std::sync::Arc;

use super::config::Config;
use super::keys::{Early, HandshakeKeys};
use super::sealed::{Opening, Session};
use super::side::Side;
use super::verifier::{Asked, Claim, Peer};
use crate::crypto::{Secret, Suite, hash};
use crate::ids::{Generation, LinkId};
use crate::time::Now;

/// What a pair begins with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stage {
    pub suite: Suite,
    pub resumed: bool,
    pub now: Now,
}

/// The peer that `config` admits on the claim that `other` presents, which `now` allows.
pub(crate) fn peer_of(config: &Config, other: &Config, now: Now) -> Option<Peer> {
    let claim = Claim::decode(&other.claim).ok()?;
    let asked = Asked { realm: &config.realm, role: other.role, now: now.unix };
    config.peer.admit(&claim, &asked).ok()
}

/// An agent that dialled and a backend that accepted it, as a handshake leaves them. Each comes
/// with the peer it admitted.
pub(crate) fn pair(
    agent: (&Arc<Config>, &Peer),
    backend: (&Arc<Config>, &Peer),
    stage: Stage,
) -> (Session, Session) {
    let drawn = Drawn { links: (LinkId([1; 8]), LinkId([2; 8])), keys: 0, backend: stage.now };
    pair_of(agent, backend, stage, drawn)
}

/// What a handshake draws by lot, and the clock of the backend, which need not be the agent's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Drawn {
    pub links: (LinkId, LinkId),
    pub keys: u64,
    pub backend: Now,
}

/// As [`pair`], under keys and names of its own.
pub(crate) fn pair_of(
    agent: (&Arc<Config>, &Peer),
    backend: (&Arc<Config>, &Peer),
    stage: Stage,
    drawn: Drawn,
) -> (Session, Session) {
    let keys = || {
        let transcript = hash(&[b"staged", &drawn.keys.to_be_bytes()]);
        HandshakeKeys::new(&Early::new(None), b"staged", transcript).session(transcript)
    };
    let links = drawn.links;
    let opening = |side, (link, remote), peer: &Peer, record_bytes: u16| Opening {
        side,
        suite: stage.suite,
        link,
        remote,
        peer: peer.clone(),
        // Only a credential runs out, and only a credential has a subject.
        subject: peer.not_after.map(|_| peer.id.clone()),
        record_bytes: record_bytes.into(),
        resumed: stage.resumed,
    };
    let dialled = opening(Side::Initiator, links, agent.1, backend.0.record_bytes);
    let answered = opening(Side::Responder, (links.1, links.0), backend.1, agent.0.record_bytes);
    let accept = Some((Generation(1), Secret::new([7; 16])));
    let agent = Session::new(Arc::clone(agent.0), dialled, keys(), None, stage.now);
    let backend = Session::new(Arc::clone(backend.0), answered, keys(), accept, drawn.backend);
    (agent, backend)
}
