//! Where rows stand: the ids of every table. Knows no value.
//!
//! | table | id |
//! |---|---|
//! | Origin | pseudonym of the peer |
//! | Chain | pseudonym of the peer's key, another one for each side that a process can take |
//! | Outbox | pseudonym, class, number |
//! | Inbox | pseudonym, class |
//! | Commands, Results | pseudonym, command id |

use crate::call::CommandId;
use crate::crypto::Naming;
use crate::ids::PeerId;
use crate::priority::Class;
use crate::store::{Key, Table};
use crate::wire::{Malformed, Reader};

/// Stands for a peer in the ids of its rows.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Pseudonym([u8; 16]);

impl Pseudonym {
    pub(super) fn of(naming: &Naming, peer: &PeerId) -> Self {
        Self(naming.of("peer", peer.as_str().as_bytes()))
    }

    /// Of a responder that this side dialled.
    pub(super) fn dialled(naming: &Naming, key: &[u8]) -> Self {
        Self(naming.of("dialled", key))
    }

    /// Of an initiator that this side answered.
    pub(super) fn answered(naming: &Naming, key: &[u8]) -> Self {
        Self(naming.of("answered", key))
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        reader.array().map(Self)
    }

    pub(super) fn origin(self) -> Key {
        self.at(Table::Origin, &[])
    }

    pub(super) fn chain(self) -> Key {
        self.at(Table::Chain, &[])
    }

    pub(super) fn message(self, class: Class, number: u64) -> Key {
        self.at(Table::Outbox, &[&[class_byte(class)], &number.to_be_bytes()])
    }

    pub(super) fn mark(self, class: Class) -> Key {
        self.at(Table::Inbox, &[&[class_byte(class)]])
    }

    pub(super) fn issued(self, id: CommandId) -> Key {
        self.at(Table::Commands, &[&id.0])
    }

    pub(super) fn executed(self, id: CommandId) -> Key {
        self.at(Table::Results, &[&id.0])
    }

    fn at(self, table: Table, rest: &[&[u8]]) -> Key {
        match Key::new(table, [&self.0[..], &rest.concat()].concat()) {
            Ok(key) => key,
            Err(_) => unreachable!("an id of 33 bytes at most is short enough"),
        }
    }
}

/// The byte of a class, in the order of urgency, so that rows stand in that order.
pub(super) fn class_byte(class: Class) -> u8 {
    match class {
        Class::Control => 0,
        Class::Critical => 1,
        Class::High => 2,
        Class::Normal => 3,
        Class::Low => 4,
    }
}

pub(super) fn read_class(reader: &mut Reader<'_>) -> Result<Class, Malformed> {
    Class::ALL.get(usize::from(reader.u8()?)).copied().ok_or(Malformed::Value("class"))
}
