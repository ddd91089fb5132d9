//! The direction this side opens: the key in use, the one before while it may still be needed, and
//! the one after once a record proves it.

use super::error::OpenError;
use super::sending::{keyed, nonce};
use super::window::Window;
use crate::crypto::{Sealing, Secret};
use crate::header::{Header, TAG_BYTES};
use crate::limits::{EPOCH_OVERLAP_RECORDS, EPOCH_OVERLAP_TIME};
use crate::time::Instant;

struct Key {
    sealing: Sealing,
    iv: [u8; 12],
}

impl Key {
    fn new(secret: &Secret) -> Self {
        let (sealing, iv) = keyed(secret);
        Self { sealing, iv }
    }

    #[inline]
    fn open(&self, header: &[u8], seq: u64, text: &mut [u8], tag: &[u8; TAG_BYTES]) -> bool {
        self.sealing.open(&nonce(&self.iv, seq), header, text, tag).is_ok()
    }
}

struct Previous {
    key: Key,
    erase_at: Instant,
}

/// Keys and window of the incoming direction.
pub(super) struct Receiving {
    key: Key,
    secret: Secret,
    epoch: u32,
    /// Records opened in this epoch.
    opened: u64,
    previous: Option<Previous>,
    /// The secret of the epoch after this one, if a rekey set it.
    rekeyed: Option<Secret>,
    window: Window,
}

/// What an opened record meant for the keys.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Moved {
    No,
    /// Into an epoch derived from the one before.
    Stepped,
    /// Into the first epoch of a new root.
    Rekeyed,
}

impl Receiving {
    pub(super) fn new(secret: Secret) -> Self {
        Self {
            key: Key::new(&secret),
            secret,
            epoch: 0,
            opened: 0,
            previous: None,
            rekeyed: None,
            window: Window::new(),
        }
    }

    pub(super) fn epoch(&self) -> u32 {
        self.epoch
    }

    /// The peer's next epoch is under `secret`.
    pub(super) fn rekey(&mut self, secret: Secret) {
        self.rekeyed = Some(secret);
    }

    /// When the key before the one in use is due to be erased.
    pub(super) fn erase_at(&self) -> Option<Instant> {
        self.previous.as_ref().map(|previous| previous.erase_at)
    }

    /// Erases the key before the one in use if it is due.
    pub(super) fn erase(&mut self, now: Instant) {
        if self.erase_at().is_some_and(|at| now >= at) {
            self.previous = None;
        }
    }

    /// Opens a record in place if its position is fresh and its tag right. Until both are known,
    /// nothing changes; `judge` then says whether the position may be used.
    #[inline]
    pub(super) fn open(
        &mut self,
        now: Instant,
        header: &Header,
        front: &[u8],
        sealed: &mut [u8],
        judge: impl FnOnce(u64) -> bool,
    ) -> Result<Moved, OpenError> {
        let (text, tag) = sealed.split_last_chunk_mut().ok_or(OpenError::Forged)?;
        let seq = header.seq;
        if header.epoch == self.epoch {
            self.window.check(seq)?;
            if !self.key.open(front, seq, text, tag) {
                return Err(OpenError::Forged);
            }
            self.admit(seq, judge)?;
            self.count();
            return Ok(Moved::No);
        }
        if header.epoch.checked_add(1) == Some(self.epoch) {
            let previous = self.previous.as_ref().filter(|previous| now < previous.erase_at);
            let previous = previous.ok_or(OpenError::EpochUnknown)?;
            self.window.check(seq)?;
            if !previous.key.open(front, seq, text, tag) {
                return Err(OpenError::Forged);
            }
            self.admit(seq, judge)?;
            return Ok(Moved::No);
        }
        if Some(header.epoch) != self.epoch.checked_add(1) {
            return Err(OpenError::EpochUnknown);
        }
        self.window.check(seq)?;
        let secret = match &self.rekeyed {
            Some(secret) => secret.duplicate(),
            None => self.secret.derive("upd", b""),
        };
        let key = Key::new(&secret);
        if !key.open(front, seq, text, tag) {
            return Err(OpenError::Forged);
        }
        self.admit(seq, judge)?;
        Ok(self.promote(key, secret, now))
    }

    fn admit(&mut self, seq: u64, judge: impl FnOnce(u64) -> bool) -> Result<(), OpenError> {
        if !judge(seq) {
            return Err(OpenError::OrderViolation);
        }
        self.window.mark(seq);
        Ok(())
    }

    fn promote(&mut self, key: Key, secret: Secret, now: Instant) -> Moved {
        let moved = if self.rekeyed.take().is_some() { Moved::Rekeyed } else { Moved::Stepped };
        let key = std::mem::replace(&mut self.key, key);
        self.previous = Some(Previous { key, erase_at: now.after(EPOCH_OVERLAP_TIME) });
        self.secret = secret;
        self.epoch += 1;
        self.opened = 0;
        self.count();
        moved
    }

    fn count(&mut self) {
        self.opened += 1;
        if self.opened >= EPOCH_OVERLAP_RECORDS {
            self.previous = None;
        }
    }
}
