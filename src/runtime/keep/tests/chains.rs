//! Chains of handshakes in a store, at both ends.

use super::rig::{Gate, Room, Shared, gated, key, open};
use crate::error::{Error, ErrorKind};
use crate::runtime::clock::Clock;
use crate::runtime::keep::ledger::Restored;
use crate::runtime::keep::{Committer, Keeper};
use crate::runtime::{Acceptor, Connection, Dialer, ListenerOptions};
use crate::session::tests::rig::{agent_config, backend_config};
use crate::session::{Config, Continuity, Source};
use crate::store::Table;
use crate::transport::memory::{Memory, pair};

/// proto-spec [C-1], [C-8]: a chain outlives both processes, also where it is required.
#[tokio::test]
async fn a_restart_of_both_sides_continues_the_chain() {
    let stores = [Shared::default(), Shared::default()];
    for resumed in [false, true, true] {
        let (near, agent) = reopen(&stores[0]).await;
        let (far, backend) = reopen(&stores[1]).await;
        let dialer = dialer(&near, agent);
        let acceptor = acceptor(&far, backend);
        let (mut dialled, mut accepted) = link(&dialer, &acceptor).await;
        assert_eq!(dialled.session().is_resumed(), resumed);
        // The first record of the dialer confirms its chain at the acceptor.
        dialled.send(b"hello").await.unwrap();
        assert_eq!(accepted.recv().await.unwrap().unwrap(), b"hello"[..]);
        drop((dialer, acceptor, dialled, accepted));
        near.close().await.unwrap();
        far.close().await.unwrap();
        for store in &stores {
            let tables: Vec<_> = store.rows().iter().map(|(key, _)| key.table()).collect();
            assert_eq!(tables, [Table::Chain]);
        }
    }
}

/// A process that lost its store is a clone, or one that must be let in again: never taken silently.
#[tokio::test]
async fn a_dialer_that_lost_its_store_is_refused_where_chains_are_required() {
    let (near, agent) = reopen(&Shared::default()).await;
    let (far, backend) = reopen(&Shared::default()).await;
    let acceptor = acceptor(&far, backend);
    link(&dialer(&near, agent), &acceptor).await;
    let (near, agent) = reopen(&Shared::default()).await;
    let (dialled, accepted) = both(&dialer(&near, agent), &acceptor).await;
    assert!(dialled.is_err());
    assert_eq!(accepted.unwrap_err().kind(), ErrorKind::Handshake);
}

/// proto-spec [C-1]: nothing moves the peer's chain before this side's is stored.
#[tokio::test]
async fn a_dialer_whose_disk_is_full_sends_no_finish() {
    let (store, gate) = gated();
    let (near, agent) = open(store).await;
    let (far, backend) = reopen(&Shared::default()).await;
    let (dialer, acceptor) = (dialer(&near, agent), acceptor(&far, backend));
    gate.say(Room::None);
    let (dialled, accepted) = both(&dialer, &acceptor).await;
    assert_eq!(dialled.unwrap_err().kind(), ErrorKind::Store);
    assert_eq!(accepted.unwrap_err().kind(), ErrorKind::Detached);
    assert!(gate.rows.rows().is_empty());
    // With room, the same dialer goes on: once before FINISH, once after ACCEPT.
    retried(&gate, &dialer, &acceptor).await;
}

/// The acceptor sends no ACCEPT that it would not remember.
#[tokio::test]
async fn an_acceptor_whose_disk_is_full_accepts_nobody() {
    let (store, gate) = gated();
    let (near, agent) = reopen(&Shared::default()).await;
    let (far, backend) = open(store).await;
    let (dialer, acceptor) = (dialer(&near, agent), acceptor(&far, backend));
    gate.say(Room::None);
    let (dialled, accepted) = both(&dialer, &acceptor).await;
    assert_eq!(dialled.unwrap_err().kind(), ErrorKind::Detached);
    assert_eq!(accepted.unwrap_err().kind(), ErrorKind::Store);
    assert!(gate.rows.rows().is_empty());
    retried(&gate, &dialer, &acceptor).await;
}

/// The disk has room again: the next handshake works, and continues what the one before left.
async fn retried(gate: &Gate, dialer: &Dialer, acceptor: &Acceptor) {
    (0..4).for_each(|_| gate.say(Room::Enough));
    let (dialled, accepted) = tries(dialer, acceptor).await;
    assert_eq!(dialled.session().is_resumed(), accepted.session().is_resumed());
    assert_eq!(gate.rows.rows().len(), 1);
}

/// Handshakes until one works: the store is not tried again at once.
async fn tries(dialer: &Dialer, acceptor: &Acceptor) -> (Connection<Memory>, Connection<Memory>) {
    for _ in 0..200 {
        if let (Ok(dialled), Ok(accepted)) = both(dialer, acceptor).await {
            return (dialled, accepted);
        }
    }
    panic!("no handshake works any more");
}

async fn reopen(store: &Shared) -> (Keeper, Restored) {
    Keeper::open(store.clone(), Committer::Thread, &key(1), Clock::new()).await.unwrap()
}

fn dialer(keeper: &Keeper, restored: Restored) -> Dialer {
    let config: Config = agent_config().with_continuity(Continuity::Require);
    Dialer::new(config).with_keeper(restored.dialled, keeper.clone())
}

fn acceptor(keeper: &Keeper, restored: Restored) -> Acceptor {
    let config = backend_config().with_continuity(Continuity::Require);
    let options = ListenerOptions::default();
    Acceptor::with_keeper(config, &options, restored.answered, keeper.clone(), Clock::new())
        .unwrap()
}

async fn link(dialer: &Dialer, acceptor: &Acceptor) -> (Connection<Memory>, Connection<Memory>) {
    let (dialled, accepted) = both(dialer, acceptor).await;
    (dialled.unwrap(), accepted.unwrap())
}

async fn both(
    dialer: &Dialer,
    acceptor: &Acceptor,
) -> (Result<Connection<Memory>, Error>, Result<Connection<Memory>, Error>) {
    let (near, far) = pair();
    let place = acceptor.reserve(Source::LOCAL).unwrap();
    tokio::join!(dialer.connect(near), place.accept(far))
}
