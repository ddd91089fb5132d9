//! Two real links, each with a store, over sessions and restarts.

use bytes::BytesMut;

use super::rig::{Shared, now, open, stored};
use crate::delivery::credit::Amount;
use crate::delivery::word::Durability;
use crate::link::tests::pair::{Parties, all, channel, epoch, numbered, who};
use crate::link::{Config, Delivery, Event, Fate, Link};
use crate::runtime::keep::{Keeper, LinkKeep};
use crate::store::{Store, Table};
use crate::time::Now;

#[tokio::test]
async fn a_restart_of_both_sides_delivers_what_was_not_handled_once() {
    let stores = [Shared::default(), Shared::default()];
    restart(stores.clone(), |_| ()).await;
    let tables =
        |store: &Shared| store.rows().iter().map(|(key, _)| key.table()).collect::<Vec<_>>();
    assert_eq!(tables(&stores[0]), [Table::Origin], "every message was handled");
    assert_eq!(tables(&stores[1]), [Table::Origin, Table::Inbox]);
}

#[cfg(feature = "store-redb")]
#[tokio::test]
async fn a_restart_over_files_delivers_what_was_not_handled_once() {
    let folder = tempfile::tempdir().unwrap();
    let paths = ["agent", "backend"].map(|side| folder.path().join(side));
    let stores = paths.clone().map(File);
    let look = |when: When| {
        let file = std::fs::read(&paths[0]).unwrap();
        let has = |plain: &[u8]| file.windows(plain.len()).any(|window| window == plain);
        // The file is the one that is meant: it names the tables.
        assert!(has(b"waxwire rows"), "{when:?}");
        for plain in [&b"marker"[..], b"threats", b"agent", b"backend"] {
            assert!(!has(plain), "{when:?}: {}", plain.escape_ascii());
        }
    };
    restart(stores, look).await;
}

#[derive(Clone, Copy, Debug)]
enum When {
    Waiting,
    Handled,
}

/// Opens a file anew in each life.
#[cfg(feature = "store-redb")]
#[derive(Clone)]
struct File(std::path::PathBuf);

/// What can be opened more than once, one after the other.
trait Place: Clone {
    fn store(&self) -> impl Store;
}

impl Place for Shared {
    fn store(&self) -> impl Store {
        self.clone()
    }
}

#[cfg(feature = "store-redb")]
impl Place for File {
    fn store(&self) -> impl Store {
        crate::store::RedbStore::open(&self.0).unwrap()
    }
}

/// Three messages, of which one is handled before both processes end.
async fn restart<P: Place>(places: [P; 2], look: impl Fn(When)) {
    let parties = Parties::new();
    let mut sides = [Side::born(0, &places[0]).await, Side::born(1, &places[1]).await];
    for text in ["marker 1", "marker 2", "marker 3"] {
        sides[0].publish(text);
    }
    attach(&parties, &mut sides);
    settle(&mut sides).await;
    let arrived = sides[1].messages();
    assert_eq!(payloads(&arrived), ["marker 1", "marker 2", "marker 3"]);
    sides[1].handled(&arrived[0]);
    settle(&mut sides).await;
    let handled = sides[0].events().iter().filter(|it| is_handled(it)).count();
    assert_eq!(handled, 1);

    let [agent, backend] = sides;
    agent.end().await;
    backend.end().await;
    look(When::Waiting);

    let mut sides = [Side::reborn(0, &places[0]).await, Side::reborn(1, &places[1]).await];
    assert_eq!(sides[0].link.load().0, 2);
    attach(&parties, &mut sides);
    settle(&mut sides).await;
    let arrived = sides[1].messages();
    assert_eq!(payloads(&arrived), ["marker 2", "marker 3"], "the handled one does not come again");
    arrived.iter().for_each(|message| sides[1].handled(message));
    // A new message goes under a number of its own.
    sides[0].publish("marker 4");
    settle(&mut sides).await;
    let arrived = sides[1].messages();
    assert_eq!(payloads(&arrived), ["marker 4"]);
    sides[1].handled(&arrived[0]);
    settle(&mut sides).await;
    let handled = sides[0].events().iter().filter(|it| is_handled(it)).count();
    assert_eq!(handled, 3);
    assert_eq!(sides[0].link.load().0, 0);

    let [agent, backend] = sides;
    agent.end().await;
    backend.end().await;
    look(When::Handled);

    // And once more, with nothing left to do.
    let mut sides = [Side::reborn(0, &places[0]).await, Side::reborn(1, &places[1]).await];
    attach(&parties, &mut sides);
    settle(&mut sides).await;
    assert!(sides[1].messages().is_empty());
    let [agent, backend] = sides;
    agent.end().await;
    backend.end().await;
}

