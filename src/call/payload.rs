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
pub(crate) enum Progress {
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
