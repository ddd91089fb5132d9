//! A store that ends with the process: for those who can afford to lose what is under way.

use std::collections::BTreeMap;

use super::error::StoreError;
use super::row::{Change, Key, Store};

/// Rows in memory. Peers learn after a restart that this side lost its state.
#[derive(Clone, Default)]
pub struct MemoryStore {
    rows: BTreeMap<Key, Vec<u8>>,
}

impl MemoryStore {
    /// A store without rows.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl Store for MemoryStore {
    fn load(&mut self) -> Result<Vec<(Key, Vec<u8>)>, StoreError> {
        Ok(self.rows.iter().map(|(key, value)| (key.clone(), value.clone())).collect())
    }

    fn commit(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        for change in changes {
            match change {
                Change::Put(key, value) => {
                    self.rows.insert(key.clone(), value.clone());
                }
                Change::Remove(key) => {
                    self.rows.remove(key);
                }
            }
        }
        Ok(())
    }
}

impl std::fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "MemoryStore({} rows)", self.rows.len())
    }
}
