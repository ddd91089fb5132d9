//! How two sides go on in a new session: what each says first, and what follows from it. Never a silent
//! gap: whoever lost its store is found out by its epochs.
//!
//! | the peer | is seen by | outcome |
//! |---|---|---|
//! | lost the network, or restarted with its store | the epochs that were known | [`Outcome::Resumed`] |
//! | restarted without its store | another inbox epoch | [`Outcome::PeerStateLost`] |
//! | lost its outbox | another outbox epoch | [`PeerOutbox::Reset`] |
//! | lost the marks of messages it acknowledged | it no longer knows this outbox | [`Outcome::PeerStateLost`] |

use super::inbox::{Inbox, PeerOutbox};
use super::outbox::{Continued, Outbox};
use super::per_class::PerClass;
use super::ranges::Numbers;
use super::word::{Epoch, Lie};
use crate::priority::Class;

/// The first frame of each side in a session.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Resume {
    /// The sender's outbox.
    pub(crate) outbox: Epoch,
    /// The sender's inbox.
    pub(crate) inbox: Epoch,
    /// The receiver's outbox as the sender knows it, which `handled` is about.
    pub(crate) known: Option<Epoch>,
    /// What the sender handled of that outbox.
    pub(crate) handled: PerClass<Numbers>,
}

/// What follows from the peer's RESUME.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Resumption {
    /// For what this side sends.
    pub(crate) outcome: Outcome,
    /// For what this side receives.
    pub(crate) peer_outbox: PeerOutbox,
}

/// How this side's messages go on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Outcome {
    /// The peer's inbox was not known.
    FirstContact,
    /// Nothing was lost: so many messages are sent again, as the peer did not handle them.
    Resumed { replayed: usize },
    /// The inbox is gone that these were sent to: they may have been handled. Each is sent again or
    /// surfaced, as its [`Doubt`](super::outbox::Doubt) says.
    PeerStateLost { in_doubt: Vec<(Class, u64)> },
}

/// What this side says first.
pub(crate) fn greeting<T: Clone>(outbox: &Outbox<T>, inbox: &Inbox) -> Resume {
    Resume {
        outbox: outbox.epoch(),
        inbox: inbox.epoch(),
        known: inbox.peer(),
        handled: inbox.resumable(),
    }
}

/// Goes on with what the peer says first. Nothing else of the session may be read before it.
///
/// # Errors
///
/// [`Lie::ResumeReflected`] if it has an epoch of this side, [`Lie::ResumeForUnsent`] if it handled what
/// it was not sent.
pub(crate) fn resumption<T: Clone>(
    outbox: &mut Outbox<T>,
    inbox: &mut Inbox,
    theirs: &Resume,
) -> Result<Resumption, Lie> {
    let own = [outbox.epoch(), inbox.epoch()];
    if own.contains(&theirs.outbox) || own.contains(&theirs.inbox) {
        return Err(Lie::ResumeReflected);
    }
    // What it says of an outbox that is gone says nothing of this one.
    let about_us = theirs.known == Some(outbox.epoch());
    let outcome = match outbox.resume(theirs.inbox, about_us.then_some(&theirs.handled))? {
        Continued::First => Outcome::FirstContact,
        Continued::Same { replayed } => Outcome::Resumed { replayed },
        Continued::Lost { in_doubt } => Outcome::PeerStateLost { in_doubt },
    };
    Ok(Resumption { outcome, peer_outbox: inbox.resume(theirs.outbox) })
}

#[cfg(test)]
mod tests;
