//! Why a session ends, as its peer is told.

/// A close code. Codes with the top bit are terminal: do not come back unasked. The others say that
/// the same peer may be dialled again. A code this version does not know is judged by that bit.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum CloseCode {
    /// This side goes away for a while (restart, drain).
    GoingAway,
    /// Too much load; come back later.
    Busy,
    /// The other side was silent for too long.
    TimedOut,
    /// The session lived as long as a session may.
    SessionExpired,
    /// A key reached the end of its use.
    KeyLimit,
    /// A fault of this side.
    Internal,
    /// This side is done.
    Normal,
    /// The one answer for every handshake that fails.
    Refused,
    /// The other side broke the protocol under its own keys.
    ProtocolViolation,
    /// Another session of the same identity took over.
    Replaced,
    /// The identity is no longer trusted.
    Revoked,
    /// The credential ran out.
    CredentialExpired,
    /// A code of a later version.
    Other(u16),
}

const TERMINAL: u16 = 0x8000;

impl CloseCode {
    /// Reads a code; every value is one.
    #[must_use]
    pub fn from_u16(code: u16) -> Self {
        match code {
            0x0001 => Self::GoingAway,
            0x0002 => Self::Busy,
            0x0003 => Self::TimedOut,
            0x0004 => Self::SessionExpired,
            0x0005 => Self::KeyLimit,
            0x0006 => Self::Internal,
            0x8000 => Self::Normal,
            0x8001 => Self::Refused,
            0x8002 => Self::ProtocolViolation,
            0x8003 => Self::Replaced,
            0x8004 => Self::Revoked,
            0x8005 => Self::CredentialExpired,
            other => Self::Other(other),
        }
    }

    /// The number on the wire.
    #[must_use]
    pub fn to_u16(self) -> u16 {
        match self {
            Self::GoingAway => 0x0001,
            Self::Busy => 0x0002,
            Self::TimedOut => 0x0003,
            Self::SessionExpired => 0x0004,
            Self::KeyLimit => 0x0005,
            Self::Internal => 0x0006,
            Self::Normal => 0x8000,
            Self::Refused => 0x8001,
            Self::ProtocolViolation => 0x8002,
            Self::Replaced => 0x8003,
            Self::Revoked => 0x8004,
            Self::CredentialExpired => 0x8005,
            Self::Other(code) => code,
        }
    }

    /// Whether the peer may be dialled again without being asked to.
    #[must_use]
    pub fn is_retryable(self) -> bool {
        self.to_u16() & TERMINAL == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// proto-spec 07-close-codes: the whole table.
    #[test]
    fn each_code_has_its_number() {
        let table = [
            (0x0001, CloseCode::GoingAway),
            (0x0002, CloseCode::Busy),
            (0x0003, CloseCode::TimedOut),
            (0x0004, CloseCode::SessionExpired),
            (0x0005, CloseCode::KeyLimit),
            (0x0006, CloseCode::Internal),
            (0x8000, CloseCode::Normal),
            (0x8001, CloseCode::Refused),
            (0x8002, CloseCode::ProtocolViolation),
            (0x8003, CloseCode::Replaced),
            (0x8004, CloseCode::Revoked),
            (0x8005, CloseCode::CredentialExpired),
        ];
        for (number, code) in table {
            assert_eq!(CloseCode::from_u16(number), code);
            assert_eq!(code.to_u16(), number);
        }
        let named =
            (0..=u16::MAX).filter(|code| CloseCode::from_u16(*code) != CloseCode::Other(*code));
        assert_eq!(named.count(), table.len());
    }

    /// proto-spec: a code that is not known is judged by its top bit alone.
    #[test]
    fn the_top_bit_alone_says_whether_to_come_back() {
        for number in 0..=u16::MAX {
            let code = CloseCode::from_u16(number);
            assert_eq!(code.to_u16(), number);
            assert_eq!(code.is_retryable(), number < 0x8000, "{number:#06x}");
        }
    }
}
