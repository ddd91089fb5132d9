//! A link from its first session to its end: sessions come and go, messages stay.

use std::borrow::Borrow;
use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use super::calls::Calls;
use super::commands::Commands;
use super::config::{Config, Kept};
use super::error::{LinkError, PublishError, SubscribeError};
use super::event::{ChannelChange, DeliveryId, DetachCause, Event, MessageId, State, Undelivered};
use super::heartbeat::{Heartbeat, Pulse};
use super::inbound::Inbound;
use super::notices::{Notice, Notices};
use super::outbound::{Outbound, Publish, Reliability};
use super::packing::write_acks;
use super::reading::result;
use super::storing::{About, Batch, Batches, CallPart};
use super::subscriptions::Subscriptions;
use crate::channel::{ChannelCode, ChannelName, Party, Pattern, Policy, Unauthorized};
use crate::crypto::Seed;
use crate::delivery::credit::{Amount, Scope};
use crate::delivery::inbox::{InboxChange, Ripe};
use crate::delivery::outbox::Foreign;
use crate::delivery::resume::greeting;
use crate::delivery::word::{Epoch, Verdict};
use crate::ids::{PeerId, Role};
use crate::limits::LINK_EVENTS;
use crate::priority::Class;
use crate::session::{self, CloseCode, Order, Session};
use crate::time::{Instant, Now};
use crate::wire::content::{ChannelRef, Content, ContentKind};
use crate::wire::message::put_resume;

/// One link to one peer.
pub(crate) struct Link {
    pub(super) config: Config,
    pub(super) state: State,
    pub(super) session: Option<Session>,
    pub(super) stage: Stage,
    /// Whether this side said RESUME in this session.
    greeted: bool,
    /// Whom the sessions are with.
    peer: Option<PeerId>,
    pub(super) outbound: Outbound,
    pub(super) inbound: Inbound,
    pub(super) subscriptions: Subscriptions,
    pub(super) notices: Notices,
    pub(super) calls: Calls,
    pub(super) commands: Commands,
    heartbeat: Heartbeat,
    seed: u64,
    batches: Batches,
    pub(super) events: VecDeque<Event>,
    /// Datagrams among them.
    pub(super) datagrams: usize,
    /// When draining ends, whatever waits.
    pub(super) drained_by: Option<Instant>,
    /// What the peer is told then.
    pub(super) drained_as: CloseCode,
}

/// How far a session's peer is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Stage {
    /// It did not say RESUME.
    Silent,
    Heard,
}

impl Link {
    /// A link that remembers nothing. The epochs and `seed` are random.
    pub(crate) fn new(config: Config, outbox: Epoch, inbox: Epoch, seed: u64) -> Self {
        Self {
            state: State::Detached,
            session: None,
            stage: Stage::Silent,
            greeted: false,
            peer: None,
            outbound: Outbound::new(outbox, &config, seed),
            inbound: Inbound::new(inbox, &config),
            subscriptions: Subscriptions::new(),
            notices: Notices::default(),
            calls: Calls::new(seed),
            commands: Commands::new(config.on_crash, config.durability),
            heartbeat: Heartbeat::new(Instant::default(), seed),
            seed,
            batches: Batches::default(),
            events: VecDeque::new(),
            datagrams: 0,
            drained_by: None,
            drained_as: CloseCode::Normal,
            config,
        }
    }

    /// A link that goes on from what a store kept.
    ///
    /// # Errors
    ///
    /// [`Foreign`] if no link leaves that in a store.
    pub(crate) fn restore(
        now: Now,
        config: Config,
        kept: Kept,
        seed: u64,
    ) -> Result<Self, Foreign> {
        let Kept { outbox, inbox, peer_inbox, next, rows, peer_outbox, marks, issued, executed } =
            kept;
        let mut link = Self::new(config, outbox, inbox, seed);
        let last = rows.iter().map(|row| row.message.token.id).max();
        link.outbound.continue_from(last.unwrap_or(MessageId(0)));
        link.outbound.outbox.restore(peer_inbox, &next, rows)?;
        // Whoever asked is gone with the process.
        let is_request = |about: &About| matches!(about, About::Call(_, CallPart::Request));
        link.outbound.withdraw(now.instant, is_request);
        if let Some(peer) = peer_outbox {
            let marks = marks.into_iter().filter_map(|change| match change {
                InboxChange::Mark { class, handled, verdicts } => Some((class, handled, verdicts)),
                InboxChange::Peer(_) => None,
            });
            link.inbound.inbox.restore(peer, marks);
        }
        let was_attached = peer_inbox.is_some();
        link.commands.load(now, issued, executed, was_attached);
        link.move_calls(now);
        Ok(link)
    }

