//! What a dialer remembers between handshakes, one chain for each peer, what an acceptor does, and who
//! else is told of it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::keep::Keeper;
use crate::crypto::{Fingerprint, PublicKey};
use crate::error::{Error, ErrorKind};
use crate::ids::Generation;
use crate::limits::DIALLED_CHAINS;
use crate::session::{ChainBook, Continuity, HandshakeError, InitiatorChain, Succession};
use crate::time::UnixTime;

/// The chains of one dialer and its clones.
#[derive(Clone, Default)]
pub(super) struct KeptChains {
    by_peer: Arc<Mutex<BTreeMap<Fingerprint, InitiatorChain>>>,
    keep: Keep,
}

/// Who keeps chains beside the memory.
#[derive(Clone, Default)]
enum Keep {
    #[default]
    Nobody,
    Caller(KeepChain),
    Store(Keeper),
}

/// Stores a chain; what it returns says whether that worked.
pub(super) type KeepChain = Arc<dyn Fn(&InitiatorChain) -> std::io::Result<()> + Send + Sync>;

impl KeptChains {
    pub(super) fn new(chains: impl IntoIterator<Item = InitiatorChain>, keep: KeepChain) -> Self {
        Self::kept(chains, Keep::Caller(keep))
    }

    /// In a store, which gave back `chains`.
    pub(super) fn stored(chains: impl IntoIterator<Item = InitiatorChain>, keeper: Keeper) -> Self {
        Self::kept(chains, Keep::Store(keeper))
    }

    fn kept(chains: impl IntoIterator<Item = InitiatorChain>, keep: Keep) -> Self {
        let kept = Self { keep, ..Self::default() };
        chains.into_iter().for_each(|chain| _ = kept.insert(chain));
        kept
    }

    /// The chain with `peer`, and never another.
    pub(super) fn get(&self, peer: &Fingerprint) -> Option<InitiatorChain> {
        self.locked().get(peer).map(InitiatorChain::duplicate)
    }

    /// Whether there ever was a handshake with `peer`, as far back as is remembered.
    pub(super) fn knows(&self, peer: &Fingerprint) -> bool {
        self.locked().contains_key(peer)
    }

    /// Goes on with `chain` once it is stored.
    pub(super) async fn set(&self, chain: InitiatorChain) -> Result<(), Error> {
        match &self.keep {
            Keep::Nobody => {}
            Keep::Caller(keep) => {
                keep(&chain).map_err(|cause| Error::with(ErrorKind::Store, cause))?;
            }
            Keep::Store(keeper) => {
                let done = keeper.keep_dialled(&chain).done().await;
                done.map_err(|cause| Error::with(ErrorKind::Store, cause))?;
            }
        }
        if let (Some(forgotten), Keep::Store(keeper)) = (self.insert(chain), &self.keep) {
            // It fails without harm: what is left there makes room again when it is read.
            drop(keeper.drop_dialled(&forgotten));
        }
        Ok(())
    }

    /// Returns whose chain made room.
    fn insert(&self, chain: InitiatorChain) -> Option<Fingerprint> {
        let mut chains = self.locked();
        let peer = chain.peer();
        let mut forgotten = None;
        if chains.len() >= DIALLED_CHAINS && !chains.contains_key(&peer) {
            let stalest = chains.iter().min_by_key(|(_, chain)| chain.expires());
            forgotten = stalest.map(|(peer, _)| *peer);
        }
        forgotten.iter().for_each(|stalest| _ = chains.remove(stalest));
        chains.insert(peer, chain);
        forgotten
    }

    fn locked(&self) -> MutexGuard<'_, BTreeMap<Fingerprint, InitiatorChain>> {
        self.by_peer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What an acceptor and its clones remember of their peers.
#[derive(Default)]
pub(crate) struct KeptBook {
    book: Mutex<ChainBook>,
    keeper: Option<Keeper>,
}

impl KeptBook {
    /// In a store, which gave back `book`.
    pub(super) fn stored(book: ChainBook, keeper: Keeper) -> Self {
        Self { book: Mutex::new(book), keeper: Some(keeper) }
    }

