//! Messages that wait for their acknowledgement: kept from the caller's word to the peer's, whatever
//! happens to sessions in between. Knows no frame, no credit and no priority.
//!
//! ```text
//! insert ─► Unstored ─► Waiting ─► Sent ─► Received ─► settled: one Fate
//!             stored     ▲  sent    │ overdue, 3 times at most
//!                        └──────────┘
//! ```
//!
//! An attempt counts as failed if the peer was heard from after it and did not say in time that it
//! holds the message. The end of a session fails nothing: an agent that loses its network every
//! minute would else bury what it only needs to send once more.
//!
//! A number whose message was withdrawn, expired or given up is void, and the peer is told, so that
//! its watermark passes it.

mod changes;
mod leaving;
mod told;

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;

pub(crate) use self::changes::Change;
use self::changes::Changes;
use self::leaving::{Leaving, Word};
pub(crate) use self::told::{Continued, Fate, Seen};
use super::dead::{DeadLetter, DeadLetters};
pub(crate) use super::line::Doubt;
use super::line::{Entry, Line, Reach, State};
use super::per_class::PerClass;
use super::ranges::Numbers;
use super::word::{Durability, Epoch, Lie, Ticket, Verdict};
use crate::limits::{
    ACK_WAIT, NUMBER_MAX, OUTBOX_BYTES, OUTBOX_MESSAGES, OUTBOX_SPAN, SEND_ATTEMPTS,
};
use crate::priority::Class;
use crate::time::Instant;
use crate::wire::message::Level;

/// The messages to one peer. `T` is what the caller knows a message by.
#[derive(Debug)]
pub(crate) struct Outbox<T> {
    epoch: Epoch,
    durability: Durability,
    capacity: Capacity,
    /// Spreads the waits before a message is sent again.
    seed: u64,
    lines: PerClass<Line<T>>,
    messages: usize,
    bytes: usize,
    /// The peer's inbox that the messages are sent to.
    peer: Option<Epoch>,
    /// The batch in which the store learns of `peer`.
    peer_ticket: Ticket,
    attached: bool,
    ready: VecDeque<(Class, u64)>,
    unstored: VecDeque<(Ticket, Class, u64)>,
    leaving: Leaving,
    changes: Changes<T>,
    /// The last batch taken, and the last one stored.
    taken: Ticket,
    stored: Ticket,
    events: VecDeque<Event<T>>,
    dead: DeadLetters<T>,
}

/// How much an outbox holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Capacity {
    pub(crate) messages: usize,
    pub(crate) bytes: usize,
}

impl Default for Capacity {
    fn default() -> Self {
        Self { messages: OUTBOX_MESSAGES, bytes: OUTBOX_BYTES }
    }
}

/// A message as the caller hands it in.
#[derive(Clone, Debug)]
pub(crate) struct Fresh<T> {
    pub(crate) content: Bytes,
    pub(crate) expires: Option<Instant>,
    pub(crate) doubt: Doubt,
    pub(crate) token: T,
}

/// A message as a store gives it back.
#[derive(Clone, Debug)]
pub(crate) struct Row<T> {
    pub(crate) class: Class,
    pub(crate) number: u64,
    pub(crate) message: Fresh<T>,
}

/// Why a message was not taken.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Full {
    /// Too many messages.
    Messages,
    /// Too many bytes.
    Bytes,
    /// The oldest message of the class is not settled since too many numbers.
    Span,
}

/// What a store gave back is not what an outbox left there.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the stored messages are not those of an outbox")]
pub(crate) struct Foreign;

/// What is to be sent of a message.
#[derive(Debug)]
pub(crate) struct Outgoing<'a> {
    pub(crate) content: &'a Bytes,
    /// It may have been sent before.
    pub(crate) again: bool,
    /// Time to live that is left.
    pub(crate) remaining: Option<Duration>,
}

/// What the caller is told.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Event<T> {
    /// The message survives a crash of this process.
    Stored(T),
    /// The peer holds the message.
    Received(T),
    /// The message is out of the outbox.
    Settled(T, Fate),
}

