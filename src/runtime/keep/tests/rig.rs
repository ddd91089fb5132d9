//! Stores that tests look into, hold up and break, and batches to put there.

use std::future::poll_fn;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use zeroize::Zeroizing;

use crate::channel::ChannelName;
use crate::crypto::StoreKey;
use crate::delivery::outbox::{Change as OutboxChange, Doubt, Fresh, Row};
use crate::ids::PeerId;
use crate::link::tests::pair::epoch;
use crate::link::{About, Batch, MessageId, Token};
use crate::priority::Class;
use crate::runtime::keep::commits::Patience;
use crate::runtime::keep::ledger::Restored;
use crate::runtime::keep::{KeepError, Keeper, LinkKeep};
use crate::store::{Change, Key, MemoryStore, Store, StoreError};
use crate::time::{Instant, Now, UnixTime};

/// A store that outlives its keeper.
#[derive(Clone, Default)]
pub(super) struct Shared(Arc<Mutex<MemoryStore>>);

impl Shared {
    pub(super) fn rows(&self) -> Vec<(Key, Vec<u8>)> {
        self.0.lock().unwrap().load().unwrap()
    }

    pub(super) fn put(&self, key: Key, value: Vec<u8>) {
        self.0.lock().unwrap().commit(&[Change::Put(key, value)]).unwrap();
    }
}

impl Store for Shared {
    fn load(&mut self) -> Result<Vec<(Key, Vec<u8>)>, StoreError> {
        Ok(self.rows())
    }

    fn commit(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        self.0.lock().unwrap().commit(changes)
    }
}

/// A store of which each commit waits for a word: whether the disk has room.
pub(super) struct Gated {
    pub(super) rows: Shared,
    begun: Sender<usize>,
    words: Receiver<Room>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Room {
    Enough,
    None,
}

/// The other end of a [`Gated`] store.
pub(super) struct Gate {
    pub(super) rows: Shared,
    begun: Receiver<usize>,
    words: Sender<Room>,
}

pub(super) fn gated() -> (Gated, Gate) {
    let rows = Shared::default();
    let (begun, told) = channel();
    let (words, heard) = channel();
    let store = Gated { rows: rows.clone(), begun, words: heard };
    (store, Gate { rows, begun: told, words })
}

impl Gate {
    /// Waits until a commit has begun; returns its changes.
    pub(super) fn wait(&self) -> usize {
        self.begun.recv_timeout(Duration::from_secs(10)).expect("a commit begins")
    }

    /// Waits until the store is dropped.
    pub(super) fn is_over(&self) -> bool {
        let end = self.begun.recv_timeout(Duration::from_secs(10));
        end == Err(std::sync::mpsc::RecvTimeoutError::Disconnected)
    }

    pub(super) fn say(&self, room: Room) {
        self.words.send(room).expect("the store is open");
    }
}

impl Store for Gated {
    fn load(&mut self) -> Result<Vec<(Key, Vec<u8>)>, StoreError> {
        self.rows.load()
    }

    fn commit(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        let _ = self.begun.send(changes.len());
        match self.words.recv() {
            Ok(Room::Enough) => self.rows.commit(changes),
            _ => Err(StoreError::Full(std::io::ErrorKind::StorageFull.into())),
        }
    }
}

/// A quick one: a test waits for what happens, not for a span.
pub(super) const PATIENCE: Patience =
    Patience { first: Duration::from_millis(1), longest: Duration::from_millis(2) };

pub(super) fn key(byte: u8) -> StoreKey {
    StoreKey::from_bytes(Zeroizing::new([byte; 32]))
}

pub(super) fn now() -> Now {
    Now { instant: Instant::from_nanos(5_000_000_000), unix: UnixTime::from_secs(1_800_000_000) }
}

pub(super) async fn open(store: impl Store) -> (Keeper, Restored) {
    try_open(store, &key(1)).await.unwrap()
}

pub(super) async fn try_open(
    store: impl Store,
    key: &StoreKey,
) -> Result<(Keeper, Restored), KeepError> {
    Keeper::open_at(store, key, now(), PATIENCE).await
}

pub(super) fn peer(number: u64) -> PeerId {
    PeerId::new(format!("edge-{number}")).unwrap()
}

pub(super) fn link(keeper: &Keeper, number: u64) -> LinkKeep {
    keeper.link(&peer(number), epoch(2 * number + 1), epoch(2 * number + 2))
}

/// A batch with one message of that number.
pub(super) fn batch(number: u64, content: impl Into<Bytes>) -> Batch {
    let row = Row { class: Class::Normal, number, message: message(number, content) };
    Batch {
        number,
        outbox: vec![OutboxChange::Put(row)],
        inbox: Vec::new(),
        issued: Vec::new(),
        executed: Vec::new(),
    }
}

pub(super) fn message(id: u64, content: impl Into<Bytes>) -> Fresh<Token> {
    let about = About::Event(ChannelName::new("agent.edge-7.threats").unwrap());
    let token = Token { id: MessageId(id), about };
    Fresh { content: content.into(), expires: None, doubt: Doubt::SendAgain, token }
}

pub(super) async fn stored(keep: &mut LinkKeep) -> Result<u64, Arc<KeepError>> {
    let polled = poll_fn(|cx| keep.poll_stored(cx));
    tokio::time::timeout(Duration::from_secs(10), polled).await.expect("a word of the store")
}
