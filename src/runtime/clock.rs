//! The clocks of the process, as the core wants them.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::time::{Instant, Now, UnixTime};

/// A steady clock that began when this was made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock(tokio::time::Instant);

impl Clock {
    pub(crate) fn new() -> Self {
        Self(tokio::time::Instant::now())
    }

    pub(crate) fn instant(&self) -> Instant {
        let nanos = u64::try_from(self.0.elapsed().as_nanos());
        Instant::from_nanos(nanos.unwrap_or(u64::MAX))
    }

    pub(crate) fn now(&self) -> Now {
        Now { instant: self.instant(), unix: UnixTime::from_secs(wall()) }
    }

    /// The same point on tokio's clock, for its timers.
    pub(crate) fn at(&self, instant: Instant) -> tokio::time::Instant {
        self.0 + instant.since(Instant::default())
    }
}

/// Seconds since 1970.
fn wall() -> u64 {
    #[cfg(feature = "__fuzz")]
    if let Some(seconds) = super::simulated::wall() {
        return seconds;
    }
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
