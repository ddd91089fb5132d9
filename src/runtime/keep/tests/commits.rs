//! One thread for all links: what waits goes together, in order, and is tried until it is stored.

use std::future::Future;
use std::sync::Arc;
use std::task::{Context, Waker};

use super::rig::{Room, batch, gated, link, now, open, peer, stored};
use crate::delivery::outbox::Change as OutboxChange;
use crate::limits::KEEP_BATCHES;
use crate::link::Batch;
use crate::priority::Class;
use crate::runtime::keep::{KeepError, Keeper};
use crate::store::{Change, Key, Store, StoreError, Table};

#[tokio::test]
async fn what_waits_is_one_commit_of_all_links() {
    let (store, gate) = gated();
    let (keeper, _) = open(store).await;
    let mut links: Vec<_> = (0..64).map(|number| link(&keeper, number)).collect();
    links[0].submit(now(), batch(1, "first"));
    gate.wait();
    for link in &mut links[1..] {
        link.submit(now(), batch(1, "meanwhile"));
    }
    gate.say(Room::Enough);
    assert_eq!(stored(&mut links[0]).await.unwrap(), 1);
    // The origin and the message of each.
    assert_eq!(gate.wait(), 2 * 63);
    gate.say(Room::Enough);
    for link in &mut links[1..] {
        assert_eq!(stored(link).await.unwrap(), 1);
    }
    let counts = keeper.counts();
    assert_eq!((counts.commits, counts.rows, counts.failures), (2, 2 * 64, 0));
}

#[tokio::test]
async fn batches_of_a_link_are_stored_in_order() {
    let (store, gate) = gated();
    let (keeper, _) = open(store).await;
    let mut link = link(&keeper, 1);
    link.submit(now(), batch(1, "one"));
    gate.wait();
    // The second is gone again when the third comes; a row cannot outlive its removal.
    link.submit(now(), batch(2, "two"));
    link.submit(now(), removal(3, 2));
    gate.say(Room::Enough);
    assert_eq!(stored(&mut link).await.unwrap(), 1);
    gate.wait();
    gate.say(Room::Enough);
    while stored(&mut link).await.unwrap() < 3 {}
    let messages = gate.rows.rows().iter().filter(|(key, _)| key.table() == Table::Outbox).count();
    assert_eq!(messages, 1);
    keeper.close().await.unwrap();
    let (_, restored) = open(gate.rows).await;
    let kept = &restored.peers[0].kept;
    assert_eq!(kept.rows[0].number, 1);
    assert_eq!(*kept.next.get(Class::Normal), 3, "a number that was taken is never free again");
}

#[tokio::test]
async fn a_link_has_room_for_few_batches() {
    let (store, gate) = gated();
    let (keeper, _) = open(store).await;
    let mut link = link(&keeper, 1);
    for number in 1..=KEEP_BATCHES as u64 {
        assert!(link.has_room());
        link.submit(now(), batch(number, "text"));
    }
    assert!(!link.has_room());
    gate.say(Room::Enough);
    gate.say(Room::Enough);
    while stored(&mut link).await.unwrap() < KEEP_BATCHES as u64 {}
    assert!(link.has_room());
}

/// A full disk: nothing is acknowledged, one word goes to each link, and all of it is stored later.
#[tokio::test]
async fn a_full_disk_is_told_once_and_outwaited() {
    let (store, gate) = gated();
    let (keeper, _) = open(store).await;
    let (mut early, mut late) = (link(&keeper, 1), link(&keeper, 2));
    early.submit(now(), batch(1, "early"));
    for _ in 0..3 {
        gate.wait();
        gate.say(Room::None);
    }
    assert!(is_full(&stored(&mut early).await.unwrap_err()));
    assert_eq!(gate.wait(), 2);
    late.submit(now(), batch(1, "late"));
    gate.say(Room::None);
    // One that comes later hears of it too, and nobody hears of it twice.
    assert!(is_full(&stored(&mut late).await.unwrap_err()));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(early.poll_stored(&mut cx).is_pending());
    assert!(late.poll_stored(&mut cx).is_pending());
    assert!(gate.rows.rows().is_empty());
    assert_eq!(gate.wait(), 4);
    gate.say(Room::Enough);
    assert_eq!(stored(&mut early).await.unwrap(), 1);
    assert_eq!(stored(&mut late).await.unwrap(), 1);
    assert_eq!(gate.rows.rows().len(), 4);
    // The next time is another episode.
    early.submit(now(), batch(2, "again"));
    gate.wait();
    gate.say(Room::None);
    assert!(is_full(&stored(&mut early).await.unwrap_err()));
    assert_eq!(keeper.counts().commits, 1);
}

#[tokio::test]
async fn closing_waits_for_what_was_submitted() {
    let (store, gate) = gated();
    let (keeper, _) = open(store).await;
    let mut link = link(&keeper, 1);
    link.submit(now(), batch(1, "text"));
    gate.say(Room::Enough);
    // The store may find both at once, or one after the other.
    gate.say(Room::Enough);
    keeper.close().await.unwrap();
    assert_eq!(gate.rows.rows().len(), 2);
    assert_eq!(stored(&mut link).await.unwrap(), 1);
    link.submit(now(), batch(2, "too late"));
    assert!(matches!(*stored(&mut link).await.unwrap_err(), KeepError::Closed));
    assert!(matches!(*keeper.close().await.unwrap_err(), KeepError::Closed));
}

