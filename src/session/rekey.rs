//! A signed key exchange inside the session: what leaked before it opens nothing after it.
//!
//! ```text
//!  Initiator                    Responder
//!  Idle ─ seed ─► Offered ── REKEY ──► Idle ─► Asked
//!                 Agreed ◄─ RESPONSE ─ Answered ◄─ seed
//!  first record under the new root ──► Idle (TH', root'), switches too
//!  Idle (TH', root') ◄── first record under the new root
//! ```

use bytes::{BufMut, Bytes, BytesMut};

use super::error::{OpenError, RekeyError};
use super::event::Event;
use super::keys::RekeyedKeys;
use super::sealed::Session;
use super::side::Side;
use crate::crypto::{Answer, Digest, Offer, Secret, Seed, answer, hash};
use crate::limits::{
    BAD_SIGNATURES, EPOCH_TIME, REKEY_BYTES, REKEY_RETRY_TIME, REKEY_TIME, SIGNED_FRAMES,
};
use crate::time::Instant;
use crate::wire::{CloseCode, FrameError, FrameKind, RekeyFrame, begin_frame, put_lv16};

/// Key exchanges in band: the one under way, and when the next is due.
pub(super) struct Rekey {
    side: Side,
    /// None once it is erased.
    root: Option<Secret>,
    transcript: Digest,
    stage: Stage,
    /// The last exchange a responder answered, to answer its repetition alike.
    answered: Option<(Bytes, Bytes)>,
    bytes: u64,
    since: Instant,
    /// When the last exchange was over.
    finished: Option<Instant>,
    wish: Wish,
    /// Frames that the peer did not sign.
    unsigned: u32,
    /// Frames that it had to sign, since when.
    signed: (u32, Instant),
}

enum Stage {
    Idle,
    /// Initiator: REKEY is out.
    Offered {
        offer: Box<Offer>,
        frame: Bytes,
        sent: Instant,
    },
    /// Responder: a genuine REKEY waits for a seed.
    Asked {
        frame: Bytes,
        share: Bytes,
    },
    /// Both sides have the keys; the peer has not used them yet.
    Agreed(Box<RekeyedKeys>),
}

/// A seed that is needed. Until one comes, it is asked for again at each moment named here: the
/// driver may have had none to give.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Wish {
    None,
    New(Instant),
    Told(Instant),
}

impl Rekey {
    pub(super) fn new(side: Side, root: Secret, transcript: Digest, now: Instant) -> Self {
        Self {
            side,
            root: Some(root),
            transcript,
            stage: Stage::Idle,
            answered: None,
            bytes: 0,
            since: now,
            finished: None,
            wish: Wish::None,
            unsigned: 0,
            signed: (0, now),
        }
    }

    /// No exchange begins or ends any more.
    pub(super) fn erase(&mut self) {
        (self.root, self.stage, self.answered) = (None, Stage::Idle, None);
        self.wish = Wish::None;
    }

    /// Counts a frame whose signature is about to be checked.
    ///
    /// # Errors
    ///
    /// [`OpenError::SignedTooOften`] if there were too many in the last minute.
    pub(super) fn count_signed(&mut self, now: Instant) -> Result<(), OpenError> {
        let (count, since) = &mut self.signed;
        if now >= since.after(EPOCH_TIME) {
            (*count, *since) = (0, now);
        }
        *count += 1;
        if *count <= SIGNED_FRAMES { Ok(()) } else { Err(OpenError::SignedTooOften) }
    }

    /// Counts plaintext that was sealed or opened.
    #[inline]
    pub(super) fn count(&mut self, now: Instant, bytes: usize) {
        self.bytes += bytes as u64;
        if self.bytes >= REKEY_BYTES && self.side == Side::Initiator {
            self.want(now);
        }
    }

    /// Whether the driver is to be asked for a seed now.
    pub(super) fn takes_wish(&mut self) -> bool {
        let Wish::New(again) = self.wish else { return false };
        self.wish = Wish::Told(again);
        true
    }

    /// The REKEY that waits for its answer.
    #[cfg(feature = "__fuzz")]
    pub(super) fn offered(&self) -> Option<&[u8]> {
        match &self.stage {
            Stage::Offered { frame, .. } => Some(frame),
            _ => None,
        }
    }

    fn want(&mut self, now: Instant) {
        if self.wish == Wish::None && matches!(self.stage, Stage::Idle) {
            self.ask(now);
        }
    }

    fn ask(&mut self, now: Instant) {
        self.wish = Wish::New(now.after(REKEY_RETRY_TIME));
    }

