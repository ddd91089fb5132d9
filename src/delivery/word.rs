//! What two sides and their stores say about messages: which store, which batch, how far, how it
//! ended, and what cannot be true. Knows no message.

use std::fmt;

/// Sixteen random bytes, born with an outbox or an inbox and gone with it. Unrelated to sessions: the
/// same as long as the store lives.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct Epoch([u8; 16]);

impl Epoch {
    /// An epoch from its bytes, or `None` for zeros, which stand for "unknown" in a RESUME.
    pub(crate) fn from_bytes(bytes: [u8; 16]) -> Option<Self> {
        (bytes != [0; 16]).then_some(Self(bytes))
    }

    pub(crate) const fn to_bytes(self) -> [u8; 16] {
        self.0
    }
}

impl fmt::Debug for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Epoch(")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str(")")
    }
}

/// What a crash of this process leaves.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Durability {
    /// What was stored: nothing is promised before it is.
    Durable,
    /// Nothing.
    Memory,
}

/// A batch of changes on its way to the store. Batches are stored in order.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Ticket(pub(super) u64);

/// The final word about a message that the peer did not handle, as the peer gave it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Verdict {
    pub(crate) code: u16,
    pub(crate) detail: u32,
}

/// A peer says what cannot be. The link ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum Lie {
    /// It acknowledges a number that was not sent to it.
    #[error("peer acknowledged a message that it was not sent")]
    AckForUnsent,
    /// It gives the result of a number that was not sent to it.
    #[error("peer refused a message that it was not sent")]
    ResultForUnsent,
    /// Its RESUME has handled a number that was not sent to it.
    #[error("peer resumes with a message that it was not sent")]
    ResumeForUnsent,
    /// Its RESUME calls its outbox, or its inbox, by an epoch of this side.
    #[error("peer resumes with this side's own epoch")]
    ResumeReflected,
    /// A message has number 0, or one that nobody reaches.
    #[error("peer sent a number that no message has")]
    BadNumber,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_are_no_epoch() {
        assert_eq!(Epoch::from_bytes([0; 16]), None);
        assert_eq!(Epoch::from_bytes([7; 16]).map(Epoch::to_bytes), Some([7; 16]));
    }

    #[test]
    fn an_epoch_prints_its_bytes() {
        let epoch = Epoch::from_bytes([0xa5; 16]).unwrap();
        assert_eq!(format!("{epoch:?}"), format!("Epoch({})", "a5".repeat(16)));
    }
}
