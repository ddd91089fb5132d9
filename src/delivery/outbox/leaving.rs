//! Rows that are to go and that a crash may still bring back. The peer is told nothing yet by which it
//! would take such a message for handled when it comes again. Knows no message.

use std::collections::BTreeMap;

use crate::delivery::word::Ticket;
use crate::priority::Class;

/// The rows, each with the batch that takes it away.
#[derive(Debug, Default)]
pub(super) struct Leaving {
    rows: BTreeMap<(Class, u64), (Ticket, Word)>,
}

/// What the peer is told once a row is gone.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Word {
    /// That the number is void, until it acknowledges that.
    Void,
    /// That its result was heard, once in this session.
    Learnt,
}

impl Leaving {
    pub(super) fn add(&mut self, class: Class, number: u64, ticket: Ticket) {
        self.rows.insert((class, number), (ticket, Word::Void));
    }

    /// The row never was in a batch, and cannot come back.
    pub(super) fn remove(&mut self, class: Class, number: u64) {
        self.rows.remove(&(class, number));
    }

    /// The peer's result is why the row goes. Returns whether it is still there.
    pub(super) fn learn(&mut self, class: Class, number: u64) -> bool {
        let row = self.rows.get_mut(&(class, number));
        row.map(|(_, word)| *word = Word::Learnt).is_some()
    }

    /// A session begins, in which the peer was told nothing. Returns the numbers of a class.
    pub(super) fn begin(&mut self, class: Class) -> impl Iterator<Item = u64> + '_ {
        let rows = self.rows.range_mut((class, 0)..=(class, u64::MAX));
        rows.map(|((_, number), (_, word))| {
            *word = Word::Void;
            *number
        })
    }

    /// A batch, and every one before it, is on disk. Returns what is gone by that.
    pub(super) fn stored(&mut self, ticket: Ticket) -> Vec<(Class, u64, Word)> {
        let gone = self.rows.iter().filter(|(_, (of, _))| *of <= ticket);
        let gone: Vec<_> =
            gone.map(|((class, number), (_, word))| (*class, *number, *word)).collect();
        self.rows.retain(|_, (of, _)| *of > ticket);
        gone
    }
}
