//! The world of [`super::hostile`]: two sides with stores and applications, a pipe between them, and
//! what may be true of all of it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::disk::Disk;
use super::pair::{Parties, all, channel, epoch, moment, numbered, who};
use crate::call::{
    AnswerError, AnswerEvent, Answering, Ask, AskError, Command, CommandId, Correlation, Effect,
    ErrorCode, Executed, ExecutorEvent, Failure, IssuerEvent, OnDetach, OnPeerLost, Outcome,
    RequestEvent, Status,
};
use crate::delivery::credit::Amount;
use crate::delivery::outbox::Doubt;
use crate::delivery::word::Durability;
use crate::link::{
    Batch, Config, Delivery, Event, Fate, Link, LinkError, MessageId, PublishError, Reliability,
    RequestError, State,
};
use crate::priority::Class;
use crate::time::{Instant, Now};

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Memory {
    /// What was stored outlives a crash.
    Durable,
    /// Nothing does.
    Volatile,
}

pub(super) struct World<'a> {
    parties: &'a Parties,
    dice: Dice,
    now: Now,
    sides: [Side; 2],
    /// Records under way to each side.
    pipes: [VecDeque<BytesMut>; 2],
    /// Something in the pipe was lost, repeated or changed since the last session.
    is_damaged: bool,
    sessions: u64,
    published: u64,
    messages: BTreeMap<u64, Message>,
    /// Requests that did not end, by their side: what was asked.
    asked: BTreeMap<(usize, Correlation), u64>,
    commands: BTreeMap<CommandId, Ordered>,
    trace: Vec<String>,
}

struct Side {
    link: Link,
    memory: Memory,
    store: Store,
    /// How often it crashed.
    life: u64,
    subscription: u32,
    /// Sessions whose end the application heard of.
    sessions: u64,
    /// Messages that the application works on.
    working: Vec<Delivery>,
    /// Calls that its handlers work on.
    calls: Vec<(Correlation, Bytes)>,
    /// Commands that its handlers work on.
    running: Vec<CommandId>,
    /// Effects of the application that no batch has yet.
    effects: Vec<u64>,
    /// The highest number, or payload, that arrived in a session of a class and channel.
    order: BTreeMap<(u64, bool, Class, String), u64>,
    ids: BTreeMap<MessageId, u64>,
}

/// What a disk has, and what is on its way there.
struct Store {
    disk: Disk,
    pending: VecDeque<(Batch, Vec<u64>)>,
}

/// What is known of a numbered message.
struct Message {
    from: usize,
    /// Lives of the sender in which it was published.
    life: u64,
    is_stored: bool,
    fate: Option<Fate>,
    /// Effects, by the life of the receiver; a durable one has one life.
    effects: BTreeMap<u64, u32>,
    is_refused: bool,
}

/// What is known of a command.
struct Ordered {
    from: usize,
    on_peer_lost: OnPeerLost,
    /// What its issuer heard last; `None` if that died and has no row of it.
    status: Option<Status>,
    /// How often it ran, by the life of the executor; a durable one has one life.
    runs: BTreeMap<u64, u32>,
    /// How handlers ended it.
    ends: Vec<Status>,
}

struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let state = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (state ^ (state >> 31)) % sides
    }

    fn side(&mut self) -> usize {
        usize::from(self.roll(2) == 1)
    }

    fn pick(&mut self, length: usize) -> usize {
        usize::try_from(self.roll(length as u64)).unwrap()
    }
}

const STEPS: usize = 250;
/// Of a subscription. Small, so that messages wait for it.
const WINDOW: Amount = Amount { messages: 3, bytes: 100_000 };
/// Of the trace that a failure prints.
const LINES: usize = 200;
const CLASSES: [Class; 4] = [Class::Critical, Class::High, Class::Normal, Class::Low];

