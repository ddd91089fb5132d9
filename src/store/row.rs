//! Rows, changes to them, and what a store promises.

use std::fmt;

use super::error::StoreError;
use crate::limits::STORE_KEY_BYTES;

/// What a row belongs to. The number is part of the stored form.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[repr(u8)]
#[non_exhaustive]
pub enum Table {
    /// What the store itself is: whose, and its epochs.
    Origin = 1,
    /// The chain of handshakes with a peer.
    Chain = 2,
    /// Messages that a peer has not handled yet.
    Outbox = 3,
    /// What of a peer's messages was handled.
    Inbox = 4,
    /// Commands that this side gave, and how far they are.
    Commands = 5,
    /// Results of commands that this side ran.
    Results = 6,
}

impl Table {
    /// All tables, in the order of their rows.
    pub const ALL: [Self; 6] =
        [Self::Origin, Self::Chain, Self::Outbox, Self::Inbox, Self::Commands, Self::Results];

    pub(super) fn from_u8(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|table| *table as u8 == number)
    }
}

/// Where a row stands: its table, then up to 255 bytes that order it there.
#[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Key {
    table: Table,
    id: Vec<u8>,
}

/// A key of more than 255 bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a row's key of {0} bytes is longer than 255")]
pub struct InvalidKey(pub usize);

impl Key {
    /// The key of a row.
    ///
    /// # Errors
    ///
    /// [`InvalidKey`] if `id` is longer than 255 bytes.
    pub fn new(table: Table, id: impl Into<Vec<u8>>) -> Result<Self, InvalidKey> {
        let id = id.into();
        if id.len() > STORE_KEY_BYTES { Err(InvalidKey(id.len())) } else { Ok(Self { table, id }) }
    }

    /// The table of the row.
    #[must_use]
    pub fn table(&self) -> Table {
        self.table
    }

    /// The bytes that order the row in its table.
    #[must_use]
    pub fn id(&self) -> &[u8] {
        &self.id
    }

    /// The table's number and the id: the order of the bytes is the order of the keys.
    #[cfg_attr(not(feature = "store-redb"), allow(dead_code, reason = "its only reader"))]
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(1 + self.id.len());
        bytes.push(self.table as u8);
        bytes.extend_from_slice(&self.id);
        bytes
    }

    /// Reads what [`Key::to_bytes`] wrote.
    #[cfg_attr(not(feature = "store-redb"), allow(dead_code, reason = "its only reader"))]
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (&table, id) = bytes.split_first()?;
        Self::new(Table::from_u8(table)?, id).ok()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}/", self.table)?;
        self.id.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// One change of a batch.
#[derive(Clone, Eq, PartialEq)]
pub enum Change {
    /// The row holds these bytes from here on.
    Put(Key, Vec<u8>),
    /// The row is gone.
    Remove(Key),
}

/// Shows the key and a length, no content.
impl fmt::Debug for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Put(key, value) => write!(f, "Put({key:?}, {} bytes)", value.len()),
            Self::Remove(key) => write!(f, "Remove({key:?})"),
        }
    }
}

/// Rows that outlive the process. One process at a time has it open.
pub trait Store: Send + 'static {
    /// Every row, in the order of its key.
    ///
    /// # Errors
    ///
    /// [`StoreError`] names the cause. Nothing was changed.
    fn load(&mut self) -> Result<Vec<(Key, Vec<u8>)>, StoreError>;

    /// Applies `changes` in order. When it returns `Ok`, all of them survive the end of the process
    /// and, if the disk keeps its word, of the machine.
    ///
    /// # Errors
    ///
    /// [`StoreError`] names the cause. Then none of the changes holds, and what was committed before
    /// still does; the same batch may be tried again.
    fn commit(&mut self, changes: &[Change]) -> Result<(), StoreError>;
}

impl<S: Store + ?Sized> Store for Box<S> {
    fn load(&mut self) -> Result<Vec<(Key, Vec<u8>)>, StoreError> {
        (**self).load()
    }

    fn commit(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        (**self).commit(changes)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_key_is_at_most_255_bytes() {
        assert!(Key::new(Table::Outbox, [1; 255]).is_ok());
        assert_eq!(Key::new(Table::Outbox, [1; 256]), Err(InvalidKey(256)));
    }

    #[test]
    fn what_is_printed_of_a_change_holds_no_content() {
        let key = Key::new(Table::Outbox, [7]).unwrap();
        let printed = format!("{:?}", Change::Put(key, b"secret".to_vec()));
        assert_eq!(printed, "Put(Outbox/07, 6 bytes)");
    }

    proptest! {
        #[test]
        fn the_order_of_keys_is_the_order_of_their_bytes(
            first in key(), second in key(),
        ) {
            prop_assert_eq!(first.cmp(&second), first.to_bytes().cmp(&second.to_bytes()));
            prop_assert_eq!(Key::from_bytes(&first.to_bytes()), Some(first));
        }
    }

    fn key() -> impl Strategy<Value = Key> {
        let id = proptest::collection::vec(any::<u8>(), 0..5);
        (0..Table::ALL.len(), id).prop_map(|(table, id)| Key::new(Table::ALL[table], id).unwrap())
    }
}
