//! What a link holds, for those who check that it stays inside its bounds.

use super::life::Link;

/// How much of everything waits.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Gauges {
    /// Messages and bytes that are not settled.
    pub(crate) outbox: (usize, usize),
    /// Messages and bytes that wait to be sent, control aside.
    pub(crate) queue: (usize, usize),
    pub(crate) events: usize,
    /// Answers to the peer and wishes of this side.
    pub(crate) notices: usize,
    /// Bytes of messages that arrived in part.
    pub(crate) pieces: usize,
    /// Messages that the application has.
    pub(crate) held: usize,
    /// Whether a session carries it.
    pub(crate) is_attached: bool,
}

impl Link {
    pub(crate) fn gauges(&self) -> Gauges {
        Gauges {
            outbox: self.outbound.outbox.load(),
            queue: self.outbound.waiting(),
            events: self.events.len(),
            notices: self.notices.len(),
            pieces: self.inbound.reassembly.held_bytes(),
            held: self.inbound.holds(),
            is_attached: self.session.is_some(),
        }
    }
}
