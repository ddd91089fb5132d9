//! The sealed session: a handshake of consumed steps, then records that open at most once.
//!
//! ```text
//!            Initiator                                   Responder
//!   Initiator::start ── HELLO ──────────────────► Greeting::receive      (knock, offer)
//!                                                  Greeting::answer       (gate, chain, seed)
//!   Initiator::handle ◄────────────────── REPLY ── Answered
//!   Established ─────── FINISH ─────────────────► Answered::finish        (who is it?)
//!   Session                                        Accepting::accept      (chain is stored)
//!   Session::open ◄──────────────── ACCEPT, DATA ─ Session
//! ```
//!
//! Nothing here does I/O: bytes come in, bytes go out, time and entropy are arguments. Knows no
//! message, channel or queue.

mod attachment;
mod chain;
mod config;
mod control;
mod cookie;
mod credential;
mod error;
mod event;
mod frames;
mod gate;
mod handshake;
mod initiator;
mod keys;
mod knock;
mod open;
mod padding;
#[cfg(any(feature = "__fuzz", test))]
mod paired;
mod receiving;
mod record;
mod refresh;
mod rekey;
mod responder;
mod sealed;
mod sending;
mod side;
#[cfg(feature = "__fuzz")]
mod staged;
#[cfg(test)]
pub(crate) mod tests;
mod verifier;
mod window;

pub use self::attachment::Order;
pub use self::chain::{ChainBook, Continuity, InitiatorChain, InvalidChain, Rid, Succession};
pub use self::config::{Config, ConfigError, WantsPeer};
pub use self::cookie::CookieKey;
pub use self::credential::{
    Credential, CredentialError, Credentials, Enrolment, Issuer, Roles, Terms,
};
pub use self::error::{Fate, HandshakeError, OpenError, RefreshError, RekeyError, SealError};
pub use self::event::Event;
pub use self::gate::{Gate, GateLimits, Proven, Source, Ticket, Verdict};
pub use self::initiator::{Established, Initiator, Progress};
pub use self::knock::Knock;
pub use self::open::{Datagrams, Opened};
pub use self::padding::Padding;
pub use self::record::RecordWriter;
pub use self::responder::{Accepting, Answered, Greeting};
pub use self::sealed::Session;
pub use self::verifier::{Anchor, Asked, Claim, Peer, Pinned, Refusal, Roots, Verifier};
pub use crate::wire::{CloseCode, FrameError, Malformed};

pub(crate) use self::open::{UpperFrame, UpperFrames};
#[cfg(feature = "__fuzz")]
pub(crate) use self::paired::{Drawn, pair_of};
#[cfg(any(feature = "__fuzz", test))]
pub(crate) use self::paired::{Stage, pair, peer_of};
#[cfg(feature = "__fuzz")]
#[doc(hidden)]
pub use self::staged::claiming;
#[cfg(feature = "__fuzz")]
pub(crate) use self::staged::{Observation, observe, offered_rekey, wear};
