//! Two real links under a list of operations: what their applications do, what the path does, what time
//! does, and what either says that honest code would not.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::input::Input;
use super::link_names::{all, channel, class, epoch, name, reliability};
use super::parties::{self, Choice, Trust};
use crate::call::{
    AnswerEvent, Answering, Ask, Caller, Command, CommandId, Correlation, ErrorCode, Executed,
    ExecutorEvent, Failure, OnDetach, OnPeerLost, Progress, RequestEvent,
};
use crate::channel::ChannelCode;
use crate::crypto::Suite;
use crate::delivery::credit::Amount;
use crate::delivery::inbox::PeerOutbox;
use crate::delivery::outbox::Doubt;
use crate::delivery::word::Durability;
use crate::ids::Role;
use crate::limits::{
    ALIASES, INBOX_MESSAGES, LINK_DATAGRAMS, LINK_EVENTS, OUTBOX_MESSAGES, QUEUE_CONTROL_MESSAGES,
    QUEUE_MESSAGES, REASSEMBLY_BYTES, SUBSCRIPTION_WINDOW_MESSAGES, SUBSCRIPTIONS,
};
use crate::link::{
    ChannelChange, Config, Delivery, Event, Fate, Link, LinkError, MessageId, MessageKey, Publish,
    Reliability, State, Who,
};
use crate::priority::Class;
use crate::session::{Stage, pair};
use crate::time::{Now, UnixTime};

/// Operations of one input at most, so that none takes longer than the rest of the run.
const OPERATIONS: usize = 400;
/// Records that are carried at once at most.
const CARRIED: usize = 500;
/// Turns after which two links that nobody lied to have nothing left to say.
const TURNS: usize = 400;
/// What one record can add to the events that wait.
const EVENTS_OF_A_RECORD: usize = 16 * 1024;
const MESSAGE_BYTES: usize = 40 * 1024;

/// Runs the operations, heals what was cut, and wants everything settled if nobody lied.
pub fn link(data: &[u8]) {
    let mut input = Input::new(data);
    let mut world = World::new(input.u8());
    world.attach();
    for _ in 0..OPERATIONS {
        if input.is_empty() {
            break;
        }
        world.operate(&mut input);
        world.assert_bounds();
    }
    world.heal();
}

/// What one side's application knows.
#[derive(Default)]
struct App {
    held: VecDeque<Delivery>,
    /// Numbers that it was given.
    given: BTreeSet<MessageKey>,
    settled: BTreeSet<MessageId>,
    asked: VecDeque<Correlation>,
    ended: BTreeSet<u64>,
    calls: VecDeque<(Correlation, Caller)>,
    issued: VecDeque<CommandId>,
    runs: VecDeque<CommandId>,
    ran: BTreeSet<CommandId>,
    wishes: VecDeque<u32>,
    extra: VecDeque<u32>,
    unstored: Option<u64>,
    /// A message that must be handled.
    probe: Option<MessageId>,
}

struct World {
    now: Now,
    links: [Link; 2],
    apps: [App; 2],
    /// Records under way, by who sealed them.
    pipes: [VecDeque<BytesMut>; 2],
    /// Nothing was said, changed or ended that would cost an honest link more than time.
    honest: bool,
    payloads: u64,
}

impl World {
    fn new(how: u8) -> Self {
        let link = |side: usize| {
            let role = if side == 0 { Role::Agent } else { Role::Backend };
            let mut config = Config::new(Who { role, id: name(side) });
            config.message_bytes = MESSAGE_BYTES;
            if how >> side & 1 == 1 {
                config.durability = Durability::Durable;
            }
            if how & 4 != 0 {
                config.class_window = Amount { messages: 4, bytes: 3 * MESSAGE_BYTES as u64 };
            }
            let of = if side == 0 { 0 } else { 2 };
            let mut link = Link::new(config, epoch(of + 1), epoch(of + 2), 7);
            let heard = link.subscribe(all(side), Amount::SUBSCRIPTION_WINDOW);
            assert!(heard.is_ok(), "the first subscription is taken");
            link
        };
        Self {
            now: parties::start(),
            links: [link(0), link(1)],
            apps: [App::default(), App::default()],
            pipes: Default::default(),
            honest: true,
            payloads: 0,
        }
    }

