//! Both sides together, through sessions, stores and crashes.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use proptest::prelude::*;

use super::super::inbox::{Ack, Arrival, InboxChange, Key, Ripe};
use super::super::outbox::{Capacity, Change, Doubt, Event, Fate, Fresh, Row};
use super::super::word::{Durability, Ticket};
use super::*;
use crate::time::Instant;

const CLASSES: [Class; 2] = [Class::Critical, Class::Low];

#[test]
fn two_sides_that_never_met_have_a_first_contact() {
    let (mut one, mut two) = (Party::new(1, Durability::Memory), Party::new(2, Durability::Memory));
    let first = one.hear(&two.greet());
    assert_eq!(first.outcome, Outcome::FirstContact);
    assert_eq!(first.peer_outbox, PeerOutbox::First);
    two.hear(&one.greet());
    one.outbox.detach();
    let again = one.hear(&two.greet());
    assert_eq!(again.outcome, Outcome::Resumed { replayed: 0 });
    assert_eq!(again.peer_outbox, PeerOutbox::Same);
}

#[test]
fn a_peer_that_lost_its_memory_is_found_out_on_both_ways() {
    let (mut one, mut two) = (Party::new(1, Durability::Memory), Party::new(2, Durability::Memory));
    one.hear(&two.greet());
    two.hear(&one.greet());
    one.submit(Class::Low, 5);
    one.outbox.sent(Instant::default(), Class::Low, 1);
    two.crash();
    let resumption = one.hear(&two.greet());
    assert_eq!(resumption.outcome, Outcome::PeerStateLost { in_doubt: vec![(Class::Low, 1)] });
    assert_eq!(resumption.peer_outbox, PeerOutbox::Reset);
}

#[test]
fn marks_about_an_outbox_that_is_gone_settle_nothing() {
    let mut one = Party::new(1, Durability::Memory);
    let two = Party::new(2, Durability::Memory);
    one.hear(&two.greet());
    one.submit(Class::Low, 5);
    one.outbox.sent(Instant::default(), Class::Low, 1);
    let mut handled: PerClass<Numbers> = PerClass::default();
    handled.get_mut(Class::Low).insert(1);
    let greeting = Resume { known: Some(epoch(77, 0)), handled, ..two.greet() };
    assert_eq!(one.hear(&greeting).outcome, Outcome::Resumed { replayed: 1 });
    let about_us = Resume { known: Some(one.outbox.epoch()), ..greeting };
    assert_eq!(one.hear(&about_us).outcome, Outcome::Resumed { replayed: 0 });
}

#[test]
fn a_resume_with_our_own_epochs_is_a_lie() {
    let mut one = Party::new(1, Durability::Memory);
    let own = one.greet();
    let other = Party::new(2, Durability::Memory).greet();
    for theirs in [
        own.clone(),
        Resume { inbox: own.inbox, ..other.clone() },
        Resume { outbox: own.inbox, ..other },
    ] {
        let told = resumption(&mut one.outbox, &mut one.inbox, &theirs);
        assert_eq!(told, Err(Lie::ResumeReflected));
    }
}

proptest! {
    #[test]
    fn durable_sides_handle_each_message_once(steps in steps()) {
        let mut world = World::new(Durability::Durable);
        steps.iter().for_each(|(step, choice)| world.step(*step, *choice));
        world.heal();
        for (message, effects) in &world.effects {
            prop_assert!(*effects <= 1, "{} took effect {} times", message, effects);
        }
        for (message, accepted) in &world.accepted {
            let happened = world.effects.contains_key(message);
            prop_assert!(!accepted || happened, "{} was stored and did nothing", message);
        }
        prop_assert_eq!(world.one.outbox.load(), (0, 0));
        for class in CLASSES {
            let resumable = world.two.inbox.resumable();
            let top = world.next.get(&class).copied().unwrap_or(1) - 1;
            prop_assert_eq!(resumable.get(class).through(), top);
        }
    }

    #[test]
    fn sides_without_a_disk_handle_nothing_twice_in_silence(steps in steps()) {
        let mut world = World::new(Durability::Memory);
        steps.iter().for_each(|(step, choice)| world.step(*step, *choice));
        world.heal();
        for (message, effects) in &world.effects {
            let doubted = world.doubted.contains(message);
            prop_assert!(*effects <= 1 || doubted, "{} took effect {} times", message, effects);
        }
        for message in &world.confirmed {
            prop_assert!(world.effects.contains_key(message), "{} was confirmed and lost", message);
        }
        prop_assert_eq!(world.one.outbox.load(), (0, 0));
    }
}