    /// The responder asks for an exchange; after one, not before an epoch's time has passed.
    pub(super) fn hear_request(&mut self, now: Instant) {
        if self.finished.is_none_or(|finished| now.since(finished) >= EPOCH_TIME) {
            self.want(now);
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        match (&self.stage, self.wish) {
            (Stage::Offered { sent, .. }, _) => Some(sent.after(REKEY_RETRY_TIME)),
            (Stage::Idle | Stage::Asked { .. }, Wish::Told(again)) => Some(again),
            (Stage::Idle, Wish::None) if self.side == Side::Initiator => {
                Some(self.since.after(REKEY_TIME))
            }
            _ => None,
        }
    }
}

impl Session {
    /// Spends entropy on the key exchange that [`Event::WantsSeed`] asked for. Without one under
    /// way, an initiator begins one.
    pub fn provide_seed(&mut self, now: Instant, seed: &Seed) {
        if self.is_over() {
            return;
        }
        match std::mem::replace(&mut self.rekey.stage, Stage::Idle) {
            Stage::Idle if self.side == Side::Initiator => self.offer_rekey(now, seed),
            Stage::Asked { frame, share } => self.answer_rekey(frame, &share, seed),
            other => self.rekey.stage = other,
        }
    }

    /// Wants fresh keys soon: an initiator begins, a responder asks the initiator to.
    pub fn request_rekey(&mut self) {
        match self.side {
            _ if self.is_over() => {}
            Side::Initiator => self.rekey.want(self.heard),
            Side::Responder => self.control.rekey_request = true,
        }
    }

    pub(super) fn rekey_timeout(&mut self, now: Instant) {
        if self.rekey.poll_timeout().is_none_or(|at| now < at) {
            return;
        }
        match &mut self.rekey.stage {
            Stage::Offered { frame, sent, .. } => {
                self.control.rekey = Some(frame.clone());
                *sent = now;
            }
            _ => self.rekey.ask(now),
        }
    }

    fn offer_rekey(&mut self, now: Instant, seed: &Seed) {
        let Some(epoch) = self.epoch_to_rekey() else { return self.run_out_of_epochs() };
        let offer = Box::new(Offer::new(self.suite, seed));
        let frame = self.signed_frame(FrameKind::Rekey, epoch, offer.share(), &[]);
        self.sending.hold();
        self.control.rekey = Some(frame.clone());
        self.rekey.wish = Wish::None;
        self.rekey.stage = Stage::Offered { offer, frame, sent: now };
    }

    fn answer_rekey(&mut self, request: Bytes, offered: &[u8], seed: &Seed) {
        self.rekey.wish = Wish::None;
        let Some(epoch) = self.epoch_to_rekey() else { return self.run_out_of_epochs() };
        let Ok(Answer { share, shared }) = answer(self.suite, offered, seed) else {
            return self.end(CloseCode::ProtocolViolation);
        };
        let response = self.signed_frame(FrameKind::RekeyResponse, epoch, &share, &[&request]);
        let transcript = hash(&[&self.rekey.transcript.0, &request, &response]);
        let Some(root) = &self.rekey.root else { return };
        let keys = RekeyedKeys::new(root, &shared, transcript);
        self.receiving.rekey(keys.traffic(Side::Initiator));
        self.sending.hold();
        self.control.rekey = Some(response.clone());
        self.rekey.answered = Some((request, response));
        self.rekey.stage = Stage::Agreed(Box::new(keys));
    }

    /// The first epoch that this side would seal in under a new root, if both directions have one.
    fn epoch_to_rekey(&self) -> Option<u32> {
        self.receiving.next_epoch().and(self.sending.next_epoch())
    }

    fn run_out_of_epochs(&mut self) {
        self.events.push(Event::RekeyFailed(RekeyError::EpochExhausted));
        self.end(CloseCode::KeyLimit);
    }

    /// A frame whose signature covers the transcript, `before`, and itself.
    pub(super) fn signed_frame(
        &self,
        kind: FrameKind,
        epoch: u32,
        share: &[u8],
        before: &[&[u8]],
    ) -> Bytes {
        let mut frame = BytesMut::with_capacity(share.len() + 128);
        begin_frame(&mut frame, kind, 0, 4 + 2 + share.len() + 64);
        frame.put_u32(epoch);
        put_lv16(&mut frame, share);
        let statement = rekey_statement(&self.rekey.transcript, before, &frame);
        let signature = self.config.identity.sign(self.side.rekey_context(), &statement);
        frame.put_slice(&signature);
        frame.freeze()
    }

    /// Whether a REKEY may come now. A repeated one may, and so may the first of a new exchange.
    pub(super) fn fits_rekey(&self, frame: &RekeyFrame<'_>) -> Result<bool, FrameError> {
        if self.side != Side::Responder {
            return Ok(false);
        }
        if frame.share.len() != self.suite.offer_bytes() {
            return Err(FrameError::BadShare(FrameKind::Rekey as u8));
        }
        if self.is_repeated(frame) || self.is_late(frame) {
            return Ok(true);
        }
        let next = self.receiving.next_epoch() == Some(frame.epoch);
        Ok(next && matches!(self.rekey.stage, Stage::Idle))
    }

    fn is_repeated(&self, frame: &RekeyFrame<'_>) -> bool {
        let asked = match &self.rekey.stage {
            Stage::Asked { frame: asked, .. } => asked == frame.whole,
            _ => false,
        };
        let answered = self.rekey.answered.as_ref();
        asked || answered.is_some_and(|(request, _)| request == frame.whole)
    }

