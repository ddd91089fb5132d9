//! What a session tells its driver.

use std::time::Duration;

use super::error::RekeyError;
use crate::ids::Generation;
use crate::wire::CloseCode;

/// Something that happened. At most one of each kind waits; the newest replaces an older one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// Initiator: the responder accepted. The chain may now be promoted.
    Accepted {
        /// Position in the chain, counted by the responder.
        generation: Generation,
        /// Whether an earlier session's chain was continued.
        resumed: bool,
    },
    /// Responder: the initiator proved to hold the session's keys. The chain may now be confirmed.
    Confirmed,
    /// A key exchange is due: call `provide_seed` with fresh entropy. Without one, it is asked for
    /// again every 3 s.
    WantsSeed,
    /// Fresh keys are agreed on; what leaked before no longer opens anything after.
    Rekeyed,
    /// A key exchange failed; the keys in use stay in use, unless the error says otherwise.
    RekeyFailed(RekeyError),
    /// The peer presented a new credential.
    CredentialRefreshed,
    /// The peer answered a ping.
    Pong(u64),
    /// The peer will go away: come back within `spread` after `retry_after`.
    GoAway {
        /// Earliest moment to come back.
        retry_after: Duration,
        /// Span to spread over from then.
        spread: Duration,
    },
    /// The responder lost the session: handshake now.
    SessionLost,
    /// The session is over, said by the peer under its keys.
    ClosedByPeer {
        /// Why.
        code: CloseCode,
        /// Earliest moment to come back, if it may.
        retry_after: Duration,
    },
    /// The session is over by this side's own rules.
    Ended(CloseCode),
}

/// Events that wait. Bounded by the number of kinds.
#[derive(Default)]
pub(super) struct Events(Vec<Event>);

impl Events {
    pub(super) fn push(&mut self, event: Event) {
        let kind = std::mem::discriminant(&event);
        match self.0.iter_mut().find(|waiting| std::mem::discriminant(&**waiting) == kind) {
            Some(waiting) => *waiting = event,
            None => self.0.push(event),
        }
    }

    pub(super) fn pop(&mut self) -> Option<Event> {
        if self.0.is_empty() { None } else { Some(self.0.remove(0)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_out_in_order_and_the_newest_of_a_kind_replaces_an_older_one() {
        let mut events = Events::default();
        assert_eq!(events.pop(), None);
        events.push(Event::Pong(1));
        events.push(Event::Confirmed);
        events.push(Event::Pong(2));
        events.push(Event::WantsSeed);
        events.push(Event::Confirmed);
        assert_eq!(events.pop(), Some(Event::Pong(2)));
        events.push(Event::Pong(3));
        assert_eq!(events.pop(), Some(Event::Confirmed));
        assert_eq!(events.pop(), Some(Event::WantsSeed));
        assert_eq!(events.pop(), Some(Event::Pong(3)));
        assert_eq!(events.pop(), None);
    }
}