impl<T: Clone> Outbox<T> {
    /// An empty outbox, born now.
    pub(crate) fn new(epoch: Epoch, durability: Durability, capacity: Capacity, seed: u64) -> Self {
        Self {
            epoch,
            durability,
            capacity,
            seed,
            lines: PerClass::from_fn(|_| Line::new(1)),
            messages: 0,
            bytes: 0,
            peer: None,
            peer_ticket: Ticket::default(),
            attached: false,
            ready: VecDeque::new(),
            unstored: VecDeque::new(),
            leaving: Leaving::default(),
            changes: Changes::new(),
            taken: Ticket::default(),
            stored: Ticket::default(),
            events: VecDeque::new(),
            dead: DeadLetters::default(),
        }
    }

    /// Takes back what a store kept: the peer's inbox, the next number of each class, and the rows,
    /// ascending in each class.
    ///
    /// # Errors
    ///
    /// [`Foreign`] if no outbox leaves such rows. Numbers that might be taken are never guessed.
    pub(crate) fn restore(
        &mut self,
        peer: Option<Epoch>,
        next: &PerClass<u64>,
        rows: impl IntoIterator<Item = Row<T>>,
    ) -> Result<(), Foreign> {
        self.peer = peer;
        for Row { class, number, message } in rows {
            let line = self.lines.get_mut(class);
            if number < line.next() || number >= *next.get(class) {
                return Err(Foreign);
            }
            line.skip_to(number)?;
            self.messages += 1;
            self.bytes += message.content.len();
            // Whether it was sent is not stored: that would cost a write for each message.
            let reach = if peer.is_some() { Reach::Peer } else { Reach::Nowhere };
            line.push(entry(message, reach, State::Waiting));
        }
        for class in Class::ALL {
            let (line, next) = (self.lines.get_mut(class), *next.get(class));
            if next > NUMBER_MAX {
                return Err(Foreign);
            }
            line.skip_to(next.max(1))?;
            line.trim();
            line.keep_taken(line.next() - 1);
            if peer.is_some() {
                line.raise(line.next() - 1);
            }
        }
        Ok(())
    }

    pub(crate) fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Messages and bytes that are not settled.
    pub(crate) fn load(&self) -> (usize, usize) {
        (self.messages, self.bytes)
    }

    /// Whether [`Self::insert`] would take a message of so many bytes.
    ///
    /// # Errors
    ///
    /// [`Full`].
    pub(crate) fn check_room(&self, class: Class, length: usize) -> Result<(), Full> {
        let line = self.lines.get(class);
        let bytes = self.bytes.saturating_add(length);
        if self.messages >= self.capacity.messages {
            Err(Full::Messages)
        } else if self.messages > 0 && bytes > self.capacity.bytes {
            Err(Full::Bytes)
        } else if line.span() >= OUTBOX_SPAN || line.next() >= NUMBER_MAX {
            Err(Full::Span)
        } else {
            Ok(())
        }
    }

    /// Takes a message and numbers it.
    ///
    /// # Errors
    ///
    /// [`Full`], with the message. An outbox without a message takes one of any size.
    pub(crate) fn insert(
        &mut self,
        class: Class,
        message: Fresh<T>,
    ) -> Result<u64, (Full, Fresh<T>)> {
        if let Err(full) = self.check_room(class, message.content.len()) {
            return Err((full, message));
        }
        let line = self.lines.get_mut(class);
        self.messages += 1;
        self.bytes = self.bytes.saturating_add(message.content.len());
        let number = line.next();
        match self.durability {
            Durability::Memory => {
                line.push(entry(message, Reach::Nowhere, State::Waiting));
                line.keep_taken(number);
                if self.attached {
                    self.ready.push_back((class, number));
                }
            }
            Durability::Durable => {
                line.push(entry(message.clone(), Reach::Nowhere, State::Unstored));
                self.unstored.push_back((self.next_ticket(), class, number));
                self.changes.push(Change::Put(Row { class, number, message }));
            }
        }
        Ok(number)
    }

    /// The batch that the next change belongs to.
    fn next_ticket(&self) -> Ticket {
        Ticket(self.taken.0 + 1)
    }

    /// The changes since the last call, for the store.
    pub(crate) fn take_changes(&mut self) -> Option<(Ticket, Vec<Change<T>>)> {
        if self.changes.is_empty() {
            return None;
        }
        self.taken = self.next_ticket();
        Some((self.taken, self.changes.take()))
    }

