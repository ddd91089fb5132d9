//! The one error an application sees: what failed, why, and whether to try again.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::call::{ErrorCode as FailureCode, Failure, Retry};
use crate::channel::{BadChannel, Unauthorized};
#[cfg(feature = "runtime")]
use crate::delivery::outbox::Seen;
#[cfg(feature = "runtime")]
use crate::delivery::word::Verdict;
#[cfg(feature = "runtime")]
use crate::link::{Fate as MessageFate, result};
use crate::session::{CloseCode, ConfigError, Fate, HandshakeError, OpenError, Order, SealError};
#[cfg(feature = "runtime")]
use crate::transport::TransportError;

/// Something that failed, with its cause as [`source`](StdError::source). Holds no bytes and no text
/// of a peer. What it displays names the causes too, outermost first: nobody has to walk the sources
/// to print them.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

/// What failed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A setting or an address cannot be used; the source says which.
    Config,
    /// The operating system gave no entropy.
    Entropy,
    /// No transport could be had, or it broke.
    Transport,
    /// The handshake failed; the source says why. The peer was not told the cause.
    Handshake,
    /// The handshake or the dial took too long.
    TimedOut,
    /// The store failed. Of a handshake: its chain could not be stored, and nothing was moved at the
    /// peer that cannot be continued.
    Store,
    /// What was to be sent does not fit a record.
    TooLarge,
    /// A record was refused that someone on the path must have changed, repeated or moved. The
    /// transport is gone; dial again.
    Tampered,
    /// The transport ended without a word from the peer. The session may be resumed.
    Detached,
    /// A text is no channel, topic or pattern, or the channel is not to be had so; the source says why.
    Channel,
    /// This side may not do that on the channel; the source names it.
    Unauthorized,
    /// As much waits already as may wait. Nothing was taken.
    Full,
    /// A payload could not be written or read as what it should be; the source says why.
    Body,
    /// A message did not arrive, or may not have.
    Undelivered(Undelivered),
    /// A request or a command ended without a result; the source has the other side's words.
    Call(FailureCode),
    /// The session is over: the code says why, the span when to come back if at all.
    Closed {
        /// Why.
        code: CloseCode,
        /// Earliest moment to come back.
        retry_after: Duration,
    },
}

/// Why a message did not arrive, or may not have.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Undelivered {
    /// The peer does not listen on the channel. It was not handled.
    #[error("nobody at the peer listens on the channel")]
    NoSubscriber,
    /// The peer does not allow it: a rule of its policy, or a channel that is disabled.
    #[error("the peer refused it with code {code}")]
    Refused {
        /// Why, by the codes of proto-spec 9.2 and 10.6.
        code: u16,
    },
    /// The peer's application refused it.
    #[error("the peer's application refused it with {detail}")]
    Rejected {
        /// The application's number.
        detail: u32,
    },
    /// Its time to live was over before it was known to be handled.
    #[error("its time to live was over")]
    Expired {
        /// Whether it was sent before, and may have been handled.
        sent: bool,
    },
    /// It was sent as often as it may be and not taken. It is a dead letter.
    #[error("it was sent as often as it may be, and not taken")]
    Undeliverable,
    /// The peer lost its memory, and may have handled it.
    #[error("the peer lost its memory and may have handled it")]
    InDoubt,
    /// It gave way to another, as the overflow policy of its class says.
    #[error("it gave way to another message")]
    Dropped,
}

/// The channel or pattern that a refusal is about, as the source of an [`Error`]. `code` is the peer's
/// word where it gave one, by proto-spec 9.2 or 10.6.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ChannelRefusal {
    /// The channel, or the pattern of a subscription.
    pub channel: String,
    /// What the peer said.
    pub code: Option<u16>,
}

impl fmt::Display for ChannelRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "on channel {}", self.channel)?;
        self.code.map_or(Ok(()), |code| write!(f, ", with code {code}"))
    }
}

impl StdError for ChannelRefusal {}

