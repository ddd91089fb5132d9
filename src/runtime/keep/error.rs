//! Why a store and a link do not come together.

use crate::error::{Error, ErrorKind};
use crate::store::{StoreError, Table};
use crate::wire::Malformed;

/// What went wrong between the links and their store. Nothing was deleted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeepError {
    /// The store did not do what it was asked.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A row does not open: it is sealed with another key, was changed, or moved to another place.
    #[error("a row of {0:?} is sealed with another key, or was changed")]
    Sealed(Table),
    /// A row opened, and is not what this version writes there.
    #[error("a row of {0:?} cannot be read: {1}")]
    Row(Table, #[source] Malformed),
    /// A row belongs to a peer that the store has nothing else of.
    #[error("a row of {0:?} belongs to a peer whose origin is missing")]
    Orphan(Table),
    /// The operating system gave no entropy to seal with.
    #[error("operating system gave no entropy to seal rows with")]
    Entropy(#[source] rand::rngs::SysError),
    /// No thread could be had for the store.
    #[error("no thread could be had for the store")]
    Thread(#[source] std::io::Error),
    /// The keeper has ended, and what it was given is not stored.
    #[error("store is closed")]
    Closed,
}

impl From<KeepError> for Error {
    fn from(error: KeepError) -> Self {
        Self::with(ErrorKind::Store, error)
    }
}
