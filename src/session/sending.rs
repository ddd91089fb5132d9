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

/// Keys and counters of the outgoing direction.
pub(super) struct Sending {
    sealing: Sealing,
    iv: [u8; 12],
    secret: Secret,
    epoch: u32,
    seq: u64,
    /// Records sealed in this epoch.
    records: u64,
    /// When the first of them was.
    since: Option<Instant>,
    proof: Proof,
    /// The secret of the epoch after this one, if a rekey set it.
    rekeyed: Option<Secret>,
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
        let (sealing, iv) = keyed(&secret);
        Self {
            sealing,
            iv,
            secret,
            epoch: 0,
            seq: 0,
            records: 0,
            since: None,
            proof: Proof::Missing,
            rekeyed: None,
            held: false,
        }
    }

    pub(super) fn epoch(&self) -> u32 {
        self.epoch
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

    /// Stays in this epoch until a rekey leads out of it.
    pub(super) fn hold(&mut self) {
        self.held = true;
    }

    /// The next record goes into the next epoch, under `secret`.
    pub(super) fn rekey(&mut self, secret: Secret) {
        self.rekeyed = Some(secret);
    }

    /// Called before each record: steps into the next epoch if it is time, and says what the record
    /// must announce.
    pub(super) fn prepare(&mut self, now: Instant) -> Announcement {
        let worn = self.records >= EPOCH_RECORDS
            || self.since.is_some_and(|since| now.since(since) >= EPOCH_TIME);
        let proven = self.proof == Proof::Given;
        if let Some(secret) = self.rekeyed.take() {
            // A rekey's answer was sealed after its question was opened: that proves this epoch.
            self.held = false;
            self.step(secret);
        } else if worn && proven && !self.held && self.epoch < u32::MAX {
            let secret = self.secret.derive("upd", b"");
            self.step(secret);
        }
        let unproven = self.proof == Proof::Missing;
        if self.epoch > 0 && unproven && self.records.is_multiple_of(EPOCH_REMIND_RECORDS) {
            Announcement::Epoch(self.epoch)
        } else {
            Announcement::None
        }
    }

    fn step(&mut self, secret: Secret) {
        let (sealing, iv) = keyed(&secret);
        (self.sealing, self.iv, self.secret) = (sealing, iv, secret);
        self.epoch += 1;
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
        self.sealing.seal(&nonce(&self.iv, seq), front, text)
    }
}

/// The cipher and the nonce base of an epoch.
pub(super) fn keyed(secret: &Secret) -> (Sealing, [u8; 12]) {
    (Sealing::new(&secret.derive("key", b"")), secret.derive_bytes("iv", b""))
}

/// The nonce of a position: the position, behind four zeros, added to the base without carry.
#[inline]
pub(super) fn nonce(iv: &[u8; 12], seq: u64) -> [u8; 12] {
    let [a, b, c, d, rest @ ..] = *iv;
    let [e, f, g, h, i, j, k, l] = (u64::from_be_bytes(rest) ^ seq).to_be_bytes();
    [a, b, c, d, e, f, g, h, i, j, k, l]
}

#[cfg(test)]
impl Sending {
    /// What a thief of this process's memory has of this direction.
    pub(super) fn dangerous_secret(&self) -> Secret {
        self.secret.duplicate()
    }

    /// The position of the next record.
    pub(super) fn dangerous_seq(&self) -> u64 {
        self.seq
    }

    /// As if everything before `seq` had been sealed.
    pub(super) fn dangerous_jump(&mut self, seq: u64) {
        self.seq = seq;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::tests::rig::at;

    /// proto-spec: the nonce is the position, added to the base without carry.
    #[test]
    fn a_nonce_is_the_base_and_the_position() {
        let iv = [0xff; 12];
        assert_eq!(nonce(&iv, 0), iv);
        assert_eq!(nonce(&iv, 1), [255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 254]);
        let last = nonce(&[0; 12], SEQ_END - 1);
        assert_eq!(last, [0, 0, 0, 0, 0x3f, 255, 255, 255, 255, 255, 255, 255]);
    }

    #[test]
    #[should_panic(expected = "never sealed beyond the last")]
    fn a_position_beyond_the_last_is_never_sealed() {
        let mut sending = Sending::new(Secret::new([7; 32]));
        sending.seq = SEQ_END;
        sending.seal(LinkId::NONE, at(0), &mut [0; HEADER_BYTES]);
    }

    /// proto-spec [S-1]: the last epoch is not left by an ordinary step.
    #[test]
    fn the_last_epoch_makes_no_further_step() {
        let mut sending = Sending::new(Secret::new([7; 32]));
        (sending.epoch, sending.records) = (u32::MAX, EPOCH_RECORDS);
        sending.acknowledge(u32::MAX);
        assert_eq!(sending.prepare(at(0)), Announcement::None);
        assert_eq!(sending.epoch(), u32::MAX);
    }

    /// proto-spec [S-1]: an acknowledgement of an epoch before proves nothing of this one.
    #[test]
    fn a_late_acknowledgement_proves_nothing() {
        let mut sending = Sending::new(Secret::new([7; 32]));
        sending.acknowledge(0);
        sending.records = EPOCH_RECORDS;
        assert_eq!(sending.prepare(at(0)), Announcement::Epoch(1));
        sending.acknowledge(0);
        sending.hear_peer();
        sending.records = EPOCH_RECORDS;
        assert_eq!(sending.prepare(at(0)), Announcement::Epoch(1), "still in epoch 1, reminding");
        sending.acknowledge(1);
        assert_eq!(sending.prepare(at(0)), Announcement::Epoch(2));
    }
}
