//! What this side sends and is not done with: numbered messages until the peer handled them, others
//! until they are sealed. Decides what goes next; `packing` writes it. Knows no session.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;

use super::config::Config;
use super::event::{Event, Fate, MessageId, Undelivered};
use super::storing::{About, CallPart, CommandPart, Token};
use super::subscriptions::Subscriptions;
use crate::call::{CommandId, Correlation};
use crate::channel::ChannelName;
use crate::delivery::chunk::Chunks;
use crate::delivery::credit::Allowances;
use crate::delivery::dead::DeadLetter;
use crate::delivery::in_flight::InFlight;
use crate::delivery::outbox::{self, Doubt, Fresh, Outbox};
use crate::delivery::overflow::{Offered, Policies, offer};
use crate::delivery::per_class::PerClass;
use crate::delivery::queue::{Entry, Key, Load, Popped, Queue, Verdict};
use crate::delivery::word::Epoch;
use crate::priority::Class;
use crate::time::Instant;
use crate::wire::content::Content;

/// A message to publish.
#[derive(Clone, Debug)]
pub(crate) struct Publish {
    pub(crate) channel: ChannelName,
    pub(crate) payload: Bytes,
    /// A MessagePack map of at most 65 535 bytes; not read here.
    pub(crate) headers: Option<Bytes>,
    pub(crate) class: Class,
    /// After which it is worth nothing.
    pub(crate) ttl: Option<Duration>,
    pub(crate) reliability: Reliability,
    /// What becomes of it if the peer loses its state.
    pub(crate) doubt: Doubt,
}

/// How much effort a message is worth.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Reliability {
    /// Sent once, if there is room and a session.
    BestEffort,
    /// Kept and sent again until the peer's application is done with it.
    AtLeastOnce,
}

/// What waits in the queue.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) token: Token,
    /// Stands for the channel of an event as long as something waits.
    pub(super) lane: Option<u32>,
    pub(super) source: Source,
    /// Once its first piece went.
    pub(super) begun: Option<Begun>,
}

/// Where the content is.
#[derive(Debug)]
pub(super) enum Source {
    /// In the outbox, under this number.
    Numbered(u64),
    Loose {
        content: Bytes,
        expires: Option<Instant>,
    },
}

/// What of a message went. It keeps the content: a message that was begun is finished, even if its
/// time is over meanwhile.
#[derive(Debug)]
pub(super) struct Begun {
    pub(super) content: Bytes,
    pub(super) chunks: Chunks,
}

/// Which subscriptions of the peer hear the channel that was asked for last.
#[derive(Debug, Default)]
pub(super) struct Hearers {
    lane: Option<u32>,
    channel: Option<ChannelName>,
    version: u64,
    numbers: Vec<u32>,
}

impl Hearers {
    pub(super) fn of(
        &mut self,
        lane: Option<u32>,
        channel: &ChannelName,
        subscriptions: &Subscriptions,
    ) -> &[u32] {
        let version = subscriptions.version();
        let is_known = self.version == version
            && self.lane == lane
            && self.channel.as_ref().is_some_and(|known| known == channel);
        if !is_known {
            (self.lane, self.version) = (lane, version);
            self.channel = Some(channel.clone());
            self.numbers.clear();
            self.numbers.extend(subscriptions.heard_by(channel));
        }
        &self.numbers
    }
}

/// This side's messages.
#[derive(Debug)]
pub(super) struct Outbound {
    pub(super) outbox: Outbox<Token>,
    pub(super) queue: Queue<Item>,
    policies: Policies,
    /// Numbered messages that the queue has no room for, in order.
    ready: PerClass<VecDeque<u64>>,
    pub(super) allowances: Allowances,
    pub(super) in_flight: InFlight,
    /// Bytes under way of each numbered message, until the peer says that it holds it.
    flying: BTreeMap<MessageId, (Class, usize)>,
    /// Pieces under way, until a PONG says that they arrived: the message they belong to is
    /// acknowledged as a whole, and may be larger than what may be under way.
    pieces: VecDeque<(u64, Class, usize)>,
    /// Bytes of the largest content that the peer takes, as it said last.
    pub(super) peer_bytes: usize,
    /// What became of messages of calls.
    pub(super) call_fates: VecDeque<(Correlation, CallPart, Fate)>,
    /// What became of messages of commands.
    pub(super) command_fates: VecDeque<(CommandId, CommandPart, Fate)>,
    /// Commands of the peer whose last report is stored.
    pub(super) told: VecDeque<CommandId>,
    /// Counts pieces. The value of a PING behind them.
    mark: u64,
    lanes: BTreeMap<ChannelName, u32>,
    /// The last channel that was asked for, as most messages follow one of the same.
    last_lane: Option<(ChannelName, u32)>,
    pub(super) hearers: Hearers,
    /// Whether those who published hear that a message of best effort was sealed.
    tells_sent: bool,
    /// Channels whose subscribers had no credit.
    pub(super) parked: BTreeMap<u32, ChannelName>,
    last: MessageId,
}

