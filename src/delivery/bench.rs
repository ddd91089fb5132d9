//! What `benches/` measures of the queue.

use super::queue::{Bounds, Entry, Popped, Queue, Verdict};
use crate::priority::Class;
use crate::time::Instant;

/// A queue in which `depth` entries wait, spread over four classes.
#[derive(Debug)]
pub struct QueueBench {
    queue: Queue<[u64; 4]>,
    turn: u64,
}

impl QueueBench {
    /// Fills a queue with `depth` entries of 64 bytes.
    #[must_use]
    pub fn new(depth: usize) -> Self {
        let bounds = Bounds { messages: 10 * depth + 100, bytes: usize::MAX };
        let mut bench = Self { queue: Queue::new(bounds), turn: 0 };
        (0..depth).for_each(|_| bench.push());
        bench
    }

    /// Pushes one entry and pops one.
    #[inline]
    pub fn queue_push_pop(&mut self) -> Option<u64> {
        self.push();
        let now = Instant::from_nanos(self.turn);
        match self.queue.pop(now, |_| None, |_, _, _| Verdict::Take)? {
            Popped::Whole(_, item) | Popped::Expired(_, item) => item.first().copied(),
            Popped::Part(..) => None,
        }
    }

    #[inline]
    fn push(&mut self) {
        self.turn += 1;
        let class = match self.turn % 4 {
            0 => Class::Critical,
            1 => Class::High,
            2 => Class::Normal,
            _ => Class::Low,
        };
        let entry =
            Entry { class, bytes: 64, expires: None, key: None, item: [self.turn, 0, 0, 0] };
        let pushed = self.queue.push(Instant::from_nanos(self.turn), entry);
        assert!(pushed.is_ok(), "the bound is ten times the depth");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_leaves_the_depth_as_it_was() {
        for depth in [0, 10, 1_000] {
            let mut bench = QueueBench::new(depth);
            assert!((0..1_000).all(|_| bench.queue_push_pop().is_some()));
            assert_eq!(bench.queue.len(), depth);
        }
    }
}
