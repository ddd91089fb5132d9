//! What applications do: publish, listen, ask, answer, and handle what comes, some of them slowly.

use std::time::Duration;

use bytes::Bytes;

use super::end::{Asked, heard};
use super::hear::id_of;
use super::world::{Happening, Phase, World, note};
use crate::call::{AnswerError, Answering, Ask, AskError, OnDetach, OnPeerLost};
use crate::channel::Pattern;
use crate::delivery::outbox::Doubt;
use crate::link::{Publish, PublishError, Reliability, RequestError};
use crate::priority::Class;

pub(super) const CLASSES: [Class; 4] = [Class::Critical, Class::High, Class::Normal, Class::Low];
const TOPICS: [&str; 3] = ["policies", "threats", "anomalies"];

impl World {
    /// The application of an end does something.
    pub(super) fn tick(&mut self, end: usize) {
        self.ticks += 1;
        if self.phase == Phase::Hostile && self.now >= self.quiet_until {
            self.work(end);
        }
        self.consume(end);
        self.pump(end);
        let pace = self.pace;
        let span = match self.phase {
            Phase::Healed => self.dice.millis(1, 20),
            Phase::Hostile if self.now < self.quiet_until => {
                let ahead = self.quiet_until.since(self.now);
                ahead.min(Duration::from_secs(5)) + Duration::from_millis(1)
            }
            Phase::Hostile if self.ends[end].is_slow => self.dice.millis(pace, 2_000),
            Phase::Hostile => self.dice.millis(1, pace),
        };
        self.after(span, Happening::Tick(end));
    }

    fn work(&mut self, end: usize) {
        match self.dice.roll(100) {
            0..40 => {
                for _ in 0..1 + self.dice.roll(3) {
                    self.publish(end);
                }
            }
            40..48 => self.ask(end),
            48 | 49 => self.cancel(end),
            50..53 => self.resubscribe(end),
            53 => self.trespass(end),
            54..58 => self.order(end),
            58 => self.withdraw(),
            _ => {}
        }
    }

    /// The application takes what waits, some of it if it is slow, and is done with some.
    fn consume(&mut self, end: usize) {
        let is_healed = self.phase == Phase::Healed;
        let takes = match (is_healed, self.ends[end].is_slow) {
            (true, _) => u64::MAX,
            (false, true) => self.dice.roll(3),
            (false, false) => self.dice.roll(20),
        };
        for _ in 0..takes {
            let Some(event) = self.ends[end].poll_event() else { break };
            self.hear(end, event);
        }
        let answers = if is_healed { usize::MAX } else { self.dice.pick(3) };
        for _ in 0..answers.min(self.ends[end].calls.len()) {
            self.answer(end);
        }
        let obeys = if is_healed { usize::MAX } else { self.dice.pick(3) };
        for _ in 0..obeys.min(self.ends[end].running.len()) {
            self.obey(end);
        }
        let done = if is_healed { u64::MAX } else { self.dice.roll(6) };
        for _ in 0..done {
            let count = self.ends[end].working.len();
            if count == 0 {
                break;
            }
            let place = self.dice.pick(count);
            self.finish(end, place);
        }
    }

    pub(super) fn subscribe(&mut self, end: usize, pattern: Pattern) {
        let subscribed = self.ends[end].subscribe(pattern);
        assert_eq!(subscribed, Ok(()), "a pattern inside the border is taken");
    }

    fn resubscribe(&mut self, end: usize) {
        let topic = self.dice.one_of([None, None, Some("threats"), Some("policies")]);
        let count = self.ends[end].subscribed.len();
        let place = self.dice.pick(count);
        if self.dice.once_in(2) && count > 0 || count > 3 {
            let id = self.ends[end].subscribed.get(place).copied().unwrap_or(0);
            note!(self, "end {end} listens to {id} no more");
            self.ends[end].unsubscribe(id);
        }
        if self.dice.roll(4) > 0 {
            self.subscribe(end, heard(end / 2, end % 2, topic));
        }
    }

    /// A message whose terms are drawn.
    fn publish(&mut self, end: usize) {
        let bytes = match self.dice.roll(60) {
            0 => 20_000 + self.dice.pick(180_000),
            1 | 2 => 10_000 + self.dice.pick(14_000),
            3..6 => 0,
            _ => self.dice.pick(400),
        };
        let topic = self.dice.one_of(TOPICS);
        let publish = Publish {
            channel: self.ends[end].channel(topic),
            payload: Bytes::new(),
            headers: None,
            class: self.dice.one_of(CLASSES),
            ttl: self.dice.once_in(6).then(|| self.dice.millis(1, 3_000)),
            reliability: match self.dice.roll(4) {
                0 => Reliability::BestEffort,
                _ => Reliability::AtLeastOnce,
            },
            doubt: self.dice.one_of([Doubt::SendAgain, Doubt::Surface]),
        };
        self.publish_this(end, publish, bytes);
    }