fn steps() -> impl Strategy<Value = Vec<(u8, usize)>> {
    prop::collection::vec((0u8..40, 0usize..8), 0..300)
}

fn epoch(party: u8, life: u8) -> Epoch {
    let mut bytes = [party; 16];
    bytes[15] = life;
    Epoch::from_bytes(bytes).unwrap()
}

/// What a store keeps.
#[derive(Clone, Default)]
struct Disk {
    peer_inbox: Option<Epoch>,
    next: BTreeMap<Class, u64>,
    rows: BTreeMap<(Class, u64), Fresh<u32>>,
    peer_outbox: Option<Epoch>,
    marks: BTreeMap<Class, Numbers>,
}

enum Batch {
    Out(Ticket, Vec<Change<u32>>),
    /// With the effects that are committed together with the marks.
    In(Ticket, Vec<InboxChange>, Vec<u32>),
}

struct Party {
    name: u8,
    life: u8,
    durability: Durability,
    outbox: Outbox<u32>,
    inbox: Inbox,
    disk: Disk,
    queue: VecDeque<Batch>,
    working: Vec<(Key, u32)>,
    effects: Vec<u32>,
}

impl Party {
    fn new(name: u8, durability: Durability) -> Self {
        Self {
            name,
            life: 0,
            durability,
            outbox: Outbox::new(epoch(name, 0), durability, Capacity::default(), 0),
            inbox: Inbox::new(epoch(name + 100, 0), durability),
            disk: Disk::default(),
            queue: VecDeque::new(),
            working: Vec::new(),
            effects: Vec::new(),
        }
    }

    fn greet(&self) -> Resume {
        greeting(&self.outbox, &self.inbox)
    }

    fn hear(&mut self, theirs: &Resume) -> Resumption {
        resumption(&mut self.outbox, &mut self.inbox, theirs).unwrap()
    }

    fn submit(&mut self, class: Class, message: u32) -> u64 {
        let content = Bytes::copy_from_slice(&message.to_be_bytes());
        let fresh = Fresh { content, expires: None, doubt: Doubt::SendAgain, token: message };
        self.outbox.insert(class, fresh).unwrap()
    }

    /// Hands the store what changed.
    fn gather(&mut self) {
        if let Some((ticket, changes)) = self.outbox.take_changes() {
            self.queue.push_back(Batch::Out(ticket, changes));
        }
        if let Some((ticket, changes)) = self.inbox.take_changes() {
            let effects = std::mem::take(&mut self.effects);
            self.queue.push_back(Batch::In(ticket, changes, effects));
        }
    }

    /// The store commits its oldest batch. Returns what took effect.
    fn commit(&mut self, now: Instant) -> Vec<u32> {
        match self.queue.pop_front() {
            Some(Batch::Out(ticket, changes)) => {
                changes.into_iter().for_each(|change| self.keep(change));
                self.outbox.stored(ticket);
                Vec::new()
            }
            Some(Batch::In(ticket, changes, effects)) => {
                for change in changes {
                    match change {
                        InboxChange::Peer(peer) => {
                            self.disk.peer_outbox = Some(peer);
                            self.disk.marks.clear();
                        }
                        InboxChange::Mark { class, handled, .. } => {
                            self.disk.marks.insert(class, handled);
                        }
                    }
                }
                self.inbox.stored(now, ticket);
                effects
            }
            None => Vec::new(),
        }
    }

    fn keep(&mut self, change: Change<u32>) {
        match change {
            Change::Put(Row { class, number, message }) => {
                self.disk.next.insert(class, number + 1);
                self.disk.rows.insert((class, number), message);
            }
            Change::Delete(class, number) => _ = self.disk.rows.remove(&(class, number)),
            Change::Peer(peer) => self.disk.peer_inbox = Some(peer),
        }
    }

