//! Sessions for the fuzzer: made without a handshake, which would cost a hundred times what the
//! fuzzer then does with them, and looked into. Exists behind the private feature `__fuzz` only.

use std::sync::Arc;

use super::attachment::Order;
use super::config::Config;
use super::keys::{Early, HandshakeKeys};
use super::sealed::{Opening, Phase, Session};
use super::side::Side;
use super::verifier::{Asked, Claim, Peer};
use crate::crypto::{PublicKey, Secret, Suite, hash};
use crate::ids::{Generation, LinkId};
use crate::time::{Instant, Now};
use crate::wire::{self, encode_claim};

/// What a pair begins with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stage {
    pub suite: Suite,
    pub resumed: bool,
    pub now: Now,
}

/// A party that claims the key of another, and signs with its own all the same.
#[must_use]
pub fn claiming(mut config: Config, key: &PublicKey) -> Config {
    config.claim.clear();
    encode_claim(&wire::Claim::Key(key.to_bytes()), &mut config.claim);
    config
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
    let keys = || {
        let transcript = hash(&[b"staged"]);
        HandshakeKeys::new(&Early::new(None), b"staged", transcript).session(transcript)
    };
    let links = (LinkId([1; 8]), LinkId([2; 8]));
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
    let backend = Session::new(Arc::clone(backend.0), answered, keys(), accept, stage.now);
    (agent, backend)
}

/// Ages a session: the next record has a position of `seq` or above, and so many forgeries came.
pub(crate) fn wear(session: &mut Session, seq: u64, forgeries: u64) {
    session.sending.skip_to(seq);
    session.forgeries = forgeries;
}

/// The REKEY that an initiator waits to be answered.
pub(crate) fn offered_rekey(session: &Session) -> Option<&[u8]> {
    session.rekey.offered()
}

/// What of a session no unauthenticated byte may change.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Observation {
    phase: Phase,
    order: Order,
    heard: Instant,
    sealing: u32,
    pub opening: u32,
    erase_at: Option<Instant>,
    expires: Option<Instant>,
    timeout: Option<Instant>,
    reset_token: Option<[u8; 16]>,
    /// Whether something waits to be said.
    pub waiting: bool,
}

impl Observation {
    /// Whether records may still be sealed and opened.
    pub(crate) fn is_alive(&self) -> bool {
        !matches!(self.phase, Phase::Closing | Phase::Closed)
    }

    /// Whether this is an initiator that was not accepted yet.
    pub(crate) fn is_unaccepted(&self) -> bool {
        self.phase == Phase::Unaccepted
    }
}

/// Looks at a session.
pub(crate) fn observe(session: &Session) -> Observation {
    Observation {
        phase: session.phase,
        order: session.order(),
        heard: session.heard,
        sealing: session.sending.epoch(),
        opening: session.receiving.epoch(),
        erase_at: session.receiving.erase_at(),
        expires: session.expires,
        timeout: session.poll_timeout(),
        reset_token: session.reset_token.as_ref().map(|token| *token.bytes()),
        waiting: !session.control.is_empty(),
    }
}
