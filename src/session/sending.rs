//! The direction this side seals: one key at a time, positions that only rise.

use crate::crypto::{Sealing, Secret};
use crate::header::{HEADER_BYTES, Header, RecordType, TAG_BYTES};
use crate::ids::LinkId;
use crate::limits::{EPOCH_RECORDS, EPOCH_REMIND_RECORDS, EPOCH_TIME, SEQ_END};
use crate::time::Instant;

/// Whether an epoch may be left.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Proof {
    /// The peer has not shown that it opened a record of this epoch.
    Missing,
    /// It has.
    Given,
}

/// The key of an epoch, and what the next one is made from.
struct Keys {
    sealing: Sealing,
    iv: Secret<12>,
    secret: Secret,
    /// The secret of the epoch after this one, if a rekey set it.
    rekeyed: Option<Secret>,
}

impl Keys {
    fn new(secret: Secret) -> Self {
        let (sealing, iv) = keyed(&secret);
        Self { sealing, iv, secret, rekeyed: None }
    }
}

/// Keys and counters of the outgoing direction.
pub(super) struct Sending {
    /// None once they are erased.
    keys: Option<Keys>,
    epoch: u32,
    seq: u64,
    /// Records sealed in this epoch.
    records: u64,
    /// When the first of them was.
    since: Option<Instant>,
    proof: Proof,
    /// A rekey under way holds the epoch.
    held: bool,
}

/// What a new record has to say about its epoch.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Announcement {
    None,
    Epoch(u32),
}

impl Sending {
    pub(super) fn new(secret: Secret) -> Self {
        Self {
            keys: Some(Keys::new(secret)),
            epoch: 0,
            seq: 0,
            records: 0,
            since: None,
            proof: Proof::Missing,
            held: false,
        }
    }

    /// Nothing is sealed any more.
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

    /// Leaves out the positions before `seq`.
    #[cfg(feature = "__fuzz")]
    pub(super) fn skip_to(&mut self, seq: u64) {
        self.seq = self.seq.max(seq);
    }

    /// Whether one position is left, which belongs to CLOSE.
    pub(super) fn is_at_last(&self) -> bool {
        self.seq >= SEQ_END - 1
    }

    /// Whether no position is left.
    pub(super) fn is_exhausted(&self) -> bool {
        self.seq >= SEQ_END
    }

    /// The peer opened a record of `epoch`.
    pub(super) fn acknowledge(&mut self, epoch: u32) {
        if epoch == self.epoch {
            self.proof = Proof::Given;
        }
    }

    /// Any record of the peer proves that it has the keys of epoch 0.
    pub(super) fn hear_peer(&mut self) {
        if self.epoch == 0 {
            self.proof = Proof::Given;
        }
    }

    /// Whether nothing of the peer was ever opened.
    pub(super) fn heard_nothing(&self) -> bool {
        self.epoch == 0 && self.proof == Proof::Missing
    }

    /// Stays in this epoch until a rekey leads out of it.
    pub(super) fn hold(&mut self) {
        self.held = true;
    }

    /// The next record goes into the next epoch, under `secret`.
    pub(super) fn rekey(&mut self, secret: Secret) {
        if let Some(keys) = &mut self.keys {
            keys.rekeyed = Some(secret);
        }
    }

    /// Called before each record: steps into the next epoch if it is time, and says what the record
    /// must announce.
    pub(super) fn prepare(&mut self, now: Instant) -> Announcement {
        let worn = self.records >= EPOCH_RECORDS
            || self.since.is_some_and(|since| now.since(since) >= EPOCH_TIME);
        let proven = self.proof == Proof::Given;
        if let (Some(keys), Some(next)) = (&mut self.keys, self.epoch.checked_add(1)) {
            if let Some(secret) = keys.rekeyed.take() {
                // A rekey's answer was sealed after its question was opened: that proves this epoch.
                self.held = false;
                self.step(next, secret);
            } else if worn && proven && !self.held {
                let secret = keys.secret.derive("upd", b"");
                self.step(next, secret);
            }
        }
        let unproven = self.proof == Proof::Missing;
        if self.epoch > 0 && unproven && self.records.is_multiple_of(EPOCH_REMIND_RECORDS) {
            Announcement::Epoch(self.epoch)
        } else {
            Announcement::None
        }
    }

