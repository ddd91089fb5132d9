//! Entropy and a wall clock that a simulation sets, for one thread. Only in builds with the private
//! feature `__fuzz`, and only once asked for: nothing that is drawn then is a secret.

use std::cell::Cell;

use crate::time::spread;

thread_local! {
    static WORDS: Cell<Option<u64>> = const { Cell::new(None) };
    static WALL: Cell<Option<u64>> = const { Cell::new(None) };
}

/// From now on this thread draws what follows from `seed`; `None`: from the operating system again.
pub fn dangerous_entropy(seed: Option<u64>) {
    WORDS.set(seed);
}

/// From now on the wall clock of this thread shows these seconds since 1970; `None`: the right ones.
pub fn dangerous_wall_clock(seconds: Option<u64>) {
    WALL.set(seconds);
}

/// Fills in what the simulation draws. Returns whether there is one.
pub(super) fn fill(bytes: &mut [u8]) -> bool {
    let Some(mut word) = WORDS.get() else { return false };
    for chunk in bytes.chunks_mut(8) {
        word = word.wrapping_add(0x9e37_79b9_7f4a_7c15);
        chunk.iter_mut().zip(spread(word).to_be_bytes()).for_each(|(byte, drawn)| *byte = drawn);
    }
    WORDS.set(Some(word));
    true
}

/// What the wall clock shows in the simulation.
pub(super) fn wall() -> Option<u64> {
    WALL.get()
}