impl<'a> World<'a> {
    pub(super) fn new(parties: &'a Parties, seed: u64, memories: [Memory; 2]) -> Self {
        let now = moment(Instant::from_nanos(1_000_000_000));
        let side = |side: usize| {
            let memory = memories[side];
            let mut link = Link::new(config(side, memory), own(side, 0, 0), own(side, 0, 1), seed);
            let subscription = link.subscribe(all(side), WINDOW).unwrap();
            Side {
                link,
                memory,
                store: Store { disk: Disk::new(), pending: VecDeque::new() },
                life: 0,
                subscription,
                sessions: 0,
                working: Vec::new(),
                calls: Vec::new(),
                running: Vec::new(),
                effects: Vec::new(),
                order: BTreeMap::new(),
                ids: BTreeMap::new(),
            }
        };
        Self {
            parties,
            dice: Dice(seed),
            now,
            sides: [side(0), side(1)],
            pipes: [VecDeque::new(), VecDeque::new()],
            is_damaged: false,
            sessions: 0,
            published: 0,
            messages: BTreeMap::new(),
            asked: BTreeMap::new(),
            commands: BTreeMap::new(),
            trace: Vec::new(),
        }
    }

    pub(super) fn trace(&self) -> String {
        self.trace.iter().rev().take(LINES).rev().fold(String::new(), |mut text, line| {
            let _ = writeln!(text, "{line}");
            text
        })
    }

    fn note(&mut self, line: String) {
        self.trace.push(format!("{:>9.3} {line}", self.now.instant.as_nanos() as f64 / 1e9));
    }

    /// Safety first, then everything is repaired and must make progress.
    pub(super) fn run(&mut self) {
        for _ in 0..STEPS {
            self.step();
        }
        self.heal();
        self.judge();
    }

    fn step(&mut self) {
        let side = self.dice.side();
        match self.dice.roll(100) {
            0..20 => self.publish(side),
            20..52 => self.carry(side, true),
            52..55 => self.order(side),
            55..70 => self.work(side),
            70..80 => self.sync(side),
            80..90 => {
                let span = match self.dice.roll(20) {
                    0 => 40_000,
                    1..4 => 4_000,
                    _ => self.dice.roll(30),
                };
                self.pass(Duration::from_millis(span));
            }
            90..94 => self.attach(),
            94 => self.cut(),
            95 => self.crash(side),
            96 => self.resubscribe(side),
            97..100 => self.ask(side),
            _ => {}
        }
        self.pump(0);
        self.pump(1);
    }

    fn publish(&mut self, from: usize) {
        self.published += 1;
        let id = self.published;
        let length = match self.dice.roll(25) {
            0 => 17_000 + self.dice.pick(50_000),
            _ => 8 + self.dice.pick(200),
        };
        let mut payload = vec![0; length];
        payload[..8].copy_from_slice(&id.to_be_bytes());
        let topic = ["policies", "threats"][self.dice.side()];
        let mut publish = numbered(channel(from, topic), payload);
        publish.class = CLASSES[self.dice.pick(4)];
        publish.ttl = (self.dice.roll(8) == 0).then(|| Duration::from_millis(500));
        publish.doubt = [Doubt::SendAgain, Doubt::Surface][self.dice.side()];
        let is_numbered = self.dice.roll(5) > 0;
        if !is_numbered {
            publish.reliability = Reliability::BestEffort;
        }
        let class = publish.class;
        match self.sides[from].link.publish(self.now, publish) {
            Ok(own) => {
                self.note(format!("{from} publishes {id} {class:?} {length} bytes {is_numbered}"));
                if is_numbered {
                    self.sides[from].ids.insert(own, id);
                    let life = self.sides[from].life;
                    let message = Message {
                        from,
                        life,
                        is_stored: false,
                        fate: None,
                        effects: BTreeMap::new(),
                        is_refused: false,
                    };
                    self.messages.insert(id, message);
                }
            }
            Err(error) => assert_eq!(error, PublishError::Full, "a message is refused"),
        }
    }