    pub(super) fn hear_rekey(
        &mut self,
        now: Instant,
        frame: &RekeyFrame<'_>,
    ) -> Result<(), OpenError> {
        if self.is_repeated(frame) {
            if let Some((_, response)) = &self.rekey.answered {
                self.control.rekey = Some(response.clone());
            }
            return Ok(());
        }
        if self.is_late(frame) {
            return Ok(());
        }
        let statement = rekey_statement(&self.rekey.transcript, &[], frame.signed);
        if !self.peer_signed(&statement, frame)? {
            return Ok(());
        }
        self.rekey.stage = Stage::Asked {
            frame: Bytes::copy_from_slice(frame.whole),
            share: Bytes::copy_from_slice(frame.share),
        };
        self.rekey.ask(now);
        Ok(())
    }

    /// Whether a REKEY_RESP may come now. One that nobody waits for is ignored later.
    pub(super) fn fits_rekey_response(&self, frame: &RekeyFrame<'_>) -> Result<bool, FrameError> {
        let awaited = matches!(self.rekey.stage, Stage::Offered { .. });
        if self.side != Side::Initiator || !awaited {
            return Ok(self.side == Side::Initiator);
        }
        if frame.share.len() != self.suite.answer_bytes() {
            return Err(FrameError::BadShare(FrameKind::RekeyResponse as u8));
        }
        let next = self.receiving.next_epoch() == Some(frame.epoch);
        Ok(next || self.is_late(frame))
    }

    /// Whether a frame belongs to an exchange that is over: a copy that others overtook.
    fn is_late(&self, frame: &RekeyFrame<'_>) -> bool {
        frame.epoch <= self.receiving.epoch()
    }

    pub(super) fn hear_rekey_response(&mut self, frame: &RekeyFrame<'_>) -> Result<(), OpenError> {
        if self.is_late(frame) {
            return Ok(());
        }
        let Stage::Offered { frame: request, .. } = &self.rekey.stage else {
            return Ok(());
        };
        let request = request.clone();
        let statement = rekey_statement(&self.rekey.transcript, &[&request], frame.signed);
        if !self.peer_signed(&statement, frame)? {
            return Ok(());
        }
        let Stage::Offered { offer, .. } = std::mem::replace(&mut self.rekey.stage, Stage::Idle)
        else {
            return Ok(());
        };
        let kind = FrameKind::RekeyResponse as u8;
        let shared = offer.complete(frame.share).map_err(|_| FrameError::BadShare(kind))?;
        let transcript = hash(&[&self.rekey.transcript.0, &request, frame.whole]);
        let Some(root) = &self.rekey.root else { return Ok(()) };
        let keys = RekeyedKeys::new(root, &shared, transcript);
        self.receiving.rekey(keys.traffic(Side::Responder));
        self.switch(keys.traffic(Side::Initiator));
        self.rekey.stage = Stage::Agreed(Box::new(keys));
        Ok(())
    }

    /// The peer sealed under the new root: it is the only one from here on.
    pub(super) fn finish_rekey(&mut self, now: Instant) {
        let Stage::Agreed(keys) = std::mem::replace(&mut self.rekey.stage, Stage::Idle) else {
            return;
        };
        if self.side == Side::Responder {
            self.switch(keys.traffic(Side::Responder));
        }
        self.rekey.root = Some(keys.rekey);
        self.rekey.transcript = keys.transcript;
        (self.rekey.bytes, self.rekey.since) = (0, now);
        self.rekey.finished = Some(now);
        self.events.push(Event::Rekeyed);
    }

    /// Seals under `secret` from the next record on, and seals one soon.
    fn switch(&mut self, secret: Secret) {
        self.sending.rekey(secret);
        self.control.announce = self.sending.next_epoch();
    }

    /// Whether the peer signed a frame. An error once that was too often not so.
    fn peer_signed(
        &mut self,
        statement: &Digest,
        frame: &RekeyFrame<'_>,
    ) -> Result<bool, OpenError> {
        let context = self.side.other().rekey_context();
        if self.peer.key.verify(context, statement, &frame.signature).is_ok() {
            return Ok(true);
        }
        self.events.push(Event::RekeyFailed(RekeyError::BadSignature));
        self.rekey.unsigned += 1;
        if self.rekey.unsigned < BAD_SIGNATURES { Ok(false) } else { Err(OpenError::BadSignatures) }
    }
}

fn rekey_statement(transcript: &Digest, before: &[&[u8]], frame: &[u8]) -> Digest {
    let mut parts: Vec<&[u8]> = vec![&transcript.0];
    parts.extend_from_slice(before);
    parts.push(frame);
    hash(&parts)
}

#[cfg(test)]
impl Rekey {
    /// Plaintext counted since the last exchange.
    pub(super) fn dangerous_bytes(&self) -> u64 {
        self.bytes
    }

    /// What a thief has to guess the next root with: this root, and the transcript.
    pub(super) fn dangerous_root(&self) -> (Secret, Digest) {
        (self.root.as_ref().expect("a root").duplicate(), self.transcript)
    }

    pub(super) fn dangerous_is_erased(&self) -> bool {
        self.root.is_none() && self.answered.is_none() && matches!(self.stage, Stage::Idle)
    }
}
