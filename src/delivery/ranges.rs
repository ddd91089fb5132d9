//! A set of message numbers as a watermark and a few ranges above it. Knows no message.

use std::collections::VecDeque;
use std::fmt;
use std::ops::RangeInclusive;

use crate::limits::{NUMBER_MAX, NUMBER_RANGES};

/// Numbers from 1: all up to a watermark, and ranges above it that neither overlap nor touch. Bounds
/// nothing: whoever adds to it knows how scattered its numbers can be.
#[derive(Clone, Default, Eq, PartialEq)]
pub(crate) struct Numbers {
    through: u64,
    /// Ascending; each starts above `through + 1` and above the end of the one before plus one.
    ranges: VecDeque<(u64, u64)>,
}

/// A watermark and ranges that are no set in the one form that each set has.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct NotCanonical;

impl Numbers {
    /// The empty set.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// The set of `1..=through` and these ranges.
    ///
    /// # Errors
    ///
    /// [`NotCanonical`] if the ranges are not ascending, overlap, touch, reach the watermark, or hold
    /// a number above [`NUMBER_MAX`].
    pub(crate) fn from_parts(
        through: u64,
        ranges: impl IntoIterator<Item = (u64, u64)>,
    ) -> Result<Self, NotCanonical> {
        let (mut end, mut kept) = (through, VecDeque::new());
        for (first, last) in ranges {
            if first > last || first.saturating_sub(1) <= end {
                return Err(NotCanonical);
            }
            end = last;
            kept.push_back((first, last));
        }
        if end > NUMBER_MAX { Err(NotCanonical) } else { Ok(Self { through, ranges: kept }) }
    }

    /// All numbers up to and including this one are in the set.
    pub(crate) fn through(&self) -> u64 {
        self.through
    }

    /// The ranges above the watermark, ascending: with [`Self::through`], the body of an ACK.
    pub(crate) fn ranges(&self) -> impl ExactSizeIterator<Item = (u64, u64)> + '_ {
        self.ranges.iter().copied()
    }

    /// The highest number in the set, 0 if it is empty.
    pub(crate) fn highest(&self) -> u64 {
        self.ranges.back().map_or(self.through, |(_, last)| *last)
    }

    pub(crate) fn contains(&self, number: u64) -> bool {
        if number <= self.through {
            return number > 0;
        }
        let after = self.ranges.partition_point(|(first, _)| *first <= number);
        let range = after.checked_sub(1).and_then(|index| self.ranges.get(index));
        range.is_some_and(|(_, last)| number <= *last)
    }

    /// Adds a number from 1 to [`NUMBER_MAX`]; `false` if it was there.
    pub(crate) fn insert(&mut self, number: u64) -> bool {
        if number == self.through.saturating_add(1) && self.ranges.is_empty() {
            self.through = number;
            return true;
        }
        let new = number > 0 && !self.contains(number);
        if new {
            self.add(number, number);
        }
        new
    }

    /// Adds a span of numbers, in the number of ranges.
    pub(crate) fn add(&mut self, first: u64, last: u64) {
        debug_assert!(first > 0 && last <= NUMBER_MAX, "numbers are from 1");
        if first <= self.through.saturating_add(1) {
            self.through = self.through.max(last);
            self.absorb();
            return;
        }
        // Those that overlap or touch the span become one with it.
        let from = self.ranges.partition_point(|(_, end)| end.saturating_add(1) < first);
        let to = self.ranges.partition_point(|(start, _)| *start <= last.saturating_add(1));
        let low = self.ranges.get(from).filter(|_| from < to).map_or(first, |range| range.0);
        let high = to.checked_sub(1).filter(|_| from < to);
        let high = high.and_then(|index| self.ranges.get(index)).map_or(last, |range| range.1);
        let merged = (low.min(first), high.max(last));
        if to == from + 1
            && let Some(range) = self.ranges.get_mut(from)
        {
            *range = merged;
        } else if from == to {
            self.ranges.insert(from, merged);
        } else {
            self.ranges.drain(from..to);
            self.ranges.insert(from, merged);
        }
    }

    /// Takes a number out.
    pub(crate) fn remove(&mut self, number: u64) {
        if number == 0 || !self.contains(number) {
            return;
        }
        let (first, last) = if number <= self.through {
            let last = self.through;
            self.through = number - 1;
            (number, last)
        } else {
            let after = self.ranges.partition_point(|(first, _)| *first <= number);
            let index = after.saturating_sub(1);
            let Some((first, last)) = self.ranges.remove(index) else { return };
            if first < number {
                self.ranges.insert(index, (first, number - 1));
            }
            (number, last)
        };
        if first < last {
            let index = self.ranges.partition_point(|(start, _)| *start <= first);
            self.ranges.insert(index, (first + 1, last));
        }
    }

    /// The spans of `first..=last` that are not in the set, ascending.
    pub(crate) fn missing(&self, first: u64, last: u64) -> impl Iterator<Item = (u64, u64)> + '_ {
        let mut at = first.max(self.through.saturating_add(1));
        let from = self.ranges.partition_point(|(_, end)| *end < at);
        let ends = self.ranges.range(from..).copied().chain([(u64::MAX, u64::MAX)]);
        ends.map_while(move |(start, end)| {
            if at > last {
                return None;
            }
            let gap = (at, last.min(start.saturating_sub(1)));
            at = end.saturating_add(1);
            Some(gap)
        })
        .filter(|(first, last)| first <= last)
    }

    /// The lower part of the set, with as many ranges as a frame holds.
    pub(crate) fn head(&self) -> Self {
        let ranges = self.ranges.iter().take(NUMBER_RANGES).copied().collect();
        Self { through: self.through, ranges }
    }

    /// Lets the watermark take the ranges that it reaches.
    fn absorb(&mut self) {
        while let Some((first, last)) = self.ranges.front().copied()
            && first.saturating_sub(1) <= self.through
        {
            self.through = self.through.max(last);
            self.ranges.pop_front();
        }
    }

    /// The spans of the set, ascending: at most one from 1, then the ranges.
    pub(crate) fn spans(&self) -> impl Iterator<Item = RangeInclusive<u64>> + '_ {
        let first = (self.through > 0).then_some(1..=self.through);
        first.into_iter().chain(self.ranges.iter().map(|(first, last)| *first..=*last))
    }
}

