//! Everything is repaired: what waits must come to rest, and the links must work as new ones do.

use std::time::Duration;

use super::work::CLASSES;
use super::world::{Phase, World, note};
use crate::delivery::outbox::{Doubt, Seen};
use crate::link::{Fate, Publish, Reliability, State};
use crate::priority::Class;

/// Until all that happened before has come to rest: a dead connection is noticed after 60 s.
const REST: Duration = Duration::from_secs(240);
/// Until what is published then is settled. Below the time of heartbeats, so that no link lives on
/// those.
const PROMPT: Duration = Duration::from_secs(5);
/// Rounds of messages at the end: more than any window lets through at once.
const ROUNDS: usize = 12;

impl World {
    pub(super) fn heal(&mut self) {
        note!(self, "healed");
        self.phase = Phase::Healed;
        self.quiet_until = self.now;
        for process in 0..self.processes.len() {
            self.processes[process].disk.full_until = self.now;
        }
        for conn in self.conns.values_mut() {
            conn.latency = Duration::from_millis(5);
            conn.rate = 100_000_000;
        }
        for process in 0..self.processes.len() {
            self.begin_write(process);
        }
        let awake = self.processes.iter().map(|it| it.sleeps_until).max().unwrap_or(self.now);
        self.rest(awake.max(self.now).since(self.now) + REST);
        for end in 0..self.ends.len() {
            let (agent, side) = (end / 2, end % 2);
            self.subscribe_anew(end, agent, side);
        }
        self.rest(PROMPT);
        for _ in 0..ROUNDS {
            for end in 0..self.ends.len() {
                self.probe(end);
            }
            self.rest(PROMPT);
        }
        self.check_urgency();
        self.judge();
        self.judge_orders();
        self.part();
    }

    /// Each end listens to everything, by one subscription.
    fn subscribe_anew(&mut self, end: usize, agent: usize, side: usize) {
        for id in self.ends[end].subscribed.clone() {
            self.ends[end].unsubscribe(id);
        }
        self.subscribe(end, super::end::heard(agent, side, None));
        self.pump(end);
    }

    /// Time passes until nothing waits any more, and no longer than this.
    fn rest(&mut self, span: Duration) {
        let by = self.now.after(span);
        let mut idle = 0;
        loop {
            let until = self.now.after(Duration::from_millis(100));
            while self.now < until {
                self.step();
            }
            let waiting = self.what_waits();
            // What was said last has to arrive.
            idle = if waiting.is_empty() { idle + 1 } else { 0 };
            if idle == 2 {
                return;
            }
            assert!(self.now < by, "no progress after {span:?}: {waiting:?}");
        }
    }

    fn what_waits(&self) -> Vec<String> {
        let mut waiting = Vec::new();
        for (end, it) in self.ends.iter().enumerate() {
            if it.state() != State::Connected {
                waiting.push(format!("end {end} is {:?}", it.state()));
            } else if !it.is_idle() || !it.working.is_empty() {
                let (ids, asked) = (&it.ids, &it.asked);
                let gauges = it.gauges();
                waiting.push(format!("end {end} waits for {ids:?}, {asked:?}, {gauges:?}"));
            }
        }
        for (number, conn) in &self.conns {
            let ends = [2 * conn.agent, 2 * conn.agent + 1];
            let is_used = ends.iter().any(|end| self.ends[*end].conn == Some(*number));
            if is_used && conn.lanes.iter().any(|lane| lane.is_dead) {
                waiting.push(format!("nobody noticed that connection {number} is dead"));
            }
        }
        for (id, ordered) in self.open_orders() {
            waiting.push(format!("{id:?} has no end: {ordered:?}"));
        }
        let now = self.now;
        let busy = self.processes.iter();
        let busy =
            busy.filter(|it| !it.is_up || it.sleeps_until > now || !it.disk.waiting.is_empty());
        if busy.count() > 0 {
            waiting.push("a process sleeps, or its disk works".to_owned());
        }
        waiting
    }

    /// A few messages of all kinds, and a question.
    fn probe(&mut self, end: usize) {
        let count = 1 + self.dice.roll(3);
        for _ in 0..count {
            let bytes = if self.dice.once_in(30) { 40_000 } else { self.dice.pick(300) };
            let reliability = match self.dice.roll(5) {
                0 => Reliability::BestEffort,
                _ => Reliability::AtLeastOnce,
            };
            let class = self.dice.one_of(CLASSES);
            let publish = self.late(end, class, reliability);
            let taken = self.publish_this(end, publish, bytes);
            assert!(taken, "an empty link has room");
        }
        if self.dice.once_in(4) {
            self.ask(end);
        }
        if self.dice.once_in(4) {
            self.order(end);
        }
        self.pump(end);
    }

    fn late(&mut self, end: usize, class: Class, reliability: Reliability) -> Publish {
        Publish {
            channel: self.ends[end].channel("threats"),
            payload: bytes::Bytes::new(),
            headers: None,
            class,
            ttl: None,
            reliability,
            doubt: Doubt::SendAgain,
        }
    }

    /// What waits together leaves by urgency, however it came.
    fn check_urgency(&mut self) {
        for end in 0..self.ends.len() {
            let each = (self.ends[end].terms().window.messages / 4).min(6);
            for class in CLASSES.into_iter().rev() {
                for _ in 0..each {
                    let publish = self.late(end, class, Reliability::BestEffort);
                    let taken = self.publish_this(end, publish, 100);
                    assert!(taken, "an empty link has room");
                }
            }
            self.urgency = Some((end ^ 1, Class::Control));
            self.pump(end);
            self.rest(PROMPT);
            let (_, last) = self.urgency.take().unwrap_or((end, Class::Control));
            assert_eq!(last, Class::Low, "the least urgent comes last to end {}", end ^ 1);
        }
    }

    fn judge(&mut self) {
        for (id, message) in self.ledger.iter() {
            let process = &self.processes[self.process_of(message.from)];
            let kept = match process.rows {
                None => message.life == process.life,
                Some(_) => message.life == process.life || message.is_stored,
            };
            if !kept {
                continue;
            }
            // A fate that a crash undid may be another one the next time.
            let is_untouched = message.life == process.life
                && matches!(
                    message.fate,
                    Some(Fate::NoSubscriber | Fate::Expired(Seen::Never) | Fate::Dropped)
                );
            let is_handled = !message.effects.is_empty();
            assert!(!(is_untouched && is_handled), "{id} was sent, and is {:?}", message.fate);
            let is_done = message.fate.is_some() || !message.effects.is_empty();
            assert!(is_done || message.is_refused, "{id} was kept, and nothing became of it");
        }
    }

    /// Agents part from the backend with something to say still: it is heard before they go.
    fn part(&mut self) {
        for agent in 0..self.agents {
            let publish = self.late(2 * agent, Class::Normal, Reliability::AtLeastOnce);
            self.publish_this(2 * agent, publish, 500);
            let clock = self.local(agent);
            let by = clock.instant.after(PROMPT);
            self.ends[2 * agent].drain(clock, by);
            self.dialers[agent].is_dialling = true;
            self.pump(2 * agent);
        }
        let by = self.now.after(PROMPT / 2);
        while self.now < by {
            self.step();
        }
        for agent in 0..self.agents {
            let it = &self.ends[2 * agent];
            assert_eq!(it.state(), State::Closed, "agent {agent} does not come to its end");
            assert!(
                it.ids.is_empty() && it.asked.is_empty(),
                "agent {agent} leaves {:?} behind",
                it.ids
            );
        }
    }
}
