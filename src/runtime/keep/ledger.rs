//! What of each peer lies in the store: turns batches of links into changes of rows, and rows into what
//! links go on from. Knows no store and no seal.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::commands::{decode_executed, decode_issued, encode_executed, encode_issued, read_id};
use super::error::KeepError;
use super::place::{Pseudonym, read_class};
use super::rows::{
    ChainSide, Origin, Plain, decode_chain, decode_mark, decode_message, encode_mark,
    encode_message,
};
use super::seal::Changes;
use crate::crypto::Naming;
use crate::delivery::inbox::InboxChange;
use crate::delivery::outbox;
use crate::delivery::per_class::PerClass;
use crate::delivery::word::Epoch;
use crate::ids::PeerId;
use crate::link::{Batch, CommandChange, ExecutedCommand, IssuedCommand, Kept};
use crate::priority::Class;
use crate::session::{ChainBook, InitiatorChain};
use crate::store::{Key, Table};
use crate::time::Now;
use crate::wire::{Malformed, Reader};

/// What a store gave back.
#[derive(Debug, Default)]
pub(crate) struct Restored {
    pub(crate) peers: Vec<KeptPeer>,
    /// Chains of this side's handshakes as an initiator.
    pub(crate) dialled: Vec<InitiatorChain>,
    /// The same as a responder.
    pub(crate) answered: ChainBook,
}

/// What a store kept of one peer.
#[derive(Debug)]
pub(crate) struct KeptPeer {
    pub(crate) peer: PeerId,
    pub(crate) kept: Kept,
}

/// The peers of a store.
#[derive(Debug)]
pub(super) struct Ledger {
    naming: Arc<Naming>,
    peers: BTreeMap<PeerId, Pages>,
}

/// One peer: what its origin says, and which rows it has, so that all of them can be removed.
#[derive(Debug)]
struct Pages {
    pseudonym: Pseudonym,
    origin: Origin,
    rows: BTreeSet<Key>,
}

/// The epochs of a link: those of its outbox and of its inbox.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Epochs {
    pub(super) outbox: Epoch,
    pub(super) inbox: Epoch,
}

impl Ledger {
    /// Reads rows, in the order of their keys.
    ///
    /// # Errors
    ///
    /// [`KeepError::Row`], [`KeepError::Orphan`].
    pub(super) fn restore(
        naming: Arc<Naming>,
        now: Now,
        rows: impl IntoIterator<Item = Result<(Key, Plain), KeepError>>,
    ) -> Result<(Self, Restored), KeepError> {
        let mut reading = Reading { now, peers: BTreeMap::new(), chains: Restored::default() };
        for row in rows {
            let (key, value) = row?;
            reading.row(key, &value)?;
        }
        let Reading { peers, chains: mut restored, .. } = reading;
        let mut ledger = Self { naming, peers: BTreeMap::new() };
        for (_, (pages, kept)) in peers {
            restored.peers.push(kept);
            ledger.peers.insert(pages.origin.peer.clone(), pages);
        }
        Ok((ledger, restored))
    }

    /// Adds a batch to what the next commit does. A peer that is new, or has other epochs than its rows,
    /// begins anew.
    pub(super) fn apply(
        &mut self,
        (peer, epochs): (&PeerId, Epochs),
        now: Now,
        batch: Batch,
        changes: &mut Changes,
    ) {
        let known = self.peers.get(peer).map(|pages| pages.origin.epochs());
        if known.is_some_and(|known| known != epochs) {
            self.forget(peer, changes);
        }
        let mut is_dirty = known != Some(epochs);
        let naming = &self.naming;
        let pages = self.peers.entry(peer.clone()).or_insert_with(|| Pages {
            pseudonym: Pseudonym::of(naming, peer),
            origin: Origin::begin(peer.clone(), epochs),
            rows: BTreeSet::new(),
        });
        let Batch { number: _, outbox, inbox, issued, executed } = batch;
        for change in outbox {
            match change {
                outbox::Change::Put(row) => {
                    let next = pages.origin.next.get_mut(row.class);
                    *next = (*next).max(row.number.saturating_add(1));
                    is_dirty = true;
                    let key = pages.pseudonym.message(row.class, row.number);
                    pages.put(key, encode_message(now, &row.message), changes);
                }
                outbox::Change::Delete(class, number) => {
                    pages.remove(pages.pseudonym.message(class, number), changes);
                }
                outbox::Change::Peer(inbox) => {
                    pages.origin.peer_inbox = Some(inbox);
                    is_dirty = true;
                }
            }
        }
        for change in inbox {
            match change {
                InboxChange::Peer(outbox) => {
                    pages.origin.peer_outbox = Some(outbox);
                    is_dirty = true;
                    for class in Class::ALL {
                        pages.remove(pages.pseudonym.mark(class), changes);
                    }
                }
                InboxChange::Mark { class, handled, verdicts } => {
                    let key = pages.pseudonym.mark(class);
                    pages.put(key, encode_mark(&handled, &verdicts), changes);
                }
            }
        }
        for change in issued {
            match change {
                CommandChange::Put(IssuedCommand { channel, row }) => {
                    let key = pages.pseudonym.issued(row.id);
                    pages.put(key, encode_issued(&channel, &row), changes);
                }
                CommandChange::Remove(id) => pages.remove(pages.pseudonym.issued(id), changes),
            }
        }
        for change in executed {
            match change {
                CommandChange::Put(ExecutedCommand { channel, row }) => {
                    let key = pages.pseudonym.executed(row.id);
                    pages.put(key, encode_executed(&channel, &row), changes);
                }
                CommandChange::Remove(id) => pages.remove(pages.pseudonym.executed(id), changes),
            }
        }
        if is_dirty {
            pages.put(pages.pseudonym.origin(), pages.origin.encode(), changes);
        }
    }

