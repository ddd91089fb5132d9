//! Commands as values of rows: those that this side gave, and those that it ran. Knows no machine that
//! moves them.
//!
//! ```text
//! Commands  version, channel behind its length, status 1, class 1, begin by 8, changed 8,
//!           on peer lost 1, effect, payload: 0 or (1, length 4, bytes)
//! Results   version, channel behind its length, row version 4, class 1, changed 8,
//!           stage: (1, length 4, payload) or (2, status 1, is told 1, effect)
//! effect    0  |  1, length 4, result  |  2, length 4, failure as it travels
//! ```

use bytes::{BufMut, Bytes, BytesMut};

use super::place::{class_byte, read_class};
use super::rows::{Plain, begin, plain, put_count, read, read_channel};
use crate::call::{CommandId, Effect, ExecutedRow, Failure, IssuedRow, OnPeerLost, Stage, Status};
use crate::channel::ChannelName;
use crate::time::UnixTime;
use crate::wire::{Malformed, Reader, put_lv8};

pub(super) fn encode_issued(channel: &ChannelName, row: &IssuedRow) -> Plain {
    let mut out = begin();
    put_lv8(&mut out, channel.as_str().as_bytes());
    out.put_u8(row.status.to_u8());
    out.put_u8(class_byte(row.class));
    out.put_u64(row.begin_by.as_secs());
    out.put_u64(row.changed.as_secs());
    out.put_u8(match row.on_peer_lost {
        OnPeerLost::InDoubt => 1,
        OnPeerLost::Redrive => 2,
    });
    put_effect(&mut out, &row.effect);
    match &row.payload {
        None => out.put_u8(0),
        Some(payload) => {
            out.put_u8(1);
            put_bytes(&mut out, payload);
        }
    }
    plain(out)
}

/// Reads the row that stands at this id.
pub(super) fn decode_issued(
    id: CommandId,
    value: &[u8],
) -> Result<(ChannelName, IssuedRow), Malformed> {
    let mut reader = read(value)?;
    let channel = read_channel(&mut reader)?;
    let status = read_status(&mut reader)?;
    let class = read_class(&mut reader)?;
    let begin_by = UnixTime::from_secs(reader.u64()?);
    let changed = UnixTime::from_secs(reader.u64()?);
    let on_peer_lost = match reader.u8()? {
        1 => OnPeerLost::InDoubt,
        2 => OnPeerLost::Redrive,
        _ => return Err(Malformed::Value("on peer lost")),
    };
    let effect = read_effect(&mut reader)?;
    let payload = match reader.u8()? {
        0 => None,
        1 => Some(read_bytes(&mut reader)?),
        _ => return Err(Malformed::Value("payload")),
    };
    reader.end()?;
    let row = IssuedRow { id, status, effect, class, begin_by, changed, on_peer_lost, payload };
    Ok((channel, row))
}

pub(super) fn encode_executed(channel: &ChannelName, row: &ExecutedRow) -> Plain {
    let mut out = begin();
    put_lv8(&mut out, channel.as_str().as_bytes());
    out.put_u32(row.version);
    out.put_u8(class_byte(row.class));
    out.put_u64(row.changed.as_secs());
    match &row.stage {
        Stage::Begun(payload) => {
            out.put_u8(1);
            put_bytes(&mut out, payload);
        }
        Stage::Settled { status, effect, is_told } => {
            out.put_slice(&[2, status.to_u8(), u8::from(*is_told)]);
            put_effect(&mut out, effect);
        }
    }
    plain(out)
}

/// Reads the row that stands at this id.
pub(super) fn decode_executed(
    id: CommandId,
    value: &[u8],
) -> Result<(ChannelName, ExecutedRow), Malformed> {
    let mut reader = read(value)?;
    let channel = read_channel(&mut reader)?;
    let version = reader.u32()?;
    let class = read_class(&mut reader)?;
    let changed = UnixTime::from_secs(reader.u64()?);
    let stage = match reader.u8()? {
        1 => Stage::Begun(read_bytes(&mut reader)?),
        2 => {
            let status = read_status(&mut reader)?;
            let is_told = match reader.u8()? {
                0 => false,
                1 => true,
                _ => return Err(Malformed::Value("is told")),
            };
            Stage::Settled { status, effect: read_effect(&mut reader)?, is_told }
        }
        _ => return Err(Malformed::Value("stage")),
    };
    reader.end()?;
    Ok((channel, ExecutedRow { id, version, stage, class, changed }))
}

/// The command whose row stands there.
pub(super) fn read_id(reader: &mut Reader<'_>) -> Result<CommandId, Malformed> {
    reader.array().map(CommandId)
}

fn read_status(reader: &mut Reader<'_>) -> Result<Status, Malformed> {
    Status::from_u8(reader.u8()?).ok_or(Malformed::Value("status"))
}

fn put_effect(out: &mut BytesMut, effect: &Effect) {
    match effect {
        Effect::None => out.put_u8(0),
        Effect::Result(result) => {
            out.put_u8(1);
            put_bytes(out, result);
        }
        Effect::Failure(failure) => {
            out.put_u8(2);
            put_bytes(out, &failure.encode());
        }
    }
}

fn read_effect(reader: &mut Reader<'_>) -> Result<Effect, Malformed> {
    Ok(match reader.u8()? {
        0 => Effect::None,
        1 => Effect::Result(read_bytes(reader)?),
        2 => Effect::Failure(Failure::decode(&read_bytes(reader)?)?),
        _ => return Err(Malformed::Value("effect")),
    })
}

fn put_bytes(out: &mut BytesMut, bytes: &[u8]) {
    put_count(out, bytes.len());
    out.put_slice(bytes);
}

fn read_bytes(reader: &mut Reader<'_>) -> Result<Bytes, Malformed> {
    let count = usize::try_from(reader.u32()?).map_err(|_| Malformed::Bounds("bytes"))?;
    reader.take(count).map(Bytes::copy_from_slice)
}
