//! Chained resumption: what two parties remember of their last handshake, so that the next one also
//! proves to continue it. Knows no keys of a session; it is what outlives them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use zeroize::Zeroizing;

use super::error::HandshakeError;
use crate::crypto::{Fingerprint, PublicKey, Secret, same};
use crate::ids::Generation;
use crate::limits::{CHAIN_LIFE, CHAINS};
use crate::time::UnixTime;

/// The public name of a chain's secret.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Rid(pub(super) [u8; 16]);

impl Rid {
    pub(super) fn of(chain: &Secret) -> Self {
        Self(chain.derive_bytes("rid", b""))
    }
}

/// Whether a handshake must continue the chain of an earlier one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Continuity {
    /// Chains are neither offered nor taken.
    Off,
    /// A chain is continued if both ends still have it.
    Prefer,
    /// A peer that is known must continue its chain. Whoever stole its keys cannot.
    Require,
}

/// What an initiator remembers of one responder. Write it before FINISH is sent; write the promoted
/// one when the responder accepted.
pub struct InitiatorChain {
    peer: [u8; 32],
    expires: UnixTime,
    /// The newest secret first. Two while it is unknown whether the responder has the newest.
    secrets: Vec<Secret>,
}

/// Bytes that are no stored chain.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not a stored chain of this version")]
pub struct InvalidChain;

const STORED_VERSION: u8 = 1;

impl InitiatorChain {
    pub(super) fn extended(
        peer: &PublicKey,
        newest: Secret,
        before: Option<&Secret>,
        now: UnixTime,
    ) -> Self {
        let secrets = [Some(newest), before.map(Secret::duplicate)].into_iter().flatten();
        let (peer, expires) = (peer.to_bytes(), now.after(CHAIN_LIFE));
        Self { peer, expires, secrets: secrets.collect() }
    }

    /// The chain once the responder accepted: only the newest secret is left.
    #[must_use]
    pub fn promoted(mut self) -> Self {
        self.secrets.truncate(1);
        self
    }

    /// A copy, for another attempt should this one fail. Two handshakes at once from the same chain
    /// end in [`HandshakeError::Superseded`] for one of them.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        let secrets = self.secrets.iter().map(Secret::duplicate).collect();
        Self { peer: self.peer, expires: self.expires, secrets }
    }

    /// Whom it is with: where to file it, and the only responder it is ever to be offered to.
    #[must_use]
    pub fn peer(&self) -> Fingerprint {
        Fingerprint::of(&self.peer)
    }

    /// Bytes to store. They are a secret: whoever has them and the identity can take its place.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut out = Zeroizing::new(Vec::with_capacity(128));
        out.push(STORED_VERSION);
        out.extend_from_slice(&self.peer);
        out.extend_from_slice(&self.expires.as_secs().to_be_bytes());
        self.secrets.iter().for_each(|secret| out.extend_from_slice(secret.bytes()));
        out
    }

    /// Reads stored bytes.
    ///
    /// # Errors
    ///
    /// [`InvalidChain`] if they are not what [`InitiatorChain::to_bytes`] gives.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, InvalidChain> {
        let (version, rest) = bytes.split_first().ok_or(InvalidChain)?;
        let (peer, rest) = rest.split_first_chunk::<32>().ok_or(InvalidChain)?;
        let (expires, rest) = rest.split_first_chunk::<8>().ok_or(InvalidChain)?;
        let (secrets, odd) = rest.as_chunks::<32>();
        if *version != STORED_VERSION || !odd.is_empty() || !(1..=2).contains(&secrets.len()) {
            return Err(InvalidChain);
        }
        let secrets = secrets.iter().map(|secret| Secret::new(*secret)).collect();
        let expires = UnixTime::from_secs(u64::from_be_bytes(*expires));
        Ok(Self { peer: *peer, expires, secrets })
    }

    /// Secrets to offer, newest first; none once the chain is too old.
    pub(super) fn offers(self, now: UnixTime) -> Vec<Secret> {
        if now > self.expires { Vec::new() } else { self.secrets }
    }

    pub(super) fn peer_key(&self) -> [u8; 32] {
        self.peer
    }

    /// The last moment at which it is offered: the chain continued last has the latest.
    #[cfg(feature = "runtime")]
    pub(crate) fn expires(&self) -> UnixTime {
        self.expires
    }
}