    fn step(&mut self, epoch: u32, secret: Secret) {
        self.keys = Some(Keys::new(secret));
        self.epoch = epoch;
        self.records = 0;
        self.since = None;
        self.proof = Proof::Missing;
    }

    /// Seals `record`: room for a header, then the plaintext. Writes the header, returns the tag.
    pub(super) fn seal(
        &mut self,
        link: LinkId,
        now: Instant,
        record: &mut [u8],
    ) -> [u8; TAG_BYTES] {
        let seq = self.seq;
        assert!(seq < SEQ_END, "a position is never sealed beyond the last");
        let (front, text) = match record.split_first_chunk_mut::<HEADER_BYTES>() {
            Some(parts) => parts,
            None => unreachable!("a record begins with room for its header"),
        };
        let length = u16::try_from(text.len() + TAG_BYTES);
        assert!(length.is_ok(), "a record is never longer than its length field");
        let length = length.unwrap_or(u16::MAX);
        let header = Header { kind: RecordType::Data, length, link, epoch: self.epoch, seq };
        *front = header.encode();
        self.seq = seq + 1;
        self.records += 1;
        self.since.get_or_insert(now);
        let Some(keys) = &self.keys else {
            unreachable!("a closed session begins no record");
        };
        keys.sealing.seal(&nonce(&keys.iv, seq), front, text)
    }
}

/// The cipher and the nonce base of an epoch.
pub(super) fn keyed(secret: &Secret) -> (Sealing, Secret<12>) {
    (Sealing::new(&secret.derive("key", b"")), secret.derive_sized("iv", b""))
}

/// The nonce of a position: the position, behind four zeros, added to the base without carry.
#[inline]
pub(super) fn nonce(iv: &Secret<12>, seq: u64) -> [u8; 12] {
    let [a, b, c, d, rest @ ..] = *iv.bytes();
    let [e, f, g, h, i, j, k, l] = (u64::from_be_bytes(rest) ^ seq).to_be_bytes();
    [a, b, c, d, e, f, g, h, i, j, k, l]
}

#[cfg(test)]
impl Sending {
    /// What a thief of this process's memory has of this direction.
    pub(super) fn dangerous_secret(&self) -> Secret {
        self.keys.as_ref().expect("keys").secret.duplicate()
    }

    pub(super) fn dangerous_is_erased(&self) -> bool {
        self.keys.is_none()
    }

    /// The position of the next record.
    pub(super) fn dangerous_seq(&self) -> u64 {
        self.seq
    }

    /// As if every epoch before `epoch` had been sealed in.
    pub(super) fn dangerous_epoch(&mut self, epoch: u32) {
        self.epoch = epoch;
    }

