//! Payloads of the kinds, as proto-spec 11-calls draws them. Knows no state.

use bytes::{BufMut, Bytes, BytesMut};

use super::failure::Failure;
use super::say::CommandId;
use super::status::{Effect, Status};
use crate::wire::{Malformed, Reader};

const PERMILLE: u32 = 1000;

/// In front of the payload of a request for a stream.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Opening {
    /// Items below this offset may be sent.
    pub allowed: u64,
    /// The first offset that is wanted.
    pub from: u64,
    pub payload: Bytes,
}

impl Opening {
    pub(crate) fn decode(payload: &Bytes) -> Result<Self, Malformed> {
        let mut reader = Reader::new(payload);
        let (allowed, from) = (reader.u64()?, reader.u64()?);
        if from > allowed {
            return Err(Malformed::Bounds("demand"));
        }
        Ok(Self { allowed, from, payload: rest(payload, &reader) })
    }

    pub(crate) fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(16 + self.payload.len());
        out.put_u64(self.allowed);
        out.put_u64(self.from);
        out.put_slice(&self.payload);
        out.freeze()
    }
}

/// One of a stream.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Item {
    /// Its place, from zero.
    pub offset: u64,
    pub payload: Bytes,
}

impl Item {
    pub(crate) fn decode(payload: &Bytes) -> Result<Self, Malformed> {
        numbered(payload).map(|(offset, payload)| Self { offset, payload })
    }

    pub(crate) fn encode(&self) -> Bytes {
        put_numbered(self.offset, &self.payload)
    }
}

/// The last answer of a stream.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct StreamEnd {
    /// Items before it.
    pub count: u64,
    pub payload: Bytes,
}

impl StreamEnd {
    pub(crate) fn decode(payload: &Bytes) -> Result<Self, Malformed> {
        numbered(payload).map(|(count, payload)| Self { count, payload })
    }

    pub(crate) fn encode(&self) -> Bytes {
        put_numbered(self.count, &self.payload)
    }
}

/// What the receiver of a stream has, and what it can take.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Demand {
    /// Items below this offset may be sent. Never falls.
    pub allowed: u64,
    /// Items below this offset have arrived.
    pub next: u64,
    pub mode: DemandMode,
}

/// What a demand asks of the sender.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum DemandMode {
    /// Nothing but to take note.
    Note,
    /// To send again from `next` on.
    GoOn,
}

impl Demand {
    pub(crate) fn decode(payload: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(payload);
        let (allowed, next) = (reader.u64()?, reader.u64()?);
        let mode = match reader.u8()? {
            0 => DemandMode::Note,
            1 => DemandMode::GoOn,
            _ => return Err(Malformed::Value("mode of a demand")),
        };
        reader.end()?;
        if next > allowed {
            return Err(Malformed::Bounds("demand"));
        }
        Ok(Self { allowed, next, mode })
    }

    pub(crate) fn encode(self) -> Bytes {
        let mut out = BytesMut::with_capacity(17);
        out.put_u64(self.allowed);
        out.put_u64(self.next);
        out.put_u8(match self.mode {
            DemandMode::Note => 0,
            DemandMode::GoOn => 1,
        });
        out.freeze()
    }
}

/// How far the work is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Progress {
    /// Thousandths done, at most 1000.
    Permille(u32),
    /// Whatever the handler says.
    Payload(Bytes),
}

impl Progress {
    pub(crate) fn decode(payload: &Bytes) -> Result<Self, Malformed> {
        let mut reader = Reader::new(payload);
        match reader.u8()? {
            0 => {
                let permille = reader.u32()?;
                reader.end()?;
                if permille > PERMILLE {
                    return Err(Malformed::Bounds("progress"));
                }
                Ok(Self::Permille(permille))
            }
            1 => Ok(Self::Payload(rest(payload, &reader))),
            _ => Err(Malformed::Value("form of a progress")),
        }
    }

    pub(crate) fn encode(&self) -> Bytes {
        let mut out = BytesMut::new();
        match self {
            Self::Permille(permille) => {
                out.put_u8(0);
                out.put_u32((*permille).min(PERMILLE));
            }
            Self::Payload(payload) => {
                out.put_u8(1);
                out.put_slice(payload);
            }
        }
        out.freeze()
    }
}

/// A command: what to do with which.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct CommandBody {
    pub id: CommandId,
    pub op: CommandOp,
}

/// What to do.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum CommandOp {
    /// Run it, once.
    Run(Bytes),
    /// Stop it, or never begin.
    Cancel,
}

impl CommandBody {
    pub(crate) fn decode(payload: &Bytes) -> Result<Self, Malformed> {
        let mut reader = Reader::new(payload);
        let op = reader.u8()?;
        let id = CommandId(reader.array()?);
        let op = match op {
            0 => CommandOp::Run(rest(payload, &reader)),
            1 => {
                reader.end()?;
                CommandOp::Cancel
            }
            _ => return Err(Malformed::Value("operation of a command")),
        };
        Ok(Self { id, op })
    }

