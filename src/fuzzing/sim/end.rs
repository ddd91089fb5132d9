//! One end of one link with its application, as a driver holds them. All that is said to a [`Link`] is
//! said here.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::{Bytes, BytesMut};

use super::cast::{agent_id, backend_id, drawn};
use super::disk::Rows;
use crate::call::{
    AnswerError, Ask, Command, CommandId, Correlation, ErrorCode, Executed, ExecutorError, Failure,
    OnCrash, Status,
};
use crate::channel::{ChannelName, Pattern};
use crate::delivery::credit::Amount;
use crate::delivery::outbox::Capacity;
use crate::delivery::queue::Bounds;
use crate::delivery::word::{Durability, Epoch};
use crate::ids::{Generation, Role};
use crate::limits::{LINK_EVENTS, REASSEMBLY_BYTES, SUBSCRIPTIONS};
use crate::link::{
    Batch, CommandError, Config, Delivery, Event, Gauges, Link, LinkError, MessageId, Publish,
    PublishError, RequestError, State, SubscribeError, Who,
};
use crate::priority::Class;
use crate::session::Session;
use crate::time::{Instant, Now};

/// What of all links of a world is alike.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    pub(super) class_window: Amount,
    pub(super) window: Amount,
    pub(super) outbox: Capacity,
    pub(super) queue: Bounds,
    pub(super) on_crash: OnCrash,
}

/// Content of one message at most.
pub(super) const MESSAGE_BYTES: usize = 256 * 1024;

/// A session as the application hears of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attached {
    pub(super) conn: u64,
    pub(super) generation: Option<Generation>,
}

/// A call that a handler works on.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) correlation: Correlation,
    pub(super) payload: Bytes,
    /// The next item of a stream.
    pub(super) offset: Option<u64>,
}

/// A request of this end that did not end.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) id: u64,
    pub(super) is_stream: bool,
    /// The offset that comes next.
    pub(super) next: u64,
}

pub(super) struct End {
    link: Link,
    terms: Terms,
    pub(super) agent: usize,
    /// 0 is the agent's.
    pub(super) side: usize,
    pub(super) conn: Option<u64>,
    pub(super) epochs: (Epoch, Epoch),
    pub(super) attaches: VecDeque<Attached>,
    /// The peer's inbox and outbox, as the application heard of them.
    pub(super) known: (Option<Epoch>, Option<Epoch>),
    /// All subscriptions of this life, and which of them are left.
    pub(super) patterns: BTreeMap<u32, Pattern>,
    pub(super) subscribed: Vec<u32>,
    pub(super) working: Vec<Delivery>,
    pub(super) calls: Vec<Work>,
    /// Commands that its handlers run.
    pub(super) running: Vec<CommandId>,
    /// Effects that no batch has yet.
    pub(super) effects: Vec<u64>,
    /// The last number, or id, of each kind in this session.
    pub(super) order: BTreeMap<(bool, Class, ChannelName), u64>,
    pub(super) ids: BTreeMap<MessageId, u64>,
    /// Rows that came back from a disk, whose fate was told already.
    pub(super) told: BTreeSet<MessageId>,
    pub(super) asked: BTreeMap<Correlation, Asked>,
    /// When its timer goes off.
    pub(super) armed: Option<Instant>,
    /// It takes events seldom.
    pub(super) is_slow: bool,
    pub(super) seeds: u64,
}

/// An epoch of a process in one of its lives.
pub(super) fn epoch(agent: usize, side: usize, life: u64, is_inbox: bool) -> Epoch {
    let number = (agent as u64) << 8 | (side as u64) << 1 | u64::from(is_inbox);
    let mut bytes = [0xa5; 16];
    bytes.iter_mut().zip(number.to_be_bytes()).for_each(|(slot, byte)| *slot = byte);
    bytes.iter_mut().skip(8).zip(life.to_be_bytes()).for_each(|(slot, byte)| *slot = byte);
    match Epoch::from_bytes(bytes) {
        Some(epoch) => epoch,
        None => unreachable!("it has a life or a place"),
    }
}