    fn ask(&mut self, from: usize) {
        self.published += 1;
        let id = self.published;
        let ask = Ask {
            payload: Bytes::copy_from_slice(&id.to_be_bytes()),
            class: CLASSES[self.dice.pick(4)],
            time: Duration::from_millis(100 + self.dice.roll(8_000)),
            answering: Answering::One,
            on_detach: [OnDetach::Fail, OnDetach::Redrive][self.dice.side()],
            on_peer_lost: [OnPeerLost::InDoubt, OnPeerLost::Redrive][self.dice.side()],
        };
        self.note(format!("{from} asks {id} {:?} {:?}", ask.on_detach, ask.on_peer_lost));
        match self.sides[from].link.request(self.now, channel(from, "policies"), ask) {
            Ok(correlation) => drop(self.asked.insert((from, correlation), id)),
            Err(error) => assert_eq!(error, RequestError::Ask(AskError::Detached)),
        }
        if self.dice.roll(4) == 0
            && let Some((from, correlation)) = self.asked.keys().next().copied()
        {
            self.sides[from].link.cancel(self.now, correlation);
        }
    }

    fn order(&mut self, from: usize) {
        self.published += 1;
        let id = command_id(self.published);
        let length = if self.dice.roll(8) == 0 { 20_000 + self.dice.pick(50_000) } else { 16 };
        let on_peer_lost = [OnPeerLost::InDoubt, OnPeerLost::Redrive][self.dice.side()];
        let command = Command {
            id,
            payload: vec![0; length].into(),
            class: CLASSES[self.dice.pick(4)],
            time: Duration::from_millis(100 + self.dice.roll(20_000)),
            on_peer_lost,
        };
        self.note(format!("{from} commands {id:?} {length} bytes {on_peer_lost:?}"));
        let status = Some(Status::Queued);
        let (runs, ends) = (BTreeMap::new(), Vec::new());
        self.commands.insert(id, Ordered { from, on_peer_lost, status, runs, ends });
        let ordered = self.sides[from].link.command(self.now, channel(from, "policies"), command);
        assert_eq!(ordered, Ok(()));
        let count = self.commands.len();
        if self.dice.roll(3) == 0
            && let Some((id, ordered)) = self.commands.iter().nth_back(self.dice.pick(count.min(4)))
        {
            let (id, from) = (*id, ordered.from);
            self.note(format!("{from} withdraws {id:?}"));
            self.sides[from].link.cancel_command(self.now, id);
        }
    }

    /// A handler ends a command.
    fn obey(&mut self, side: usize) {
        let Some(id) = self.sides[side].running.pop() else { return };
        let (end, executed) = match self.dice.roll(4) {
            0 => (Status::Failed, Executed::Failed(Failure::new(ErrorCode::Application(1)))),
            1 => (Status::Cancelled, Executed::Cancelled),
            _ => (Status::Succeeded, Executed::Succeeded(Bytes::copy_from_slice(&id.0))),
        };
        self.note(format!("{side} ends {id:?}: {end:?}"));
        self.commands.get_mut(&id).unwrap().ends.push(end);
        self.sides[side].link.finish(self.now, id, executed).unwrap();
    }

    /// One record arrives at `to`, or something happens to it.
    fn carry(&mut self, to: usize, is_hostile: bool) {
        let Some(mut record) = self.pipes[to].pop_front() else { return };
        let fate = if is_hostile { self.dice.roll(120) } else { 100 };
        match fate {
            0 => return self.damage(format!("a record to {to} is lost")),
            1 => {
                self.pipes[to].push_front(record.clone());
                self.damage(format!("a record to {to} comes twice"));
            }
            2 => {
                let at = self.dice.pick(record.len());
                record[at] ^= 1 << self.dice.roll(8);
                self.damage(format!("a record to {to} is changed"));
            }
            3 if !self.pipes[to].is_empty() => {
                self.pipes[to].insert(1, record);
                return self.damage(format!("a record to {to} is overtaken"));
            }
            _ => {}
        }
        match self.sides[to].link.handle_record(self.now, record) {
            Ok(()) | Err(LinkError::Detached) => {}
            Err(error @ (LinkError::Open(_) | LinkError::NoResume)) if self.is_damaged => {
                self.note(format!("{to} loses its session: {error}"));
                self.pipes[to].clear();
            }
            Err(error) => panic!("an honest peer is refused: {error}"),
        }
    }

