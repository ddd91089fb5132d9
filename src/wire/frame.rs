//! Frames inside a DATA record: `u8 type | u8 flags | u16 length | body`, one after another.

use bytes::{BufMut, BytesMut};

use super::close::CloseCode;
use super::reader::{Malformed, Reader};
use super::writer::length16;

/// Bytes in front of a frame's body.
pub(crate) const FRAME_HEADER_BYTES: usize = 4;
const CRITICAL: u8 = 0x80;
const FLAG_ONE: u8 = 1;

/// Why an opened record is not a sequence of frames. Its sealer broke the protocol under its own
/// keys: the session ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// A frame reaches past the end of its record, or its body is not what its type says.
    #[error("frame of type {0:#04x} is malformed: {1}")]
    Malformed(u8, Malformed),
    /// A flag that the frame's type does not have.
    #[error("frame of type {0:#04x} has reserved flags")]
    ReservedFlags(u8),
    /// Padding that is not zero.
    #[error("padding is not zero")]
    NonzeroPadding,
    /// A frame that must be understood, and is not.
    #[error("critical frame of type {0:#04x} is unknown")]
    UnknownCritical(u8),
    /// A signed key share that cannot be used.
    #[error("frame of type {0:#04x} carries a key share that is refused")]
    BadShare(u8),
    /// A frame where it may not stand.
    #[error("frame of type {0:#04x} may not stand here")]
    Misplaced(u8),
}

/// The types of the session floor, by number.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub(crate) enum FrameKind {
    Padding = 0x00,
    Ping = 0x01,
    Pong = 0x02,
    KeyUpdate = 0x09,
    Rekey = 0x0a,
    RekeyResponse = 0x0b,
    Credential = 0x0f,
    Close = 0x11,
    GoAway = 0x12,
    Accept = 0x13,
    Datagram = 0x14,
}

/// Which half of an epoch change a KEY_UPDATE is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum KeyUpdate {
    /// "I seal under this epoch from here on."
    Announce(u32),
    /// "I opened a record of this epoch of yours."
    Acknowledge(u32),
}

/// Half of a key exchange in band.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct RekeyFrame<'a> {
    /// The sender's first epoch under the new root.
    pub epoch: u32,
    /// Its ephemeral keys.
    pub share: &'a [u8],
    /// Its signature over the transcript and `signed`.
    pub signature: [u8; 64],
    /// The frame up to the signature, its header included.
    pub signed: &'a [u8],
    /// The whole frame, its header included.
    pub whole: &'a [u8],
}

/// One frame. Borrows from the record.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Frame<'a> {
    Ping(u64),
    Pong(u64),
    KeyUpdate(KeyUpdate),
    RekeyRequest,
    Rekey(RekeyFrame<'a>),
    RekeyResponse(RekeyFrame<'a>),
    Credential {
        identity: &'a [u8],
        signature: [u8; 64],
    },
    Close {
        code: CloseCode,
        retry_after_ms: u32,
    },
    GoAway {
        retry_after_ms: u32,
        spread_ms: u32,
    },
    Accept {
        session: [u8; 16],
        generation: u64,
        resumed: bool,
        reset_token: [u8; 16],
    },
    Datagram(&'a [u8]),
    /// A frame of a floor above, or of a later version: skipped by who does not know it.
    Other {
        kind: u8,
    },
}

/// The frames of one record, in order. Ends after the first error.
#[derive(Clone)]
pub(crate) struct Frames<'a> {
    rest: &'a [u8],
}

impl<'a> Frames<'a> {
    pub(crate) fn new(plaintext: &'a [u8]) -> Self {
        Self { rest: plaintext }
    }

    /// What was not read yet.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = Result<Frame<'a>, FrameError>;

    fn next(&mut self) -> Option<Self::Item> {
        let whole = std::mem::take(&mut self.rest);
        let (&kind, _) = whole.split_first()?;
        if kind == FrameKind::Padding as u8 {
            let clean = whole.iter().all(|byte| *byte == 0);
            return if clean { None } else { Some(Err(FrameError::NonzeroPadding)) };
        }
        let mut reader = Reader::new(whole);
        let parsed = split(&mut reader).map_err(|cause| FrameError::Malformed(kind, cause));
        Some(parsed.and_then(|(flags, body)| {
            let whole = whole.get(..FRAME_HEADER_BYTES + body.len()).unwrap_or_default();
            let frame = Frame::decode(kind, flags, body, whole)?;
            self.rest = reader.rest();
            Ok(frame)
        }))
    }
}

fn split<'a>(reader: &mut Reader<'a>) -> Result<(u8, &'a [u8]), Malformed> {
    reader.u8()?;
    Ok((reader.u8()?, reader.lv16()?))
}

