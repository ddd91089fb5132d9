//! A disk as a model: batches wait for it, and a crash loses those that it has not taken.

use std::collections::{BTreeMap, VecDeque};

use crate::call::{CommandId, Status};
use crate::delivery::inbox::InboxChange;
use crate::delivery::outbox::{Change, Row};
use crate::delivery::per_class::PerClass;
use crate::delivery::word::Epoch;
use crate::link::{Batch, CommandChange, ExecutedCommand, IssuedCommand, Kept, Token};
use crate::priority::Class;
use crate::time::Instant;

/// What a disk has of one link.
#[derive(Debug)]
pub(super) struct Rows {
    rows: BTreeMap<(Class, u64), Row<Token>>,
    next: PerClass<u64>,
    pub(super) peer_inbox: Option<Epoch>,
    pub(super) peer_outbox: Option<Epoch>,
    marks: BTreeMap<Class, InboxChange>,
    issued: BTreeMap<CommandId, IssuedCommand>,
    executed: BTreeMap<CommandId, ExecutedCommand>,
}

impl Default for Rows {
    fn default() -> Self {
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
}

impl Rows {
    pub(super) fn apply(&mut self, batch: &Batch) {
        for change in &batch.outbox {
            match change {
                Change::Put(row) => {
                    let next = self.next.get_mut(row.class);
                    *next = (*next).max(row.number + 1);
                    self.rows.insert((row.class, row.number), row.clone());
                }
                Change::Delete(class, number) => drop(self.rows.remove(&(*class, *number))),
                Change::Peer(inbox) => self.peer_inbox = Some(*inbox),
            }
        }
        for change in &batch.inbox {
            match change {
                InboxChange::Peer(outbox) => {
                    self.peer_outbox = Some(*outbox);
                    self.marks.clear();
                }
                InboxChange::Mark { class, .. } => {
                    self.marks.insert(*class, change.clone());
                }
            }
        }
        keep(&mut self.issued, &batch.issued, |row| row.row.id);
        keep(&mut self.executed, &batch.executed, |row| row.row.id);
    }

    /// Where a command stands as its issuer stored it.
    pub(super) fn issued(&self, id: CommandId) -> Option<Status> {
        self.issued.get(&id).map(|command| command.row.status)
    }

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

    pub(super) fn tokens(&self) -> impl Iterator<Item = &Token> {
        self.rows.values().map(|row| &row.message.token)
    }
}

fn keep<T: Clone>(
    rows: &mut BTreeMap<CommandId, T>,
    changes: &[CommandChange<T>],
    id: impl Fn(&T) -> CommandId,
) {
    for change in changes {
        match change {
            CommandChange::Put(row) => drop(rows.insert(id(row), row.clone())),
            CommandChange::Remove(id) => drop(rows.remove(id)),
        }
    }
}

/// A batch of one link, and the application's effects that are one transaction with it.
#[derive(Debug)]
pub(super) struct Write {
    pub(super) end: usize,
    pub(super) batch: Batch,
    pub(super) effects: Vec<u64>,
}

/// The disk of one process.
#[derive(Debug, Default)]
pub(super) struct Disk {
    pub(super) waiting: VecDeque<Write>,
    /// Whether it works on something.
    pub(super) is_busy: bool,
    /// Until when it has no room.
    pub(super) full_until: Instant,
}