    fn damage(&mut self, line: String) {
        self.is_damaged = true;
        self.note(line);
    }

    fn attach(&mut self) {
        self.sessions += 1;
        self.pipes.iter_mut().for_each(VecDeque::clear);
        self.is_damaged = false;
        self.note(format!("session {}", self.sessions));
        for (side, session) in self.sides.iter_mut().zip(self.parties.session(self.now)) {
            side.link.attach(self.now, session).unwrap();
        }
    }

    fn cut(&mut self) {
        self.note("cut".to_owned());
        self.pipes.iter_mut().for_each(VecDeque::clear);
        let now = self.now;
        self.sides.iter_mut().for_each(|side| side.link.detach(now));
    }

    fn crash(&mut self, side: usize) {
        self.cut();
        self.note(format!("{side} crashes"));
        // What the application did not hear any more was decided all the same.
        while let Some(event) = self.sides[side].link.poll_event() {
            if matches!(event, Event::Settled(..) | Event::Stored(_)) {
                self.hear(side, event);
            }
        }
        let this = &mut self.sides[side];
        this.life += 1;
        this.sessions += 1;
        this.working.clear();
        this.calls.clear();
        self.asked.retain(|(from, _), _| *from != side);
        let this = &mut self.sides[side];
        this.running.clear();
        for (id, ordered) in self.commands.iter_mut().filter(|(_, ordered)| ordered.from == side) {
            ordered.status = this.store.disk.issued(*id);
        }
        this.effects.clear();
        this.store.pending.clear();
        let seed = self.dice.roll(u64::MAX);
        let config = config(side, this.memory);
        this.link = match this.memory {
            Memory::Volatile => {
                this.ids.clear();
                Link::new(config, own(side, this.life, 0), own(side, this.life, 1), seed)
            }
            Memory::Durable => {
                let disk = &this.store.disk;
                let kept_ids: BTreeSet<_> = disk.messages().collect();
                this.ids.retain(|id, _| kept_ids.contains(id));
                let kept = disk.kept(own(side, 0, 0), own(side, 0, 1));
                Link::restore(self.now, config, kept, seed).unwrap()
            }
        };
        this.subscription = this.link.subscribe(all(side), WINDOW).unwrap();
    }

    fn resubscribe(&mut self, side: usize) {
        self.note(format!("{side} subscribes anew"));
        let this = &mut self.sides[side];
        this.link.unsubscribe(this.subscription);
        this.subscription = this.link.subscribe(all(side), WINDOW).unwrap();
    }

    /// The application takes a few events, and is done with a few messages.
    fn work(&mut self, side: usize) {
        for _ in 0..self.dice.roll(6) {
            let Some(event) = self.sides[side].link.poll_event() else { break };
            self.hear(side, event);
        }
        if self.dice.roll(3) == 0 {
            self.answer(side);
            self.obey(side);
        }
        for _ in 0..self.dice.roll(4) {
            let count = self.sides[side].working.len();
            if count > 0 {
                let index = self.dice.pick(count);
                self.finish(side, index);
            }
        }
    }

    /// A handler answers what it was asked. It may be too late.
    fn answer(&mut self, side: usize) {
        if let Some((correlation, payload)) = self.sides[side].calls.pop() {
            let answered = self.sides[side].link.answer(self.now, correlation, payload);
            assert!(matches!(answered, Ok(()) | Err(AnswerError::Ended)), "{answered:?}");
        }
    }