impl<'a> Frame<'a> {
    fn decode(kind: u8, flags: u8, body: &'a [u8], whole: &'a [u8]) -> Result<Self, FrameError> {
        let known = [FrameKind::KeyUpdate as u8, FrameKind::Rekey as u8];
        let allowed = if known.contains(&kind) { FLAG_ONE } else { 0 };
        let mut reader = Reader::new(body);
        let frame = match kind {
            0x01 => reader.u64().map(Self::Ping),
            0x02 => reader.u64().map(Self::Pong),
            0x09 => reader.u32().map(|epoch| {
                Self::KeyUpdate(match flags & FLAG_ONE {
                    0 => KeyUpdate::Announce(epoch),
                    _ => KeyUpdate::Acknowledge(epoch),
                })
            }),
            0x0a if flags & FLAG_ONE != 0 => Ok(Self::RekeyRequest),
            0x0a => rekey(&mut reader, whole).map(Self::Rekey),
            0x0b => rekey(&mut reader, whole).map(Self::RekeyResponse),
            0x0f => credential(&mut reader),
            0x11 => close(&mut reader),
            0x12 => go_away(&mut reader),
            0x13 => accept(&mut reader),
            0x14 => {
                reader = Reader::new(&[]);
                Ok(Self::Datagram(body))
            }
            _ if kind & CRITICAL != 0 => return Err(FrameError::UnknownCritical(kind)),
            _ => return Ok(Self::Other { kind }),
        };
        if flags & !allowed != 0 {
            return Err(FrameError::ReservedFlags(kind));
        }
        let frame = frame.and_then(|frame| reader.end().map(|()| frame));
        frame.map_err(|cause| FrameError::Malformed(kind, cause))
    }
}

fn rekey<'a>(reader: &mut Reader<'a>, whole: &'a [u8]) -> Result<RekeyFrame<'a>, Malformed> {
    let epoch = reader.u32()?;
    let share = reader.lv16()?;
    let signature: [u8; 64] = reader.array()?;
    let signed = whole.len().checked_sub(signature.len() + reader.rest().len());
    let signed = signed.and_then(|end| whole.get(..end)).ok_or(Malformed::Truncated)?;
    Ok(RekeyFrame { epoch, share, signature, signed, whole })
}

fn credential<'a>(reader: &mut Reader<'a>) -> Result<Frame<'a>, Malformed> {
    Ok(Frame::Credential { identity: reader.lv16()?, signature: reader.array()? })
}

fn close<'a>(reader: &mut Reader<'a>) -> Result<Frame<'a>, Malformed> {
    let code = CloseCode::from_u16(reader.u16()?);
    Ok(Frame::Close { code, retry_after_ms: reader.u32()? })
}

fn go_away<'a>(reader: &mut Reader<'a>) -> Result<Frame<'a>, Malformed> {
    Ok(Frame::GoAway { retry_after_ms: reader.u32()?, spread_ms: reader.u32()? })
}

fn accept<'a>(reader: &mut Reader<'a>) -> Result<Frame<'a>, Malformed> {
    let session = reader.array()?;
    let generation = reader.u64()?;
    let resumed = match reader.u8()? {
        0 => false,
        1 => true,
        _ => return Err(Malformed::Value("resumed")),
    };
    Ok(Frame::Accept { session, generation, resumed, reset_token: reader.array()? })
}

/// Appends the header of a frame whose body of `length` bytes the caller appends next.
pub(crate) fn begin_frame(out: &mut BytesMut, kind: FrameKind, flags: u8, length: usize) {
    out.put_u8(kind as u8);
    out.put_u8(flags);
    out.put_u16(length16(length));
}

impl Frame<'_> {
    /// Appends the frame. Frames that carry signatures are written where they are signed; one of
    /// those, or one of another floor, writes nothing here.
    pub(crate) fn encode(&self, out: &mut BytesMut) {
        match *self {
            Self::Ping(value) => {
                begin_frame(out, FrameKind::Ping, 0, 8);
                out.put_u64(value);
            }
            Self::Pong(value) => {
                begin_frame(out, FrameKind::Pong, 0, 8);
                out.put_u64(value);
            }
            Self::KeyUpdate(KeyUpdate::Announce(epoch)) => {
                begin_frame(out, FrameKind::KeyUpdate, 0, 4);
                out.put_u32(epoch);
            }
            Self::KeyUpdate(KeyUpdate::Acknowledge(epoch)) => {
                begin_frame(out, FrameKind::KeyUpdate, FLAG_ONE, 4);
                out.put_u32(epoch);
            }
            Self::RekeyRequest => begin_frame(out, FrameKind::Rekey, FLAG_ONE, 0),
            Self::Close { code, retry_after_ms } => {
                begin_frame(out, FrameKind::Close, 0, 6);
                out.put_u16(code.to_u16());
                out.put_u32(retry_after_ms);
            }
            Self::GoAway { retry_after_ms, spread_ms } => {
                begin_frame(out, FrameKind::GoAway, 0, 8);
                out.put_u32(retry_after_ms);
                out.put_u32(spread_ms);
            }
            Self::Accept { session, generation, resumed, reset_token } => {
                begin_frame(out, FrameKind::Accept, 0, 41);
                out.put_slice(&session);
                out.put_u64(generation);
                out.put_u8(u8::from(resumed));
                out.put_slice(&reset_token);
            }
            Self::Datagram(body) => {
                begin_frame(out, FrameKind::Datagram, 0, body.len());
                out.put_slice(body);
            }
            Self::Rekey(_)
            | Self::RekeyResponse(_)
            | Self::Credential { .. }
            | Self::Other { .. } => {}
        }
    }
}
