//! Whether the peer is alive. Knows no frame: it says when to ask, and when to give up.

use crate::limits::{HEARTBEAT_JITTER_TENTHS, HEARTBEAT_TIME, LINK_DEAD_TIME};
use crate::time::{Instant, spread};

/// The silence of one session's peer.
#[derive(Debug)]
pub(super) struct Heartbeat {
    heard: Instant,
    ask: Instant,
    draw: u64,
}

/// What silence asks for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Pulse {
    Fine,
    /// A PING.
    Ask,
    Dead,
}

impl Heartbeat {
    /// A session begins. `seed` spreads the moments of many links.
    pub(super) fn new(now: Instant, seed: u64) -> Self {
        let mut heartbeat = Self { heard: now, ask: now, draw: seed };
        heartbeat.plan(now);
        heartbeat
    }

    /// When the peer was last heard.
    pub(super) fn heard(&self) -> Instant {
        self.heard
    }

    /// A record of the peer was opened.
    pub(super) fn hear(&mut self, now: Instant) {
        self.heard = now;
        self.plan(now);
    }

    pub(super) fn check(&mut self, now: Instant) -> Pulse {
        if now >= self.heard.after(LINK_DEAD_TIME) {
            return Pulse::Dead;
        }
        if now < self.ask {
            return Pulse::Fine;
        }
        self.plan(now);
        Pulse::Ask
    }

    pub(super) fn timeout(&self) -> Instant {
        self.ask.min(self.heard.after(LINK_DEAD_TIME))
    }

    fn plan(&mut self, from: Instant) {
        self.draw = spread(self.draw);
        // From 1 - j to 1 + j, in thousandths.
        let jitter = HEARTBEAT_JITTER_TENTHS * 100;
        let thousandths =
            1_000 - jitter + u32::try_from(self.draw % 1_000).unwrap_or(0) * 2 * jitter / 999;
        self.ask = from.after(HEARTBEAT_TIME / 1_000 * thousandths);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_peer_is_asked_between_27_and_33_seconds_of_silence_and_given_up_at_60() {
        let mut spread = std::collections::BTreeSet::new();
        for seed in 0..200 {
            let heartbeat = Heartbeat::new(Instant::default(), seed);
            let ask = heartbeat.timeout().since(Instant::default());
            assert!((Duration::from_secs(27)..=Duration::from_secs(33)).contains(&ask), "{ask:?}");
            spread.insert(ask);
        }
        assert!(spread.len() > 100, "{} different moments", spread.len());
        let mut heartbeat = Heartbeat::new(Instant::default(), 7);
        let at = |secs| Instant::default().after(Duration::from_secs(secs));
        assert_eq!(heartbeat.check(at(26)), Pulse::Fine);
        assert!(heartbeat.check(at(34)) == Pulse::Ask);
        assert_eq!(heartbeat.check(at(34)), Pulse::Fine);
        heartbeat.hear(at(35));
        assert_eq!(heartbeat.check(at(61)), Pulse::Fine);
        assert_eq!(heartbeat.check(at(95)), Pulse::Dead);
    }
}