/// Nobody waits for a disk for ever when the process ends.
#[tokio::test]
async fn closing_over_a_full_disk_says_so() {
    let (store, gate) = gated();
    let (keeper, _) = open(store).await;
    let mut link = link(&keeper, 1);
    link.submit(now(), batch(1, "text"));
    gate.wait();
    let closing = close(&keeper);
    gate.say(Room::None);
    gate.wait();
    gate.say(Room::None);
    assert!(is_full(&closing.await.unwrap_err()));
    assert!(is_full(&stored(&mut link).await.unwrap_err()));
    assert!(matches!(*stored(&mut link).await.unwrap_err(), KeepError::Closed));
}

/// A store of the application's own that panics takes no link with it.
#[tokio::test]
async fn links_hear_that_a_store_is_gone() {
    let (keeper, _) = open(Panicking).await;
    let mut link = link(&keeper, 1);
    link.submit(now(), batch(1, "text"));
    assert!(matches!(*stored(&mut link).await.unwrap_err(), KeepError::Closed));
    assert!(matches!(*keeper.close().await.unwrap_err(), KeepError::Closed));
    assert!(matches!(keeper.forget(&peer(1)).await.unwrap_err(), KeepError::Closed));
}

#[tokio::test]
async fn dropping_every_handle_stores_what_was_submitted() {
    let (store, gate) = gated();
    let (keeper, _) = open(store).await;
    let mut link = link(&keeper, 1);
    link.submit(now(), batch(1, "text"));
    gate.wait();
    drop(keeper);
    gate.say(Room::Enough);
    assert_eq!(stored(&mut link).await.unwrap(), 1);
    link.submit(now(), batch(2, "more"));
    drop(link);
    assert_eq!(gate.wait(), 2);
    gate.say(Room::Enough);
    // The store is dropped with its thread.
    assert!(gate.is_over());
    assert_eq!(gate.rows.rows().len(), 3);
}

#[tokio::test]
async fn a_peer_that_is_forgotten_leaves_no_row() {
    let (store, gate) = gated();
    let (keeper, _) = open(store).await;
    let (mut gone, mut stays) = (link(&keeper, 1), link(&keeper, 2));
    (0..4).for_each(|_| gate.say(Room::Enough));
    gone.submit(now(), batch(1, "text"));
    stored(&mut gone).await.unwrap();
    stays.submit(now(), batch(1, "text"));
    stored(&mut stays).await.unwrap();
    drop(gone);
    keeper.forget(&peer(1)).await.unwrap();
    keeper.forget(&peer(9)).await.unwrap();
    keeper.close().await.unwrap();
    let (_, restored) = open(gate.rows.clone()).await;
    let peers: Vec<_> = restored.peers.iter().map(|kept| kept.peer.clone()).collect();
    assert_eq!(peers, [peer(2)]);
    assert_eq!(gate.rows.rows().len(), 2);
}

/// A link that was begun anew does not meet the numbers of the one before.
#[tokio::test]
async fn other_epochs_take_the_place_of_what_was_kept() {
    let (store, gate) = gated();
    (0..4).for_each(|_| gate.say(Room::Enough));
    let (keeper, _) = open(store).await;
    let mut before = link(&keeper, 1);
    before.submit(now(), batch(1, "old"));
    stored(&mut before).await.unwrap();
    let epochs = [7, 8].map(crate::link::tests::pair::epoch);
    let mut after = keeper.link(&peer(1), epochs[0], epochs[1]);
    after.submit(now(), batch(2, "new"));
    stored(&mut after).await.unwrap();
    keeper.close().await.unwrap();
    let (_, restored) = open(gate.rows).await;
    let kept = &restored.peers[0].kept;
    assert_eq!((kept.outbox, kept.inbox), (epochs[0], epochs[1]));
    let numbers: Vec<u64> = kept.rows.iter().map(|row| row.number).collect();
    assert_eq!(numbers, [2]);
}

struct Panicking;

impl Store for Panicking {
    fn load(&mut self) -> Result<Vec<(Key, Vec<u8>)>, StoreError> {
        Ok(Vec::new())
    }

    fn commit(&mut self, _: &[Change]) -> Result<(), StoreError> {
        panic!("a store's own mistake, as the test wants it");
    }
}

fn removal(batch: u64, number: u64) -> Batch {
    let outbox = vec![OutboxChange::Delete(Class::Normal, number)];
    Batch { number: batch, outbox, inbox: Vec::new(), issued: Vec::new(), executed: Vec::new() }
}

fn is_full(error: &Arc<KeepError>) -> bool {
    matches!(**error, KeepError::Store(StoreError::Full(_)))
}

/// A close that was asked for already.
fn close(keeper: &Keeper) -> impl Future<Output = Result<(), Arc<KeepError>>> {
    let keeper = keeper.clone();
    let mut closing = Box::pin(async move { keeper.close().await });
    let polled = closing.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert!(polled.is_pending());
    closing
}