impl fmt::Debug for InitiatorChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InitiatorChain(..)")
    }
}

/// A chain that a responder found for a HELLO. Proves nothing until FINISH.
pub(super) struct Candidate {
    pub index: usize,
    pub secret: Secret,
    pub peer: [u8; 32],
    pub generation: Generation,
}

/// The step that a finished handshake wants to take on its peer's chain.
pub struct Succession {
    pub(super) peer: [u8; 32],
    pub(super) newest: Secret,
    pub(super) resumed: Option<Resumed>,
}

/// The chain that a handshake continued.
pub(super) struct Resumed {
    pub generation: Generation,
    pub secret: Secret,
}

struct Record {
    current: Secret,
    previous: Option<Secret>,
    confirmed: bool,
    generation: Generation,
    expires: UnixTime,
}

impl Succession {
    /// Whose chain moves.
    #[cfg(feature = "runtime")]
    pub(crate) fn peer(&self) -> [u8; 32] {
        self.peer
    }
}

impl Record {
    fn rids(&self) -> impl Iterator<Item = Rid> {
        [Some(&self.current), self.previous.as_ref()].into_iter().flatten().map(Rid::of)
    }
}

/// What a responder remembers of its peers, in memory: one chain a peer, at most
/// [`CHAINS`] of them (about 300 bytes each); the one that expires first makes room.
#[derive(Default)]
pub struct ChainBook {
    by_peer: BTreeMap<[u8; 32], Record>,
    by_rid: BTreeMap<Rid, [u8; 32]>,
    by_expiry: BTreeSet<(UnixTime, [u8; 32])>,
}

