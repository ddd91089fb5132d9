//! What a link tells the application about itself and its messages.

use std::time::Duration;

use crate::delivery::resume::Outcome;
use crate::error::Undelivered;
use crate::ids::SessionId;
use crate::link::{self, DetachCause};
use crate::session::CloseCode;

/// Where a link stands.
///
/// ```no_run
/// # async fn example(link: waxwire::Link) {
/// use waxwire::LinkState;
///
/// if link.until(LinkState::Connected).await == LinkState::Connected {
///     println!("the backend is there");
/// }
/// # }
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum LinkState {
    /// There is no session, and what was sent waits.
    Detached,
    /// There is a session whose peer has not said yet what it remembers.
    Connecting,
    /// Messages go both ways.
    Connected,
    /// Nothing new is taken; what waits still goes.
    Draining,
    /// For good.
    Closed,
}

impl From<link::State> for LinkState {
    fn from(state: link::State) -> Self {
        match state {
            link::State::Detached => Self::Detached,
            link::State::Connecting => Self::Connecting,
            link::State::Connected => Self::Connected,
            link::State::Draining => Self::Draining,
            link::State::Closed => Self::Closed,
        }
    }
}

/// How messages go on in a new session.
///
/// ```
/// use waxwire::Recovery;
///
/// fn may_be_in_doubt(recovery: Recovery) -> bool {
///     matches!(recovery, Recovery::PeerStateLost { in_doubt } if in_doubt > 0)
/// }
/// assert!(!may_be_in_doubt(Recovery::Resumed { replayed: 3 }));
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Recovery {
    /// The two sides never spoke, as far as this one knows.
    Fresh,
    /// Nothing was lost. So many messages are sent again.
    Resumed {
        /// Messages that the peer had not handled.
        replayed: usize,
    },
    /// The peer lost its memory: it may have handled these without knowing.
    PeerStateLost {
        /// Messages of this side in doubt. They are sent again, but for those that were published with
        /// [`Publish::report_doubt`](super::Publish::report_doubt).
        in_doubt: usize,
    },
}

/// Something that happened to a link.
///
/// ```no_run
/// # async fn example(link: waxwire::Link) {
/// use waxwire::LinkEvent;
///
/// let mut events = link.events();
/// while let Ok(event) = events.recv().await {
///     match event {
///         LinkEvent::Connected { recovery, .. } => println!("connected: {recovery:?}"),
///         LinkEvent::Retrying { code, after } => println!("{code}; again in {after:?}"),
///         LinkEvent::Undelivered { message, why } => println!("message {message}: {why}"),
///         _ => {}
///     }
/// }
/// # }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum LinkEvent {
    /// A session is up, and both sides know how messages go on.
    Connected {
        /// The session's name, the same at both ends.
        session: SessionId,
        /// What became of messages under way.
        recovery: Recovery,
        /// The peer lost what it had not sent yet: messages that it took over may never come.
        peer_outbox_reset: bool,
    },
    /// The session is gone; the link goes on.
    Detached {
        /// What the session's end is known by, for logs: `cut`, `dead`, `closed_by_peer`, `closed`,
        /// `session_lost` or `error`.
        cause: &'static str,
        /// The peer's word, if it gave one.
        code: Option<CloseCode>,
    },
    /// A dial failed. The next one comes after the span.
    Retrying {
        /// Why, by [`crate::Error::code`].
        code: &'static str,
        /// Until the next attempt.
        after: Duration,
    },
    /// The link does not dial any more until it is told to: its peer refused it for good, or the
    /// attempts are used up.
    GaveUp {
        /// Why, by [`crate::Error::code`].
        code: &'static str,
    },
    /// Another session of the same identity took over. The link dials again after 60 s.
    Replaced,
    /// A message that was taken at the level [`Level::Queued`] did not arrive.
    Undelivered {
        /// As its [`Receipt`](super::Receipt) named it.
        message: u64,
        /// Why.
        why: Undelivered,
    },
    /// The store does not take what is to be kept, and is tried again. Nothing is promised meanwhile.
    StoreFailing,
    /// The link drains.
    Draining,
    /// The link is closed.
    Closed,
}

/// How far a message has come.
///
/// ```
/// use waxwire::Level;
///
/// assert!(Level::Queued < Level::Stored && Level::Delivered < Level::Processed);
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Level {
    /// It waits in the memory of this process.
    #[default]
    Queued,
    /// It survives a crash of this process. Needs a store.
    Stored,
    /// The peer holds it; if the peer has a store, in that.
    Delivered,
    /// The peer's application is done with it.
    Processed,
}

impl From<&Outcome> for Recovery {
    fn from(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::FirstContact => Self::Fresh,
            Outcome::Resumed { replayed } => Self::Resumed { replayed: *replayed },
            Outcome::PeerStateLost { in_doubt } => Self::PeerStateLost { in_doubt: in_doubt.len() },
        }
    }
}

impl LinkEvent {
    pub(super) fn detached(cause: DetachCause) -> Self {
        let (cause, code) = match cause {
            DetachCause::Cut => ("cut", None),
            DetachCause::Dead => ("dead", None),
            DetachCause::ClosedByPeer { code, .. } => ("closed_by_peer", Some(code)),
            DetachCause::Closed(code) => ("closed", Some(code)),
            DetachCause::SessionLost => ("session_lost", None),
            DetachCause::Error(_) => ("error", None),
        };
        Self::Detached { cause, code }
    }
}
