//! What the store is to do for an outbox and no batch has yet. Knows no message's state.

use bytes::Bytes;

use super::Row;
use crate::delivery::per_class::PerClass;
use crate::delivery::word::Epoch;
use crate::priority::Class;

/// What the store is to do. A batch is done as a whole or not at all.
#[derive(Clone, Debug)]
pub(crate) enum Change<T> {
    /// Keep this row, and that its number is taken: the next one must survive when the row is gone.
    Put(Row<T>),
    /// Forget the row.
    Delete(Class, u64),
    /// The rows are sent to this inbox of the peer.
    Peer(Epoch),
}

/// Changes in their order.
#[derive(Debug)]
pub(super) struct Changes<T> {
    list: Vec<Change<T>>,
    /// The row of each class among them that is gone again.
    gone: PerClass<Option<u64>>,
}

impl<T> Changes<T> {
    pub(super) fn new() -> Self {
        Self { list: Vec::new(), gone: PerClass::default() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub(super) fn push(&mut self, change: Change<T>) {
        self.list.push(change);
    }

    pub(super) fn take(&mut self) -> Vec<Change<T>> {
        self.gone = PerClass::default();
        std::mem::take(&mut self.list)
    }

    /// Forgets a row. Of the rows of a class that are gone before a batch took them, the store needs to
    /// know the highest number only, so they do not pile up while a full disk takes no batch. Returns the
    /// number that the store is not told of any more.
    pub(super) fn delete(&mut self, class: Class, number: u64) -> Option<u64> {
        self.list.push(Change::Delete(class, number));
        let row = self.list.iter_mut().find_map(|change| match change {
            Change::Put(row) if (row.class, row.number) == (class, number) => Some(row),
            _ => None,
        })?;
        row.message.content = Bytes::new();
        let gone = self.gone.get_mut(class);
        let other = gone.replace(number.max(gone.unwrap_or(0)))?;
        let lower = number.min(other);
        self.list.retain(|change| match change {
            Change::Put(row) => (row.class, row.number) != (class, lower),
            Change::Delete(of, number) => (*of, *number) != (class, lower),
            Change::Peer(_) => true,
        });
        Some(lower)
    }
}