    pub(crate) fn state(&self) -> State {
        self.state
    }

    /// Messages of this side that are not settled, and of the peer that the application holds.
    pub(crate) fn load(&self) -> (usize, usize) {
        (self.outbound.unsettled(), self.inbound.holds())
    }

    /// A new session carries the link from here on; an older one is dropped.
    ///
    /// # Errors
    ///
    /// [`LinkError::Unordered`], [`LinkError::OtherPeer`]; [`LinkError::Detached`] once the link is
    /// closed. The session is gone, and everything else as before.
    pub(crate) fn attach(&mut self, now: Now, session: Session) -> Result<(), LinkError> {
        if self.state == State::Closed {
            return Err(LinkError::Detached);
        }
        if session.order() != Order::Strict {
            return Err(LinkError::Unordered);
        }
        let peer = &session.peer().id;
        if self.peer.as_ref().is_some_and(|known| known != peer) {
            return Err(LinkError::OtherPeer);
        }
        self.peer = Some(peer.clone());
        self.drop_session(now, DetachCause::Cut);
        self.stage = Stage::Silent;
        self.greeted = false;
        self.seed = self.seed.wrapping_add(1);
        self.heartbeat = Heartbeat::new(now.instant, self.seed);
        let grants = &mut self.inbound.grants;
        for id in self.subscriptions.begin(|id, window| grants.subscribe(id, window)) {
            self.notices.push(Notice::Subscribe(id));
        }
        for (class, total) in self.inbound.opening() {
            self.notices.grant(Scope::Class(class), Some(total));
        }
        self.session = Some(session);
        if self.state == State::Detached {
            self.enter(State::Connecting);
        }
        Ok(())
    }

    /// The transport ended. What waits, waits for the next session.
    pub(crate) fn detach(&mut self, now: Now) {
        self.drop_session(now, DetachCause::Cut);
    }

    fn drop_session(&mut self, now: Now, cause: DetachCause) {
        if self.session.take().is_none() {
            return;
        }
        self.stage = Stage::Silent;
        self.notices.reset();
        self.outbound.detach(now.instant, &mut self.events);
        self.inbound.detach();
        self.subscriptions.detach();
        self.move_calls(now);
        self.calls.detached(now.instant);
        self.move_calls(now);
        self.events.push_back(Event::Detached(cause));
        if matches!(self.state, State::Connecting | State::Connected) {
            self.enter(State::Detached);
        }
    }

    pub(super) fn enter(&mut self, state: State) {
        if self.state != state {
            self.state = state;
            self.events.push_back(Event::State(state));
        }
    }

    /// Takes a message. Its [`Event::Settled`] follows, exactly one.
    ///
    /// # Errors
    ///
    /// [`PublishError`] says why not; nothing follows.
    pub(crate) fn publish(
        &mut self,
        now: Now,
        publish: impl Borrow<Publish>,
    ) -> Result<MessageId, PublishError> {
        let publish = publish.borrow();
        if !self.takes_messages() {
            return Err(PublishError::Closed);
        }
        self.check_border(&publish.channel)?;
        let bytes = publish.headers.as_ref().map_or(0, Bytes::len);
        if bytes > usize::from(u16::MAX) {
            return Err(PublishError::Headers(bytes));
        }
        let Publish { channel, payload, headers, class, ttl, reliability, doubt } = publish;
        let (class, doubt) = (*class, *doubt);
        let mut content = BytesMut::with_capacity(payload.len() + channel.as_str().len() + 8);
        let name = channel.as_str().as_bytes();
        Content {
            kind: ContentKind::Event,
            channel: Some(ChannelRef::Name(name)),
            correlation: None,
            headers: headers.as_deref(),
            stream: false,
            payload,
        }
        .encode(&mut content);
        let largest = self.largest();
        if content.len() > largest {
            return Err(PublishError::TooLarge(content.len(), largest));
        }
        let about = About::Event(channel.clone());
        let (content, expires) = (content.freeze(), ttl.map(|span| now.instant.after(span)));
        let taken = match reliability {
            Reliability::AtLeastOnce => self.outbound.insert(class, about, content, expires, doubt),
            Reliability::BestEffort => {
                let events = &mut self.events;
                self.outbound.offer(now.instant, class, about, content, expires, events)
            }
        };
        // A message of a call may have given way.
        self.move_calls(now);
        taken.ok_or(PublishError::Full)
    }

