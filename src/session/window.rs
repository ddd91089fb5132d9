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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::limits::SEQ_END;

    /// proto-spec, [R-13]: the whole table of section 2.5, at its edges.
    #[test]
    fn a_window_judges_the_last_1024_positions() {
        let mut window = Window::new();
        assert_eq!(window.check(0), Ok(()));
        assert_eq!(window.check(SEQ_END - 1), Ok(()), "nothing was marked yet");
        window.mark(5_000);
        assert_eq!(window.check(5_000), Err(Stale::Replayed));
        assert_eq!(window.check(5_001), Ok(()));
        assert_eq!(window.check(5_000 - 1_023), Ok(()));
        assert_eq!(window.check(5_000 - 1_024), Err(Stale::TooOld));
        assert_eq!(window.check(0), Err(Stale::TooOld));
        window.mark(5_000 - 1_023);
        assert_eq!(window.check(5_000 - 1_023), Err(Stale::Replayed));
        window.mark(5_001);
        assert_eq!(window.check(5_000 - 1_023), Err(Stale::TooOld));
    }

    #[test]
    fn a_window_holds_at_the_last_position() {
        let mut window = Window::new();
        window.mark(SEQ_END - 2);
        window.mark(SEQ_END - 1);
        assert_eq!(window.check(SEQ_END - 1), Err(Stale::Replayed));
        assert_eq!(window.check(SEQ_END - 1_024), Ok(()));
        assert_eq!(window.check(SEQ_END - 1_025), Err(Stale::TooOld));
    }

    #[test]
    #[should_panic(expected = "marked once")]
    fn a_position_is_never_marked_twice() {
        let mut window = Window::new();
        window.mark(3);
        window.mark(3);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

        /// proto-spec, [R-13]: a ring of bits judges like a set of everything opened.
        #[test]
        fn a_window_judges_like_a_set(
            start in prop_oneof![Just(0), 0..5_000_u64, Just(SEQ_END - 40_000)],
            steps in prop::collection::vec((any::<bool>(), prop_oneof![0..70_u64, 0..1_100_u64, 0..5_000_u64]), 1..300),
        ) {
            let (mut window, mut seen, mut top) = (Window::new(), BTreeSet::new(), start);
            for (back, step) in steps {
                let seq = if back { top.saturating_sub(step) } else { (top + step).min(SEQ_END - 1) };
                let highest = seen.last().copied();
                let expected = match highest {
                    Some(highest) if seq + 1_023 < highest => Err(Stale::TooOld),
                    _ if seen.contains(&seq) => Err(Stale::Replayed),
                    _ => Ok(()),
                };
                prop_assert_eq!(window.check(seq), expected, "position {}", seq);
                if expected.is_ok() {
                    window.mark(seq);
                    seen.insert(seq);
                    top = top.max(seq);
                }
            }
        }
    }
}
