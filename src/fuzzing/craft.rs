//! DATA records of the fuzzer's own making: header fields near those that are expected, and frames
//! that are raw bytes, well-formed, or signed by the peer.

use bytes::{BufMut, BytesMut};

use super::end::End;
use super::input::Input;
use crate::crypto::{Context, Identity, hash};
use crate::header::{HEADER_BYTES, Header, RecordType, TAG_BYTES};
use crate::ids::Role;
use crate::session::{CloseCode, observe, offered_rekey};
use crate::wire::{Frame, FrameKind, KeyUpdate, begin_frame, put_lv16};

const FRAMES: u8 = 6;

/// A record for `end`, as if from its peer, whose identity is `peer`.
pub(super) fn craft(end: &End, peer: &Identity, input: &mut Input<'_>) -> BytesMut {
    let (shape, at) = (input.u8(), input.u8());
    let expected = observe(&end.session).opening;
    let epoch = match at & 7 {
        0..=3 => expected,
        4 | 5 => expected.wrapping_add(1),
        6 => expected.wrapping_sub(1),
        _ => input.u32(),
    };
    let next = end.next();
    let seq = match at >> 3 & 7 {
        0..=3 => next,
        4 => next.saturating_add(input.u8().into()),
        5 => next.saturating_sub(input.u8().into()),
        6 => next.saturating_add(input.u16().into()),
        _ => input.u64(),
    };
    let mut record = BytesMut::from(&[0; HEADER_BYTES][..]);
    for _ in 0..=shape % FRAMES {
        put_frame(end, peer, epoch, input, &mut record);
    }
    record.truncate(HEADER_BYTES + 65_519);
    record.put_bytes(0, TAG_BYTES);
    let length = u16::try_from(record.len() - HEADER_BYTES).unwrap_or(u16::MAX);
    let link = end.session.link();
    let header = Header { kind: RecordType::Data, length, link, epoch, seq }.encode();
    record.iter_mut().zip(header).for_each(|(slot, byte)| *slot = byte);
    // Now and then one byte is another: header, frames and tag alike.
    if shape & 0x80 != 0 {
        let (place, value) = (usize::from(input.u16()), input.u8());
        let place = place % record.len();
        record.iter_mut().skip(place).take(1).for_each(|byte| *byte ^= value);
    }
    record
}

/// A NO_SESSION for `end`, with the token that a staged responder gave or another one.
pub(super) fn no_session(end: &End, input: &mut Input<'_>) -> BytesMut {
    let (link, token) = match input.u8() {
        0 => (end.remote, [7; 16]),
        1 => (end.session.link(), [7; 16]),
        _ => (end.remote, input.array()),
    };
    let header = Header::handshake(RecordType::NoSession, link, 16);
    let mut record = BytesMut::from(&header.encode()[..]);
    record.put_slice(&token);
    record
}

fn put_frame(end: &End, peer: &Identity, epoch: u32, input: &mut Input<'_>, out: &mut BytesMut) {
    let choice = input.u8();
    let frame = match choice % 20 {
        0 => return,
        1 => Frame::Ping(input.u64()),
        2 => Frame::Pong(input.u64()),
        3 => Frame::KeyUpdate(KeyUpdate::Announce(epoch.wrapping_add(u32::from(choice >> 7)))),
        4 => Frame::KeyUpdate(KeyUpdate::Acknowledge(input.u8().into())),
        5 => Frame::RekeyRequest,
        6 => Frame::Close { code: CloseCode::from_u16(input.u16()), retry_after_ms: input.u32() },
        7 => Frame::GoAway { retry_after_ms: input.u32(), spread_ms: input.u32() },
        8 => Frame::Accept {
            session: end.session.id().to_bytes(),
            generation: input.u64(),
            resumed: end.session.is_resumed(),
            reset_token: [7; 16],
        },
        9 => return put_rekey(end, peer, input, out),
        10 => return put_credential(end, peer, input, out),
        11 => Frame::Datagram(input.take(usize::from(choice))),
        12 => return out.put_bytes(0, usize::from(input.u16())),
        13 | 14 => {
            // A frame of any type whose length is right.
            let (kind, flags) = (input.u8(), input.u8());
            let length = usize::from(input.u8());
            let body = input.take(length);
            out.put_slice(&[kind, flags]);
            return put_lv16(out, body);
        }
        15 => return out.put_bytes(input.u8(), usize::from(input.u16())),
        _ => {
            let length = usize::from(input.u8());
            return out.put_slice(input.take(length));
        }
    };
    frame.encode(out);
}

/// REKEY for a responder, REKEY_RESP for an initiator; the first exchange of a session gets a
/// genuine signature over whatever stands in the frame.
fn put_rekey(end: &End, peer: &Identity, input: &mut Input<'_>, out: &mut BytesMut) {
    let next = observe(&end.session).opening.wrapping_add(1);
    let epoch = next.wrapping_add(u32::from(input.u8() >> 6));
    let share_bytes = match input.u8() % 4 {
        0 | 1 => 32,
        2 => 1_216,
        _ => 1_120,
    };
    let mut share = input.take(share_bytes).to_vec();
    share.resize(share_bytes, 0);
    let (kind, context) = match end.role {
        Role::Agent => (FrameKind::RekeyResponse, Context::RekeyResponder),
        Role::Backend => (FrameKind::Rekey, Context::RekeyInitiator),
    };
    let mut frame = BytesMut::new();
    begin_frame(&mut frame, kind, 0, 4 + 2 + share.len() + 64);
    frame.put_u32(epoch);
    put_lv16(&mut frame, &share);
    let offered = offered_rekey(&end.session).unwrap_or_default();
    let binding = end.session.binding();
    let statement = match end.role {
        Role::Agent => hash(&[&binding, offered, &frame]),
        Role::Backend => hash(&[&binding, &frame]),
    };
    let signature = peer.sign(context, &statement);
    frame.put_slice(&signature);
    out.put_slice(&frame);
}

/// A CREDENTIAL with a genuine signature over whatever it presents.
fn put_credential(end: &End, peer: &Identity, input: &mut Input<'_>, out: &mut BytesMut) {
    let length = usize::from(input.u16() % 2_048);
    let identity = input.take(length);
    let context = match end.role {
        Role::Agent => Context::RefreshResponder,
        Role::Backend => Context::RefreshInitiator,
    };
    let statement = hash(&[&end.session.binding(), identity]);
    let signature = peer.sign(context, &statement);
    begin_frame(out, FrameKind::Credential, 0, 2 + identity.len() + signature.len());
    put_lv16(out, identity);
    out.put_slice(&signature);
}
