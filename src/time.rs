//! Time as the core is told it. Knows no clock: the runtime (or a test) reads one and passes it in.

use std::time::Duration;

/// A point on a clock that never jumps, as nanoseconds since an origin the caller chose.
///
/// Timers run on this clock only, so a change of the wall clock cannot end a session.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Instant(u64);

impl Instant {
    /// The point this many nanoseconds after the origin.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the origin.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// The point `span` later, or the last one there is.
    #[must_use]
    pub fn after(self, span: Duration) -> Self {
        let nanos = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(nanos))
    }

    /// How long ago `earlier` was; zero if it lies ahead.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// The number behind `state` in an even sequence (SplitMix64): spreads waits from a seed, so that many
/// sides do not move at once. Foreseeable; not for secrets.
pub(crate) const fn spread(state: u64) -> u64 {
    let state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    state ^ (state >> 31)
}

/// A point on the wall clock, in seconds since 1970. Credentials, stored chains and cookies are judged
/// by it; nothing of a session is.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct UnixTime(u64);

impl UnixTime {
    /// The point this many seconds after 1970.
    #[must_use]
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs)
    }

    /// Seconds since 1970.
    #[must_use]
    pub const fn as_secs(self) -> u64 {
        self.0
    }

    /// The point `span` later, whole seconds, or the last one there is.
    #[must_use]
    pub const fn after(self, span: Duration) -> Self {
        Self(self.0.saturating_add(span.as_secs()))
    }

    /// How long until `later`; zero if it has passed.
    #[must_use]
    pub const fn until(self, later: Self) -> Duration {
        Duration::from_secs(later.0.saturating_sub(self.0))
    }
}

/// Both clocks, read at one moment. A handshake needs both: the wall clock to judge credentials,
/// the steady one to turn their end into a timer.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Now {
    /// The steady clock.
    pub instant: Instant,
    /// The wall clock.
    pub unix: UnixTime,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_saturate_at_both_ends() {
        let start = Instant::from_nanos(10);
        let later = start.after(Duration::from_nanos(5));
        assert_eq!(later.as_nanos(), 15);
        assert_eq!(later.since(start), Duration::from_nanos(5));
        assert_eq!(start.since(later), Duration::ZERO);
        assert_eq!(start.after(Duration::MAX).as_nanos(), u64::MAX);
    }

    #[test]
    fn wall_time_counts_whole_seconds() {
        let start = UnixTime::from_secs(100);
        let later = start.after(Duration::from_millis(2_900));
        assert_eq!(later.as_secs(), 102);
        assert_eq!(start.until(later), Duration::from_secs(2));
        assert_eq!(later.until(start), Duration::ZERO);
        assert_eq!(UnixTime::from_secs(u64::MAX).after(Duration::from_secs(1)).as_secs(), u64::MAX);
    }
}