    fn link(&mut self, side: usize) -> &mut Link {
        let [agent, backend] = &mut self.links;
        if side == 0 { agent } else { backend }
    }

    fn app(&mut self, side: usize) -> &mut App {
        let [agent, backend] = &mut self.apps;
        if side == 0 { agent } else { backend }
    }

    fn pipe(&mut self, side: usize) -> &mut VecDeque<BytesMut> {
        let [agent, backend] = &mut self.pipes;
        if side == 0 { agent } else { backend }
    }

    fn attach(&mut self) {
        let choice = Choice { trust: Trust::Pins, suites: 0, continuity: 0, records: 0 };
        let sides = parties::sides(choice);
        let stage = Stage { suite: Suite::Classical, resumed: false, now: self.now };
        let of = |side: &'static (std::sync::Arc<crate::session::Config>, _)| (&side.0, &side.1);
        let (agent, backend) = pair(of(&sides.agent), of(&sides.backend), stage);
        self.pipes.iter_mut().for_each(VecDeque::clear);
        for (side, session) in [agent, backend].into_iter().enumerate() {
            let now = self.now;
            let is_closed = self.link(side).state() == State::Closed;
            let attached = self.link(side).attach(now, session);
            assert_eq!(attached.is_err(), is_closed, "a link takes a session unless it is closed");
        }
    }

    fn operate(&mut self, input: &mut Input<'_>) {
        let (now, op) = (self.now, input.u8());
        let side = usize::from(op >> 7);
        match op & 0x3f {
            0 => self.attach(),
            1 => {
                let count = usize::from(input.u8() % 16);
                self.fill(side);
                self.carry(side, count);
            }
            2 | 3 => self.settle(),
            4 | 5 => self.publish(side, input),
            6 | 7 => self.hear(side),
            8 | 9 => self.handle(side),
            10 => {
                let Some(delivery) = self.app(side).held.pop_front() else { return };
                self.link(side).refused(delivery.id, u32::from(op));
            }
            11 => {
                let Some(delivery) = self.app(side).held.front().cloned() else { return };
                for subscription in delivery.subscriptions.iter().copied() {
                    self.link(side).taken(delivery.id, subscription);
                }
            }
            12 => self.ask(side, input),
            13 => {
                let Some(correlation) = self.app(side).asked.front().copied() else { return };
                self.link(side).cancel(now, correlation);
            }
            14 => {
                let Some(correlation) = self.app(side).asked.front().copied() else { return };
                self.link(side).allow(now, correlation, u64::from(input.u8()));
            }
            15..=18 => self.answer(side, op & 3, input),
            19 => self.link(side).detach(now),
            20 => self.cut(),
            21 | 22 => self.pass(input),
            23 => {
                let length = usize::from(input.u8());
                self.lie(side, input.take(length));
            }
            24 | 25 => {
                let (kind, flags, length) = (input.u8() % 0x28, input.u8(), input.u8());
                let body = input.take(length.into());
                let length = u16::try_from(body.len()).unwrap_or(0).to_be_bytes();
                self.lie(side, &[&[kind, flags][..], &length, body].concat());
            }
            26 => {
                let (place, bits) = (usize::from(input.u16()), input.u8() | 1);
                if let Some(record) = self.pipe(side).front_mut() {
                    let place = place % record.len().max(1);
                    if let Some(byte) = record.get_mut(place) {
                        *byte ^= bits;
                        self.honest = false;
                    }
                }
            }
            27 | 28 => self.store(side),
            29 => {
                let window = Amount { messages: u64::from(input.u8()), bytes: 200_000 };
                if let Ok(id) = self.link(side).subscribe(all(side), window) {
                    self.app(side).extra.push_back(id);
                }
            }
            30 => {
                let Some(id) = self.app(side).extra.pop_front() else { return };
                self.link(side).unsubscribe(id);
            }
            31 => {
                let request = input.u32();
                self.link(side).manage(request, ChannelChange::Create, channel(side, "threats"));
            }
            32 => {
                let Some(request) = self.app(side).wishes.pop_front() else { return };
                self.link(side).managed(request, ChannelCode::Done);
            }
            33 | 34 => self.command(side, input),
            35 => {
                let Some(id) = self.app(side).issued.front().copied() else { return };
                self.link(side).cancel_command(now, id);
            }
            36 | 37 => self.finish(side, input.u8()),
            38 => {
                self.honest = false;
                let by = now.instant.after(Duration::from_secs(u64::from(input.u8())));
                self.link(side).drain(now, by, crate::session::CloseCode::Normal);
            }
            _ => {}
        }
    }

