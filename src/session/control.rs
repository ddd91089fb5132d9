//! Frames of the session's own that wait for the next record. One of each kind at most, so a peer
//! that floods can make no more than one answer wait.

use bytes::{Bytes, BytesMut};

use crate::crypto::Secret;
use crate::wire::{CloseCode, Frame, KeyUpdate};

/// What waits to be said.
#[derive(Default)]
pub(super) struct Control {
    pub accept: Option<Accept>,
    pub announce: Option<u32>,
    pub acknowledge: Option<u32>,
    pub ping: Option<u64>,
    pub pong: Option<u64>,
    pub rekey_request: bool,
    /// A whole REKEY or REKEY_RESP.
    pub rekey: Option<Bytes>,
    /// A whole CREDENTIAL.
    pub credential: Option<Bytes>,
    pub go_away: Option<(u32, u32)>,
    pub close: Option<(CloseCode, u32)>,
}

/// Which of the frames that may not fit were written; the small ones always are.
#[derive(Clone, Copy, Default)]
pub(super) struct Written {
    rekey: bool,
    credential: bool,
}

/// A CLOSE frame, for which room is kept.
const CLOSE_BYTES: usize = 10;
/// What the small frames take at most, with some to spare: a frame that shall be sent for certain
/// leaves so much of a record.
pub(super) const SMALL_FRAMES_BYTES: usize = 128;

/// The contents of an ACCEPT.
pub(super) struct Accept {
    pub session: [u8; 16],
    pub generation: u64,
    pub resumed: bool,
    pub reset_token: Secret<16>,
}

impl Control {
    pub(super) fn is_empty(&self) -> bool {
        self.accept.is_none()
            && self.announce.is_none()
            && self.acknowledge.is_none()
            && self.ping.is_none()
            && self.pong.is_none()
            && !self.rekey_request
            && self.rekey.is_none()
            && self.credential.is_none()
            && self.go_away.is_none()
            && self.close.is_none()
    }

    /// Writes the frames that fit `room` bytes. ACCEPT goes first, then an announcement, CLOSE last.
    /// They wait on until [`Control::forget`], because a record that is begun may yet be dropped.
    pub(super) fn write(&self, room: usize, out: &mut BytesMut) -> Written {
        let limit = out.len() + room;
        if let Some(accept) = &self.accept {
            let Accept { session, generation, resumed, ref reset_token } = *accept;
            let reset_token = *reset_token.bytes();
            Frame::Accept { session, generation, resumed, reset_token }.encode(out);
        }
        if let Some(epoch) = self.announce {
            Frame::KeyUpdate(KeyUpdate::Announce(epoch)).encode(out);
        }
        if let Some(epoch) = self.acknowledge {
            Frame::KeyUpdate(KeyUpdate::Acknowledge(epoch)).encode(out);
        }
        if let Some(value) = self.pong {
            Frame::Pong(value).encode(out);
        }
        if let Some(value) = self.ping {
            Frame::Ping(value).encode(out);
        }
        if self.rekey_request {
            Frame::RekeyRequest.encode(out);
        }
        if let Some((retry_after_ms, spread_ms)) = self.go_away {
            Frame::GoAway { retry_after_ms, spread_ms }.encode(out);
        }
        let limit = if self.close.is_some() { limit - CLOSE_BYTES } else { limit };
        let mut fits = |whole: &Option<Bytes>| match whole {
            Some(frame) if out.len() + frame.len() <= limit => {
                out.extend_from_slice(frame);
                true
            }
            _ => false,
        };
        let written = Written { rekey: fits(&self.rekey), credential: fits(&self.credential) };
        if let Some((code, retry_after_ms)) = self.close {
            Frame::Close { code, retry_after_ms }.encode(out);
        }
        written
    }

    /// Forgets what went out in a sealed record.
    pub(super) fn forget(&mut self, written: Written) {
        *self = Self {
            rekey: self.rekey.take().filter(|_| !written.rekey),
            credential: self.credential.take().filter(|_| !written.credential),
            ..Self::default()
        };
    }
}
