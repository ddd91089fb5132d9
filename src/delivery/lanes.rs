//! In which line an entry waits: the main line of its class, or set aside behind a gate that has no
//! credit. Knows no credit: it is told when a gate opens.

use std::collections::{BTreeMap, VecDeque};

use super::entries::{Entries, List, Slot, Thread};
use super::per_class::PerClass;
use crate::priority::Class;

/// What an entry may have to wait for besides its turn, for instance one subscription's credit.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Gate(pub u32);

/// The line that an entry is in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum LaneId {
    /// The main line of its class.
    Main,
    /// A line set aside, by its place.
    Aside(u32),
}

/// Whether the gate in front of a line was opened since it was found closed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    Closed,
    /// It stands among the open ones of its class.
    Open,
}

#[derive(Debug)]
struct Aside {
    list: List,
    class: Class,
    gate: Gate,
    state: State,
}

/// All lines of a queue.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    main: PerClass<List>,
    asides: Vec<Option<Aside>>,
    vacant: Vec<u32>,
    places: BTreeMap<(Gate, Class), u32>,
    /// Lines whose gate was opened, in that order; they go before the main line, as what is in them
    /// is older.
    open: PerClass<VecDeque<u32>>,
}

impl Lanes {
    /// Puts a new entry at the end of its class.
    pub(super) fn append<T>(&mut self, entries: &mut Entries<T>, slot: Slot) {
        let node = entries.node_mut(slot);
        node.lane = LaneId::Main;
        let list = self.main.get_mut(node.class);
        entries.append(list, Thread::Lane, slot);
    }

    /// Takes an entry out of whatever line it is in.
    pub(super) fn remove<T>(&mut self, entries: &mut Entries<T>, slot: Slot) {
        let node = entries.node(slot);
        match node.lane {
            LaneId::Main => {
                entries.unlink(self.main.get_mut(node.class), Thread::Lane, slot);
            }
            LaneId::Aside(place) => {
                let Some(aside) = self.aside(place) else { return };
                entries.unlink(&mut aside.list, Thread::Lane, slot);
                if aside.list.first().is_none() && aside.state == State::Closed {
                    self.forget(place);
                }
            }
        }
    }

    /// The next of `class` that no closed gate holds back.
    #[inline]
    pub(super) fn first(&mut self, class: Class) -> Option<Slot> {
        while let Some(place) = self.open.get(class).front().copied() {
            if let Some(slot) = self.aside(place).and_then(|aside| aside.list.first()) {
                return Some(slot);
            }
            self.open.get_mut(class).pop_front();
            self.forget(place);
        }
        self.main.get(class).first()
    }

    /// Whether nothing is set aside, so that nobody needs to know gates.
    #[inline]
    pub(super) fn none_aside(&self) -> bool {
        self.places.is_empty()
    }

    /// Whether others wait at `gate` in front of this entry, in another line than its own.
    pub(super) fn is_behind<T>(&self, entries: &Entries<T>, slot: Slot, gate: Gate) -> bool {
        let node = entries.node(slot);
        let place = self.places.get(&(gate, node.class)).copied();
        let own = place.is_some_and(|place| node.lane == LaneId::Aside(place));
        let aside = place.filter(|_| !own).and_then(|place| self.asides.get(place as usize));
        aside.is_some_and(|aside| aside.as_ref().is_some_and(|aside| aside.list.first().is_some()))
    }

    /// Moves an entry to the end of the line at `gate`.
    pub(super) fn set_aside<T>(&mut self, entries: &mut Entries<T>, slot: Slot, gate: Gate) {
        self.remove(entries, slot);
        let class = entries.node(slot).class;
        let place = match self.places.get(&(gate, class)) {
            Some(place) => *place,
            None => self.found(gate, class),
        };
        entries.node_mut(slot).lane = LaneId::Aside(place);
        if let Some(aside) = self.aside(place) {
            entries.append(&mut aside.list, Thread::Lane, slot);
        }
    }

    /// The gate in front of the first entry's own line turned out to be closed: the line waits.
    /// `false` if this entry is in another line.
    pub(super) fn close<T>(&mut self, entries: &Entries<T>, slot: Slot, gate: Gate) -> bool {
        let node = entries.node(slot);
        let LaneId::Aside(place) = node.lane else { return false };
        let Some(aside) = self.aside(place).filter(|aside| aside.gate == gate) else {
            return false;
        };
        aside.state = State::Closed;
        let open = self.open.get_mut(node.class);
        assert_eq!(open.pop_front(), Some(place), "the first entry is in the first open line");
        true
    }

    /// Lets the lines at `gate` take part again.
    pub(super) fn open(&mut self, gate: Gate) {
        for class in Class::ALL {
            if let Some(place) = self.places.get(&(gate, class)).copied() {
                self.join(place, class);
            }
        }
    }

    /// Lets all lines take part again.
    pub(super) fn open_all(&mut self) {
        let places: Vec<_> =
            self.places.iter().map(|((_, class), place)| (*place, *class)).collect();
        for (place, class) in places {
            self.join(place, class);
        }
    }

    pub(super) fn shrink(&mut self) {
        if self.places.is_empty() {
            self.asides = Vec::new();
            self.vacant = Vec::new();
            self.open = PerClass::default();
        }
    }

    fn join(&mut self, place: u32, class: Class) {
        if let Some(aside) = self.aside(place).filter(|aside| aside.state == State::Closed) {
            aside.state = State::Open;
            self.open.get_mut(class).push_back(place);
        }
    }

    fn found(&mut self, gate: Gate, class: Class) -> u32 {
        let aside = Some(Aside { list: List::default(), class, gate, state: State::Closed });
        let place = if let Some(place) = self.vacant.pop() {
            if let Some(vacant) = self.asides.get_mut(place as usize) {
                *vacant = aside;
            }
            place
        } else {
            self.asides.push(aside);
            u32::try_from(self.asides.len() - 1).unwrap_or(u32::MAX)
        };
        self.places.insert((gate, class), place);
        place
    }

    fn forget(&mut self, place: u32) {
        if let Some(aside) = self.asides.get_mut(place as usize).and_then(Option::take) {
            self.places.remove(&(aside.gate, aside.class));
            self.vacant.push(place);
        }
    }

    fn aside(&mut self, place: u32) -> Option<&mut Aside> {
        self.asides.get_mut(place as usize)?.as_mut()
    }

    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.asides.iter().flatten().count()
    }
}
