//! What can go wrong in a session, what is lost by it, and what the peer is told.

use std::time::Duration;

use super::attachment::Order;
use super::credential::CredentialError;
use super::verifier::Refusal;
use super::window::Stale;
use crate::crypto::{ExchangeError, KeyError};
use crate::header::{Header, HeaderError, RecordType};
use crate::ids::LinkId;
use crate::wire::{CloseCode, FrameError, Malformed, Reject};

/// Bytes of a REJECT's body.
const REJECT_BYTES: u16 = 16;

/// Why a handshake failed. Nothing is left to continue; no state was changed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum HandshakeError {
    /// The record's header breaks a rule.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// The record is for a link that is not this handshake's. It is not answered.
    #[error("record is for another link")]
    UnknownLink,
    /// Another record than the one that must come now.
    #[error("a record came that may not come now")]
    UnexpectedRecord,
    /// The message breaks its layout.
    #[error("handshake message is malformed: {0}")]
    Malformed(#[from] Malformed),
    /// The initiator does not know whom it speaks to. It is not answered.
    #[error("knock does not match: the initiator was told another key or secret")]
    BadKnock,
    /// No version in common.
    #[error("no protocol version in common")]
    NoCommonVersion,
    /// No suite in common that both policies allow.
    #[error("no suite in common")]
    NoCommonSuite,
    /// Someone made the other side offer or choose less than both can do.
    #[error("a better suite was possible than the one negotiated: downgrade")]
    Downgrade,
    /// The other side requires something this build does not have.
    #[error("critical extension {0:#06x} is unknown")]
    UnsupportedExtension(u16),
    /// The X25519 share forces the shared secret.
    #[error("key share is weak")]
    WeakKeyShare,
    /// The ML-KEM share is no encapsulation key.
    #[error("ML-KEM key is invalid")]
    InvalidKemKey,
    /// The share is this side's own, sent back.
    #[error("own key share was reflected")]
    ReflectedShare,
    /// The other side has this side's key.
    #[error("the peer presents this side's own key")]
    SelfConnection,
    /// A sealed block does not open: other realm, other chain, other keys, or changed on the way.
    #[error("sealed handshake block does not open")]
    Decrypt,
    /// The identity's key is not acceptable.
    #[error("peer's key is refused: {0}")]
    Key(#[from] KeyError),
    /// The identity's credential cannot be read.
    #[error("peer's credential cannot be read: {0}")]
    Credential(CredentialError),
    /// The signature over the handshake is not the identity's.
    #[error("handshake signature is wrong")]
    BadSignature,
    /// The other side does not know the handshake's keys.
    #[error("handshake confirmation is wrong")]
    BadFinished,
    /// The verifier does not admit the identity.
    #[error("peer is refused: {0}")]
    Refused(#[from] Refusal),
    /// The initiator meant to speak to someone else.
    #[error("initiator finished with another responder in mind")]
    AudienceMismatch,
    /// The initiator names a chain without knowing its secret.
    #[error("binder of a resumed chain is wrong")]
    ResumeBinder,
    /// No chain where policy requires one.
    #[error("peer is known, but its chain is not resumed, and policy requires that")]
    ResumeUnknown,
    /// A chain was resumed from a state older than one that was confirmed: a cloned disk or a
    /// restored backup.
    #[error("chain was resumed from an old state: identity is cloned or restored")]
    ResumeForked,
    /// The chain belongs to another identity.
    #[error("chain belongs to another identity")]
    ResumeForeign,
    /// Another handshake with the same chain was first.
    #[error("another handshake moved the chain first")]
    Superseded,
    /// The cookie was not made for this HELLO from this source, or is too old.
    #[error("cookie is invalid")]
    CookieInvalid,
    /// A second RETRY, or one that carries more than a cookie.
    #[error("retry is malformed or came twice")]
    MalformedRetry,
    /// The responder said no. Proves nothing; do what a time-out would make you do.
    #[error("responder rejected the handshake ({code:?})")]
    Rejected {
        /// What it said.
        code: CloseCode,
        /// When it asks to be tried again.
        retry_after: Duration,
    },
    /// More early data than a responder holds.
    #[error("too much data before the handshake was accepted")]
    EarlyDataLimit,
    /// The deadline passed.
    #[error("handshake took too long")]
    TimedOut,
    /// Too many handshakes under way, in all or from this source.
    #[error("too many handshakes under way")]
    Busy,
}

impl From<ExchangeError> for HandshakeError {
    fn from(error: ExchangeError) -> Self {
        match error {
            ExchangeError::Length => Self::Malformed(Malformed::Bounds("key share")),
            ExchangeError::WeakKeyShare => Self::WeakKeyShare,
            ExchangeError::InvalidKemKey => Self::InvalidKemKey,
            ExchangeError::Reflected => Self::ReflectedShare,
        }
    }
}

impl HandshakeError {
    /// What the initiator on `link` is answered: nothing if it never knocked rightly, did not
    /// address this responder, or let the deadline pass; one and the same refusal for every cause
    /// after that. An initiator answers nothing, whatever failed.
    #[must_use]
    pub fn rejection(&self, link: LinkId) -> Option<[u8; 40]> {
        let (code, retry_after_ms) = match self {
            Self::BadKnock | Self::Header(_) | Self::UnknownLink | Self::TimedOut => return None,
            Self::MalformedRetry | Self::Rejected { .. } => return None,
            Self::Busy => (CloseCode::Busy, 1_000),
            _ => (CloseCode::Refused, 0),
        };
        let mut out = bytes::BytesMut::with_capacity(40);
        let header = Header::handshake(RecordType::Reject, link, REJECT_BYTES);
        out.extend_from_slice(&header.encode());
        Reject { code, retry_after_ms }.encode(&mut out);
        out.first_chunk().copied()
    }

    /// Whether the same handshake may succeed later without a person changing anything.
    ///
    /// | at an initiator | answer | because |
    /// |---|---|---|
    /// | [`TimedOut`](Self::TimedOut), [`Busy`](Self::Busy), [`CookieInvalid`](Self::CookieInvalid), [`Superseded`](Self::Superseded) | yes | time passes |
    /// | [`Rejected`](Self::Rejected), whatever its code | yes | anyone on the path can send one; it proves nothing (proto-spec 03, H-31) |
    /// | records, messages and shares that are broken or out of place, [`Decrypt`](Self::Decrypt), [`BadSignature`](Self::BadSignature), [`BadFinished`](Self::BadFinished) | yes | anyone on the path can change bytes. A realm that differs shows as `Decrypt` too, because nothing else may be seen of it |
    /// | [`Key`](Self::Key), [`Credential`](Self::Credential), [`Refused`](Self::Refused), [`SelfConnection`](Self::SelfConnection) | no | whoever answered holds a key or credential that is not to be trusted: wrong pin, root, realm, role, revoked or expired. Only [`Refusal::NotYetValid`] passes with time |
    /// | [`ResumeUnknown`](Self::ResumeUnknown), [`ResumeForeign`](Self::ResumeForeign) | no | the peer is proven; its memory or this side's is not what policy requires |
    /// | [`UnsupportedExtension`](Self::UnsupportedExtension) | no | one of the builds is too old |
    ///
    /// "No" asks for a person; it is no proof of who is at fault. Who is on the path and knows what to
    /// knock with can answer with a key of its own, which gives `Refused`. So what runs unattended
    /// reports it and goes on dialling, at its longest pause: stopping for ever would let a moment on
    /// the path switch it off.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::TimedOut | Self::Busy | Self::CookieInvalid | Self::Superseded => true,
            Self::Rejected { .. } => true,
            Self::Header(_) | Self::UnknownLink | Self::UnexpectedRecord => true,
            Self::Malformed(_) | Self::MalformedRetry | Self::EarlyDataLimit => true,
            Self::WeakKeyShare | Self::InvalidKemKey | Self::ReflectedShare => true,
            Self::Decrypt | Self::BadSignature | Self::BadFinished => true,
            Self::ResumeBinder | Self::AudienceMismatch => true,
            Self::Refused(refusal) => *refusal == Refusal::NotYetValid,
            Self::Key(_) | Self::Credential(_) | Self::SelfConnection => false,
            Self::BadKnock | Self::NoCommonVersion | Self::NoCommonSuite => false,
            Self::Downgrade | Self::UnsupportedExtension(_) => false,
            Self::ResumeUnknown | Self::ResumeForked | Self::ResumeForeign => false,
        }
    }
}

