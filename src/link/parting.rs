//! How a link, or one of its sessions, ends in good order.

use std::time::Duration;

use super::event::State;
use super::life::Link;
use crate::session::{CloseCode, Credentials, RefreshError};
use crate::time::{Instant, Now};

impl Link {
    /// Ends the session, if that is not under way; the link goes on.
    pub(super) fn end_session(&mut self, code: CloseCode) {
        self.disconnect(code, Duration::ZERO);
    }

    /// Ends the session with a word to the peer, which the next record says; the link goes on.
    pub(crate) fn disconnect(&mut self, code: CloseCode, retry_after: Duration) {
        if let Some(session) = &mut self.session {
            session.close(code, retry_after);
        }
    }

    /// Tells the peer that this side will go away, and when to come back.
    pub(crate) fn go_away(&mut self, retry_after: Duration, spread: Duration) {
        if let Some(session) = &mut self.session {
            session.go_away(retry_after, spread);
        }
    }

    /// Presents a new credential of this side.
    ///
    /// # Errors
    ///
    /// As [`crate::session::Session::refresh`].
    pub(crate) fn refresh(&mut self, credentials: &Credentials) -> Result<(), RefreshError> {
        self.session.as_mut().map_or(Ok(()), |session| session.refresh(credentials))
    }

    /// Closes a link that drains when nothing waits any more, the peer's acknowledgements too.
    pub(super) fn finish_drain(&mut self, now: Now) {
        let is_late = self.drained_by.is_some_and(|at| now.instant >= at);
        let is_done = self.outbound.is_done()
            && self.inbound.holds() == 0
            && self.commands.is_done()
            && self.inbound.inbox.timeout().is_none()
            && !self.inbound.inbox.has_result();
        if self.state == State::Draining && (is_late || is_done) {
            self.close(self.drained_as);
        }
    }

    /// Takes no more messages, and closes with `code` when none waits, or at `by`: what waits then is
    /// lost unless it is stored.
    pub(crate) fn drain(&mut self, now: Now, by: Instant, code: CloseCode) {
        if !matches!(self.state, State::Closed) {
            self.drained_by = Some(by);
            self.drained_as = code;
            self.enter(State::Draining);
            self.finish_drain(now);
        }
    }

    /// Ends the link. The next record tells the peer.
    pub(crate) fn close(&mut self, code: CloseCode) {
        self.end_session(code);
        self.drained_by = None;
        self.enter(State::Closed);
    }
}