    /// A batch, and every one before it, is on disk.
    pub(crate) fn stored(&mut self, ticket: Ticket) {
        self.stored = self.stored.max(ticket.min(self.taken));
        while let Some((ticket, class, number)) = self.unstored.front().copied()
            && ticket <= self.stored
        {
            self.unstored.pop_front();
            let line = self.lines.get_mut(class);
            line.keep_taken(number);
            let Some(entry) = line.get_mut(number) else { continue };
            entry.state = State::Waiting;
            self.events.push_back(Event::Stored(entry.token.clone()));
            if self.attached {
                self.ready.push_back((class, number));
            }
        }
        for (class, number, word) in self.leaving.stored(self.stored) {
            match word {
                Word::Void => self.lines.get_mut(class).void(number),
                Word::Learnt => self.lines.get_mut(class).learn(number),
            }
        }
    }

    /// The next message that may be queued for sending. In a class they come in the order of their
    /// numbers, those that are sent again aside.
    pub(crate) fn poll_ready(&mut self) -> Option<(Class, u64)> {
        if !self.may_send() {
            return None;
        }
        while let Some((class, number)) = self.ready.pop_front() {
            if self.lines.get(class).get(number).is_some_and(|entry| entry.state == State::Waiting)
            {
                return Some((class, number));
            }
        }
        None
    }

    /// Whether [`Self::poll_ready`] or [`Self::poll_void`] may have something.
    pub(crate) fn has_word(&self) -> bool {
        let has_void = || Class::ALL.iter().any(|class| self.lines.get(*class).has_void());
        self.may_send() && (!self.ready.is_empty() || has_void())
    }

    /// Before the store knows whom messages are sent to, none may go: after a crash nobody would know
    /// that an inbox lost since may have handled them.
    fn may_send(&self) -> bool {
        self.attached && self.peer_ticket <= self.stored
    }

    /// The next span of numbers that the peer is to be told to be void.
    pub(crate) fn poll_void(&mut self, now: Instant) -> Option<(Class, u64, u64)> {
        if !self.may_send() {
            return None;
        }
        Class::ALL.into_iter().find_map(|class| {
            let (first, last) = self.lines.get_mut(class).tell_void(now)?;
            Some((class, first, last))
        })
    }

