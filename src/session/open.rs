//! Opening: every check in the order of proto-spec 02, section 2.4. Nothing changes before the tag
//! is right.

use bytes::{Buf, Bytes, BytesMut};

use super::attachment::Order;
use super::error::{Fate, OpenError};
use super::event::Event;
use super::receiving::Moved;
use super::sealed::{Phase, Session};
use super::side::Side;
use crate::crypto::same;
use crate::header::{HEADER_BYTES, Header, RecordType, TAG_BYTES};
use crate::ids::LinkId;
use crate::limits::FORGERIES;
use crate::time::Instant;
use crate::wire::{Frame, FrameKind, Frames, NoSession, wipe_reset_token};

/// The frames of a record that was opened; the session has acted on its own already.
#[derive(Clone)]
pub struct Opened<'a> {
    plaintext: &'a [u8],
}

impl<'a> Opened<'a> {
    /// The datagrams in it, in order.
    pub fn datagrams(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let frames = Frames::new(self.plaintext).map_while(Result::ok);
        let before_close = frames.take_while(|frame| !matches!(frame, Frame::Close { .. }));
        before_close.filter_map(|frame| match frame {
            Frame::Datagram(payload) => Some(payload),
            _ => None,
        })
    }
}

impl std::fmt::Debug for Opened<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Opened({} bytes)", self.plaintext.len())
    }
}

/// The datagrams of an opened record that own it: each is a slice of its buffer.
#[derive(Clone, Default)]
pub struct Datagrams {
    rest: Bytes,
}

impl std::fmt::Debug for Datagrams {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Datagrams({} bytes)", self.rest.len())
    }
}

impl Iterator for Datagrams {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        let mut frames = Frames::new(&self.rest);
        let payload = loop {
            match frames.next()?.ok()? {
                Frame::Datagram(payload) => break payload,
                Frame::Close { .. } => return None,
                _ => {}
            }
        };
        let payload = self.rest.slice_ref(payload);
        self.rest = self.rest.slice_ref(frames.rest());
        Some(payload)
    }
}

/// Who stands above the session and reads what is not the session's own.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Above {
    /// Nobody: frames of floors above are unknown.
    Nobody,
    /// The link: its frames are checked with the rest of the record.
    Link,
}

/// A frame that is not the session's own: a datagram, or one of the floors above.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct UpperFrame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) body: Bytes,
}

/// The frames of an opened record that are not the session's own, in order. Each is a slice of its
/// buffer.
#[derive(Clone, Debug, Default)]
pub(crate) struct UpperFrames {
    rest: Bytes,
}

impl Iterator for UpperFrames {
    type Item = UpperFrame;

    fn next(&mut self) -> Option<UpperFrame> {
        let mut frames = Frames::new(&self.rest);
        let (kind, flags, body) = loop {
            match frames.next()?.ok()? {
                Frame::Datagram(payload) => break (FrameKind::Datagram as u8, 0, payload),
                Frame::Other { kind, flags, body } => break (kind, flags, body),
                Frame::Close { .. } => return None,
                _ => {}
            }
        };
        let body = self.rest.slice_ref(body);
        self.rest = self.rest.slice_ref(frames.rest());
        Some(UpperFrame { kind, flags, body })
    }
}

impl Session {
    /// Opens a record as [`Session::open`] does, for a link: a frame of the link's that is broken
    /// breaks the record, and no frame of it acts.
    ///
    /// # Errors
    ///
    /// As [`Session::open`].
    pub(crate) fn open_frames(
        &mut self,
        now: Instant,
        mut record: BytesMut,
    ) -> Result<UpperFrames, OpenError> {
        let length = self.open_for(Above::Link, now, &mut record)?.plaintext.len();
        Ok(UpperFrames { rest: plaintext_of(record, length) })
    }

    /// Opens a record as [`Session::open`] does, and keeps its buffer for the datagrams in it.
    ///
    /// # Errors
    ///
    /// As [`Session::open`].
    pub fn open_owned(
        &mut self,
        now: Instant,
        mut record: BytesMut,
    ) -> Result<Datagrams, OpenError> {
        let length = self.open(now, &mut record)?.plaintext.len();
        Ok(Datagrams { rest: plaintext_of(record, length) })
    }

