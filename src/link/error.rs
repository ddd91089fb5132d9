//! What can go wrong with a link, and what is lost by it.

use crate::call::{AskError, IssueError, Violation};
use crate::channel::{BadChannel, Unauthorized};
use crate::delivery::credit::CreditError;
use crate::delivery::ranges::NotCanonical;
use crate::delivery::reassembly::ChunkError;
use crate::delivery::word::Lie;
use crate::session::{self, CloseCode, FrameError, Malformed, OpenError, Order};

/// Why a record did not do what it said, or a session does not carry this link.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum LinkError {
    /// The link has no session, or is closed.
    #[error("link has no session")]
    Detached,
    /// The session is with somebody else than those before.
    #[error("session is with another peer")]
    OtherPeer,
    /// The session's transport does not keep order.
    #[error("a link needs a transport that keeps order")]
    Unordered,
    /// The session did not open the record.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A frame breaks its layout.
    #[error("peer broke the protocol: {0}")]
    Frame(#[from] FrameError),
    /// A message breaks its layout.
    #[error("content of a message is malformed: {0}")]
    Content(#[from] Malformed),
    /// A set of numbers holds one that no message has.
    #[error("peer names a number that no message has")]
    Numbers,
    /// Another frame before RESUME. The record with it may have been lost on the path, as the first
    /// record of a transport may have any position.
    #[error("RESUME is missing")]
    NoResume,
    /// A second RESUME, or one with an epoch of zeros.
    #[error("RESUME came twice, or names no epoch")]
    Resume,
    /// The peer says of messages what cannot be.
    #[error(transparent)]
    Lie(#[from] Lie),
    /// The peer breaks the rules of credit.
    #[error(transparent)]
    Credit(#[from] CreditError),
    /// A piece of a message is out of place.
    #[error(transparent)]
    Chunk(#[from] ChunkError),
    /// An alias that was not given a name, or was given two.
    #[error("channel alias is unknown or taken")]
    Alias,
    /// A call breaks its rules.
    #[error(transparent)]
    Call(#[from] Violation),
    /// The peer makes more answers, or more events, wait than a link holds.
    #[error("peer says more than is heard")]
    Flood,
}

impl From<NotCanonical> for LinkError {
    fn from(_: NotCanonical) -> Self {
        Self::Numbers
    }
}

impl LinkError {
    /// What is lost: what the session says where it failed, nothing where nothing was begun, else the
    /// session, since only a peer that holds its keys can have said what was wrong.
    #[must_use]
    pub(crate) fn fate(&self) -> session::Fate {
        match self {
            Self::Open(error) => error.fate(Order::Strict),
            Self::Detached => session::Fate::DropRecord,
            Self::OtherPeer | Self::Unordered | Self::NoResume => session::Fate::DropAttachment,
            Self::Flood => session::Fate::CloseSession(CloseCode::Busy),
            Self::Frame(_)
            | Self::Content(_)
            | Self::Numbers
            | Self::Resume
            | Self::Lie(_)
            | Self::Credit(_)
            | Self::Chunk(_)
            | Self::Call(_)
            | Self::Alias => session::Fate::CloseSession(CloseCode::ProtocolViolation),
        }
    }
}

/// Why a message was not taken. Nothing was changed.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum PublishError {
    /// The link is draining or closed.
    #[error("link takes no more messages")]
    Closed,
    /// This side may not publish there; its peer would refuse it.
    #[error(transparent)]
    Unauthorized(#[from] Unauthorized),
    /// More than a message may have.
    #[error("message has {0} bytes, {1} are allowed")]
    TooLarge(usize, usize),
    /// Headers of more than 65 535 bytes.
    #[error("headers have {0} bytes, too many")]
    Headers(usize),
    /// Too much waits already; it may be tried again when something left.
    #[error("too many messages wait")]
    Full,
}

/// Why a request was not made. Nothing was changed.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum RequestError {
    /// The link is draining or closed.
    #[error("link takes no more requests")]
    Closed,
    /// This side may not ask there; its peer would refuse it.
    #[error(transparent)]
    Unauthorized(#[from] Unauthorized),
    /// More than a message may have.
    #[error("request has {0} bytes, {1} are allowed")]
    TooLarge(usize, usize),
    /// Too many are pending, or the link is detached and the request may not wait.
    #[error(transparent)]
    Ask(#[from] AskError),
}

/// Why a command was not issued. Nothing was changed.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum CommandError {
    /// The link is draining or closed.
    #[error("link takes no more commands")]
    Closed,
    /// This side may not command there; its peer would refuse it.
    #[error(transparent)]
    Unauthorized(#[from] Unauthorized),
    /// More than a message may have.
    #[error("command has {0} bytes, {1} are allowed")]
    TooLarge(usize, usize),
    /// It was issued before, or too many are under way, or too many messages.
    #[error(transparent)]
    Issue(#[from] IssueError),
}

/// Why a subscription was not made.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum SubscribeError {
    /// The link is closed.
    #[error("link is closed")]
    Closed,
    /// The connection has as many as it may have.
    #[error("link has {0} subscriptions, the most it may have")]
    TooMany(usize),
    /// The text is no pattern.
    #[error(transparent)]
    Pattern(#[from] BadChannel),
}