impl ChainBook {
    /// An empty book.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Chains remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_peer.len()
    }

    /// Whether no chain is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_peer.is_empty()
    }

    /// The first of `rids` that is known and has not expired. Changes nothing.
    pub(super) fn find(&self, rids: impl Iterator<Item = Rid>, now: UnixTime) -> Option<Candidate> {
        rids.enumerate().find_map(|(index, rid)| {
            let peer = self.by_rid.get(&rid)?;
            let record = self.by_peer.get(peer).filter(|record| now <= record.expires)?;
            let is_current = Rid::of(&record.current) == rid;
            let secret = if is_current { &record.current } else { record.previous.as_ref()? };
            Some(Candidate {
                index,
                secret: secret.duplicate(),
                peer: *peer,
                generation: record.generation,
            })
        })
    }

    /// Moves a peer's chain on, if nobody else did since it was found. Do this before ACCEPT is
    /// sent, and durably if chains are to outlive the process.
    ///
    /// # Errors
    ///
    /// [`HandshakeError::Superseded`] if another handshake was first,
    /// [`HandshakeError::ResumeForked`] if the peer continued a chain whose successor it had
    /// confirmed, [`HandshakeError::ResumeUnknown`] if policy requires the chain of a known peer
    /// and it was not continued. The handshake is then over.
    ///
    /// Under [`Continuity::Off`] nothing is stored, and the generation is zero.
    pub fn advance(
        &mut self,
        step: Succession,
        continuity: Continuity,
        now: UnixTime,
    ) -> Result<Generation, HandshakeError> {
        if continuity == Continuity::Off {
            return Ok(Generation::default());
        }
        match (&step.resumed, self.by_peer.get(&step.peer)) {
            (Some(resumed), Some(record)) if record.generation == resumed.generation => {
                // Judged now, not when it was found: it may have been confirmed in between.
                let is_current = same(record.current.bytes(), resumed.secret.bytes());
                if record.confirmed && !is_current {
                    return Err(HandshakeError::ResumeForked);
                }
            }
            (Some(_), _) => return Err(HandshakeError::Superseded),
            (None, Some(_)) if continuity == Continuity::Require => {
                return Err(HandshakeError::ResumeUnknown);
            }
            (None, _) => {}
        }
        let before = self.remove(&step.peer).map(|record| record.generation);
        let generation = before.unwrap_or_default().next();
        if self.by_peer.len() >= CHAINS {
            self.forget_stalest();
        }
        self.insert(
            step.peer,
            Record {
                current: step.newest,
                previous: step.resumed.map(|resumed| resumed.secret),
                confirmed: false,
                generation,
                expires: now.after(CHAIN_LIFE),
            },
        );
        Ok(generation)
    }

    /// Notes that the peer proved to hold the chain of `generation`. From now on, its predecessor
    /// is a sign of a clone.
    pub fn confirm(&mut self, peer: &PublicKey, generation: Generation) {
        let record = self.by_peer.get_mut(peer.as_bytes());
        if let Some(record) = record.filter(|record| record.generation == generation) {
            record.confirmed = true;
        }
    }

    /// Forgets the chain of `peer`, so that its next handshake is a first contact. Returns whether
    /// there was one.
    pub fn forget(&mut self, peer: &PublicKey) -> bool {
        self.remove(peer.as_bytes()).is_some()
    }

    /// Which chain makes room if that of `peer` is stored.
    #[cfg(feature = "runtime")]
    pub(crate) fn displaced_by(&self, peer: &[u8; 32]) -> Option<[u8; 32]> {
        let is_full = self.by_peer.len() >= CHAINS && !self.by_peer.contains_key(peer);
        self.by_expiry.first().filter(|_| is_full).map(|(_, stalest)| *stalest)
    }

    /// The chain of a peer as bytes to store. They are a secret, as those of an [`InitiatorChain`].
    #[cfg(feature = "runtime")]
    pub(crate) fn stored(&self, peer: &[u8; 32]) -> Option<Zeroizing<Vec<u8>>> {
        let Record { current, previous, confirmed, generation, expires } =
            self.by_peer.get(peer)?;
        let mut out = Zeroizing::new(Vec::with_capacity(128));
        out.extend_from_slice(&[STORED_VERSION, u8::from(*confirmed)]);
        out.extend_from_slice(peer);
        out.extend_from_slice(&generation.get().to_be_bytes());
        out.extend_from_slice(&expires.as_secs().to_be_bytes());
        out.extend_from_slice(current.bytes());
        previous.iter().for_each(|secret| out.extend_from_slice(secret.bytes()));
        Some(out)
    }

    /// Takes back what [`Self::stored`] gave, in place of what is known of that peer.
    ///
    /// # Errors
    ///
    /// [`InvalidChain`] if it did not give these bytes.
    #[cfg(feature = "runtime")]
    pub(crate) fn restore(&mut self, bytes: &[u8]) -> Result<(), InvalidChain> {
        let (front, rest) = bytes.split_first_chunk::<2>().ok_or(InvalidChain)?;
        let (peer, rest) = rest.split_first_chunk::<32>().ok_or(InvalidChain)?;
        let (generation, rest) = rest.split_first_chunk::<8>().ok_or(InvalidChain)?;
        let (expires, rest) = rest.split_first_chunk::<8>().ok_or(InvalidChain)?;
        let confirmed = match front {
            [STORED_VERSION, 0] => false,
            [STORED_VERSION, 1] => true,
            _ => return Err(InvalidChain),
        };
        let secret = |bytes: &[u8; 32]| Secret::new(*bytes);
        let (current, previous) = match rest.as_chunks::<32>() {
            ([current], []) => (secret(current), None),
            ([current, previous], []) => (secret(current), Some(secret(previous))),
            _ => return Err(InvalidChain),
        };
        let generation = Generation(u64::from_be_bytes(*generation));
        let expires = UnixTime::from_secs(u64::from_be_bytes(*expires));
        self.remove(peer);
        if self.by_peer.len() >= CHAINS {
            self.forget_stalest();
        }
        self.insert(*peer, Record { current, previous, confirmed, generation, expires });
        Ok(())
    }

    fn insert(&mut self, peer: [u8; 32], record: Record) {
        self.by_rid.extend(record.rids().map(|rid| (rid, peer)));
        self.by_expiry.insert((record.expires, peer));
        self.by_peer.insert(peer, record);
    }

    fn remove(&mut self, peer: &[u8; 32]) -> Option<Record> {
        let record = self.by_peer.remove(peer)?;
        for rid in record.rids() {
            self.by_rid.remove(&rid);
        }
        self.by_expiry.remove(&(record.expires, *peer));
        Some(record)
    }

    fn forget_stalest(&mut self) {
        if let Some((_, peer)) = self.by_expiry.first().copied() {
            self.remove(&peer);
        }
    }
}