    /// What is to be sent of a message, or `None` if it is not to be sent (any more).
    pub(crate) fn outgoing(
        &mut self,
        now: Instant,
        class: Class,
        number: u64,
    ) -> Option<Outgoing<'_>> {
        if !self.may_send() {
            return None;
        }
        let entry = self.lines.get(class).get(number)?;
        if entry.expires.is_some_and(|at| at <= now) {
            self.expire(class, number);
            return None;
        }
        let entry = self.lines.get(class).get(number)?;
        (entry.state == State::Waiting).then_some(Outgoing {
            content: &entry.content,
            again: entry.reach != Reach::Nowhere,
            remaining: entry.expires.map(|at| at.since(now)),
        })
    }

    /// The first piece of a message was sealed, which is finished from here on while the session lasts.
    pub(crate) fn begun(&mut self, class: Class, number: u64) {
        self.lines.get_mut(class).begun(number);
    }

    /// The last piece of a message was sealed.
    pub(crate) fn sent(&mut self, now: Instant, class: Class, number: u64) {
        self.lines.get_mut(class).sent(number, now, self.seed);
    }

    /// The peer says how far it has come with these numbers.
    ///
    /// # Errors
    ///
    /// [`Lie::AckForUnsent`] if it was not sent one of them.
    pub(crate) fn on_ack(
        &mut self,
        class: Class,
        level: Level,
        numbers: &Numbers,
    ) -> Result<(), Lie> {
        let line = self.lines.get_mut(class);
        match level {
            Level::Received => line.receive(numbers, |_, entry| {
                self.events.push_back(Event::Received(entry.token.clone()));
            }),
            Level::Handled => line.settle(numbers, |number, entry| {
                self.messages -= 1;
                self.bytes -= entry.content.len();
                if self.durability == Durability::Durable {
                    self.changes.push(Change::Delete(class, number));
                }
                self.events.push_back(Event::Settled(entry.token, Fate::Handled));
            }),
        }
    }

    /// The peer says that it will not handle a message.
    ///
    /// # Errors
    ///
    /// [`Lie::ResultForUnsent`] if it was not sent that message.
    pub(crate) fn on_result(
        &mut self,
        class: Class,
        number: u64,
        verdict: Verdict,
    ) -> Result<(), Lie> {
        if let Some(entry) = self.lines.get_mut(class).settle_one(number)? {
            self.settled(class, number, entry, Fate::Refused(verdict));
        }
        if !self.leaving.learn(class, number) {
            self.lines.get_mut(class).learn(number);
        }
        Ok(())
    }

    /// Takes back a message, for an overflow policy or a caller who changed its mind.
    pub(crate) fn withdraw(&mut self, class: Class, number: u64) -> Option<(T, Bytes, Seen)> {
        let entry = self.take(class, number)?;
        let seen = seen(&entry);
        self.left(class, number, entry.content.len());
        Some((entry.token, entry.content, seen))
    }

    /// What the caller knows a message by that is not settled.
    pub(crate) fn token(&self, class: Class, number: u64) -> Option<T> {
        self.lines.get(class).get(number).map(|entry| entry.token.clone())
    }

    /// Numbers of a class that are not settled, oldest first.
    pub(crate) fn numbers(&self, class: Class) -> impl Iterator<Item = u64> + '_ {
        self.lines.get(class).numbers()
    }

    /// Acts on what is due. `heard` is when the last record of the peer arrived.
    pub(crate) fn handle_timeout(&mut self, now: Instant, heard: Instant) {
        for class in Class::ALL {
            while let Some(number) = self.lines.get_mut(class).expired(now) {
                let held = self.lines.get(class).get(number).map(|entry| entry.state);
                if self.attached && held == Some(State::Received) {
                    // The peer judges what it holds; its word is waited for.
                    self.lines.get_mut(class).judge_later(number, now.after(ACK_WAIT));
                } else {
                    self.expire(class, number);
                }
            }
            if !self.attached {
                continue;
            }
            self.lines.get_mut(class).repeat_voids(now);
            while let Some((number, at)) = self.lines.get_mut(class).overdue(now) {
                self.fail(now, heard, class, number, at);
            }
        }
    }

    fn fail(&mut self, now: Instant, heard: Instant, class: Class, number: u64, sent: Instant) {
        let line = self.lines.get_mut(class);
        if heard <= sent {
            return line.postpone(number, sent, now.after(ACK_WAIT));
        }
        let Some(entry) = line.get_mut(number) else { return };
        entry.failures += 1;
        if entry.failures < SEND_ATTEMPTS {
            entry.state = State::Waiting;
            self.ready.push_back((class, number));
        } else if let Some(entry) = self.take(class, number) {
            let letter = DeadLetter {
                class,
                number,
                token: entry.token.clone(),
                content: entry.content.clone(),
            };
            self.dead.push(letter);
            self.settled(class, number, entry, Fate::Undeliverable);
        }
    }

    /// When [`Self::handle_timeout`] has something to do.
    pub(crate) fn timeout(&self) -> Option<Instant> {
        let lines = Class::ALL.into_iter().map(|class| self.lines.get(class));
        let answers = lines.clone().filter_map(Line::answer_due).filter(|_| self.attached);
        lines.filter_map(Line::expiry_due).chain(answers).min()
    }

    pub(crate) fn poll_event(&mut self) -> Option<Event<T>> {
        self.events.pop_front()
    }

    /// Messages that the peer did not take.
    pub(crate) fn dead_letters(&mut self) -> &mut DeadLetters<T> {
        &mut self.dead
    }

    /// The session is gone. What was under way waits for [`Self::resume`].
    pub(crate) fn detach(&mut self) {
        self.attached = false;
        self.ready.clear();
    }

    /// A session begins with the peer's RESUME: the epoch of its inbox, and what that inbox handled of
    /// this outbox if it knows it. Every message that is not settled becomes ready.
    ///
    /// # Errors
    ///
    /// [`Lie::ResumeForUnsent`] if it handled a number that was not sent to it.
    pub(crate) fn resume(
        &mut self,
        inbox: Epoch,
        handled: Option<&PerClass<Numbers>>,
    ) -> Result<Continued, Lie> {
        let none = PerClass::default();
        let claims = handled.unwrap_or(&none);
        let same = self.peer == Some(inbox) && (handled.is_some() || !self.was_heard());
        let mut in_doubt = Vec::new();
        if same {
            for class in Class::ALL {
                let told = self.on_ack(class, Level::Handled, claims.get(class));
                told.map_err(|_| Lie::ResumeForUnsent)?;
            }
        } else {
            if Class::ALL.into_iter().any(|class| claims.get(class).highest() > 0) {
                return Err(Lie::ResumeForUnsent);
            }
            in_doubt = self.lose_inbox();
        }
        let first = self.peer.is_none();
        if self.peer != Some(inbox) {
            self.peer = Some(inbox);
            if self.durability == Durability::Durable {
                self.peer_ticket = self.next_ticket();
                self.changes.push(Change::Peer(inbox));
            }
        }
        let replayed = self.begin(claims);
        Ok(match (first, same) {
            (true, _) => Continued::First,
            (false, true) => Continued::Same { replayed },
            (false, false) => Continued::Lost { in_doubt },
        })
    }

    /// Whether the inbox that is known ever acknowledged something as handled.
    fn was_heard(&self) -> bool {
        Class::ALL.into_iter().any(|class| self.lines.get(class).was_heard())
    }

    /// The inbox that messages were sent to is gone: those it may have handled.
    fn lose_inbox(&mut self) -> Vec<(Class, u64)> {
        let mut in_doubt = Vec::new();
        for class in Class::ALL {
            let line = self.lines.get(class);
            let reached =
                |number: &u64| line.get(*number).is_some_and(|entry| entry.reach == Reach::Peer);
            let numbers: Vec<u64> = line.numbers().filter(reached).collect();
            for number in numbers {
                in_doubt.push((class, number));
                let surface = |entry: &Entry<T>| entry.doubt == Doubt::Surface;
                if self.lines.get(class).get(number).is_some_and(surface)
                    && let Some(entry) = self.take(class, number)
                {
                    self.settled(class, number, entry, Fate::InDoubt);
                }
            }
            self.lines.get_mut(class).forget_inbox();
        }
        in_doubt
    }

    fn begin(&mut self, handled: &PerClass<Numbers>) -> usize {
        self.attached = true;
        self.ready.clear();
        let mut replayed = 0;
        for class in Class::ALL {
            let line = self.lines.get_mut(class);
            line.begin(handled.get(class));
            self.leaving.begin(class).for_each(|number| line.hold_back(number));
            for number in line.numbers() {
                let Some(entry) = line.get(number) else { continue };
                replayed += usize::from(entry.reach != Reach::Nowhere);
                if entry.state == State::Waiting {
                    self.ready.push_back((class, number));
                }
            }
        }
        replayed
    }

    fn expire(&mut self, class: Class, number: u64) {
        if let Some(entry) = self.take(class, number) {
            let fate = Fate::Expired(seen(&entry));
            self.settled(class, number, entry, fate);
        }
    }

    /// Takes an entry out whose number becomes void.
    fn take(&mut self, class: Class, number: u64) -> Option<Entry<T>> {
        let line = self.lines.get_mut(class);
        let entry = line.take(number)?;
        if self.durability == Durability::Memory {
            line.void(number);
        }
        line.trim();
        Some(entry)
    }

    fn settled(&mut self, class: Class, number: u64, entry: Entry<T>, fate: Fate) {
        self.left(class, number, entry.content.len());
        self.events.push_back(Event::Settled(entry.token, fate));
    }

    fn left(&mut self, class: Class, number: u64, bytes: usize) {
        self.messages -= 1;
        self.bytes -= bytes;
        if self.durability == Durability::Durable {
            self.leaving.add(class, number, self.next_ticket());
            if let Some(merged) = self.changes.delete(class, number) {
                self.unstored.retain(|(_, of, number)| (*of, *number) != (class, merged));
                self.leaving.remove(class, merged);
                self.lines.get_mut(class).void(merged);
            }
        }
    }
}

fn entry<T>(message: Fresh<T>, reach: Reach, state: State) -> Entry<T> {
    let Fresh { content, expires, doubt, token } = message;
    Entry { content, token, expires, doubt, failures: 0, reach, state }
}

fn seen<T>(entry: &Entry<T>) -> Seen {
    if entry.reach == Reach::Nowhere { Seen::Never } else { Seen::Perhaps }
}

#[cfg(test)]
mod tests;
