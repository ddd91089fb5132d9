//! How much bulk may be unacknowledged, so that the buffers of sockets, relays and load balancers do
//! not build the queue again that priorities need. Knows sums of bytes and times; no message.
//!
//! The bound of a class follows what the path carried of it: the measured rate for one round trip
//! of the unloaded path and [`IN_FLIGHT_TIME`] more. So a standing queue of bulk takes about 50 ms
//! in each class, whatever the rate, and a long path is still filled. It is measured once a round trip, with
//! acknowledgements; grows at most twofold a round trip; and shrinks only if it was what held the
//! class back. After silence it begins with what the path carries in [`IN_FLIGHT_TIME`], as what
//! goes at once stands in the buffers. Every [`IN_FLIGHT_PROBE_TIME`], and ten times as often at the least bound,
//! one message is sent alone and measured, as the bound's own queue would else be taken for the
//! path's length. A new path is filled by doubling, which may once make a queue of a round trip.

use std::time::Duration;

use crate::limits::{
    IN_FLIGHT_BYTES_MAX, IN_FLIGHT_BYTES_MIN, IN_FLIGHT_PROBE_TIME, IN_FLIGHT_TIME,
};
use crate::priority::Class;
use crate::time::Instant;

/// Unacknowledged bulk. Classes above normal are not bounded here.
#[derive(Debug, Default)]
pub(crate) struct InFlight {
    normal: Flight,
    low: Flight,
}

impl InFlight {
    /// Whether a message or a piece of one may be sent now, of whatever size: the last that goes may
    /// exceed the bound, else large ones would leave room that the path has.
    pub(crate) fn has_room(&mut self, class: Class) -> bool {
        self.flight(class).is_none_or(Flight::has_room)
    }

    /// So many bytes that will be acknowledged were sent.
    pub(crate) fn sent(&mut self, now: Instant, class: Class, bytes: usize) {
        if let Some(flight) = self.flight(class) {
            flight.sent(now, bytes as u64);
        }
    }

    /// So many bytes more were acknowledged, or will never be. RECEIVED counts: an application that
    /// is slow to handle them says nothing of the path.
    pub(crate) fn acknowledged(&mut self, now: Instant, class: Class, bytes: usize) {
        if let Some(flight) = self.flight(class) {
            flight.acknowledged(now, bytes as u64);
        }
    }

    /// What of a class may be under way, if that is bounded.
    pub(crate) fn bound_bytes(&self, class: Class) -> Option<u64> {
        match class {
            Class::Normal => Some(self.normal.bound),
            Class::Low => Some(self.low.bound),
            Class::Control | Class::Critical | Class::High => None,
        }
    }

    /// The session is gone, and with it what was under way. What is known of the path may be wrong.
    pub(crate) fn reset(&mut self) {
        *self = Self::default();
    }

    fn flight(&mut self, class: Class) -> Option<&mut Flight> {
        match class {
            Class::Normal => Some(&mut self.normal),
            Class::Low => Some(&mut self.low),
            Class::Control | Class::Critical | Class::High => None,
        }
    }
}

/// One round trip that is being measured.
#[derive(Clone, Copy, Debug)]
struct Round {
    since: Instant,
    /// Acknowledged when it began. `None` if nothing was under way: then more was sent after the mark
    /// than before, and the round says how long the path is but not what it carries.
    acknowledged: Option<u64>,
    /// What has to be acknowledged for it to end.
    mark: u64,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Phase {
    /// The bound doubles until the path is seen to be full.
    Starting,
    /// As much goes as the bound allows.
    Filling,
    /// Nothing goes until all is acknowledged, then one goes alone.
    Probing,
}

/// Totals of one class, and what was learned.
#[derive(Debug)]
struct Flight {
    sent: u64,
    acknowledged: u64,
    bound: u64,
    /// What the path carries in [`IN_FLIGHT_TIME`]: what may go at once into empty buffers.
    burst: u64,
    /// Whether the bound held something back in this round.
    held_back: bool,
    round: Option<Round>,
    /// The round trip of the path without a queue.
    shortest: Option<Duration>,
    /// When that was last measured with nothing else under way.
    probed: Option<Instant>,
    phase: Phase,
}

impl Default for Flight {
    fn default() -> Self {
        Self {
            sent: 0,
            acknowledged: 0,
            bound: MIN,
            held_back: false,
            round: None,
            shortest: None,
            probed: None,
            phase: Phase::Starting,
            burst: MIN,
        }
    }
}

impl Flight {
    fn has_room(&mut self) -> bool {
        let room = self.sent - self.acknowledged < self.bound;
        self.held_back |= !room;
        room
    }