impl fmt::Debug for Numbers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.spans()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_in_order_need_no_range() {
        let mut numbers = Numbers::new();
        for number in 1..=1_000 {
            assert!(numbers.insert(number));
        }
        assert_eq!((numbers.through(), numbers.ranges().len()), (1_000, 0));
        assert!(!numbers.insert(1_000));
        assert!(!numbers.contains(1_001));
    }

    #[test]
    fn zero_is_no_number() {
        let mut numbers = Numbers::new();
        assert!(!numbers.insert(0));
        numbers.insert(1);
        assert!(!numbers.contains(0));
    }

    #[test]
    fn a_filled_hole_joins_what_it_lay_between() {
        let mut numbers = of(&[2, 3, 5, 6, 9]);
        assert_eq!(numbers.ranges().collect::<Vec<_>>(), [(2, 3), (5, 6), (9, 9)]);
        numbers.insert(4);
        assert_eq!(numbers.ranges().collect::<Vec<_>>(), [(2, 6), (9, 9)]);
        numbers.insert(1);
        assert_eq!(numbers.ranges().collect::<Vec<_>>(), [(9, 9)]);
        assert_eq!((numbers.through(), numbers.highest()), (6, 9));
    }

    #[test]
    fn a_frame_holds_the_lowest_ranges() {
        let scattered: Vec<u64> = (1..=NUMBER_RANGES as u64 + 9).map(|n| 2 * n + 1).collect();
        let mut numbers = of(&scattered);
        numbers.insert(1);
        let head = numbers.head();
        assert_eq!((head.through(), head.ranges().len()), (1, NUMBER_RANGES));
        assert!(head.spans().flatten().all(|number| numbers.contains(number)));
        assert_eq!(head.highest(), 2 * NUMBER_RANGES as u64 + 1);
    }

    #[test]
    fn the_last_number_does_no_harm() {
        let mut numbers = of(&[NUMBER_MAX]);
        assert!(numbers.contains(NUMBER_MAX));
        assert_eq!(numbers.missing(1, NUMBER_MAX).collect::<Vec<_>>(), [(1, NUMBER_MAX - 1)]);
        numbers.add(1, NUMBER_MAX);
        assert_eq!((numbers.through(), numbers.ranges().len()), (NUMBER_MAX, 0));
    }

    #[test]
    fn each_set_has_one_form() {
        assert!(Numbers::from_parts(3, [(5, 5), (7, 9)]).is_ok());
        let bad: [&[(u64, u64)]; 7] = [
            &[(4, 5)],
            &[(3, 5)],
            &[(6, 5)],
            &[(5, 6), (7, 8)],
            &[(7, 8), (5, 5)],
            &[(5, NUMBER_MAX + 1)],
            &[(0, 0)],
        ];
        for ranges in bad {
            let parts = Numbers::from_parts(3, ranges.iter().copied());
            assert_eq!(parts, Err(NotCanonical), "{ranges:?}");
        }
        assert_eq!(Numbers::from_parts(0, [(1, 1)]), Err(NotCanonical));
        assert_eq!(Numbers::from_parts(NUMBER_MAX + 1, []), Err(NotCanonical));
    }

    proptest! {
        #[test]
        fn a_set_of_numbers_is_a_set_of_numbers(
            steps in prop::collection::vec((0u8..4, 1u64..80, 0u64..9), 0..120),
        ) {
            let mut numbers = Numbers::new();
            let mut naive = BTreeSet::new();
            for (step, number, more) in steps {
                match step {
                    0 => {
                        numbers.remove(number);
                        naive.remove(&number);
                    }
                    1 => {
                        numbers.add(number, number + more);
                        naive.extend(number..=number + more);
                    }
                    _ => prop_assert_eq!(numbers.insert(number), naive.insert(number)),
                }
                let parts = Numbers::from_parts(numbers.through(), numbers.ranges());
                prop_assert_eq!(parts.as_ref(), Ok(&numbers));
            }
            for number in 0..100 {
                prop_assert_eq!(numbers.contains(number), naive.contains(&number), "{}", number);
            }
            let spelled: BTreeSet<u64> = numbers.spans().flatten().collect();
            prop_assert_eq!(&spelled, &naive);
            prop_assert_eq!(numbers.highest(), naive.last().copied().unwrap_or(0));
        }

        #[test]
        fn what_is_missing_is_not_there(
            inserts in prop::collection::vec(1u64..60, 0..60),
            first in 1u64..60,
            more in 0u64..30,
        ) {
            let numbers = of(&inserts);
            let missing: Vec<u64> =
                numbers.missing(first, first + more).flat_map(|(a, b)| a..=b).collect();
            let naive: Vec<u64> =
                (first..=first + more).filter(|number| !inserts.contains(number)).collect();
            prop_assert_eq!(missing, naive);
        }
    }

    fn of(numbers: &[u64]) -> Numbers {
        let mut set = Numbers::new();
        numbers.iter().for_each(|number| _ = set.insert(*number));
        set
    }
}
