//! What a dialer remembers between handshakes, one chain for each peer, and who else is told of it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::crypto::Fingerprint;
use crate::error::{Error, ErrorKind};
use crate::limits::DIALLED_CHAINS;
use crate::session::InitiatorChain;

/// The chains of one dialer and its clones.
#[derive(Clone, Default)]
pub(super) struct KeptChains {
    by_peer: Arc<Mutex<BTreeMap<Fingerprint, InitiatorChain>>>,
    keep: Option<Keep>,
}

/// Stores a chain; what it returns says whether that worked.
pub(super) type Keep = Arc<dyn Fn(&InitiatorChain) -> std::io::Result<()> + Send + Sync>;

impl KeptChains {
    pub(super) fn new(chains: impl IntoIterator<Item = InitiatorChain>, keep: Keep) -> Self {
        let kept = Self { keep: Some(keep), ..Self::default() };
        chains.into_iter().for_each(|chain| kept.insert(chain));
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
    pub(super) fn set(&self, chain: InitiatorChain) -> Result<(), Error> {
        if let Some(keep) = &self.keep {
            keep(&chain).map_err(|cause| Error::with(ErrorKind::Store, cause))?;
        }
        self.insert(chain);
        Ok(())
    }

    fn insert(&self, chain: InitiatorChain) {
        let mut chains = self.locked();
        let peer = chain.peer();
        if chains.len() >= DIALLED_CHAINS && !chains.contains_key(&peer) {
            let stalest = chains.iter().min_by_key(|(_, chain)| chain.expires());
            if let Some(stalest) = stalest.map(|(peer, _)| *peer) {
                chains.remove(&stalest);
            }
        }
        chains.insert(peer, chain);
    }

    fn locked(&self) -> MutexGuard<'_, BTreeMap<Fingerprint, InitiatorChain>> {
        self.by_peer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_memory_forgets_the_chain_that_expires_first() {
        let count = u8::try_from(DIALLED_CHAINS).unwrap();
        // The last key is the stalest, so the order of keys is not that of time.
        let all = (0..=count).map(|peer| chain(peer, u64::from(count - peer)));
        let kept = KeptChains::new(all, Arc::new(|_| Ok(())));
        let known = |peer| kept.knows(&chain(peer, 0).peer());
        let stalest = count - 1;
        assert_eq!(kept.locked().len(), DIALLED_CHAINS);
        assert!(known(0) && known(count) && !known(stalest));
        // A peer that is known already takes no other's place.
        kept.set(chain(0, 0)).unwrap();
        assert_eq!(kept.locked().len(), DIALLED_CHAINS);
        assert!(known(0) && known(stalest - 1));
    }

    #[test]
    fn a_chain_that_was_not_stored_is_not_gone_on_with() {
        let full = |_: &InitiatorChain| Err(std::io::ErrorKind::StorageFull.into());
        let kept = KeptChains::new([], Arc::new(full));
        assert_eq!(kept.set(chain(1, 1)).unwrap_err().kind(), ErrorKind::Store);
        assert!(!kept.knows(&chain(1, 1).peer()));
    }

    /// A stored chain with one secret.
    fn chain(peer: u8, expires: u64) -> InitiatorChain {
        let bytes = [&[1][..], &[peer; 32], &expires.to_be_bytes(), &[7; 32]].concat();
        InitiatorChain::from_bytes(&bytes).unwrap()
    }
}