    fn publish(&mut self, side: usize, input: &mut Input<'_>) {
        let how = input.u8();
        let length = if how & 0x20 == 0 { usize::from(input.u8()) } else { input.u16().into() };
        self.payloads += 1;
        let mut payload = self.payloads.to_be_bytes().to_vec();
        payload.resize(8 + length, 0);
        let publish = Publish {
            channel: channel(side, "threats"),
            payload: payload.into(),
            headers: None,
            class: class(how),
            ttl: (how & 4 != 0).then(|| Duration::from_millis(u64::from(input.u8()) * 100)),
            reliability: reliability(how & 8 == 0),
            doubt: Doubt::SendAgain,
        };
        let now = self.now;
        let _ = self.link(side).publish(now, publish);
    }

    fn ask(&mut self, side: usize, input: &mut Input<'_>) {
        let how = input.u8();
        let ask = Ask {
            payload: Bytes::from_static(b"?"),
            class: class(how),
            time: Duration::from_millis(1 + u64::from(input.u8()) * 100),
            answering: match how & 4 {
                0 => Answering::One,
                _ => Answering::Stream { allowed: u64::from(input.u8() % 8) },
            },
            on_detach: if how & 8 == 0 { OnDetach::Redrive } else { OnDetach::Fail },
            on_peer_lost: OnPeerLost::Redrive,
        };
        let now = self.now;
        if let Ok(correlation) = self.link(side).request(now, channel(side, "threats"), ask) {
            self.app(side).asked.push_back(correlation);
        }
    }

    /// Answers, fails, goes on or offers an item of the oldest call; the first two end it.
    fn answer(&mut self, side: usize, how: u8, input: &mut Input<'_>) {
        let Some((correlation, _)) = self.app(side).calls.front().copied() else { return };
        let (now, payload) = (self.now, Bytes::copy_from_slice(&[input.u8(); 40]));
        let link = self.link(side);
        let _ = match how {
            0 => link.answer(now, correlation, payload),
            1 => link.fail(now, correlation, &Failure::new(ErrorCode::Application(7))),
            2 => link.progress(now, correlation, &Progress::Permille(500)),
            _ => link.item(now, correlation, payload),
        };
        if how < 2 {
            self.app(side).calls.pop_front();
        }
    }

    fn command(&mut self, side: usize, input: &mut Input<'_>) {
        let (how, time) = (input.u8(), input.u8());
        self.payloads += 1;
        let mut id = [0; 16];
        id.iter_mut().zip(self.payloads.to_be_bytes()).for_each(|(to, from)| *to = from);
        let command = Command {
            id: CommandId(id),
            payload: Bytes::from_static(b"run"),
            class: class(how),
            time: Duration::from_secs(1 + u64::from(time)),
            on_peer_lost: OnPeerLost::Redrive,
        };
        let now = self.now;
        if self.link(side).command(now, channel(side, "threats"), command).is_ok() {
            self.app(side).issued.push_back(CommandId(id));
        }
    }