impl Undelivered {
    /// `None`: it arrived, or nothing is known.
    #[cfg(feature = "runtime")]
    pub(crate) fn from_fate(fate: MessageFate) -> Option<Self> {
        Some(match fate {
            MessageFate::Sent | MessageFate::Handled => return None,
            MessageFate::NoSubscriber => Self::NoSubscriber,
            MessageFate::Refused(Verdict { code, detail }) => match code {
                result::NO_SUBSCRIBER => Self::NoSubscriber,
                result::REJECTED => Self::Rejected { detail },
                code => Self::Refused { code },
            },
            MessageFate::Expired(seen) => Self::Expired { sent: seen != Seen::Never },
            MessageFate::Undeliverable => Self::Undeliverable,
            MessageFate::InDoubt => Self::InDoubt,
            MessageFate::Dropped => Self::Dropped,
        })
    }

    fn code(self) -> &'static str {
        match self {
            Self::NoSubscriber => "no_subscriber",
            Self::Refused { .. } => "refused",
            Self::Rejected { .. } => "rejected",
            Self::Expired { .. } => "expired",
            Self::Undeliverable => "undeliverable",
            Self::InDoubt => "in_doubt",
            Self::Dropped => "dropped",
        }
    }
}

impl Error {
    pub(crate) fn new(kind: ErrorKind) -> Self {
        Self { kind, source: None }
    }

    pub(crate) fn with(
        kind: ErrorKind,
        source: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        Self { kind, source: Some(Arc::from(source.into())) }
    }

    /// The same, for another who waits for it.
    #[cfg(feature = "runtime")]
    pub(crate) fn again(&self) -> Self {
        Self { kind: self.kind, source: self.source.clone() }
    }

    /// What failed.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Whether the same call may succeed later without anything being changed. Of a handshake,
    /// [`HandshakeError::is_retryable`] says what "no" is worth. It is no promise, and says nothing of
    /// how often.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self.kind {
            ErrorKind::Config
            | ErrorKind::TooLarge
            | ErrorKind::Channel
            | ErrorKind::Unauthorized
            | ErrorKind::Body => false,
            ErrorKind::Undelivered(why) => {
                matches!(why, Undelivered::Undeliverable | Undelivered::Dropped)
            }
            ErrorKind::Call(code) => code.retry() == Retry::Later,
            ErrorKind::Closed { code, .. } => code.is_retryable(),
            ErrorKind::Handshake => self.handshake().is_none_or(HandshakeError::is_retryable),
            ErrorKind::Entropy
            | ErrorKind::Transport
            | ErrorKind::TimedOut
            | ErrorKind::Store
            | ErrorKind::Tampered
            | ErrorKind::Full
            | ErrorKind::Detached => true,
        }
    }

    fn handshake(&self) -> Option<&HandshakeError> {
        self.source.as_ref()?.downcast_ref()
    }

    /// The name of the kind in `snake_case`, for logs and metrics. A kind never gets another one, and
    /// no name is used again.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self.kind {
            ErrorKind::Config => "config",
            ErrorKind::Entropy => "entropy",
            ErrorKind::Transport => "transport",
            ErrorKind::Handshake => "handshake",
            ErrorKind::TimedOut => "timed_out",
            ErrorKind::Store => "store",
            ErrorKind::TooLarge => "too_large",
            ErrorKind::Tampered => "tampered",
            ErrorKind::Detached => "detached",
            ErrorKind::Channel => "channel",
            ErrorKind::Unauthorized => "unauthorized",
            ErrorKind::Full => "full",
            ErrorKind::Body => "body",
            ErrorKind::Undelivered(why) => why.code(),
            ErrorKind::Call(code) => code.name(),
            ErrorKind::Closed { .. } => "closed",
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.kind {
            ErrorKind::Config => "configuration cannot be used",
            ErrorKind::Entropy => "operating system gave no entropy",
            ErrorKind::Transport => "transport failed",
            ErrorKind::Handshake => "handshake failed",
            ErrorKind::TimedOut => "peer took too long",
            ErrorKind::Store => "store failed",
            ErrorKind::TooLarge => "payload does not fit a record",
            ErrorKind::Tampered => "a record was tampered with; transport dropped",
            ErrorKind::Detached => "transport ended without a word from the peer",
            ErrorKind::Channel => "channel cannot be used",
            ErrorKind::Unauthorized => "not allowed",
            ErrorKind::Full => "as much waits as may wait",
            ErrorKind::Body => "payload could not be written or read",
            ErrorKind::Undelivered(why) => {
                write!(f, "message did not arrive: {why}")?;
                return self.source.as_ref().map_or(Ok(()), |source| write!(f, ", {source}"));
            }
            ErrorKind::Call(code) => {
                return write!(f, "call failed: {code}");
            }
            ErrorKind::Closed { .. } => "session is closed",
        };
        f.write_str(what)?;
        if let ErrorKind::Closed { code, .. } = self.kind {
            write!(f, " ({code:?})")?;
        }
        match &self.source {
            Some(source) => write!(f, ": {source}"),
            None => Ok(()),
        }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

