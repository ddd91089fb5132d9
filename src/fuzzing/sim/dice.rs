//! Everything that is drawn by lot, from one seed.

use std::time::Duration;

use crate::time::spread;

/// Numbers that look random and are the same for a seed.
#[derive(Clone, Debug)]
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(spread(seed))
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        spread(self.0)
    }

    /// Below `sides`.
    pub(super) fn roll(&mut self, sides: u64) -> u64 {
        self.next() % sides.max(1)
    }

    /// A place among so many.
    pub(super) fn pick(&mut self, length: usize) -> usize {
        usize::try_from(self.roll(length as u64)).unwrap_or(0)
    }

    /// Once in so many times.
    pub(super) fn once_in(&mut self, times: u64) -> bool {
        self.roll(times) == 0
    }

    /// A span between two, in milliseconds.
    pub(super) fn millis(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(from + self.roll(to.saturating_sub(from) + 1))
    }

    pub(super) fn one_of<T: Copy, const N: usize>(&mut self, of: [T; N]) -> T {
        match of.get(self.pick(N)) {
            Some(one) => *one,
            None => unreachable!("one of none"),
        }
    }
}
