//! How long an agent waits before it dials again. Knows no clock and no peer.

use std::time::Duration;

use crate::limits::{RECONNECT_BASE, RECONNECT_FIRST, RECONNECT_MAX};
use crate::time::spread;

/// When a link that lost its session dials again: after a random part of a span that doubles with each
/// failure in a row, so that a fleet does not come back at once.
///
/// A peer that says when to come back is heeded before this.
///
/// ```
/// use std::time::Duration;
/// use waxwire::Reconnect;
///
/// let patient = Reconnect::new()
///     .with_first(Duration::from_secs(30))
///     .with_backoff(Duration::from_secs(5), Duration::from_secs(600));
/// # let _ = patient;
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Reconnect {
    first: Duration,
    base: Duration,
    max: Duration,
    attempts: Option<u32>,
}

impl Default for Reconnect {
    fn default() -> Self {
        Self { first: RECONNECT_FIRST, base: RECONNECT_BASE, max: RECONNECT_MAX, attempts: None }
    }
}

impl Reconnect {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The longest wait after the loss of a session that lived. Default 5 s.
    #[must_use]
    pub fn with_first(mut self, span: Duration) -> Self {
        self.first = span;
        self
    }

    /// The longest wait after the first failure in a row, doubled after each further one, and the most it
    /// grows to. Default 1 s and 60 s.
    #[must_use]
    pub fn with_backoff(mut self, base: Duration, max: Duration) -> Self {
        (self.base, self.max) = (base, max);
        self
    }

    /// Failures in a row after which the link gives up. Default: never.
    #[must_use]
    pub fn with_attempts(mut self, attempts: u32) -> Self {
        self.attempts = Some(attempts);
        self
    }

    /// How long to wait after so many failures in a row; `None` to give up.
    pub(super) fn wait(&self, failures: u32, seed: u64) -> Option<Duration> {
        if self.attempts.is_some_and(|attempts| failures >= attempts) {
            return None;
        }
        let Some(doublings) = failures.checked_sub(1) else { return Some(part(self.first, seed)) };
        let factor = 1_u32.checked_shl(doublings).unwrap_or(u32::MAX);
        Some(part(self.base.saturating_mul(factor).min(self.max), seed))
    }
}

/// A random part of a span.
pub(super) fn part(span: Duration, seed: u64) -> Duration {
    // Thousandths are fine enough to spread a fleet, and never overflow.
    let thousandths = u32::try_from(spread(seed) % 1_001).unwrap_or(0);
    span / 1_000 * thousandths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_most_and_are_spread_over_all_of_it() {
        let plan = Reconnect::new();
        for (failures, most) in [(0, 5), (1, 1), (2, 2), (3, 4), (6, 32), (7, 60), (40, 60)] {
            let waits = (0..500).map(|seed| plan.wait(failures, seed).unwrap());
            let (least, longest) = waits
                .fold((Duration::MAX, Duration::ZERO), |(least, longest), wait| {
                    (least.min(wait), longest.max(wait))
                });
            let most = Duration::from_secs(most);
            assert!(longest <= most, "{failures}: {longest:?}");
            assert!(longest > most / 10 * 9 && least < most / 10, "{failures}: {least:?}");
        }
    }

    #[test]
    fn attempts_can_be_counted() {
        let plan = Reconnect::new().with_attempts(2);
        assert!(plan.wait(1, 7).is_some());
        assert_eq!(plan.wait(2, 7), None);
    }
}
