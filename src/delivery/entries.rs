//! Where waiting entries are kept: slots that are used again, and lists that run through them. Knows
//! no order but that of its lists, and no bound.

use super::lanes::LaneId;
use super::queue::Key;
use crate::priority::Class;
use crate::time::Instant;

/// Where an entry lies. It is used again once the entry left.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Slot(u32);

/// Which of the two lists that run through every entry is meant.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Thread {
    /// The lane in which it waits for its turn.
    Lane,
    /// All entries of its class by age.
    Age,
}

/// Both ends of a list.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct List {
    first: Option<Slot>,
    last: Option<Slot>,
}

impl List {
    #[inline]
    pub(super) fn first(&self) -> Option<Slot> {
        self.first
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Links {
    before: Option<Slot>,
    after: Option<Slot>,
}

/// An entry and what the queue knows of it.
#[derive(Debug)]
pub(super) struct Node<T> {
    pub item: T,
    pub class: Class,
    /// What it counts in the bound until it is gone.
    pub bytes: usize,
    /// What of it was not sent yet.
    pub left: usize,
    /// When it was pushed.
    pub since: Instant,
    pub expires: Option<Instant>,
    /// Its place among those that expire.
    pub rank: Option<u32>,
    /// No two entries have the same.
    pub serial: u64,
    pub key: Option<Key>,
    pub lane: LaneId,
    by_lane: Links,
    by_age: Links,
}

impl<T> Node<T> {
    pub(super) fn new(item: T, class: Class, bytes: usize, since: Instant, serial: u64) -> Self {
        Self {
            item,
            class,
            bytes,
            left: bytes,
            since,
            expires: None,
            rank: None,
            serial,
            key: None,
            lane: LaneId::Main,
            by_lane: Links::default(),
            by_age: Links::default(),
        }
    }

    fn links(&mut self, thread: Thread) -> &mut Links {
        match thread {
            Thread::Lane => &mut self.by_lane,
            Thread::Age => &mut self.by_age,
        }
    }
}

#[derive(Debug)]
enum Place<T> {
    Used(Node<T>),
    Vacant(Option<Slot>),
}

/// All entries of a queue.
#[derive(Debug)]
pub(super) struct Entries<T> {
    places: Vec<Place<T>>,
    vacant: Option<Slot>,
    used: usize,
}

impl<T> Entries<T> {
    /// What is kept, in no order.
    pub(super) fn items(&self) -> impl Iterator<Item = &T> {
        self.places.iter().filter_map(|place| match place {
            Place::Used(node) => Some(&node.item),
            Place::Vacant(_) => None,
        })
    }

    pub(super) fn new() -> Self {
        Self { places: Vec::new(), vacant: None, used: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.used
    }

    pub(super) fn insert(&mut self, node: Node<T>) -> Slot {
        self.used += 1;
        if let Some(slot) = self.vacant
            && let Some(place) = self.places.get_mut(slot.0 as usize)
        {
            if let Place::Vacant(next) = place {
                self.vacant = *next;
            }
            *place = Place::Used(node);
            return slot;
        }
        let slot = Slot(u32::try_from(self.places.len()).unwrap_or(u32::MAX));
        assert!(slot.0 < u32::MAX, "the queue is bounded far below this");
        self.places.push(Place::Used(node));
        slot
    }

    /// Takes an entry that is in no list any more.
    pub(super) fn remove(&mut self, slot: Slot) -> Node<T> {
        let vacant = Place::Vacant(self.vacant);
        let place = self.places.get_mut(slot.0 as usize);
        let Some(Place::Used(node)) = place.map(|place| std::mem::replace(place, vacant)) else {
            unreachable!("a slot in a list is used");
        };
        self.vacant = Some(slot);
        self.used -= 1;
        node
    }

    /// What is there now, if anything is.
    #[inline]
    pub(super) fn find(&self, slot: Slot) -> Option<&Node<T>> {
        match self.places.get(slot.0 as usize) {
            Some(Place::Used(node)) => Some(node),
            _ => None,
        }
    }

    #[inline]
    pub(super) fn node(&self, slot: Slot) -> &Node<T> {
        match self.places.get(slot.0 as usize) {
            Some(Place::Used(node)) => node,
            _ => unreachable!("a slot in a list is used"),
        }
    }

    #[inline]
    pub(super) fn node_mut(&mut self, slot: Slot) -> &mut Node<T> {
        match self.places.get_mut(slot.0 as usize) {
            Some(Place::Used(node)) => node,
            _ => unreachable!("a slot in a list is used"),
        }
    }

    pub(super) fn append(&mut self, list: &mut List, thread: Thread, slot: Slot) {
        *self.node_mut(slot).links(thread) = Links { before: list.last, after: None };
        match list.last {
            Some(last) => self.node_mut(last).links(thread).after = Some(slot),
            None => list.first = Some(slot),
        }
        list.last = Some(slot);
    }

    pub(super) fn unlink(&mut self, list: &mut List, thread: Thread, slot: Slot) {
        let Links { before, after } = std::mem::take(self.node_mut(slot).links(thread));
        match before {
            Some(before) => self.node_mut(before).links(thread).after = after,
            None => list.first = after,
        }
        match after {
            Some(after) => self.node_mut(after).links(thread).before = before,
            None => list.last = before,
        }
    }

    /// The one after `slot` in the order of age.
    pub(super) fn younger(&self, slot: Slot) -> Option<Slot> {
        self.node(slot).by_age.after
    }

    /// Gives back the memory of slots if none is used.
    pub(super) fn shrink(&mut self) {
        if self.used == 0 {
            *self = Self::new();
        }
    }
}

#[cfg(test)]
#[allow(clippy::cast_possible_truncation, reason = "numbers of a test are small")]
mod tests {
    use super::*;

    #[test]
    fn a_vacant_slot_is_used_before_a_new_one() {
        let mut entries = Entries::new();
        let first = entries.insert(node(1));
        let second = entries.insert(node(2));
        assert_eq!(entries.remove(first).item, 1);
        assert!(entries.find(first).is_none());
        assert_eq!(entries.insert(node(3)), first);
        assert_eq!(entries.node(first).item, 3);
        assert_eq!(entries.remove(second).item, 2);
        assert_eq!(entries.remove(first).item, 3);
        assert_eq!(entries.insert(node(4)), first);
        assert_eq!(entries.insert(node(5)), second);
        assert_eq!((entries.len(), entries.places.len()), (2, 2));
    }

    #[test]
    fn a_list_keeps_its_order_when_one_leaves_from_anywhere() {
        for gone in 0..5 {
            let (mut entries, mut list) = (Entries::new(), List::default());
            let slots: Vec<_> = (0..5).map(|item| entries.insert(node(item))).collect();
            slots.iter().for_each(|slot| entries.append(&mut list, Thread::Age, *slot));
            entries.unlink(&mut list, Thread::Age, slots[gone]);
            let left = walk(&entries, &list);
            let expected: Vec<_> = (0..5).filter(|item| *item != gone as u32).collect();
            assert_eq!(left, expected);
            entries.append(&mut list, Thread::Age, slots[gone]);
            assert_eq!(walk(&entries, &list).last(), Some(&(gone as u32)));
        }
    }

    #[test]
    fn an_empty_store_gives_its_memory_back() {
        let mut entries = Entries::new();
        let slot = entries.insert(node(1));
        entries.shrink();
        assert_eq!(entries.node(slot).item, 1);
        entries.remove(slot);
        entries.shrink();
        assert_eq!(entries.places.capacity(), 0);
    }

    fn node(item: u32) -> Node<u32> {
        Node::new(item, Class::Normal, 1, Instant::default(), u64::from(item))
    }

    fn walk(entries: &Entries<u32>, list: &List) -> Vec<u32> {
        let slots = std::iter::successors(list.first(), |slot| entries.younger(*slot));
        slots.map(|slot| entries.node(slot).item).collect()
    }
}