    pub(crate) fn encode(&self) -> Bytes {
        let mut out = BytesMut::new();
        let (op, payload) = match &self.op {
            CommandOp::Run(payload) => (0, &payload[..]),
            CommandOp::Cancel => (1, &[][..]),
        };
        out.put_u8(op);
        out.put_slice(&self.id.0);
        out.put_slice(payload);
        out.freeze()
    }
}

/// What became of a command.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct StatusBody {
    pub id: CommandId,
    pub status: Status,
    pub effect: Effect,
}

impl StatusBody {
    pub(crate) fn decode(payload: &Bytes) -> Result<Self, Malformed> {
        let mut reader = Reader::new(payload);
        let id = CommandId(reader.array()?);
        let status = Status::from_u8(reader.u8()?).filter(|status| status.travels());
        let status = status.ok_or(Malformed::Value("status"))?;
        let effect = match status {
            Status::Succeeded => Effect::Result(rest(payload, &reader)),
            Status::Failed => Effect::Failure(Failure::decode(reader.rest())?),
            _ => {
                reader.end()?;
                Effect::None
            }
        };
        Ok(Self { id, status, effect })
    }

    pub(crate) fn encode(&self) -> Bytes {
        let mut out = BytesMut::new();
        out.put_slice(&self.id.0);
        out.put_u8(self.status.to_u8());
        match &self.effect {
            Effect::None => {}
            Effect::Result(result) => out.put_slice(result),
            Effect::Failure(failure) => failure.put(&mut out),
        }
        out.freeze()
    }
}

fn numbered(payload: &Bytes) -> Result<(u64, Bytes), Malformed> {
    let mut reader = Reader::new(payload);
    Ok((reader.u64()?, rest(payload, &reader)))
}

fn put_numbered(number: u64, payload: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(8 + payload.len());
    out.put_u64(number);
    out.put_slice(payload);
    out.freeze()
}