    fn finish(&mut self, side: usize, index: usize) {
        let delivery = self.sides[side].working.swap_remove(index);
        let id = id_of(&delivery.payload);
        let is_refused = self.dice.roll(20) == 0;
        self.note(format!("{side} is done with {id}, refused: {is_refused}"));
        let this = &mut self.sides[side];
        if is_refused {
            this.link.refused(delivery.id, 9);
            if let Some(message) = self.messages.get_mut(&id) {
                message.is_refused = true;
            }
            return;
        }
        let is_marked = this.link.handled(self.now, delivery.id);
        match this.memory {
            // The effect and the mark are one transaction.
            Memory::Durable if is_marked => this.effects.push(id),
            Memory::Durable => effect(&mut self.messages, id, 0),
            Memory::Volatile => {
                let life = this.life;
                effect(&mut self.messages, id, life);
            }
        }
    }

    fn hear(&mut self, side: usize, event: Event) {
        match event {
            Event::Message(delivery) => {
                let id = id_of(&delivery.payload);
                self.note(format!("{side} gets {id} {:?} again {}", delivery.key, delivery.again));
                let number = delivery.key.map_or(id, |key| key.number);
                let channel = delivery.channel.to_string();
                let key =
                    (self.sides[side].sessions, delivery.key.is_some(), delivery.class, channel);
                let before = self.sides[side].order.insert(key, number);
                assert!(before < Some(number), "{id} overtakes");
                // Else it is taken when it is handled.
                if self.dice.side() == 0 {
                    for subscription in delivery.subscriptions.iter() {
                        self.sides[side].link.taken(delivery.id, *subscription);
                    }
                }
                self.sides[side].working.push(delivery);
            }
            Event::Settled(own, fate) => {
                let Some(id) = self.sides[side].ids.remove(&own) else { return };
                self.note(format!("{side} learns that {id} is {fate:?}"));
                self.settle(id, fate);
            }
            Event::Request(RequestEvent::Ended { correlation, outcome }) => {
                let id = self.asked.remove(&(side, correlation));
                let id = id.expect("a request ends once");
                self.note(format!("{side} asked {id}: {outcome:?}"));
                match outcome {
                    Outcome::Answered(payload) => assert_eq!(id_of(&payload), id),
                    Outcome::Failed(failure) => {
                        let code = failure.code;
                        let is_known = matches!(
                            code,
                            ErrorCode::Deadline
                                | ErrorCode::Detached
                                | ErrorCode::InDoubt
                                | ErrorCode::Cancelled
                        );
                        assert!(is_known, "{id} fails by {code:?}");
                    }
                }
            }
            Event::Call {
                channel: asked,
                event: AnswerEvent::Opened { correlation, payload, .. },
            } => {
                assert_eq!(asked, Some(channel(1 - side, "policies")));
                self.note(format!("{side} is asked {}", id_of(&payload)));
                self.sides[side].calls.push((correlation, payload));
            }
            Event::Command(IssuerEvent::Changed { id, status, effect }) => {
                self.note(format!("{side} learns that {id:?} is {status:?}"));
                let ordered = self.commands.get_mut(&id).unwrap();
                let before = ordered.status.replace(status).unwrap();
                assert!(before.may_become(status), "{id:?} goes from {before:?} to {status:?}");
                if status == Status::Succeeded {
                    assert_eq!(effect, Effect::Result(Bytes::copy_from_slice(&id.0)));
                }
            }
            Event::Run { channel: of, event: ExecutorEvent::Run { id, is_again, .. } } => {
                self.note(format!("{side} runs {id:?}"));
                assert_eq!((of, is_again), (Some(channel(1 - side, "policies")), false));
                let this = &mut self.sides[side];
                let life = if this.memory == Memory::Durable { 0 } else { this.life };
                *self.commands.get_mut(&id).unwrap().runs.entry(life).or_default() += 1;
                this.running.push(id);
            }
            Event::Stored(own) => {
                if let Some(id) = self.sides[side].ids.get(&own) {
                    let message = self.messages.get_mut(id).unwrap();
                    message.is_stored = true;
                }
            }
            other => {
                self.sides[side].sessions += u64::from(matches!(other, Event::Detached(_)));
                self.note(format!("{side} {other:?}"));
            }
        }
    }

