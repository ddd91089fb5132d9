//! What a disk has of a link.

use std::collections::BTreeMap;

use crate::call::{CommandId, Status};
use crate::delivery::inbox::InboxChange;
use crate::delivery::outbox::{Change, Row};
use crate::delivery::per_class::PerClass;
use crate::delivery::word::Epoch;
use crate::link::{
    About, Batch, CommandChange, ExecutedCommand, IssuedCommand, Kept, MessageId, Token,
};
use crate::priority::Class;

pub(super) struct Disk {
    rows: BTreeMap<(Class, u64), Row<Token>>,
    next: PerClass<u64>,
    peer_inbox: Option<Epoch>,
    peer_outbox: Option<Epoch>,
    marks: BTreeMap<Class, InboxChange>,
    issued: BTreeMap<CommandId, IssuedCommand>,
    executed: BTreeMap<CommandId, ExecutedCommand>,
}

impl Disk {
    pub(super) fn new() -> Self {
        Self {
            rows: BTreeMap::new(),
            next: PerClass::from_fn(|_| 1),
            peer_inbox: None,
            peer_outbox: None,
            marks: BTreeMap::new(),
            issued: BTreeMap::new(),
            executed: BTreeMap::new(),
        }
    }

    pub(super) fn apply(&mut self, batch: Batch) {
        for change in batch.outbox {
            match change {
                Change::Put(row) => {
                    let next = self.next.get_mut(row.class);
                    *next = (*next).max(row.number + 1);
                    self.rows.insert((row.class, row.number), row);
                }
                Change::Delete(class, number) => drop(self.rows.remove(&(class, number))),
                Change::Peer(inbox) => self.peer_inbox = Some(inbox),
            }
        }
        for change in batch.inbox {
            match change {
                InboxChange::Peer(outbox) => {
                    self.peer_outbox = Some(outbox);
                    self.marks.clear();
                }
                InboxChange::Mark { class, .. } => drop(self.marks.insert(class, change)),
            }
        }
        for change in batch.issued {
            match change {
                CommandChange::Put(row) => drop(self.issued.insert(row.row.id, row)),
                CommandChange::Remove(id) => drop(self.issued.remove(&id)),
            }
        }
        for change in batch.executed {
            match change {
                CommandChange::Put(row) => drop(self.executed.insert(row.row.id, row)),
                CommandChange::Remove(id) => drop(self.executed.remove(&id)),
            }
        }
    }

    /// What a link goes on from.
    pub(super) fn kept(&self, outbox: Epoch, inbox: Epoch) -> Kept {
        Kept {
            outbox,
            inbox,
            peer_inbox: self.peer_inbox,
            next: self.next,
            rows: self.rows.values().cloned().collect(),
            peer_outbox: self.peer_outbox,
            marks: self.marks.values().cloned().collect(),
            issued: self.issued.values().cloned().collect(),
            executed: self.executed.values().cloned().collect(),
        }
    }

    /// Messages that are not settled.
    pub(super) fn messages(&self) -> impl Iterator<Item = MessageId> + '_ {
        self.rows.values().map(|row| row.message.token.id)
    }

    /// What those are about.
    pub(super) fn abouts(&self) -> Vec<About> {
        self.rows.values().map(|row| row.message.token.about.clone()).collect()
    }

    /// Where a command stands as its issuer stored it.
    pub(super) fn issued(&self, id: CommandId) -> Option<Status> {
        self.issued.get(&id).map(|command| command.row.status)
    }
}
