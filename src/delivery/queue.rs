//! What is sent next. Holds entries it cannot read, within a bound, until the one who sends says
//! that the first of a class fits. Knows no credit, channel or number.
//!
//! # Who goes first
//!
//! Control goes before everything. The other four share by bytes in rounds: in each round critical
//! may send 8 quanta of [`QUEUE_QUANTUM_BYTES`](crate::limits::QUEUE_QUANTUM_BYTES), high 4, normal 2, low 1, and the most urgent class
//! that waits and has share left goes first, whatever was sent before. So both hold:
//!
//! - **Critical first**: a critical entry that comes while critical has share left waits for no
//!   other class, not even in the midst of a message that goes in parts. Critical must have sent 8
//!   quanta in this round to wait at all.
//! - **No starvation**: the first of a class of weight `w` waits while the others send less than
//!   `2 (15 - w) quanta + 6 entries` (of at most one quantum each): what they have left in this
//!   round, and one round more. For low that is 34 quanta, 544 KiB; for a critical one less than 7
//!   quanta and 3 entries, 160 KiB, and nothing if critical kept to its share.
//!
//! Ageing: the first of a class that has waited [`QUEUE_AGE_TIME`] goes before the younger firsts of
//! the more urgent classes but critical, the oldest first, out of the share of its own class. It
//! moves within the round only, so that it costs nobody share, and the bounds above hold with it.
//!
//! When nothing but control waits, the round begins anew.
//!
//! # Order
//!
//! Entries of a class leave in the order they came, but for those set aside behind a gate: entries
//! of one class and one gate keep their order. An entry that went in part is finished before the
//! next of its class begins.
//!
//! # Cost
//!
//! An entry is set aside at most once for each gate it comes to, which one pop may do for many. With
//! this charged to the entry, `push`, `pop`, `expire`, `remove` and `replace` take time logarithmic
//! in the number of entries that expire, of keys and of gates, and constant in all else. A queue that
//! was as deep before allocates nothing, but for new keys and gates.

use std::collections::BTreeMap;

use super::entries::{Entries, List, Node, Slot, Thread};
use super::expiry::Expiry;
pub(crate) use super::lanes::Gate;
use super::lanes::Lanes;
use super::per_class::PerClass;
use super::shares::Shares;
use crate::limits::{
    QUEUE_AGE_TIME, QUEUE_BYTES, QUEUE_CONTROL_BYTES, QUEUE_CONTROL_MESSAGES, QUEUE_MESSAGES,
};
use crate::priority::Class;
use crate::time::Instant;

/// How much may wait. Low may fill 7 tenths of it, normal 8, high 9, critical all, so that each class
/// finds room that no less urgent one can take. Control has its own.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Bounds {
    pub messages: usize,
    pub bytes: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { messages: QUEUE_MESSAGES, bytes: QUEUE_BYTES }
    }
}

impl Bounds {
    fn of(self, class: Class) -> Self {
        let tenths = match class {
            Class::Control => {
                return Self { messages: QUEUE_CONTROL_MESSAGES, bytes: QUEUE_CONTROL_BYTES };
            }
            Class::Critical => 10,
            Class::High => 9,
            Class::Normal => 8,
            Class::Low => 7,
        };
        let part = |whole: usize| whole / 10 * tenths + whole % 10 * tenths / 10;
        Self { messages: part(self.messages), bytes: part(self.bytes) }
    }
}

/// What a newer entry of the same class replaces an older one by, for instance a channel.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Key(pub u32);

/// What is to wait.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Entry<T> {
    pub class: Class,
    /// What it counts in the bound and in its class's share.
    pub bytes: usize,
    /// When it must not be sent any more.
    pub expires: Option<Instant>,
    /// Under which [`Queue::latest`] finds it.
    pub key: Option<Key>,
    pub item: T,
}

/// Stands for one entry as long as it waits.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Ticket {
    slot: Slot,
    serial: u64,
}

/// Why an entry may not wait; it is given back.
#[derive(Debug, Eq, PartialEq)]
#[must_use = "the entry is in it"]
pub(crate) enum Refused<T> {
    /// There is no room now.
    Full(Entry<T>),
    /// There is never room for so many bytes.
    TooLarge(Entry<T>),
}

/// What the one who sends says of the entry whose turn it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Verdict {
    /// All that is left of it goes.
    Take,
    /// So many bytes of it go now; the rest keeps its place.
    Part(usize),
    /// Its gate has no credit: it is set aside until [`Queue::open`]. Without a gate, or if it went
    /// in part, this is [`Verdict::Skip`].
    Park,
    /// Its class goes not now, and is asked again at the next pop.
    Skip,
    /// Nothing goes now.
    Stop,
}