    fn settle(&mut self, id: u64, fate: Fate) {
        let message = self.messages.get_mut(&id).unwrap();
        assert!(message.fate.is_none(), "{id} has two fates");
        message.fate = Some(fate);
        match fate {
            Fate::Handled => {
                assert!(!message.effects.is_empty(), "{id} is acknowledged and lost");
            }
            Fate::Refused(verdict) if verdict.code == 3 => {
                assert!(message.is_refused, "{id} was never refused");
            }
            Fate::Sent | Fate::Dropped => panic!("{id} was numbered"),
            _ => {}
        }
    }

    /// The disk of a side takes a batch or a few.
    fn sync(&mut self, side: usize) {
        let count = 1 + self.dice.pick(3);
        for _ in 0..count {
            let this = &mut self.sides[side];
            let Some((batch, effects)) = this.store.pending.pop_front() else { return };
            let number = batch.number;
            this.store.disk.apply(batch);
            for id in effects {
                effect(&mut self.messages, id, 0);
            }
            this.link.stored(self.now, number);
        }
    }

    fn pass(&mut self, span: Duration) {
        let end = self.now.instant.after(span);
        while self.now.instant < end {
            let due = self.sides.iter().filter_map(|side| side.link.poll_timeout()).min();
            let next = due.unwrap_or(end).min(end);
            // Nobody sends what is due while the drivers sleep.
            self.now = moment(next.max(self.now.instant.after(span / 20)).min(end));
            let now = self.now;
            self.sides.iter_mut().for_each(|side| side.link.handle_timeout(now));
            if due.is_some_and(|due| due <= end) && self.dice.roll(4) == 0 {
                self.pump(0);
                self.pump(1);
            }
        }
    }

    /// What a driver does after each call.
    fn pump(&mut self, side: usize) {
        let this = &mut self.sides[side];
        if let Some(batch) = this.link.poll_changes() {
            this.store.pending.push_back((batch, std::mem::take(&mut this.effects)));
        }
        assert!(this.memory == Memory::Volatile || this.effects.is_empty(), "an effect has a mark");
        while self.pipes[1 - side].len() < 4 {
            let mut record = BytesMut::new();
            if !self.sides[side].link.poll_record(self.now, &mut record) {
                break;
            }
            assert!(record.len() <= 16 * 1024 + 40, "a record of {} bytes", record.len());
            self.pipes[1 - side].push_back(record);
        }
    }

    /// Nothing hostile happens any more: all must be settled, and both fall silent.
    fn heal(&mut self) {
        self.note("healed".to_owned());
        self.attach();
        for round in 0..4_000 {
            for side in 0..2 {
                self.pump(side);
                self.carry(side, false);
                self.sync(side);
                while let Some(event) = self.sides[side].link.poll_event() {
                    self.hear(side, event);
                }
                while !self.sides[side].calls.is_empty() {
                    self.answer(side);
                    self.pump(side);
                }
                while !self.sides[side].running.is_empty() {
                    self.obey(side);
                    self.pump(side);
                }
                while !self.sides[side].working.is_empty() {
                    self.finish(side, 0);
                    self.pump(side);
                }
            }
            // What nobody reports is unknown when its time and a minute are over.
            self.pass(Duration::from_millis(if round < 200 { 5 } else { 1_000 }));
            let is_idle = |side: &Side| {
                side.link.load() == (0, 0) && side.store.pending.is_empty() && side.ids.is_empty()
            };
            if round > 40
                && self.sides.iter().all(is_idle)
                && self.asked.is_empty()
                && self.commands.values().all(Ordered::is_over)
                && self.pipes.iter().all(VecDeque::is_empty)
            {
                return;
            }
        }
        let loads = [0, 1].map(|side| self.sides[side].link.load());
        panic!("no progress after repair: {loads:?}");
    }

