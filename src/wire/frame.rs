//! Frames inside a DATA record: `u8 type | u8 flags | u16 length | body`, one after another.

use bytes::{BufMut, BytesMut};
use zeroize::Zeroize;

use super::close::CloseCode;
use super::reader::{Malformed, Reader};
use super::writer::length16;

/// Bytes in front of a frame's body.
pub(crate) const FRAME_HEADER_BYTES: usize = 4;
/// Bytes of the body of an ACCEPT. The last sixteen are its reset token.
const ACCEPT_BYTES: usize = 16 + 8 + 1 + 16;
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
    /// A second frame of a type that a record holds once, because each costs a signature check.
    #[error("frame of type {0:#04x} stands twice in one record")]
    Repeated(u8),
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
        flags: u8,
        body: &'a [u8],
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

    #[inline]
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
    #[inline]
    fn decode(kind: u8, flags: u8, body: &'a [u8], whole: &'a [u8]) -> Result<Self, FrameError> {
        // Nearly every frame is one of these.
        if kind == FrameKind::Datagram as u8 {
            return match flags {
                0 => Ok(Self::Datagram(body)),
                _ => Err(FrameError::ReservedFlags(kind)),
            };
        }
        Self::decode_control(kind, flags, body, whole)
    }

    fn decode_control(
        kind: u8,
        flags: u8,
        body: &'a [u8],
        whole: &'a [u8],
    ) -> Result<Self, FrameError> {
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
            _ if kind & CRITICAL != 0 => return Err(FrameError::UnknownCritical(kind)),
            _ => return Ok(Self::Other { kind, flags, body }),
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

/// Wipes the reset token of the ACCEPT that `plaintext` begins with.
pub(crate) fn wipe_reset_token(plaintext: &mut [u8]) {
    let accept = plaintext.get_mut(..FRAME_HEADER_BYTES + ACCEPT_BYTES).unwrap_or_default();
    if let Some((_, token)) = accept.split_last_chunk_mut::<16>() {
        token.zeroize();
    }
}

/// Appends the header of a frame whose body of `length` bytes the caller appends next.
pub(crate) fn begin_frame(out: &mut BytesMut, kind: FrameKind, flags: u8, length: usize) {
    let [l0, l1] = length16(length).to_be_bytes();
    out.put_slice(&[kind as u8, flags, l0, l1]);
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
                begin_frame(out, FrameKind::Accept, 0, ACCEPT_BYTES);
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::edits::edited;
    use super::*;

    const ACCEPT: Frame<'static> =
        Frame::Accept { session: [1; 16], generation: 0x0203, resumed: true, reset_token: [4; 16] };
    /// Type, flags, bytes of a body of fixed length or without its variable part (06-frames).
    const LENGTHS: [(u8, u8, usize); 9] = [
        (0x01, 0, 8),
        (0x02, 0, 8),
        (0x09, 0, 4),
        (0x09, 1, 4),
        (0x0a, 1, 0),
        (0x11, 0, 6),
        (0x12, 0, 8),
        (0x13, 0, 41),
        (0x0f, 0, 66),
    ];

    #[test]
    fn each_frame_stands_as_the_table_draws_it() {
        let table: [(Frame<'_>, &[u8]); 10] = [
            (Frame::Ping(0x0102_0304_0506_0708), &[1, 0, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8]),
            (Frame::Pong(0x0102_0304_0506_0708), &[2, 0, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8]),
            (Frame::KeyUpdate(KeyUpdate::Announce(0x0102)), &[9, 0, 0, 4, 0, 0, 1, 2]),
            (Frame::KeyUpdate(KeyUpdate::Acknowledge(0x0102)), &[9, 1, 0, 4, 0, 0, 1, 2]),
            (Frame::RekeyRequest, &[0x0a, 1, 0, 0]),
            (
                Frame::Close { code: CloseCode::Normal, retry_after_ms: 0x0102 },
                &[0x11, 0, 0, 6, 0x80, 0, 0, 0, 1, 2],
            ),
            (
                Frame::GoAway { retry_after_ms: 0x0102, spread_ms: 0x0304 },
                &[0x12, 0, 0, 8, 0, 0, 1, 2, 0, 0, 3, 4],
            ),
            (
                ACCEPT,
                &[
                    0x13, 0, 0, 41, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0,
                    0, 2, 3, 1, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4,
                ],
            ),
            (Frame::Datagram(b"ab"), &[0x14, 0, 0, 2, b'a', b'b']),
            (Frame::Datagram(b""), &[0x14, 0, 0, 0]),
        ];
        for (expected, bytes) in table {
            assert_eq!(encoded(&expected), bytes);
            assert_eq!(only(bytes), Ok(expected));
        }
    }

    #[test]
    fn a_share_frame_knows_its_bytes_and_those_it_signs() {
        for kind in [0x0a, 0x0b] {
            let bytes = share_frame(kind, b"share");
            let expected = RekeyFrame {
                epoch: 0x0102,
                share: b"share",
                signature: [7; 64],
                signed: &bytes[..bytes.len() - 64],
                whole: &bytes,
            };
            let frame = match kind {
                0x0a => Frame::Rekey(expected),
                _ => Frame::RekeyResponse(expected),
            };
            assert_eq!(only(&bytes), Ok(frame));
            assert!(encoded(&frame).is_empty());
            // Its bytes are its own where another frame follows.
            let followed = [&bytes[..], &encoded(&Frame::Ping(1))].concat();
            assert_eq!(Frames::new(&followed).next(), Some(Ok(frame)));
        }
    }

    #[test]
    fn a_credential_frame_is_an_identity_and_a_signature() {
        let bytes = [&[0x0f, 0, 0, 69, 0, 3], &b"who"[..], &[7; 64]].concat();
        let frame = Frame::Credential { identity: b"who", signature: [7; 64] };
        assert_eq!(only(&bytes), Ok(frame));
        assert!(encoded(&frame).is_empty());
    }

    /// proto-spec [F-1]: a body is what its row describes, to the last byte.
    #[test]
    fn a_body_of_another_length_is_malformed() {
        for (kind, flags, length) in LENGTHS {
            for other in (0..length + 80).filter(|other| *other != length) {
                let cause =
                    if other < length { Malformed::Truncated } else { Malformed::TrailingBytes };
                let read = refusal(&frame(kind, flags, &vec![0; other]));
                assert_eq!(read, Some(FrameError::Malformed(kind, cause)), "{other}");
            }
            assert!(only(&frame(kind, flags, &vec![0; length])).is_ok(), "{kind:#04x}");
        }
        for kind in [0x0a, 0x0b] {
            let whole = share_frame(kind, b"share");
            for length in 0..whole.len() - 4 {
                let read = refusal(&frame(kind, 0, &whole[4..][..length]));
                assert_eq!(read, Some(FrameError::Malformed(kind, Malformed::Truncated)));
            }
            for more in 1..80 {
                let read = refusal(&frame(kind, 0, &[&whole[4..], &vec![0; more]].concat()));
                assert_eq!(read, Some(FrameError::Malformed(kind, Malformed::TrailingBytes)));
            }
        }
    }

    /// proto-spec [F-1]: a flag bit that the row does not list.
    #[test]
    fn a_flag_of_another_type_is_reserved() {
        for (kind, _, length) in LENGTHS.into_iter().chain([(0x14, 0, 5), (0x0b, 0, 70)]) {
            for flags in 0..=u8::MAX {
                let read = refusal(&frame(kind, flags, &vec![0; length]));
                let reserved = read == Some(FrameError::ReservedFlags(kind));
                let has_flag = kind == 0x09 || kind == 0x0a;
                assert_eq!(reserved, flags > u8::from(has_flag), "{kind:#04x} {flags:#04x}");
            }
        }
    }

    /// proto-spec [F-1], 6.3: `resumed` is 0 or 1.
    #[test]
    fn an_accept_is_resumed_or_not() {
        for resumed in 0..=u8::MAX {
            let mut bytes = encoded(&ACCEPT);
            bytes[4 + 16 + 8] = resumed;
            match (only(&bytes), resumed) {
                (Ok(Frame::Accept { resumed, .. }), 0) => assert!(!resumed),
                (Ok(Frame::Accept { resumed, .. }), 1) => assert!(resumed),
                (read, _) => {
                    let value = Malformed::Value("resumed");
                    assert_eq!(read, Err(FrameError::Malformed(0x13, value)), "{resumed}");
                }
            }
        }
        let fresh =
            Frame::Accept { session: [1; 16], generation: 1, resumed: false, reset_token: [4; 16] };
        assert_eq!(only(&encoded(&fresh)), Ok(fresh));
    }

    /// proto-spec [V-4]: the top bit alone decides what becomes of a type that is not known.
    #[test]
    fn an_unknown_frame_is_skipped_unless_it_is_critical() {
        let known = [0, 1, 2, 9, 0x0a, 0x0b, 0x0f, 0x11, 0x12, 0x13, 0x14];
        for kind in (0..=u8::MAX).filter(|kind| !known.contains(kind)) {
            for flags in [0, 1, 0x80, 0xff] {
                let bytes = frame(kind, flags, b"body");
                let expected = match kind {
                    0x80.. => Err(FrameError::UnknownCritical(kind)),
                    _ => Ok(Frame::Other { kind, flags, body: b"body" }),
                };
                assert_eq!(only(&bytes), expected);
            }
        }
        assert!(encoded(&Frame::Other { kind: 0x20, flags: 0, body: &[] }).is_empty());
    }

    /// proto-spec [F-1]: PADDING is zero to the end.
    #[test]
    fn padding_ends_the_record_and_is_zero() {
        let ping = encoded(&Frame::Ping(1));
        assert_eq!(all(&[]), []);
        assert_eq!(all(&[0; 9]), []);
        let padded = [&ping[..], &[0; 3]].concat();
        assert_eq!(all(&padded), [Ok(Frame::Ping(1))]);
        for index in 1..4 {
            let mut bytes = [&ping[..], &[0; 4]].concat();
            bytes[ping.len() + index] = 1;
            assert_eq!(all(&bytes), [Ok(Frame::Ping(1)), Err(FrameError::NonzeroPadding)]);
        }
    }

    /// proto-spec [F-1]: a frame is not cut short by the end of the plaintext.
    #[test]
    fn a_frame_that_reaches_past_the_record_is_malformed() {
        for kind in [0x01, 0x14, 0x20, 0x80] {
            let bytes = frame(kind, 0, &[0; 8]);
            for length in 1..bytes.len() {
                let read = all(&bytes[..length]);
                assert_eq!(read, [Err(FrameError::Malformed(kind, Malformed::Truncated))]);
            }
        }
    }

    #[test]
    fn nothing_is_read_behind_the_first_error() {
        let ping = encoded(&Frame::Ping(1));
        for broken in [frame(1, 1, &[0; 8]), frame(1, 0, &[0; 7]), frame(0x80, 0, b"")] {
            let mut frames = Frames::new(&broken);
            assert!(frames.next().is_some_and(|frame| frame.is_err()));
            let bytes = [&ping[..], &broken, &ping].concat();
            assert_eq!(all(&bytes).len(), 2);
        }
    }

    #[test]
    fn frames_are_read_in_order_and_the_rest_is_known() {
        let (ping, datagram) = (encoded(&Frame::Ping(1)), encoded(&Frame::Datagram(b"ab")));
        let bytes = [&ping[..], &datagram].concat();
        let mut frames = Frames::new(&bytes);
        assert_eq!(frames.rest(), bytes);
        assert_eq!(frames.next(), Some(Ok(Frame::Ping(1))));
        assert_eq!(frames.rest(), datagram);
        assert_eq!(frames.next(), Some(Ok(Frame::Datagram(b"ab"))));
        assert!(frames.rest().is_empty());
        assert_eq!(frames.next(), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

        #[test]
        fn what_is_read_is_written_the_same(
            bytes in edited(vec![
                [Frame::Ping(1), Frame::KeyUpdate(KeyUpdate::Announce(2)), Frame::Datagram(b"ab")]
                    .iter()
                    .flat_map(encoded)
                    .collect(),
                [Frame::RekeyRequest, Frame::GoAway { retry_after_ms: 1, spread_ms: 2 }, ACCEPT]
                    .iter()
                    .flat_map(encoded)
                    .collect(),
                [share_frame(0x0a, b"share"), share_frame(0x0b, b""), vec![0; 5]].concat(),
                frame(0x0f, 0, &[0; 66]),
            ]),
        ) {
            let mut frames = Frames::new(&bytes);
            for _ in 0..=bytes.len() {
                let before = frames.rest();
                let Some(Ok(read)) = frames.next() else { break };
                let taken = &before[..before.len() - frames.rest().len()];
                let again = match read {
                    Frame::Rekey(share) | Frame::RekeyResponse(share) => {
                        prop_assert_eq!(share.whole, taken);
                        prop_assert_eq!([share.signed, &share.signature].concat(), taken);
                        let length = u16::try_from(share.share.len()).unwrap().to_be_bytes();
                        let body = [&share.epoch.to_be_bytes(), &length[..], share.share];
                        frame(taken[0], 0, &[&body.concat()[..], &share.signature].concat())
                    }
                    Frame::Credential { identity, signature } => {
                        let length = u16::try_from(identity.len()).unwrap().to_be_bytes();
                        frame(0x0f, 0, &[&length, identity, &signature].concat())
                    }
                    Frame::Other { kind, flags, body } => frame(kind, flags, body),
                    other => encoded(&other),
                };
                prop_assert_eq!(again, taken);
            }
        }
    }

    fn encoded(frame: &Frame<'_>) -> Vec<u8> {
        let mut out = BytesMut::new();
        frame.encode(&mut out);
        out.to_vec()
    }

    fn frame(kind: u8, flags: u8, body: &[u8]) -> Vec<u8> {
        [&[kind, flags], &u16::try_from(body.len()).unwrap().to_be_bytes()[..], body].concat()
    }

    fn share_frame(kind: u8, share: &[u8]) -> Vec<u8> {
        let length = u16::try_from(share.len()).unwrap().to_be_bytes();
        frame(kind, 0, &[&[0, 0, 1, 2], &length[..], share, &[7; 64]].concat())
    }

    /// Bounded, for a reader that does not move would fill the memory.
    fn all(bytes: &[u8]) -> Vec<Result<Frame<'_>, FrameError>> {
        Frames::new(bytes).take(bytes.len() + 1).collect()
    }

    fn refusal(bytes: &[u8]) -> Option<FrameError> {
        only(bytes).err()
    }

    fn only(bytes: &[u8]) -> Result<Frame<'_>, FrameError> {
        let mut frames = Frames::new(bytes);
        let read = frames.next().expect("a frame");
        assert_eq!(frames.next(), None);
        read
    }
}
