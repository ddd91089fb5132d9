//! An outbox and an inbox that live, and peers that come back with any memory.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;

use super::input::Input;
use crate::delivery::inbox::{Arrival, Inbox, Key, PeerOutbox};
use crate::delivery::outbox::{Capacity, Doubt, Event, Fresh, Outbox};
use crate::delivery::per_class::PerClass;
use crate::delivery::ranges::Numbers;
use crate::delivery::resume::{Resume, greeting, resumption};
use crate::delivery::word::{Durability, Epoch};
use crate::limits::INBOX_MESSAGES;
use crate::priority::Class;
use crate::time::Instant;
use crate::wire::message::Level;

const MESSAGES: usize = 40;
const BYTES: usize = 4_000;

/// Messages go and come between one RESUME and the next; each message is settled once.
pub fn resume(data: &[u8]) {
    let mut input = Input::new(data);
    let durability = if input.u8() & 1 == 0 { Durability::Memory } else { Durability::Durable };
    let capacity = Capacity { messages: MESSAGES, bytes: BYTES };
    let mut sides = Sides {
        now: Instant::from_nanos(1),
        outbox: Outbox::new(epoch(1), durability, capacity, 7),
        inbox: Inbox::new(epoch(2), durability),
        is_durable: durability == Durability::Durable,
        taken: 0,
        waiting: BTreeSet::new(),
        held: Vec::new(),
    };
    while !input.is_empty() {
        sides.operate(&mut input);
        sides.assert_counted();
    }
}

struct Sides {
    now: Instant,
    outbox: Outbox<u64>,
    inbox: Inbox,
    is_durable: bool,
    /// Messages that the outbox took.
    taken: u64,
    /// Those of them that are not settled.
    waiting: BTreeSet<u64>,
    held: Vec<Key>,
}

impl Sides {
    fn operate(&mut self, input: &mut Input<'_>) {
        let op = input.u8();
        let class = class(op >> 6);
        match op & 0x0f {
            0 | 1 => {
                let doubt = if op & 0x10 == 0 { Doubt::SendAgain } else { Doubt::Surface };
                let content = Bytes::from(vec![0; input.u8().into()]);
                let message = Fresh { content, expires: None, doubt, token: self.taken };
                if self.outbox.insert(class, message).is_ok() {
                    self.waiting.insert(self.taken);
                    self.taken += 1;
                }
            }
            2 | 3 => {
                if let Some((class, number)) = self.outbox.poll_ready()
                    && self.outbox.outgoing(self.now, class, number).is_some()
                {
                    self.outbox.sent(self.now, class, number);
                }
            }
            4 | 5 => {
                let level = if op & 0x10 == 0 { Level::Received } else { Level::Handled };
                if let Some(numbers) = numbers(input) {
                    let _ = self.outbox.on_ack(class, level, &numbers);
                }
            }
            6 | 7 => {
                let (number, hash) = (u64::from(input.u8()), [input.u8() & 1; 16]);
                if let Ok(Arrival::New(key)) = self.inbox.receive(self.now, class, number, hash) {
                    self.held.push(key);
                }
            }
            8 => {
                if let Some(key) = self.held.pop() {
                    let counts = self.inbox.handled(self.now, key);
                    let twice = self.inbox.handled(self.now, key);
                    assert!(!counts || !twice, "a message is handled once");
                }
            }
            9 => self.outbox.detach(),
            10..=12 => self.resume(op & 0x10 != 0, input),
            13 => self.store(),
            14 => {
                self.now = self.now.after(Duration::from_millis(u64::from(input.u16())));
                self.outbox.handle_timeout(self.now, self.now);
            }
            _ => {
                if let Some((token, ..)) = self.outbox.withdraw(class, u64::from(input.u8())) {
                    assert!(self.waiting.remove(&token), "a message is settled twice");
                }
            }
        }
        while let Some(event) = self.outbox.poll_event() {
            if let Event::Settled(token, _) = event {
                assert!(self.waiting.remove(&token), "a message is settled twice");
            }
        }
        while self.inbox.poll_result().is_some() {}
    }

    fn resume(&mut self, is_fitting: bool, input: &mut Input<'_>) {
        self.outbox.detach();
        let mut handled = PerClass::default();
        for class in [Class::Critical, Class::High, Class::Normal, Class::Low] {
            let Some(numbers) = numbers(input) else { return };
            *handled.get_mut(class) = numbers;
        }
        let (outbox, inbox, known) = (input.u8() % 8, input.u8() % 8, input.u8() % 8);
        let theirs = match is_fitting {
            true => Resume { outbox: epoch(5), inbox: epoch(6), known: Some(epoch(1)), handled },
            false => {
                let known = (known > 0).then(|| epoch(known));
                Resume { outbox: epoch(outbox), inbox: epoch(inbox), known, handled }
            }
        };
        let before = (self.outbox.load(), self.inbox.peer());
        let own = greeting(&self.outbox, &self.inbox);
        assert_eq!((own.outbox, own.inbox), (epoch(1), epoch(2)), "an epoch is for life");
        match resumption(&mut self.outbox, &mut self.inbox, &theirs) {
            Ok(resumed) => {
                assert_eq!(self.inbox.peer(), Some(theirs.outbox), "the peer's outbox is known");
                let is_same = before.1 == Some(theirs.outbox);
                assert_eq!(resumed.peer_outbox == PeerOutbox::Same, is_same, "by its epoch");
                if resumed.peer_outbox == PeerOutbox::Reset {
                    let mut old = std::mem::take(&mut self.held).into_iter();
                    let counts = old.any(|key| self.inbox.handled(self.now, key));
                    assert!(!counts, "what an outbox that is gone sent counts for no other");
                }
            }
            Err(_) => assert_eq!(self.inbox.peer(), before.1, "a lie changes nothing"),
        }
        assert!(self.outbox.load().0 <= before.0.0, "a RESUME brings no message");
    }

    fn store(&mut self) {
        while let Some((ticket, _)) = self.outbox.take_changes() {
            assert!(self.is_durable, "memory stores nothing");
            self.outbox.stored(ticket);
        }
        while let Some((ticket, _)) = self.inbox.take_changes() {
            assert!(self.is_durable, "memory stores nothing");
            self.inbox.stored(self.now, ticket);
        }
    }

    fn assert_counted(&self) {
        let (messages, bytes) = self.outbox.load();
        assert_eq!(messages, self.waiting.len(), "every message is settled or waits");
        assert!(messages <= MESSAGES && bytes <= BYTES, "the outbox is bounded");
        for class in Class::ALL {
            assert!(self.inbox.held(class) <= INBOX_MESSAGES, "the inbox is bounded");
        }
    }
}

fn epoch(number: u8) -> Epoch {
    match Epoch::from_bytes([number.max(1); 16]) {
        Some(epoch) => epoch,
        None => unreachable!("it is not zero"),
    }
}

fn numbers(input: &mut Input<'_>) -> Option<Numbers> {
    let shape = input.u8();
    let through = if shape & 0x80 == 0 { u64::from(shape & 0x1f) } else { input.u64() };
    let ranges: Vec<_> = (0..shape >> 5 & 3)
        .map(|_| {
            let first = through.saturating_add(input.u8().into());
            (first, first.saturating_add(u64::from(input.u8() & 7)))
        })
        .collect();
    Numbers::from_parts(through, ranges).ok()
}

fn class(number: u8) -> Class {
    match number {
        0 => Class::Critical,
        1 => Class::High,
        2 => Class::Normal,
        _ => Class::Low,
    }
}