impl Outbound {
    pub(super) fn new(epoch: Epoch, config: &Config, seed: u64) -> Self {
        Self {
            outbox: Outbox::new(epoch, config.durability, config.outbox, seed),
            queue: Queue::new(config.queue_bounds()),
            policies: config.overflow,
            ready: PerClass::default(),
            allowances: Allowances::default(),
            in_flight: InFlight::default(),
            flying: BTreeMap::new(),
            pieces: VecDeque::new(),
            peer_bytes: usize::MAX,
            call_fates: VecDeque::new(),
            command_fates: VecDeque::new(),
            told: VecDeque::new(),
            mark: 0,
            lanes: BTreeMap::new(),
            last_lane: None,
            hearers: Hearers::default(),
            tells_sent: config.tells_sent,
            parked: BTreeMap::new(),
            last: MessageId(0),
        }
    }

    /// Messages that a store gave back have ids up to this one.
    pub(super) fn continue_from(&mut self, last: MessageId) {
        self.last = self.last.max(last);
    }

    fn next_id(&mut self) -> MessageId {
        self.last = MessageId(self.last.0 + 1);
        self.last
    }

    /// Takes a numbered message. `None` if there is no room.
    pub(super) fn insert(
        &mut self,
        class: Class,
        about: About,
        content: Bytes,
        expires: Option<Instant>,
        doubt: Doubt,
    ) -> Option<MessageId> {
        let id = self.next_id();
        let fresh = Fresh { content, expires, doubt, token: Token { id, about } };
        self.outbox.insert(class, fresh).is_ok().then_some(id)
    }

    /// Takes a message of best effort. `None` if there is no room; `displaced` learns of those that
    /// gave way.
    pub(super) fn offer(
        &mut self,
        now: Instant,
        class: Class,
        about: About,
        content: Bytes,
        expires: Option<Instant>,
        events: &mut VecDeque<Event>,
    ) -> Option<MessageId> {
        let id = self.next_id();
        let lane = self.lane(&about);
        let bytes = content.len();
        let source = Source::Loose { content, expires };
        let item = Item { token: Token { id, about }, lane, source, begun: None };
        let entry = Entry { class, bytes, expires, key: lane.map(Key), item };
        match offer(&mut self.queue, &self.policies, now, entry) {
            Offered::Queued(_) => {}
            Offered::Displaced(_, displaced) => {
                for item in displaced {
                    if let Source::Numbered(number) = item.source {
                        self.outbox.withdraw(class, number);
                        self.landed(now, item.token.id);
                    }
                    self.settle(item.token, Fate::Dropped, events);
                }
            }
            Offered::Dropped(entry) => {
                self.settle(entry.item.token, Fate::Dropped, events);
            }
            Offered::Wait(_) | Offered::Rejected(_) | Offered::TooLarge(_) => return None,
        }
        Some(id)
    }

    /// What stands for a channel while something waits. Forgotten when nothing does.
    fn lane(&mut self, about: &About) -> Option<u32> {
        let About::Event(channel) = about else { return None };
        if self.queue.is_empty() {
            self.parked.clear();
            if self.lanes.len() > 1 {
                self.lanes.clear();
                self.last_lane = None;
            }
        }
        if let Some((last, lane)) = &self.last_lane
            && last == channel
        {
            return Some(*lane);
        }
        let next = u32::try_from(self.lanes.len()).unwrap_or(u32::MAX);
        let lane = *self.lanes.entry(channel.clone()).or_insert(next);
        self.last_lane = Some((channel.clone(), lane));
        Some(lane)
    }

