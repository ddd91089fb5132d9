//! Which entry expires next. A heap whose entries know their place in it, so that one which leaves
//! early is taken out in logarithmic time and leaves nothing behind. Knows no clock.

use super::entries::{Entries, Slot};
use crate::time::Instant;

/// Those entries that expire, the earliest first.
#[derive(Debug, Default)]
pub(super) struct Expiry {
    heap: Vec<(Instant, Slot)>,
}

impl Expiry {
    #[inline]
    pub(super) fn first(&self) -> Option<(Instant, Slot)> {
        self.heap.first().copied()
    }

    /// Enters an entry that has an end and is not in.
    pub(super) fn insert<T>(&mut self, entries: &mut Entries<T>, slot: Slot, at: Instant) {
        let rank = self.heap.len();
        self.heap.push((at, slot));
        self.note(entries, rank);
        self.rise(entries, rank);
    }

    /// Takes an entry out, if it is in.
    pub(super) fn remove<T>(&mut self, entries: &mut Entries<T>, slot: Slot) {
        let Some(rank) = entries.node_mut(slot).rank.take() else { return };
        let rank = rank as usize;
        self.heap.swap_remove(rank);
        if rank < self.heap.len() {
            self.note(entries, rank);
            self.rise(entries, rank);
            self.sink(entries, rank);
        }
    }

    pub(super) fn shrink(&mut self) {
        if self.heap.is_empty() {
            self.heap = Vec::new();
        }
    }

    fn rise<T>(&mut self, entries: &mut Entries<T>, mut rank: usize) {
        while rank > 0 {
            let parent = (rank - 1) / 2;
            if self.at(parent) <= self.at(rank) {
                return;
            }
            self.swap(entries, parent, rank);
            rank = parent;
        }
    }

    fn sink<T>(&mut self, entries: &mut Entries<T>, mut rank: usize) {
        loop {
            let (left, right) = (2 * rank + 1, 2 * rank + 2);
            let child = if self.at(right) < self.at(left) { right } else { left };
            if self.at(rank) <= self.at(child) {
                return;
            }
            self.swap(entries, rank, child);
            rank = child;
        }
    }

    /// The end of the one at `rank`; beyond the last it lies in the farthest future.
    fn at(&self, rank: usize) -> Instant {
        self.heap.get(rank).map_or(Instant::from_nanos(u64::MAX), |(at, _)| *at)
    }

    fn swap<T>(&mut self, entries: &mut Entries<T>, one: usize, other: usize) {
        self.heap.swap(one, other);
        self.note(entries, one);
        self.note(entries, other);
    }

    /// Tells the entry at `rank` where it is.
    fn note<T>(&self, entries: &mut Entries<T>, rank: usize) {
        if let Some((_, slot)) = self.heap.get(rank) {
            entries.node_mut(*slot).rank = u32::try_from(rank).ok();
        }
    }
}

#[cfg(test)]
#[allow(clippy::cast_possible_truncation, reason = "numbers of a test are small")]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::super::entries::Node;
    use super::*;
    use crate::priority::Class;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

        /// Against a sorted set. The last instant of the clock is among the ends.
        #[test]
        fn the_earliest_end_is_first_whoever_leaves(
            steps in prop::collection::vec((0_u8..3, prop_oneof![0_u64..20, Just(u64::MAX)]), 1..200),
        ) {
            let (mut entries, mut expiry) = (Entries::new(), Expiry::default());
            let mut model = BTreeSet::new();
            for (step, (what, end)) in steps.into_iter().enumerate() {
                if what < 2 {
                    let at = Instant::from_nanos(end);
                    let node = Node::new((), Class::Low, 0, Instant::default(), step as u64);
                    let slot = entries.insert(node);
                    expiry.insert(&mut entries, slot, at);
                    model.insert((at, slot));
                } else if !model.is_empty() {
                    let gone = *model.iter().nth(end as usize % model.len()).unwrap();
                    model.remove(&gone);
                    expiry.remove(&mut entries, gone.1);
                    expiry.remove(&mut entries, gone.1);
                    entries.remove(gone.1);
                }
                prop_assert_eq!(expiry.heap.len(), model.len());
                prop_assert_eq!(expiry.first().map(|first| first.0), model.first().map(|first| first.0));
                for (rank, (_, slot)) in expiry.heap.iter().enumerate() {
                    prop_assert_eq!(entries.node(*slot).rank, Some(rank as u32));
                }
            }
        }
    }

    #[test]
    fn an_empty_heap_gives_its_memory_back() {
        let (mut entries, mut expiry) = (Entries::new(), Expiry::default());
        let slot = entries.insert(Node::new((), Class::Low, 0, Instant::default(), 0));
        expiry.insert(&mut entries, slot, Instant::default());
        expiry.shrink();
        assert!(expiry.first().is_some());
        expiry.remove(&mut entries, slot);
        expiry.shrink();
        assert_eq!(expiry.heap.capacity(), 0);
    }
}