    fn sent(&mut self, now: Instant, bytes: u64) {
        let idle = self.sent == self.acknowledged;
        if idle {
            self.bound = self.bound.min(self.burst);
        }
        let acknowledged = (!idle).then_some(self.acknowledged);
        self.sent = self.sent.saturating_add(bytes);
        // From one that was sent until it is acknowledged, as much passes as was under way with it.
        let mark = self.sent;
        self.round.get_or_insert(Round { since: now, acknowledged, mark });
        self.probed.get_or_insert(now);
    }

    fn acknowledged(&mut self, now: Instant, bytes: u64) {
        self.acknowledged = self.acknowledged.saturating_add(bytes).min(self.sent);
        if let Some(round) = self.round.take_if(|round| round.mark <= self.acknowledged) {
            self.learn(now, round);
            self.held_back = false;
        }
    }

    fn learn(&mut self, now: Instant, round: Round) {
        let took = now.since(round.since).max(SHORTEST);
        if self.phase == Phase::Probing {
            // At the least bound it cannot be this side's own bulk that made the path slow.
            self.phase = if self.burst == MIN { Phase::Starting } else { Phase::Filling };
            (self.bound, self.shortest, self.probed) = (self.burst, Some(took), Some(now));
            return;
        }
        let shortest = self.shortest.map_or(took, |shortest| shortest.min(took));
        self.shortest = Some(shortest);
        let Some(before) = round.acknowledged else { return };
        let carried = u128::from(self.acknowledged - before);
        let in_time = |time: Duration| {
            u64::try_from(carried * time.as_nanos() / took.as_nanos()).unwrap_or(MAX)
        };
        let mut wanted = in_time(shortest + IN_FLIGHT_TIME);
        if took >= shortest + IN_FLIGHT_TIME / 2 {
            self.phase = Phase::Filling;
        } else if self.phase == Phase::Starting && self.held_back {
            wanted = wanted.max(self.bound * 2);
        }
        if wanted > self.bound || self.held_back {
            self.bound = wanted.min(self.bound * 2).clamp(MIN, MAX);
            self.burst = in_time(IN_FLIGHT_TIME).clamp(MIN, MAX);
        }
        let interval = IN_FLIGHT_PROBE_TIME / if self.bound == MIN { 10 } else { 1 };
        if self.probed.is_some_and(|probed| now.since(probed) >= interval) {
            self.phase = Phase::Probing;
            self.bound = 1;
        }
    }
}

const MIN: u64 = IN_FLIGHT_BYTES_MIN as u64;
const MAX: u64 = IN_FLIGHT_BYTES_MAX as u64;
/// Below this the clock says too little.
const SHORTEST: Duration = Duration::from_micros(10);

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    const KIB: u64 = 1024;

    #[test]
    fn two_records_may_always_be_under_way() {
        for class in [Class::Normal, Class::Low] {
            let mut in_flight = InFlight::default();
            for _ in 0..2 {
                assert!(in_flight.has_room(class));
                in_flight.sent(at(0), class, 16 << 10);
            }
            assert!(!in_flight.has_room(class));
            in_flight.acknowledged(at(1), class, 1);
            assert!(in_flight.has_room(class));
        }
    }

    #[test]
    fn classes_are_bounded_apart_and_the_urgent_ones_not_at_all() {
        let mut in_flight = InFlight::default();
        in_flight.sent(at(0), Class::Low, 1 << 20);
        assert!(!in_flight.has_room(Class::Low));
        assert!(in_flight.has_room(Class::Normal));
        for class in [Class::Control, Class::Critical, Class::High] {
            in_flight.sent(at(0), class, 1 << 30);
            assert!(in_flight.has_room(class));
            in_flight.acknowledged(at(1), class, 1);
            assert_eq!(in_flight.bound_bytes(class), None);
        }
    }

    #[test]
    fn more_than_was_sent_is_never_acknowledged() {
        let mut in_flight = InFlight::default();
        in_flight.sent(at(0), Class::Low, 10);
        in_flight.acknowledged(at(1), Class::Low, usize::MAX);
        in_flight.acknowledged(at(2), Class::Low, usize::MAX);
        in_flight.sent(at(3), Class::Low, 32 << 10);
        assert!(!in_flight.has_room(Class::Low));
    }

    #[test]
    fn a_new_session_has_nothing_under_way() {
        let mut in_flight = InFlight::default();
        in_flight.sent(at(0), Class::Low, 1 << 20);
        in_flight.reset();
        assert!(in_flight.has_room(Class::Low));
    }

    #[test]
    fn a_sender_that_is_not_held_back_keeps_what_was_learned() {
        let path = Path { bytes_per_second: 12_500_000, there_and_back: Duration::from_millis(20) };
        let mut run = Run::new(path);
        run.bulk_until(5_000);
        run.acknowledge_all();
        run.send_one();
        let bound = run.bound();
        assert!(bound > 500 * KIB, "{bound}");
        for turn in 0..40 {
            run.now = run.now.after(Duration::from_millis(100));
            run.acknowledge_all();
            run.send_one();
            assert!(run.bound() >= bound, "{turn}: {} below {bound}", run.bound());
        }
    }