    /// The largest content that both sides take, as far as this one knows.
    pub(super) fn largest(&self) -> usize {
        self.config.largest().min(self.outbound.peer_bytes)
    }

    pub(super) fn takes_messages(&self) -> bool {
        !matches!(self.state, State::Draining | State::Closed)
    }

    /// Refuses here what the peer would refuse at its border.
    pub(super) fn check_border(&self, channel: &ChannelName) -> Result<(), Unauthorized> {
        let own = &self.config.who.id;
        let border = Policy::allowing();
        match (self.config.who.role, &self.peer) {
            (Role::Agent, _) => border.may_publish(&Party::agent(own, &[]), channel),
            (Role::Backend, Some(agent)) => {
                border.may_publish(&Party::backend(own, agent, &[]), channel)
            }
            // Whom it speaks with is not known yet; the peer judges.
            (Role::Backend, None) => Ok(()),
        }
    }

    /// Listens to a pattern, in this session and all that follow. `window` is what the peer may send
    /// before the first was [`taken`](Self::taken).
    ///
    /// # Errors
    ///
    /// [`SubscribeError`].
    pub(crate) fn subscribe(
        &mut self,
        pattern: Pattern,
        window: Amount,
    ) -> Result<u32, SubscribeError> {
        if self.state == State::Closed {
            return Err(SubscribeError::Closed);
        }
        let id = self.subscriptions.add(pattern, window)?;
        if self.session.is_some() {
            let grants = &mut self.inbound.grants;
            self.subscriptions.begin_one(id, |window| grants.subscribe(id, window));
            self.notices.push(Notice::Subscribe(id));
        }
        Ok(id)
    }

    /// Listens no more. Messages that were delivered already are still to be handled.
    pub(crate) fn unsubscribe(&mut self, subscription: u32) {
        if self.subscriptions.remove(subscription) && self.session.is_some() {
            self.inbound.grants.unsubscribe(subscription);
            self.notices.forget(subscription);
            self.notices.push(Notice::Unsubscribe(subscription));
        }
    }

    /// Asks the peer to change a channel. `request` names it in the answer.
    pub(crate) fn manage(&mut self, request: u32, change: ChannelChange, channel: ChannelName) {
        if self.session.is_some() {
            self.notices.wish(request, change, channel);
        }
    }

    /// Tells the peer what became of a change that it asked for.
    pub(crate) fn managed(&mut self, request: u32, code: ChannelCode) {
        if self.session.is_some() {
            self.notices.push(Notice::Managed { request, code: code.to_u16() });
        }
    }

    /// A subscriber took a message: the peer may send it another one.
    pub(crate) fn taken(&mut self, id: DeliveryId, subscription: u32) {
        self.inbound.taken(id, subscription, &mut self.notices);
    }

    /// The application is done with a message. Returns whether the next batch marks its number, so
    /// that an effect can be stored with it: not for best effort, nor if the peer's outbox is gone.
    pub(crate) fn handled(&mut self, now: Now, id: DeliveryId) -> bool {
        let key = self.inbound.finish(id, &mut self.notices);
        key.is_some_and(|key| self.inbound.inbox.handled(now.instant, key))
    }

    /// The application will not handle a message, for a reason of its own.
    pub(crate) fn refused(&mut self, id: DeliveryId, detail: u32) {
        self.refuse(id, Verdict { code: result::REJECTED, detail });
    }

    /// This side does not let the message through, for a reason of proto-spec 9.2.
    pub(crate) fn refused_as(&mut self, id: DeliveryId, code: u16) {
        self.refuse(id, Verdict { code, detail: 0 });
    }

    fn refuse(&mut self, id: DeliveryId, verdict: Verdict) {
        if let Some(key) = self.inbound.finish(id, &mut self.notices) {
            self.inbound.inbox.refused(key, verdict);
        }
    }

    /// Reads a record that arrived.
    ///
    /// # Errors
    ///
    /// [`LinkError`]. What it costs is done already: the session is gone, or is closing and
    /// [`Self::poll_record`] has the word for the peer.
    pub(crate) fn handle_record(&mut self, now: Now, record: BytesMut) -> Result<(), LinkError> {
        let session = self.session.as_mut().ok_or(LinkError::Detached)?;
        let read = match session.open_frames(now.instant, record) {
            Ok(frames) => {
                self.heartbeat.hear(now.instant);
                let has_room = self.events.len() < LINK_EVENTS;
                if has_room { self.read_frames(now, frames) } else { Err(LinkError::Flood) }
            }
            Err(error) => Err(error.into()),
        };
        if let Err(error) = &read {
            match error.fate() {
                session::Fate::DropRecord => {}
                session::Fate::DropAttachment => {
                    self.drop_session(now, DetachCause::Error(*error));
                }
                session::Fate::CloseSession(code) => self.end_session(code),
            }
        }
        self.move_calls(now);
        self.heed_session(now);
        self.finish_drain(now);
        read
    }