impl End {
    /// `kept` is what a disk has of it, `life` counts the lives of one that has none.
    pub(super) fn new(
        now: Now,
        place: (usize, usize),
        terms: Terms,
        kept: Option<&Rows>,
        life: u64,
        seed: u64,
    ) -> Self {
        let (agent, side) = place;
        let who = match side {
            0 => Who { role: Role::Agent, id: agent_id(agent) },
            _ => Who { role: Role::Backend, id: backend_id() },
        };
        let mut config = Config::new(who);
        config.class_window = terms.class_window;
        config.outbox = terms.outbox;
        config.queue = terms.queue;
        config.on_crash = terms.on_crash;
        config.message_bytes = MESSAGE_BYTES;
        // Counted from one: an epoch of zeros is none.
        let life = if kept.is_some() { 1 } else { life + 1 };
        let epochs = (epoch(agent, side, life, false), epoch(agent, side, life, true));
        let mut known = (None, None);
        let mut told = BTreeSet::new();
        let link = match kept {
            None => Link::new(config, epochs.0, epochs.1, seed),
            Some(rows) => {
                config.durability = Durability::Durable;
                known = (rows.peer_inbox, rows.peer_outbox);
                told.extend(rows.tokens().map(|token| token.id));
                match Link::restore(now, config, rows.kept(epochs.0, epochs.1), seed) {
                    Ok(link) => link,
                    Err(error) => unreachable!("a disk that a link wrote: {error}"),
                }
            }
        };
        Self {
            link,
            terms,
            agent,
            side,
            conn: None,
            epochs,
            attaches: VecDeque::new(),
            known,
            patterns: BTreeMap::new(),
            subscribed: Vec::new(),
            working: Vec::new(),
            calls: Vec::new(),
            running: Vec::new(),
            effects: Vec::new(),
            order: BTreeMap::new(),
            ids: BTreeMap::new(),
            told,
            asked: BTreeMap::new(),
            armed: None,
            is_slow: false,
            seeds: 0,
        }
    }

    /// The channel on which it speaks.
    pub(super) fn channel(&self, topic: &str) -> ChannelName {
        channel(self.agent, self.side, topic)
    }

    pub(super) fn terms(&self) -> Terms {
        self.terms
    }

    pub(super) fn state(&self) -> State {
        self.link.state()
    }

    /// Whether nothing of it waits for anything.
    pub(super) fn is_idle(&self) -> bool {
        self.link.load() == (0, 0) && self.ids.is_empty() && self.asked.is_empty()
    }

    pub(super) fn attach(&mut self, now: Now, session: Session) -> Result<(), LinkError> {
        self.link.attach(now, session)
    }

    pub(super) fn detach(&mut self, now: Now) {
        self.link.detach(now);
    }

    pub(super) fn publish(
        &mut self,
        now: Now,
        publish: Publish,
    ) -> Result<MessageId, PublishError> {
        self.link.publish(now, publish)
    }

    pub(super) fn subscribe(&mut self, pattern: Pattern) -> Result<(), SubscribeError> {
        if self.subscribed.len() >= SUBSCRIPTIONS {
            return Ok(());
        }
        let id = self.link.subscribe(pattern.clone(), self.terms.window)?;
        self.patterns.insert(id, pattern);
        self.subscribed.push(id);
        Ok(())
    }

    pub(super) fn unsubscribe(&mut self, id: u32) {
        self.subscribed.retain(|other| *other != id);
        self.link.unsubscribe(id);
    }

    pub(super) fn taken(&mut self, delivery: &Delivery) {
        for subscription in delivery.subscriptions.iter() {
            self.link.taken(delivery.id, *subscription);
        }
    }

    pub(super) fn handled(&mut self, now: Now, delivery: &Delivery) -> bool {
        self.link.handled(now, delivery.id)
    }

    pub(super) fn refused(&mut self, delivery: &Delivery) {
        self.link.refused(delivery.id, 9);
    }

    pub(super) fn request(
        &mut self,
        now: Now,
        channel: ChannelName,
        ask: Ask,
    ) -> Result<Correlation, RequestError> {
        self.link.request(now, channel, ask)
    }

    pub(super) fn cancel(&mut self, now: Now, correlation: Correlation) {
        self.link.cancel(now, correlation);
    }

    pub(super) fn allow(&mut self, now: Now, correlation: Correlation, allowed: u64) {
        self.link.allow(now, correlation, allowed);
    }

    pub(super) fn item(
        &mut self,
        now: Now,
        correlation: Correlation,
        payload: Bytes,
    ) -> Result<(), AnswerError> {
        self.link.item(now, correlation, payload)
    }

