//! What a link tells whoever drives it.

use std::time::Duration;

use bytes::Bytes;

use super::error::LinkError;
use crate::call::{AnswerEvent, ExecutorEvent, IssuerEvent, RequestEvent};
use crate::channel::{ChannelCode, ChannelName};
use crate::delivery::inbox::PeerOutbox;
use crate::delivery::outbox::{self, Seen};
use crate::delivery::resume::Outcome;
use crate::delivery::word::{Epoch, Verdict};
use crate::priority::Class;
use crate::session::{self, CloseCode};
use crate::time::Instant;

/// A message of this side, by the order in which it was published.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct MessageId(pub(crate) u64);

/// A message of the peer, until the application is done with it.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct DeliveryId(pub(super) u64);

/// Where a link stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum State {
    /// No session. What was published waits.
    Detached,
    /// A session, whose peer has not said yet what it remembers.
    Connecting,
    Connected,
    /// Nothing is taken any more; what waits still goes.
    Draining,
    /// For good.
    Closed,
}

/// Why a link lost its session.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum DetachCause {
    /// Whoever drives it said so: the transport ended, or a newer session takes over.
    Cut,
    /// Nothing was heard for too long.
    Dead,
    /// The peer ended the session.
    ClosedByPeer { code: CloseCode, retry_after: Duration },
    /// This side ended the session.
    Closed(CloseCode),
    /// The peer lost the session.
    SessionLost,
    /// A record cost the transport.
    Error(LinkError),
}

/// How messages of both directions go on in a new session.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Resumption {
    /// For what this side sends.
    pub(crate) outcome: Outcome,
    /// For what this side receives.
    pub(crate) peer_outbox: PeerOutbox,
}

/// What became of a message of this side.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Fate {
    /// Best effort: it was sealed. No more will be known.
    Sent,
    /// The peer's application is done with it.
    Handled,
    /// The peer refused it.
    Refused(Verdict),
    /// The peer does not listen there; it was not sent.
    NoSubscriber,
    /// Its time was over.
    Expired(Seen),
    /// The peer did not take it, as often as it was sent: it is a dead letter.
    Undeliverable,
    /// The peer lost its state, and may have handled it.
    InDoubt,
    /// It gave way to another one, as the policy of its class says.
    Dropped,
}

impl From<outbox::Fate> for Fate {
    fn from(fate: outbox::Fate) -> Self {
        match fate {
            outbox::Fate::Handled => Self::Handled,
            outbox::Fate::Refused(verdict) => Self::Refused(verdict),
            outbox::Fate::Expired(seen) => Self::Expired(seen),
            outbox::Fate::Undeliverable => Self::Undeliverable,
            outbox::Fate::InDoubt => Self::InDoubt,
        }
    }
}

/// What someone wants of a channel.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub(crate) enum ChannelChange {
    Create = 1,
    Enable = 2,
    Disable = 3,
    Delete = 4,
}

impl ChannelChange {
    pub(super) fn from_u8(op: u8) -> Option<Self> {
        [Self::Create, Self::Enable, Self::Disable, Self::Delete]
            .into_iter()
            .find(|change| *change as u8 == op)
    }
}

/// What names a numbered message in every session and process: with the peer's proven id, the key to
/// handle it once where the effect is stored.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct MessageKey {
    pub(crate) outbox: Epoch,
    pub(crate) class: Class,
    pub(crate) number: u64,
}

impl MessageKey {
    /// Epoch, class, number: 25 bytes that are the same for every copy.
    pub(crate) fn to_bytes(self) -> [u8; 25] {
        let mut bytes = [0; 25];
        let (epoch, rest) = bytes.split_at_mut(16);
        epoch.copy_from_slice(&self.outbox.to_bytes());
        if let Some((class, number)) = rest.split_first_mut() {
            *class = self.class as u8;
            number.copy_from_slice(&self.number.to_be_bytes());
        }
        bytes
    }
}

/// A message of the peer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Delivery {
    pub(crate) id: DeliveryId,
    /// The subscriptions that it is for, at least one.
    pub(crate) subscriptions: Vec<u32>,
    pub(crate) channel: ChannelName,
    pub(crate) class: Class,
    /// A MessagePack map; not read here.
    pub(crate) headers: Option<Bytes>,
    pub(crate) payload: Bytes,
    /// When it is worth nothing any more.
    pub(crate) expires: Option<Instant>,
    /// `None`: best effort.
    pub(crate) key: Option<MessageKey>,
    /// It was sent before. If this side lost its inbox since, it may have been handled.
    pub(crate) again: bool,
}

/// A message of this side that the peer did not take.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Undelivered {
    pub(crate) id: MessageId,
    pub(crate) channel: ChannelName,
    pub(crate) class: Class,
    pub(crate) headers: Option<Bytes>,
    pub(crate) payload: Bytes,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Event {
    State(State),
    /// Both sides know how messages go on.
    Resumed(Resumption),
    Detached(DetachCause),
    /// What the session said that is not of the link.
    Session(session::Event),
    /// The message survives a crash of this process.
    Stored(MessageId),
    /// The peer holds the message.
    Delivered(MessageId),
    /// The message is out of this side's hands. Told once for each.
    Settled(MessageId, Fate),
    Message(Delivery),
    /// What becomes of a request of this side.
    Request(RequestEvent),
    /// A call of the peer: its channel when it opens.
    Call {
        channel: Option<ChannelName>,
        event: AnswerEvent,
    },
    /// What becomes of a command of this side.
    Command(IssuerEvent),
    /// A command of the peer: its channel when it is to run.
    Run {
        channel: Option<ChannelName>,
        event: ExecutorEvent,
    },
    /// The peer answered a subscription, in each session anew.
    Subscribed {
        subscription: u32,
        code: ChannelCode,
    },
    /// The peer, which may, wants something of a channel; [`Link::managed`](super::Link::managed) tells
    /// it what became of that.
    Manage {
        request: u32,
        change: ChannelChange,
        channel: ChannelName,
    },
    /// The peer answered [`Link::manage`](super::Link::manage). No answer comes if the session ends.
    Managed {
        request: u32,
        code: ChannelCode,
    },
    /// Bytes without number, channel or class.
    Datagram(Bytes),
}