    /// Opens a record in place, and acts on what of it is the session's own.
    ///
    /// # Errors
    ///
    /// [`OpenError`] names the cause and [`OpenError::fate`] what is lost. Where that is the
    /// session, it is closing already: [`Session::poll_transmit`] has the CLOSE to send.
    pub fn open<'r>(
        &mut self,
        now: Instant,
        record: &'r mut [u8],
    ) -> Result<Opened<'r>, OpenError> {
        self.open_for(Above::Nobody, now, record)
    }

    fn open_for<'r>(
        &mut self,
        above: Above,
        now: Instant,
        record: &'r mut [u8],
    ) -> Result<Opened<'r>, OpenError> {
        if self.is_over() {
            return Err(OpenError::Closed);
        }
        let opened = self.open_data(above, now, record);
        if let Err(error) = &opened
            && let Fate::CloseSession(code) = error.fate(self.attachment.order())
        {
            self.end(code);
        }
        opened
    }

    fn open_data<'r>(
        &mut self,
        above: Above,
        now: Instant,
        record: &'r mut [u8],
    ) -> Result<Opened<'r>, OpenError> {
        let header = Header::of_record(record)?;
        let (front, sealed) = match record.split_first_chunk_mut::<HEADER_BYTES>() {
            Some(parts) => parts,
            None => unreachable!("a header was read from it"),
        };
        let link = match header.kind {
            RecordType::Hello => LinkId::NONE,
            RecordType::NoSession if self.side == Side::Initiator => self.remote,
            _ => self.link,
        };
        if header.link != link {
            return Err(OpenError::UnknownLink);
        }
        match header.kind {
            RecordType::Data => {}
            RecordType::NoSession if self.may_lose() => {
                self.hear_no_session(sealed);
                return Ok(Opened { plaintext: &[] });
            }
            _ => return Err(OpenError::UnexpectedRecord),
        }
        if usize::from(header.length) > usize::from(self.config.record_bytes) + TAG_BYTES {
            return Err(OpenError::TooLarge);
        }
        // ACCEPT is at position 0; where records overtake each other, it may still come.
        let overtook = self.attachment.order() == Order::Window && header.seq != 0;
        if self.phase == Phase::Unaccepted && overtook {
            return Err(OpenError::UnexpectedRecord);
        }
        let attachment = &mut self.attachment;
        let judge = |seq| attachment.accepts(seq);
        let moved = match self.receiving.open(now, &header, front, sealed, judge) {
            Err(OpenError::Forged) => return Err(self.count_forgery()),
            other => other?,
        };
        self.heard = now;
        self.sending.hear_peer();
        if moved == Moved::Rekeyed {
            self.finish_rekey(now);
        }
        let length = sealed.len().saturating_sub(TAG_BYTES);
        let plaintext = sealed.get_mut(..length).unwrap_or_default();
        self.rekey.count(now, plaintext.len());
        self.check_frames(above, &header, plaintext)?;
        if self.phase == Phase::Unconfirmed {
            self.phase = Phase::Open;
            self.events.push(Event::Confirmed);
        }
        let accepts = self.phase == Phase::Unaccepted;
        let acted = self.act_on_frames(now, plaintext);
        if accepts {
            // The session keeps the token and erases it; the record is the caller's.
            wipe_reset_token(plaintext);
        }
        acted.map(|()| Opened { plaintext })
    }

    fn count_forgery(&mut self) -> OpenError {
        self.forgeries += 1;
        if self.forgeries >= FORGERIES { OpenError::AeadLimit } else { OpenError::Forged }
    }

    /// Whether the peer may say that it lost the session: a responder that accepted.
    fn may_lose(&self) -> bool {
        self.side == Side::Initiator && self.phase != Phase::Unaccepted
    }

    /// A responder that lost the session says so with the token it gave. A wrong one is noise.
    fn hear_no_session(&mut self, body: &[u8]) {
        let Ok(NoSession { token }) = NoSession::decode(body) else { return };
        if self.reset_token.as_ref().is_some_and(|given| same(given.bytes(), &token)) {
            self.finish();
            self.events.push(Event::SessionLost);
        }
    }
}

/// What stands between the header and the tag of a record that was opened.
fn plaintext_of(record: BytesMut, length: usize) -> Bytes {
    let mut rest = record.freeze();
    rest.advance(HEADER_BYTES.min(rest.len()));
    rest.truncate(length);
    rest
}
