//! Why a store did not do what it was asked.

/// What went wrong with a store, and what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// No room is left. Nothing of the batch was kept; free space and try again.
    #[error("the store's disk is full")]
    Full(#[source] std::io::Error),
    /// The disk or the file system failed. Nothing of the batch was kept; it may be tried again.
    #[error("the store's disk failed")]
    Disk(#[source] std::io::Error),
    /// Another process has the store open. End it, or give this one a store of its own.
    #[error("the store is open in another process")]
    Locked,
    /// The file is no store of this crate. It was not touched; choose another path.
    #[error("the file is not a waxwire store")]
    Foreign,
    /// The file was written by a later version of this crate. Update, or choose another path.
    #[error("the store has format {0}, which this version does not read")]
    Newer(u32),
    /// The file is a store, and damaged. Restore it from a copy, or begin a new one: peers then
    /// learn that this side lost its state.
    #[error("the store is damaged: {0}")]
    Damaged(String),
}

impl StoreError {
    /// Whether the same call may succeed later without anybody's doing.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Full(_) | Self::Disk(_) | Self::Locked)
    }
}