    /// As if everything before `seq` had been sealed.
    pub(super) fn dangerous_jump(&mut self, seq: u64) {
        self.seq = seq;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const LINK: LinkId = LinkId([9; 8]);
    const START: Instant = Instant::from_nanos(1_000);

    /// proto-spec 01-terms, 1.6.
    #[test]
    fn the_nonce_is_the_position_added_to_the_base() {
        let (_, iv) = keyed(&Secret::new([0x22; 32]));
        assert_eq!(hex::encode(iv.bytes()), "1ce633e90a622525671baf0c");
        assert_eq!(hex::encode(nonce(&iv, 7)), "1ce633e90a622525671baf0b");
        assert_eq!(nonce(&iv, 0), *iv.bytes());
        let high = nonce(&Secret::new([0xff; 12]), 0x0102_0304_0506_0708);
        assert_eq!(hex::encode(high), "fffffffffefdfcfbfaf9f8f7");
    }

    /// proto-spec, [R-9], and 02-records, 2.3.
    #[test]
    fn a_record_is_sealed_under_its_header_and_position() {
        let mut sending = sending();
        let (sealing, iv) = keyed(&Secret::new([1; 32]));
        for seq in 0..3 {
            let (mut record, tag) = sealed(&mut sending, START, 5);
            let header = Header::decode(&record).expect("a header");
            let expected = Header { kind: RecordType::Data, length: 21, link: LINK, epoch: 0, seq };
            assert_eq!(header, expected);
            let (front, text) = record.split_at_mut(HEADER_BYTES);
            assert_eq!(sealing.open(&nonce(&iv, seq), front, text, &tag), Ok(()));
            assert_eq!(text, [6; 5]);
        }
    }

    /// proto-spec, 04-sealing, 4.1.
    #[test]
    fn an_epoch_has_its_own_key_and_positions_go_on() {
        let mut sending = worn();
        sending.seq = 4_096;
        assert_eq!(sending.prepare(START), Announcement::Epoch(1));
        let (mut record, tag) = sealed(&mut sending, START, 5);
        let header = Header::decode(&record).expect("a header");
        assert_eq!((header.epoch, header.seq), (1, 4_096));
        let (sealing, iv) = keyed(&Secret::new([1; 32]).derive("upd", b""));
        let (front, text) = record.split_at_mut(HEADER_BYTES);
        assert_eq!(sealing.open(&nonce(&iv, 4_096), front, text, &tag), Ok(()));
    }

    /// proto-spec [S-1]: due by records.
    #[test]
    fn an_epoch_ends_after_4096_records() {
        let mut sending = sending();
        sending.hear_peer();
        for record in 0..4_096 {
            sending.prepare(START);
            assert_eq!(sending.epoch(), 0, "{record}");
            sealed(&mut sending, START, 0);
        }
        assert_eq!(sending.prepare(START), Announcement::Epoch(1));
        assert_eq!(sending.epoch(), 1);
    }

    /// proto-spec [S-1]: due by time since the first record of the epoch.
    #[test]
    fn an_epoch_ends_60_seconds_after_its_first_record() {
        let mut sending = sending();
        sending.hear_peer();
        let late = START.after(Duration::from_secs(1_000));
        sending.prepare(late);
        assert_eq!(sending.epoch(), 0);
        sealed(&mut sending, late, 0);
        sealed(&mut sending, late.after(Duration::from_secs(30)), 0);
        sending.prepare(late.after(Duration::from_nanos(59_999_999_999)));
        assert_eq!(sending.epoch(), 0);
        let due = late.after(Duration::from_secs(60));
        sending.prepare(due);
        assert_eq!(sending.epoch(), 1);
        // Its own first record has not been sealed yet.
        sending.acknowledge(1);
        sending.prepare(due.after(Duration::from_secs(60)));
        assert_eq!(sending.epoch(), 1);
    }

    /// proto-spec [S-1]: proven.
    #[test]
    fn an_epoch_ends_only_when_the_peer_has_seen_it() {
        let mut sending = sending();
        sending.records = EPOCH_RECORDS;
        sending.prepare(START);
        sending.acknowledge(1);
        sending.prepare(START);
        assert_eq!(sending.epoch(), 0);
        sending.acknowledge(0);
        sending.prepare(START);
        assert_eq!(sending.epoch(), 1);
        // A record of the peer proves epoch 0 alone.
        sending.records = EPOCH_RECORDS;
        sending.hear_peer();
        sending.acknowledge(0);
        sending.prepare(START);
        assert_eq!(sending.epoch(), 1);
        sending.acknowledge(1);
        sending.prepare(START);
        assert_eq!(sending.epoch(), 2);
    }

    /// proto-spec [S-1]: quiet. [S-11].
    #[test]
    fn a_rekey_holds_the_epoch_and_then_ends_it() {
        let mut sending = worn();
        sending.hold();
        sending.prepare(START);
        assert_eq!(sending.epoch(), 0);
        sending.rekey(Secret::new([2; 32]));
        assert_eq!(sending.prepare(START), Announcement::Epoch(1));
        let (mut record, tag) = sealed(&mut sending, START, 5);
        let (sealing, iv) = keyed(&Secret::new([2; 32]));
        let (front, text) = record.split_at_mut(HEADER_BYTES);
        assert_eq!(sealing.open(&nonce(&iv, 0), front, text, &tag), Ok(()));
        // The next step is an ordinary one again, from the new secret.
        sending.records = EPOCH_RECORDS;
        sending.acknowledge(1);
        sending.prepare(START);
        assert_eq!(sending.epoch(), 2);
        assert_eq!(
            sending.dangerous_secret().bytes(),
            Secret::new([2; 32]).derive("upd", b"").bytes()
        );
    }

    /// proto-spec [S-2], [S-3].
    #[test]
    fn an_epoch_is_announced_until_it_is_proven() {
        let mut sending = worn();
        for record in 0..1_024 {
            let expected = match record % 256 {
                0 => Announcement::Epoch(1),
                _ => Announcement::None,
            };
            assert_eq!(sending.prepare(START), expected, "{record}");
            sealed(&mut sending, START, 0);
        }
        sending.acknowledge(1);
        assert_eq!(sending.prepare(START), Announcement::None);
    }

    #[test]
    fn epoch_0_is_not_announced() {
        let mut sending = sending();
        for _ in 0..600 {
            assert_eq!(sending.prepare(START), Announcement::None);
            sealed(&mut sending, START, 0);
        }
    }

    /// proto-spec 04-sealing, 4.5: the last epoch makes no further step.
    #[test]
    fn the_last_epoch_is_not_left() {
        let mut sending = worn();
        sending.epoch = u32::MAX - 1;
        sending.prepare(START);
        assert_eq!(sending.epoch(), u32::MAX);
        sending.records = EPOCH_RECORDS;
        sending.acknowledge(u32::MAX);
        sending.prepare(START);
        sending.rekey(Secret::new([2; 32]));
        sending.prepare(START);
        assert_eq!(sending.epoch(), u32::MAX);
    }

    /// proto-spec.
    #[test]
    fn the_last_position_is_for_close_and_none_follows() {
        let mut sending = sending();
        for (seq, last, exhausted) in [
            (0, false, false),
            ((1 << 62) - 2, false, false),
            ((1 << 62) - 1, true, false),
            (1 << 62, true, true),
        ] {
            sending.seq = seq;
            assert_eq!((sending.is_at_last(), sending.is_exhausted()), (last, exhausted), "{seq}");
        }
        sending.seq = (1 << 62) - 1;
        sealed(&mut sending, START, 0);
        assert!(sending.is_exhausted());
    }

    /// proto-spec.
    #[test]
    #[should_panic(expected = "beyond the last")]
    fn nothing_is_sealed_beyond_the_last_position() {
        let mut sending = sending();
        sending.seq = 1 << 62;
        sealed(&mut sending, START, 0);
    }

    #[test]
    fn the_largest_record_fits_its_length() {
        let (record, _) = sealed(&mut sending(), START, 65_519);
        assert_eq!(Header::decode(&record).map(|header| header.length), Ok(u16::MAX));
    }

    #[test]
    #[should_panic(expected = "longer than its length field")]
    fn a_record_that_its_length_cannot_say_is_never_sealed() {
        sealed(&mut sending(), START, 65_520);
    }

    fn sending() -> Sending {
        Sending::new(Secret::new([1; 32]))
    }

    /// About to leave epoch 0.
    fn worn() -> Sending {
        let mut sending = sending();
        sending.records = EPOCH_RECORDS;
        sending.hear_peer();
        sending
    }

    fn sealed(sending: &mut Sending, now: Instant, length: usize) -> (Vec<u8>, [u8; TAG_BYTES]) {
        let mut record = vec![0; HEADER_BYTES];
        record.resize(HEADER_BYTES + length, 6);
        let tag = sending.seal(LINK, now, &mut record);
        (record, tag)
    }
}
