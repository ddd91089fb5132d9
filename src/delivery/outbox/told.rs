//! What an outbox says became of a message, and of all of them when a session begins.

use crate::delivery::word::Verdict;
use crate::priority::Class;

/// What became of a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Fate {
    /// The peer handled it.
    Handled,
    /// The peer did not, and says why.
    Refused(Verdict),
    /// Its time to live was over.
    Expired(Seen),
    /// The peer did not take it, as often as it was sent: it is a dead letter.
    Undeliverable,
    /// The peer lost the inbox that it may have reached.
    InDoubt,
}

/// Whether the peer may have seen what it did not settle.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Seen {
    Never,
    Perhaps,
}

/// How an outbox goes on with the inbox that a RESUME names.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Continued {
    /// No inbox was known.
    First,
    /// The same inbox: so many messages are sent again.
    Same { replayed: usize },
    /// Another inbox. The one before may have handled these.
    Lost { in_doubt: Vec<(Class, u64)> },
}
