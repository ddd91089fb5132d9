//! Messages that a peer did not take, kept for whoever looks. Knows no link.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::limits::{DEAD_LETTER_BYTES, DEAD_LETTERS};
use crate::priority::Class;

/// A message that was sent as often as allowed and never taken.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct DeadLetter<T> {
    pub(crate) class: Class,
    pub(crate) number: u64,
    pub(crate) token: T,
    pub(crate) content: Bytes,
}

/// The last [`DEAD_LETTERS`] of them, within [`DEAD_LETTER_BYTES`].
#[derive(Debug)]
pub(crate) struct DeadLetters<T> {
    letters: VecDeque<DeadLetter<T>>,
    bytes: usize,
    dropped: u64,
}

impl<T> Default for DeadLetters<T> {
    fn default() -> Self {
        Self { letters: VecDeque::new(), bytes: 0, dropped: 0 }
    }
}

impl<T> DeadLetters<T> {
    /// Keeps a letter, and drops the oldest ones that it leaves no room for; if it is larger than all
    /// the room, itself.
    pub(super) fn push(&mut self, letter: DeadLetter<T>) {
        self.bytes += letter.content.len();
        self.letters.push_back(letter);
        while self.letters.len() > DEAD_LETTERS || self.bytes > DEAD_LETTER_BYTES {
            self.pop();
            self.dropped += 1;
        }
    }

    /// Takes the oldest letter.
    pub(crate) fn pop(&mut self) -> Option<DeadLetter<T>> {
        let letter = self.letters.pop_front()?;
        self.bytes -= letter.content.len();
        Some(letter)
    }

    /// How many are kept.
    pub(crate) fn len(&self) -> usize {
        self.letters.len()
    }

    /// How many were dropped unread.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_letter_is_dropped_for_the_newest() {
        let mut dead = DeadLetters::default();
        for number in 1..=DEAD_LETTERS as u64 + 2 {
            dead.push(letter(number, 1));
        }
        assert_eq!((dead.len(), dead.dropped()), (DEAD_LETTERS, 2));
        assert_eq!(dead.pop().map(|letter| letter.number), Some(3));
    }

    #[test]
    fn letters_are_bounded_in_bytes() {
        let mut dead = DeadLetters::default();
        dead.push(letter(1, DEAD_LETTER_BYTES / 2 + 1));
        dead.push(letter(2, DEAD_LETTER_BYTES / 2));
        assert_eq!((dead.len(), dead.dropped()), (1, 1));
        dead.push(letter(3, DEAD_LETTER_BYTES + 1));
        assert_eq!((dead.len(), dead.dropped(), dead.bytes), (0, 3, 0));
    }

    fn letter(number: u64, bytes: usize) -> DeadLetter<()> {
        let content = Bytes::from(vec![0; bytes]);
        DeadLetter { class: Class::Low, number, token: (), content }
    }
}
