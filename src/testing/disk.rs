//! A disk that outlives whoever has a store on it.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::store::{Change, Key, MemoryStore, Store, StoreError};

/// A store whose clones are one: drop the agent or backend that had it, and give a clone to the next, as
/// after a crash. What was not committed by then is lost.
#[derive(Clone, Debug, Default)]
pub struct Disk(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    rows: MemoryStore,
    is_full: bool,
    commits: u64,
}

impl Disk {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// From now on every commit fails, as on a full disk.
    pub fn fill(&self) {
        self.locked().is_full = true;
    }

    /// Commits work again.
    pub fn free(&self) {
        self.locked().is_full = false;
    }

    /// Commits that were made.
    #[must_use]
    pub fn commits(&self) -> u64 {
        self.locked().commits
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for Disk {
    fn load(&mut self) -> Result<Vec<(Key, Vec<u8>)>, StoreError> {
        self.locked().rows.load()
    }

    fn commit(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        let mut state = self.locked();
        if state.is_full {
            return Err(StoreError::Full(io::ErrorKind::StorageFull.into()));
        }
        state.commits += 1;
        state.rows.commit(changes)
    }
}
