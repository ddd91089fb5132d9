//! Which messages of one peer arrived, which were handled, and what the peer is told of it. A number is
//! handled once, as long as this store lives. Knows no content and no frame.
//!
//! HANDLED is said when the handler is done and, with a store, when the mark is on disk; a RESUME says
//! the same. RECEIVED is said of what this process holds, and nothing rests on it but the peer's timers.
//!
//! Memory, for each class: 32 bytes for each of [`INBOX_MESSAGES`](crate::limits::INBOX_MESSAGES) that
//! handlers work on, and three sets of numbers. `arrived` has at most
//! [`INBOX_RANGES`](crate::limits::INBOX_RANGES) gaps; `handled` and `safe` have those and one for each
//! message that is held: 16 bytes each. Refusals are kept until the peer says VOID of their numbers: about
//! 20 bytes each, [`INBOX_VERDICTS`](crate::limits::INBOX_VERDICTS) and what was held beside them.

use std::collections::VecDeque;

use super::lane::{Lane, Standing};
use super::per_class::PerClass;
use super::ranges::Numbers;
use super::word::{Durability, Epoch, Lie, Ticket, Verdict};
use crate::limits::NUMBER_MAX;
use crate::priority::Class;
use crate::time::Instant;
use crate::wire::message::Level;

pub(crate) use super::lane::ContentHash;

/// The messages of one peer.
#[derive(Debug)]
pub(crate) struct Inbox {
    epoch: Epoch,
    durability: Durability,
    /// The peer's outbox that the numbers are of.
    peer: Option<Epoch>,
    /// How often that changed: a handler that is late must not mark a number of another outbox.
    life: u32,
    lanes: PerClass<Lane>,
    peer_dirty: bool,
    taken: Ticket,
    /// What may be acknowledged of a class once its batch is on disk.
    storing: VecDeque<(Ticket, Class, Numbers)>,
    /// Refusals that wait for their batch.
    refusals: VecDeque<(Ticket, Refusal)>,
    results: VecDeque<Refusal>,
}

/// A message that was new, for [`Inbox::handled`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Key {
    life: u32,
    class: Class,
    number: u64,
}

impl Key {
    pub(crate) fn class(self) -> Class {
        self.class
    }

    pub(crate) fn number(self) -> u64 {
        self.number
    }
}

/// How a message stands that arrived.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Arrival {
    /// To be handled, once.
    New(Key),
    /// It arrived before and got so far. It is acknowledged again.
    Duplicate(Level),
    /// Another message under the number of one that is not handled yet.
    Conflict,
    /// More arrived than this side remembers. It is not acknowledged; the sender sends it again.
    NoRoom,
}

/// A result to send.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Refusal {
    pub(crate) class: Class,
    pub(crate) number: u64,
    pub(crate) verdict: Verdict,
}

/// An acknowledgement to send.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Ack {
    pub(crate) class: Class,
    pub(crate) level: Level,
    /// With as many ranges as a frame holds.
    pub(crate) numbers: Numbers,
}

/// Which acknowledgements are asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Ripe {
    /// Those that are due.
    Due,
    /// All that have something to tell: a record goes anyway.
    All,
}

/// What the store is to do. A batch is done as a whole or not at all.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum InboxChange {
    /// Marks are of this outbox of the peer from here on; forget those of another.
    Peer(Epoch),
    /// What was handled of a class, instead of what the store has.
    Mark { class: Class, handled: Numbers, verdicts: Vec<(u64, Verdict)> },
}

/// Whether the peer's outbox is the one that was known.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum PeerOutbox {
    /// None was known.
    First,
    Same,
    /// It is another one. Messages of the one before may be missing.
    Reset,
}

impl Inbox {
    /// An empty inbox, born now.
    pub(crate) fn new(epoch: Epoch, durability: Durability) -> Self {
        Self {
            epoch,
            durability,
            peer: None,
            life: 0,
            lanes: PerClass::default(),
            peer_dirty: false,
            taken: Ticket::default(),
            storing: VecDeque::new(),
            refusals: VecDeque::new(),
            results: VecDeque::new(),
        }
    }

    /// Takes back what a store kept of an outbox of the peer.
    pub(crate) fn restore(
        &mut self,
        peer: Epoch,
        marks: impl IntoIterator<Item = (Class, Numbers, Vec<(u64, Verdict)>)>,
    ) {
        self.peer = Some(peer);
        for (class, handled, verdicts) in marks {
            *self.lanes.get_mut(class) = Lane::restored(handled, verdicts);
        }
    }