impl From<ConfigError> for Error {
    fn from(error: ConfigError) -> Self {
        Self::with(ErrorKind::Config, error)
    }
}

impl From<HandshakeError> for Error {
    fn from(error: HandshakeError) -> Self {
        match error {
            HandshakeError::TimedOut => Self::new(ErrorKind::TimedOut),
            error => Self::with(ErrorKind::Handshake, error),
        }
    }
}

impl From<SealError> for Error {
    fn from(error: SealError) -> Self {
        match error {
            SealError::TooLarge(..) => Self::with(ErrorKind::TooLarge, error),
            SealError::SequenceExhausted => Self::closed(CloseCode::KeyLimit),
            SealError::Unaccepted => Self::with(ErrorKind::Detached, error),
            SealError::Closed => Self::closed(CloseCode::Normal),
        }
    }
}

impl From<OpenError> for Error {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Closed => Self::closed(CloseCode::Normal),
            // The peer did it under its own keys; on a transport that keeps order, the rest was done
            // by someone on the path.
            error => match error.fate(Order::Strict) {
                Fate::CloseSession(code) => {
                    Self::with(ErrorKind::Closed { code, retry_after: Duration::ZERO }, error)
                }
                Fate::DropAttachment | Fate::DropRecord => Self::with(ErrorKind::Tampered, error),
            },
        }
    }
}

impl From<crate::body::BodyError> for Error {
    fn from(error: crate::body::BodyError) -> Self {
        Self::with(ErrorKind::Body, error)
    }
}

impl From<crate::body::HeaderError> for Error {
    fn from(error: crate::body::HeaderError) -> Self {
        Self::with(ErrorKind::Body, error)
    }
}

impl From<BadChannel> for Error {
    fn from(error: BadChannel) -> Self {
        Self::with(ErrorKind::Channel, error)
    }
}

impl From<Unauthorized> for Error {
    fn from(error: Unauthorized) -> Self {
        Self::with(ErrorKind::Unauthorized, error)
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Self::with(ErrorKind::Call(failure.code), failure)
    }
}

#[cfg(feature = "runtime")]
impl From<TransportError> for Error {
    fn from(error: TransportError) -> Self {
        match error {
            TransportError::UpgradeTimedOut => Self::with(ErrorKind::TimedOut, error),
            TransportError::BadUrl | TransportError::TlsUnavailable => {
                Self::with(ErrorKind::Config, error)
            }
            error => Self::with(ErrorKind::Transport, error),
        }
    }
}

