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
    iv: Secret<12>,
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

/// Every key that may still open a record.
struct Keys {
    key: Key,
    secret: Secret,
    previous: Option<Previous>,
    /// The secret of the epoch after this one, if a rekey set it.
    rekeyed: Option<Secret>,
}

/// Keys and window of the incoming direction.
pub(super) struct Receiving {
    /// None once they are erased.
    keys: Option<Keys>,
    epoch: u32,
    /// Records opened in this epoch.
    opened: u64,
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
        let keys = Keys { key: Key::new(&secret), secret, previous: None, rekeyed: None };
        Self { keys: Some(keys), epoch: 0, opened: 0, window: Window::new() }
    }

    /// Nothing is opened any more.
    pub(super) fn erase(&mut self) {
        self.keys = None;
    }

    pub(super) fn epoch(&self) -> u32 {
        self.epoch
    }

    /// The epoch after this one, unless this is the last.
    pub(super) fn next_epoch(&self) -> Option<u32> {
        self.epoch.checked_add(1)
    }

    /// The peer's next epoch is under `secret`.
    pub(super) fn rekey(&mut self, secret: Secret) {
        if let Some(keys) = &mut self.keys {
            keys.rekeyed = Some(secret);
        }
    }

    /// When the key before the one in use is due to be erased.
    pub(super) fn erase_at(&self) -> Option<Instant> {
        let previous = self.keys.as_ref()?.previous.as_ref()?;
        Some(previous.erase_at)
    }

    /// Erases the key before the one in use if it is due.
    pub(super) fn erase_due(&mut self, now: Instant) {
        if self.erase_at().is_some_and(|at| now >= at) {
            self.erase_previous();
        }
    }

    fn erase_previous(&mut self) {
        if let Some(keys) = &mut self.keys {
            keys.previous = None;
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
        let keys = self.keys.as_ref().ok_or(OpenError::Closed)?;
        let seq = header.seq;
        if header.epoch == self.epoch {
            self.window.check(seq)?;
            if !keys.key.open(front, seq, text, tag) {
                return Err(OpenError::Forged);
            }
            self.admit(seq, judge)?;
            self.count();
            return Ok(Moved::No);
        }
        if header.epoch.checked_add(1) == Some(self.epoch) {
            let previous = keys.previous.as_ref().filter(|previous| now < previous.erase_at);
            let previous = previous.ok_or(OpenError::EpochUnknown)?;
            self.window.check(seq)?;
            if !previous.key.open(front, seq, text, tag) {
                return Err(OpenError::Forged);
            }
            self.admit(seq, judge)?;
            return Ok(Moved::No);
        }
        if Some(header.epoch) != self.next_epoch() {
            return Err(OpenError::EpochUnknown);
        }
        self.window.check(seq)?;
        let (moved, secret) = match &keys.rekeyed {
            Some(secret) => (Moved::Rekeyed, secret.duplicate()),
            None => (Moved::Stepped, keys.secret.derive("upd", b"")),
        };
        let key = Key::new(&secret);
        if !key.open(front, seq, text, tag) {
            return Err(OpenError::Forged);
        }
        self.admit(seq, judge)?;
        self.promote(header.epoch, key, secret, now);
        Ok(moved)
    }

    fn admit(&mut self, seq: u64, judge: impl FnOnce(u64) -> bool) -> Result<(), OpenError> {
        if !judge(seq) {
            return Err(OpenError::OrderViolation);
        }
        self.window.mark(seq);
        Ok(())
    }

    fn promote(&mut self, epoch: u32, key: Key, secret: Secret, now: Instant) {
        let previous = self.keys.take().map(|keys| {
            let erase_at = now.after(EPOCH_OVERLAP_TIME);
            Previous { key: keys.key, erase_at }
        });
        self.keys = Some(Keys { key, secret, previous, rekeyed: None });
        self.epoch = epoch;
        self.opened = 0;
        self.count();
    }

    fn count(&mut self) {
        self.opened += 1;
        if self.opened >= EPOCH_OVERLAP_RECORDS {
            self.erase_previous();
        }
    }
}

#[cfg(test)]
impl Receiving {
    /// As if every epoch before `epoch` had been opened in.
    pub(super) fn dangerous_epoch(&mut self, epoch: u32) {
        self.epoch = epoch;
    }