/// What an error costs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fate {
    /// The record is gone; everything else goes on.
    DropRecord,
    /// The transport is to be dropped; the session may go on over another one.
    DropAttachment,
    /// The session is over; the peer is told this code if it can be.
    CloseSession(CloseCode),
}

/// Why a record was not opened.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The record's header breaks a rule.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// The record is for a link that is not this session's.
    #[error("record is for another link")]
    UnknownLink,
    /// The record's type has no place in an established session, or ACCEPT is missing.
    #[error("a record came that may not come now")]
    UnexpectedRecord,
    /// Longer than this side announced to take.
    #[error("record is longer than negotiated")]
    TooLarge,
    /// No key of that epoch is, or may yet be, here.
    #[error("record has an epoch that is not in use")]
    EpochUnknown,
    /// The position was opened before.
    #[error("record was already opened")]
    Replayed,
    /// The position lies too far back to tell.
    #[error("record is too old to tell whether it was opened")]
    TooOld,
    /// The tag does not match.
    #[error("record failed authentication")]
    Forged,
    /// Authentic, but not the next one on a transport that keeps order.
    #[error("record is out of order on an ordered transport")]
    OrderViolation,
    /// As many forgeries as one key may see.
    #[error("too many records failed authentication")]
    AeadLimit,
    /// Authentic, but not frames.
    #[error("peer broke the protocol: {0}")]
    Frame(#[from] FrameError),
    /// Authentic, but again a rekey that the peer did not sign, as often as a session puts up with.
    #[error("peer sent too many rekeys that it did not sign")]
    BadSignatures,
    /// Authentic and perhaps right, but more signatures to check than any peer has need of.
    #[error("peer sent too many signed frames in a minute")]
    SignedTooOften,
    /// The peer's new credential is refused.
    #[error("peer's new credential is refused: {0}")]
    Credential(#[from] RefreshError),
    /// The session is over.
    #[error("session is closed")]
    Closed,
}

impl From<Stale> for OpenError {
    fn from(stale: Stale) -> Self {
        match stale {
            Stale::Replayed => Self::Replayed,
            Stale::TooOld => Self::TooOld,
        }
    }
}

impl OpenError {
    /// What is lost. On a transport that keeps order, anything unexpected was put there by someone
    /// on the path, so the transport goes; on another, only the record.
    #[must_use]
    pub fn fate(&self, order: Order) -> Fate {
        match (self, order) {
            (Self::Frame(_) | Self::BadSignatures | Self::SignedTooOften, _) => {
                Fate::CloseSession(CloseCode::ProtocolViolation)
            }
            (Self::Credential(_), _) => Fate::CloseSession(CloseCode::Refused),
            (Self::AeadLimit, _) => Fate::CloseSession(CloseCode::KeyLimit),
            (Self::Closed, _) | (_, Order::Strict) => Fate::DropAttachment,
            (_, Order::Window) => Fate::DropRecord,
        }
    }
}

/// Why nothing was sealed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// More than the peer takes in one record.
    #[error("{0} bytes do not fit a record; the peer takes {1}")]
    TooLarge(usize, usize),
    /// Every position of the session was used. Handshake again.
    #[error("sequence numbers are used up; a new handshake is needed")]
    SequenceExhausted,
    /// The responder did not accept yet. Its first record says that it did.
    #[error("session is not accepted yet")]
    Unaccepted,
    /// The session is over.
    #[error("session is closed")]
    Closed,
}