impl Error {
    pub(crate) fn closed(code: CloseCode) -> Self {
        Self::new(ErrorKind::Closed { code, retry_after: Duration::ZERO })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::Refusal;

    const NORMAL: ErrorKind =
        ErrorKind::Closed { code: CloseCode::Normal, retry_after: Duration::ZERO };
    /// Every kind with its code, written out: they stay as they are.
    const KINDS: [(ErrorKind, &str); 16] = [
        (ErrorKind::Config, "config"),
        (ErrorKind::Entropy, "entropy"),
        (ErrorKind::Transport, "transport"),
        (ErrorKind::Handshake, "handshake"),
        (ErrorKind::TimedOut, "timed_out"),
        (ErrorKind::Store, "store"),
        (ErrorKind::TooLarge, "too_large"),
        (ErrorKind::Tampered, "tampered"),
        (ErrorKind::Detached, "detached"),
        (NORMAL, "closed"),
        (ErrorKind::Channel, "channel"),
        (ErrorKind::Unauthorized, "unauthorized"),
        (ErrorKind::Full, "full"),
        (ErrorKind::Body, "body"),
        (ErrorKind::Undelivered(Undelivered::NoSubscriber), "no_subscriber"),
        (ErrorKind::Call(FailureCode::NoHandler), "no_handler"),
    ];

    #[test]
    fn every_kind_has_a_code_of_its_own_that_stays() {
        for (place, (kind, code)) in KINDS.into_iter().enumerate() {
            assert_eq!(Error::new(kind).code(), code);
            assert_eq!(place_of(kind), place, "{code} is missing, or stands twice");
            assert!(code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{code}");
            assert!(KINDS[..place].iter().all(|(_, earlier)| *earlier != code), "{code} is twice");
        }
    }

    #[test]
    fn what_needs_a_change_is_not_retryable() {
        for (kind, code) in KINDS {
            let final_ones = [
                "config",
                "too_large",
                "closed",
                "channel",
                "unauthorized",
                "body",
                "no_subscriber",
                "no_handler",
            ];
            let expected = !final_ones.contains(&code);
            assert_eq!(Error::new(kind).is_retryable(), expected, "{code}");
        }
        assert!(Error::closed(CloseCode::Busy).is_retryable());
        assert!(!Error::closed(CloseCode::Revoked).is_retryable());
    }

    #[test]
    fn an_error_displays_its_causes() {
        let error = Error::from(HandshakeError::Refused(Refusal::UnknownKey));
        let expected = "handshake failed: peer is refused: its key is not pinned";
        assert_eq!(error.to_string(), expected);
        let broken = OpenError::Frame(crate::session::FrameError::Misplaced(0x13));
        let error = Error::from(broken);
        assert_eq!(error.to_string(), format!("session is closed (ProtocolViolation): {broken}"));
    }

    #[cfg(feature = "runtime")]
    #[test]
    fn an_error_that_is_told_again_is_the_same() {
        let refused = HandshakeError::Refused(Refusal::UnknownKey);
        let error = Error::from(refused);
        assert!(!error.is_retryable());
        let again = error.again();
        assert_eq!(again.to_string(), error.to_string());
        assert_eq!(again.is_retryable(), error.is_retryable());
        assert_eq!(again.source().and_then(|source| source.downcast_ref()), Some(&refused));
    }

    /// Fails to compile when a kind is added: it belongs into [`KINDS`] too.
    fn place_of(kind: ErrorKind) -> usize {
        match kind {
            ErrorKind::Config => 0,
            ErrorKind::Entropy => 1,
            ErrorKind::Transport => 2,
            ErrorKind::Handshake => 3,
            ErrorKind::TimedOut => 4,
            ErrorKind::Store => 5,
            ErrorKind::TooLarge => 6,
            ErrorKind::Tampered => 7,
            ErrorKind::Detached => 8,
            ErrorKind::Closed { .. } => 9,
            ErrorKind::Channel => 10,
            ErrorKind::Unauthorized => 11,
            ErrorKind::Full => 12,
            ErrorKind::Body => 13,
            ErrorKind::Undelivered(_) => 14,
            ErrorKind::Call(_) => 15,
        }
    }
}