    /// Whether something may be there to send.
    #[cfg_attr(not(feature = "runtime"), allow(dead_code, reason = "a driver makes room for it"))]
    pub(crate) fn is_waiting(&self) -> bool {
        self.outbound.is_waiting()
    }

    /// Whether there is a session.
    pub(crate) fn is_attached(&self) -> bool {
        self.session.is_some()
    }

    /// Whom the sessions will be with.
    pub(crate) fn meets(&mut self, peer: PeerId) {
        self.peer = Some(peer);
    }

    /// Subscriptions of either side that hear a channel now.
    pub(crate) fn subscribers(&self, channel: &ChannelName) -> usize {
        self.subscriptions.hearers(channel)
    }

    /// Hears what the session has to say, and lets go of one that is over.
    fn heed_session(&mut self, now: Now) {
        let mut cause = None;
        while let Some(event) = self.session.as_mut().and_then(Session::poll_event) {
            match event {
                session::Event::ClosedByPeer { code, retry_after } => {
                    cause = Some(DetachCause::ClosedByPeer { code, retry_after });
                }
                session::Event::SessionLost => cause = Some(DetachCause::SessionLost),
                session::Event::Pong(mark) => self.outbound.on_pong(now.instant, mark),
                event @ session::Event::CredentialRefreshed => {
                    // Its labels may be others: what it may do is judged anew.
                    self.inbound.last = Default::default();
                    self.events.push_back(Event::Session(event));
                }
                other => self.events.push_back(Event::Session(other)),
            }
        }
        if self.session.as_ref().is_some_and(Session::is_closed) {
            let cause = cause.unwrap_or(DetachCause::Closed(CloseCode::Normal));
            self.drop_session(now, cause);
        }
    }

    /// Fresh entropy for the key exchange that the session asked for.
    pub(crate) fn provide_seed(&mut self, now: Now, seed: &Seed) {
        if let Some(session) = &mut self.session {
            session.provide_seed(now.instant, seed);
        }
    }

    /// Writes the next record at the end of `out`. Returns whether there was one; call it until there
    /// is none. What a record holds is decided now: the most urgent first.
    pub(crate) fn poll_record(&mut self, now: Now, out: &mut BytesMut) -> bool {
        let wants = self.wants_to_say(now);
        let Some(session) = &mut self.session else { return false };
        let says = session.is_accepted() && (wants || session.has_transmit());
        let mut written = false;
        let before = self.outbound.mark();
        if says && let Ok(mut record) = session.record(now.instant, out) {
            if !self.greeted {
                self.greeted =
                    put_greeting(&self.config, &self.outbound, &self.inbound, &mut record);
            }
            if self.greeted {
                self.notices.write(&self.subscriptions, &mut record);
            }
            if self.greeted && self.stage == Stage::Heard && self.notices.is_empty() {
                write_acks(now.instant, &mut self.inbound, Ripe::Due, &mut record);
                let events = &mut self.events;
                self.outbound.write(now.instant, &self.subscriptions, &mut record, events);
                if record.used() > 0 {
                    write_acks(now.instant, &mut self.inbound, Ripe::All, &mut record);
                }
                self.outbound.drain(now.instant, &mut self.events);
            }
            written = record.used() > 0;
            if written {
                record.seal();
            }
        }
        let mark = self.outbound.mark().filter(|_| self.outbound.mark() > before);
        if let (Some(mark), Some(session)) = (mark, &mut self.session) {
            session.ping(mark);
        }
        if !written && let Some(session) = &mut self.session {
            written = session.poll_transmit(now.instant, out);
        }
        self.move_calls(now);
        self.heed_session(now);
        self.finish_drain(now);
        written
    }