    /// Moves numbered messages into the queue as far as it has room.
    pub(super) fn refill(&mut self, now: Instant) {
        while let Some((class, number)) = self.outbox.poll_ready() {
            self.ready.get_mut(class).push_back(number);
        }
        for class in Class::ALL {
            while let Some(number) = self.ready.get(class).front().copied() {
                let outgoing = self.outbox.outgoing(now, class, number);
                let Some(bytes) = outgoing.map(|outgoing| outgoing.content.len()) else {
                    self.ready.get_mut(class).pop_front();
                    continue;
                };
                if !self.queue.has_room(class, Load { messages: 1, bytes }) {
                    break;
                }
                self.ready.get_mut(class).pop_front();
                let Some(token) = self.outbox.token(class, number) else { continue };
                let lane = self.lane(&token.about);
                let item = Item { token, lane, source: Source::Numbered(number), begun: None };
                let entry = Entry { class, bytes, expires: None, key: None, item };
                assert!(self.queue.push(now, entry).is_ok(), "the queue has room for it");
            }
        }
    }

    /// Messages that are not settled: numbered ones are in the outbox, in the queue or not.
    pub(super) fn unsettled(&self) -> usize {
        let is_loose = |item: &&Item| matches!(item.source, Source::Loose { .. });
        self.outbox.load().0 + self.queue.items().filter(is_loose).count()
    }

    /// Whether something may be there to send.
    pub(super) fn is_waiting(&self) -> bool {
        !self.queue.is_empty() || Class::ALL.iter().any(|class| !self.ready.get(*class).is_empty())
    }

    /// Messages and bytes in the queue.
    #[cfg(feature = "__fuzz")]
    pub(super) fn waiting(&self) -> (usize, usize) {
        let loads = Class::ALL.map(|class| self.queue.load(class));
        loads.iter().fold((0, 0), |sum, load| (sum.0 + load.messages, sum.1 + load.bytes))
    }

    /// Whether the outbox has something to send, or to say of its numbers.
    pub(super) fn has_word(&self) -> bool {
        self.outbox.has_word()
    }

    /// Whether nothing waits, neither to be sent nor to be acknowledged.
    pub(super) fn is_done(&self) -> bool {
        self.queue.is_empty() && self.outbox.load().0 == 0
    }

    /// A numbered message went whole.
    pub(super) fn flies(&mut self, now: Instant, id: MessageId, class: Class, bytes: usize) {
        // One that is sent again is under way once.
        if self.flying.insert(id, (class, bytes)).is_none() {
            self.in_flight.sent(now, class, bytes);
        }
    }

    /// A piece went.
    pub(super) fn piece_flies(&mut self, now: Instant, class: Class, bytes: usize) {
        self.mark += 1;
        self.pieces.push_back((self.mark, class, bytes));
        self.in_flight.sent(now, class, bytes);
    }

    /// The last piece that went, if one is under way.
    pub(super) fn mark(&self) -> Option<u64> {
        self.pieces.back().map(|(mark, ..)| *mark)
    }

    /// The peer answered a PING behind that piece.
    pub(super) fn on_pong(&mut self, now: Instant, mark: u64) {
        while let Some((_, class, bytes)) =
            self.pieces.front().copied().filter(|piece| piece.0 <= mark)
        {
            self.pieces.pop_front();
            self.in_flight.acknowledged(now, class, bytes);
        }
    }

    /// A numbered message is not under way any more.
    fn landed(&mut self, now: Instant, id: MessageId) {
        if let Some((class, bytes)) = self.flying.remove(&id) {
            self.in_flight.acknowledged(now, class, bytes);
        }
    }

    /// Hands on what the outbox says.
    pub(super) fn drain(&mut self, now: Instant, events: &mut VecDeque<Event>) {
        while let Some(event) = self.outbox.poll_event() {
            match event {
                outbox::Event::Stored(Token { id, about: About::Event(_) }) => {
                    events.push_back(Event::Stored(id));
                }
                outbox::Event::Stored(Token { about: About::Command(id, part), .. }) => {
                    if part == CommandPart::End {
                        self.told.push_back(id);
                    }
                }
                outbox::Event::Stored(_) => {}
                outbox::Event::Received(Token { id, about }) => {
                    self.landed(now, id);
                    if let About::Event(_) = about {
                        events.push_back(Event::Delivered(id));
                    }
                }
                outbox::Event::Settled(token, fate) => {
                    self.landed(now, token.id);
                    self.settle(token, fate.into(), events);
                }
            }
        }
    }

