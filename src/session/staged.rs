//! Sessions looked into and worn out, for the fuzzer. Exists behind the private feature `__fuzz` only.

use super::attachment::Order;
use super::config::Config;
use super::sealed::{Phase, Session};
use crate::crypto::PublicKey;
use crate::time::Instant;
use crate::wire::{self, encode_claim};

/// A party that claims the key of another, and signs with its own all the same.
#[must_use]
pub fn claiming(mut config: Config, key: &PublicKey) -> Config {
    config.claim.clear();
    encode_claim(&wire::Claim::Key(key.to_bytes()), &mut config.claim);
    config
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
