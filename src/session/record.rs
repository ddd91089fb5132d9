//! Sealing: a record is written in place, frame by frame, and sealed last, so that what is most
//! urgent can still go first until then.

use bytes::{BufMut, BytesMut};

use super::control::Written;
use super::error::SealError;
use super::sealed::{Phase, Session};
use super::sending::Announcement;
use crate::header::HEADER_BYTES;
use crate::time::Instant;
use crate::wire::{CloseCode, FRAME_HEADER_BYTES, Frame};

/// A record under way. Dropped without [`RecordWriter::seal`], it leaves nothing in the buffer, and
/// what the session itself had to say waits for the next one.
pub struct RecordWriter<'a> {
    session: &'a mut Session,
    out: &'a mut BytesMut,
    start: usize,
    now: Instant,
    /// Frames of the session's own in it.
    written: Option<Written>,
    sealed: bool,
}

impl Session {
    /// Begins a record at the end of `out`, with the session's own frames first.
    ///
    /// # Errors
    ///
    /// [`SealError::Unaccepted`] for an initiator until it opened the first record of the responder,
    /// unless it keeps no chain, [`SealError::Closed`] once the session is over (its CLOSE goes out
    /// by [`Session::poll_transmit`]), [`SealError::SequenceExhausted`] after 2^62 records, which ends
    /// it.
    pub fn record<'a>(
        &'a mut self,
        now: Instant,
        out: &'a mut BytesMut,
    ) -> Result<RecordWriter<'a>, SealError> {
        self.record_beside(0, now, out)
    }

    /// Begins a record whose own long frames leave room for `bytes`.
    fn record_beside<'a>(
        &'a mut self,
        bytes: usize,
        now: Instant,
        out: &'a mut BytesMut,
    ) -> Result<RecordWriter<'a>, SealError> {
        if self.is_over() {
            return Err(SealError::Closed);
        }
        if self.is_mute() {
            return Err(SealError::Unaccepted);
        }
        if self.sending.is_at_last() {
            self.end(CloseCode::KeyLimit);
            return Err(SealError::SequenceExhausted);
        }
        self.begin(self.peer_record_bytes.saturating_sub(bytes), now, out)
    }

    /// Seals `payload` as one datagram, in a record of its own, at the end of `out`. A key exchange
    /// or a credential that finds no room beside it waits for the next record.
    ///
    /// # Errors
    ///
    /// [`SealError`] names the cause; nothing was written.
    pub fn seal_datagram(
        &mut self,
        now: Instant,
        payload: &[u8],
        out: &mut BytesMut,
    ) -> Result<(), SealError> {
        let mut record = self.record_beside(FRAME_HEADER_BYTES + payload.len(), now, out)?;
        record.datagram(payload)?;
        record.seal();
        Ok(())
    }

    /// Whether [`Session::poll_transmit`] would write a record.
    #[must_use]
    pub fn has_transmit(&self) -> bool {
        !self.control.is_empty() && self.phase != Phase::Closed && !self.is_mute()
    }

    /// Seals what the session itself has to say, if anything, at the end of `out`. Returns whether
    /// a record was written; call it until it was not.
    pub fn poll_transmit(&mut self, now: Instant, out: &mut BytesMut) -> bool {
        if !self.has_transmit() {
            return false;
        }
        if self.sending.is_at_last() && self.phase != Phase::Closing {
            self.end(CloseCode::KeyLimit);
        }
        match self.begin(self.peer_record_bytes, now, out) {
            Ok(record) => record.seal(),
            Err(_) => return false,
        }
        if self.phase == Phase::Closing {
            self.finish();
        }
        true
    }

    fn begin<'a>(
        &'a mut self,
        room: usize,
        now: Instant,
        out: &'a mut BytesMut,
    ) -> Result<RecordWriter<'a>, SealError> {
        if self.sending.is_exhausted() {
            return Err(SealError::SequenceExhausted);
        }
        if let Announcement::Epoch(epoch) = self.sending.prepare(now) {
            self.control.announce = Some(epoch);
        }
        let start = out.len();
        out.put_slice(&[0; HEADER_BYTES]);
        let says = !self.control.is_empty();
        let written = says.then(|| self.control.write(room, out));
        Ok(RecordWriter { session: self, out, start, now, written, sealed: false })
    }
}

impl RecordWriter<'_> {
    /// Bytes that still fit: a datagram needs four more than its payload.
    #[must_use]
    pub fn room(&self) -> usize {
        self.session.peer_record_bytes.saturating_sub(self.used())
    }

    /// Adds a datagram: application bytes that arrive at most once, in order while one transport
    /// lasts, with no word about whether they did.
    ///
    /// # Errors
    ///
    /// [`SealError::TooLarge`] if it does not fit; the record is as before.
    pub fn datagram(&mut self, payload: &[u8]) -> Result<(), SealError> {
        let room = self.room().saturating_sub(FRAME_HEADER_BYTES);
        if payload.len() > room {
            return Err(SealError::TooLarge(payload.len(), room));
        }
        Frame::Datagram(payload).encode(self.out);
        Ok(())
    }

    /// Adds what `put` appends, frames of floors above, if `bytes` of them fit. Returns whether they
    /// did.
    ///
    /// # Panics
    ///
    /// If `put` appends more than `bytes`.
    pub(crate) fn frames(&mut self, bytes: usize, put: impl FnOnce(&mut BytesMut)) -> bool {
        if bytes > self.room() {
            return false;
        }
        let before = self.out.len();
        put(self.out);
        let added = self.out.len() - before;
        assert!(added <= bytes, "frames are as long as announced");
        true
    }

    /// Seals the record.
    pub fn seal(mut self) {
        let used = self.used();
        let session = &mut *self.session;
        let target = session.config.padding.target(used, session.peer_record_bytes);
        self.out.put_bytes(0, target - used);
        let (_, record) = self.out.split_at_mut(self.start);
        let tag = session.sending.seal(session.remote, self.now, record);
        self.out.put_slice(&tag);
        session.rekey.count(self.now, target);
        if let Some(written) = self.written {
            session.control.forget(written);
        }
        self.sealed = true;
    }

    /// Bytes of the frames in it.
    pub(crate) fn used(&self) -> usize {
        self.out.len() - self.start - HEADER_BYTES
    }
}

impl Drop for RecordWriter<'_> {
    fn drop(&mut self) {
        if !self.sealed {
            self.out.truncate(self.start);
        }
    }
}

impl std::fmt::Debug for RecordWriter<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RecordWriter").field("used", &self.used()).finish_non_exhaustive()
    }
}