impl fmt::Debug for ChainBook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChainBook({} chains)", self.len())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::session::tests::rig::identity;

    fn step(peer: u32, newest: u8) -> Succession {
        let mut bytes = [newest; 32];
        let mut secret = [newest; 32];
        for (index, byte) in peer.to_be_bytes().into_iter().enumerate() {
            (bytes[index], secret[index]) = (byte, byte);
        }
        Succession { peer: bytes, newest: Secret::new(secret), resumed: None }
    }

    fn knows(book: &ChainBook, peer: u32, now: UnixTime) -> bool {
        let rid = Rid::of(&step(peer, 0).newest);
        book.find([rid].into_iter(), now).is_some()
    }

    #[test]
    fn a_full_book_forgets_the_chain_that_expires_first() {
        let mut book = ChainBook::new();
        let bound = u32::try_from(CHAINS).unwrap();
        // The last key is the stalest, so the order of keys is not that of time.
        let at = |peer: u32| UnixTime::from_secs(1_000_000 - u64::from(peer));
        for peer in 0..bound {
            book.advance(step(peer, 0), Continuity::Prefer, at(peer)).unwrap();
        }
        assert_eq!(book.len(), CHAINS);
        let stalest = bound - 1;
        let now = at(0);
        assert!(knows(&book, stalest, now));
        book.advance(step(bound, 0), Continuity::Prefer, now).unwrap();
        assert_eq!(book.len(), CHAINS);
        assert!(knows(&book, bound, now) && knows(&book, 0, now) && !knows(&book, stalest, now));
        // A peer that is known already takes no other's place.
        book.advance(step(0, 0), Continuity::Prefer, now).unwrap();
        assert!(knows(&book, stalest - 1, now));
        assert_eq!((book.by_expiry.len(), book.by_rid.len()), (CHAINS, CHAINS));
    }

    #[test]
    fn an_expired_chain_is_not_found_but_its_peer_is_known() {
        let mut book = ChainBook::new();
        let made = UnixTime::from_secs(1_000);
        book.advance(step(7, 0), Continuity::Prefer, made).unwrap();
        let last = made.after(CHAIN_LIFE);
        assert!(knows(&book, 7, last));
        let after = UnixTime::from_secs(last.as_secs() + 1);
        assert!(!knows(&book, 7, after));
        let refused = book.advance(step(7, 0), Continuity::Require, after);
        assert_eq!(refused, Err(HandshakeError::ResumeUnknown));
        assert_eq!(book.len(), 1);
    }

    /// What is stored is read back; other bytes are no chain.
    #[test]
    fn a_stored_chain_has_a_version_a_peer_an_expiry_and_one_or_two_secrets() {
        let now = UnixTime::from_secs(1_000);
        let peer = identity(1).public_key().clone();
        let before = Secret::new([6; 32]);
        for (before, secrets) in [(None, 1), (Some(&before), 2)] {
            let chain = InitiatorChain::extended(&peer, Secret::new([5; 32]), before, now);
            let bytes = chain.to_bytes();
            let expires = now.after(CHAIN_LIFE).as_secs().to_be_bytes();
            let front = [&[1][..], peer.as_bytes(), &expires].concat();
            let secrets = &[[5; 32], [6; 32]].concat()[..32 * secrets];
            assert_eq!(bytes[..], [&front[..], secrets].concat());
            assert_eq!(InitiatorChain::from_bytes(&bytes).unwrap().to_bytes(), bytes);
            for other in [
                [&[2], &bytes[1..]].concat(),
                [&bytes[..], &[0]].concat(),
                [&front[..], &[5; 96]].concat(),
                front.clone(),
            ] {
                assert!(InitiatorChain::from_bytes(&other).is_err(), "{} bytes", other.len());
            }
        }
    }

    /// proto-spec [C-13].
    #[test]
    fn a_chain_is_offered_until_it_expires_and_still_names_its_peer() {
        let now = UnixTime::from_secs(1_000);
        let peer = identity(1).public_key().clone();
        let chain = InitiatorChain::extended(&peer, Secret::new([5; 32]), None, now);
        assert_eq!(chain.peer(), peer.fingerprint());
        let (last, after) = (now.after(CHAIN_LIFE), now.after(CHAIN_LIFE + Duration::from_secs(1)));
        for (at, offers) in [(now, 1), (last, 1), (after, 0)] {
            assert_eq!(chain.duplicate().offers(at).len(), offers, "{at:?}");
        }
    }

    #[test]
    fn a_chain_that_is_forgotten_was_there_before() {
        let mut book = ChainBook::new();
        let peer = identity(1).public_key().clone();
        assert!(book.is_empty() && !book.forget(&peer));
        let newest = Secret::new([5; 32]);
        let step = Succession { peer: peer.to_bytes(), newest, resumed: None };
        book.advance(step, Continuity::Prefer, UnixTime::from_secs(1_000)).unwrap();
        assert!(!book.is_empty());
        assert!(book.forget(&peer) && book.is_empty());
        assert_eq!((book.by_expiry.len(), book.by_rid.len()), (0, 0));
    }

    /// proto-spec [C-7]: of two handshakes on one chain, the second finds it moved.
    #[test]
    fn a_chain_that_moved_since_it_was_found_is_superseded() {
        let mut book = ChainBook::new();
        let now = UnixTime::from_secs(1_000);
        let secret = |newest| Secret::new([newest; 32]);
        let fresh =
            |peer, newest| Succession { peer: [peer; 32], newest: secret(newest), resumed: None };
        let first = book.advance(fresh(7, 1), Continuity::Prefer, now).unwrap();
        let resuming = |newest| {
            let resumed = Some(Resumed { generation: first, secret: secret(1) });
            Succession { resumed, ..fresh(7, newest) }
        };
        assert_eq!(book.advance(resuming(2), Continuity::Require, now), Ok(first.next()));
        let late = book.advance(resuming(3), Continuity::Require, now);
        assert_eq!(late, Err(HandshakeError::Superseded));
        // A first contact overwrites; only a policy forbids it.
        let overwritten = book.advance(fresh(7, 4), Continuity::Prefer, now);
        assert_eq!(overwritten, Ok(first.next().next()));
        let refused = book.advance(fresh(7, 5), Continuity::Require, now);
        assert_eq!(refused, Err(HandshakeError::ResumeUnknown));
        assert!(book.advance(fresh(8, 1), Continuity::Require, now).is_ok());
    }

    /// proto-spec [C-9], [C-10].
    #[test]
    fn the_chain_before_serves_until_its_successor_is_confirmed() {
        let now = UnixTime::from_secs(1_000);
        let peer = identity(1).public_key().clone();
        for confirmed in [false, true] {
            let mut book = ChainBook::new();
            let secret = |newest| Secret::new([newest; 32]);
            let step = |newest, resumed| Succession {
                peer: peer.to_bytes(),
                newest: secret(newest),
                resumed,
            };
            let mut generation = book.advance(step(1, None), Continuity::Prefer, now).unwrap();
            let resumed = Some(Resumed { generation, secret: secret(1) });
            generation = book.advance(step(2, resumed), Continuity::Prefer, now).unwrap();
            if confirmed {
                book.confirm(&peer, generation);
            }
            let resumed = Some(Resumed { generation, secret: secret(1) });
            let again = book.advance(step(3, resumed), Continuity::Prefer, now);
            let expected = match confirmed {
                true => Err(HandshakeError::ResumeForked),
                false => Ok(generation.next()),
            };
            assert_eq!(again, expected);
            let resumed = Some(Resumed { generation, secret: secret(2) });
            let current = book.advance(step(4, resumed), Continuity::Prefer, now);
            let expected = match confirmed {
                true => Ok(generation.next()),
                false => Err(HandshakeError::Superseded),
            };
            assert_eq!(current, expected);
        }
    }

    /// A book that was stored and read judges as the one before: no false alarm of a clone, and no
    /// clone that passes.
    #[cfg(feature = "runtime")]
    #[test]
    fn a_book_that_was_stored_judges_as_before() {
        let now = UnixTime::from_secs(1_000);
        let peer = identity(1).public_key().clone();
        let secret = |newest| Secret::new([newest; 32]);
        for confirmed in [false, true] {
            let mut book = ChainBook::new();
            let step = |newest, resumed| Succession {
                peer: peer.to_bytes(),
                newest: secret(newest),
                resumed,
            };
            let first = book.advance(step(1, None), Continuity::Prefer, now).unwrap();
            let resumed = |generation, newest| Some(Resumed { generation, secret: secret(newest) });
            let second = book.advance(step(2, resumed(first, 1)), Continuity::Prefer, now).unwrap();
            if confirmed {
                book.confirm(&peer, second);
            }
            let stored = book.stored(peer.as_bytes()).unwrap();
            let mut book = ChainBook::new();
            book.restore(&stored).unwrap();
            assert_eq!(book.stored(peer.as_bytes()), Some(stored));
            let found = book.find([Rid::of(&secret(1))].into_iter(), now).unwrap();
            assert_eq!((found.generation, found.peer), (second, peer.to_bytes()));
            let refused = book.advance(step(9, None), Continuity::Require, now);
            assert_eq!(refused, Err(HandshakeError::ResumeUnknown));
            let before = book.advance(step(3, resumed(second, 1)), Continuity::Require, now);
            let expected =
                if confirmed { Err(HandshakeError::ResumeForked) } else { Ok(second.next()) };
            assert_eq!(before, expected);
        }
    }

    #[cfg(feature = "runtime")]
    #[test]
    fn bytes_that_no_book_gave_are_refused() {
        let mut book = ChainBook::new();
        book.advance(step(7, 0), Continuity::Prefer, UnixTime::from_secs(1_000)).unwrap();
        let stored = book.stored(&step(7, 0).peer).unwrap();
        let (version, confirmed) = ([2, 0], [1, 2]);
        for other in [
            [&version, &stored[2..]].concat(),
            [&confirmed, &stored[2..]].concat(),
            [&stored[..], &[0]].concat(),
            [&stored[..], &[0; 64]].concat(),
            stored[..stored.len() - 1].to_vec(),
            stored[..50].to_vec(),
            Vec::new(),
        ] {
            assert_eq!(
                ChainBook::new().restore(&other),
                Err(InvalidChain),
                "{} bytes",
                other.len()
            );
        }
        assert_eq!(book.stored(&[9; 32]), None);
    }

    #[test]
    fn confirming_an_old_generation_changes_nothing() {
        let mut book = ChainBook::new();
        let now = UnixTime::from_secs(1_000);
        let key = identity(1);
        let peer = key.public_key();
        let step = |newest| Succession {
            peer: peer.to_bytes(),
            newest: Secret::new([newest; 32]),
            resumed: None,
        };
        let first = book.advance(step(1), Continuity::Prefer, now).unwrap();
        let second = book.advance(step(2), Continuity::Prefer, now).unwrap();
        book.confirm(peer, first);
        assert!(!book.by_peer[peer.as_bytes()].confirmed);
        book.confirm(peer, second);
        assert!(book.by_peer[peer.as_bytes()].confirmed);
    }
}