    pub(crate) fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The peer's outbox that the numbers are of.
    pub(crate) fn peer(&self) -> Option<Epoch> {
        self.peer
    }

    /// What a RESUME says was handled of that outbox.
    pub(crate) fn resumable(&self) -> PerClass<Numbers> {
        PerClass::from_fn(|class| self.lanes.get(class).resumable())
    }

    /// A session begins with the peer's RESUME, which names its outbox. If that is another one,
    /// everything that is known of the one before is forgotten, what was about to be said of it too.
    pub(crate) fn resume(&mut self, outbox: Epoch) -> PeerOutbox {
        let known = self.peer.replace(outbox);
        if known == Some(outbox) {
            self.repeat_results();
            return PeerOutbox::Same;
        }
        self.life = self.life.wrapping_add(1);
        self.lanes = PerClass::default();
        self.storing.clear();
        self.refusals.clear();
        self.results.clear();
        self.peer_dirty = self.durability == Durability::Durable;
        if known.is_some() { PeerOutbox::Reset } else { PeerOutbox::First }
    }

    /// The last results may be lost with the session before. They are said again, before an
    /// acknowledgement says "handled" of the same numbers.
    fn repeat_results(&mut self) {
        self.results.clear();
        for class in Class::ALL {
            let lane = self.lanes.get(class);
            let safe = lane.verdicts().filter(|(number, _)| lane.safe.contains(*number));
            let results = safe.map(|(number, verdict)| Refusal { class, number, verdict });
            self.results.extend(results);
        }
    }

    /// A numbered message arrived as a whole.
    ///
    /// # Errors
    ///
    /// [`Lie::BadNumber`] for 0, or a number above [`NUMBER_MAX`].
    pub(crate) fn receive(
        &mut self,
        now: Instant,
        class: Class,
        number: u64,
        hash: ContentHash,
    ) -> Result<Arrival, Lie> {
        checked(number, number)?;
        let lane = self.lanes.get_mut(class);
        Ok(match lane.standing(number, &hash) {
            Standing::New => {
                lane.hold(number, hash);
                lane.received_batch.add(now);
                Arrival::New(Key { life: self.life, class, number })
            }
            Standing::Held => {
                lane.received_batch.add(now);
                Arrival::Duplicate(Level::Received)
            }
            Standing::Handled(verdict) => {
                if lane.safe.contains(number) {
                    lane.handled_batch.add(now);
                    let again = verdict.map(|verdict| Refusal { class, number, verdict });
                    self.results.extend(again);
                }
                Arrival::Duplicate(Level::Handled)
            }
            Standing::Conflict => Arrival::Conflict,
            Standing::NoRoom => Arrival::NoRoom,
        })
    }

    /// The peer says that no message will have these numbers: they count as handled, so that the
    /// watermark passes them.
    ///
    /// # Errors
    ///
    /// [`Lie::BadNumber`] if they are no numbers, or in the wrong order.
    pub(crate) fn void(
        &mut self,
        now: Instant,
        class: Class,
        first: u64,
        last: u64,
    ) -> Result<(), Lie> {
        checked(first, last)?;
        let lane = self.lanes.get_mut(class);
        lane.void(first, last);
        if self.durability == Durability::Memory {
            lane.safe = lane.handled().clone();
        }
        // Also if the numbers were known: then the peer did not hear it.
        lane.handled_batch.add(now);
        Ok(())
    }

    /// The handler of a message is done. Handlers may end in any order. Returns whether it counts: not
    /// if the peer's outbox is another one by now, nor a second time.
    pub(crate) fn handled(&mut self, now: Instant, key: Key) -> bool {
        let counts = self.mark(key);
        if counts && self.durability == Durability::Memory {
            self.lanes.get_mut(key.class).handled_batch.add(now);
        }
        counts
    }

    /// A message will not be handled. It counts as handled, and the peer hears why.
    pub(crate) fn refused(&mut self, key: Key, verdict: Verdict) -> bool {
        let counts = self.mark(key);
        if counts {
            let Key { class, number, .. } = key;
            self.lanes.get_mut(class).remember(number, verdict);
            let refusal = Refusal { class, number, verdict };
            match self.durability {
                Durability::Memory => self.results.push_back(refusal),
                Durability::Durable => self.refusals.push_back((self.next_ticket(), refusal)),
            }
        }
        counts
    }

