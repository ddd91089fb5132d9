//! Which end of a session this is.

use crate::crypto::Context;

/// The end that dialled, or the end that answered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Side {
    Initiator,
    Responder,
}

impl Side {
    pub(super) fn other(self) -> Self {
        match self {
            Self::Initiator => Self::Responder,
            Self::Responder => Self::Initiator,
        }
    }

    /// The label of keys that this side seals with.
    pub(super) fn traffic_label(self) -> &'static str {
        match self {
            Self::Initiator => "i ap",
            Self::Responder => "r ap",
        }
    }

    /// The label of the key that seals this side's half of the handshake.
    pub(super) fn handshake_label(self) -> &'static str {
        match self {
            Self::Initiator => "i hs",
            Self::Responder => "r hs",
        }
    }

    /// The label of the key that finishes this side's half of the handshake.
    pub(super) fn finished_label(self) -> &'static str {
        match self {
            Self::Initiator => "i fin",
            Self::Responder => "r fin",
        }
    }

    pub(super) fn handshake_context(self) -> Context {
        match self {
            Self::Initiator => Context::HandshakeInitiator,
            Self::Responder => Context::HandshakeResponder,
        }
    }

    pub(super) fn rekey_context(self) -> Context {
        match self {
            Self::Initiator => Context::RekeyInitiator,
            Self::Responder => Context::RekeyResponder,
        }
    }

    pub(super) fn refresh_context(self) -> Context {
        match self {
            Self::Initiator => Context::RefreshInitiator,
            Self::Responder => Context::RefreshResponder,
        }
    }
}