    /// Tells whoever has to learn it what became of a message.
    pub(super) fn settle(&mut self, token: Token, fate: Fate, events: &mut VecDeque<Event>) {
        match token.about {
            About::Event(_) if fate == Fate::Sent && !self.tells_sent => {}
            About::Event(_) => events.push_back(Event::Settled(token.id, fate)),
            About::Call(correlation, part) => self.call_fates.push_back((correlation, part, fate)),
            About::Command(id, part) => self.command_fates.push_back((id, part, fate)),
        }
    }

    /// Dead letters; who waits for a call or a command learned of it already.
    pub(super) fn take_dead(&mut self) -> Vec<Undelivered> {
        let letters = std::iter::from_fn(|| self.outbox.dead_letters().pop());
        let read = |DeadLetter { class, token, content, .. }: DeadLetter<Token>| {
            let About::Event(channel) = token.about else { return None };
            let read = Content::decode(&content).ok()?;
            let headers = read.headers.map(|headers| content.slice_ref(headers));
            let payload = content.slice_ref(read.payload);
            Some(Undelivered { id: token.id, channel, class, headers, payload })
        };
        letters.filter_map(read).collect()
    }

    /// Takes back the numbered messages that are about such a thing. None has a fate.
    pub(super) fn withdraw(&mut self, now: Instant, is_meant: impl Fn(&About) -> bool) {
        for class in Class::ALL {
            let meant = |number: u64| {
                let token = self.outbox.token(class, number)?;
                is_meant(&token.about).then_some((number, token.id))
            };
            let messages: Vec<_> = self.outbox.numbers(class).filter_map(meant).collect();
            for (number, id) in messages {
                self.outbox.withdraw(class, number);
                self.landed(now, id);
            }
        }
    }

    /// The peer granted credit to its subscription `id`, or to one more: what waited for it takes
    /// part again.
    pub(super) fn unpark(&mut self, id: u32, subscriptions: &Subscriptions) {
        let open: Vec<u32> = self
            .parked
            .iter()
            .filter(|(_, channel)| subscriptions.is_heard_by(id, channel))
            .map(|(lane, _)| *lane)
            .collect();
        for lane in open {
            self.parked.remove(&lane);
            self.queue.open(crate::delivery::queue::Gate(lane));
        }
    }

    /// A subscription of the peer is gone: nothing waits for it.
    pub(super) fn unpark_all(&mut self) {
        while let Some((lane, _)) = self.parked.pop_first() {
            self.queue.open(crate::delivery::queue::Gate(lane));
        }
    }

    /// The session is gone. What waits in the queue keeps its order; numbered messages come again from
    /// the outbox.
    pub(super) fn detach(&mut self, now: Instant, events: &mut VecDeque<Event>) {
        self.outbox.detach();
        self.allowances.reset();
        self.in_flight.reset();
        self.flying.clear();
        self.pieces.clear();
        self.parked.clear();
        self.ready = PerClass::default();
        self.queue.detach(|_, item| item.begun = None);
        let (mut loose, mut late) = (Vec::new(), Vec::new());
        loop {
            match self.queue.pop(now, |_| None, |_, _, _| Verdict::Take) {
                Some(Popped::Whole(class, item)) => loose.push((class, item)),
                Some(Popped::Expired(_, item)) => late.push(item.token),
                Some(Popped::Part(..)) | None => break,
            }
        }
        for token in late {
            self.settle(token, EXPIRED, events);
        }
        // The least urgent may fill the least of the queue, and is let in before the others.
        loose.sort_by_key(|(class, _)| std::cmp::Reverse(*class));
        for (class, item) in loose {
            let Source::Loose { content, expires } = &item.source else { continue };
            let (bytes, expires) = (content.len(), *expires);
            let entry = Entry { class, bytes, expires, key: item.lane.map(Key), item };
            assert!(self.queue.push(now, entry).is_ok(), "it waited there before");
        }
    }

    /// Gives up what of best effort is late.
    pub(super) fn expire(&mut self, now: Instant, events: &mut VecDeque<Event>) {
        while let Some((_, item)) = self.queue.expire(now) {
            self.settle(item.token, EXPIRED, events);
        }
    }
}

/// Its time was over before it went.
pub(super) const EXPIRED: Fate = Fate::Expired(outbox::Seen::Never);