    fn crash(&mut self) {
        let disk = self.disk.clone();
        *self = Self { life: self.life + 1, ..Self::new(self.name, self.durability) };
        if self.durability == Durability::Memory {
            let (name, life) = (self.name, self.life);
            self.outbox = Outbox::new(epoch(name, life), self.durability, Capacity::default(), 0);
            self.inbox = Inbox::new(epoch(name + 100, life), self.durability);
            return;
        }
        let next = PerClass::from_fn(|class| disk.next.get(&class).copied().unwrap_or(1));
        let rows = disk.rows.clone().into_iter();
        let rows = rows.map(|((class, number), message)| Row { class, number, message });
        self.outbox.restore(disk.peer_inbox, &next, rows).unwrap();
        if let Some(peer) = disk.peer_outbox {
            let marks = disk.marks.clone().into_iter();
            self.inbox.restore(peer, marks.map(|(class, handled)| (class, handled, Vec::new())));
        }
        self.disk = disk;
    }
}

#[derive(Clone)]
enum Frame {
    Message(Class, u64, u32),
    Void(Class, u64, u64),
    Ack(Ack),
}

/// `one` sends to `two`, over a network that loses, repeats and reorders.
struct World {
    one: Party,
    two: Party,
    up: bool,
    net: Vec<Frame>,
    now: Instant,
    messages: u32,
    /// Numbers used in each class.
    next: BTreeMap<Class, u64>,
    /// Each message, and whether its sender was told that it is stored.
    accepted: BTreeMap<u32, bool>,
    effects: BTreeMap<u32, u32>,
    confirmed: Vec<u32>,
    doubted: Vec<u32>,
}

impl World {
    fn new(durability: Durability) -> Self {
        Self {
            one: Party::new(1, durability),
            two: Party::new(2, durability),
            up: false,
            net: Vec::new(),
            now: Instant::default(),
            messages: 0,
            next: BTreeMap::new(),
            accepted: BTreeMap::new(),
            effects: BTreeMap::new(),
            confirmed: Vec::new(),
            doubted: Vec::new(),
        }
    }

    fn step(&mut self, step: u8, choice: usize) {
        match step {
            0..6 => self.submit(CLASSES[choice % 2]),
            6..12 => self.send(),
            12..19 => self.deliver(choice),
            19..23 => self.handle(choice),
            23..27 => self.acknowledge(),
            27 => self.one.gather(),
            28 => self.two.gather(),
            29..31 => _ = self.one.commit(self.now),
            31 => self.commit_two(),
            32 => self.lose(choice),
            33 => self.repeat(choice),
            34..36 => self.connect(),
            36 => self.cut(),
            37 => self.crash(choice),
            38 => self.withdraw(choice),
            _ => self.pass_time(),
        }
        self.listen();
    }

    fn submit(&mut self, class: Class) {
        self.messages += 1;
        let number = self.one.submit(class, self.messages);
        self.next.insert(class, number + 1);
        self.accepted.insert(self.messages, false);
    }

    /// Its sender changes its mind, perhaps too late.
    fn withdraw(&mut self, choice: usize) {
        let class = CLASSES[choice % 2];
        let number = self.one.outbox.numbers(class).nth(choice / 2);
        if let Some((message, ..)) =
            number.and_then(|number| self.one.outbox.withdraw(class, number))
        {
            self.accepted.remove(&message);
        }
    }

    fn send(&mut self) {
        if let Some((class, first, last)) = self.one.outbox.poll_void(self.now) {
            self.net.push(Frame::Void(class, first, last));
        } else if let Some((class, number)) = self.one.outbox.poll_ready() {
            let Some(outgoing) = self.one.outbox.outgoing(self.now, class, number) else { return };
            let message = u32::from_be_bytes(outgoing.content.as_ref().try_into().unwrap());
            self.one.outbox.sent(self.now, class, number);
            self.net.push(Frame::Message(class, number, message));
        }
    }

