//! Which class may send how much before the others had their share. Deficit round robin by bytes,
//! in rounds. Knows no entry.
//!
//! In each round critical may send 8 quanta, high 4, normal 2, low 1. A class whose share is not
//! used up sends the entry it is at, and carries what that took beyond the share into the next
//! round as a debt. A round ends when no waiting class has share left; what was not used is lost,
//! so idleness is not hoarded.

use super::per_class::PerClass;
use crate::limits::{QUEUE_COST_BYTES, QUEUE_QUANTUM_BYTES};
use crate::priority::Class;

/// What each class may still send in this round. Control is not counted.
#[derive(Debug)]
pub(super) struct Shares {
    left: PerClass<i64>,
}

impl Shares {
    /// A round in which nothing was sent.
    pub(super) fn new() -> Self {
        Self { left: PerClass::from_fn(full) }
    }

    #[inline]
    pub(super) fn has(&self, class: Class) -> bool {
        *self.left.get(class) > 0
    }

    /// `bytes` of `class` were sent.
    #[inline]
    pub(super) fn charge(&mut self, class: Class, bytes: usize) {
        let cost = u32::try_from(bytes.max(QUEUE_COST_BYTES)).unwrap_or(u32::MAX);
        *self.left.get_mut(class) -= i64::from(cost);
    }

    /// Begins as many rounds as the first of `waiting` needs to have share again.
    pub(super) fn refill(&mut self, waiting: impl Iterator<Item = Class>) {
        let rounds = |class| {
            let missing = (1 - *self.left.get(class)).max(0);
            missing / full(class) + i64::from(missing % full(class) > 0)
        };
        let rounds = waiting.map(rounds).min().unwrap_or(0);
        for class in Class::ALL {
            let left = self.left.get_mut(class);
            *left = left.saturating_add(rounds * full(class)).min(full(class));
        }
    }
}

/// Bytes of a whole share.
fn full(class: Class) -> i64 {
    let weight = match class {
        Class::Control | Class::Critical => 8,
        Class::High => 4,
        Class::Normal => 2,
        Class::Low => 1,
    };
    weight * QUEUE_QUANTUM_BYTES as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_gives_eight_four_two_one() {
        let mut shares = Shares::new();
        for (class, quanta) in
            [(Class::Critical, 8), (Class::High, 4), (Class::Normal, 2), (Class::Low, 1)]
        {
            for _ in 0..quanta {
                assert!(shares.has(class), "{class:?}");
                shares.charge(class, QUEUE_QUANTUM_BYTES);
            }
            assert!(!shares.has(class), "{class:?}");
        }
    }

    #[test]
    fn what_was_taken_beyond_the_share_is_owed() {
        let mut shares = Shares::new();
        shares.charge(Class::Low, 3 * QUEUE_QUANTUM_BYTES);
        let waiting = || [Class::Low, Class::Normal].into_iter();
        shares.charge(Class::Normal, 2 * QUEUE_QUANTUM_BYTES);
        shares.refill(waiting());
        assert!(!shares.has(Class::Low) && shares.has(Class::Normal));
        shares.charge(Class::Normal, 2 * QUEUE_QUANTUM_BYTES);
        shares.refill(waiting());
        assert!(!shares.has(Class::Low));
        shares.charge(Class::Normal, 2 * QUEUE_QUANTUM_BYTES);
        shares.refill(waiting());
        assert!(shares.has(Class::Low));
    }

    #[test]
    fn a_share_that_was_not_used_is_lost() {
        let mut shares = Shares::new();
        for _ in 0..10 {
            shares.refill([Class::Low].into_iter());
            shares.charge(Class::Low, QUEUE_QUANTUM_BYTES);
        }
        assert_eq!(*shares.left.get(Class::High), full(Class::High));
    }

    #[test]
    fn a_great_debt_is_paid_in_one_step() {
        let mut shares = Shares::new();
        shares.charge(Class::Low, 1 << 40);
        shares.charge(Class::Low, usize::MAX);
        shares.charge(Class::Low, usize::MAX);
        shares.refill([Class::Low].into_iter());
        assert!(shares.has(Class::Low));
    }

    #[test]
    fn an_empty_message_costs_too() {
        let mut shares = Shares::new();
        let most = QUEUE_QUANTUM_BYTES / QUEUE_COST_BYTES;
        (0..most).for_each(|_| shares.charge(Class::Low, 0));
        assert!(!shares.has(Class::Low));
    }
}
