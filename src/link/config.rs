//! What a link is told once. Knows no state.

use crate::call::OnCrash;
use crate::channel::Policy;
use crate::delivery::credit::Amount;
use crate::delivery::inbox::InboxChange;
use crate::delivery::outbox::{Capacity, Row};
use crate::delivery::overflow::Policies;
use crate::delivery::per_class::PerClass;
use crate::delivery::queue::Bounds;
use crate::delivery::word::{Durability, Epoch};
use crate::ids::{PeerId, Role};
use crate::limits::{MESSAGE_BYTES, MESSAGE_BYTES_MAX};

use super::storing::{ExecutedCommand, IssuedCommand, Token};

/// Which side this is, and under which name the peer proved it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Who {
    pub(crate) role: Role,
    pub(crate) id: PeerId,
}

/// What of a link may differ from another.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) who: Who,
    /// What the peer may do, inside the border.
    pub(crate) policy: Policy,
    pub(crate) durability: Durability,
    /// What waits to be acknowledged.
    pub(crate) outbox: Capacity,
    /// What waits to be sent.
    pub(crate) queue: Bounds,
    /// What happens to a best-effort message that finds no room.
    pub(crate) overflow: Policies,
    /// Content of one message at most, in both directions.
    pub(crate) message_bytes: usize,
    /// What the peer may send of a class before it was handed on.
    pub(crate) class_window: Amount,
    /// Whether [`Fate::Sent`](super::Fate::Sent) is told of messages of best effort.
    pub(crate) tells_sent: bool,
    /// What becomes of a command of the peer that ran when this process died.
    pub(crate) on_crash: OnCrash,
}

impl Config {
    /// The defaults of [`crate::limits`], in memory.
    pub(crate) fn new(who: Who) -> Self {
        Self {
            who,
            policy: Policy::allowing(),
            durability: Durability::Memory,
            outbox: Capacity::default(),
            queue: Bounds::default(),
            overflow: Policies::default(),
            message_bytes: MESSAGE_BYTES,
            class_window: Amount::CLASS_WINDOW,
            tells_sent: true,
            on_crash: OnCrash::Report,
        }
    }

    /// The largest content, within what can be.
    pub(super) fn largest(&self) -> usize {
        self.message_bytes.clamp(1, MESSAGE_BYTES_MAX)
    }

    /// The bounds of the queue. The least urgent class may fill 7 tenths, and one message of the
    /// largest size must find room there.
    pub(super) fn queue_bounds(&self) -> Bounds {
        let Bounds { messages, bytes } = self.queue;
        Bounds { messages: messages.max(10), bytes: bytes.max(self.largest().saturating_mul(2)) }
    }
}

/// What a store kept of a link.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    pub(crate) outbox: Epoch,
    pub(crate) inbox: Epoch,
    /// The inbox that the rows were sent to.
    pub(crate) peer_inbox: Option<Epoch>,
    /// The number after the last one of each class.
    pub(crate) next: PerClass<u64>,
    /// Ascending in each class.
    pub(crate) rows: Vec<Row<Token>>,
    /// The outbox that the marks are of.
    pub(crate) peer_outbox: Option<Epoch>,
    /// [`InboxChange::Mark`] of each class, the latest.
    pub(crate) marks: Vec<InboxChange>,
    /// Commands of this side.
    pub(crate) issued: Vec<IssuedCommand>,
    /// Commands of the peer.
    pub(crate) executed: Vec<ExecutedCommand>,
}
