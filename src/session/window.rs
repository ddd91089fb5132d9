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

    /// proto-spec 02-records, 2.5.
    #[test]
    fn a_new_window_accepts_every_position() {
        let window = Window::new();
        for seq in [0, 1, 1_023, 1_024, 1 << 40, (1 << 62) - 1] {
            assert_eq!(window.check(seq), Ok(()));
        }
    }

    /// proto-spec.
    #[test]
    fn a_position_is_accepted_once() {
        for seq in [0, 1, 63, 64, 65, 1_024, 1_087, 1_088, (1 << 62) - 1] {
            let mut window = Window::new();
            window.mark(seq);
            assert_eq!(window.check(seq), Err(Stale::Replayed), "{seq}");
            assert_eq!(window.check(seq + 1), Ok(()), "{seq}");
        }
    }

    /// proto-spec: with the highest at 5000, 3977 is judged and 3976 is not.
    #[test]
    fn the_window_is_1024_positions_wide() {
        for top in [1_024, 1_087, 1_088, 5_000, 5_055, 5_056] {
            let mut window = Window::new();
            window.mark(top);
            assert_eq!(window.check(top - 1_023), Ok(()), "{top}");
            assert_eq!(window.check(top - 1_024), Err(Stale::TooOld), "{top}");
            window.mark(top - 1_023);
            assert_eq!(window.check(top - 1_023), Err(Stale::Replayed), "{top}");
        }
        let mut window = Window::new();
        window.mark(1_023);
        assert_eq!(window.check(0), Ok(()));
    }

    #[test]
    fn a_window_holds_at_the_last_position() {
        let mut window = Window::new();
        window.mark((1 << 62) - 2);
        window.mark((1 << 62) - 1);
        assert_eq!(window.check((1 << 62) - 1), Err(Stale::Replayed));
        assert_eq!(window.check((1 << 62) - 1_024), Ok(()));
        assert_eq!(window.check((1 << 62) - 1_025), Err(Stale::TooOld));
    }

    #[test]
    fn nothing_is_forgotten_while_the_window_covers_it() {
        let mut window = Window::new();
        for seq in 0..5_000_u64 {
            window.mark(seq);
            let oldest = seq.saturating_sub(1_023);
            assert_eq!(window.check(oldest), Err(Stale::Replayed), "{oldest} after {seq}");
            assert_eq!(window.check(seq / 2 + oldest / 2), Err(Stale::Replayed));
        }
    }

    #[test]
    fn a_leap_clears_what_it_leaves_behind() {
        for leap in [1, 63, 64, 65, 1_023, 1_024, 1_088, 1_089, 5_000, 1 << 40] {
            let mut window = Window::new();
            (0..2_000).for_each(|seq| window.mark(seq));
            let top = 1_999 + leap;
            window.mark(top);
            for seq in top - 1_023..=top {
                let expected =
                    if seq < 2_000 || seq == top { Err(Stale::Replayed) } else { Ok(()) };
                assert_eq!(window.check(seq), expected, "{seq} after a leap of {leap}");
            }
        }
    }

    #[test]
    #[should_panic(expected = "marked once")]
    fn a_position_is_never_marked_twice() {
        let mut window = Window::new();
        window.mark(7);
        window.mark(7);
    }

    /// `limits` says what a session costs.
    #[test]
    fn a_window_is_its_bits_and_one_word_more() {
        assert_eq!(size_of::<Window>(), 1_024 / 8 + 8 + 8);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

        /// Against a set that forgets nothing.
        #[test]
        fn the_window_judges_as_its_table_says(
            start in prop_oneof![Just(0_u64), 0..5_000_u64, Just((1 << 62) - 200_000)],
            steps in prop::collection::vec(prop_oneof![
                6 => (0_u64..4, 0_u64..1),
                3 => (0_u64..200, 0_u64..1_100),
                1 => (0_u64..3_000, 0_u64..3_000),
            ], 1..200),
        ) {
            let mut window = Window::new();
            let mut marked = BTreeSet::new();
            let mut front = start;
            for (ahead, behind) in steps {
                front += ahead;
                let seq = front.saturating_sub(behind);
                let expected = match marked.last() {
                    Some(top) if seq + 1_023 < *top => Err(Stale::TooOld),
                    _ if marked.contains(&seq) => Err(Stale::Replayed),
                    _ => Ok(()),
                };
                prop_assert_eq!(window.check(seq), expected, "{}", seq);
                if expected.is_ok() {
                    window.mark(seq);
                    marked.insert(seq);
                }
            }
        }
    }
}