    pub(super) fn dangerous_is_erased(&self) -> bool {
        self.keys.is_none()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::sending::Sending;
    use super::*;
    use crate::header::HEADER_BYTES;
    use crate::ids::LinkId;

    const START: Instant = Instant::from_nanos(1_000);

    #[test]
    fn a_record_opens_once() {
        let (mut sender, mut receiving) = pair();
        let record = sender.record(b"text");
        assert_eq!(open(&mut receiving, START, &record), Ok((Moved::No, b"text".to_vec())));
        assert_eq!(refusal(&mut receiving, &record), Some(OpenError::Replayed));
        let early = sender.record(b"early");
        (0..1_024).for_each(|_| assert_eq!(refusal(&mut receiving, &sender.record(b"")), None));
        assert_eq!(refusal(&mut receiving, &early), Some(OpenError::TooOld));
    }

    /// proto-spec.
    #[test]
    fn a_forged_record_changes_nothing() {
        let (mut sender, mut receiving) = pair();
        sender.step();
        let record = sender.record(b"text");
        for index in 0..record.len() {
            if !(12..24).contains(&index) {
                let mut forged = record.clone();
                forged[index] ^= 1;
                let header = Header::decode(&record).expect("a header");
                let read = open_as(&mut receiving, START, &header, &forged, |_| unreachable!());
                assert_eq!(read.err(), Some(OpenError::Forged), "byte {index}");
            }
        }
        for length in HEADER_BYTES..record.len() {
            let header = Header::decode(&record).expect("a header");
            let read = open_as(&mut receiving, START, &header, &record[..length], |_| true);
            assert_eq!(read.err(), Some(OpenError::Forged), "{length} bytes");
        }
        assert_eq!((receiving.epoch(), receiving.erase_at()), (0, None));
        assert_eq!(open(&mut receiving, START, &record).map(|read| read.0), Ok(Moved::Stepped));
    }

    /// proto-spec: what is out of order is not marked, in whichever epoch it is.
    #[test]
    fn a_record_that_may_not_come_now_is_not_marked() {
        let (mut sender, mut receiving) = pair();
        let previous = sender.record(b"previous");
        sender.step();
        let next = sender.record(b"next");
        let current = sender.record(b"current");
        let judged = |receiving: &mut Receiving, record: &[u8], seq| {
            let header = Header::decode(record).expect("a header");
            let refuse = |asked| {
                assert_eq!(asked, seq);
                false
            };
            let read = open_as(receiving, START, &header, record, refuse);
            assert_eq!(read.err(), Some(OpenError::OrderViolation));
        };
        judged(&mut receiving, &next, 1);
        assert_eq!(receiving.epoch(), 0);
        assert_eq!(refusal(&mut receiving, &next), None);
        judged(&mut receiving, &current, 2);
        assert_eq!(refusal(&mut receiving, &current), None);
        judged(&mut receiving, &previous, 0);
        assert_eq!(refusal(&mut receiving, &previous), None);
    }

    /// proto-spec, [R-12].
    #[test]
    fn three_epochs_are_in_use_and_no_other() {
        let (mut sender, mut receiving) = pair();
        let zero = [sender.record(b"a"), sender.record(b"b")];
        sender.step();
        let one = [sender.record(b"c"), sender.record(b"d")];
        sender.step();
        let two = [sender.record(b"e"), sender.record(b"f")];
        assert_eq!(refusal(&mut receiving, &two[0]), Some(OpenError::EpochUnknown));
        assert_eq!(refusal(&mut receiving, &one[0]), None);
        assert_eq!(receiving.epoch(), 1);
        assert_eq!(refusal(&mut receiving, &zero[0]), None);
        assert_eq!(refusal(&mut receiving, &zero[0]), Some(OpenError::Replayed));
        assert_eq!(refusal(&mut receiving, &two[0]), None);
        assert_eq!(receiving.epoch(), 2);
        assert_eq!(refusal(&mut receiving, &zero[1]), Some(OpenError::EpochUnknown));
        assert_eq!(refusal(&mut receiving, &one[0]), Some(OpenError::Replayed));
        assert_eq!(refusal(&mut receiving, &one[1]), None);
        assert_eq!(refusal(&mut receiving, &two[0]), Some(OpenError::Replayed));
        assert_eq!(refusal(&mut receiving, &two[1]), None);
        for epoch in [0, 4, 5, u32::MAX] {
            let header = Header { epoch, ..Header::decode(&two[1]).expect("a header") };
            let read = open_as(&mut receiving, START, &header, &two[1], |_| true);
            assert_eq!(read.err(), Some(OpenError::EpochUnknown), "{epoch}");
        }
    }

    /// proto-spec: before anything was opened there is no epoch before the first.
    #[test]
    fn the_first_epoch_has_none_before_it() {
        let (mut sender, mut receiving) = pair();
        let record = sender.record(b"text");
        let header = Header { epoch: u32::MAX, ..Header::decode(&record).expect("a header") };
        let read = open_as(&mut receiving, START, &header, &record, |_| true);
        assert_eq!(read.err(), Some(OpenError::EpochUnknown));
        receiving.epoch = u32::MAX;
        let header = Header { epoch: 0, ..header };
        let read = open_as(&mut receiving, START, &header, &record, |_| true);
        assert_eq!(read.err(), Some(OpenError::EpochUnknown));
    }

    /// proto-spec: nor is there one behind the last.
    #[test]
    fn the_last_epoch_has_none_behind_it() {
        let (mut sender, mut receiving) = pair();
        sender.sending.dangerous_epoch(u32::MAX - 1);
        receiving.dangerous_epoch(u32::MAX - 1);
        sender.step();
        let record = sender.record(b"last");
        assert_eq!(open(&mut receiving, START, &record), Ok((Moved::Stepped, b"last".to_vec())));
        assert_eq!((receiving.epoch(), receiving.next_epoch()), (u32::MAX, None));
        sender.step();
        let record = sender.record(b"still in it");
        assert_eq!(refusal(&mut receiving, &record), None);
        for epoch in [0, 1, u32::MAX - 2] {
            let header = Header { epoch, ..Header::decode(&record).expect("a header") };
            let read = open_as(&mut receiving, START, &header, &record, |_| true);
            assert_eq!(read.err(), Some(OpenError::EpochUnknown), "{epoch}");
        }
    }

    /// proto-spec: by time.
    #[test]
    fn the_epoch_before_is_refused_30_seconds_after_the_step() {
        let (mut sender, mut receiving) = pair();
        let old = [sender.record(b"a"), sender.record(b"b"), sender.record(b"c")];
        sender.step();
        assert_eq!(refusal(&mut receiving, &sender.record(b"d")), None);
        let last = START.after(Duration::from_nanos(29_999_999_999));
        let due = START.after(Duration::from_secs(30));
        assert_eq!(receiving.erase_at(), Some(due));
        assert!(open(&mut receiving, last, &old[0]).is_ok());
        assert_eq!(open(&mut receiving, due, &old[1]).err(), Some(OpenError::EpochUnknown));
        receiving.erase_due(last);
        assert_eq!(receiving.erase_at(), Some(due));
        receiving.erase_due(due);
        assert_eq!(receiving.erase_at(), None);
        assert_eq!(open(&mut receiving, last, &old[2]).err(), Some(OpenError::EpochUnknown));
    }

    /// proto-spec: by records; the one that makes the step is the first.
    #[test]
    fn the_epoch_before_is_refused_after_1024_records_of_the_next() {
        let (mut sender, mut receiving) = pair();
        let (first, second) = (sender.record(b"a"), sender.record(b"b"));
        sender.step();
        (0..1_023).for_each(|_| assert_eq!(refusal(&mut receiving, &sender.record(b"")), None));
        assert_eq!(refusal(&mut receiving, &second), None);
        assert_eq!(refusal(&mut receiving, &sender.record(b"")), None);
        assert_eq!(refusal(&mut receiving, &first), Some(OpenError::EpochUnknown));
        assert_eq!(receiving.erase_at(), None);
    }

    /// proto-spec 04-sealing, 4.1: the candidate comes from the new root if a rekey names it.
    #[test]
    fn a_rekey_replaces_the_ordinary_candidate_once() {
        let (mut sender, mut receiving) = pair();
        receiving.rekey(Secret::new([2; 32]));
        let mut ordinary = Sender::new();
        ordinary.step();
        assert_eq!(refusal(&mut receiving, &ordinary.record(b"")), Some(OpenError::Forged));
        assert_eq!(refusal(&mut receiving, &sender.record(b"still")), None);
        sender.secret = Secret::new([2; 32]);
        sender.sending.rekey(Secret::new([2; 32]));
        sender.sending.prepare(START);
        let first = sender.record(b"new");
        assert_eq!(open(&mut receiving, START, &first), Ok((Moved::Rekeyed, b"new".to_vec())));
        sender.step();
        let second = sender.record(b"newer");
        assert_eq!(open(&mut receiving, START, &second), Ok((Moved::Stepped, b"newer".to_vec())));
        assert_eq!(receiving.epoch(), 2);
    }

    struct Sender {
        sending: Sending,
        secret: Secret,
    }

    impl Sender {
        fn new() -> Self {
            let secret = Secret::new([1; 32]);
            Self { sending: Sending::new(secret.duplicate()), secret }
        }

        /// Goes on to the next epoch as if it were time.
        fn step(&mut self) {
            self.secret = self.secret.derive("upd", b"");
            self.sending.rekey(self.secret.duplicate());
            self.sending.prepare(START);
        }

        fn record(&mut self, text: &[u8]) -> Vec<u8> {
            let mut record = [&[0; HEADER_BYTES], text].concat();
            let tag = self.sending.seal(LinkId([9; 8]), START, &mut record);
            record.extend(tag);
            record
        }
    }

    fn pair() -> (Sender, Receiving) {
        (Sender::new(), Receiving::new(Secret::new([1; 32])))
    }

    fn refusal(receiving: &mut Receiving, record: &[u8]) -> Option<OpenError> {
        open(receiving, START, record).err()
    }

    fn open(
        receiving: &mut Receiving,
        now: Instant,
        record: &[u8],
    ) -> Result<(Moved, Vec<u8>), OpenError> {
        let header = Header::decode(record).expect("a header");
        open_as(receiving, now, &header, record, |_| true)
    }

    fn open_as(
        receiving: &mut Receiving,
        now: Instant,
        header: &Header,
        record: &[u8],
        judge: impl FnOnce(u64) -> bool,
    ) -> Result<(Moved, Vec<u8>), OpenError> {
        let mut record = record.to_vec();
        let (front, sealed) = record.split_at_mut(HEADER_BYTES);
        let moved = receiving.open(now, header, front, sealed, judge)?;
        Ok((moved, sealed[..sealed.len() - TAG_BYTES].to_vec()))
    }
}