    fn deliver(&mut self, choice: usize) {
        if self.net.is_empty() {
            return;
        }
        match self.net.remove(choice % self.net.len()) {
            Frame::Message(class, number, message) => {
                let mut hash = [0; 16];
                hash[..4].copy_from_slice(&message.to_be_bytes());
                match self.two.inbox.receive(self.now, class, number, hash).unwrap() {
                    Arrival::New(key) => self.two.working.push((key, message)),
                    Arrival::Duplicate(_) => {}
                    other => panic!("{other:?}"),
                }
            }
            Frame::Void(class, first, last) => {
                self.two.inbox.void(self.now, class, first, last).unwrap();
            }
            Frame::Ack(ack) => {
                self.one.outbox.on_ack(ack.class, ack.level, &ack.numbers).unwrap();
            }
        }
    }

    fn handle(&mut self, choice: usize) {
        if self.two.working.is_empty() {
            return;
        }
        let (key, message) = self.two.working.remove(choice % self.two.working.len());
        let counts = self.two.inbox.handled(self.now, key);
        match self.two.durability {
            Durability::Memory => *self.effects.entry(message).or_default() += 1,
            Durability::Durable if counts => self.two.effects.push(message),
            Durability::Durable => {}
        }
    }

    fn acknowledge(&mut self) {
        if self.up {
            let next = self.two.inbox.poll_ack(self.now, Ripe::All);
            self.net.extend(next.map(Frame::Ack));
        }
    }

    fn commit_two(&mut self) {
        for message in self.two.commit(self.now) {
            *self.effects.entry(message).or_default() += 1;
        }
    }

    fn lose(&mut self, choice: usize) {
        if !self.net.is_empty() {
            self.net.remove(choice % self.net.len());
        }
    }

    fn repeat(&mut self, choice: usize) {
        if !self.net.is_empty() {
            self.net.push(self.net[choice % self.net.len()].clone());
        }
    }

    fn connect(&mut self) {
        if self.up {
            return;
        }
        self.up = true;
        let (one, two) = (self.one.greet(), self.two.greet());
        let rows: BTreeMap<_, _> = CLASSES
            .into_iter()
            .flat_map(|class| self.one.outbox.numbers(class).map(move |n| (class, n)))
            .map(|(class, n)| ((class, n), self.one.outbox.token(class, n)))
            .collect();
        if let Outcome::PeerStateLost { in_doubt } = self.one.hear(&two).outcome {
            self.doubted.extend(in_doubt.iter().filter_map(|key| rows.get(key).copied().flatten()));
        }
        self.two.hear(&one);
    }

    fn cut(&mut self) {
        self.up = false;
        self.net.clear();
        self.one.outbox.detach();
        self.two.outbox.detach();
    }

    fn crash(&mut self, choice: usize) {
        self.cut();
        if choice.is_multiple_of(2) {
            self.one.crash();
            let next = CLASSES.map(|class| (class, self.one.disk.next.get(&class).copied()));
            self.next = next.into_iter().map(|(class, next)| (class, next.unwrap_or(1))).collect();
        } else {
            self.two.crash();
        }
    }

    fn pass_time(&mut self) {
        self.now = self.now.after(crate::limits::ACK_WAIT);
        // Nothing was heard: what is lost is repaired by the next session, and nothing is buried.
        self.one.outbox.handle_timeout(self.now, Instant::default());
    }

    fn listen(&mut self) {
        while let Some(event) = self.one.outbox.poll_event() {
            match event {
                Event::Stored(message) => _ = self.accepted.insert(message, true),
                Event::Settled(message, fate) => {
                    assert_eq!(fate, Fate::Handled);
                    self.confirmed.push(message);
                }
                Event::Received(_) => {}
            }
        }
    }

    /// A new session without faults, until nothing is left to do.
    fn heal(&mut self) {
        self.cut();
        self.connect();
        for _ in 0..1_000 {
            self.one.gather();
            self.two.gather();
            _ = self.one.commit(self.now);
            self.commit_two();
            self.send();
            self.deliver(0);
            self.handle(0);
            self.acknowledge();
            self.listen();
        }
        assert!(self.net.is_empty() && self.two.working.is_empty(), "it does not come to rest");
    }
}
