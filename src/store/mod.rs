//! What outlives the process: rows of bytes, changed in batches that are on disk whole or not at
//! all. Knows neither what the rows mean nor how they are sealed.
//!
//! Calls block, on a disk for some milliseconds a batch, whatever its size: gather what waits and
//! commit it together, from a thread that may wait.

mod error;
mod memory;
#[cfg(feature = "store-redb")]
mod redb;
mod row;

pub use self::error::StoreError;
pub use self::memory::MemoryStore;
#[cfg(feature = "store-redb")]
pub use self::redb::RedbStore;
pub use self::row::{Change, InvalidKey, Key, Store, Table};