    pub(super) fn answer(
        &mut self,
        now: Now,
        correlation: Correlation,
        payload: Bytes,
    ) -> Result<(), AnswerError> {
        self.link.answer(now, correlation, payload)
    }

    pub(super) fn fail(&mut self, now: Now, correlation: Correlation) -> Result<(), AnswerError> {
        let failure = Failure::new(ErrorCode::Application(7));
        self.link.fail(now, correlation, &failure)
    }

    pub(super) fn command(
        &mut self,
        now: Now,
        channel: ChannelName,
        command: Command,
    ) -> Result<(), CommandError> {
        self.link.command(now, channel, command)
    }

    pub(super) fn cancel_command(&mut self, now: Now, id: CommandId) {
        self.link.cancel_command(now, id);
    }

    pub(super) fn command_status(&self, id: CommandId) -> Option<Status> {
        self.link.command_status(id)
    }

    pub(super) fn finish(
        &mut self,
        now: Now,
        id: CommandId,
        executed: Executed,
    ) -> Result<(), ExecutorError> {
        self.link.finish(now, id, executed)
    }

    pub(super) fn handle_record(&mut self, now: Now, record: BytesMut) -> Result<(), LinkError> {
        self.link.handle_record(now, record)
    }

    pub(super) fn handle_timeout(&mut self, now: Now) {
        self.link.handle_timeout(now);
    }

    pub(super) fn provide_seed(&mut self, now: Now) {
        self.seeds += 1;
        let number = (self.agent as u64) << 32 | (self.side as u64) << 31 | self.seeds;
        self.link.provide_seed(now, &drawn(number, 77));
    }

    pub(super) fn poll_record(&mut self, now: Now, out: &mut BytesMut) -> bool {
        self.link.poll_record(now, out)
    }

    pub(super) fn poll_changes(&mut self) -> Option<Batch> {
        self.link.poll_changes()
    }

    pub(super) fn stored(&mut self, now: Now, number: u64) {
        self.link.stored(now, number);
    }

    pub(super) fn poll_event(&mut self) -> Option<Event> {
        self.link.poll_event()
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.link.poll_timeout()
    }

    pub(super) fn gauges(&self) -> Gauges {
        self.link.gauges()
    }

    pub(super) fn drain(&mut self, now: Now, by: Instant) {
        self.link.drain(now, by, crate::session::CloseCode::Normal);
    }

    /// Memory is inside its bounds. Returns whether a session carries the link.
    pub(super) fn check_bounds(&self) -> bool {
        let Gauges { outbox, queue, events, notices, pieces, held, is_attached, .. } =
            self.link.gauges();
        let Terms { outbox: most, queue: waits, class_window, .. } = self.terms;
        let bytes = most.bytes.max(MESSAGE_BYTES);
        assert!(outbox.0 <= most.messages && outbox.1 <= bytes, "the outbox holds {outbox:?}");
        let (most, bytes) = (waits.messages.max(10), waits.bytes.max(2 * MESSAGE_BYTES));
        assert!(queue.0 <= most && queue.1 <= bytes, "the queue holds {queue:?}");
        assert!(events <= LINK_EVENTS, "{events} events wait");
        assert!(notices <= 2 * SUBSCRIPTIONS + 300, "{notices} notices wait");
        assert!(pieces <= REASSEMBLY_BYTES, "{pieces} bytes of pieces wait");
        let untaken = class_window.messages.saturating_mul(4);
        let held = held.saturating_sub(self.working.len()) as u64;
        // Those of sessions before were not given back, and go on to wait.
        assert!(held <= untaken.saturating_mul(8), "{held} messages were not taken");
        is_attached
    }
}

/// The channel on which a side speaks.
pub(super) fn channel(agent: usize, side: usize, topic: &str) -> ChannelName {
    let speaker = if side == 0 { "agent" } else { "backend" };
    super::super::parties::made(ChannelName::new(format!("{speaker}.agent-{agent}.{topic}")))
}

/// What a side may hear: all of it, or of one topic.
pub(super) fn heard(agent: usize, side: usize, topic: Option<&str>) -> Pattern {
    let speaker = if side == 0 { "backend" } else { "agent" };
    let topic = topic.unwrap_or(">");
    super::super::parties::made(Pattern::new(format!("{speaker}.agent-{agent}.{topic}")))
}