    fn finish(&mut self, side: usize, how: u8) {
        let Some(id) = self.app(side).runs.pop_front() else { return };
        let executed = match how % 3 {
            0 => Executed::Succeeded(Bytes::from_static(b"done")),
            1 => Executed::Failed(Failure::new(ErrorCode::Internal)),
            _ => Executed::Cancelled,
        };
        let now = self.now;
        let _ = self.link(side).finish(now, id, executed);
    }

    /// What no honest link says, under the keys of this side.
    fn lie(&mut self, side: usize, frames: &[u8]) {
        let now = self.now;
        self.fill(side);
        if let Some(record) = self.link(side).forge(now, frames) {
            self.honest = false;
            self.pipe(side).push_back(record);
        }
    }

    fn cut(&mut self) {
        let now = self.now;
        self.links.iter_mut().for_each(|link| link.detach(now));
        self.pipes.iter_mut().for_each(VecDeque::clear);
    }

    fn pass(&mut self, input: &mut Input<'_>) {
        let (unit, count) = (input.u8(), u64::from(input.u8()));
        let unit = match unit % 4 {
            0 => 1,
            1 => 50,
            2 => 1_000,
            _ => 10_000,
        };
        self.wait(Duration::from_millis(unit * count));
    }

    fn wait(&mut self, span: Duration) {
        let instant = self.now.instant.after(span);
        let passed = instant.since(parties::start().instant).as_secs();
        let unix = UnixTime::from_secs(parties::start().unix.as_secs() + passed);
        self.now = Now { instant, unix };
        let now = self.now;
        self.links.iter_mut().for_each(|link| link.handle_timeout(now));
    }

    /// Moves what a side says into its pipe.
    fn fill(&mut self, side: usize) {
        let now = self.now;
        for _ in 0..CARRIED {
            let mut record = BytesMut::new();
            if !self.link(side).poll_record(now, &mut record) {
                return;
            }
            self.pipe(side).push_back(record);
        }
        assert!(!self.honest, "a link falls silent");
    }

    fn carry(&mut self, side: usize, count: usize) {
        let now = self.now;
        for _ in 0..count {
            let Some(record) = self.pipe(side).pop_front() else { return };
            let read = self.link(1 - side).handle_record(now, record);
            let is_fine = matches!(read, Ok(()) | Err(LinkError::Detached));
            assert!(is_fine || !self.honest, "an honest record is refused: {read:?}");
        }
    }

    fn settle(&mut self) {
        for _ in 0..CARRIED {
            for side in [0, 1] {
                self.fill(side);
                let count = self.pipe(side).len();
                self.carry(side, count);
            }
            (0..2).for_each(|side| self.fill(side));
            if self.pipes.iter().all(VecDeque::is_empty) {
                return;
            }
        }
        assert!(!self.honest, "two links fall silent");
    }

    fn store(&mut self, side: usize) {
        let now = self.now;
        while let Some(batch) = self.link(side).poll_changes() {
            self.app(side).unstored = Some(batch.number);
        }
        if let Some(number) = self.app(side).unstored.take() {
            self.link(side).stored(now, number);
        }
    }

    /// Takes the events that wait.
    fn hear(&mut self, side: usize) {
        while let Some(event) = self.link(side).poll_event() {
            let app = self.app(side);
            match event {
                Event::Message(delivery) => {
                    if let Some(key) = delivery.key {
                        assert!(app.given.insert(key), "a number is handed on twice");
                    }
                    app.held.push_back(delivery);
                }
                Event::Resumed(resumption) if resumption.peer_outbox == PeerOutbox::Reset => {
                    app.given.clear();
                }
                Event::Settled(id, fate) => {
                    assert!(app.settled.insert(id), "settled twice");
                    app.probe = app.probe.filter(|probe| *probe != id || fate != Fate::Handled);
                }
                Event::Request(RequestEvent::Ended { correlation, .. }) => {
                    app.asked.retain(|asked| *asked != correlation);
                    assert!(app.ended.insert(correlation.to_wire()), "a request ends twice");
                }
                Event::Call { event: AnswerEvent::Opened { correlation, caller, .. }, .. } => {
                    app.calls.push_back((correlation, caller));
                }
                Event::Call { event: AnswerEvent::Stop { correlation, .. }, .. } => {
                    let (now, failure) = (self.now, Failure::new(ErrorCode::Cancelled));
                    self.app(side).calls.retain(|call| call.0 != correlation);
                    let _ = self.link(side).fail(now, correlation, &failure);
                }
                Event::Run { event: ExecutorEvent::Run { id, .. }, .. } => {
                    assert!(app.ran.insert(id) || !self.honest, "a command runs twice");
                    self.app(side).runs.push_back(id);
                }
                Event::Manage { request, .. } => app.wishes.push_back(request),
                _ => {}
            }
        }
    }