    fn wants_to_say(&self, now: Now) -> bool {
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= now.instant);
        !self.greeted
            || !self.notices.is_empty()
            || self.stage == Stage::Heard
                && (self.outbound.is_waiting()
                    || self.outbound.has_word()
                    || due(self.inbound.inbox.timeout())
                    || self.inbound.inbox.has_result())
    }

    /// The next thing that happened. A message counts as handed on when it is taken here.
    pub(crate) fn poll_event(&mut self) -> Option<Event> {
        let Some(event) = self.events.pop_front() else {
            self.inbound.pay(true, &mut self.notices);
            return None;
        };
        match &event {
            Event::Message(delivery) => {
                self.inbound.handed_on(delivery.id, &mut self.notices);
            }
            Event::Datagram(_) => self.datagrams -= 1,
            Event::Request(_) | Event::Call { .. } | Event::Command(_) | Event::Run { .. } => {
                self.inbound.pay(false, &mut self.notices);
            }
            _ => {}
        }
        if self.events.is_empty() {
            self.inbound.pay(true, &mut self.notices);
        }
        Some(event)
    }

    /// The next batch for the store. Nothing is promised before [`Self::stored`].
    pub(crate) fn poll_changes(&mut self) -> Option<Batch> {
        self.batches.take(&mut self.outbound, &mut self.inbound, &mut self.commands)
    }

    /// A batch, and each before it, is on disk.
    pub(crate) fn stored(&mut self, now: Now, number: u64) {
        let commands = &mut self.commands;
        self.batches.stored(now, number, &mut self.outbound, &mut self.inbound, commands);
        self.outbound.drain(now.instant, &mut self.events);
        self.move_calls(now);
    }

    /// The messages that the peer did not take, as often as they were sent; each is taken once.
    pub(crate) fn take_dead(&mut self) -> Vec<Undelivered> {
        self.outbound.take_dead()
    }

    /// When [`Self::handle_timeout`] is to be called next.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let attached = self.session.as_ref().map(|_| self.heartbeat.timeout());
        let session = self.session.as_ref().and_then(Session::poll_timeout);
        let acks = self.inbound.inbox.timeout().filter(|_| self.stage == Stage::Heard);
        let own = [self.outbound.outbox.timeout(), self.outbound.queue.next_expiry()];
        let all = own.into_iter().chain([attached, session, acks, self.drained_by]);
        let all = all.chain([self.calls.timeout(), self.commands.timeout()]);
        all.flatten().min().filter(|_| self.state != State::Closed)
    }

    /// Does what is due at `now`. Calling it early or late is harmless.
    pub(crate) fn handle_timeout(&mut self, now: Now) {
        if let Some(session) = &mut self.session {
            session.handle_timeout(now.instant);
            match self.heartbeat.check(now.instant) {
                Pulse::Fine => {}
                // Behind pieces it is asked already.
                Pulse::Ask => session.ping(self.outbound.mark().unwrap_or(0)),
                Pulse::Dead => self.drop_session(now, DetachCause::Dead),
            }
        }
        self.heed_session(now);
        self.outbound.expire(now.instant, &mut self.events);
        self.outbound.outbox.handle_timeout(now.instant, self.heartbeat.heard());
        self.outbound.drain(now.instant, &mut self.events);
        self.time_calls(now);
        self.finish_drain(now);
    }
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").field("state", &self.state).finish_non_exhaustive()
    }
}

/// Writes RESUME. Returns whether it fitted.
fn put_greeting(
    config: &Config,
    outbound: &Outbound,
    inbound: &Inbound,
    record: &mut session::RecordWriter<'_>,
) -> bool {
    let resume = greeting(&outbound.outbox, &inbound.inbox);
    // What does not fit is learned again by sending it again.
    let most = record.room().saturating_sub(RESUME_BYTES) / 4 / 16;
    let ranges = [Class::Critical, Class::High, Class::Normal, Class::Low].map(|class| {
        let numbers = resume.handled.get(class);
        (numbers.through(), numbers.ranges().take(most).collect::<Vec<_>>())
    });
    let handled = ranges.each_ref().map(|(through, ranges)| (*through, ranges.as_slice()));
    let known = resume.known.map_or([0; 16], Epoch::to_bytes);
    let (outbox, inbox) = (resume.outbox.to_bytes(), resume.inbox.to_bytes());
    let largest = u32::try_from(config.largest()).unwrap_or(u32::MAX);
    let count: usize = ranges.iter().map(|(_, ranges)| ranges.len()).sum();
    record.frames(RESUME_BYTES + count * 16, |out| {
        put_resume(&outbox, &inbox, &known, largest, handled, out);
    })
}

/// A RESUME without ranges: header, three epochs, the largest content, four sets.
const RESUME_BYTES: usize = 4 + 52 + 4 * 9;