    /// Publishes so many bytes, with an id. Returns whether they were taken.
    pub(super) fn publish_this(&mut self, end: usize, mut publish: Publish, bytes: usize) -> bool {
        let id = self.ledger.next();
        let mut payload = vec![0; bytes];
        payload.iter_mut().zip(id.to_be_bytes()).for_each(|(slot, byte)| *slot = byte);
        publish.payload = payload.into();
        if bytes < 8 {
            publish.headers = Some(Bytes::copy_from_slice(&id.to_be_bytes()));
        }
        let clock = self.clock(end);
        let life = self.processes[self.process_of(end)].life;
        let is_late = self.phase == Phase::Healed;
        match self.ends[end].publish(clock, publish.clone()) {
            Ok(own) => {
                let Publish { class, reliability, ttl, .. } = publish;
                note!(self, "end {end} publishes {id} {class:?} {bytes} {reliability:?} {ttl:?}");
                self.ledger.published(id, (end, life), &publish, clock.instant, is_late);
                let before = self.ends[end].ids.insert(own, id);
                assert!(before.is_none(), "two messages are {own:?}");
                true
            }
            Err(error) => {
                assert_eq!(error, PublishError::Full, "a message is not taken");
                false
            }
        }
    }

    /// Nobody speaks for another agent.
    fn trespass(&mut self, end: usize) {
        let other = (end / 2 + 1) % self.agents;
        let publish = Publish {
            channel: super::end::channel(other, end % 2, "threats"),
            payload: Bytes::new(),
            headers: None,
            class: Class::Normal,
            ttl: None,
            reliability: Reliability::AtLeastOnce,
            doubt: Doubt::SendAgain,
        };
        let clock = self.clock(end);
        // The backend's end knows whom it speaks with once it did.
        if end.is_multiple_of(2)
            || self.ends[end].known.0.is_some() && self.ends[end].conn.is_some()
        {
            let refused = self.ends[end].publish(clock, publish);
            let refused = matches!(refused, Err(PublishError::Unauthorized(_)));
            assert!(refused, "end {end} speaks for agent {other}");
        }
    }

    pub(super) fn ask(&mut self, end: usize) {
        let id = self.ledger.next();
        let is_stream = self.dice.once_in(3);
        let ask = Ask {
            payload: Bytes::copy_from_slice(&id.to_be_bytes()),
            class: self.dice.one_of(CLASSES),
            time: self.dice.millis(100, 8_000),
            answering: if is_stream { Answering::Stream { allowed: 2 } } else { Answering::One },
            on_detach: self.dice.one_of([OnDetach::Fail, OnDetach::Redrive]),
            on_peer_lost: self.dice.one_of([OnPeerLost::InDoubt, OnPeerLost::Redrive]),
        };
        let (clock, channel) = (self.clock(end), self.ends[end].channel("policies"));
        note!(self, "end {end} asks {id}, stream {is_stream}, {:?} {:?}", ask.class, ask.on_detach);
        match self.ends[end].request(clock, channel, ask) {
            Ok(correlation) => {
                let asked = Asked { id, is_stream, next: 0 };
                let before = self.ends[end].asked.insert(correlation, asked);
                assert!(before.is_none(), "two requests are {correlation:?}");
            }
            Err(error) => {
                assert_eq!(error, RequestError::Ask(AskError::Detached), "a request is not taken");
            }
        }
    }

    fn cancel(&mut self, end: usize) {
        let count = self.ends[end].asked.len();
        let place = self.dice.pick(count);
        if let Some(correlation) = self.ends[end].asked.keys().nth(place).copied() {
            note!(self, "end {end} withdraws {correlation:?}");
            let clock = self.clock(end);
            self.ends[end].cancel(clock, correlation);
        }
    }

    /// A handler answers what it was asked, or goes on with its stream. It may be too late.
    fn answer(&mut self, end: usize) {
        let count = self.ends[end].calls.len();
        let place = self.dice.pick(count);
        let clock = self.clock(end);
        let mut work = self.ends[end].calls.swap_remove(place);
        let length = id_of(&work.payload).unwrap_or(0) % 7;
        if let Some(offset) = work.offset.filter(|offset| *offset < length) {
            let item = self.ends[end].item(clock, work.correlation, work.payload.clone());
            match item {
                Ok(()) => work.offset = Some(offset + 1),
                Err(AnswerError::NoRoom) => {}
                Err(AnswerError::Ended) => return,
                Err(error) => unreachable!("a stream is none: {error}"),
            }
            return self.ends[end].calls.push(work);
        }
        let answered = match self.dice.roll(10) {
            0 => self.ends[end].fail(clock, work.correlation),
            _ => self.ends[end].answer(clock, work.correlation, work.payload),
        };
        assert!(matches!(answered, Ok(()) | Err(AnswerError::Ended)), "{answered:?}");
    }

    fn finish(&mut self, end: usize, place: usize) {
        let delivery = self.ends[end].working.swap_remove(place);
        let text = delivery.headers.as_ref().unwrap_or(&delivery.payload);
        let Some(id) = id_of(text) else { unreachable!("it was heard with an id") };
        let process = self.process_of(end);
        if self.dice.once_in(20) {
            note!(self, "end {end} refuses {id}");
            self.ledger.message(id).is_refused = true;
            return self.ends[end].refused(&delivery);
        }
        let clock = self.clock(end);
        let is_marked = self.ends[end].handled(clock, &delivery);
        note!(self, "end {end} is done with {id}, marked {is_marked}");
        match self.processes[process].rows {
            // The effect and the mark are one transaction.
            Some(_) if is_marked => self.ends[end].effects.push(id),
            Some(_) => self.ledger.effect(id, 0),
            None => self.ledger.effect(id, self.processes[process].life),
        }
        self.pump(end);
    }
}
