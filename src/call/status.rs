//! The states of a command, and which may follow which. Knows no command.

use bytes::Bytes;

use super::failure::Failure;

/// Where a command stands. The numbers never change.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Status {
    /// Waits at its issuer.
    Queued,
    /// Left its issuer.
    Sent,
    /// The executor has it.
    Delivered,
    /// Its effect has begun.
    Running,
    /// Done; has a result.
    Succeeded,
    /// Not done, or done in vain; has a failure.
    Failed,
    /// Its time passed before it began.
    Expired,
    /// Withdrawn before it was done.
    Cancelled,
    /// It may have run, and nobody can tell.
    Unknown,
}

/// What a settled command leaves: a result with [`Status::Succeeded`], a failure with
/// [`Status::Failed`], otherwise nothing.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Effect {
    None,
    Result(Bytes),
    Failure(Failure),
}

impl Status {
    pub(crate) const ALL: [Self; 9] = [
        Self::Queued,
        Self::Sent,
        Self::Delivered,
        Self::Running,
        Self::Succeeded,
        Self::Failed,
        Self::Expired,
        Self::Cancelled,
        Self::Unknown,
    ];

    pub(crate) const fn to_u8(self) -> u8 {
        match self {
            Self::Queued => 0,
            Self::Sent => 1,
            Self::Delivered => 2,
            Self::Running => 3,
            Self::Succeeded => 4,
            Self::Failed => 5,
            Self::Expired => 6,
            Self::Cancelled => 7,
            Self::Unknown => 8,
        }
    }

    pub(crate) fn from_u8(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }

    /// Whether an executor may report it. The first two are the issuer's own.
    pub(crate) const fn travels(self) -> bool {
        !matches!(self, Self::Queued | Self::Sent)
    }

    /// Whether nothing more is waited for.
    #[must_use]
    pub const fn is_settled(self) -> bool {
        !matches!(self, Self::Queued | Self::Sent | Self::Delivered | Self::Running)
    }

    /// Whether `next` may follow. A command goes forward and may leave out steps, for reports can
    /// overtake what the issuer stored about itself. What has begun cannot expire. What is unknown
    /// may still become known. Nothing follows the other ends.
    pub(crate) const fn may_become(self, next: Self) -> bool {
        match self {
            Self::Queued => !matches!(next, Self::Queued),
            Self::Sent => !matches!(next, Self::Queued | Self::Sent),
            Self::Delivered => !matches!(next, Self::Queued | Self::Sent | Self::Delivered),
            Self::Running => {
                matches!(next, Self::Succeeded | Self::Failed | Self::Cancelled | Self::Unknown)
            }
            Self::Unknown => matches!(
                next,
                Self::Running | Self::Succeeded | Self::Failed | Self::Expired | Self::Cancelled
            ),
            Self::Succeeded | Self::Failed | Self::Expired | Self::Cancelled => false,
        }
    }
}

impl Effect {
    /// Bytes that it keeps.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::None => 0,
            Self::Result(result) => result.len(),
            Self::Failure(failure) => failure.text.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// proto-spec: every pair of states.
    #[test]
    fn only_the_transitions_of_the_table_are_legal() {
        // Columns as `Status::ALL`.
        let table = [
            (Status::Queued, ".SDRsfecu"),
            (Status::Sent, "..DRsfecu"),
            (Status::Delivered, "...Rsfecu"),
            (Status::Running, "....sf.cu"),
            (Status::Succeeded, "........."),
            (Status::Failed, "........."),
            (Status::Expired, "........."),
            (Status::Cancelled, "........."),
            (Status::Unknown, "...Rsfec."),
        ];
        assert_eq!(table.map(|(from, _)| from), Status::ALL);
        for (from, row) in table {
            for (to, cell) in Status::ALL.into_iter().zip(row.chars()) {
                assert_eq!(from.may_become(to), cell != '.', "{from:?} to {to:?}");
            }
        }
    }

    /// proto-spec: the numbers, and which of them travel.
    #[test]
    fn each_status_has_its_number() {
        for (number, status) in (0..).zip(Status::ALL) {
            assert_eq!((status.to_u8(), Status::from_u8(number)), (number, Some(status)));
            assert_eq!(status.travels(), number >= 2);
            assert_eq!(status.is_settled(), number >= 4);
        }
        assert_eq!(Status::from_u8(9), None);
        assert_eq!(Status::from_u8(255), None);
    }
}
