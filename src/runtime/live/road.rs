//! Where a link's sessions come from: dialled by an agent, accepted by a backend.

use std::task::{Context, Poll};
use std::time::Duration;

use super::driver::Fresh;
use super::shared::Shared;
use crate::session::CloseCode;

/// A source of sessions for one link.
pub(crate) trait Road: Send + Unpin {
    /// The next session. Asked while the link has one too: a newer one takes over.
    fn poll_fresh(&mut self, cx: &mut Context<'_>, shared: &Shared, stands: Stands) -> Poll<Fresh>;

    /// The link lost its session.
    fn lost(&mut self, shared: &Shared, loss: Loss);
}

/// Whether a link has a session.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Stands {
    Attached,
    Detached,
}

/// How a link lost its session, as far as it says when to come back.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Loss {
    /// Nobody said anything.
    Broken,
    /// The peer ended it.
    Closed { code: CloseCode, retry_after: Duration },
    /// The peer had said that it goes away.
    Away { retry_after: Duration, spread: Duration },
}
