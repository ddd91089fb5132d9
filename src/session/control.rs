//! Frames of the session's own that wait for the next record. One of each kind at most, so a peer
//! that floods can make no more than one answer wait.

use bytes::{Bytes, BytesMut};

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

/// The contents of an ACCEPT.
#[derive(Clone, Copy)]
pub(super) struct Accept {
    pub session: [u8; 16],
    pub generation: u64,
    pub resumed: bool,
    pub reset_token: [u8; 16],
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

    /// Moves frames into `out` while they fit `room` bytes. ACCEPT goes first, CLOSE last.
    pub(super) fn write(&mut self, room: usize, out: &mut BytesMut) {
        let limit = out.len() + room;
        if let Some(accept) = self.accept.take() {
            let Accept { session, generation, resumed, reset_token } = accept;
            Frame::Accept { session, generation, resumed, reset_token }.encode(out);
        }
        if let Some(epoch) = self.announce.take() {
            Frame::KeyUpdate(KeyUpdate::Announce(epoch)).encode(out);
        }
        if let Some(epoch) = self.acknowledge.take() {
            Frame::KeyUpdate(KeyUpdate::Acknowledge(epoch)).encode(out);
        }
        if let Some(value) = self.pong.take() {
            Frame::Pong(value).encode(out);
        }
        if let Some(value) = self.ping.take() {
            Frame::Ping(value).encode(out);
        }
        if std::mem::take(&mut self.rekey_request) {
            Frame::RekeyRequest.encode(out);
        }
        for whole in [&mut self.rekey, &mut self.credential] {
            if let Some(frame) = whole.take_if(|frame| out.len() + frame.len() <= limit) {
                out.extend_from_slice(&frame);
            }
        }
        if let Some((retry_after_ms, spread_ms)) = self.go_away.take() {
            Frame::GoAway { retry_after_ms, spread_ms }.encode(out);
        }
        if let Some((code, retry_after_ms)) = self.close.take() {
            Frame::Close { code, retry_after_ms }.encode(out);
        }
    }
}