    #[test]
    fn after_silence_no_more_goes_at_once_than_the_path_takes_in_50_ms() {
        let path =
            Path { bytes_per_second: 12_500_000, there_and_back: Duration::from_millis(100) };
        let mut run = Run::new(path);
        run.bulk_until(5_000);
        assert!(run.bound() > 1_500 * KIB, "{}", run.bound());
        run.now = run.now.after(Duration::from_secs(1));
        run.acknowledge_all();
        run.worst = Duration::ZERO;
        run.bulk_until(6_200);
        assert!(run.worst <= Duration::from_millis(55), "{:?}", run.worst);
    }

    /// 10 Mbit/s and the path of a relay: DESIGN, "Priorities are void unless buffers are capped".
    #[test]
    fn bulk_stands_for_50_ms_more_than_the_path_takes_and_fills_it() {
        for (bytes_per_second, millis) in
            [(1_250_000, 1), (1_250_000, 100), (12_500_000, 5), (12_500_000, 80), (60_000_000, 150)]
        {
            let there_and_back = Duration::from_millis(millis);
            let mut run = Run::new(Path { bytes_per_second, there_and_back });
            run.bulk_until(5_000);
            run.worst = Duration::ZERO;
            let before = run.done;
            run.bulk_until(30_000);
            let sent = (run.done - before) * 1_000 / 25_000;
            // One piece is on the path itself while it is measured.
            let piece = Duration::from_nanos(16 * KIB * 1_000_000_000 / bytes_per_second);
            let most = IN_FLIGHT_TIME + 2 * piece + Duration::from_millis(10);
            assert!(
                run.worst <= most,
                "{:?} above {most:?} at {bytes_per_second}, {millis} ms",
                run.worst
            );
            assert!(
                sent * 100 >= bytes_per_second * 90,
                "{sent} of {bytes_per_second}, {millis} ms"
            );
        }
    }

    #[test]
    fn the_bound_follows_a_path_that_becomes_slower_or_longer() {
        let mut run = Run::new(Path {
            bytes_per_second: 12_500_000,
            there_and_back: Duration::from_millis(5),
        });
        run.bulk_until(5_000);
        run.path.bytes_per_second = 1_250_000;
        run.bulk_until(10_000);
        run.worst = Duration::ZERO;
        run.bulk_until(12_000);
        assert!(run.worst <= Duration::from_millis(90), "{:?}", run.worst);
        run.path =
            Path { bytes_per_second: 12_500_000, there_and_back: Duration::from_millis(200) };
        run.bulk_until(30_000);
        let before = run.done;
        run.bulk_until(40_000);
        let sent = (run.done - before) / 10;
        assert!(sent >= 11_000_000, "{sent}");
    }

    #[derive(Clone, Copy)]
    struct Path {
        bytes_per_second: u64,
        there_and_back: Duration,
    }

    /// A sender of 16 KiB pieces over a path with a buffer that takes anything.
    struct Run {
        in_flight: InFlight,
        path: Path,
        now: Instant,
        /// When the buffer is empty.
        free: Instant,
        under_way: VecDeque<Instant>,
        done: u64,
        /// The longest that a piece stood in the buffer.
        worst: Duration,
    }

    impl Run {
        fn new(path: Path) -> Self {
            Self {
                in_flight: InFlight::default(),
                path,
                now: at(0),
                free: at(0),
                under_way: VecDeque::new(),
                done: 0,
                worst: Duration::ZERO,
            }
        }

        fn bulk_until(&mut self, millis: u64) {
            while self.now < at(millis) {
                while self.in_flight.has_room(Class::Low) {
                    self.send_one();
                }
                let Some(arrival) = self.under_way.pop_front() else { return };
                self.now = self.now.max(arrival);
                self.acknowledge();
            }
        }

        fn send_one(&mut self) {
            self.in_flight.sent(self.now, Class::Low, 16 << 10);
            let begins = self.free.max(self.now);
            self.worst = self.worst.max(begins.since(self.now));
            let takes = 16 * KIB * 1_000_000_000 / self.path.bytes_per_second;
            self.free = begins.after(Duration::from_nanos(takes));
            self.under_way.push_back(self.free.after(self.path.there_and_back));
        }

        fn acknowledge(&mut self) {
            self.done += 16 * KIB;
            self.in_flight.acknowledged(self.now, Class::Low, 16 << 10);
        }

        fn acknowledge_all(&mut self) {
            while self.under_way.pop_front().is_some() {
                self.acknowledge();
            }
        }

        fn bound(&self) -> u64 {
            self.in_flight.bound_bytes(Class::Low).unwrap()
        }
    }

    fn at(millis: u64) -> Instant {
        Instant::from_nanos(millis * 1_000_000)
    }
}