    /// Removes every row of a peer, its chains aside.
    pub(super) fn forget(&mut self, peer: &PeerId, changes: &mut Changes) {
        if let Some(pages) = self.peers.remove(peer) {
            changes.extend(pages.rows.into_iter().map(|key| (key, None)));
        }
    }
}

impl Origin {
    fn begin(peer: PeerId, epochs: Epochs) -> Self {
        let Epochs { outbox, inbox } = epochs;
        let next = PerClass::from_fn(|_| 1);
        Self { peer, outbox, inbox, peer_inbox: None, peer_outbox: None, next }
    }

    fn epochs(&self) -> Epochs {
        Epochs { outbox: self.outbox, inbox: self.inbox }
    }

    fn kept(&self) -> Kept {
        Kept {
            outbox: self.outbox,
            inbox: self.inbox,
            peer_inbox: self.peer_inbox,
            next: self.next,
            rows: Vec::new(),
            peer_outbox: self.peer_outbox,
            marks: Vec::new(),
            issued: Vec::new(),
            executed: Vec::new(),
        }
    }
}

impl Pages {
    fn put(&mut self, key: Key, value: Plain, changes: &mut Changes) {
        self.rows.insert(key.clone());
        changes.insert(key, Some(value));
    }

    fn remove(&mut self, key: Key, changes: &mut Changes) {
        if self.rows.remove(&key) {
            changes.insert(key, None);
        }
    }
}

/// What was read so far.
struct Reading {
    now: Now,
    peers: BTreeMap<Pseudonym, (Pages, KeptPeer)>,
    chains: Restored,
}

impl Reading {
    fn row(&mut self, key: Key, value: &[u8]) -> Result<(), KeepError> {
        let table = key.table();
        let read = match table {
            Table::Chain => self.chain(value),
            Table::Origin => self.origin(key, value),
            _ => self.other(key, value)?,
        };
        read.map_err(|cause| KeepError::Row(table, cause))
    }

    fn chain(&mut self, value: &[u8]) -> Result<(), Malformed> {
        let (side, chain) = decode_chain(value)?;
        let read = match side {
            ChainSide::Dialled => {
                InitiatorChain::from_bytes(chain).map(|chain| self.chains.dialled.push(chain))
            }
            ChainSide::Answered => self.chains.answered.restore(chain),
        };
        read.map_err(|_| Malformed::Value("chain"))
    }

    fn origin(&mut self, key: Key, value: &[u8]) -> Result<(), Malformed> {
        let mut id = Reader::new(key.id());
        let pseudonym = Pseudonym::read(&mut id)?;
        id.end()?;
        let origin = Origin::decode(value)?;
        let (peer, kept) = (origin.peer.clone(), origin.kept());
        let kept = KeptPeer { peer, kept };
        let pages = Pages { pseudonym, origin, rows: [key].into() };
        self.peers.insert(pseudonym, (pages, kept));
        Ok(())
    }

    /// A row of a peer whose origin, which stands first, was read.
    fn other(&mut self, key: Key, value: &[u8]) -> Result<Result<(), Malformed>, KeepError> {
        let table = key.table();
        let mut id = Reader::new(key.id());
        let owner = match Pseudonym::read(&mut id) {
            Ok(owner) => owner,
            Err(cause) => return Ok(Err(cause)),
        };
        let (pages, peer) = self.peers.get_mut(&owner).ok_or(KeepError::Orphan(table))?;
        let read = peer.add(self.now, table, id, value);
        if read.is_ok() {
            pages.rows.insert(key);
        }
        Ok(read)
    }
}

impl KeptPeer {
    fn add(
        &mut self,
        now: Now,
        table: Table,
        mut id: Reader<'_>,
        value: &[u8],
    ) -> Result<(), Malformed> {
        match table {
            Table::Outbox => {
                let place = (read_class(&mut id)?, id.u64()?);
                self.kept.rows.push(decode_message(now, place, value)?);
            }
            Table::Inbox => self.kept.marks.push(decode_mark(read_class(&mut id)?, value)?),
            Table::Commands => {
                let (channel, row) = decode_issued(read_id(&mut id)?, value)?;
                self.kept.issued.push(IssuedCommand { channel, row });
            }
            Table::Results => {
                let (channel, row) = decode_executed(read_id(&mut id)?, value)?;
                self.kept.executed.push(ExecutedCommand { channel, row });
            }
            // A table of a later version, or one that has no owner.
            _ => return Err(Malformed::Value("table")),
        }
        id.end()
    }
}
