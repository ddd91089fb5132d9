//! What opened frames do. First every frame of a record is checked, then each takes effect, so a
//! record that breaks a rule does nothing.

use std::time::Duration;

use super::error::OpenError;
use super::event::Event;
use super::open::Above;
use super::sealed::{Phase, Session};
use super::side::Side;
use crate::crypto::Secret;
use crate::header::Header;
use crate::ids::Generation;
use crate::time::Instant;
use crate::wire::{Frame, FrameError, FrameKind, Frames, KeyUpdate, LinkFrame};

/// Which frames that are signed a record has held so far: one of each type at most.
#[derive(Default)]
struct Signed {
    rekey: bool,
    response: bool,
    credential: bool,
}

impl Signed {
    #[inline]
    fn check(&mut self, frame: &Frame<'_>) -> Result<(), FrameError> {
        let (held, kind) = match frame {
            Frame::Rekey(_) => (&mut self.rekey, FrameKind::Rekey),
            Frame::RekeyResponse(_) => (&mut self.response, FrameKind::RekeyResponse),
            Frame::Credential { .. } => (&mut self.credential, FrameKind::Credential),
            _ => return Ok(()),
        };
        if std::mem::replace(held, true) { Err(FrameError::Repeated(kind as u8)) } else { Ok(()) }
    }
}

impl Session {
    /// Checks the frames of an authentic record. Changes nothing.
    pub(super) fn check_frames(
        &self,
        above: Above,
        header: &Header,
        plaintext: &[u8],
    ) -> Result<(), FrameError> {
        let (mut first, mut signed) = (true, Signed::default());
        for frame in Frames::new(plaintext) {
            let frame = frame?;
            if let (Above::Link, Frame::Other { kind, flags, body }) = (above, &frame)
                && let Some(read) = LinkFrame::decode(*kind, *flags, body)
            {
                read?;
            }
            self.check_frame(header, &frame, first)?;
            signed.check(&frame)?;
            first = false;
        }
        if first && self.phase == Phase::Unaccepted {
            return Err(FrameError::Misplaced(FrameKind::Accept as u8));
        }
        Ok(())
    }

    #[inline]
    fn check_frame(
        &self,
        header: &Header,
        frame: &Frame<'_>,
        first: bool,
    ) -> Result<(), FrameError> {
        let accepting = self.phase == Phase::Unaccepted && first;
        let (fits, kind) = match frame {
            Frame::Accept { session, resumed, .. } => {
                let expected = *session == self.id.0 && *resumed == self.resumed;
                return if accepting && header.seq == 0 && expected {
                    Ok(())
                } else {
                    Err(FrameError::Misplaced(FrameKind::Accept as u8))
                };
            }
            Frame::KeyUpdate(KeyUpdate::Announce(epoch)) => {
                (*epoch == header.epoch, FrameKind::KeyUpdate)
            }
            Frame::KeyUpdate(KeyUpdate::Acknowledge(epoch)) => {
                (*epoch <= self.sending.epoch(), FrameKind::KeyUpdate)
            }
            Frame::RekeyRequest => (self.side == Side::Initiator, FrameKind::Rekey),
            Frame::Rekey(frame) => (self.fits_rekey(frame)?, FrameKind::Rekey),
            Frame::RekeyResponse(frame) => {
                (self.fits_rekey_response(frame)?, FrameKind::RekeyResponse)
            }
            _ => (true, FrameKind::Padding),
        };
        if accepting {
            return Err(FrameError::Misplaced(FrameKind::Accept as u8));
        }
        if fits { Ok(()) } else { Err(FrameError::Misplaced(kind as u8)) }
    }

    /// Lets the frames of a checked record take effect.
    pub(super) fn act_on_frames(
        &mut self,
        now: Instant,
        plaintext: &[u8],
    ) -> Result<(), OpenError> {
        for frame in Frames::new(plaintext) {
            self.act_on_frame(now, &frame?)?;
            if self.phase == Phase::Closed {
                break;
            }
        }
        Ok(())
    }

    #[inline]
    fn act_on_frame(&mut self, now: Instant, frame: &Frame<'_>) -> Result<(), OpenError> {
        match *frame {
            Frame::Datagram(_) | Frame::Other { .. } => {}
            Frame::Ping(value) => self.control.pong = Some(value),
            Frame::Pong(value) => self.events.push(Event::Pong(value)),
            Frame::KeyUpdate(KeyUpdate::Announce(_)) => {
                self.control.acknowledge = Some(self.receiving.epoch());
            }
            Frame::KeyUpdate(KeyUpdate::Acknowledge(epoch)) => self.sending.acknowledge(epoch),
            Frame::RekeyRequest => self.rekey.hear_request(now),
            Frame::Rekey(frame) => {
                self.rekey.count_signed(now)?;
                self.hear_rekey(now, &frame)?;
            }
            Frame::RekeyResponse(frame) => {
                self.rekey.count_signed(now)?;
                self.hear_rekey_response(&frame)?;
            }
            Frame::Credential { identity, ref signature } => {
                self.rekey.count_signed(now)?;
                self.hear_credential(now, identity, signature)?;
            }
            Frame::Close { code, retry_after_ms } => {
                let retry_after = Duration::from_millis(retry_after_ms.into());
                self.finish();
                self.events.push(Event::ClosedByPeer { code, retry_after });
            }
            Frame::GoAway { retry_after_ms, spread_ms } => {
                let retry_after = Duration::from_millis(retry_after_ms.into());
                let spread = Duration::from_millis(spread_ms.into());
                self.events.push(Event::GoAway { retry_after, spread });
            }
            Frame::Accept { generation, resumed, reset_token, .. } => {
                self.phase = Phase::Open;
                self.reset_token = Some(Secret::new(reset_token));
                let generation = Generation(generation);
                self.events.push(Event::Accepted { generation, resumed });
            }
        }
        Ok(())
    }
}