    pub(super) fn read<T>(&self, look: impl FnOnce(&ChainBook) -> T) -> T {
        look(&self.locked())
    }

    /// Moves a chain on, and returns once that is stored: ACCEPT may be sent then.
    ///
    /// If it cannot be stored, the handshake is over, and the peer goes on from either chain.
    pub(super) async fn advance(
        &self,
        step: Succession,
        continuity: Continuity,
        now: UnixTime,
    ) -> Result<Result<Generation, HandshakeError>, Error> {
        let peer = step.peer();
        let (generation, storing) = {
            let mut book = self.locked();
            let displaced = book.displaced_by(&peer);
            let generation = match book.advance(step, continuity, now) {
                Ok(generation) => generation,
                Err(refused) => return Ok(Err(refused)),
            };
            // Sent while nobody else moves a chain, so that rows are stored in the order of steps.
            let storing = self.keeper.as_ref().map(|keeper| {
                displaced.iter().for_each(|peer| drop(keeper.keep_answered(peer, None)));
                keeper.keep_answered(&peer, book.stored(&peer).as_deref().map(Vec::as_slice))
            });
            (generation, storing)
        };
        if let Some(storing) = storing {
            let done = storing.done().await;
            done.map_err(|cause| Error::with(ErrorKind::Store, cause))?;
        }
        Ok(Ok(generation))
    }

    /// The peer proved to hold the chain of `generation`. That is stored when there is time: before,
    /// a restart only takes a clone for a peer that lost its last step.
    pub(super) fn confirm(&self, peer: &PublicKey, generation: Generation) {
        let mut book = self.locked();
        book.confirm(peer, generation);
        self.keep(&book, peer);
    }

    pub(super) fn forget(&self, peer: &PublicKey) -> bool {
        let mut book = self.locked();
        let was_known = book.forget(peer);
        self.keep(&book, peer);
        was_known
    }

    /// Has what the book says of a peer stored, without waiting.
    fn keep(&self, book: &ChainBook, peer: &PublicKey) {
        if let Some(keeper) = &self.keeper {
            let chain = book.stored(peer.as_bytes());
            drop(keeper.keep_answered(peer.as_bytes(), chain.as_deref().map(Vec::as_slice)));
        }
    }

    fn locked(&self) -> MutexGuard<'_, ChainBook> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_full_memory_forgets_the_chain_that_expires_first() {
        let count = u8::try_from(DIALLED_CHAINS).unwrap();
        // The last key is the stalest, so the order of keys is not that of time.
        let all = (0..=count).map(|peer| chain(peer, u64::from(count - peer)));
        let kept = KeptChains::new(all, Arc::new(|_| Ok(())));
        let known = |peer| kept.knows(&chain(peer, 0).peer());
        let stalest = count - 1;
        assert_eq!(kept.locked().len(), DIALLED_CHAINS);
        assert!(known(0) && known(count) && !known(stalest));
        // A peer that is known already takes no other's place.
        kept.set(chain(0, 0)).await.unwrap();
        assert_eq!(kept.locked().len(), DIALLED_CHAINS);
        assert!(known(0) && known(stalest - 1));
    }

    #[tokio::test]
    async fn a_chain_that_was_not_stored_is_not_gone_on_with() {
        let full = |_: &InitiatorChain| Err(std::io::ErrorKind::StorageFull.into());
        let kept = KeptChains::new([], Arc::new(full));
        assert_eq!(kept.set(chain(1, 1)).await.unwrap_err().kind(), ErrorKind::Store);
        assert!(!kept.knows(&chain(1, 1).peer()));
    }

    /// A stored chain with one secret.
    fn chain(peer: u8, expires: u64) -> InitiatorChain {
        let bytes = [&[1][..], &[peer; 32], &expires.to_be_bytes(), &[7; 32]].concat();
        InitiatorChain::from_bytes(&bytes).unwrap()
    }
}