    fn judge(&self) {
        for side in &self.sides {
            assert_eq!(side.link.state(), State::Connected);
        }
        for (id, message) in &self.messages {
            for (life, count) in &message.effects {
                assert_eq!(*count, 1, "{id} is handled {count} times in life {life}");
            }
            let sender = &self.sides[message.from];
            let survives = match sender.memory {
                Memory::Volatile => message.life == sender.life,
                Memory::Durable => message.is_stored || message.life == sender.life,
            };
            if !survives {
                continue;
            }
            let is_done = message.fate.is_some() || !message.effects.is_empty();
            assert!(is_done || message.is_refused, "{id} was kept, and nothing became of it");
            if message.fate == Some(Fate::Handled) {
                assert!(!message.effects.is_empty(), "{id} is lost");
            }
        }
        self.commands.iter().for_each(|(id, ordered)| self.judge_command(*id, ordered));
    }

    fn judge_command(&self, id: CommandId, ordered: &Ordered) {
        let status = self.sides[ordered.from].link.command_status(id);
        assert_eq!(status, ordered.status, "{id:?} is not where its issuer heard");
        let Ordered { on_peer_lost, runs, ends, .. } = ordered;
        assert!(runs.values().all(|count| *count == 1), "{id:?} runs twice in one life");
        if *on_peer_lost == OnPeerLost::Redrive {
            return;
        }
        assert!(runs.len() <= 1, "{id:?} runs twice");
        match ordered.status {
            Some(end @ (Status::Succeeded | Status::Failed)) => assert_eq!(ends[..], [end]),
            Some(Status::Expired) => assert!(runs.is_empty(), "{id:?} expired and runs"),
            Some(Status::Cancelled) => {
                assert!(runs.is_empty() || ends[..] == [Status::Cancelled], "{id:?} runs");
            }
            Some(Status::Unknown) | None => {}
            Some(other) => panic!("{id:?} stays {other:?}"),
        }
    }

    /// How the commands ended.
    pub(super) fn ends(&self) -> impl Iterator<Item = Status> + '_ {
        self.commands.values().filter_map(|ordered| ordered.status)
    }
}

impl Ordered {
    fn is_over(&self) -> bool {
        self.status.is_none_or(Status::is_settled)
    }
}

fn command_id(number: u64) -> CommandId {
    CommandId(u128::from(number).to_be_bytes())
}

fn effect(messages: &mut BTreeMap<u64, Message>, id: u64, life: u64) {
    if let Some(message) = messages.get_mut(&id) {
        let count = message.effects.entry(life).or_default();
        *count += 1;
        assert_eq!(*count, 1, "{id} is handled twice");
    }
}

fn config(side: usize, memory: Memory) -> Config {
    let mut config = Config::new(who(side));
    config.durability = match memory {
        Memory::Durable => Durability::Durable,
        Memory::Volatile => Durability::Memory,
    };
    // Small windows, so that credit is met.
    config.class_window = Amount { messages: 6, bytes: 100_000 };
    config.message_bytes = 100_000;
    config
}

/// An epoch of a side in one of its lives.
fn own(side: usize, life: u64, which: u64) -> crate::delivery::word::Epoch {
    epoch(1_000 * (side as u64 + 1) + life * 2 + which)
}

fn id_of(payload: &Bytes) -> u64 {
    u64::from_be_bytes(*payload.first_chunk().unwrap())
}