/// What a pop gives.
#[derive(Debug, Eq, PartialEq)]
#[must_use = "an entry that left the queue is in it"]
pub(crate) enum Popped<'a, T> {
    /// The rest of an entry, or all of it.
    Whole(Class, T),
    /// An entry of which a part goes now.
    Part(Class, &'a mut T),
    /// An entry whose time is over. It was not sent, and its sender has to learn it.
    Expired(Class, T),
}

/// What a class has waiting.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Load {
    pub messages: usize,
    pub bytes: usize,
}

/// A bounded queue of five classes.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    bounds: Bounds,
    entries: Entries<T>,
    lanes: Lanes,
    ages: PerClass<List>,
    expiry: Expiry,
    shares: Shares,
    /// Which entry of a class went in part.
    begun: PerClass<Option<Slot>>,
    latest: BTreeMap<(Class, Key), Ticket>,
    loads: PerClass<Load>,
    /// All classes but control.
    load: Load,
    serial: u64,
}

impl<T> Queue<T> {
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            entries: Entries::new(),
            lanes: Lanes::default(),
            ages: PerClass::default(),
            expiry: Expiry::default(),
            shares: Shares::new(),
            begun: PerClass::default(),
            latest: BTreeMap::new(),
            loads: PerClass::default(),
            load: Load::default(),
            serial: 0,
        }
    }

    /// How many wait, control included.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What waits, in no order.
    pub(crate) fn items(&self) -> impl Iterator<Item = &T> {
        self.entries.items()
    }

    /// What of a class waits.
    pub(crate) fn load(&self, class: Class) -> Load {
        *self.loads.get(class)
    }

    /// When the next entry expires.
    #[inline]
    pub(crate) fn next_expiry(&self) -> Option<Instant> {
        self.expiry.first().map(|first| first.0)
    }

    /// Puts an entry at the end of its class.
    pub(crate) fn push(&mut self, now: Instant, entry: Entry<T>) -> Result<Ticket, Refused<T>> {
        if entry.bytes > self.bounds.of(entry.class).bytes {
            return Err(Refused::TooLarge(entry));
        }
        if !self.has_room(entry.class, Load { messages: 1, bytes: entry.bytes }) {
            return Err(Refused::Full(entry));
        }
        let Entry { class, bytes, expires, key, item } = entry;
        let serial = self.next_serial();
        let mut node = Node::new(item, class, bytes, now, serial);
        (node.expires, node.key) = (expires, key);
        let slot = self.entries.insert(node);
        self.lanes.append(&mut self.entries, slot);
        self.entries.append(self.ages.get_mut(class), Thread::Age, slot);
        if let Some(at) = expires {
            self.expiry.insert(&mut self.entries, slot, at);
        }
        self.add(class, Load { messages: 1, bytes });
        let ticket = Ticket { slot, serial };
        if let Some(key) = key {
            self.latest.insert((class, key), ticket);
        }
        Ok(ticket)
    }

    /// Lets the next entry go, if `judge` does. `judge` sees what is next, and how many bytes of it
    /// are left, until it says that one goes or that none does; `gate_of` says at which gate an
    /// entry has to wait for others that wait there.
    pub(crate) fn pop(
        &mut self,
        now: Instant,
        mut gate_of: impl FnMut(&T) -> Option<Gate>,
        mut judge: impl FnMut(Class, &mut T, usize) -> Verdict,
    ) -> Option<Popped<'_, T>> {
        if let Some((class, item)) = self.expire(now) {
            return Some(Popped::Expired(class, item));
        }
        let mut skipped = PerClass::<bool>::default();
        loop {
            let (class, slot) = self.choose(now, &skipped)?;
            let begun = self.begun.get(class).is_some();
            if !begun
                && !self.lanes.none_aside()
                && let Some(gate) = gate_of(&self.entries.node(slot).item)
                && self.lanes.is_behind(&self.entries, slot, gate)
            {
                self.lanes.set_aside(&mut self.entries, slot, gate);
                continue;
            }
            let node = self.entries.node_mut(slot);
            let left = node.left;
            match judge(class, &mut node.item, left) {
                Verdict::Take => {
                    self.charge(class, left);
                    return Some(Popped::Whole(class, self.leave(slot)));
                }
                Verdict::Part(bytes) => {
                    node.left = left.saturating_sub(bytes);
                    self.charge(class, bytes);
                    self.expiry.remove(&mut self.entries, slot);
                    *self.begun.get_mut(class) = Some(slot);
                    return Some(Popped::Part(class, &mut self.entries.node_mut(slot).item));
                }
                Verdict::Park => {
                    let gate = if begun { None } else { gate_of(&node.item) };
                    match gate {
                        Some(gate) if self.lanes.close(&self.entries, slot, gate) => {}
                        Some(gate) => self.lanes.set_aside(&mut self.entries, slot, gate),
                        None => *skipped.get_mut(class) = true,
                    }
                }
                Verdict::Skip => *skipped.get_mut(class) = true,
                Verdict::Stop => return None,
            }
        }
    }

    /// Credit came for `gate`: what waits there takes part again.
    pub(crate) fn open(&mut self, gate: Gate) {
        self.lanes.open(gate);
    }

    /// The session is gone: no gate is closed any more, and what went in part goes from its
    /// beginning once `restart` put it back there.
    pub(crate) fn detach(&mut self, mut restart: impl FnMut(Class, &mut T)) {
        self.lanes.open_all();
        self.shares = Shares::new();
        for class in Class::ALL {
            let Some(slot) = self.begun.get_mut(class).take() else { continue };
            let node = self.entries.node_mut(slot);
            node.left = node.bytes;
            restart(class, &mut node.item);
            if let Some(at) = node.expires {
                self.expiry.insert(&mut self.entries, slot, at);
            }
        }
    }

    /// Takes one entry out whose time is over, if there is one.
    pub(crate) fn expire(&mut self, now: Instant) -> Option<(Class, T)> {
        let (_, slot) = self.expiry.first().filter(|(at, _)| *at <= now)?;
        let class = self.entries.node(slot).class;
        Some((class, self.leave(slot)))
    }

    /// Takes an entry back. `None` if it left already, wholly or in part.
    pub(crate) fn remove(&mut self, ticket: Ticket) -> Option<T> {
        let slot = self.waiting(ticket)?;
        Some(self.leave(slot))
    }

    /// The oldest of a class that did not go in part.
    pub(crate) fn oldest(&self, class: Class) -> Option<Ticket> {
        let first = self.ages.get(class).first()?;
        let begun = *self.begun.get(class) == Some(first);
        let slot = if begun { self.entries.younger(first)? } else { first };
        Some(Ticket { slot, serial: self.entries.node(slot).serial })
    }

    /// The newest of a class under `key` that did not go in part.
    pub(crate) fn latest(&self, class: Class, key: Key) -> Option<Ticket> {
        let ticket = *self.latest.get(&(class, key))?;
        self.waiting(ticket).map(|_| ticket)
    }

    /// Puts an entry in the place of one of its class that waits, and in its turn; gives that one
    /// back.
    ///
    /// # Errors
    ///
    /// [`Refused`] if it is so much larger that there is no room. The older one stays.
    ///
    /// # Panics
    ///
    /// If the older one left, or is of another class: ask [`Self::latest`] first.
    pub(crate) fn replace(
        &mut self,
        ticket: Ticket,
        entry: Entry<T>,
    ) -> Result<(Ticket, T), Refused<T>> {
        let Some(slot) = self.waiting(ticket) else { unreachable!("the replaced entry waits") };
        let class = self.entries.node(slot).class;
        assert_eq!(class, entry.class, "an entry keeps its class");
        if entry.bytes > self.bounds.of(class).bytes {
            return Err(Refused::TooLarge(entry));
        }
        let before = self.entries.node(slot).bytes;
        let growth = Load { messages: 0, bytes: entry.bytes.saturating_sub(before) };
        if growth.bytes > 0 && !self.has_room(class, growth) {
            return Err(Refused::Full(entry));
        }
        let Entry { bytes, expires, key, item, .. } = entry;
        self.subtract(class, Load { messages: 0, bytes: before });
        self.add(class, Load { messages: 0, bytes });
        self.expiry.remove(&mut self.entries, slot);
        self.forget_key(slot);
        let serial = self.next_serial();
        let node = self.entries.node_mut(slot);
        let older = std::mem::replace(&mut node.item, item);
        (node.bytes, node.left, node.expires, node.key) = (bytes, bytes, expires, key);
        node.serial = serial;
        let ticket = Ticket { slot, serial };
        if let Some(at) = expires {
            self.expiry.insert(&mut self.entries, slot, at);
        }
        if let Some(key) = key {
            self.latest.insert((class, key), ticket);
        }
        Ok((ticket, older))
    }

    /// Whether `more` of `class` may wait now.
    pub(crate) fn has_room(&self, class: Class, more: Load) -> bool {
        let bounds = self.bounds.of(class);
        let load = if class == Class::Control { self.loads.get(class) } else { &self.load };
        fits(load, more, bounds)
    }

    /// Whether it would be so if all of `class` were gone that did not go in part.
    pub(crate) fn could_have_room(&self, class: Class, more: Load) -> bool {
        if class == Class::Control {
            return self.has_room(class, more);
        }
        let begun = self.begun.get(class).map(|slot| self.entries.node(slot).bytes);
        let own = self.loads.get(class);
        let load = Load {
            messages: self.load.messages - own.messages + usize::from(begun.is_some()),
            bytes: self.load.bytes - own.bytes + begun.unwrap_or(0),
        };
        fits(&load, more, self.bounds.of(class))
    }

    /// Gives back the memory of what does not wait any more. For an idle link.
    pub(crate) fn shrink(&mut self) {
        self.entries.shrink();
        self.expiry.shrink();
        self.lanes.shrink();
    }

    fn choose(&mut self, now: Instant, skipped: &PerClass<bool>) -> Option<(Class, Slot)> {
        if let Some(slot) = self.first(Class::Control, skipped) {
            return Some((Class::Control, slot));
        }
        let firsts = [Class::Critical, Class::High, Class::Normal, Class::Low]
            .map(|class| self.first(class, skipped).map(|slot| (class, slot)));
        let waiting = || firsts.iter().flatten().copied();
        if !waiting().any(|(class, _)| self.shares.has(class)) {
            self.shares.refill(waiting().map(|(class, _)| class));
        }
        let mut eligible = waiting().filter(|(class, _)| self.shares.has(*class));
        let (mut class, mut slot) = eligible.next()?;
        if class == Class::Critical {
            return Some((class, slot));
        }
        for (other, first) in eligible {
            let since = self.entries.node(first).since;
            let aged = now.since(since) >= QUEUE_AGE_TIME;
            if aged && since < self.entries.node(slot).since {
                (class, slot) = (other, first);
            }
        }
        Some((class, slot))
    }

    #[inline]
    fn first(&mut self, class: Class, skipped: &PerClass<bool>) -> Option<Slot> {
        match *self.begun.get(class) {
            _ if *skipped.get(class) => None,
            Some(slot) => Some(slot),
            None => self.lanes.first(class),
        }
    }

    fn charge(&mut self, class: Class, bytes: usize) {
        if class != Class::Control {
            self.shares.charge(class, bytes);
        }
    }

    /// Takes an entry out of everything it is in.
    fn leave(&mut self, slot: Slot) -> T {
        self.lanes.remove(&mut self.entries, slot);
        self.expiry.remove(&mut self.entries, slot);
        self.forget_key(slot);
        let class = self.entries.node(slot).class;
        self.entries.unlink(self.ages.get_mut(class), Thread::Age, slot);
        let begun = self.begun.get_mut(class);
        if *begun == Some(slot) {
            *begun = None;
        }
        let node = self.entries.remove(slot);
        self.subtract(class, Load { messages: 1, bytes: node.bytes });
        if self.load.messages == 0 {
            self.shares = Shares::new();
        }
        node.item
    }

    fn waiting(&self, ticket: Ticket) -> Option<Slot> {
        let node = self.entries.find(ticket.slot).filter(|node| node.serial == ticket.serial)?;
        (*self.begun.get(node.class) != Some(ticket.slot)).then_some(ticket.slot)
    }

    fn forget_key(&mut self, slot: Slot) {
        let node = self.entries.node(slot);
        if let Some(key) = node.key
            && self.latest.get(&(node.class, key)).is_some_and(|latest| latest.slot == slot)
        {
            self.latest.remove(&(node.class, key));
        }
    }

    fn next_serial(&mut self) -> u64 {
        self.serial = self.serial.wrapping_add(1);
        self.serial
    }

    fn add(&mut self, class: Class, load: Load) {
        let total = (class != Class::Control).then_some(&mut self.load);
        for sum in [Some(self.loads.get_mut(class)), total].into_iter().flatten() {
            sum.messages += load.messages;
            sum.bytes += load.bytes;
        }
    }

    fn subtract(&mut self, class: Class, load: Load) {
        let total = (class != Class::Control).then_some(&mut self.load);
        for sum in [Some(self.loads.get_mut(class)), total].into_iter().flatten() {
            sum.messages -= load.messages;
            sum.bytes -= load.bytes;
        }
    }
}

fn fits(load: &Load, more: Load, bounds: Bounds) -> bool {
    load.messages.saturating_add(more.messages) <= bounds.messages
        && load.bytes.saturating_add(more.bytes) <= bounds.bytes
}

#[cfg(test)]
mod tests;