    /// Nobody works on a message any more, and it was not handled: if it arrives again, it is new. The
    /// peer sends it again in the next session.
    pub(crate) fn released(&mut self, key: Key) -> bool {
        key.life == self.life && self.lanes.get_mut(key.class).release(key.number)
    }

    fn mark(&mut self, key: Key) -> bool {
        let lane = self.lanes.get_mut(key.class);
        let counts = key.life == self.life && lane.handle(key.number);
        if counts && self.durability == Durability::Memory {
            lane.all_safe(key.number);
        }
        counts
    }

    /// The batch that the next change belongs to.
    fn next_ticket(&self) -> Ticket {
        Ticket(self.taken.0 + 1)
    }

    /// The changes since the last call, for the store. Costs the ranges of the classes that changed,
    /// however many messages were handled.
    pub(crate) fn take_changes(&mut self) -> Option<(Ticket, Vec<InboxChange>)> {
        if self.durability == Durability::Memory {
            return None;
        }
        let mut changes = Vec::new();
        if std::mem::take(&mut self.peer_dirty) {
            changes.extend(self.peer.map(InboxChange::Peer));
        }
        let ticket = self.next_ticket();
        for class in Class::ALL {
            let lane = self.lanes.get_mut(class);
            if std::mem::take(&mut lane.dirty) {
                let handled = lane.handled().clone();
                let verdicts = lane.verdicts().collect();
                changes.push(InboxChange::Mark { class, handled: handled.clone(), verdicts });
                self.storing.push_back((ticket, class, handled));
            }
        }
        if changes.is_empty() {
            return None;
        }
        self.taken = ticket;
        Some((ticket, changes))
    }

    /// A batch, and every one before it, is on disk: what it marks may be acknowledged.
    pub(crate) fn stored(&mut self, now: Instant, ticket: Ticket) {
        while self.storing.front().is_some_and(|(of, ..)| *of <= ticket) {
            let Some((_, class, handled)) = self.storing.pop_front() else { break };
            let lane = self.lanes.get_mut(class);
            lane.safe = handled;
            // One commit covers many messages already.
            lane.handled_batch.add(now);
            lane.handled_batch.hurry();
        }
        while self.refusals.front().is_some_and(|(of, _)| *of <= ticket) {
            self.results.extend(self.refusals.pop_front().map(|(_, refusal)| refusal));
        }
    }

    /// The next result to send. Results go before acknowledgements, which would say "handled" of the
    /// same number.
    pub(crate) fn poll_result(&mut self) -> Option<Refusal> {
        self.results.pop_front()
    }

    /// Whether a result waits to be sent.
    pub(crate) fn has_result(&self) -> bool {
        !self.results.is_empty()
    }

    /// The next acknowledgement to send; none before every result was taken.
    pub(crate) fn poll_ack(&mut self, now: Instant, ripe: Ripe) -> Option<Ack> {
        if !self.results.is_empty() {
            return None;
        }
        let goes = |due: Option<Instant>| due.is_some_and(|at| ripe == Ripe::All || at <= now);
        for class in Class::ALL {
            let lane = self.lanes.get_mut(class);
            if goes(lane.handled_batch.due()) {
                lane.handled_batch = Default::default();
                return Some(Ack { class, level: Level::Handled, numbers: lane.safe.head() });
            }
            if goes(lane.received_batch.due()) {
                lane.received_batch = Default::default();
                if let Some(numbers) = lane.received() {
                    return Some(Ack { class, level: Level::Received, numbers });
                }
            }
        }
        None
    }

    /// The sender of a class waits to hear of this level: nothing else came with its message. The next
    /// thing to tell goes at once.
    pub(crate) fn hurry(&mut self, class: Class, level: Level) {
        let lane = self.lanes.get_mut(class);
        match level {
            Level::Received => lane.received_batch.hurry(),
            Level::Handled => lane.handled_batch.hurry(),
        }
    }

    /// When [`Self::poll_ack`] has something that is due.
    pub(crate) fn timeout(&self) -> Option<Instant> {
        let lanes = Class::ALL.into_iter().map(|class| self.lanes.get(class));
        lanes.flat_map(|lane| [lane.received_batch.due(), lane.handled_batch.due()]).flatten().min()
    }

    /// Messages of a class that handlers work on.
    pub(crate) fn held(&self, class: Class) -> usize {
        self.lanes.get(class).held()
    }
}

fn checked(first: u64, last: u64) -> Result<(), Lie> {
    if first == 0 || first > last || last > NUMBER_MAX { Err(Lie::BadNumber) } else { Ok(()) }
}

#[cfg(test)]
mod tests;
