//! What crosses the border of this module: contents heard, contents to say, rows to store. Knows
//! neither their bytes on the wire nor how they get there.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;

use crate::priority::Class;
use crate::wire::Malformed;

/// Ties an answer to its request. Chosen by the caller, and never used twice by it.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct Correlation(u64);

impl Correlation {
    pub(crate) const fn from_wire(number: u64) -> Self {
        Self(number)
    }

    pub(crate) const fn to_wire(self) -> u64 {
        self.0
    }

    /// The one after it. Numbers begin below 2^63, so none is left out or met again.
    pub(super) fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// Names one command in every process that meets it. Its issuer draws it at random.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct CommandId(pub [u8; 16]);

impl fmt::Debug for CommandId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CommandId({self})")
    }
}

impl fmt::Display for CommandId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// How many answers a request wants.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Shape {
    /// One.
    One,
    /// Items, then a last answer.
    Stream,
}

/// The kinds of content that this module speaks.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Kind {
    /// A question; with [`Shape::Stream`] the flag STREAM is set.
    Request(Shape),
    /// The last answer.
    Response,
    /// One of a stream.
    Item,
    /// How far the work is.
    Progress,
    /// The last answer, for want of a response.
    Failure,
    /// A durable order.
    Command,
    /// What became of an order.
    Status,
    /// Items that may come.
    Demand,
}

impl Kind {
    /// The byte in front of the content.
    pub(crate) const fn number(self) -> u8 {
        match self {
            Self::Request(_) => 1,
            Self::Response => 2,
            Self::Item => 3,
            Self::Progress => 4,
            Self::Failure => 5,
            Self::Command => 6,
            Self::Status => 7,
            Self::Demand => 8,
        }
    }

    /// The kind of a content, by its first byte and its flag STREAM. `None` if it is none of these.
    pub(crate) const fn from_wire(number: u8, shape: Shape) -> Option<Self> {
        Some(match (number, shape) {
            (1, shape) => Self::Request(shape),
            (2, Shape::One) => Self::Response,
            (3, Shape::One) => Self::Item,
            (4, Shape::One) => Self::Progress,
            (5, Shape::One) => Self::Failure,
            (6, Shape::One) => Self::Command,
            (7, Shape::One) => Self::Status,
            (8, Shape::One) => Self::Demand,
            _ => return None,
        })
    }
}

/// What a content needs from delivery.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Reliability {
    /// No number: gone with the transport.
    BestEffort,
    /// A number: said again after a reconnection, heard once.
    Numbered,
    /// A number, and stored before it goes where there is a store.
    Durable,
}

/// Whom a content is about, so that its fate can be told to the machine that said it.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Subject {
    /// A call; the content carries its correlation.
    Call(Correlation),
    /// A command; its id is in the payload.
    Command(CommandId),
}

/// A content to be sent.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Say {
    pub kind: Kind,
    pub subject: Subject,
    pub payload: Bytes,
    pub class: Class,
    /// Time after which it is worth nothing; `None` if it stays worth sending.
    pub ttl: Option<Duration>,
    pub reliability: Reliability,
}

/// A CANCEL frame.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Cancel {
    pub correlation: Correlation,
    pub reason: CancelReason,
}

/// Why a caller wants no answer any more. It changes nothing but what is logged.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum CancelReason {
    /// The caller's application lost interest.
    Unwanted,
    /// The deadline passed at the caller.
    Deadline,
    /// The caller knows no such request.
    Unknown,
    /// A reason of a later version.
    Other(u16),
}

impl CancelReason {
    pub(crate) const fn from_u16(number: u16) -> Self {
        match number {
            1 => Self::Unwanted,
            2 => Self::Deadline,
            3 => Self::Unknown,
            other => Self::Other(other),
        }
    }

    pub(crate) const fn to_u16(self) -> u16 {
        match self {
            Self::Unwanted => 1,
            Self::Deadline => 2,
            Self::Unknown => 3,
            Self::Other(other) => other,
        }
    }
}

/// What a machine wants sent.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Output {
    Say(Say),
    Cancel(Cancel),
}

impl Output {
    /// Whether it may wait until the link is back.
    pub(super) fn outlives_transport(&self) -> bool {
        match self {
            Self::Say(say) => say.reliability != Reliability::BestEffort,
            Self::Cancel(_) => false,
        }
    }
}

/// A content that arrived, authentic, and new as far as delivery can tell.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Heard {
    pub kind: Kind,
    pub correlation: Correlation,
    pub payload: Bytes,
    pub class: Class,
    /// What is left of its time, if it said so.
    pub remaining: Option<Duration>,
    pub reliability: Reliability,
}

/// What a store must do, in the order given.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Change<R> {
    /// Writes a row in place of the one with its id.
    Put(R),
    /// Removes the row.
    Remove(CommandId),
}

/// How a peer broke the rules of this module under its own keys. The session ends with
/// ProtocolViolation.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum Violation {
    /// A payload is not what its kind says.
    #[error("payload of a call is malformed: {0}")]
    Malformed(#[from] Malformed),
    /// An item lies beyond what was asked for, or a stream ends before an item that came.
    #[error("stream left its bounds")]
    OutOfBounds,
    /// An item for a request that wants one answer.
    #[error("request wants no stream")]
    NotAStream,
    /// A kind that does not belong here.
    #[error("content does not belong to this machine")]
    Misplaced,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// proto-spec: the table of kinds; STREAM stands on a request only.
    #[test]
    fn the_id_of_a_command_prints_as_text() {
        let id = CommandId([0xc0; 16]);
        assert_eq!(id.to_string(), "c0".repeat(16));
        assert_eq!(format!("{id:?}"), format!("CommandId({id})"));
    }

    #[test]
    fn each_kind_has_its_number() {
        let table = [
            (1, Kind::Request(Shape::One)),
            (2, Kind::Response),
            (3, Kind::Item),
            (4, Kind::Progress),
            (5, Kind::Failure),
            (6, Kind::Command),
            (7, Kind::Status),
            (8, Kind::Demand),
        ];
        for (number, kind) in table {
            assert_eq!((kind.number(), Kind::from_wire(number, Shape::One)), (number, Some(kind)));
        }
        for number in 0..=u8::MAX {
            let known = table.iter().any(|(known, _)| *known == number);
            assert_eq!(Kind::from_wire(number, Shape::One).is_some(), known);
            let stream = Kind::from_wire(number, Shape::Stream);
            assert_eq!(stream, (number == 1).then_some(Kind::Request(Shape::Stream)));
        }
        assert_eq!(Kind::Request(Shape::Stream).number(), 1);
    }

    #[test]
    fn each_reason_has_its_number() {
        let named = [CancelReason::Unwanted, CancelReason::Deadline, CancelReason::Unknown];
        assert_eq!(named.map(CancelReason::to_u16), [1, 2, 3]);
        for number in 0..=u16::MAX {
            assert_eq!(CancelReason::from_u16(number).to_u16(), number);
        }
        assert_eq!(CancelReason::from_u16(0), CancelReason::Other(0));
    }

    #[test]
    fn a_command_prints_as_hex() {
        let id = CommandId([0x0a; 16]);
        assert_eq!(format!("{id:?}"), format!("CommandId({})", "0a".repeat(16)));
    }
}
