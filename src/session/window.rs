//! Which positions of a direction were opened already. Knows no keys: opening asks before it
//! decrypts and tells after.

use crate::limits::REPLAY_WINDOW;

const WORDS: usize = (REPLAY_WINDOW / 64) as usize + 1;

/// Why a position is refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Stale {
    /// It was opened before.
    Replayed,
    /// It lies too far back to tell.
    TooOld,
}

/// A ring of bits over the last positions (RFC 6479): moving on clears whole words, so no bit is
/// ever shifted.
pub(super) struct Window {
    /// One beyond the highest position opened.
    next: u64,
    words: [u64; WORDS],
}

impl Window {
    pub(super) fn new() -> Self {
        Self { next: 0, words: [0; WORDS] }
    }

    /// Whether `seq` may still be opened. Changes nothing.
    #[inline]
    pub(super) fn check(&self, seq: u64) -> Result<(), Stale> {
        if seq >= self.next {
            return Ok(());
        }
        if seq + REPLAY_WINDOW < self.next {
            return Err(Stale::TooOld);
        }
        let word = self.words.get(word_of(seq)).copied().unwrap_or(u64::MAX);
        if word & bit_of(seq) == 0 { Ok(()) } else { Err(Stale::Replayed) }
    }

    /// Remembers that `seq` was opened.
    #[inline]
    pub(super) fn mark(&mut self, seq: u64) {
        assert!(self.check(seq).is_ok(), "a position is marked once");
        if seq >= self.next {
            self.advance(seq);
        }
        if let Some(word) = self.words.get_mut(word_of(seq)) {
            *word |= bit_of(seq);
        }
    }

    /// Moves the upper end past `seq` and clears the words that come into use.
    fn advance(&mut self, seq: u64) {
        let last_word = self.next.checked_sub(1).map_or(0, |last| last / 64);
        let fresh = (seq / 64 - last_word).min(WORDS as u64);
        for word in 1..=fresh {
            if let Some(word) = self.words.get_mut(word_of((last_word + word) * 64)) {
                *word = 0;
            }
        }
        self.next = seq + 1;
    }
}

fn word_of(seq: u64) -> usize {
    (seq / 64 % WORDS as u64) as usize
}

fn bit_of(seq: u64) -> u64 {
    1 << (seq % 64)
}