/// Why a peer's new credential was refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RefreshError {
    /// It is no credential, or cannot be read.
    #[error("not a credential")]
    NotACredential,
    /// It is for another key or another subject.
    #[error("credential is for another identity")]
    OtherIdentity,
    /// The session's peer did not sign for it.
    #[error("signature is wrong")]
    BadSignature,
    /// The session's peer takes no record that holds it. The session ends with the credential it
    /// has; a new handshake presents the new one.
    #[error("credential needs {0} bytes of a record; the peer takes {1}")]
    TooLarge(usize, usize),
    /// The verifier does not admit it.
    #[error(transparent)]
    Refused(Refusal),
}

/// Why a key exchange in band came to nothing. The keys in use stay in use, unless it says otherwise.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RekeyError {
    /// The session's peer did not sign it.
    #[error("rekey is not signed by the peer")]
    BadSignature,
    /// One direction is in the last epoch there is. The session ends; handshake again.
    #[error("epochs are used up; a new handshake is needed")]
    EpochExhausted,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::HEADER_BYTES;

    const LINK: LinkId = LinkId([7; 8]);

    /// proto-spec [H-31]: what is not proven, a REJECT with a terminal code above all, keeps nobody
    /// from trying again.
    #[test]
    fn what_anyone_on_the_path_can_cause_may_be_tried_again() {
        for code in [CloseCode::Busy, CloseCode::Refused, CloseCode::Revoked, CloseCode::Normal] {
            let rejected = HandshakeError::Rejected { code, retry_after: Duration::ZERO };
            assert!(rejected.is_retryable(), "{rejected:?}");
        }
        for error in [
            HandshakeError::TimedOut,
            HandshakeError::Busy,
            HandshakeError::CookieInvalid,
            HandshakeError::Superseded,
            HandshakeError::Header(HeaderError::Truncated),
            HandshakeError::UnknownLink,
            HandshakeError::UnexpectedRecord,
            HandshakeError::Malformed(Malformed::Truncated),
            HandshakeError::MalformedRetry,
            HandshakeError::WeakKeyShare,
            HandshakeError::InvalidKemKey,
            HandshakeError::ReflectedShare,
            HandshakeError::Decrypt,
            HandshakeError::BadSignature,
            HandshakeError::BadFinished,
            HandshakeError::Refused(Refusal::NotYetValid),
        ] {
            assert!(error.is_retryable(), "{error:?}");
        }
    }

    #[test]
    fn what_only_a_person_can_change_is_not_to_be_tried_again() {
        for refusal in [
            Refusal::UnknownKey,
            Refusal::NoCredential,
            Refusal::UnknownIssuer,
            Refusal::BadSignature,
            Refusal::WrongKind,
            Refusal::WrongRealm,
            Refusal::WrongRole,
            Refusal::Expired,
            Refusal::Revoked,
        ] {
            assert!(!HandshakeError::Refused(refusal).is_retryable(), "{refusal:?}");
        }
        for error in [
            HandshakeError::BadKnock,
            HandshakeError::NoCommonVersion,
            HandshakeError::NoCommonSuite,
            HandshakeError::Downgrade,
            HandshakeError::UnsupportedExtension(0x8001),
            HandshakeError::SelfConnection,
            HandshakeError::Key(KeyError::Weak),
            HandshakeError::Credential(CredentialError::TooLong),
            HandshakeError::ResumeUnknown,
            HandshakeError::ResumeForked,
            HandshakeError::ResumeForeign,
        ] {
            assert!(!error.is_retryable(), "{error:?}");
        }
    }

    /// Who may be no initiator at all hears nothing, and a responder nothing of what an initiator
    /// failed at.
    #[test]
    fn what_never_knocked_rightly_is_met_with_silence() {
        let (code, retry_after) = (CloseCode::Busy, Duration::ZERO);
        for silent in [
            HandshakeError::BadKnock,
            HandshakeError::Header(HeaderError::TooShort),
            HandshakeError::UnknownLink,
            HandshakeError::TimedOut,
            HandshakeError::MalformedRetry,
            HandshakeError::Rejected { code, retry_after },
        ] {
            assert_eq!(silent.rejection(LINK), None, "{silent}");
        }
    }

    /// proto-spec [H-30]: one refusal for every cause but want of room.
    #[test]
    fn a_refusal_does_not_tell_its_cause() {
        let refused = Reject { code: CloseCode::Refused, retry_after_ms: 0 };
        for told in [
            HandshakeError::Decrypt,
            HandshakeError::NoCommonSuite,
            HandshakeError::ResumeForked,
            HandshakeError::Refused(Refusal::Expired),
        ] {
            assert_eq!(said(told), refused, "{told}");
        }
        let busy = Reject { code: CloseCode::Busy, retry_after_ms: 1_000 };
        assert_eq!(said(HandshakeError::Busy), busy);
    }

    fn said(error: HandshakeError) -> Reject {
        let record = error.rejection(LINK).unwrap();
        let header = Header::of_record(&record).unwrap();
        assert_eq!((header.kind, header.link), (RecordType::Reject, LINK));
        Reject::decode(&record[HEADER_BYTES..]).unwrap()
    }
}