    fn handle(&mut self, side: usize) {
        let Some(delivery) = self.app(side).held.pop_front() else { return };
        let now = self.now;
        self.link(side).handled(now, delivery.id);
    }

    fn assert_bounds(&self) {
        for link in &self.links {
            let holds = link.holdings();
            assert!(holds.events <= LINK_EVENTS + EVENTS_OF_A_RECORD, "{holds:?}");
            assert!(holds.outbox.0 <= OUTBOX_MESSAGES, "{holds:?}");
            assert!(holds.queue <= QUEUE_MESSAGES + QUEUE_CONTROL_MESSAGES, "{holds:?}");
            let loose = SUBSCRIPTIONS as u64 * SUBSCRIPTION_WINDOW_MESSAGES;
            assert!(holds.held as u64 <= 4 * INBOX_MESSAGES as u64 + loose, "{holds:?}");
            assert!(holds.aliases <= ALIASES, "{holds:?}");
            assert!(holds.reassembly_bytes <= REASSEMBLY_BYTES, "{holds:?}");
            assert!(holds.datagrams <= LINK_DATAGRAMS, "{holds:?}");
        }
    }

    /// A path that works and applications that do their part: what waited is settled, and a new message
    /// is handled.
    fn heal(&mut self) {
        self.cut();
        self.attach();
        self.quieten();
        if !self.honest {
            return;
        }
        let now = self.now;
        for side in [0, 1] {
            let probe = Publish {
                channel: channel(side, "threats"),
                payload: Bytes::new(),
                headers: None,
                class: Class::Normal,
                ttl: None,
                reliability: Reliability::AtLeastOnce,
                doubt: Doubt::SendAgain,
            };
            match self.link(side).publish(now, probe) {
                Ok(id) => self.app(side).probe = Some(id),
                Err(error) => unreachable!("an empty outbox takes a message: {error}"),
            }
        }
        self.quieten();
        let waits = self.apps.iter().any(|app| app.probe.is_some());
        assert!(!waits, "a message on a path that works is handled");
    }

    fn quieten(&mut self) {
        for _ in 0..TURNS {
            if self.links.iter().any(|link| link.state() == State::Detached) {
                self.attach();
            }
            for side in [0, 1] {
                self.store(side);
                self.settle();
                self.hear(side);
                while !self.app(side).held.is_empty() {
                    self.handle(side);
                }
                while !self.app(side).calls.is_empty() {
                    self.answer(side, 0, &mut Input::new(&[]));
                }
                while !self.app(side).runs.is_empty() {
                    self.finish(side, 0);
                }
                self.store(side);
            }
            self.settle();
            (0..2).for_each(|side| self.hear(side));
            self.assert_bounds();
            let asks = self.apps.iter().any(|app| !app.asked.is_empty());
            if !asks && self.links.iter().all(|link| link.load() == (0, 0)) {
                return;
            }
            let due = self.links.iter().filter_map(Link::poll_timeout).min();
            let span = due.map_or(Duration::ZERO, |due| due.since(self.now.instant));
            self.wait(span.clamp(Duration::from_millis(1), Duration::from_secs(1)));
        }
        let left = self.links.each_ref().map(|link| (link.state(), link.holdings()));
        assert!(!self.honest, "something is never settled: {left:?}");
    }
}