/// A link, driven as its driver does.
struct Side {
    link: Link,
    keep: LinkKeep,
    keeper: Keeper,
    now: Now,
}

impl Side {
    async fn born(side: usize, place: &impl Place) -> Self {
        let (keeper, restored) = open(place.store()).await;
        assert!(restored.peers.is_empty());
        let number = 10 + 2 * side as u64;
        let (outbox, inbox) = (epoch(number), epoch(number + 1));
        let keep = keeper.link(&who(1 - side).id, outbox, inbox);
        Self::subscribed(side, Link::new(config(side), outbox, inbox, 7), keep, keeper)
    }

    async fn reborn(side: usize, place: &impl Place) -> Self {
        let (keeper, restored) = open(place.store()).await;
        let [kept] = <[_; 1]>::try_from(restored.peers).unwrap();
        assert_eq!(kept.peer, who(1 - side).id);
        let keep = keeper.link(&kept.peer, kept.kept.outbox, kept.kept.inbox);
        let link = Link::restore(now(), config(side), kept.kept, 8).unwrap();
        Self::subscribed(side, link, keep, keeper)
    }

    fn subscribed(side: usize, mut link: Link, keep: LinkKeep, keeper: Keeper) -> Self {
        link.subscribe(all(side), Amount::SUBSCRIPTION_WINDOW).unwrap();
        Self { link, keep, keeper, now: now() }
    }

    fn publish(&mut self, text: &'static str) {
        let publish = numbered(channel(0, "threats"), text);
        self.link.publish(self.now, publish).unwrap();
    }

    /// Stores what changed. Returns whether something did.
    async fn sync(&mut self) -> bool {
        let Some(batch) = self.link.poll_changes() else { return false };
        self.keep.submit(self.now, batch);
        let number = stored(&mut self.keep).await.unwrap();
        self.link.stored(self.now, number);
        true
    }

    fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.link.poll_event()).collect()
    }

    fn messages(&mut self) -> Vec<Delivery> {
        let message = |event| match event {
            Event::Message(delivery) => Some(delivery),
            _ => None,
        };
        self.events().into_iter().filter_map(message).collect()
    }

    fn handled(&mut self, message: &Delivery) {
        assert!(self.link.handled(self.now, message.id));
    }

    /// The process ends; what was submitted is stored.
    async fn end(self) {
        drop((self.link, self.keep));
        self.keeper.close().await.unwrap();
    }
}

fn attach(parties: &Parties, sides: &mut [Side; 2]) {
    let now = sides[0].now;
    for (side, session) in sides.iter_mut().zip(parties.session(now)) {
        side.link.attach(now, session).unwrap();
    }
}

/// Carries records and stores changes until nothing is left of either.
async fn settle(sides: &mut [Side; 2]) {
    for _ in 0..100 {
        let mut is_quiet = true;
        for side in 0..2 {
            is_quiet &= !sides[side].sync().await;
            let now = sides[side].now;
            let mut record = BytesMut::new();
            while sides[side].link.poll_record(now, &mut record) {
                sides[1 - side].link.handle_record(now, record.split()).unwrap();
                is_quiet = false;
            }
        }
        if is_quiet {
            let due = sides.iter().filter_map(|side| side.link.poll_timeout()).min();
            // Acknowledgements wait a little for more to tell.
            let soon = now().instant.after(crate::limits::ACK_DELAY);
            let Some(due) = due.filter(|due| *due <= soon && *due > sides[0].now.instant) else {
                return;
            };
            for side in sides.iter_mut() {
                side.now.instant = due;
                side.link.handle_timeout(side.now);
            }
        }
    }
    panic!("the links never fall silent");
}

fn payloads(messages: &[Delivery]) -> Vec<&str> {
    messages.iter().map(|message| str::from_utf8(&message.payload).unwrap()).collect()
}

fn is_handled(event: &Event) -> bool {
    matches!(event, Event::Settled(_, Fate::Handled))
}

fn config(side: usize) -> Config {
    let mut config = Config::new(who(side));
    config.durability = Durability::Durable;
    config
}