/// What the reader has left, without a copy.
fn rest(payload: &Bytes, reader: &Reader<'_>) -> Bytes {
    payload.slice_ref(reader.rest())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::failure::ErrorCode;
    use super::*;

    const ID: CommandId = CommandId([7; 16]);

    /// proto-spec [Q-2]: an opening, an item, the end of a stream.
    #[test]
    fn numbers_of_a_stream_stand_in_front() {
        let payload = Bytes::from_static(b"ab");
        let opening = Opening { allowed: 0x0102, from: 3, payload: payload.clone() };
        let bytes = opening.encode();
        assert_eq!(bytes[..], *b"\0\0\0\0\0\0\x01\x02\0\0\0\0\0\0\0\x03ab");
        assert_eq!(Opening::decode(&bytes), Ok(opening));
        assert_head(&bytes, 16, |bytes| Opening::decode(bytes).map(|_| ()));
        let item = Item { offset: 0x0102, payload: payload.clone() };
        let bytes = item.encode();
        assert_eq!(bytes[..], *b"\0\0\0\0\0\0\x01\x02ab");
        assert_eq!(Item::decode(&bytes), Ok(item));
        assert_head(&bytes, 8, |bytes| Item::decode(bytes).map(|_| ()));
        let end = StreamEnd { count: 0x0102, payload };
        assert_eq!(end.encode(), bytes);
        assert_eq!(StreamEnd::decode(&bytes), Ok(end));
        assert_head(&bytes, 8, |bytes| StreamEnd::decode(bytes).map(|_| ()));
    }

    /// proto-spec [Q-2]: a demand.
    #[test]
    fn a_demand_is_two_numbers_and_a_mode() {
        for (number, mode) in [(0, DemandMode::Note), (1, DemandMode::GoOn)] {
            let demand = Demand { allowed: 0x0102, next: 0x0102, mode };
            let bytes = demand.encode();
            let drawn = [b"\0\0\0\0\0\0\x01\x02\0\0\0\0\0\0\x01\x02", &[number][..]].concat();
            assert_eq!(bytes[..], drawn);
            assert_eq!(Demand::decode(&bytes), Ok(demand));
            assert_head(&bytes, 17, |bytes| Demand::decode(bytes).map(|_| ()));
            let longer = [&bytes[..], &[0]].concat();
            assert_eq!(Demand::decode(&longer), Err(Malformed::TrailingBytes));
        }
        let other = [&[0; 16][..], &[2]].concat();
        assert_eq!(Demand::decode(&other), Err(Malformed::Value("mode of a demand")));
    }

    /// proto-spec [Q-2]: nothing is wanted beyond what is allowed.
    #[test]
    fn what_is_wanted_is_allowed() {
        let beyond = Demand { allowed: 4, next: 5, mode: DemandMode::Note };
        assert_eq!(Demand::decode(&beyond.encode()), Err(Malformed::Bounds("demand")));
        let beyond = Opening { allowed: 4, from: 5, payload: Bytes::new() };
        assert_eq!(Opening::decode(&beyond.encode()), Err(Malformed::Bounds("demand")));
        let equal = Opening { allowed: 4, from: 4, payload: Bytes::new() };
        assert_eq!(Opening::decode(&equal.encode()), Ok(equal));
    }

    /// proto-spec [Q-2]: the two forms of a progress.
    #[test]
    fn a_progress_is_thousandths_or_a_payload() {
        let thousandths = Progress::Permille(1000);
        assert_eq!(thousandths.encode()[..], [0, 0, 0, 3, 0xe8]);
        assert_eq!(Progress::decode(&thousandths.encode()), Ok(thousandths.clone()));
        assert_eq!(Progress::Permille(2000).encode(), thousandths.encode());
        let payload = Progress::Payload(Bytes::from_static(b"half"));
        assert_eq!(payload.encode()[..], *b"\x01half");
        assert_eq!(Progress::decode(&payload.encode()), Ok(payload));
        for (bytes, error) in [
            (&[0, 0, 0, 3, 0xe9][..], Malformed::Bounds("progress")),
            (&[0, 0, 0, 0], Malformed::Truncated),
            (&[0, 0, 0, 0, 0, 0], Malformed::TrailingBytes),
            (&[2], Malformed::Value("form of a progress")),
            (&[], Malformed::Truncated),
        ] {
            assert_eq!(Progress::decode(&Bytes::from_static(bytes)), Err(error));
        }
    }

    /// proto-spec [Q-2]: a command.
    #[test]
    fn a_command_is_an_operation_on_an_id() {
        let run = CommandBody { id: ID, op: CommandOp::Run(Bytes::from_static(b"go")) };
        let bytes = run.encode();
        assert_eq!(bytes[..], [&[0][..], &[7; 16], b"go"].concat());
        assert_eq!(CommandBody::decode(&bytes), Ok(run));
        assert_head(&bytes, 17, |bytes| CommandBody::decode(bytes).map(|_| ()));
        let cancel = CommandBody { id: ID, op: CommandOp::Cancel };
        let bytes = cancel.encode();
        assert_eq!(bytes[..], [&[1][..], &[7; 16]].concat());
        assert_eq!(CommandBody::decode(&bytes), Ok(cancel));
        let longer = Bytes::from([&bytes[..], &[0]].concat());
        assert_eq!(CommandBody::decode(&longer), Err(Malformed::TrailingBytes));
        let other = Bytes::from(vec![2; 17]);
        let refused = Malformed::Value("operation of a command");
        assert_eq!(CommandBody::decode(&other), Err(refused));
    }

    /// proto-spec [Q-3]: a status, and what stands behind it.
    #[test]
    fn a_status_carries_what_belongs_to_it() {
        let failure = Failure::with_text(ErrorCode::Busy, "x");
        for status in Status::ALL {
            let (effect, behind) = match status {
                Status::Succeeded => (Effect::Result(Bytes::from_static(b"r")), b"r".to_vec()),
                Status::Failed => (Effect::Failure(failure.clone()), failure.encode().to_vec()),
                _ => (Effect::None, Vec::new()),
            };
            let body = StatusBody { id: ID, status, effect };
            let bytes = body.encode();
            assert_eq!(bytes[..], [&[7; 16][..], &[status.to_u8()], &behind].concat());
            let expected =
                if status.travels() { Ok(body) } else { Err(Malformed::Value("status")) };
            assert_eq!(StatusBody::decode(&bytes), expected);
            if status.travels() {
                assert_head(&bytes, 17, |bytes| StatusBody::decode(bytes).map(|_| ()));
                let longer = Bytes::from([&bytes[..], &[0]].concat());
                let is_open = status == Status::Succeeded;
                assert_eq!(StatusBody::decode(&longer).is_ok(), is_open, "{status:?}");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

        #[test]
        fn what_is_read_is_written_the_same(
            head in proptest::collection::vec(0u8..4, 0..24),
            tail in proptest::collection::vec(any::<u8>(), 0..24),
        ) {
            let bytes = Bytes::from([head, tail].concat());
            let again = [
                Opening::decode(&bytes).map(|read| read.encode()),
                Item::decode(&bytes).map(|read| read.encode()),
                Demand::decode(&bytes).map(Demand::encode),
                Progress::decode(&bytes).map(|read| read.encode()),
                CommandBody::decode(&bytes).map(|read| read.encode()),
                StatusBody::decode(&bytes).map(|read| read.encode()),
                Failure::decode(&bytes).map(|read| read.encode()),
            ];
            for written in again.into_iter().flatten() {
                prop_assert_eq!(&written, &bytes);
            }
        }
    }

    /// The first bytes are all needed.
    fn assert_head(bytes: &Bytes, head: usize, decode: impl Fn(&Bytes) -> Result<(), Malformed>) {
        for length in 0..head {
            assert_eq!(decode(&bytes.slice(..length)), Err(Malformed::Truncated), "{length}");
        }
        assert_eq!(decode(bytes), Ok(()));
    }
}
